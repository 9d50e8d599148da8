# SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
"""Runs phyr_info and other commands for the guest script phyr-info, and prints its TAP.

For JSON, we run a phyr_info that was built with sanitizers, which check its use of memory. The text
for people comes from the installed one.
"""

import json
import os
import subprocess
import textwrap

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
    """A command's output, and its status."""

    def __init__(self, argv, env):
        # LC_ALL is set since we compare messages.
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
        """The output, if that is JSON and nothing else; strict is as in json.loads()."""
        try:
            return json.loads(self.bytes.decode("utf-8"), strict=strict)
        except ValueError:
            return None


def run(*argv, env=None):
    return Ran(argv, env)


def info(*arguments, by=(), unshare=(), before="", env=None):
    """Run phyr_info: by other commands, in namespaces of its own, after commands of the shell."""
    argv = [*by]
    if unshare:
        argv += ["unshare", *unshare]
    # The sanitizers' library must come first. If another library is preloaded, go without it.
    sanitized = "-j" in arguments and "LD_PRELOAD" not in (env or {})
    program = SANITIZED if sanitized else PHYR_INFO
    argv += ["sh", "-ec", before + '\nexec "$@"', "sh", program, *arguments]
    return Ran(argv, env)


# --- a kernel that says something else --------------------------------------------------------------

def preloaded(name, source):
    """An environment that replaces functions of phyr_info's libraries by this source."""
    source = "#define _GNU_SOURCE\n" + textwrap.dedent(source)
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", f"/tmp/{name}.so", "-x", "c", "-"],
                   input=source.encode(), check=True)
    return {"LD_PRELOAD": f"/tmp/{name}.so"}


def altered(attribute, size, was, becomes):
    """An environment that changes the value of attributes of RDMA netlink."""
    return preloaded("altered", f"""
        #include <linux/netlink.h>
        #include <rdma/rdma_netlink.h>
        #include <stdint.h>
        #include <string.h>
        #include <sys/socket.h>
        #include <sys/syscall.h>
        #include <unistd.h>

        struct number {{
            struct nlattr head;
            uint{size}_t value;
        }} __attribute__((packed));

        ssize_t recvmsg(int fd, struct msghdr *msg, int flags)
        {{
            struct number was = {{ {{ sizeof(was), {attribute} }}, {was}u }};
            ssize_t got = syscall(SYS_recvmsg, fd, msg, flags);
            struct number *number;

            if (flags)
                return got; // libnl looks how much there is
            for (ssize_t at = 0; at + (ssize_t)sizeof(was) <= got; at += NLA_ALIGNTO) {{
                number = (struct number *)((char *)msg->msg_iov->iov_base + at);
                if (!memcmp(number, &was, sizeof(was)))
                    number->value = {becomes}u;
            }}
            return got;
        }}
        """)
