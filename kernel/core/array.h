/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * What the files of kernel/core share about the storage of an array.
 */
#ifndef PHYR_ARRAY_H
#define PHYR_ARRAY_H

#include <linux/mm.h>
#include <phyr/phyr.h>

/* An extent is an address and a page number; buckets come on top. */
#define PHYR_EXTENT_BYTES (sizeof(u64) + sizeof(u32))

void phyr_array_set_one(struct phyr_array *array, u64 addr);
int phyr_array_alloc_extents(struct phyr_array *array, unsigned long nr, unsigned long buckets);

/* The blocks from index on that continue it, as far as they are wanted; index moves on. */
static inline struct phyr phyr_run_of_blocks(const struct phyr_array *array, unsigned long *index,
					     size_t enough)
{
	u64 size = 1ULL << array->shift;
	unsigned long i = *index;
	struct phyr run = {
		.addr = array->block[i],
		.len = size,
	};

	while (++i < array->blocks && array->block[i] == run.addr + run.len && run.len < enough)
		run.len += size;
	*index = i;
	return run;
}

static inline struct phyr phyr_run_of_extent(const struct phyr_array *array, unsigned long *index)
{
	unsigned long i = (*index)++;
	size_t begin = (size_t)array->extent_page[i] << PAGE_SHIFT;
	size_t end = array->skew + array->len;

	if (i + 1 < array->nr)
		end = (size_t)array->extent_page[i + 1] << PAGE_SHIFT;
	return (struct phyr){
		.addr = array->extent_addr[i],
		.len = end - begin,
	};
}

/*
 * phyr_array_next_run(), but content with a part of a run that is long enough:
 * a long run can take many blocks, and looking at them all takes its time.
 * Inline, since it is called for each base page of a fragmented region.
 */
static inline bool phyr_array_next_part(const struct phyr_array *array, struct phyr_iter *iter,
					struct phyr *run, size_t enough)
{
	/* The tables speak of whole blocks and pages, the region need not. */
	size_t before = iter->offset ? 0 : array->skew;
	size_t left = array->len - iter->offset;

	if (!left)
		return false;
	*run = array->shift ? phyr_run_of_blocks(array, &iter->index, enough) :
			      phyr_run_of_extent(array, &iter->index);
	run->addr += before;
	run->len -= before;
	if (run->len > left)
		run->len = left;
	iter->offset += run->len;
	return true;
}

#endif
