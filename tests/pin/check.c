// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * What must hold of every pin:
 *
 *  - The runs cover the region, in order and without gap, and are as few as
 *    /proc/self/pagemap allows. We read it after pinning, when it shows which pages
 *    the process has.
 *  - Each page has one pin for each time that it is in the region.
 *  - Device and process see each other's writes; bytes that are not in the region
 *    stay as they are. Pinning by itself changes no contents.
 *  - All of that stays true when the process forks and both sides go on. The child
 *    does not see what the parent does to its private memory.
 *  - Unpinning marks all pages dirty if it is told to, and else none.
 *
 * test_run() checks that pins are balanced afterwards.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <linux/kernel-page-flags.h>

#include "check.h"
#include "device.h"
#include "memory.h"
#include "test.h"

struct pinned {
	struct layout *l;
	size_t off;		/* in the layout */
	size_t len;
	struct phyr_test_pin pin;
	size_t pages;
	uint64_t *pfn;		/* of each page, from pagemap */
	char *data;		/* room for the region */
};

static char *address(const struct pinned *p)
{
	return p->l->addr + p->off;
}

static size_t first_page(const struct pinned *p)
{
	return p->off / SZ_4K * SZ_4K;
}

/* Check the runs against pagemap. */
static int check_runs(struct pinned *p)
{
	size_t room = p->pin.runs + 1, offset = 0, largest = 0, smallest = SIZE_MAX;
	struct phyr_test_run *runs = calloc(room, sizeof(*runs));
	size_t page = 0, seam;
	uint64_t nr = room, i, addr;
	int err = PASSED;

	if (!runs)
		die("out of memory");
	phys_pfns(p->l->addr + first_page(p), p->pages, p->pfn);
	if (device_runs(p->pin.id, runs, &nr))
		err = fail("the runs cannot be listed: %m");
	else if (nr != p->pin.runs)
		err = fail("%lu runs, %lu of them listed", (long)p->pin.runs, (long)nr);
	for (i = 0; i < nr && !err; i++) {
		if (runs[i].offset != offset || !runs[i].len || runs[i].len > p->len - offset)
			err = fail("run %lu is [%#lx, +%#lx) of the region, %#lx was expected",
				   (long)i, (long)runs[i].offset, (long)runs[i].len, offset);
		if (i && runs[i - 1].addr + runs[i - 1].len == runs[i].addr)
			err = fail("runs %lu and %lu are adjacent", (long)i - 1, (long)i);
		/* Check the address of each page that the run touches. */
		for (addr = runs[i].addr; addr < runs[i].addr + runs[i].len && !err; page++) {
			if (!p->pfn[page])
				err = fail("page %zu of the region is not present", page);
			else if (p->pfn[page] != addr / SZ_4K)
				err = fail("page %zu of the region has PFN %#lx, run %lu has %#lx",
					   page, (long)p->pfn[page], (long)i, (long)(addr / SZ_4K));
			addr = (addr / SZ_4K + 1) * SZ_4K;
		}
		offset += runs[i].len;
		seam = (p->off + offset) % SZ_4K;
		if (offset < p->len && seam)
			err = fail("run %lu ends in the middle of a page", (long)i);
		if (runs[i].addr % SZ_4K != (i ? 0 : p->off % SZ_4K))
			err = fail("run %lu begins at %#lx", (long)i, (long)runs[i].addr);
		largest = runs[i].len > largest ? runs[i].len : largest;
		smallest = runs[i].len < smallest ? runs[i].len : smallest;
	}
	if (!err && (offset != p->len || page != p->pages))
		err = fail("the runs have %zu of %zu bytes", offset, p->len);
	if (!err && (largest != p->pin.largest || smallest != p->pin.smallest))
		err = fail("largest and smallest run are %zu and %zu, reported as %lu and %lu",
			   largest, smallest, (long)p->pin.largest, (long)p->pin.smallest);
	free(runs);
	return err;
}

/* Does the process still have the pages that are pinned? */
static int check_mapping(const struct pinned *p, const char *when)
{
	uint64_t *now = calloc(p->pages, sizeof(*now));
	int err = PASSED;
	size_t i;

	if (!now)
		die("out of memory");
	phys_pfns(p->l->addr + first_page(p), p->pages, now);
	for (i = 0; i < p->pages && !err; i++)
		if (now[i] != p->pfn[i])
			err = fail("%s: page %zu of the region was PFN %#lx and is %#lx", when, i,
				   (long)p->pfn[i], (long)now[i]);
	free(now);
	return err;
}

static int compare_pfns(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* Describe the folio of one of the region's pages, which the caller knows by its PFN. */
static int find_folio(const struct pinned *p, uint64_t pfn, struct phyr_test_folio *folio)
{
	size_t page = 0, offset;

	while (p->pfn[page] != pfn)
		page++;
	offset = page ? page * SZ_4K - p->off % SZ_4K : 0;
	return device_folio(p->pin.id, offset, folio);
}

/* Each folio must have exactly as many pins as the region has of its pages. */
static int check_folios(const struct pinned *p)
{
	uint64_t *sorted = malloc(p->pages * sizeof(*sorted));
	struct phyr_test_folio folio;
	size_t i, count;
	int err = PASSED;

	if (!sorted)
		die("out of memory");
	memcpy(sorted, p->pfn, p->pages * sizeof(*sorted));
	qsort(sorted, p->pages, sizeof(*sorted), compare_pfns);
	for (i = 0; i < p->pages && !err; i += count) {
		if (find_folio(p, sorted[i], &folio)) {
			err = fail("PHYR_TEST_FOLIO: %m");
			break;
		}
		for (count = 0; i + count < p->pages; count++)
			if ((sorted[i + count] - folio.pfn) >> folio.order)
				break;
		if (!count || folio.pins != count)
			err = fail("folio of %lu KiB, PFN %#lx: %lu pins, %zu pages in the region",
				   4UL << folio.order, (long)folio.pfn, (long)folio.pins, count);
	}
	free(sorted);
	return err;
}

/* Do the device and the process see what the model says? */
static int check_contents(const struct pinned *p, const char *device, const char *process)
{
	if (device_read(p->pin.id, 0, p->data, p->len))
		return fail("the region cannot be read: %m");
	return layout_compare(p->l, device, p->off, p->len, p->data) ?:
	       layout_verify(p->l, process);
}

/*
 * Let the device write stamps that are made from the pages' PFNs. So a page that is
 * in the region twice gets the same stamp twice. The model does not know these
 * stamps, and the process must write again.
 */
static int check_device_write(const struct pinned *p)
{
	char edge[2][SZ_4K], *first = p->l->addr + first_page(p), *last;
	size_t before = p->off % SZ_4K, behind, i;

	last = first + (p->pages - 1) * SZ_4K;
	behind = p->pages * SZ_4K - before - p->len;
	memcpy(edge[0], first, before);
	memcpy(edge[1], last + SZ_4K - behind, behind);
	for (i = 0; i < p->pages; i++) {
		struct content content = { .where = p->pfn[i] * SZ_4K, .seed = 1 };
		size_t from = i ? 0 : before;
		size_t to = i + 1 < p->pages ? SZ_4K : SZ_4K - behind;

		stamp(p->data + i * SZ_4K + from - before, content, from, to);
	}
	if (device_write(p->pin.id, 0, p->data, p->len))
		return fail("the region cannot be written: %m");
	if (memcmp(address(p), p->data, p->len))
		return fail("the process does not see what the device has written");
	/* A page that is in the region twice may be written as a whole. */
	for (i = 1; i < p->pages; i++)
		if (p->pfn[i] == p->pfn[0] || p->pfn[i - 1] == p->pfn[p->pages - 1])
			return PASSED;
	if (memcmp(first, edge[0], before) || memcmp(last + SZ_4K - behind, edge[1], behind))
		return fail("the device has written beside the region");
	return PASSED;
}

static int check_process_write(const struct pinned *p)
{
	return layout_write(p->l, 0, p->l->len) ?:
	       check_mapping(p, "after a write of the process") ?:
	       check_contents(p, "the device, after a write of the process",
			      "the process, after its own write");
}

static int check_fork(const struct pinned *p)
{
	struct child child;
	int err = child_start(&child, p->l);

	err = err ?: layout_write(p->l, 0, p->l->len) ?:
	      check_mapping(p, "after fork and a write of the parent") ?:
	      check_contents(p, "the device, after fork and a write of the parent",
			     "the process, after fork and its own write");
	return child_join(&child) ?: err;
}

static int check_all(struct pinned *p)
{
	return check_runs(p) ?:
	       check_folios(p) ?:
	       check_contents(p, "the device, after pinning", "the process, after pinning") ?:
	       (p->pin.writable ? check_device_write(p) : PASSED) ?:
	       check_process_write(p) ?:
	       check_fork(p);
}

/* Pages of the region whose folio is marked dirty. */
static size_t dirty_pages(const struct pinned *p)
{
	uint64_t *flags = calloc(p->pages, sizeof(*flags));
	size_t nr = 0, i;

	if (!flags)
		die("out of memory");
	phys_flags(p->pfn, p->pages, flags);
	for (i = 0; i < p->pages; i++)
		nr += flags[i] >> KPF_DIRTY & 1;
	free(flags);
	return nr;
}

static int unpin(const struct pinned *p)
{
	size_t before = dirty_pages(p), after;

	if (device_unpin(p->pin.id, p->pin.writable))
		return fail("unpinning failed: %m");
	after = dirty_pages(p);
	if (p->pin.writable && after != p->pages)
		return fail("%zu of %zu pages are dirty after unpinning with dirty = 1", after,
			    p->pages);
	if (!p->pin.writable && after != before)
		return fail("%zu pages were dirty, %zu are after unpinning with dirty = 0", before,
			    after);
	return layout_verify(p->l, "the process, after unpinning");
}

int check_region(struct layout *l, size_t off, size_t len, bool writable, int expected)
{
	struct pinned p = {
		.l = l, .off = off, .len = len,
		.pages = (off % SZ_4K + len + SZ_4K - 1) / SZ_4K,
	};
	int result = device_pin(address(&p), len, writable, &p.pin), err;

	if (result && result == expected)
		return layout_verify(l, "the process, after its memory was not pinned");
	if (result)
		return fail("pinning failed (%s), should be %s", errno_name(result),
			    expected ? errno_name(expected) : "pinned");
	layout_pinned(l, off, len);
	p.pfn = calloc(p.pages, sizeof(*p.pfn));
	p.data = malloc(len);
	if (!p.pfn || !p.data)
		die("out of memory");
	if (expected) {
		device_unpin(p.pin.id, false);
		err = fail("was pinned, but should be %s", errno_name(expected));
	} else {
		err = check_all(&p);
		err = unpin(&p) ?: err;
	}
	free(p.pfn);
	free(p.data);
	return err;
}
