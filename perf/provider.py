# SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
"""perf/run provider: measures what must hold for our provider, libphyr.

Fresh memory comes from malloc(), and nobody has touched it yet. libphyr prepares it and registers
it with phyr's driver; this is compared with stock's driver and rdma-core's provider. libphyr
prepares with several threads, so that machine has two CPUs, and times are the host's. Small
registrations and the data path must not become slower. They are measured in a steady machine, on
phyr's driver with either provider. measure.py explains the method.

    steps below -> plan -> guest (in the guest) -> JSON in out/raw/provider-KERNEL/BOOT
    -> rows, the judgement below -> text, out/provider.json
"""

import os
from statistics import median

import figures
import measure
import report
from figures import GIB, compare, human_bytes, human_ratio, human_time, line
from measure import EVERY, Boot, Step

ABOUT = "registration by libphyr, and what it must not slow down: the provider's must-holds"
ROUNDS = 5

MEMORY_MIB = 4096
HUGEPAGES = {"2M": 8}

FRESH, STEADY = "fresh", "steady"
BOTH = {FRESH: ["stock", "libphyr"], STEADY: ["phyr", "libphyr"]}
STEPS = {
    FRESH: [Step("madvise", "1G", "malloc", 2, EVERY, "--untouched", BOTH[FRESH], "madvise"),
            # libphyr gives advice only if asked to, since advice leaves traces.
            Step("advise", "1G", "malloc", 2, EVERY, "--untouched", BOTH[FRESH], "madvise", "advise"),
            Step("always", "1G", "malloc", 2, EVERY, "--untouched", BOTH[FRESH], "always")],
    STEADY: [Step("small-4k", "4K,16K,64K", "4k", 300, EVERY, "--shuffle", BOTH[STEADY]),
             Step("small", "4K,16K,64K", "thp,huge2m", 300, EVERY, "", BOTH[STEADY]),
             # libphyr looks at this memory and leaves it alone. Nothing is promised of it.
             Step("touched", "4M,1G", "thp", 30, EVERY, "", BOTH[STEADY]),
             Step("touched-4k", "4M,1G", "4k", 5, EVERY, "--shuffle", BOTH[STEADY])],
}
# On the stable kernel, ib_read_bw differs from run to run by 5 % with 500, and by 1 % with these.
MESSAGES = 2000

# The least ratios and the most extents that must hold.
FRESH_RATIO = {"madvise": 2.3, "advise": 4, "always": 1.5}
FRESH_NAME = {"madvise": "THP madvise", "advise": "THP madvise, PHYR_PREPARE=advise",
              "always": "THP always"}
FRESH_EXTENTS = 600
SMALL_RATIO = 0.95
BANDWIDTH_RATIO = 0.97


def boots(rounds):
    def bandwidths(number, driver):
        return measure.bandwidth_lines(number, rounds, driver, MESSAGES)
    return [Boot(FRESH, MEMORY_MIB, {}, measure.plan(STEPS[FRESH], rounds), False),
            Boot(STEADY, MEMORY_MIB, HUGEPAGES, measure.plan(STEPS[STEADY], rounds, bandwidths))]


def collect(kernel, rounds, raw):
    """All that was measured on a kernel, and its figures."""
    def bandwidths(number, driver):
        return measure.read_bandwidths(number, driver, os.path.join(raw, STEADY))

    measured = {"kernel": kernel}
    for boot, more in ((FRESH, lambda *_: {}), (STEADY, bandwidths)):
        part = measure.collect(kernel, STEPS[boot], rounds, os.path.join(raw, boot), more)
        part["regions"] = derive_regions(part["samples"], *BOTH[boot])
        measured[boot] = part
    measured["bandwidth"] = derive_bandwidth(measured[STEADY]["samples"])
    measured["failures"] = [f for boot in BOTH
                            for f in figures.find_failures(kernel, measured[boot]["samples"])]
    measured["judgement"] = judge(measured)
    return measured


def derive_regions(samples, before, after):
    """A row for each step, kind of memory and size, made of the registrations that did not fail."""
    def key(row):
        return row["step"], row["backing"], row["bytes"]

    def series(wanted, driver, fact):
        return {s["round"]: fact(row) for s in samples if s["driver"] == driver
                for row in s["registrations"] if key(row) == wanted and not row["failed"]}

    def derive(wanted):
        def times(driver):
            return series(wanted, driver, lambda row: row["reg_usec"]["median"])

        return {"step": wanted[0], "backing": wanted[1], "bytes": wanted[2],
                "before": before, "reg_usec": compare(times(before), times(after), "stock", after),
                "entries": series(wanted, after, lambda row: row["entries"])}

    # In the order in which they were measured.
    return [derive(k) for k in dict.fromkeys(key(r) for s in samples for r in s["registrations"])]


def derive_bandwidth(samples):
    def series(driver, test):
        return {s["round"]: s["bandwidth"][test] for s in samples if s["driver"] == driver}

    return {test: compare(*(series(d, test) for d in BOTH[STEADY]), "libphyr", "libphyr")
            for test in figures.BANDWIDTH_TESTS}


# --- what must hold ---


def spread(figure):
    return f"{human_ratio(figure['ratio_min'])}..{human_ratio(figure['ratio_max'])}"


def judge_ratio(what, wanted, figure, who=""):
    limit = f">= {wanted}" if wanted else ""
    if figure["ratio"] is None:
        return line(what, limit, "not measured", "", False)
    return line(what, limit, f"{figure['ratio']:.2f}{who}", spread(figure),
                figure["ratio"] >= wanted if wanted else None)


def judge_least(what, wanted, figures_by_name):
    """Judge the least ratio."""
    name, figure = min(figures_by_name.items(), key=lambda item: item[1]["ratio"] or 0)
    return judge_ratio(what, wanted, figure, f" ({name})")


def judge_extents(thp, region):
    """512 pages of the region are base pages, and scattered if their zone has no huge page left."""
    known = sorted(n for n in region["entries"].values() if n is not None)
    what, wanted = f"fresh {human_bytes(GIB)}, THP {thp}, extents of the MR", f"<= {FRESH_EXTENTS}"
    if not known:
        return line(what, wanted, "not known", "", False)
    return line(what, wanted, f"{median(known):.0f}", f"{known[0]}..{known[-1]}",
                median(known) <= FRESH_EXTENTS)


def judge(measured):
    fresh = {r["step"]: r for r in measured[FRESH]["regions"]}
    lines = [judge_ratio(f"fresh {human_bytes(GIB)}, {FRESH_NAME[step]}, registration, stock/libphyr",
                         wanted, fresh[step]["reg_usec"]) for step, wanted in FRESH_RATIO.items()]
    lines.insert(1, judge_extents("madvise", fresh["madvise"]))

    def of(step):
        return {f"{human_bytes(r['bytes'])} of {r['backing']}": r["reg_usec"]
                for r in measured[STEADY]["regions"] if r["step"].startswith(step)}

    lines += [judge_least("small registration, librxe/libphyr, least of all", SMALL_RATIO, of("small")),
              judge_least("large registration of touched memory, least of all", None, of("touched")),
              judge_least("bandwidth, libphyr/librxe, least of all", BANDWIDTH_RATIO,
                          measured["bandwidth"])]
    return lines


# --- for people ---


def region_cells(region):
    figure = region["reg_usec"]
    if figure["ratio"] is None:
        times = ["-"] * 4
    else:
        times = [human_time(figure["stock"]), human_time(figure["libphyr"]),
                 human_ratio(figure["ratio"]), spread(figure)]
    return [region["step"], region["backing"], human_bytes(region["bytes"]), *times,
            str(max(filter(None, region["entries"].values()), default="-"))]


def tables(measured):
    fresh, steady = measured[FRESH], measured[STEADY]
    header = ["memory", "size", "stock", "libphyr", "ratio", "spread", "entries"]
    same = ["memory", "size", "librxe", "libphyr", "ratio", "spread", "entries"]
    bandwidth = [[test, f"{b['stock']:.2f}", f"{b['libphyr']:.2f}", human_ratio(b["ratio"]), spread(b)]
                 for test, b in measured["bandwidth"].items()]
    return "\n".join([
        "", report.machine(fresh, steady=False), "",
        "ibv_reg_mr() of fresh memory, by the system's setting for transparent huge pages (the row",
        "advise has the setting madvise, and PHYR_PREPARE=advise):",
        *report.align([["THP", *header], *map(region_cells, fresh["regions"])], 2),
        "stock: stock's driver and librxe; libphyr: phyr's driver and libphyr", "",
        report.machine(steady), "",
        "ibv_reg_mr() of touched memory with phyr's driver, by provider:",
        *report.align([["", *same], *map(region_cells, steady["regions"])], 2), "",
        f"{human_bytes(figures.BANDWIDTH_BYTES)} messages, MiB/s:",
        *report.align([["", "librxe", "libphyr", "ratio", "spread"], *bandwidth], 1),
        *report.notes(fresh), *report.notes(steady)])
