# SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
"""From samples to figures: for each region and each bandwidth test the medians of both drivers,
their ratio and its spread, and whether what the project promises holds.

A ratio tells how many times phyr is better: stock/phyr of times, phyr/stock of bandwidths.
It is that of the two medians; its spread is from the smallest to the largest ratio of one round.
(A ratio of medians lies within: if every round's is at most r, so is it.)
"""

from statistics import median

DRIVERS = ["stock", "phyr"]
BANDWIDTH_TESTS = ["ib_write_bw", "ib_read_bw", "ib_send_bw"]
BANDWIDTH_BYTES = 65536

KIB, MIB, GIB, TIB = (1 << shift for shift in (10, 20, 30, 40))
BACKINGS = ["4k", "thp", "huge2m", "huge1g"]

# Above this, stock is known to fail; anything else that fails is a fault.
STOCK_LIMIT = GIB


def compare(stock, phyr, numerator):
    """The figures of two series, {round: value} each; numerator is the driver on top of the ratio."""
    figure = {"stock": median(stock.values()) if stock else None,
              "phyr": median(phyr.values()) if phyr else None,
              "rounds": len(stock.keys() & phyr.keys()), "ratio": None, "ratio_min": None,
              "ratio_max": None}
    if not figure["rounds"]:
        return figure

    def ratio(s, p):
        return s / p if numerator == "stock" else p / s

    each = [ratio(stock[r], phyr[r]) for r in stock.keys() & phyr.keys()]
    figure.update(ratio=ratio(figure["stock"], figure["phyr"]), ratio_min=min(each), ratio_max=max(each))
    return figure


def region_key(row):
    return BACKINGS.index(row["backing"]), row["bytes"], row["aliased"]


def derive_region(key, samples):
    """The figures of one kind of region."""
    rows = {driver: {s["round"]: row for s in samples if s["driver"] == driver
                     for row in s["registrations"] if region_key(row) == key} for driver in DRIVERS}

    def series(driver, time):
        return {r: row[time]["median"] for r, row in rows[driver].items() if row[time]}

    def largest(fact):
        known = [row[fact] for row in rows["phyr"].values() if row[fact] is not None]
        return max(known, default=None)

    backing, size, aliased = key
    return {
        "backing": BACKINGS[backing], "bytes": size, "aliased": aliased,
        "reg_usec": compare(series("stock", "reg_usec"), series("phyr", "reg_usec"), "stock"),
        "dereg_usec": compare(series("stock", "dereg_usec"), series("phyr", "dereg_usec"), "stock"),
        "entries": largest("entries"), "metadata": largest("metadata"),
        # the name of an error, None where all went well, "-" where nothing was tried
        **{f"{driver}_error": next((row["error"] or row["failed"] for row in rows[driver].values()
                                    if row["failed"]), None) if rows[driver] else "-"
           for driver in DRIVERS},
    }


def find_failures(kernel, samples):
    """What failed and should not have."""
    return [f"{kernel}, round {s['round']}, {s['driver']}: {row['bytes']} bytes on {row['backing']}: "
            f"{row['failed']}: {row['reason'] or row['error']}"
            for s in samples for row in s["registrations"]
            if row["failed"] and not (s["driver"] == "stock" and row["failed"] == "registration"
                                      and row["bytes"] > STOCK_LIMIT)]


def derive(measured):
    """Add to what was measured on a kernel: regions, bandwidth, failures, judgement."""
    samples = measured["samples"]
    keys = sorted({region_key(row) for s in samples for row in s["registrations"]})
    measured["regions"] = [derive_region(key, samples) for key in keys]
    measured["bandwidth"] = {
        test: compare(*({s["round"]: s["bandwidth"][test] for s in samples if s["driver"] == driver}
                        for driver in DRIVERS), "phyr")
        for test in BANDWIDTH_TESTS}
    measured["failures"] = find_failures(measured["kernel"], samples)
    measured["judgement"] = judge(measured)


# --- what the project promises ---


def line(promise, found, holds):
    """holds is None where it was not measured."""
    return {"promise": promise, "found": found, "holds": holds}


def at_least(promise, wanted, ratios):
    """{name: ratio}: the least counts."""
    known = {name: r for name, r in ratios.items() if r is not None}
    if not known:
        return line(promise, "not measured", None)
    name, least = min(known.items(), key=lambda item: item[1])
    found = f"{least:.2f}" if least < 10 else f"{least:.0f}"
    return line(promise, found + (f" (least: {name})" if len(known) > 1 else ""), least >= wanted)


def judge(measured):
    regions = measured["regions"]

    def ratios(time, size=None, backing=None):
        return {f"{r['backing']} {human_bytes(r['bytes'])}": r[time]["ratio"] for r in regions
                if size in (None, r["bytes"]) and backing in (None, r["backing"])}

    lines = [at_least(f"1 GiB on {backing} registers {wanted} times as fast as stock", wanted,
                      ratios("reg_usec", GIB, backing))
             for backing, wanted in (("huge1g", 200), ("huge2m", 20), ("thp", 20), ("4k", 1.1))]
    lines += [
        at_least("4 KiB registers 0.9 times as fast as stock", 0.9, ratios("reg_usec", 4 * KIB)),
        at_least("release is nowhere below 0.9 times as fast as stock", 0.9, ratios("dereg_usec")),
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


# --- for people ---


def human_bytes(size):
    """A power of two in its largest unit: "64 KiB"."""
    for unit, name in ((TIB, "TiB"), (GIB, "GiB"), (MIB, "MiB"), (KIB, "KiB")):
        if size >= unit:
            return f"{size // unit} {name}" if size % unit == 0 else f"{size / unit:.1f} {name}"
    return f"{size} B"


def human_metadata(size):
    return "unknown" if size is None else human_bytes(size)


def human_time(usec):
    """Three digits: "14.2 us"."""
    for unit, name in ((1e6, "s"), (1e3, "ms")):
        if usec >= 0.9995 * unit:
            return f"{three_digits(usec / unit)} {name}"
    return f"{three_digits(usec)} us"


def three_digits(value):
    return f"{value:.{0 if value >= 99.95 else 1 if value >= 9.995 else 2}f}"


def human_ratio(ratio):
    return three_digits(ratio)
