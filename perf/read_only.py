# SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
"""Registrations for reading only, which perf/run pin and perf/run umem share.

Such memory is often shared copy-on-write (after fork(), or a private mapping of a file) or pages
of a file. Pinning takes a copy of the former, 4 KiB at a time, whatever the folios look like, so
there is little to be gained, and all the more to be lost.

Pinning such memory takes the lock of the address space (mmap_lock). So some kinds are measured again
in a process whose lock is held for writing again and again, as by threads that map and unmap
memory. The holder is a kernel thread (phyr_mmap_lock.ko). It sleeps while it holds the lock, so a
machine with one CPU shows the same as one with more. Times include the waits. ib_reg_mr counts how
often a registration slept. Without the holder, none sleeps. A row without waits is a failure.

Pages of a file may be in the page cache, and not be mapped yet. So pages of files are measured
untouched, too.

Private mappings of 2 MiB folios, of tmpfs, or of ext4 in newer kernels, are left out: the kernel's
own pinning never ends with them, so there is nothing to compare with.
"""

from figures import READ_ONLY_BACKINGS
from measure import EVERY, Step

SIZE = "16M"
ITERATIONS = 9
# Memory of many pages is made in random order.
SHUFFLED = [b for b in READ_ONLY_BACKINGS if b.startswith(("4k", "mthp64k", "tmpfs4k", "tmpfs64k"))]
UNTOUCHED = ["tmpfs4k-shared", "tmpfs64k-shared", "tmpfs2m-shared", "file-shared"]
CONTENDED = ["4k-forked", "thp-forked", "tmpfs64k-shared", "tmpfs2m-shared", "file-shared"]
READ_ONLY_RATIO = 0.98


def lies_by_chance(row):
    """Copies, and pages of a file on a disk, have few runs or many, as it happens."""
    return row["backing"].endswith(("-forked", "-private")) or row["backing"].startswith("file-")


def read_only_steps(drivers):
    """There is no warm-up: copied memory is new each time, so all cycles are alike."""
    def step(name, backings, more, contended):
        return Step(f"ro-{name}", SIZE, ",".join(backings), ITERATIONS, EVERY,
                    f"--access=ro --warmup=0 {more}", drivers, contended=contended)

    def touched(name, backings, contended):
        shuffled = [b for b in backings if b in SHUFFLED]
        in_order = [b for b in backings if b not in SHUFFLED]
        return [step(f"{name}-shuffled", shuffled, "--shuffle", contended),
                step(name, in_order, "", contended)]

    return [*touched("quiet", READ_ONLY_BACKINGS, False),
            *touched("contended", CONTENDED, True),
            step("untouched", UNTOUCHED, "--untouched", False),
            step("untouched-contended", UNTOUCHED, "--untouched", True)]


def promised(rows, registration, release):
    """(row, call) of all that must hold. The time of a release depends on the runs of pages, so it
    is left out where their number is a matter of chance. It is left out where the mmap_lock is
    contended, too: a release does not take the lock, and is so short that the holder's own time
    decides."""
    return [(row, call) for row in rows if row["read_only"]
            for call in ([registration] if lies_by_chance(row) or row["contended"]
                         else [registration, release])]
