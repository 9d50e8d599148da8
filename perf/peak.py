# SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
"""Finds the most kernel memory that a system call had at a time, in a trace of its allocations.

The trace has the kmem events of one task ("peak" in perf/guest). An object of the slab allocator
counts with the bytes that were allocated for it. A page counts unless the slab allocator took it,
which the stack behind the page's event shows. The trace does not have what was allocated before it,
nor what other tasks free. The figure is exact if the trace is whole, and the trace's header says
whether it is.
"""

import re

import measure

PAGE_BYTES = 4096

# umem_time-123     [000] .....   12.345678: kmalloc: call_site=... ptr=0000000012345678 ...
EVENT = re.compile(r"\s*.*-\d+ +\[\d+\] \S+ +[\d.]+: (\w+): (.*)")
WRITTEN = re.compile(r"# entries-in-buffer/entries-written: (\d+)/(\d+)")
# The functions by which the slab allocator takes pages. sg_kmalloc() is not one of them.
SLAB = re.compile(r"\s*=> (_+kmalloc|kmem_cache_alloc|\w*slab)")


class Account:
    """The bytes of each object, their sum now, and the largest sum so far."""

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
        """Count the last page, since no stack has shown that the slab allocator took it."""
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
