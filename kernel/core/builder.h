/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * A phyr builder collects the runs of a region while the region is being pinned.
 * How many there will be is not known then. The builder has whole pages; the
 * finished array is cut to the bytes of the region.
 *
 * It grows by chunks of one page and never moves what it has. Runs come out in
 * the order they went in, so that the array can be filled while the chunks are
 * given back, and so that a pinner that fails can take back what it has pinned.
 */
#ifndef PHYR_BUILDER_H
#define PHYR_BUILDER_H

#include <linux/errno.h>
#include <phyr/phyr.h>

/* Runs that a builder holds without an allocation: enough for small regions. */
#define PHYR_FEW_RUNS 16

struct phyr_chunk;

/**
 * struct phyr_builder - runs of a region that is not complete yet
 * @end: user address behind the last page so far
 * @boundaries: the user addresses at which the runs behind the first begin, or-ed
 * @nr: runs so far
 * @last: the run that still grows, if there is one
 * @free: where the next run goes
 * @limit: the end of the room at @free
 * @head: first chunk; used after @few
 * @tail: last chunk
 * @taken: runs taken so far
 * @few: room for the first runs
 */
struct phyr_builder {
	unsigned long end;
	unsigned long boundaries;
	unsigned long nr;
	struct phyr *last;
	struct phyr *free;
	struct phyr *limit;
	struct phyr_chunk *head;
	struct phyr_chunk *tail;
	unsigned long taken;
	struct phyr few[PHYR_FEW_RUNS];
};

void phyr_builder_init(struct phyr_builder *builder, unsigned long start);
int phyr_builder_grow(struct phyr_builder *builder);
unsigned long phyr_builder_take(struct phyr_builder *builder, struct phyr **runs);
int phyr_builder_finish(struct phyr_builder *builder, struct phyr_array *array,
			unsigned long start, size_t len);

/**
 * phyr_builder_add - append physical memory to the region
 * @builder: the builder
 * @addr: physical address of the first page
 * @len: bytes, whole pages
 *
 * Memory that continues the last run becomes part of that run. The function is
 * inline because it is called for each base page.
 *
 * Context: May sleep.
 * Return: 0, or -ENOMEM with the builder unchanged.
 */
static inline int phyr_builder_add(struct phyr_builder *builder, phys_addr_t addr, size_t len)
{
	struct phyr *last = builder->last, *run;

	if (last && last->addr + last->len == addr) {
		last->len += len;
		builder->end += len;
		return 0;
	}
	if (builder->free == builder->limit && phyr_builder_grow(builder))
		return -ENOMEM;
	if (last)
		builder->boundaries |= builder->end;
	run = builder->free++;
	run->addr = addr;
	run->len = len;
	builder->last = run;
	builder->end += len;
	builder->nr++;
	return 0;
}

#endif
