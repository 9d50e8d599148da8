// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * The ends of memory that is to be of huge pages.
 *
 * Before its first huge page and behind its last one are base pages, 512 in all for memory that
 * malloc() gives. Populated in order, each lies where a page happened to be free, and of 1 GiB as
 * many entries are those pages' as are the huge pages'. To have them side by side,
 *
 *  1. populate a huge page elsewhere, the spare, and have it split: MADV_COLD for a part does that;
 *  2. free the last so many pages of it, which become free in the order of their addresses;
 *  3. populate as many pages of the end, from the last to the first; go on with 2.
 *
 * That a CPU gives out first what was freed on it last is the kernel's habit (its lists of pages
 * for each CPU, mm/page_alloc.c), not its promise. Where it does otherwise, or another thread comes
 * between, or the zone that base pages come from has no huge page left, the ends are as scattered
 * as they would have been. If we have come to another CPU, that gets the next pages.
 */
#define _GNU_SOURCE
#include <sched.h>
#include <sys/mman.h>
#include <unistd.h>

#include "prepare_parts.h"

/* There, to zero and split one spare or two is a tenth of the work; below, it would be more. */
#define ENDS_LEAST	(64 * PREPARE_MIB)
/* Two, if both ends are long, and some for what was left on other CPUs. */
#define SPARES		4
/* Pages that a CPU keeps for itself when it is given them, also where memory is short. */
#define KEPT		32

/* Address space for spares, each in its own place: where one was, a page table stays. */
struct spare {
	struct range unused;	/* whole places */
	uintptr_t start;	/* of the present one */
	size_t size;
	size_t left;		/* bytes of it that are populated, from start on */
	size_t free;		/* bytes behind them that a CPU has */
	int cpu;		/* which */
};

static bool advise(uintptr_t start, size_t size, int advice)
{
	return !madvise((void *)start, size, advice);
}

static void spare_populate(struct spare *spare)
{
	size_t page = sysconf(_SC_PAGESIZE), at;

	if (!range_size(spare->unused))
		return;
	spare->start = spare->unused.start;
	spare->unused.start += spare->size;
	if (!advise(spare->start, spare->size, MADV_POPULATE_WRITE))
		return;
	/* Pages of nothing but zeros would be freed when it is split. */
	for (at = 0; at < spare->size; at += page)
		*(volatile char *)(spare->start + at) = 1;
	if (advise(spare->start, page, MADV_COLD))
		spare->left = spare->size;
}

/* Have this CPU's free pages be pages of the spare. */
static void spare_free(struct spare *spare, size_t bytes)
{
	if (!spare->left)
		spare_populate(spare);
	if (bytes > spare->left)
		bytes = spare->left;
	/* Before: if we move while they are freed, it shows afterwards. */
	spare->cpu = sched_getcpu();
	spare->left -= bytes;
	spare->free = bytes;
	advise(spare->start + spare->left, bytes, MADV_DONTNEED);
}

static bool populate_backwards(struct range range, struct spare *spare)
{
	size_t page = sysconf(_SC_PAGESIZE);
	uintptr_t at;

	for (at = range.end; at > range.start; at -= page) {
		if (!spare->free || spare->cpu != sched_getcpu())
			spare_free(spare, KEPT * page);
		if (!advise(at - page, page, MADV_POPULATE_WRITE))
			return false;
		if (spare->free)
			spare->free -= page;
	}
	return true;
}

size_t prepare_ends(const struct part *part)
{
	struct range inside = range_inside(part->range, part->thp_size);
	struct range head = { part->range.start, inside.start };
	struct range tail = { inside.end, part->range.end };
	size_t size = part->thp_size, map_size = (SPARES + 1) * size;
	struct spare spare = { .size = size };
	bool populated = false;
	void *map;

	if (!size || range_size(part->range) < ENDS_LEAST)
		return 0;
	map = mmap(NULL, map_size, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (map == MAP_FAILED)
		return 0;
	spare.unused = range_inside((struct range){ (uintptr_t)map, (uintptr_t)map + map_size },
				    size);
	/* A child that is forked meanwhile would keep it for ever. */
	if (advise((uintptr_t)map, map_size, MADV_DONTFORK) &&
	    advise((uintptr_t)map, map_size, MADV_HUGEPAGE))
		populated = populate_backwards(tail, &spare) && populate_backwards(head, &spare);
	munmap(map, map_size);
	return populated ? range_size(head) + range_size(tail) : 0;
}
