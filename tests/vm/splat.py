#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
"""Finds splats in a kernel log.

usage: splat.py [--allow REGEX]... LOG
Prints the splats of a log; exit status 1 if one of them is not allowed.

We cut the log into blocks, one for each splat, and judge every block by itself.  A block opens at
"------------[ cut here ]------------" or at a line that a rule of the file "splats" matches.  It
closes after "---[ end trace", after MAX_LINES, or where the next one opens.  An allowed splat must
not hide another one close behind it, so these lines open the next block:

  * "cut here" and an "intro" line;
  * a "start" line, except the first after a "cut here", and one right after an "intro": these are
    that splat's own headline;
  * a "more" line (an Oops after its BUG, the Call Trace) if the block has its call trace already,
    or began more than JOIN_LINES ago.

A block is allowed when REGEX is found in one of its headlines, in the kernel's RIP, or in a frame
of its call trace.  Headlines are the lines that rules match, and the text right after "cut here".
Other lines do not count, since nearly every splat in here lists rdma_rxe among the modules.
"""

import os
import re
import sys

MAX_LINES = 60
JOIN_LINES = 30  # a dump of registers is shorter

CUT = re.compile(r"-+\[ cut here \]-+")
END = re.compile(r"---\[ end (trace|Kernel panic)")
TRACE = re.compile(r"\bCall Trace:")
TIME = re.compile(r"^(<\d+>)?\[ *\d+\.\d+\](\[ *[TC]\d+\])? ?")
FRAME = re.compile(r"^\s*(\?\s+)?[\w.$]+\+0x[0-9a-f]+/0x[0-9a-f]+")
RIP = re.compile(r"^RIP: 0010:")  # the kernel's code segment
STATE = re.compile(r"^(Modules linked in|CPU):")  # where headlines end and a dump of state begins
RULES = os.path.join(os.path.dirname(os.path.realpath(__file__)), "splats")


class Rules:
    """The rules of a file; tests/vm/splats explains them."""

    def __init__(self, path=RULES):
        self.kinds = {"intro": [], "start": [], "more": [], "benign": []}
        with open(path, encoding="utf-8") as f:
            for number, line in enumerate(f, 1):
                if line.strip() and not line.startswith("#"):
                    try:
                        kind, expression = line.rstrip("\n").split(None, 1)
                        self.kinds[kind].append(re.compile(expression))
                    except (ValueError, KeyError, re.error) as e:
                        raise SystemExit(f"{path}:{number}: not a rule: {line.strip()} ({e})") from e

    def kind(self, line):
        """intro, start, more or None"""
        if any(r.search(line) for r in self.kinds["benign"]):
            return None
        for kind in ("intro", "start", "more"):
            if any(r.search(line) for r in self.kinds[kind]):
                return kind
        return None


class Splat:
    """One block of the log."""

    def __init__(self, cut, kind):
        self.cut = cut  # it opened at "cut here"
        self.intro = kind == "intro"  # it opened at an "intro" line, and has no other line yet
        self.lines = []  # as they are in the log
        self.words = []  # the lines that an --allow-splat may match, without time stamps
        self.headed = False  # a "start" line was seen
        self.text = cut  # we are in the text right after "cut here"
        self.traced = False  # its call trace was seen

    def add(self, line, kind):
        words = TIME.sub("", line)
        self.intro = self.intro and not self.lines
        self.lines.append(line)
        if STATE.search(words):
            self.text = False
        if kind or self.text or RIP.search(words) or self.traced and FRAME.search(words):
            self.words.append(words)
        if kind == "start":
            self.headed = True
        if TRACE.search(words):
            self.traced = True

    def ends_before(self, cut, kind):
        """Does a line of that kind open the next block?"""
        if cut or kind == "intro":
            return True
        if kind == "start":
            return not self.intro and (self.headed or not self.cut)
        if kind == "more":
            return self.traced or len(self.lines) > JOIN_LINES
        return False

    def matches(self, expression):
        return any(expression.search(w) for w in self.words)

    def __str__(self):
        return "\n".join(self.lines)


def find(text, rules=None):
    """The splats of a kernel log, in order."""
    rules = rules or Rules()
    splats, block = [], None
    for line in text.splitlines():
        kind, cut = rules.kind(line), bool(CUT.search(line))
        if block.ends_before(cut, kind) if block else cut or kind:
            block = Splat(cut, kind)
            splats.append(block)
        if block:
            block.add(line, kind)
            if END.search(line) or len(block.lines) == MAX_LINES:
                block = None
    return splats


def judge(splats, allowed):
    """Returns (bad, pardoned): splats that no regular expression allows, and the others."""
    bad, pardoned = [], []
    for s in splats:
        (pardoned if any(s.matches(r) for r in allowed) else bad).append(s)
    return bad, pardoned


def main(argv):
    allowed = []
    while len(argv) >= 2 and argv[0] == "--allow":
        allowed.append(re.compile(argv[1]))
        argv = argv[2:]
    if len(argv) != 1 or argv[0].startswith("-"):
        print("usage: splat.py [--allow REGEX]... LOG", file=sys.stderr)
        return 2
    with open(argv[0], encoding="utf-8", errors="replace") as f:
        bad, pardoned = judge(find(f.read()), allowed)
    for title, splats in (("splat", bad), ("allowed splat", pardoned)):
        for s in splats:
            print(f"{title}:\n{s}")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
