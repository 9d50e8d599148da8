# SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
"""perf/run pin: measures what must hold for the pinning core.

ib_reg_mr measures registration and release, stock against phyr, as measure.py explains. pin_floor
measures phyr alone, without RDMA: what its pins cost against the floor, which pin_floor.c defines.

    steps below -> plan -> guest (in the guest) -> JSON in out/raw/pin-KERNEL
    -> figures.py (rows, ratios) -> the judgement below -> text, out/pin.json
"""

import json
import os

import figures
import measure
import report
from figures import (GIB, KIB, MIB, TIB, human_bytes, human_metadata, human_ratio, human_region,
                     human_time, line)
from measure import EVERY, Step
from read_only import READ_ONLY_RATIO, promised, read_only_steps

ABOUT = "registration, release and cost against GUP's own: the pinning core's must-holds"
ROUNDS = 3

# The memory holds 1 GiB of small pages at a time, 1 GiB of huge pages of each size, and the system.
MEMORY_MIB = 6144
HUGEPAGES = {"2M": 512, "1G": 1}

STEPS = [
    Step("small-4k", "4K,64K", "4k,mthp64k", 300, EVERY, "--shuffle"),
    Step("small", "4K,64K", "thp,huge2m,huge1g", 300, EVERY),
    Step("gibibyte-4k", "1G", "4k,mthp64k", 5, 3, "--shuffle"),
    Step("gibibyte", "1G", "thp,huge2m,huge1g", 5, EVERY),
    # The region maps one huge page many times over. Stock would pin pages for minutes and then
    # refuse, as it does above 1 GiB. The step "refused" shows this with fewer pages.
    Step("tebibytes", "1T,4T", "huge1g", 5, EVERY, "--aliased", ["phyr"]),
    Step("refused", "2G", "huge1g", 1, 1, "--aliased --warmup=0", ["stock"]),
    *read_only_steps(["stock", "phyr"]),
]

# Kinds and MiB for pin_floor. They have so many folios that times are far above the clock's step.
FLOOR = ["4k:256", "mthp16k:256", "mthp64k:1024", "mthp1m:1024", "thp:1024", "huge2m:1024",
         "huge1g:1048576"]
FLOOR_ROUNDS = 7
FLOOR_RATIO = 1.5

# The least stock/phyr that must hold, by kernel.
RATIOS = [
    (GIB, "mthp64k", "reg_usec", {"stable": 3, "backports": 2}),
    (GIB, "4k", "reg_usec", {"stable": 1.4, "backports": 1.2}),
    (GIB, "huge2m", "reg_usec", {"stable": 50, "backports": 25}),
    (GIB, "huge2m", "dereg_usec", {"stable": 10, "backports": 2}),
    (GIB, "huge1g", "reg_usec", {"stable": 400, "backports": 200}),
]
SMALL = [4 * KIB, 64 * KIB]
CALLS = {"reg_usec": "registration", "dereg_usec": "release"}


def plan(rounds):
    """Registrations, and the floor once."""
    def floor(number, driver):
        if (number, driver) != (1, "phyr"):
            return []
        return ["say cost against the floor", f"floor floor -n {FLOOR_ROUNDS} {' '.join(FLOOR)}"]
    return measure.plan(STEPS, rounds, floor)


def boots(rounds):
    return [measure.Boot("", MEMORY_MIB, HUGEPAGES, plan(rounds))]


def collect(kernel, rounds, raw):
    """All that was measured on a kernel, and its figures."""
    measured = measure.collect(kernel, STEPS, rounds, raw)
    with open(os.path.join(raw, "floor"), encoding="utf-8") as f:
        measured["floor"] = json.load(f)
    figures.derive(measured)
    measured["judgement"] = judge(measured)
    return measured


# --- what must hold ---


def not_measured(what, wanted, why):
    return line(what, wanted, f"not measured: {why}", "", False)


def find(measured, size, backing):
    return next(r for r in measured["regions"] if (r["bytes"], r["backing"]) == (size, backing))


def spread(low, high):
    return f"{low}..{high}"


def judge_ratio(what, wanted, region, call):
    """stock/phyr of a call."""
    figure = region[call]
    if figure["ratio"] is None:
        return not_measured(what, f">= {wanted}",
                            f"stock {region['stock_error']}, phyr {region['phyr_error']}")
    return line(what, f">= {wanted}", human_ratio(figure["ratio"]),
                spread(human_ratio(figure["ratio_min"]), human_ratio(figure["ratio_max"])),
                figure["ratio"] >= wanted)


def judge_small(measured, size, call):
    """Judge the kind of memory with the least ratio."""
    what = f"{human_bytes(size)}, {CALLS[call]}, stock/phyr"
    regions = [r for r in measured["regions"] if r["bytes"] == size and not r["read_only"]]
    failed = [r for r in regions if r[call]["ratio"] is None]
    worst = failed[0] if failed else min(regions, key=lambda r: r[call]["ratio"])
    judged = judge_ratio(what, 1.0, worst, call)
    judged["found"] += f" ({'' if failed else 'least: '}{worst['backing']})"
    return judged


def judge_time(measured, size, msec):
    """A registration that only phyr can do."""
    region = find(measured, size, "huge1g")
    what, wanted = f"{human_bytes(size)} of huge1g, registration", f"<= {msec} ms"
    times = [row["reg_usec"]["median"] for s in measured["samples"] if s["driver"] == "phyr"
             for row in s["registrations"] if row["bytes"] == size and row["reg_usec"]]
    if not times:
        return not_measured(what, wanted, region["phyr_error"])
    time = region["reg_usec"]["phyr"]
    return line(what, wanted, human_time(time), spread(human_time(min(times)), human_time(max(times))),
                time <= msec * 1000)


def judge_metadata(measured, size, backing, limit):
    metadata = find(measured, size, backing)["metadata"]
    return line(f"{human_bytes(size)} of {backing}, metadata", f"<= {human_bytes(limit)}",
                human_metadata(metadata), "", metadata is not None and metadata <= limit)


def judge_floor(row, call, limit):
    figure = row[call]
    return line(f"{call} {human_bytes(row['bytes'])} of {row['backing']}, times the floor",
                f"<= {limit}" if limit else "", f"{figure['ratio']:.2f}",
                spread(f"{figure['least']:.2f}", f"{figure['most']:.2f}"),
                figure["ratio"] <= limit if limit else None)


def stock_refuses(measured):
    """This is no promise. It shows why larger regions have no ratio."""
    error = find(measured, 2 * GIB, "huge1g")["stock_error"]
    return line("2 GiB of huge1g, stock", "", error or "registers", "", None)


def judge(measured):
    kernel = measured["kernel"]
    lines = [judge_time(measured, TIB, 20), judge_metadata(measured, TIB, "huge1g", 64 * KIB),
             judge_time(measured, 4 * TIB, 80), stock_refuses(measured)]
    lines += [judge_ratio(f"{human_bytes(size)} of {backing}, {CALLS[call]}, stock/phyr",
                          wanted[kernel], find(measured, size, backing), call)
              for size, backing, call, wanted in RATIOS]
    lines += [judge_ratio(f"{human_region(region)}, {CALLS[call]}, stock/phyr", READ_ONLY_RATIO,
                          region, call)
              for region, call in promised(measured["regions"], *CALLS)]
    lines.append(judge_metadata(measured, GIB, "4k", int(2.1 * MIB)))
    lines += [judge_small(measured, size, call) for size in SMALL for call in CALLS]
    lines += [judge_floor(row, "pin", FLOOR_RATIO) for row in measured["floor"]]
    lines += [judge_floor(row, "unpin", None) for row in measured["floor"]]
    return lines


# --- for people ---


def floor_table(measured):
    """Nanoseconds for each folio mapping. The floor is one GUP call for each of these."""
    def cells(row):
        each = [row[call][who] / row["folios"] for call in ("pin", "unpin")
                for who in ("gup_ns", "phyr_ns")]
        return [row["backing"], human_bytes(row["bytes"]), str(row["folios"]), str(row["runs"]),
                *(f"{ns:.0f}" for ns in each)]
    header = ["memory", "size", "folio mappings", "runs", "GUP pin", "phyr pin", "GUP unpin",
              "phyr unpin"]
    return [*report.align([header, *map(cells, measured["floor"])], 1),
            "ns for each folio mapping; GUP: of one page in each, one by one"]


def tables(measured):
    return "\n".join(["", report.machine(measured), "", *report.region_table(measured), "",
                      *floor_table(measured), *report.notes(measured)])
