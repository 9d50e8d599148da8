# SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
"""The figures as text: a table of regions and one of bandwidths for each kernel, and the
judgement."""

from figures import BANDWIDTH_BYTES, human_bytes, human_metadata, human_ratio, human_time

ALIASED = "*"
CONTENDED = "+"


def align(rows, left):
    """Lines of a table; the first `left` columns are words, the others numbers."""
    widths = [max(map(len, column)) for column in zip(*rows)]
    return ["  ".join(cell.ljust(w) if i < left else cell.rjust(w)
                      for i, (cell, w) in enumerate(zip(row, widths))).rstrip() for row in rows]


def time(figure, driver, error):
    return human_time(figure[driver]) if figure[driver] is not None else error or "-"


def ratio(figure):
    """Ratio and spread, two cells."""
    if figure["ratio"] is None:
        return ["-", ""]
    spread = f"{human_ratio(figure['ratio_min'])}..{human_ratio(figure['ratio_max'])}"
    return [human_ratio(figure["ratio"]), spread if figure["rounds"] > 1 else "one round"]


def memory_cell(r):
    return (r["backing"] + " ro" * r["read_only"] + " untouched" * r["untouched"]
            + CONTENDED * r["contended"])


def contended_lines(regions):
    """What the sign means, if it is there, and the proof of it."""
    contended = [r for r in regions if r["contended"]]
    if not contended:
        return []
    drivers = [d for d, waits in contended[0]["waits"].items() if waits is not None]
    rows = [["waits of a registration", *drivers]]
    rows += [[memory_cell(r), *(f"{r['waits'][d]:.1f}" for d in drivers)] for r in contended]
    return [f"{CONTENDED} somebody holds the mmap_lock for writing again and again, and registrations "
            "wait for it:", *align(rows, 1)]


def region_cells(r, livepatch):
    reg, dereg, patched = r["reg_usec"], r["dereg_usec"], r["livepatch"]["reg_usec"]
    return [memory_cell(r), human_bytes(r["bytes"]) + ALIASED * r["aliased"],
            time(reg, "stock", r["stock_error"]), time(reg, "phyr", r["phyr_error"]), *ratio(reg),
            *([time(patched, "livepatch", None), *ratio(patched)] if livepatch else []),
            time(dereg, "stock", None), time(dereg, "phyr", None), *ratio(dereg),
            "-" if r["entries"] is None else str(r["entries"]),
            "-" if r["metadata"] is None else human_metadata(r["metadata"])]


def machine(measured, steady=True):
    """What it was measured on, in a line."""
    return (f"{measured['kernel']} kernel {measured['release']}, guest of {measured['cpus']} CPUs, "
            + ("KVM" if measured["accelerator"] == "kvm" else "emulated; time is "
               + ("instructions executed, 2 ns each" if steady else "the host's, and so is its noise")))


def region_table(measured):
    """Lines: a row for each region, and what its signs mean."""
    livepatch = any(r["livepatch"]["reg_usec"]["livepatch"] for r in measured["regions"])
    header = ["memory", "size", "stock reg", "phyr reg", "ratio", "spread",
              *(["livepatch reg", "ratio", "spread"] if livepatch else []),
              "stock dereg", "phyr dereg", "ratio", "spread", "entries", "metadata"]
    lines = align([header, *(region_cells(r, livepatch) for r in measured["regions"])], 1)
    if livepatch:
        lines.append("livepatch: stock's driver with phyr_umem.ko; the driver fills its own page "
                     "table as before")
    if any(r["aliased"] for r in measured["regions"]):
        lines.append(f"{ALIASED} one huge page mapped over and over")
    lines += contended_lines(measured["regions"])
    if any(r["read_only"] for r in measured["regions"]):
        lines.append("ro: registered for reading only; this copies forked and private memory, "
                     "which is new each time")
    if any(r["read_only"] and r["untouched"] for r in measured["regions"]):
        lines.append("ro untouched: pages of a file that are in the page cache, but not mapped")
    lines.append("4k up to 1 GiB: pages in random order, hardly any two contiguous; this is the "
                 "worst case")
    if any("-" == r["stock_error"] for r in measured["regions"]):
        lines.append("- in stock's column: not tried")
    return lines


def notes(measured):
    """What ib_reg_mr warned of."""
    return sorted({f"note: {w}" for s in measured["samples"] for w in s["warnings"]})


def tables(measured):
    """The text that is printed when a kernel is done."""
    lines = ["", machine(measured), "", *region_table(measured), ""]
    header = [f"{human_bytes(BANDWIDTH_BYTES)} messages", "stock MiB/s", "phyr MiB/s", "ratio", "spread"]
    lines += align([header, *([test, f"{b['stock']:.2f}", f"{b['phyr']:.2f}", *ratio(b)]
                              for test, b in measured["bandwidth"].items())], 1)
    lines.append("times and bandwidths are medians; phyr is better where a ratio is above 1; a "
                 "spread shows the least and the largest ratio of a round")
    lines += notes(measured)
    return "\n".join(lines)


def judgement(result):
    marks = {True: "ok", False: "MISSED", None: "-"}
    rows = [[marks[line["holds"]], k["kernel"], f"{line['promise']}:", line["found"]]
            for k in result["kernels"] for line in k["judgement"]]
    return "\n".join(["", "Must hold:", *align(rows, 4)])
