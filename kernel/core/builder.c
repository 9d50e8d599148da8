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

/* Table entries written between two looks at the scheduler: a run may have as many as a region. */
#define BLOCKS_AT_ONCE 65536

#define CHUNK_RUNS ((PAGE_SIZE - sizeof(struct phyr_chunk *)) / sizeof(struct phyr))

struct phyr_chunk {
	struct phyr_chunk *next;
	struct phyr run[CHUNK_RUNS];
};

static_assert(sizeof(struct phyr_chunk) <= PAGE_SIZE);

/**
 * phyr_builder_init - begin a region
 * @builder: builder to set up
 * @start: user address of the region's first page
 */
void phyr_builder_init(struct phyr_builder *builder, unsigned long start)
{
	builder->end = start;
	builder->boundaries = 0;
	builder->nr = 0;
	builder->last = NULL;
	builder->free = builder->few;
	builder->limit = builder->few + PHYR_FEW_RUNS;
	builder->head = NULL;
	builder->tail = NULL;
	builder->taken = 0;
}

/* Make room for more runs: for phyr_builder_add() only. */
int phyr_builder_grow(struct phyr_builder *builder)
{
	struct phyr_chunk *chunk = kmalloc(sizeof(*chunk), GFP_KERNEL);

	if (!chunk)
		return -ENOMEM;
	chunk->next = NULL;
	if (builder->tail)
		builder->tail->next = chunk;
	else
		builder->head = chunk;
	builder->tail = chunk;
	builder->free = chunk->run;
	builder->limit = chunk->run + CHUNK_RUNS;
	return 0;
}

/**
 * phyr_builder_take - remove the first runs
 * @builder: the builder; nothing can be added to it any more
 * @runs: where to put a pointer to the runs, valid until the next call
 *
 * Context: May sleep.
 * Return: How many runs there are at *@runs; 0 when there are no more. The
 * builder then holds no memory.
 */
unsigned long phyr_builder_take(struct phyr_builder *builder, struct phyr **runs)
{
	struct phyr_chunk *chunk = builder->head;
	unsigned long nr;

	if (!builder->taken) {
		*runs = builder->few;
		nr = min_t(unsigned long, builder->nr, PHYR_FEW_RUNS);
		builder->taken = nr;
		return nr;
	}
	/* The first chunk was given out by the last call, unless that gave the few. */
	if (chunk && builder->taken > PHYR_FEW_RUNS) {
		builder->head = chunk->next;
		kfree(chunk);
		cond_resched();
		chunk = builder->head;
	}
	if (!chunk)
		return 0;
	*runs = chunk->run;
	nr = min_t(unsigned long, builder->nr - builder->taken, CHUNK_RUNS);
	builder->taken += nr;
	return nr;
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
 * The first block may begin before the region, and even before physical address 0.
 * Then its address wraps around, and what a look-up adds to it wraps back. So the
 * loops count blocks, and compare no addresses.
 */
static void fill_blocks(struct phyr_builder *builder, struct phyr_array *array)
{
	size_t skew = array->skew, size = 1UL << array->shift;
	size_t largest = 0, smallest = SIZE_MAX;
	u64 *block = array->block;
	struct phyr *run;
	unsigned long nr;

	while ((nr = phyr_builder_take(builder, &run)))
		for (; nr; nr--, run++) {
			size_t done, len = run->len;
			u64 addr = run->addr;

			/* Most runs have one block, and pay for nothing else. */
			*block++ = addr - skew;
			for (done = size; done < skew + len; done += size) {
				*block++ = addr - skew + done;
				if (!((block - array->block) % BLOCKS_AT_ONCE))
					cond_resched();
			}
			/* Only the region's first block begins before its first byte. */
			skew = 0;
			largest = max(largest, len);
			smallest = min(smallest, len);
		}
	array->blocks = block - array->block;
	array->largest = largest;
	array->smallest = smallest;
}

static void fill_extents(struct phyr_builder *builder, struct phyr_array *array)
{
	unsigned long nr, i = 0, page = 0, bucket = 0;
	size_t skew = array->skew;
	struct phyr *run;

	array->smallest = SIZE_MAX;
	while ((nr = phyr_builder_take(builder, &run)))
		for (; nr; nr--, run++, i++) {
			array->extent_addr[i] = run->addr - skew;
			array->extent_page[i] = page;
			page += DIV_ROUND_UP(skew + run->len, PAGE_SIZE);
			while (bucket << array->bucket_shift < page)
				array->bucket[bucket++] = i;
			skew = 0;
			array->largest = max(array->largest, run->len);
			array->smallest = min(array->smallest, run->len);
		}
	array->bucket[bucket] = i - 1;
}

/* Cut the runs, which are whole pages, to the bytes of the region. */
static void cut_to_region(struct phyr_builder *builder, unsigned long start, size_t len)
{
	size_t head = start & ~PAGE_MASK;
	struct phyr *first = builder->few;

	first->addr += head;
	first->len -= head;
	builder->last->len -= builder->end - start - len;
}

/**
 * phyr_builder_finish - make an array of a complete region
 * @builder: a builder with at least one run
 * @array: array to set up
 * @start: user address of the region, in the builder's first page
 * @len: bytes; the region ends in the builder's last page
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
int phyr_builder_finish(struct phyr_builder *builder, struct phyr_array *array,
			unsigned long start, size_t len)
{
	unsigned long pages = (builder->end - (start & PAGE_MASK)) >> PAGE_SHIFT;
	struct phyr_array new = {
		.len = len,
		.nr = builder->nr,
	};
	unsigned long blocks, buckets;
	u64 size;
	int ret;

	if (new.nr == 1) {
		cut_to_region(builder, start, len);
		new.largest = len;
		new.smallest = len;
		*array = new;
		phyr_array_set_one(array, builder->few[0].addr);
		builder->taken = 1;
		return 0;
	}

	/* The largest power of two that every run but the first begins at a multiple of. */
	new.shift = __ffs(builder->boundaries);
	size = 1ULL << new.shift;
	new.skew = start & (size - 1);
	blocks = (new.skew + len + size - 1) >> new.shift;
	new.bucket_shift = bucket_shift(pages, new.nr);
	buckets = ((pages - 1) >> new.bucket_shift) + 2;

	if (blocks * sizeof(u64) <= new.nr * PHYR_EXTENT_BYTES + buckets * sizeof(u32)) {
		ret = phyr_array_alloc_blocks(&new, blocks);
	} else {
		new.skew = start & ~PAGE_MASK;
		ret = phyr_array_alloc_extents(&new, new.nr, buckets);
	}
	if (ret)
		return ret;
	cut_to_region(builder, start, len);
	if (new.kind == PHYR_ARRAY_BLOCKS)
		fill_blocks(builder, &new);
	else
		fill_extents(builder, &new);
	*array = new;
	return 0;
}
