// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * The ends of memory that is to be of huge pages.
 *
 * There are base pages before its first huge page and behind its last one, 512 in all for 1 GiB
 * from malloc(). If they are populated in order, each lies where a page happens to be free. Then as
 * many entries describe them as describe the huge pages. To have them side by side, we
 *
 *  1. populate a huge page elsewhere, the spare, and have it split: MADV_COLD for a part does that;
 *  2. free its last pages, so many; these become free in the order of their addresses;
 *  3. populate as many pages of the end, from the last to the first, and go on with 2.
 *
 * This relies on two habits of the kernel, which are no promises. A CPU gives out first what was
 * freed on it last (its lists of pages, mm/page_alloc.c). And advice for a part splits a huge page.
 * If the kernel does otherwise, the ends are as scattered as they would have been. They are, too,
 * if others allocate on our CPU meanwhile, if the spare and the ends come from different zones or
 * nodes, or if there is no huge page.
 */
#define _GNU_SOURCE
#include <unistd.h>

#include "parts.h"

/* In huge pages. For so many, a spare or two, to zero and to split, are a tenth of the work. */
#define ENDS_LEAST	32
/* Some architectures have huge pages that are too large for a spare. */
#define SPARE_MOST	(4 * PREPARE_MIB)
/* Both ends may be a page short of one. */
#define SPARES		2
/* A CPU keeps so many pages that are freed on it, in all but small zones. */
#define KEPT		32

/* Each spare has its own place: where one was, a page table stays. */
struct spares {
	struct range map;
	size_t size;		/* of a place */
	struct range unused;	/* places */
	uintptr_t start;	/* of the present spare */
	size_t left;		/* bytes of it that are populated, from start on */
	size_t free;		/* bytes behind them that are free and not yet in an end */
};

static void unmap_spares(struct spares *spares)
{
	raw_munmap((void *)spares->map.start, range_size(spares->map));
}

static bool map_spares(struct spares *spares, size_t size)
{
	size_t map_size = (SPARES + 1) * size;
	void *map = raw_mmap(map_size, MAP_PRIVATE | MAP_NORESERVE);
	uintptr_t start = (uintptr_t)map;

	if (!map)
		return false;
	*spares = (struct spares){ .map = { start, start + map_size }, .size = size };
	spares->unused = range_inside(spares->map, size);
	/* A child that is forked meanwhile would keep them. Locked memory would not be split. */
	if (advise(start, map_size, MADV_DONTFORK) && advise(start, map_size, MADV_HUGEPAGE) &&
	    advise(start, size, MADV_COLD))
		return true;
	unmap_spares(spares);
	return false;
}

static void populate_spare(struct spares *spares)
{
	size_t page = sysconf(_SC_PAGESIZE), at;

	if (!range_size(spares->unused))
		return;
	spares->start = spares->unused.start;
	spares->unused.start += spares->size;
	if (!advise(spares->start, spares->size, MADV_POPULATE_WRITE))
		return;
	/* When the kernel splits it, it would free pages of nothing but zeros. */
	for (at = 0; at < spares->size; at += page)
		*(volatile char *)(spares->start + at) = 1;
	if (advise(spares->start, page, MADV_COLD))
		spares->left = spares->size;
}

/* Free some pages of a spare, which this CPU then gives out next. */
static void free_some(struct spares *spares, size_t bytes)
{
	if (!spares->left)
		populate_spare(spares);
	if (!spares->left)
		return;
	spares->left -= bytes;
	if (advise(spares->start + spares->left, bytes, MADV_DONTNEED))
		spares->free = bytes;
}

/* Returns how many bytes it has populated: not all after an error. */
static size_t populate_backwards(struct range range, struct spares *spares)
{
	size_t page = sysconf(_SC_PAGESIZE);
	uintptr_t at;

	for (at = range.end; at > range.start; at -= page) {
		if (!spares->free)
			free_some(spares, KEPT * page);
		if (!advise(at - page, page, MADV_POPULATE_WRITE))
			break;
		if (spares->free)
			spares->free -= page;
	}
	return range.end - at;
}

static bool ends_of_part(struct part *part)
{
	size_t size = part->thp_size;
	struct range inside, head, tail;
	struct spares spares;

	if (!size || size > SPARE_MOST || range_size(part->range) < ENDS_LEAST * size)
		return true;
	inside = range_inside(part->range, size);
	head = (struct range){ part->range.start, inside.start };
	tail = (struct range){ inside.end, part->range.end };
	if (range_size(head) + range_size(tail) <= KEPT * (size_t)sysconf(_SC_PAGESIZE))
		return true;
	if (!map_spares(&spares, size))
		return true;
	part->populated = populate_backwards(tail, &spares) + populate_backwards(head, &spares);
	unmap_spares(&spares);
	return part->populated == range_size(head) + range_size(tail);
}

bool prepare_ends(struct room *room)
{
	struct parts *untouched = &room->untouched;
	unsigned int i;

	for (i = 0; i < untouched->count; i++)
		if (!ends_of_part(&untouched->part[i]))
			return false;
	return true;
}
