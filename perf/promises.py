# SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
"""What the demonstration promises, and whether it holds."""

from figures import (BANDWIDTH_TESTS, GIB, KIB, TIB, human_bytes, human_metadata,
                     human_time)

BACKINGS = ["4k", "thp", "huge2m", "huge1g"]


def line(promise, found, holds):
    """A promise and what was found; holds is None if it was not measured."""
    return {"promise": promise, "found": found, "holds": holds}


def at_least(promise, wanted, ratios):
    """Judge {name: ratio} by the least ratio."""
    known = {name: r for name, r in ratios.items() if r is not None}
    if not known:
        return line(promise, "not measured", None)
    name, least = min(known.items(), key=lambda item: item[1])
    found = f"{least:.2f}" if least < 10 else f"{least:.0f}"
    return line(promise, found + (f" (least: {name})" if len(known) > 1 else ""), least >= wanted)


def judge(measured):
    regions = measured["regions"]

    def name(region):
        return f"{region['backing']} {human_bytes(region['bytes'])}"

    def ratios(time, size=None, backing=None):
        return {name(r): r[time]["ratio"] for r in regions
                if size in (None, r["bytes"]) and backing in (None, r["backing"])}

    patched = {name(r): r["livepatch"]["reg_usec"]["ratio"] for r in regions}

    lines = [at_least(f"1 GiB on {backing} registers {wanted} times as fast as stock", wanted,
                      ratios("reg_usec", GIB, backing))
             for backing, wanted in (("huge1g", 200), ("huge2m", 20), ("thp", 20), ("4k", 1.1))]
    lines += [
        at_least("4 KiB registers 0.9 times as fast as stock", 0.9, ratios("reg_usec", 4 * KIB)),
        at_least("release is nowhere below 0.9 times as fast as stock", 0.9, ratios("dereg_usec")),
        at_least("stock with the livepatch registers nowhere below 0.95 times as fast as stock", 0.95,
                 patched),
        judge_4g(regions), judge_1t(regions), judge_entries(regions),
    ]
    lines += [at_least(f"{test} at 64 KiB has 0.95 of stock's bandwidth", 0.95,
                       {test: measured["bandwidth"][test]["ratio"]}) for test in BANDWIDTH_TESTS]
    return lines


def judge_4g(regions):
    promise = "4 GiB registers on every backing, where stock says ENOMEM"
    tried = [r for r in regions if r["bytes"] == 4 * GIB]
    if not tried:
        return line(promise, "not measured", None)
    bad = [f"{r['backing']}: {r['phyr_error']}" for r in tried if r["reg_usec"]["phyr"] is None]
    stock = sorted({r["stock_error"] or "registers" for r in tried})
    names = ", ".join(r["backing"] for r in tried)
    found = "; ".join(bad) or f"registers on {names}; stock: {', '.join(stock)}"
    missing = [b for b in BACKINGS if b not in {r["backing"] for r in tried}]
    if missing and not bad:
        return line(promise, f"{found}; not measured on {', '.join(missing)}", None)
    return line(promise, found, not bad)


def judge_1t(regions):
    promise = "1 TiB registers in under 50 ms, with under 64 KiB of metadata"
    for r in regions:
        if r["bytes"] == TIB:
            time, metadata = r["reg_usec"]["phyr"], r["metadata"]
            if time is None:
                return line(promise, r["phyr_error"], False)
            return line(promise, f"{human_time(time)}, {human_metadata(metadata)}",
                        time < 50000 and metadata is not None and metadata < 64 * KIB)
    return line(promise, "not measured", None)


def judge_entries(regions):
    promise = "1 GiB on huge2m has at most 512 entries and 16 KiB of metadata"
    for r in regions:
        if (r["bytes"], r["backing"]) == (GIB, "huge2m"):
            known = r["entries"] is not None and r["metadata"] is not None
            return line(promise, f"{r['entries']} entries, {human_metadata(r['metadata'])}",
                        known and r["entries"] <= 512 and r["metadata"] <= 16 * KIB)
    return line(promise, "not measured", None)
