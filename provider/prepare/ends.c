// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * The ends of memory that is to be of huge pages.
 *
 * Before its first huge page and behind its last one are base pages, 512 in all for 1 GiB from
 * malloc(). Populated in order, each lies where a page happened to be free, and as many entries
 * describe them as describe the huge pages. To have them side by side,
 *
 *  1. populate a huge page elsewhere, the spare, and have it split: MADV_COLD for a part does that;
 *  2. free the last so many pages of it, which become free in the order of their addresses;
 *  3. populate as many pages of the end, from the last to the first; go on with 2.
 *
 * That a CPU gives out first what was freed on it last (its lists of pages, mm/page_alloc.c), and
 * that advice for a part splits a huge page, are the kernel's habits, not its promises. Where it
 * does otherwise, where others allocate on our CPU meanwhile, where the spare and the ends come
 * from different zones or nodes of memory, or where there is no huge page to be had, the ends are
 * as scattered as they would have been.
 */
#define _GNU_SOURCE
#include <unistd.h>

#include "parts.h"

/* In huge pages. Of so many, to zero and split a spare or two is a tenth of the work. */
#define ENDS_LEAST	32
/* Some architectures have huge pages that are too large to take one for a while. */
#define SPARE_MOST	(4 * PREPARE_MIB)
/* Both ends may be a page short of one. */
#define SPARES		2
/* Pages that a CPU keeps when it is given them, in all but small zones. */
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
	/* Pages of nothing but zeros would be freed when it is split. */
	for (at = 0; at < spares->size; at += page)
		*(volatile char *)(spares->start + at) = 1;
	if (advise(spares->start, page, MADV_COLD))
		spares->left = spares->size;
}

/* Have some pages of a spare be those that this CPU gives out next. */
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

/* Returns how many bytes, which are less than all after an error. */
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
