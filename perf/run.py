# SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
"""Runs a benchmark; called by perf/run.

A benchmark is a module with

    ABOUT                   a line
    ROUNDS                  how often the drivers take turns by default
    boots(rounds)           the machines and their plans, a list of measure.Boot
    collect(kernel, rounds, raw)   the results for out/NAME.json; "judgement" in it is a list of
                            figures.line(); raw has a directory for each boot
    tables(measured)        the results as text
"""

import argparse
import os
import subprocess
import sys

import measure
import pin
import provider
import report
import umem
from measure import OUT

BENCHMARKS = {"pin": pin, "umem": umem, "provider": provider}
KERNELS = ["stable", "backports"]


def parse_args():
    def positive(text):
        if not text.isdigit() or not int(text):
            raise argparse.ArgumentTypeError(f"'{text}' is not a positive number")
        return int(text)

    parser = argparse.ArgumentParser(
        prog="perf/run",
        description="Run a benchmark of stock against phyr in virtual machines; installs and builds "
                    "what it needs. Tables go to stdout, all numbers to perf/out.",
        epilog="Exit status: 0; 1 if something failed to run, or see --check; 2 for bad usage.")
    parser.add_argument("--kernel", choices=KERNELS + ["all"], default="all", help="default: all")
    parser.add_argument("--rounds", type=positive, metavar="N",
                        help="how often both drivers take turns (default: as the benchmark needs)")
    parser.add_argument("--check", action="store_true",
                        help="exit status 1 if a figure is not what the project promises")
    parser.add_argument("--list", action="store_true", help="list the benchmarks and exit")
    parser.add_argument("benchmark", nargs="?", choices=BENCHMARKS, metavar="BENCHMARK",
                        help=", ".join(BENCHMARKS))
    args = parser.parse_args()
    if not args.list and not args.benchmark:
        parser.error(f"name a benchmark; there are: {' '.join(BENCHMARKS)}")
    return args


def judgement(result):
    marks = {True: "ok", False: "NOT MET", None: "-"}
    rows = [["", "kernel", "", "must be", "is", "rounds"]]
    rows += [[marks[j["holds"]], k["kernel"], j["what"], j["wanted"], j["found"], j["spread"]]
             for k in result["kernels"] for j in k["judgement"]]
    return "\n".join(["", "Must hold:", *report.align(rows, len(rows[0]))])


def run(name, kernels, rounds):
    """True if all that is promised holds."""
    benchmark = BENCHMARKS[name]
    measure.begin([f"{name}.json"])
    result = measure.new_result(rounds)
    for kernel in kernels:
        raw = os.path.join(OUT, "raw", f"{name}-{kernel}")
        for boot in benchmark.boots(rounds):
            label = f"{name}-{kernel}" + f"-{boot.name}" * bool(boot.name)
            measure.check_memory(boot.memory_mib)
            measure.run(kernel, boot.memory_mib, boot.hugepages, boot.lines,
                        os.path.join(raw, boot.name), os.path.join(OUT, f"{label}.log"), boot.steady)
        result["kernels"].append(benchmark.collect(kernel, rounds, raw))
        print(benchmark.tables(result["kernels"][-1]), flush=True)
    measure.keep(result, f"{name}.json")
    print(judgement(result))
    measure.say(f"done; all numbers are in {OUT}/{name}.json")
    measure.check_failures(result)
    return all(j["holds"] is not False for k in result["kernels"] for j in k["judgement"])


def main():
    args = parse_args()
    if args.list:
        for name, benchmark in BENCHMARKS.items():
            print(f"{name:<12} {benchmark.ABOUT}")
        return 0
    measure.say("preparing the lab (minutes the first time, nothing later)")
    if subprocess.run([os.path.join(measure.LAB, "setup")], check=False).returncode:
        return 1
    kernels = KERNELS if args.kernel == "all" else [args.kernel]
    rounds = args.rounds or BENCHMARKS[args.benchmark].ROUNDS
    return measure.exit_status(lambda: run(args.benchmark, kernels, rounds), args.check)


if __name__ == "__main__":
    sys.exit(main())
