# SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
"""perf/demo's work: measure stock, stock with the livepatch, and phyr Soft-RoCE on each kernel,
then report.

usage: demo.py KERNELS ROUNDS CHECK QUICK, as perf/demo gives them

measure.py explains the method. The data take this way:

    steps below -> plan -> guest (in the guest) -> JSON and perftest tables in out/raw/KERNEL
    -> figures.py (rows, ratios), promises.py (judgement) -> report.py (text), picture.py (SVG),
    out/demo.json
"""

import collections
import os
import sys

import figures
import measure
import picture
import promises
import report
from measure import EVERY, OUT, Step, say

DRIVERS = ["stock", "livepatch", "phyr"]

# Each step takes only seconds under emulation. Faulting in memory costs more there than registering
# it, so steps that need much memory have few rounds. Base pages are faulted in in random order.
# Otherwise luck would decide how many of them are contiguous, and the drivers would not do the same
# work.
Scale = collections.namedtuple("Scale", "memory_mib hugepages steps messages")

FULL = Scale(
    # The memory holds 2 GiB of huge pages, 4 GiB of small pages to register, and the system.
    8192, {"2M": 512, "1G": 1},
    [
        Step("small-4k", "4K,64K,1M", "4k", 300, EVERY, "--shuffle", DRIVERS),
        Step("small", "4K,64K,1M", "thp,huge2m,huge1g", 300, EVERY, drivers=DRIVERS),
        Step("medium-4k", "64M", "4k", 10, 2, "--shuffle", DRIVERS),
        Step("medium", "64M", "thp,huge2m,huge1g", 10, 2, drivers=DRIVERS),
        Step("gibibyte-4k", "1G", "4k", 5, 2, "--shuffle", DRIVERS),
        Step("gibibyte", "1G", "thp,huge2m,huge1g", 5, 3, drivers=DRIVERS),
        Step("large", "4G", "4k,thp", 3, 1),
        # The region maps one huge page many times over, so the guest needs less memory.
        Step("large-aliased", "4G", "huge2m,huge1g", 3, 1, "--aliased"),
        # Stock is left out: it would pin pages for minutes and then fail, as it does above 1 GiB.
        Step("tebibyte", "1T", "huge1g", 5, 1, "--aliased", ["phyr"]),
    ],
    messages=200)

QUICK = Scale(
    4096, {"2M": 512, "1G": 1},
    [
        Step("small", "4K", "4k,thp,huge2m,huge1g", 300, EVERY, drivers=DRIVERS),
        Step("gibibyte-4k", "1G", "4k", 3, 3, "--shuffle", DRIVERS),
        Step("gibibyte", "1G", "thp,huge2m,huge1g", 3, 3, drivers=DRIVERS),
        Step("large-aliased", "4G", "huge2m,huge1g", 3, 1, "--aliased"),
    ],
    messages=1000)  # in one round: with fewer, bandwidths differ by 5 % from run to run


def plan(scale, rounds):
    """Registrations, and at the end of each turn the bandwidths."""
    def bandwidths(number, driver):
        if driver == "livepatch":  # its data path is stock's
            return []
        return measure.bandwidth_lines(number, rounds, driver, scale.messages)
    return measure.plan(scale.steps, rounds, bandwidths)


def collect(kernel, scale, rounds, raw):
    """All that was measured on a kernel, as it goes into demo.json."""
    def bandwidths(number, driver):
        if driver == "livepatch":
            return {}
        return measure.read_bandwidths(number, driver, raw)
    return measure.collect(kernel, scale.steps, rounds, raw, bandwidths)


def demonstrate(kernels, rounds, scale):
    """Measure, write and print everything. False if something that must hold does not hold."""
    measure.begin(["demo.json", "demo.svg"])
    result = measure.new_result(rounds, quick=scale is QUICK)
    for kernel in kernels:
        measure.check_memory(scale.memory_mib, ", or use --quick" if scale is FULL else "")
        raw = os.path.join(OUT, "raw", kernel)
        measure.run(kernel, scale.memory_mib, scale.hugepages, plan(scale, rounds), raw,
                    os.path.join(OUT, f"{kernel}.log"))
        measured = collect(kernel, scale, rounds, raw)
        figures.derive(measured)
        figures.derive_bandwidth(measured)
        measured["judgement"] = promises.judge(measured)
        result["kernels"].append(measured)
        print(report.tables(measured), flush=True)
    measure.keep(result, "demo.json")
    with open(os.path.join(OUT, "demo.svg"), "w", encoding="utf-8") as f:
        f.write(picture.draw(result))
    print(report.judgement(result))
    say(f"done; all numbers are in {OUT}/demo.json, the picture is {OUT}/demo.svg")

    measure.check_failures(result)
    return all(line["holds"] is not False for k in result["kernels"] for line in k["judgement"])


def main():
    kernels, rounds, check, quick = sys.argv[1:]
    return measure.exit_status(
        lambda: demonstrate(kernels.split(), int(rounds), QUICK if quick == "yes" else FULL),
        check == "yes")


if __name__ == "__main__":
    sys.exit(main())
