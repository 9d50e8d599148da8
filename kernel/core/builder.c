// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * From the runs of a region to a finished array. See builder.h for what a
 * builder is, and array.c for the three ways to store an array; this file
 * chooses between them, when the region is complete and its shape is known.
 */
#include <linux/bitops.h>
#include <linux/kernel.h>
#include <linux/limits.h>
#include <linux/mm.h>
#include <linux/sched.h>
#include <linux/slab.h>

#include "array.h"
#include "builder.h"

#define CHUNK_RUNS ((PAGE_SIZE - sizeof(struct phyr_chunk *) - sizeof(unsigned int)) / \
		    sizeof(struct phyr))

struct phyr_chunk {
	struct phyr_chunk *next;
	unsigned int nr;
	struct phyr run[CHUNK_RUNS];
};

static_assert(sizeof(struct phyr_chunk) <= PAGE_SIZE);

/**
 * phyr_builder_init - begin a region
 * @builder: builder to set up
 * @start: user address of the region's first byte
 */
void phyr_builder_init(struct phyr_builder *builder, unsigned long start)
{
	*builder = (struct phyr_builder){
		.start = start,
		.smallest = SIZE_MAX,
	};
}

/* Move the last run, which no longer grows, to the chunks. */
static int close_last(struct phyr_builder *builder)
{
	struct phyr_chunk *chunk = builder->tail;

	if (!chunk || chunk->nr == CHUNK_RUNS) {
		chunk = kmalloc(sizeof(*chunk), GFP_KERNEL);
		if (!chunk)
			return -ENOMEM;
		chunk->next = NULL;
		chunk->nr = 0;
		if (builder->tail)
			builder->tail->next = chunk;
		else
			builder->head = chunk;
		builder->tail = chunk;
	}
	chunk->run[chunk->nr++] = builder->last;
	builder->largest = max(builder->largest, builder->last.len);
	builder->smallest = min(builder->smallest, builder->last.len);
	return 0;
}

/**
 * phyr_builder_add - append physical memory to the region
 * @builder: the builder
 * @addr: physical address
 * @len: bytes, not 0
 *
 * Memory that continues the last run becomes part of it.
 *
 * Context: May sleep.
 * Return: 0, or -ENOMEM with the builder unchanged.
 */
int phyr_builder_add(struct phyr_builder *builder, phys_addr_t addr, size_t len)
{
	if (builder->last.len && builder->last.addr + builder->last.len == addr) {
		builder->last.len += len;
		builder->len += len;
		return 0;
	}
	if (builder->last.len) {
		int ret = close_last(builder);

		if (ret)
			return ret;
		builder->boundaries |= builder->start + builder->len;
	}
	builder->last.addr = addr;
	builder->last.len = len;
	builder->len += len;
	builder->nr++;
	return 0;
}

/**
 * phyr_builder_take - remove the first run
 * @builder: the builder; nothing can be added to it any more
 * @run: where to put the run
 *
 * Context: May sleep.
 * Return: false when there are no more runs. The builder then holds no memory.
 */
bool phyr_builder_take(struct phyr_builder *builder, struct phyr *run)
{
	struct phyr_chunk *chunk = builder->head;

	if (chunk) {
		*run = chunk->run[builder->taken++];
		if (builder->taken == chunk->nr) {
			builder->head = chunk->next;
			builder->taken = 0;
			kfree(chunk);
			cond_resched();
		}
		return true;
	}
	if (!builder->last.len)
		return false;
	*run = builder->last;
	builder->last.len = 0;
	return true;
}

/* The largest power of two that every run but the first begins at a multiple of. */
static unsigned int block_shift(const struct phyr_builder *builder)
{
	return __ffs(builder->boundaries);
}

/*
 * The fewest pages in a bucket (their log2) that leave an array of extents at
 * 16 bytes a run: not more than one bucket a run, with the one behind the last.
 */
static unsigned int bucket_shift(unsigned long pages, unsigned long runs)
{
	unsigned int shift = 0;

	while (((pages - 1) >> shift) + 2 > runs)
		shift++;
	return shift;
}

/*
 * Blocks are counted, and their addresses never compared: that of the first
 * may lie before physical address 0 and wrap around, since only its end need
 * be memory. What is added to it on look-up wraps back.
 */
static void fill_blocks(struct phyr_builder *builder, struct phyr_array *array)
{
	u64 skew = array->skew, size = 1ULL << array->shift;
	u64 *block = array->block;
	struct phyr run;

	while (phyr_builder_take(builder, &run)) {
		unsigned long nr = (skew + run.len + size - 1) >> array->shift;
		u64 addr = run.addr - skew;

		for (; nr; nr--, addr += size)
			*block++ = addr;
		/* Only the region's first block begins before its first byte. */
		skew = 0;
	}
	array->blocks = block - array->block;
}

static void fill_extents(struct phyr_builder *builder, struct phyr_array *array)
{
	size_t done = 0, skew = array->skew;
	unsigned long i = 0, bucket = 0;
	struct phyr run;

	while (phyr_builder_take(builder, &run)) {
		unsigned long page = (array->skew + done) >> PAGE_SHIFT;
		unsigned long end;

		done += run.len;
		end = DIV_ROUND_UP(array->skew + done, PAGE_SIZE);
		array->extent_addr[i] = run.addr - skew;
		array->extent_page[i] = page;
		while (bucket << array->bucket_shift < end)
			array->bucket[bucket++] = i;
		skew = 0;
		i++;
	}
	array->bucket[bucket] = i - 1;
}

/**
 * phyr_builder_finish - make an array of a complete region
 * @builder: a builder with at least one run
 * @array: array to set up
 *
 * One run needs no table. Else a table of equal blocks (8 bytes each, found
 * by a shift) or one of extents (at most 16 bytes each, found by a search),
 * whichever is smaller: blocks when the runs are uniform, or when they are so
 * short that the pages need less than the runs. Hence an array takes at most
 * 16 bytes a run and at most 8 bytes a page.
 *
 * Context: May sleep.
 * Return: 0 and the builder is empty; or -ENOMEM and the builder unchanged.
 */
int phyr_builder_finish(struct phyr_builder *builder, struct phyr_array *array)
{
	unsigned long page_skew = builder->start & ~PAGE_MASK;
	unsigned long pages = DIV_ROUND_UP(page_skew + builder->len, PAGE_SIZE);
	struct phyr_array new = {
		.len = builder->len,
		.nr = builder->nr,
		.largest = max(builder->largest, builder->last.len),
		.smallest = min(builder->smallest, builder->last.len),
	};
	unsigned long blocks;
	unsigned int buckets;
	u64 size;
	int ret;

	if (builder->nr == 1) {
		*array = new;
		phyr_array_set_one(array, builder->last.addr);
		builder->last.len = 0;
		return 0;
	}

	new.shift = block_shift(builder);
	size = 1ULL << new.shift;
	new.skew = builder->start & (size - 1);
	blocks = (new.skew + new.len + size - 1) >> new.shift;
	new.bucket_shift = bucket_shift(pages, builder->nr);
	buckets = ((pages - 1) >> new.bucket_shift) + 2;

	if (blocks * sizeof(u64) <= builder->nr * PHYR_EXTENT_BYTES + buckets * sizeof(u32)) {
		ret = phyr_array_alloc_blocks(&new, blocks);
		if (ret)
			return ret;
		fill_blocks(builder, &new);
	} else {
		new.shift = 0;
		new.skew = page_skew;
		ret = phyr_array_alloc_extents(&new, builder->nr, buckets);
		if (ret)
			return ret;
		fill_extents(builder, &new);
	}
	*array = new;
	return 0;
}
