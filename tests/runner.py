# SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
"""Runs test suites and counts their results; called by tests/run.

A suite is an executable file in tests/suites. Two comments in it describe it:

    # suite: what it tests, in a line
    # kernels: each | together | any    run it for each kernel, for all at once, or once

It is called with the name of a kernel, and prints TAP: "ok NAME", "not ok NAME",
"ok NAME # SKIP why", and plans ("1..N"). A suite of several parts prints a plan in
front of each part. Lines with "#" are diagnostics. A suite also fails if it exits
with an error, prints nothing but skips, bails out, or has fewer or more results than
it has planned, since each of these could hide a failure.
"""

import argparse
import concurrent.futures
import fcntl
import os
import re
import subprocess
import sys
import time

TESTS = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(TESTS)
LOGS = os.path.join(TOP, "build", "test-logs")
KERNELS = ["stable", "backports"]
# In the order in which they run: suites that are quick and find most come first.
DEFAULT = ["unit", "lab", "build", "verbs", "mr-size", "phyr-info", "prepare", "phyrdv", "uverbs",
           "pin", "limits", "bad-input", "dma", "nvme", "perftest", "umem", "races"]

RESULT = re.compile(r"^(ok|not ok)\b[ \t]*\d*[ \t]*(?:-[ \t]+)?(.*)$")
BAIL = re.compile(r"^Bail out!\s*(.*)$")
PLAN = re.compile(r"^1\.\.(\d+)\s*$")
SKIP = re.compile(r"#\s*SKIP\b\s*(.*)", re.IGNORECASE)


class Suite:
    def __init__(self, name):
        self.name = name
        self.path = os.path.join(TESTS, "suites", name)
        with open(self.path, encoding="utf-8") as script:
            text = script.read()
        self.about = self._comment(text, "suite")
        kernels = self._comment(text, "kernels")
        self.once = kernels == "any"
        self.together = kernels == "together"

    def _comment(self, text, key):
        found = re.search(rf"^# {key}: (.*)$", text, re.MULTILINE)
        if not found:
            sys.exit(f"tests/run: {self.path} has no '# {key}:' line")
        return found.group(1)


class Results:
    """Counts results, and keeps what a summary needs."""

    def __init__(self):
        self.passed = 0
        self.failures = []
        self.skips = []

    def add(self, where, ok, name):
        skip = SKIP.search(name)
        if not ok:
            self.failures.append(f"{where}: {name}")
        elif skip:
            self.skips.append(f"{where}: {name}")
        else:
            self.passed += 1

    def include(self, other):
        self.passed += other.passed
        self.failures += other.failures
        self.skips += other.skips

    def line(self):
        return f"{self.passed} passed, {len(self.failures)} failed, {len(self.skips)} skipped"


def suites():
    names = sorted(os.listdir(os.path.join(TESTS, "suites")))
    return {name: Suite(name) for name in names}


class Tap:
    """Reads a suite's output, line by line."""

    def __init__(self, results, where, say):
        self.results = results
        self.where = where
        self.say = say
        self.seen = 0
        self.planned = None

    def read(self, line):
        plan = PLAN.match(line)
        result = RESULT.match(line)
        bail = BAIL.match(line)
        if plan:
            self.check_plan()
            self.planned = int(plan.group(1))
        elif result:
            self.seen += 1
            self.results.add(self.where, result.group(1) == "ok", result.group(2))
        elif bail:
            self.fail(f"a program gave up: {bail.group(1)}")

    def check_plan(self):
        """At the end of a part, compare the number of its results with the plan."""
        if self.planned is not None and self.seen != self.planned:
            self.fail(f"{self.planned} results were planned, {self.seen} came")
        self.planned, self.seen = None, 0

    def fail(self, why):
        self.say(f"not ok {why}")
        self.results.add(self.where, False, why)


def say(line):
    print(line, flush=True)


def run_suite(suite, kernel, out):
    """Returns the results. Passes the suite's output to out(), line by line."""
    where = suite.name if suite.once else f"{suite.name} ({kernel})"
    out(f"# {where}: {suite.about}")
    begin = time.monotonic()
    results = Results()
    tap = Tap(results, where, out)
    log_path = os.path.join(LOGS, f"{suite.name}.{kernel}.log")
    with open(log_path, "wb") as log:
        # If we are killed, the suite must end, too, and its machine with it.
        command = ["setpriv", "--pdeathsig", "TERM", suite.path, kernel]
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL,
                                 stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        for raw in child.stdout:
            log.write(raw)
            line = raw.decode("utf-8", "replace").rstrip("\r\n")
            out(line)
            tap.read(line)
        status = child.wait()
    tap.check_plan()
    if status and not results.failures:
        tap.fail(f"the suite exited with status {status}")
    if not results.failures and not results.passed:
        tap.fail("no test of this suite has passed or failed")
    out(f"# {where}: {time.monotonic() - begin:.0f} s; log: {os.path.relpath(log_path)}")
    return results


def run_together(suite, kernels):
    """Run a suite that needs only one CPU and little memory on all kernels at once, in a machine
    for each. The first kernel's output is shown as it comes, the others' after it."""
    with concurrent.futures.ThreadPoolExecutor(len(kernels)) as pool:
        held = [[] for _ in kernels]
        runs = [pool.submit(run_suite, suite, kernel, held[i].append if i else say)
                for i, kernel in enumerate(kernels)]
        for lines, run in zip(held, runs):
            results = run.result()
            for line in lines:
                say(line)
            yield results


def only_one():
    """Hold a lock until we end: two runs in one clone would share build trees and logs."""
    try:
        fcntl.flock(os.open(LOGS, os.O_RDONLY), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        sys.exit("tests/run: another tests/run is at work in this clone; wait for its end")


def parse_args(known):
    parser = argparse.ArgumentParser(
        prog="tests/run",
        description="Run test suites in virtual machines; installs and builds what it needs.",
        epilog="Exit status: 0 if nothing failed. The last line counts the results.")
    parser.add_argument("--kernel", choices=KERNELS + ["all"], default="all",
                        help="kernel to test on (default: all)")
    parser.add_argument("--list", action="store_true", help="list the suites and exit")
    parser.add_argument("suites", nargs="*", metavar="SUITE",
                        help="default: " + " ".join(DEFAULT))
    args = parser.parse_args()
    for name in args.suites:
        if name not in known:
            parser.error(f"no suite '{name}'; there are: {' '.join(known)}")
    return args


def main():
    known = suites()
    args = parse_args(known)
    if args.list:
        for name in sorted(known, key=lambda n: DEFAULT.index(n) if n in DEFAULT else len(DEFAULT)):
            kind = "" if name in DEFAULT else " (on request)"
            print(f"{name:<12} {known[name].about}{kind}")
        return 0

    os.makedirs(LOGS, exist_ok=True)
    only_one()
    if subprocess.run([os.path.join(TESTS, "vm", "setup")], check=False).returncode:
        sys.exit("tests/run: the lab could not be set up; see above")
    kernels = KERNELS if args.kernel == "all" else [args.kernel]
    results = Results()
    begin = time.monotonic()
    for name in args.suites or DEFAULT:
        suite = known[name]
        if suite.together:
            runs = run_together(suite, kernels)
        else:
            runs = (run_suite(suite, kernel, say) for kernel in (kernels[:1] if suite.once else kernels))
        for run in runs:
            results.include(run)

    print(f"\n# {time.monotonic() - begin:.0f} s in all")
    for skip in results.skips:
        print(f"# skipped: {skip}")
    for failure in results.failures:
        print(f"# FAILED: {failure}")
    print(results.line())
    return 1 if results.failures or not results.passed else 0


if __name__ == "__main__":
    sys.exit(main())
