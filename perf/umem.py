# SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
"""perf/run umem: measures what must hold for the livepatch of ib_umem, under the distribution's
rxe.

ib_reg_mr measures whole registrations. umem_time measures the kernel's ib_umem_get() by itself,
which pins and makes the scatterlist, but not the driver's own table. peak.py finds the kernel
memory that ib_umem_get() takes meanwhile. Stock and livepatch take turns in one boot, as measure.py
explains.

    steps below -> plan -> guest (in the guest) -> JSON in out/raw/umem-KERNEL
    -> figures.py (rows, ratios) -> the judgement below -> text, out/umem.json
"""

import json
import os

import figures
import measure
import report
import peak
from figures import (GIB, READ_ONLY_BACKINGS, compare, human_bytes, human_ratio, human_region,
                     human_time, line)
from measure import EVERY, Step
from read_only import READ_ONLY_RATIO, promised, read_only_steps

ABOUT = "registration by stock's driver with the livepatch: its must-holds"
ROUNDS = 3

# The memory holds 1 GiB of small pages at a time, 1 GiB of huge pages of each size, and the system.
MEMORY_MIB = 6144
HUGEPAGES = {"2M": 512, "1G": 1}

BOTH = ["stock", "livepatch"]
STEPS = [
    Step("small-4k", "4K,64K,1M", "4k,mthp16k,mthp64k", 300, EVERY, "--shuffle", BOTH),
    Step("small", "4K,64K,1M", "thp,huge2m,huge1g", 300, EVERY, "", BOTH),
    Step("medium-4k", "64M", "4k,mthp16k,mthp64k", 10, EVERY, "--shuffle", BOTH),
    Step("medium", "64M", "thp,huge2m,huge1g", 10, EVERY, "", BOTH),
    Step("gibibyte-4k", "1G", "4k,mthp64k", 5, 3, "--shuffle", BOTH),
    Step("gibibyte", "1G", "thp,huge2m,huge1g", 5, EVERY, "", BOTH),
    *read_only_steps(BOTH),
]
# Kinds and MiB for umem_time.
UMEMS = ["4k:256", "mthp16k:256", "mthp64k:256", "thp:1024", "huge2m:1024", "huge1g:1024"]
READ_ONLY_UMEMS = [f"{backing}:16" for backing in READ_ONLY_BACKINGS]
UMEM_ROUNDS = 5
# The peak of kernel memory is measured with base pages, which need most.
PEAK = "4k:256"
ENTRY_BYTES = 32  # of a scatterlist
NETDEV = "veth0"  # on which the lab makes rxe0

GET_RATIO = 10  # ib_umem_get() of 1 GiB on 2 MiB pages
LEAST = 0.95    # registrations and releases of any kind of memory
PEAK_RATIO = 1.1  # kernel memory at a time, livepatch against stock, most of all rounds
ENTRIES = 1     # of the scatterlist, 1 GiB on a 1 GiB page


def plan(rounds):
    """Registrations, and at the end of each turn ib_umem_get() alone."""
    def umems(number, driver):
        return [f"say round {number} of {rounds}, {driver}: ib_umem_get() alone",
                f"umem umem.{number}.{driver} -n {UMEM_ROUNDS} {NETDEV} {' '.join(UMEMS)}",
                f"umem umem-ro.{number}.{driver} -r -n {UMEM_ROUNDS} {NETDEV} "
                f"{' '.join(READ_ONLY_UMEMS)}",
                f"peak peak.{number}.{driver} -t -n 1 {NETDEV} {PEAK}"]
    return measure.plan(STEPS, rounds, umems)


def boots(rounds):
    return [measure.Boot("", MEMORY_MIB, HUGEPAGES, plan(rounds))]


def collect(kernel, rounds, raw):
    """All that was measured on a kernel, and its figures."""
    def umems(number, driver):
        rows = []
        for name, read_only in (("umem", False), ("umem-ro", True)):
            with open(os.path.join(raw, f"{name}.{number}.{driver}"), encoding="utf-8") as f:
                rows += [{**row, "read_only": read_only, "contended": False, "untouched": False}
                         for row in json.load(f)]
        return {"umems": rows, "peak": read_peak(os.path.join(raw, f"peak.{number}.{driver}"))}
    measured = measure.collect(kernel, STEPS, rounds, raw, umems)
    figures.derive(measured)
    measured["umems"] = [derive_umem(n, measured["samples"])
                         for n in range(len(UMEMS + READ_ONLY_UMEMS))]
    peaks = [{s["round"]: s["peak"] for s in measured["samples"] if s["driver"] == driver}
             for driver in BOTH]
    measured["peak"] = compare(*peaks, "livepatch", "livepatch")
    measured["judgement"] = judge(measured)
    return measured


def read_peak(path):
    """The peak in bytes. At its end, the trace must at least have the scatterlist."""
    most, left = peak.read(f"{path}.trace")
    with open(path, encoding="utf-8") as f:
        table = json.load(f)[0]["entries"] * ENTRY_BYTES
    if left < table:
        raise measure.Failed(f"{path}.trace: {left} bytes in the end, the scatterlist has {table}")
    return most


def derive_umem(number, samples):
    """The figures of one row of umem_time."""
    def series(driver, fact):
        return {s["round"]: s["umems"][number][fact] for s in samples if s["driver"] == driver}

    row = samples[0]["umems"][number]
    return {**{key: row[key]
               for key in ("backing", "bytes", "read_only", "contended", "untouched")},
            "entries": max(series("livepatch", "entries").values()),
            "stock_entries": max(series("stock", "entries").values()),
            **{call: compare(series("stock", call), series("livepatch", call), "stock", "livepatch")
               for call in ("get_ns", "release_ns")}}


# --- what must hold ---


def spread(figure):
    return f"{human_ratio(figure['ratio_min'])}..{human_ratio(figure['ratio_max'])}"


def judge_least(measured, time, what):
    """Judge the size and kind of memory with the least ratio."""
    figure, region = min(((r["livepatch"][time], r) for r in measured["regions"] if not r["read_only"]),
                         key=lambda pair: pair[0]["ratio"])
    name = f"{human_bytes(region['bytes'])} of {region['backing']}"
    return line(f"{what}, stock/livepatch, least of all", f">= {LEAST}",
                f"{figure['ratio']:.2f} ({name})", spread(figure), figure["ratio"] >= LEAST)


CALLS = {"reg_usec": "registration", "dereg_usec": "release", "get_ns": "ib_umem_get()",
         "release_ns": "ib_umem_release()"}


def judge_read_only(call, region, figure):
    return line(f"{human_region(region)}, {call}, stock/livepatch", f">= {READ_ONLY_RATIO}",
                human_ratio(figure["ratio"]), spread(figure), figure["ratio"] >= READ_ONLY_RATIO)


def judge(measured):
    def umem(backing):
        return next(u for u in measured["umems"] if (u["bytes"], u["backing"]) == (GIB, backing))

    get, entries = umem("huge2m")["get_ns"], umem("huge1g")["entries"]
    most = measured["peak"]
    return [
        line("ib_umem_get() of 1 GiB of huge2m, stock/livepatch", f">= {GET_RATIO}",
             human_ratio(get["ratio"]), spread(get), get["ratio"] >= GET_RATIO),
        line("1 GiB of huge1g, entries of the scatterlist", f"<= {ENTRIES}", str(entries), "",
             entries <= ENTRIES),
        line("kernel memory at a time, 256 MiB of 4k, livepatch/stock", f"<= {PEAK_RATIO}",
             f"{most['ratio']:.2f} ({human_bytes(most['livepatch'])})", spread(most),
             most["ratio_max"] <= PEAK_RATIO),
        judge_least(measured, "reg_usec", "registration"),
        judge_least(measured, "dereg_usec", "release"),
        *(judge_read_only(CALLS[call], r, r["livepatch"][call])
          for r, call in promised(measured["regions"], "reg_usec", "dereg_usec")),
        *(judge_read_only(CALLS[call], u, u[call])
          for u, call in promised(measured["umems"], "get_ns", "release_ns")),
    ]


# --- for people ---


def table(rows, times, scale, more):
    """A row for each kind of memory: both calls, stock and livepatch."""
    def cells(row):
        out = [report.memory_cell(row), human_bytes(row["bytes"])]
        for figure in times(row):
            out += [human_time(figure["stock"] * scale), human_time(figure["livepatch"] * scale),
                    human_ratio(figure["ratio"]), spread(figure)]
        return out + [str(row[name]) for name in more]
    header = ["memory", "size", *["stock", "livepatch", "ratio", "spread"] * 2, *more]
    return report.align([header, *map(cells, rows)], 1)


def tables(measured):
    return "\n".join([
        "", report.machine(measured), "", "ibv_reg_mr() and ibv_dereg_mr():",
        *table(measured["regions"], lambda r: [r["livepatch"][t] for t in ("reg_usec", "dereg_usec")], 1, []),
        "", "ib_umem_get() and ib_umem_release() alone, and entries of the scatterlist:",
        *table(measured["umems"], lambda u: [u["get_ns"], u["release_ns"]], 1e-3,
               ["stock_entries", "entries"]),
        *report.contended_lines(measured["regions"]), *report.notes(measured)])
