# SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
"""Turns samples into figures. For each region and each bandwidth test, these are the medians of
stock and of the driver that is compared with it, the ratio of the two, and the spread of the ratio.

The drivers are stock; livepatch, which is stock with registration by phyr_umem.ko; phyr; and
libphyr, which is phyr with our provider in place of rdma-core's. A ratio says how many times better
than stock a driver is: stock/phyr for times, phyr/stock for bandwidths. It is the ratio of the two
medians. Its spread goes from the smallest to the largest ratio of a single round. The ratio of the
medians always lies within the spread: if the ratio of every round is at most r, so is that of the
medians.
"""

from statistics import median

DRIVERS = ["stock", "livepatch", "phyr", "libphyr"]
BANDWIDTH_TESTS = ["ib_write_bw", "ib_read_bw", "ib_send_bw"]
BANDWIDTH_BYTES = 65536

KIB, MIB, GIB, TIB = (1 << shift for shift in (10, 20, 30, 40))
# Tables have this order.
BACKINGS = ["4k", "malloc", "mthp16k", "mthp32k", "mthp64k", "mthp128k", "mthp256k", "mthp512k",
            "mthp1m", "thp", "huge2m", "huge1g"]
# Memory as programs register it for reading only: shared copy-on-write, or pages of a file.
READ_ONLY_BACKINGS = ["4k-forked", "mthp64k-forked", "thp-forked", "tmpfs4k-private",
                      "tmpfs64k-private", "file-private", "tmpfs4k-shared", "tmpfs64k-shared",
                      "tmpfs2m-shared", "file-shared", "huge2m-shared"]
ALL_BACKINGS = BACKINGS + READ_ONLY_BACKINGS

# Stock's driver is known to fail above this size. Every other failure is a fault.
STOCK_LIMIT = GIB
ON_STOCK = ["stock", "livepatch"]


def compare(stock, other, numerator, name="phyr"):
    """The figures of two series, which are {round: value}. name is the other driver's name. The
    ratio is stock/other if numerator is "stock", else other/stock."""
    figure = {"stock": median(stock.values()) if stock else None,
              name: median(other.values()) if other else None,
              "rounds": len(stock.keys() & other.keys()), "ratio": None, "ratio_min": None,
              "ratio_max": None}
    if not figure["rounds"]:
        return figure

    def ratio(s, o):
        return s / o if numerator == "stock" else o / s

    each = [ratio(stock[r], other[r]) for r in stock.keys() & other.keys()]
    figure.update(ratio=ratio(figure["stock"], figure[name]), ratio_min=min(each), ratio_max=max(each))
    return figure


def region_key(row):
    return (ALL_BACKINGS.index(row["backing"]), row["bytes"], row["aliased"], row["read_only"],
            row["contended"], row["untouched"])


def waits(rows):
    """How often a registration slept, on average; None if there was none."""
    measured = [row for row in rows if not row["failed"]]
    iterations = sum(row["iterations"] for row in measured)
    return sum(row["waits"] for row in measured) / iterations if iterations else None


def derive_region(key, samples):
    """The figures of one kind of region."""
    rows = {driver: {s["round"]: row for s in samples if s["driver"] == driver
                     for row in s["registrations"] if region_key(row) == key} for driver in DRIVERS}

    def series(driver, time):
        return {r: row[time]["median"] for r, row in rows[driver].items() if row[time]}

    def largest(fact):
        known = [row[fact] for row in rows["phyr"].values() if row[fact] is not None]
        return max(known, default=None)

    def times(name):
        return {time: compare(series("stock", time), series(name, time), "stock", name)
                for time in ("reg_usec", "dereg_usec")}

    backing, size, aliased, read_only, contended, untouched = key
    return {
        "backing": ALL_BACKINGS[backing], "bytes": size, "aliased": aliased,
        "read_only": read_only, "contended": contended, "untouched": untouched,
        "waits": {driver: waits(rows[driver].values()) for driver in DRIVERS},
        **times("phyr"), "livepatch": times("livepatch"),
        "entries": largest("entries"), "metadata": largest("metadata"),
        # the name of an error, None where all went well, "-" where nothing was tried
        **{f"{driver}_error": next((row["error"] or row["failed"] for row in rows[driver].values()
                                    if row["failed"]), None) if rows[driver] else "-"
           for driver in DRIVERS},
    }


def fault(driver, row):
    """What is wrong with a row; None if nothing is."""
    if row["failed"]:
        known = driver in ON_STOCK and row["failed"] == "registration" and row["bytes"] > STOCK_LIMIT
        return None if known else f"{row['failed']}: {row['reason'] or row['error']}"
    if row["contended"] and not row["waits"]:
        return "no registration has waited for the mmap_lock, so nothing contended"
    return None


def find_failures(kernel, samples):
    """What failed, although it should not."""
    return [f"{kernel}, round {s['round']}, {s['driver']}: {row['bytes']} bytes on {row['backing']}: "
            f"{fault(s['driver'], row)}"
            for s in samples for row in s["registrations"] if fault(s["driver"], row)]


def derive(measured):
    """Add regions and failures to what was measured on a kernel."""
    samples = measured["samples"]
    keys = sorted({region_key(row) for s in samples for row in s["registrations"]})
    measured["regions"] = [derive_region(key, samples) for key in keys]
    measured["failures"] = find_failures(measured["kernel"], samples)


def derive_bandwidth(measured):
    """Add the bandwidths to what was measured on a kernel."""
    measured["bandwidth"] = {
        test: compare(*({s["round"]: s["bandwidth"][test] for s in measured["samples"]
                         if s["driver"] == driver} for driver in ("stock", "phyr")), "phyr")
        for test in BANDWIDTH_TESTS}


# --- what must hold ---


def line(what, wanted, found, spread, holds):
    """A benchmark's verdict; holds is None where nothing is promised."""
    return {"what": what, "wanted": wanted, "found": found, "spread": spread, "holds": holds}


# --- for people ---


def human_bytes(size):
    """A number of bytes in its largest unit: "64 KiB"."""
    for unit, name in ((TIB, "TiB"), (GIB, "GiB"), (MIB, "MiB"), (KIB, "KiB")):
        if size >= unit:
            return f"{size // unit} {name}" if size % unit == 0 else f"{size / unit:.1f} {name}"
    return f"{size} B"


def human_region(region):
    """What is registered: "16 MiB of thp-forked, read-only"."""
    return (f"{human_bytes(region['bytes'])} of {region['backing']}" + ", read-only" * region["read_only"]
            + ", untouched" * region["untouched"] + ", contended" * region["contended"])


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
