# SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
"""perf/demo's work: measure stock and phyr Soft-RoCE on each kernel, then report.

usage: demo.py KERNELS ROUNDS CHECK QUICK, as perf/demo gives them

One boot for each kernel.  In it the two drivers take turns on rxe0, round by round, so that what
changes slowly (load of the host, fragmentation of the guest's memory) meets both alike; every
second round starts with the other driver, which spares a change of driver and evens out what the
order does.  A ratio is formed within a round first: the spread of these is its error bar.

An emulated machine is told to be steady: its clock counts the instructions of its one CPU, since
the host's time says more of the host (seen: half the speed for seconds on end) than of the drivers.

    steps below -> plan -> demo_guest (in the guest) -> JSON and perftest tables in out/raw/KERNEL
    -> figures.py (rows, ratios, judgement) -> report.py (text), picture.py (SVG), out/demo.json
"""

import collections
import fcntl
import json
import os
import re
import shutil
import subprocess
import sys
import time

import figures
import picture
import report

HERE = os.path.dirname(os.path.realpath(__file__))
LAB = os.path.join(os.path.dirname(HERE), "tests", "vm")
OUT = os.path.join(HERE, "out")

# Stock Soft-RoCE takes its page table of an MR from one kmalloc; above 1 GiB that is more than
# kmalloc gives, and the kernel warns.  The function is in stock's rxe_mr.c only: ours has no such.
STOCK_SPLAT = r"\b__alloc_mr_page_info\+0x[0-9a-f]+/0x[0-9a-f]+ \[rdma_rxe\]"

TIMEOUT = 1800  # seconds for a boot; it takes two to three minutes where there is no KVM
SPARE_MIB = 1024  # what the host needs besides the guest's memory

# A call of ib_reg_mr.  Iterations and rounds are chosen so that no step takes more than seconds
# under emulation, where faulting in memory costs more than registering it: hence few rounds of
# what needs much memory.  What takes microseconds is noisy and cheap, and measured in every round.
EVERY = float("inf")
# Base pages are faulted in in random order, or else it would be luck how many of them are neighbours,
# and the drivers would not do the same work.
Step = collections.namedtuple("Step", "name sizes backings iterations rounds options drivers",
                              defaults=("", figures.DRIVERS))

Scale = collections.namedtuple("Scale", "memory_mib hugepages steps messages")

FULL = Scale(
    # 2 GiB of huge pages, 4 GiB to register in small ones, and the system
    8192, {"2M": 512, "1G": 1},
    [
        Step("small-4k", "4K,64K,1M", "4k", 300, EVERY, "--shuffle"),
        Step("small", "4K,64K,1M", "thp,huge2m,huge1g", 300, EVERY),
        Step("medium-4k", "64M", "4k", 10, 2, "--shuffle"),
        Step("medium", "64M", "thp,huge2m,huge1g", 10, 2),
        Step("gibibyte-4k", "1G", "4k", 5, 2, "--shuffle"),
        Step("gibibyte", "1G", "thp,huge2m,huge1g", 5, 3),
        Step("large", "4G", "4k,thp", 3, 1),
        # One huge page many times over, for which the guest need not have so much memory.
        Step("large-aliased", "4G", "huge2m,huge1g", 3, 1, "--aliased"),
        # Stock would pin it all for minutes only to fail as it does from 1 GiB on.
        Step("tebibyte", "1T", "huge1g", 5, 1, "--aliased", ["phyr"]),
    ],
    messages=200)

QUICK = Scale(
    4096, {"2M": 512, "1G": 1},
    [
        Step("small", "4K", "4k,thp,huge2m,huge1g", 300, EVERY),
        Step("gibibyte-4k", "1G", "4k", 3, 3, "--shuffle"),
        Step("gibibyte", "1G", "thp,huge2m,huge1g", 3, 3),
        Step("large-aliased", "4G", "huge2m,huge1g", 3, 1, "--aliased"),
    ],
    messages=100)

started = time.monotonic()


def say(text):
    print(f"demo: [{time.monotonic() - started:4.0f} s] {text}", file=sys.stderr, flush=True)


class Failed(Exception):
    """Something could not be measured."""


# --- what the guest is told to do ---


def turns(rounds):
    """(round, driver) in order: stock, phyr; phyr, stock; stock, phyr; ..."""
    for number in range(1, rounds + 1):
        for driver in figures.DRIVERS[::1 if number % 2 else -1]:
            yield number, driver


def plan(scale, rounds):
    """The lines for demo_guest: see there."""
    lines = ["facts facts"]
    loaded = None
    for number, driver in turns(rounds):
        if driver != loaded:
            lines += [f"say loading {driver}", f"rxe {driver}"]
            loaded = driver
        steps = [s for s in scale.steps if number <= s.rounds and driver in s.drivers]
        for s in steps:
            lines += [f"say round {number} of {rounds}, {driver}: registering {s.sizes} on {s.backings}",
                      f"reg reg.{number}.{driver}.{s.name} --size={s.sizes} --backing={s.backings} "
                      f"--iters={s.iterations} {s.options}"]
        lines.append(f"say round {number} of {rounds}, {driver}: bandwidth")
        for test in figures.BANDWIDTH_TESTS:
            lines.append(f"bw bw.{number}.{driver}.{test} {test} --gid-index=1 --CPU-freq "
                         f"--size={figures.BANDWIDTH_BYTES} --iters={scale.messages}")
    return "".join(line + "\n" for line in lines)


# --- running it ---


def check_memory(scale):
    """Without this a guest too large would have the host's OOM killer choose a victim."""
    with open("/proc/meminfo", encoding="ascii") as f:
        available = next(int(line.split()[1]) // 1024 for line in f if line.startswith("MemAvailable:"))
    wanted = scale.memory_mib + SPARE_MIB
    if available < wanted:
        raise Failed(f"needs {wanted} MiB of free memory and this host has {available} MiB; free some"
                     + (", or use --quick" if scale is FULL else ""))


def pass_on(stream, kernel):
    """The guest's and the lab's words.  Of a splat that we expect, one line instead of fifty."""
    expected = False
    for line in stream:
        line = line.rstrip("\n")
        if line.startswith("run: allowed splat"):
            say(f"{kernel}: stock's ENOMEM came with a kernel warning, as expected (see the kernel log)")
            expected = True
            continue
        expected = expected and bool(re.match(r"\[ *\d+\.\d+\]", line))
        if not expected:
            say(f"{kernel}: {line}")


def run(kernel, scale, rounds, raw):
    """Boot, measure; the results are in raw afterwards."""
    shutil.rmtree(raw, ignore_errors=True)
    os.makedirs(raw)
    with open(os.path.join(raw, "plan"), "w", encoding="ascii") as f:
        f.write(plan(scale, rounds))
    shutil.copy(os.path.join(HERE, "demo_guest"), raw)
    log = os.path.join(OUT, f"{kernel}.log")
    command = [
        # should we die, the machine goes with us
        "setpriv", "--pdeathsig", "TERM",
        os.path.join(LAB, "run"), "--kernel", kernel, "--rxe", "none", "--mem", f"{scale.memory_mib}M",
        "--steady",
        *(f"--hugepages={size}={count}" for size, count in scale.hugepages.items()),
        "--share", raw, "--timeout", str(TIMEOUT), "--log", log, "--allow-splat", STOCK_SPLAT,
        "--", "/mnt/share/demo_guest", "/mnt/share/plan", "/mnt/share"]
    say(f"{kernel}: building what is not built yet, booting a virtual machine of {scale.memory_mib} MiB")
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=sys.stderr, stderr=subprocess.PIPE,
                          text=True, errors="replace") as machine:
        pass_on(machine.stderr, kernel)
    if machine.returncode:
        raise Failed(f"{kernel}: the measurement failed with status {machine.returncode}; the reason is "
                     f"above, the kernel log is {log}")


# --- what came back ---


def read_facts(raw):
    with open(os.path.join(raw, "facts"), encoding="utf-8") as f:
        return dict(line.rstrip("\n").split(" ", 1) for line in f)


def read_registration(path):
    """(rows, warnings) of one call of ib_reg_mr."""
    try:
        with open(path, encoding="utf-8") as f:
            result = json.load(f)
    except ValueError as e:
        raise Failed(f"{path} is not the JSON of ib_reg_mr: {e}") from e
    with open(f"{path}.err", encoding="utf-8") as f:
        # each begins a line and is explained by lines without the prefix
        warnings = [line.strip() for line in f if ": warning: " in line]
    return [{**row, "aliased": result["aliased"]} for row in result["results"]], warnings


def read_bandwidth(path):
    """MiB/s, average, of a perftest: from the column of that name."""
    with open(path, encoding="utf-8", errors="replace") as f:
        lines = f.read().splitlines()
    for header, line in zip(lines, lines[1:]):
        if header.strip().startswith("#bytes"):
            # names hold blanks, but no unit does
            names = re.findall(r"#?\w+(?: \w+)*(?:\[[^]]*\])?", header)
            values = line.split()
            try:
                if len(values) >= len(names):
                    return float(values[names.index("BW average[MiB/sec]")])
            except ValueError:
                pass
    raise Failed(f"{path} has no 'BW average[MiB/sec]'; this perftest prints something else")


def collect(kernel, scale, rounds, raw):
    """All that was measured on a kernel, as it goes into demo.json."""
    samples = []
    for number, driver in turns(rounds):
        registrations, warnings = [], []
        for s in scale.steps:
            path = os.path.join(raw, f"reg.{number}.{driver}.{s.name}")
            if number <= s.rounds and driver in s.drivers:
                rows, words = read_registration(path)
                registrations += rows
                warnings += words
        samples.append({
            "round": number, "driver": driver, "registrations": registrations, "warnings": warnings,
            "bandwidth": {test: read_bandwidth(os.path.join(raw, f"bw.{number}.{driver}.{test}"))
                          for test in figures.BANDWIDTH_TESTS},
        })
    return {"kernel": kernel, **read_facts(raw), "samples": samples}


def host_facts():
    with open("/proc/cpuinfo", encoding="utf-8") as f:
        model = next((line.split(":", 1)[1].strip() for line in f if line.startswith("model name")), None)
    return {"cpu": model, "cpus": os.cpu_count(), "kernel": os.uname().release}


def only_one():
    """Hold a lock as long as we live: two demonstrations of one clone would mix their results."""
    lock = os.open(OUT, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise Failed(f"another perf/demo writes to {OUT}; wait for its end") from None


def demonstrate(kernels, rounds, scale):
    """Measure, then write and print all; False if a must-hold was missed."""
    os.makedirs(OUT, exist_ok=True)
    only_one()
    for name in ("demo.json", "demo.svg"):  # should we fail, none is better than the last run's
        if os.path.exists(os.path.join(OUT, name)):
            os.remove(os.path.join(OUT, name))
    result = {"when": time.strftime("%Y-%m-%dT%H:%M:%S%z"), "quick": scale is QUICK, "rounds": rounds,
              "host": host_facts(), "kernels": []}
    for kernel in kernels:
        check_memory(scale)
        raw = os.path.join(OUT, "raw", kernel)
        run(kernel, scale, rounds, raw)
        measured = collect(kernel, scale, rounds, raw)
        figures.derive(measured)
        result["kernels"].append(measured)
        print(report.tables(measured), flush=True)
    result["seconds"] = round(time.monotonic() - started)

    with open(os.path.join(OUT, "demo.json"), "w", encoding="utf-8") as f:
        json.dump(result, f, indent=1)
        f.write("\n")
    with open(os.path.join(OUT, "demo.svg"), "w", encoding="utf-8") as f:
        f.write(picture.draw(result))
    print(report.judgement(result))
    say(f"done; all numbers are in {OUT}/demo.json, the picture is {OUT}/demo.svg")

    failures = [f for k in result["kernels"] for f in k["failures"]]
    if failures:
        raise Failed("not everything ran:\n" + "\n".join(failures))
    return all(line["holds"] is not False for k in result["kernels"] for line in k["judgement"])


def main():
    kernels, rounds, check, quick = sys.argv[1:]
    try:
        held = demonstrate(kernels.split(), int(rounds), QUICK if quick == "yes" else FULL)
    except Failed as e:
        say(e)
        return 1
    except KeyboardInterrupt:
        say("interrupted")
        return 130
    return 1 if check == "yes" and not held else 0


if __name__ == "__main__":
    sys.exit(main())
