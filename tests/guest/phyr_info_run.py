# SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
"""Runs phyr_info and other commands for the guest script phyr-info, and prints its TAP.

JSON is asked of a phyr_info that was built with sanitizers: what it does with memory is judged
wherever it is used. What people read comes from the one that is installed.
"""

import json
import os
import subprocess

PHYR_INFO = "/phyr/bin/phyr_info"
SANITIZED = "/phyr/bin/phyr_info_sanitized"
SANITIZER_STATUS = 99


def say(text):
    for line in str(text).splitlines():
        print("# " + line, flush=True)


def plan(count):
    print(f"1..{count}", flush=True)


def check(name, good, *details):
    print(("ok " if good else "not ok ") + name, flush=True)
    if not good:
        for detail in details:
            say(detail)


class Ran:
    """What a command said, and its status."""

    def __init__(self, argv, env):
        # LC_ALL: messages are compared.
        env = {**os.environ, **(env or {}), "LC_ALL": "C",
               "ASAN_OPTIONS": f"exitcode={SANITIZER_STATUS}",
               "LSAN_OPTIONS": f"exitcode={SANITIZER_STATUS}",
               "UBSAN_OPTIONS": f"exitcode={SANITIZER_STATUS}:print_stacktrace=1"}
        done = subprocess.run(argv, env=env, check=False, capture_output=True)
        self.status = done.returncode
        self.bytes = done.stdout
        self.out = done.stdout.decode("utf-8", "replace")
        self.err = done.stderr.decode("utf-8", "replace")

    def json(self, strict=True):
        """What it said, if that is JSON and nothing else; strictly, as its standard has it."""
        try:
            return json.loads(self.bytes.decode("utf-8"), strict=strict)
        except ValueError:
            return None


def run(*argv, env=None):
    return Ran(argv, env)


def info(*arguments, by=(), unshare=(), before="", env=None):
    """phyr_info, run by other commands, in namespaces of its own, after commands of the shell."""
    argv = [*by]
    if unshare:
        argv += ["unshare", *unshare]
    program = SANITIZED if "-j" in arguments else PHYR_INFO
    argv += ["sh", "-ec", before + '\nexec "$@"', "sh", program, *arguments]
    return Ran(argv, env)
