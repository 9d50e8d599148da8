# SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
"""For the guest script phyr-info: processes with registered memory, and what phyr_info says of it.

We compare that with what was registered, and with the rdma tool, which asks the kernel in its own
way.
"""

import contextlib
import ctypes
import fcntl
import glob
import mmap
import os
import re
import signal
import struct
import sys
import threading
import time

from pyverbs import enums
from pyverbs.device import Context
from pyverbs.mr import MR
from pyverbs.pd import PD

from phyr_info_run import altered, check, info, run

MIB = 1 << 20
PAGE = 4096
MAP_FIXED = 0x10
MAP_HUGETLB = 0x40000
SYS_USERFAULTFD = 323
UFFD_API = 0xAA
UFFD_MISSING = 1
UFFDIO_API = 0xC018AA3F
UFFDIO_REGISTER = 0xC020AA00
# A name that could do harm if it is printed as it is: colours, a line's end, a quote, no UTF-8.
WILD = b'\x1b[31m\n"\xff\\x'
TAME = '?[31m?"?\\x'

KEPT = []  # mappings, for as long as the process lasts


def mapped(length, flags=0):
    KEPT.append(mmap.mmap(-1, length, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | flags))
    return KEPT[-1]


def address(memory):
    return ctypes.addressof(ctypes.c_char.from_buffer(memory))


def scattered(pages):
    """Neighbours that are not contiguous: pages of a file, mapped in another order."""
    file = os.memfd_create("scattered")
    os.write(file, b"x" * pages * PAGE)
    libc = ctypes.CDLL(None)
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t] + [ctypes.c_int] * 3 + [ctypes.c_long]
    begin = address(mapped(pages * PAGE))
    for page in range(pages):
        libc.mmap(begin + page * PAGE, PAGE, mmap.PROT_READ | mmap.PROT_WRITE,
                  mmap.MAP_SHARED | MAP_FIXED, file, page * 7 % pages * PAGE)
    return begin


# The regions, by length: where a region begins, and the fewest and most extents that it may have.
ALL_KINDS = {
    1: (lambda: address(mapped(PAGE)) + 5, 1, 1),
    PAGE: (lambda: address(mapped(PAGE)), 1, 1),
    8 * MIB - 200: (lambda: address(mapped(8 * MIB, MAP_HUGETLB)) + 100, 1, 4),
    # Some may be neighbours by chance.
    61 * PAGE: (lambda: scattered(61), 50, 61),
}
ONE_KIND = {3 * PAGE: (lambda: address(mapped(3 * PAGE)), 1, 3)}


def register(device, kinds):
    context = Context(name=device)
    domain = PD(context)
    return [context, domain] + [MR(domain, length, enums.IBV_ACCESS_LOCAL_WRITE, begin())
                                for length, (begin, _, _) in kinds.items()]


def in_child(work):
    """Start a child that does this work, and stays. Returns its ID when the work is done."""
    done, say_done = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            KEPT.append(work())
            os.write(say_done, b".")
            signal.pause()
        finally:
            os._exit(1)
    os.close(say_done)
    if not os.read(done, 1):
        sys.exit("a process that should register memory has failed")
    os.close(done)
    return pid


def in_thread(work):
    """Let another thread than the first do this work, and stay."""
    done = threading.Event()

    def work_and_last():
        KEPT.append(work())
        done.set()
        threading.Event().wait()

    threading.Thread(target=work_and_last).start()
    if not done.wait(60):
        sys.exit("the thread has failed")


def end(pid):
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


@contextlib.contextmanager
def held(device):
    """Two processes with registered memory, in one by another thread: {pid: kinds}."""
    write_nr("/proc/sys/vm/nr_hugepages", 4)

    def wild():
        with open("/proc/self/comm", "wb") as comm:
            comm.write(WILD)
        return register(device, ALL_KINDS)

    first = in_child(wild)
    second = in_child(lambda: in_thread(lambda: register(device, ONE_KIND)))
    try:
        yield {first: ALL_KINDS, second: ONE_KIND}
    finally:
        end(first)
        end(second)
        write_nr("/proc/sys/vm/nr_hugepages", 0)


def write_nr(path, number):
    with open(path, "w", encoding="ascii") as file:
        file.write(str(number))


def register_for_ever(device):
    """Nobody serves the page fault of this registration."""
    memory = mapped(MIB)
    fd = ctypes.CDLL(None).syscall(SYS_USERFAULTFD, os.O_CLOEXEC)
    fcntl.ioctl(fd, UFFDIO_API, bytearray(struct.pack("QQQ", UFFD_API, 0, 0)))
    fcntl.ioctl(fd, UFFDIO_REGISTER,
                bytearray(struct.pack("QQQQ", address(memory), MIB, UFFD_MISSING, 0)))
    register(device, {MIB: (lambda: address(memory), 1, 1)})


def stuck_thread(pid):
    """The directory in /proc of the thread that is in that page fault, if there is one."""
    for thread in glob.glob(f"/proc/{pid}/task/*"):
        with open(thread + "/stack", "rb") as stack:
            if b"handle_userfault" in stack.read():
                return thread
    return None


@contextlib.contextmanager
def stuck(device):
    """A process with a thread, not its first, in the middle of a registration."""
    pid = os.fork()
    if not pid:
        try:
            thread = threading.Thread(target=register_for_ever, args=[device])
            thread.start()
            thread.join()
        finally:
            os._exit(1)
    deadline = time.monotonic() + 60
    while not (thread := stuck_thread(pid)):
        if time.monotonic() > deadline:
            sys.exit("the registration that should be stuck is not")
        time.sleep(0.02)
    try:
        yield thread
    finally:
        end(pid)


# --- what phyr_info says ------------------------------------------------------------------------

FACTS = ["extents", "mean", "largest", "smallest", "metadata", "pinned"]
# Keys of phyr_info, and the rdma tool's keys for the same.
SAME = {"mrn": "mrn", "pid": "pid", "length": "mrlen", "extents": "drv_phyrs",
        "largest": "drv_largest", "smallest": "drv_smallest", "metadata": "drv_metadata"}


def process_of(thread):
    with open(f"/proc/{thread}/status", "rb") as status:
        return int(re.search(rb"^Tgid:\s+(\d+)$", status.read(), re.M)[1])


def as_rdma_has_it(device, found, ours):
    """Differences from what the rdma tool prints."""
    # The tool leaves control characters in names as they are.
    told = run("rdma", "-j", "resource", "show", "mr", "-dd").json(strict=False) or []
    told = {entry["mrn"]: entry for entry in told if entry["ifname"] == device}
    if len(found) != len(told):
        return [f"{len(found)} regions, rdma has {len(told)}"]
    wrong = []
    for mr in found:
        entry = told.get(mr["mrn"], {})
        if "pid" in entry:  # the ID of a thread
            entry["pid"] = process_of(entry["pid"])
        wrong += [f"{key} {mr[key]}, rdma: {entry.get(SAME[key])}" for key in SAME
                  if mr[key] != entry.get(SAME[key])]
        if f"{mr['lkey']:x}" != entry.get("lkey"):
            wrong.append(f"lkey {mr['lkey']:x}, rdma: {entry.get('lkey')}")
        if ours and mr["pinned"] != entry["drv_pinned_pages"] * PAGE:
            wrong.append(f"pinned {mr['pinned']}, rdma: {entry['drv_pinned_pages']} pages")
    return wrong


def facts_wrong(mr, kind):
    _, fewest, most = kind
    pages = (mr["length"] + PAGE - 1) // PAGE
    rules = {
        "extents": fewest <= mr["extents"] <= most,
        "mean": mr["mean"] == mr["length"] // mr["extents"],
        "order": 0 < mr["smallest"] <= mr["mean"] <= mr["largest"] <= mr["length"],
        "pinned": pages * PAGE <= mr["pinned"] <= (pages + 1) * PAGE,
        "metadata": 0 < mr["metadata"] < 8192,
    }
    return [f"{name}: {mr}" for name, good in rules.items() if not good]


def total_wrong(total, found, ours):
    def over(function, key):
        return function(mr[key] for mr in found) if ours else None

    wanted = {"mrs": len(found), "length": sum(mr["length"] for mr in found),
              "extents": over(sum, "extents"), "mean": None, "largest": over(max, "largest"),
              "smallest": over(min, "smallest"), "metadata": over(sum, "metadata"),
              "pinned": over(sum, "pinned")}
    if ours:
        wanted["mean"] = wanted["length"] // wanted["extents"]
    return [] if total == wanted else [f"{total}, not {wanted}"]


def human(size):
    """A size as phyr_info must print it: with one decimal, unless the number is whole."""
    for power, unit in reversed(list(enumerate(["B", "KiB", "MiB", "GiB", "TiB"]))):
        if size >= 1024 ** power and power:
            break
    value = size / 1024 ** power
    return f"{value:.0f} {unit}" if value == int(value) else f"{value:.1f} {unit}"


def row_of(mr):
    cells = [mr["device"], mr["pid"], mr["command"], hex(mr["lkey"]), human(mr["length"])]
    cells += ["-" if mr[key] is None else mr[key] if key == "extents" else human(mr[key])
              for key in FACTS]
    return " ".join(str(cell) for cell in cells)


def check_all(device, registered, ours):
    what = "ours" if ours else "stock"
    asked = info("mr", "-j")
    document = asked.json() or {"mrs": [], "total": {}}
    found = document["mrs"]
    sizes = [(mr["pid"], mr["length"]) for mr in found]
    wanted = [(pid, length) for pid in sorted(registered)
              for length in sorted(registered[pid], reverse=True)]
    good = asked.status == 0 and sizes == wanted
    check(f"regions on {what}: all, by process and size", good, sizes, wanted, asked.out, asked.err)
    if not good:
        return  # the plan shows that the other checks are missing
    wrong = as_rdma_has_it(device, found, ours)
    check(f"regions on {what}: as the rdma tool has them", not wrong, *wrong)
    if ours:
        wrong = [line for mr in found
                 for line in facts_wrong(mr, registered[mr["pid"]][mr["length"]])]
        check(f"regions on {what}: made of what they should be", not wrong, *wrong)
    else:
        check(f"regions on {what}: nothing is known of what they are made of",
              all(mr[key] is None for mr in found for key in FACTS), found)
    wrong = total_wrong(document["total"], found, ours)
    check(f"regions on {what}: the total", not wrong, *wrong)
    check_text(what, found)
    check_some(what, registered, found)


def check_text(what, found):
    text = info("mr").out
    lines = text.splitlines()
    width = {len(line) for line in lines}
    rows = [" ".join(line.split()) for line in lines[1:-1]]
    wanted = [row_of(mr) for mr in found]
    check(f"regions on {what}: the table says the same", rows == wanted and len(width) == 1 and
          lines[-1].startswith("total ") and f" {len(found)} regions " in lines[-1],
          text, wanted, width)


def check_some(what, registered, found):
    first, second = registered
    names = {mr["pid"]: mr["command"] for mr in found}
    check(f"regions on {what}: processes have their names, made harmless",
          names.get(first) == TAME and names.get(second, "").startswith("phyr-info"), names)
    asked = info("mr", "-j", "-p", str(second))
    check(f"regions on {what}: of one process", (asked.json() or {}).get("mrs") ==
          [mr for mr in found if mr["pid"] == second], asked.out)
    thread, = set(os.listdir(f"/proc/{second}/task")) - {str(second)}
    asked = info("mr", "-p", thread)
    check(f"regions on {what}: a thread is no process", asked.status == 3 and not asked.out and
          f"{thread} is a thread of the process {second}" in asked.err, asked.out, asked.err)
    asked = info("mr", "-p", "1")
    check(f"regions on {what}: of a process that has none", asked.status == 0 and
          asked.out == "no memory regions\n", asked.out, asked.err)
    asked = info("mr", "-j", by=["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"])
    check(f"regions on {what}: without privileges, all but the keys",
          (asked.json() or {}).get("mrs") == [{**mr, "lkey": None} for mr in found],
          asked.out, asked.err)


def check_too_long():
    """Make one region look like an implicit on-demand paging region, which Soft-RoCE lacks."""
    env = altered("RDMA_NLDEV_ATTR_RES_MRLEN", 64, max(ONE_KIND), 2 ** 64 - 1)
    asked = info("mr", "-j", env=env)
    document = asked.json() or {"mrs": [{"length": 0}], "total": {}}
    check("regions: a total length above 64 bits", asked.status == 0 and
          max(mr["length"] for mr in document["mrs"]) == 2 ** 64 - 1 and
          document["total"].get("length", 0) is None, asked.out, asked.err)
    text = info("mr", env=env).out
    check("regions: a total length above 64 bits: in words",
          re.search(r" 16.0 EiB .*\ntotal +5 regions +-  ", text, re.S), text)
