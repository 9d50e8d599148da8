# SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
"""What perf/demo and the benchmarks of perf/run share: boot a machine, have it carry out a plan,
and read the results.

All drivers are measured in one boot. They take turns on rxe0, round by round, so that slow changes
(load of the host, fragmentation of the guest's memory) affect all of them alike. Every second round
reverses the order of the drivers, which evens out the effects of the order. Each turn begins by
loading the driver, even if it is loaded already: what the last turn leaves in the slab allocator
was seen to make small registrations a third slower. Each round has a ratio of its own; the spread
of these ratios is the error bar.

An emulated machine is steady (--steady): it has one CPU, and its clock counts that CPU's
instructions. The host's time would say more about the host, which was seen at half its speed for
seconds, than about the drivers. Benchmarks that need several CPUs use the host's time all the same.

A plan is lines for perf/guest, which describes them and carries them out in the machine.
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

HERE = os.path.dirname(os.path.realpath(__file__))
LAB = os.path.join(os.path.dirname(HERE), "tests", "vm")
OUT = os.path.join(HERE, "out")

# Stock Soft-RoCE allocates the page table of an MR by one kmalloc(). Above 1 GiB that is more than
# kmalloc() gives, and the kernel warns. Only stock's rxe_mr.c has this function; ours does not.
STOCK_SPLAT = r"\b__alloc_mr_page_info\+0x[0-9a-f]+/0x[0-9a-f]+ \[rdma_rxe\]"

TIMEOUT = 1800  # seconds for a boot; it takes two to three minutes where there is no KVM
SPARE_MIB = 1024  # what the host needs besides the guest's memory

# As rounds of a step: in every round. Steps of microseconds are noisy, and cheap to repeat.
EVERY = float("inf")

# A call of ib_reg_mr, and by which drivers and in how many rounds it is made. thp is the system's
# setting for transparent huge pages, which stays as it is if thp is empty. prepare is PHYR_PREPARE,
# which says what libphyr does with memory. If contended, phyr_mmap_lock.ko holds the mmap_lock of
# the process again and again.
Step = collections.namedtuple("Step",
                              "name sizes backings iterations rounds options drivers thp prepare contended",
                              defaults=("", ["stock", "phyr"], "", "auto", False))

# A machine and the lines of its plan. The results go to a directory called name.
Boot = collections.namedtuple("Boot", "name memory_mib hugepages lines steady", defaults=(True,))

PROGRAM = os.path.splitext(os.path.basename(sys.argv[0]))[0]
started = time.monotonic()


def say(text):
    print(f"{PROGRAM}: [{time.monotonic() - started:4.0f} s] {text}", file=sys.stderr, flush=True)


class Failed(Exception):
    """Something could not be measured."""


# --- what the guest is told to do ---


def turns(steps, rounds):
    """(round, driver) in order: stock, phyr; phyr, stock; stock, phyr; ..."""
    drivers = [d for d in figures.DRIVERS if any(d in s.drivers for s in steps)]
    for number in range(1, rounds + 1):
        for driver in drivers[::1 if number % 2 else -1]:
            yield number, driver


def due(steps, number, driver):
    """The steps that a driver does in a round."""
    return [s for s in steps if number <= s.rounds and driver in s.drivers]


def plan(steps, rounds, more=lambda number, driver: []):
    """The lines for the guest; more() gives further ones for the end of a driver's turn."""
    lines = ["facts facts"]
    for number, driver in turns(steps, rounds):
        lines += [f"say loading {driver}", f"rxe {driver}"]
        for s in due(steps, number, driver):
            lines += [f"thp {s.thp}"] * bool(s.thp) + [f"prepare {s.prepare}"]
            lines += [f"say round {number} of {rounds}, {driver}: registering {s.sizes} on {s.backings}",
                      f"{'held' if s.contended else 'reg'} reg.{number}.{driver}.{s.name} --size={s.sizes} --backing={s.backings} "
                      f"--iters={s.iterations} {s.options}"]
        lines += more(number, driver)
    return "".join(line + "\n" for line in lines)


def bandwidth_lines(number, rounds, driver, messages):
    """For more() of plan(): all bandwidth tests."""
    return [f"say round {number} of {rounds}, {driver}: bandwidth"] + [
        f"bw bw.{number}.{driver}.{test} {test} --gid-index=1 --CPU-freq "
        f"--size={figures.BANDWIDTH_BYTES} --iters={messages}" for test in figures.BANDWIDTH_TESTS]


# --- running it ---


def check_memory(memory_mib, remedy=""):
    """Refuse a guest that is too large for the host, before the host's OOM killer chooses a
    victim."""
    with open("/proc/meminfo", encoding="ascii") as f:
        available = next(int(line.split()[1]) // 1024 for line in f if line.startswith("MemAvailable:"))
    wanted = memory_mib + SPARE_MIB
    if available < wanted:
        raise Failed(f"needs {wanted} MiB of free memory and this host has {available} MiB; free some"
                     + remedy)


def pass_on(stream, kernel):
    """Pass on what the guest and the lab print. An expected splat becomes one line, not fifty."""
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


def run(kernel, memory_mib, hugepages, lines, raw, log, steady=True):
    """Boot a machine that carries out the plan's lines, and writes its results to raw."""
    shutil.rmtree(raw, ignore_errors=True)
    os.makedirs(raw)
    with open(os.path.join(raw, "plan"), "w", encoding="ascii") as f:
        f.write(lines)
    shutil.copy(os.path.join(HERE, "guest"), raw)
    command = [
        # if we die, so does the machine
        "setpriv", "--pdeathsig", "TERM",
        os.path.join(LAB, "run"), "--kernel", kernel, "--rxe", "none", "--mem", f"{memory_mib}M",
        *["--steady"] * steady,
        *(f"--hugepages={size}={count}" for size, count in hugepages.items()),
        "--share", raw, "--timeout", str(TIMEOUT), "--log", log, "--allow-splat", STOCK_SPLAT,
        "--", "/mnt/share/guest", "/mnt/share/plan", "/mnt/share"]
    say(f"{kernel}: building what is not built yet, booting a virtual machine of {memory_mib} MiB")
    busy = os.getloadavg()[0]
    if not steady and busy > os.cpu_count() / 4:
        say(f"the host is busy: {busy:.1f} processes want {os.cpu_count()} CPUs; times will be too "
            "long where two CPUs of the guest work at a time, so better measure on an idle host")
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
        # lines without the prefix explain the warning before them
        warnings = [line.strip() for line in f if ": warning: " in line]
    about = {"aliased": result["aliased"], "read_only": result["access"] == "ro",
             "untouched": result["untouched"]}
    return [{**row, **about} for row in result["results"]], warnings


def read_bandwidth(path):
    """MiB/s, average, of a perftest: from the column of that name."""
    with open(path, encoding="utf-8", errors="replace") as f:
        lines = f.read().splitlines()
    for header, line in zip(lines, lines[1:]):
        if header.strip().startswith("#bytes"):
            # a name may contain blanks, a unit may not
            names = re.findall(r"#?\w+(?: \w+)*(?:\[[^]]*\])?", header)
            values = line.split()
            try:
                if len(values) >= len(names):
                    return float(values[names.index("BW average[MiB/sec]")])
            except ValueError:
                pass
    raise Failed(f"{path} has no 'BW average[MiB/sec]'; this perftest prints something else")


def read_bandwidths(number, driver, raw):
    """For more() of collect()."""
    return {"bandwidth": {test: read_bandwidth(os.path.join(raw, f"bw.{number}.{driver}.{test}"))
                          for test in figures.BANDWIDTH_TESTS}}


def collect(kernel, steps, rounds, raw, more=lambda number, driver: {}):
    """All that was measured on a kernel: facts and samples; more() gives what else a sample
    holds."""
    samples = []
    for number, driver in turns(steps, rounds):
        registrations, warnings = [], []
        for s in due(steps, number, driver):
            rows, words = read_registration(os.path.join(raw, f"reg.{number}.{driver}.{s.name}"))
            registrations += [{**row, "step": s.name, "contended": s.contended} for row in rows]
            warnings += words
        samples.append({"round": number, "driver": driver, "registrations": registrations,
                        "warnings": warnings, **more(number, driver)})
    return {"kernel": kernel, **read_facts(raw), "samples": samples}


def host_facts():
    with open("/proc/cpuinfo", encoding="utf-8") as f:
        model = next((line.split(":", 1)[1].strip() for line in f if line.startswith("model name")), None)
    return {"cpu": model, "cpus": os.cpu_count(), "kernel": os.uname().release}


def new_result(rounds, **more):
    """What goes into the JSON file, without the kernels yet."""
    return {"when": time.strftime("%Y-%m-%dT%H:%M:%S%z"), **more, "rounds": rounds,
            "host": host_facts(), "kernels": []}


def begin(results):
    """Take a lock until this process ends, so that two measurements of one clone do not mix their
    results. Remove the last run's results, so that they do not pass for ours if we fail."""
    os.makedirs(OUT, exist_ok=True)
    lock = os.open(OUT, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise Failed(f"another measurement writes to {OUT}; wait for its end") from None
    for name in results:
        if os.path.exists(os.path.join(OUT, name)):
            os.remove(os.path.join(OUT, name))


def keep(result, name):
    """Write all that was measured to a file."""
    result["seconds"] = round(time.monotonic() - started)
    with open(os.path.join(OUT, name), "w", encoding="utf-8") as f:
        json.dump(result, f, indent=1)
        f.write("\n")


def check_failures(result):
    failures = [f for k in result["kernels"] for f in k["failures"]]
    if failures:
        raise Failed("not everything ran:\n" + "\n".join(failures))


def exit_status(work, check):
    """Call work(), which returns whether all promises held, and return the exit status."""
    try:
        held = work()
    except Failed as e:
        say(e)
        return 1
    except KeyboardInterrupt:
        say("interrupted")
        return 130
    return 1 if check and not held else 0
