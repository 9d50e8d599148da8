# SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
"""The most kernel memory that a system call had at a time, from a trace of its allocations.

The trace is of the kmem events of one task (perf/guest's "peak").  Objects of the slab allocator count
by the bytes that are allocated for them; pages count unless they are for the slab allocator, as the
stack behind the event tells.  What was allocated before, and what others free later, is not in it.
So the figure is exact, as long as the trace is whole, which its header tells.
"""

import re

import measure

PAGE_BYTES = 4096

# umem_time-123     [000] .....   12.345678: kmalloc: call_site=... ptr=0000000012345678 ...
EVENT = re.compile(r"\s*.*-\d+ +\[\d+\] \S+ +[\d.]+: (\w+): (.*)")
WRITTEN = re.compile(r"# entries-in-buffer/entries-written: (\d+)/(\d+)")
# By which functions pages come to the slab allocator. (sg_kmalloc() is none.)
SLAB = re.compile(r"\s*=> (_+kmalloc|kmem_cache_alloc|\w*slab)")


class Account:
    """Bytes by object, and the most of them."""

    def __init__(self):
        self.bytes = {}
        self.now = self.most = 0

    def add(self, what, size):
        self.bytes[what] = size
        self.now += size
        self.most = max(self.most, self.now)

    def remove(self, what):
        self.now -= self.bytes.pop(what, 0)


def fields(text):
    return dict(word.split("=", 1) for word in text.split() if "=" in word)


def read(path):
    """(most bytes at a time, bytes at the end) of a trace."""
    account, page, whole = Account(), None, False

    def settle():
        """A page for which no stack has said that it is the slab allocator's."""
        nonlocal page
        if page:
            account.add(*page)
        page = None

    with open(path, encoding="utf-8", errors="replace") as f:
        for line in f:
            if match := WRITTEN.match(line):
                whole = match[1] == match[2] != "0"
            elif SLAB.match(line):
                page = None
            elif (match := EVENT.match(line)):
                settle()
                event, values = match[1], fields(match[2])
                if event in ("kmalloc", "kmem_cache_alloc"):
                    account.add(values["ptr"], int(values["bytes_alloc"]))
                elif event in ("kfree", "kmem_cache_free"):
                    account.remove(values["ptr"])
                elif event == "mm_page_alloc":
                    page = values["pfn"], PAGE_BYTES << int(values["order"])
                elif event == "mm_page_free":
                    account.remove(values["pfn"])
    settle()
    if not whole:
        raise measure.Failed(f"{path}: the trace is not whole")
    return account.most, account.now
