# SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
"""Runs a benchmark; called by perf/run.

A benchmark is a module with ABOUT (a line), ROUNDS (how often both drivers take turns, unless told
otherwise) and run(kernels, rounds), which measures, prints, and tells whether all that is promised
holds.
"""

import argparse
import os
import subprocess
import sys

import measure
import pin
import umem

BENCHMARKS = {"pin": pin, "umem": umem}
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


def main():
    args = parse_args()
    if args.list:
        for name, benchmark in BENCHMARKS.items():
            print(f"{name:<12} {benchmark.ABOUT}")
        return 0
    measure.say("seeing to the lab (minutes the first time, nothing later)")
    if subprocess.run([os.path.join(measure.LAB, "setup")], check=False).returncode:
        return 1
    benchmark = BENCHMARKS[args.benchmark]
    kernels = KERNELS if args.kernel == "all" else [args.kernel]
    return measure.exit_status(lambda: benchmark.run(kernels, args.rounds or benchmark.ROUNDS),
                               args.check)


if __name__ == "__main__":
    sys.exit(main())
