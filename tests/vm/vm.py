#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
"""Runs one command in one virtual machine; started by tests/vm/run, which holds the lab.

The machine boots a kernel of the lab with the lab's initramfs, to which a second archive is
appended: the scripts of guest/, the command and the guest's configuration.  The disk is a snapshot
of the lab's image, thrown away at the end.  The kernel log comes through a serial port into a file
that stays.  The command's output and its status come through a virtio port, as frames that
guest/agent describes.

A run ends in one of three ways: the guest reports a status and powers off; it dies; or we stop
waiting (timeout, signal).  In each case, QEMU is dead before we are: we kill it, and if we are
killed ourselves, the kernel kills it (PR_SET_PDEATHSIG).
"""

import argparse
import ctypes
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time

import splat

HERE = os.path.dirname(os.path.realpath(__file__))
CLONE = os.path.dirname(os.path.dirname(HERE))
CACHE = os.environ.get("PHYR_CACHE") or "/var/cache/phyr"

HELPED = 100  # says to tests/vm/run that --help was asked for
LAB_FAILED, SPLAT, TIMEOUT = 98, 99, 124

PROBE_SECONDS = 15  # a KVM that works is at init in two or three
POWER_OFF_SECONDS = 120  # the guest may have to take a livepatch out
STACKS_SECONDS = 5  # for the guest to dump its stacks after a timeout
TAIL_LINES = 40

# Emulation is slow and the host may be busy: the kernel's own alarms get more patience than they
# have on hardware.  Seconds.
HUNG_TASK, WATCHDOG, RCU_STALL = 180, 40, 90
# Kernels patch their code (static branches) mostly while they boot, newer ones even code that every
# clock tick runs.  They first put a breakpoint there.  If several emulated CPUs run at once, one
# may still run its translation of the breakpoint when the kernel no longer expects that.  One boot
# in some hundreds died of it, or hung.  So kernels boot with one CPU, and guest/boot adds the
# others.
KERNEL_ARGS = ["console=ttyS0", "panic=-1", "maxcpus=1", f"watchdog_thresh={WATCHDOG}",
               f"rcupdate.rcu_cpu_stall_timeout={RCU_STALL}"]

# With "steady", the clock counts instructions.  There is one CPU, since two would have no fixed
# order. With "in-turns" there are several, but no two run at the same time.
ACCEL = {"kvm": ["-accel", "kvm"], "tcg": ["-accel", "tcg,thread=multi"],
         "in-turns": ["-accel", "tcg,thread=single"],
         "steady": ["-accel", "tcg,thread=single", "-icount", "shift=1,sleep=off"]}
# The CPU has all possible features, such as 1 GiB pages. An emulated one does not announce a fast
# "rep stosb", which QEMU does byte by byte, nor a fifth level of page tables.
CPU = {"kvm": "max", "tcg": "max,erms=off,fsrm=off,fsrs=off,la57=off"}


# The board with its IOMMU, and the kernel arguments that make the IOMMU translate the DMA of
# --device, and unmap at once.  The lab's own devices are virtio ones that take physical addresses,
# so they go past any IOMMU.
STRICT = ["iommu.passthrough=0", "iommu.strict=1"]
IOMMU = {"none": (["-machine", "pc"], []),
         "intel": (["-machine", "q35", "-device", "intel-iommu,intremap=off,aw-bits=48"],
                   ["intel_iommu=on", *STRICT]),
         "virtio": (["-machine", "q35,default-bus-bypass-iommu=on", "-device", "virtio-iommu-pci"],
                    STRICT)}
DEVICES = {"edu": "edu,dma_mask=0xffffffffffffffff"}


def say(text):
    print(f"run: {text}", file=sys.stderr, flush=True)


class LabFailed(Exception):
    """The lab has failed, not the command."""


class Stopped(Exception):
    """Timeout or signal: we stop waiting for the guest."""

    def __init__(self, signum):
        super().__init__()
        self.signum = signum


# --- command line ---


def arguments(argv):
    def matching(pattern, what):
        def check(text):
            if not re.fullmatch(pattern, text):
                raise argparse.ArgumentTypeError(f"'{text}' is not {what}")
            return text
        return check

    def number(text):
        return int(matching(r"[1-9][0-9]*", "a positive number")(text))

    def huge(text):
        size, count = matching(r"(2M|1G)=[0-9]+", "2M=N or 1G=N")(text).split("=")
        return size, int(count)

    def directory(text):
        if not os.path.isdir(text):
            raise argparse.ArgumentTypeError(f"'{text}' is not a directory")
        return os.path.realpath(text)

    def expression(text):
        try:
            return re.compile(text)
        except re.error as e:
            raise argparse.ArgumentTypeError(f"'{text}' is not a regular expression: {e}") from e

    class Help(argparse.Action):
        def __call__(self, parser, *_):
            parser.print_help()
            parser.exit(HELPED)

    parser = argparse.ArgumentParser(
        prog="tests/vm/run", add_help=False, allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        usage="%(prog)s [OPTION]... -- COMMAND [ARGUMENT]...",
        description="Boots a virtual machine and runs COMMAND in it as root, its stdin empty. Only\n"
                    "what COMMAND prints comes to stdout.",
        epilog="Exit status: COMMAND's; 99 if the kernel log holds a splat; 124 at a timeout; 98 if\n"
               "the guest died or the lab failed; 2 for bad usage; 128 + N if stopped by signal N.\n"
               "Kernel logs stay in build/vm-logs. In the guest: build/lab is /phyr,\n"
               "'phyr-rxe phyr|stock|none' changes the driver under rxe0, 'phyr-siw on|off' takes\n"
               "Soft-iWARP instead, as siw0, and 'phyr-umem phyr|stock' changes what all drivers\n"
               "register memory with.")
    option = parser.add_argument
    option("-h", "--help", action=Help, nargs=0, help="show this")
    option("--kernel", choices=["stable", "backports"], default="stable", help="default: stable")
    option("--rxe", choices=["phyr", "stock", "none"], default="phyr",
           help="which driver makes rxe0; default: phyr, the one built here")
    option("--umem", choices=["stock", "phyr"], default="stock",
           help="with phyr, registration is ours under every driver, by the livepatch phyr_umem.ko;\n"
                "default: stock")
    option("--mem", type=matching(r"[1-9][0-9]*[MG]", "a size such as 8G or 512M"), default="8G",
           metavar="SIZE", help="memory of the guest; default: 8G")
    option("--cpus", type=number, default=2, metavar="N", help="default: 2")
    option("--hugepages", type=huge, action="append", default=[], metavar="2M=N|1G=N",
           help="reserve N huge pages of that size (/dev/hugepages, /dev/hugepages-1G)")
    option("--share", type=directory, metavar="DIR", help="mount DIR read-write at /mnt/share")
    option("--timeout", type=number, default=600, metavar="S", help="seconds, with boot; default: 600")
    option("--device", choices=DEVICES,
           help="add a PCI device that does DMA: edu is QEMU's own (1234:11e8)")
    option("--iommu", choices=IOMMU, default="none",
           help="the IOMMU that translates the DMA of --device; default: none. Unmapping is\n"
                "strict, and a fault is a splat")
    option("--steady", action="store_true",
           help="if emulated: one CPU whose clock counts instructions, 2 ns each, so that times\n"
                "are the same whatever else the host does")
    option("--in-turns", action="store_true",
           help="if emulated: the CPUs run in turns, for kernels that patch their code often (QEMU\n"
                "lets a CPU run into a breakpoint which another has just removed)")
    option("--append", action="append", default=[], metavar="ARGS", help="more kernel arguments")
    option("--log", metavar="FILE", help="copy the kernel log there")
    option("--allow-splat", type=expression, action="append", default=[], metavar="REGEX",
           help="a splat whose headline or call trace matches is reported, but does not count")

    if "--" in argv:
        cut = argv.index("--")
        options, command = argv[:cut], argv[cut + 1:]
    else:
        options, command = argv, []
    args = parser.parse_args(options)
    if not command:
        parser.error("no command: write it after --")
    args.command = command
    args.hugepages = dict(args.hugepages)
    return args


# --- what the guest is given ---


def archive(files):
    """A cpio archive ("newc") of {path: (mode, contents)}."""
    out = bytearray()
    for number, (path, (mode, data)) in enumerate([*files.items(), ("TRAILER!!!", (0, b""))], 1):
        name = path.encode() + b"\0"
        fields = [number, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name), 0]
        out += b"070701" + b"".join(b"%08x" % f for f in fields) + name
        out += b"\0" * (-len(out) % 4) + data
        out += b"\0" * (-len(data) % 4)
    return bytes(out)


def guest_place(name):
    """Where a file of guest/ goes: the kernel starts /init, phyr-* are commands."""
    if name == "init":
        return name
    return f"lab/bin/{name}" if name.startswith("phyr-") else f"lab/{name}"


def guest_files(args):
    """The per-run archive: /init, and /lab with the guest's scripts, command and configuration."""
    config = {
        "RXE": args.rxe,
        "UMEM": args.umem,
        "SHARE": "yes" if args.share else "",
        "IOMMU": args.iommu,
        "PHYR": "yes" if os.path.isdir(built()) else "",
        "HUGE_2M": args.hugepages.get("2M", 0),
        "HUGE_1G": args.hugepages.get("1G", 0),
        "HUNG_TASK": HUNG_TASK,
    }
    files = {"lab": (0o40755, b""), "lab/bin": (0o40755, b"")}
    for name in os.listdir(os.path.join(HERE, "guest")):
        with open(os.path.join(HERE, "guest", name), "rb") as f:
            files[guest_place(name)] = (0o100755, f.read())
    files["lab/argv"] = (0o100644, b"".join(os.fsencode(a) + b"\0" for a in args.command))
    files["lab/config"] = (0o100644, "".join(f"{k}={v}\n" for k, v in config.items()).encode())
    return files


def built():
    return os.path.join(CLONE, "build", "lab")


def release(kernel):
    with open(os.path.join(CACHE, "kernels"), encoding="ascii") as f:
        return dict(line.split() for line in f)[kernel]


# --- QEMU ---


def qemu():
    """The lab's own QEMU, run with the lab's libraries.  Paths are the host's.

    Not the host's: Debian 12's QEMU 7.2 lets a virtual CPU run stale translations of code that
    another has just patched, so that every few boots die of an int3 in a static branch.  Debian 13's
    still does, if rarely: see KERNEL_ARGS.
    """
    root = os.path.join(CACHE, "rootfs")
    return [f"{root}/lib64/ld-linux-x86-64.so.2", "--library-path", f"{root}/usr/lib/x86_64-linux-gnu",
            f"{root}/usr/bin/qemu-system-x86_64", "-L", f"{root}/usr/share/seabios",
            "-L", f"{root}/usr/share/qemu"]


class Machine:
    """A running QEMU: its process, our end of the port, the kernel log."""

    def __init__(self, kernel_release, accel, log, files, kernel_args, options, way=None,
                 board=IOMMU["none"][0]):
        boot = os.path.join(CACHE, "boot", kernel_release)
        self.log = log
        self.port, port = socket.socketpair()
        # It is in memory, so that nothing has to be cleaned up.
        initramfs = os.memfd_create("initramfs")
        with open(os.path.join(boot, "initramfs"), "rb") as f, os.fdopen(os.dup(initramfs), "wb") as out:
            shutil.copyfileobj(f, out)
            out.write(archive(files))
        self.errors = open(os.memfd_create("qemu-errors"), "w+b")
        command = [
            *qemu(), "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
            *board, *ACCEL[way if way and accel == "tcg" else accel], "-cpu", CPU[accel],
            "-kernel", os.path.join(boot, "vmlinuz"), "-initrd", f"/dev/fd/{initramfs}",
            "-append", " ".join(KERNEL_ARGS + kernel_args),
            "-chardev", f"file,id=log,path={comma(log)}", "-serial", "chardev:log",
            "-device", "virtio-serial-pci",
            "-chardev", f"socket,id=port,fd={port.fileno()}", "-device", "virtserialport,chardev=port",
            *options]
        os.makedirs(os.path.join(CACHE, "tmp"), exist_ok=True)
        self.process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=self.errors, stderr=self.errors,
            pass_fds=(initramfs, port.fileno()), preexec_fn=die_with(os.getpid()),
            start_new_session=True,
            # QEMU writes snapshots there
            env={**os.environ, "TMPDIR": os.path.join(CACHE, "tmp")})
        port.close()
        os.close(initramfs)

    def wait(self, seconds):
        """Wait for QEMU's end; False if it does not come."""
        try:
            self.process.wait(seconds)
            return True
        except subprocess.TimeoutExpired:
            return False

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.port.close()

    def complaints(self):
        self.errors.seek(0)
        return self.errors.read().decode(errors="replace").strip()

    def kernel_log(self):
        try:
            with open(self.log, encoding="utf-8", errors="replace", newline="") as f:
                return f.read().replace("\r\n", "\n")
        except FileNotFoundError:
            return ""


def die_with(parent):
    """For the child, before exec: the kernel kills it when our process dies, even by SIGKILL."""
    libc = ctypes.CDLL(None, use_errno=True)

    def set_death_signal():
        libc.prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
        if os.getppid() != parent:
            os._exit(1)
    return set_death_signal


def comma(path):
    """Doubles commas, as QEMU's options require."""
    return path.replace(",", ",,")


def shared(tag, path, read_only=False):
    return ["-fsdev", f"local,id={tag},path={comma(path)},security_model=none,multidevs=remap"
            + (",readonly=on" if read_only else ""),
            "-device", f"virtio-9p-pci,fsdev={tag},mount_tag={tag}"]


def device(name, iommu):
    """A device, in a place where the IOMMU translates its DMA.

    virtio-iommu has a table of devices.  The kernel makes their drivers wait for the IOMMU's own
    driver, which is on the disk.  So the disk must not be in the table: the board's bus goes past
    the IOMMU, and the table has only a second root.
    """
    if iommu != "virtio":
        return ["-device", DEVICES[name]]
    return ["-device", "pxb-pcie,id=root,bus_nr=128", "-device", "pcie-root-port,id=port0,bus=root",
            "-device", f"{DEVICES[name]},bus=port0"]


def accelerator():
    """kvm if a kernel really boots with it, else tcg.  The verdict is kept until the next boot."""
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return "tcg"
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as f:
        host = f.read().strip()
    verdict = os.path.join(CACHE, "accel")
    try:
        with open(verdict, encoding="ascii") as f:
            known_host, accel = f.read().split()
        if known_host == host:
            return accel
    except (FileNotFoundError, ValueError):
        pass
    log = os.path.join(CACHE, "log", f"kvm-probe-{os.getpid()}.log")
    os.makedirs(os.path.dirname(log), exist_ok=True)
    with open(os.path.join(HERE, "guest", "init"), "rb") as f:
        machine = Machine(release("stable"), "kvm", log, {"init": (0o100755, f.read())},
                          ["phyr.probe"], ["-m", "512M"])
    try:
        machine.wait(PROBE_SECONDS)
    finally:
        machine.kill()
    accel = "kvm" if "lab: this accelerator works" in machine.kernel_log() else "tcg"
    os.rename(log, os.path.join(CACHE, "log", "kvm-probe.log"))
    say(f"probed KVM: {'it works' if accel == 'kvm' else 'no use here, emulating instead'}")
    with open(f"{verdict}.{os.getpid()}", "w", encoding="ascii") as f:
        f.write(f"{host} {accel}\n")
    os.rename(f.name, verdict)
    return accel


# --- the conversation with the guest ---


def frames(port):
    """The frames that come through the port, until it closes."""
    pending = bytearray()
    while True:
        while len(pending) >= 5:
            end = 5 + int.from_bytes(pending[1:5], "big")
            if len(pending) < end:
                break
            yield pending[:1], pending[5:end]
            del pending[:end]
        try:
            data = port.recv(1 << 18)
        except ConnectionResetError:
            data = b""
        if not data:
            return
        pending += data


def write_all(fd, data):
    data = memoryview(data)
    while data:
        data = data[os.write(fd, data):]


def converse(machine):
    """Pass on what the command prints; return its status, or None if the guest dies before."""
    for kind, data in frames(machine.port):
        if kind == b"O":
            write_all(1, data)
        elif kind == b"E":
            write_all(2, data)
        elif kind == b"S":
            machine.port.sendall(b"A")
            return int(data)
        elif kind == b"F":
            machine.port.sendall(b"A")
            raise LabFailed("the guest could not be prepared:\n" + data.decode(errors="replace").strip())
        else:
            raise LabFailed(f"the guest sent a frame of unknown type {bytes(kind)}")
    return None


# --- a run ---


def new_log(args):
    """A file for the kernel log that no other run has."""
    directory = os.path.join(CLONE, "build", "vm-logs")
    os.makedirs(directory, exist_ok=True)
    name = f"{time.strftime('%Y%m%d-%H%M%S')}-{args.kernel}-{args.rxe}-{os.getpid()}.log"
    return os.path.join(directory, name)


def report_splats(text, allowed, log):
    """Print the splats; True if one counts."""
    bad, pardoned = splat.judge(splat.find(text), allowed)
    for title, splats in (("allowed splat", pardoned), ("splat", bad)):
        for s in splats:
            say(f"{title} in the kernel log:\n{s}")
    if bad:
        say(f"the kernel log holds {len(bad)} splat{'s' * (len(bad) > 1)}: {log}")
    return bool(bad)


def tail(text):
    return "\n".join(text.splitlines()[-TAIL_LINES:])


def stop_on_signals():
    """From now on the first timeout or signal raises Stopped; later ones are ignored."""
    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGALRM)

    def stop(signum, _):
        for s in signals:
            signal.signal(s, signal.SIG_IGN)
        raise Stopped(signum)
    for s in signals:
        signal.signal(s, stop)


def ask_for_stacks(machine):
    """Have a hanging guest say in its log where it hangs, if it still can."""
    try:
        machine.port.sendall(b"T", socket.MSG_DONTWAIT)
    except OSError:
        return
    machine.wait(STACKS_SECONDS)


def keep_log(log, copy):
    if copy:
        try:
            shutil.copyfile(log, copy)
        except OSError as e:
            say(f"cannot copy the kernel log {log} to {copy}: {e.strerror}")


def start(args, accel, log):
    kernel = release(args.kernel)
    for choice, module in ("rxe", "rdma_rxe"), ("umem", "phyr_umem"):
        path = f"{built()}/kernel/{kernel}/{module}.ko"
        if getattr(args, choice) == "phyr" and not os.path.isfile(path):
            raise LabFailed(f"there is no {os.path.relpath(path, CLONE)}: build it (tests/vm/build), "
                            f"or choose --{choice} stock")
    cpus = 1 if args.steady and accel == "tcg" else args.cpus
    options = ["-m", args.mem, "-smp", str(cpus), "-drive",
               f"file={comma(CACHE)}/disk.img,format=raw,if=none,id=disk,snapshot=on",
               "-device", "virtio-blk-pci,drive=disk"]
    if args.share:
        options += shared("share", args.share)
    if os.path.isdir(built()):
        options += shared("phyr", built(), read_only=True)
    if args.device:
        options += device(args.device, args.iommu)
    board, strict = IOMMU[args.iommu]
    huge = [f"hugepagesz={size} hugepages={count}" for size, count in sorted(args.hugepages.items())]
    return Machine(kernel, accel, log, guest_files(args), strict + huge + args.append, options,
                   "steady" if args.steady else "in-turns" if args.in_turns else None, board)


def see_through(machine):
    """Follow a machine to its end; return the command's status."""
    status = converse(machine)
    if not machine.wait(POWER_OFF_SECONDS):
        raise LabFailed(f"the guest did not power off within {POWER_OFF_SECONDS} s")
    if status is None:
        raise LabFailed("the guest died before the command ended")
    return status


def run(args):
    log = new_log(args)
    machine, problem = None, None
    stop_on_signals()
    try:
        accel = accelerator()
        signal.alarm(args.timeout)
        machine = start(args, accel, log)
        status = see_through(machine)
        signal.alarm(0)
        text = machine.kernel_log()
    except LabFailed as e:
        status, problem = LAB_FAILED, str(e)
        text = machine.kernel_log() if machine else ""
    except BrokenPipeError:
        return 128 + signal.SIGPIPE  # nobody reads our output any more
    except Stopped as e:
        if e.signum != signal.SIGALRM:
            say(f"stopped by {signal.Signals(e.signum).name}; kernel log: {log}")
            return 128 + e.signum
        status, problem = TIMEOUT, f"timeout: not done after {args.timeout} s"
        text = machine.kernel_log() if machine else ""
        if machine:
            ask_for_stacks(machine)
    finally:
        if machine:
            machine.kill()
            keep_log(log, args.log)

    bad = report_splats(text, args.allow_splat, log)
    if problem:
        if machine:
            said = machine.complaints()
            say(problem + (f"\nQEMU said: {said}" if said else "")
                + f"\nlast lines of the kernel log ({log}):\n{tail(text)}")
        else:
            say(problem)
    return SPLAT if bad and status != TIMEOUT else status


def main():
    argv = sys.argv[1:]
    check = argv[:1] == ["--check"]
    args = arguments(argv[1:] if check else argv)
    return 0 if check else run(args)


if __name__ == "__main__":
    sys.exit(main())
