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

Private mappings of 2 MiB folios, of tmpfs, or of ext4 in newer kernels, are left out: the kernel's
own pinning never ends with them, so there is nothing to compare with.
"""

from figures import READ_ONLY_BACKINGS
from measure import EVERY, Step

SIZE = "16M"
# Memory of many pages is made in random order.
SHUFFLED = [b for b in READ_ONLY_BACKINGS if b.startswith(("4k", "mthp64k", "tmpfs4k", "tmpfs64k"))]
CONTENDED = ["4k-forked", "thp-forked", "tmpfs64k-shared", "tmpfs2m-shared", "file-shared"]
READ_ONLY_RATIO = 0.98


def lies_by_chance(row):
    """Copies, and pages of a file on a disk, have few runs or many, as it happens."""
    return row["backing"].endswith(("-forked", "-private")) or row["backing"].startswith("file-")


def read_only_steps(drivers):
    """There is no warm-up: copied memory is new each time, so all cycles are alike."""
    def steps(name, backings, iterations, contended):
        shuffled = [b for b in backings if b in SHUFFLED]
        in_order = [b for b in backings if b not in SHUFFLED]
        return [Step(f"ro-{name}{order}", SIZE, ",".join(part), iterations, EVERY,
                     f"--access=ro --warmup=0 {more}", drivers, contended=contended)
                for order, part, more in (("-shuffled", shuffled, "--shuffle"),
                                          ("", in_order, ""))]

    return (steps("quiet", READ_ONLY_BACKINGS, 3, False)
            + steps("contended", CONTENDED, 9, True))


def promised(rows, registration, release):
    """(row, call) of all that must hold. The time of a release depends on the runs of pages, so it
    is left out where their number is a matter of chance."""
    return [(row, call) for row in rows if row["read_only"]
            for call in ([registration] if lies_by_chance(row) else [registration, release])]
