# SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
"""Draws the figures as an SVG. Each kernel has a panel, and each region a pair of bars in it, stock
above phyr. Time goes to the right on a logarithmic scale, which is the same in all panels. The
bandwidths are below them, on a linear scale.
"""

import math
from xml.sax.saxutils import escape

from figures import BACKINGS, BANDWIDTH_BYTES, human_bytes, human_ratio, human_time

COLOURS = {"stock": "#b8b8b8", "phyr": "#1f6fb4"}
INK, FAINT, ALARM = "#222222", "#dddddd", "#b02020"
FONT = "font-family='DejaVu Sans, Verdana, Helvetica, Arial, sans-serif'"
BACKING_TITLES = {"4k": "4 KiB pages", "thp": "transparent huge pages", "huge2m": "2 MiB huge pages",
                  "huge1g": "1 GiB huge pages"}

MARGIN = 24
HEAD = 96  # title and legend
LABELS = 96  # left of the bars
SCALE = 400  # the bars
RATIOS = 64  # right of the bars; the number of a long bar may reach into it
PANEL = LABELS + SCALE + RATIOS
BAR = 9
PAIR = 2 * BAR + 9
GROUP_TITLE = 26
DECADES_TOP = 62  # of a panel: kernel and numbers of the scale


def text(x, y, words, size=12, anchor="start", colour=INK, weight="normal"):
    return (f"<text x='{x:.1f}' y='{y:.1f}' {FONT} font-size='{size}' text-anchor='{anchor}' "
            f"fill='{colour}' font-weight='{weight}'>{escape(words)}</text>")


def bar(x, y, width, driver):
    return f"<rect x='{x:.1f}' y='{y:.1f}' width='{width:.1f}' height='{BAR}' fill='{COLOURS[driver]}'/>"


def rule(x, top, bottom):
    return f"<line x1='{x:.1f}' y1='{top:.1f}' x2='{x:.1f}' y2='{bottom:.1f}' stroke='{FAINT}'/>"


class LogScale:
    """Whole decades, from below the shortest time to above the longest."""

    def __init__(self, kernels):
        times = [t for k in kernels for r in k["regions"]
                 for t in (r["reg_usec"]["stock"], r["reg_usec"]["phyr"]) if t]
        self.low = math.floor(math.log10(min(times)))
        self.high = max(math.ceil(math.log10(max(times))), self.low + 1)

    def width(self, usec):
        return SCALE * (math.log10(usec) - self.low) / (self.high - self.low)

    def decades(self):
        return [10.0 ** n for n in range(self.low, self.high + 1)]


def decade_name(usec):
    for unit, name in ((1e6, "s"), (1e3, "ms")):
        if usec >= unit:
            return f"{usec / unit:g} {name}"
    return f"{usec:g} us"


def draw_pair(x, y, region, scale):
    """The bars of one region, from y down."""
    reg = region["reg_usec"]
    out = [text(x + LABELS - 8, y + BAR + 4, human_bytes(region["bytes"]) + "*" * region["aliased"],
                anchor="end")]
    for row, driver in enumerate(("stock", "phyr")):
        top = y + row * BAR
        usec, error = reg[driver], region[f"{driver}_error"]
        if usec is not None:
            width = scale.width(usec)
            out += [bar(x + LABELS, top, width, driver),
                    text(x + LABELS + width + 4, top + BAR - 1, human_time(usec), 9)]
        elif error == "-":
            out.append(text(x + LABELS + 4, top + BAR - 1, f"{driver} not tried", 9))
        else:
            out.append(text(x + LABELS + 4, top + BAR - 1, f"{driver}: {error}", 9, colour=ALARM,
                            weight="bold"))
    if reg["ratio"] is not None:
        out.append(text(x + PANEL - 8, y + BAR + 4, f"{human_ratio(reg['ratio'])} x", anchor="end",
                        weight="bold"))
    return out


def draw_panel(x, y, kernel, scale):
    """A kernel's registrations. Returns the elements, and the y at which they end."""
    lines = [text(x, y + 18, f"{kernel['kernel']} kernel, {kernel['release']}", 15, weight="bold"),
             text(x + PANEL - 8, y + 40, "stock / phyr", 10, "end")]
    bars, top = [], y + DECADES_TOP
    at = top
    for backing in BACKINGS:
        regions = [r for r in kernel["regions"] if r["backing"] == backing]
        if not regions:
            continue
        bars.append(text(x, at + 15, BACKING_TITLES[backing], 12, weight="bold"))
        at += GROUP_TITLE
        for region in regions:
            bars += draw_pair(x, at, region, scale)
            at += PAIR
        at += 6
    for usec in scale.decades():
        across = x + LABELS + scale.width(usec)
        lines += [rule(across, top, at), text(across, top - 6, decade_name(usec), 10, "middle")]
    return lines + bars, at


def draw_bandwidth(x, y, kernel, most):
    out = [text(x, y + 15, f"bandwidth, {human_bytes(BANDWIDTH_BYTES)} messages", 12, weight="bold"),
           text(x + PANEL - 8, y + 15, "phyr / stock", 10, "end")]
    at = y + GROUP_TITLE
    for test, b in kernel["bandwidth"].items():
        out.append(text(x + LABELS - 8, at + BAR + 4, test, anchor="end"))
        for row, driver in enumerate(("stock", "phyr")):
            width = SCALE * 0.85 * b[driver] / most
            out += [bar(x + LABELS, at + row * BAR, width, driver),
                    text(x + LABELS + width + 4, at + (row + 1) * BAR - 1, f"{b[driver]:.1f} MiB/s", 9)]
        out.append(text(x + PANEL - 8, at + BAR + 4, f"{b['ratio']:.2f} x", anchor="end", weight="bold"))
        at += PAIR
    return out, at


def legend(x, y):
    out = []
    for driver, words in (("stock", "stock: the distribution's Soft-RoCE"), ("phyr", "phyr: ours")):
        out += [bar(x, y - BAR, 24, driver), text(x + 30, y, words)]
        x += 280
    return out


def accelerators(kernels):
    names = {"kvm": "by KVM", "tcg": "all in emulation: time is instructions executed"}
    return " and ".join(sorted({names[k["accelerator"]] for k in kernels}))


def draw(result):
    """The whole picture."""
    kernels = result["kernels"]
    scale = LogScale(kernels)
    most = max(b[d] for k in kernels for b in k["bandwidth"].values() for d in ("stock", "phyr"))
    elements = [text(MARGIN, MARGIN + 16, "Soft-RoCE: time to register memory, ibv_reg_mr()", 20,
                     weight="bold"), *legend(MARGIN, MARGIN + 48)]
    xs = [MARGIN + n * (PANEL + 2 * MARGIN) for n in range(len(kernels))]
    end = 0
    for x, kernel in zip(xs, kernels):
        drawn, bottom = draw_panel(x, HEAD, kernel, scale)
        elements += drawn
        end = max(end, bottom)
    top = end
    for x, kernel in zip(xs, kernels):
        drawn, bottom = draw_bandwidth(x, top + 8, kernel, most)
        elements += drawn
        end = max(end, bottom)
    width = xs[-1] + PANEL + MARGIN
    footer = ["Times: medians, of memory touched before, on a logarithmic scale. Bandwidths: medians.",
              f"Measured in a virtual machine, {accelerators(kernels)}."]
    if any(r["aliased"] for k in kernels for r in k["regions"]):
        footer.append("* one huge page mapped over and over")
    end += 12
    for words in footer:
        end += 16
        elements.append(text(MARGIN, end, words, 11))
    height = end + MARGIN
    return (f"<svg xmlns='http://www.w3.org/2000/svg' width='{width}' height='{height}' "
            f"viewBox='0 0 {width} {height}'>\n<!-- SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB -->\n"
            "<rect width='100%' height='100%' fill='#ffffff'/>\n"
            + "\n".join(elements) + "\n</svg>\n")
