// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Arrays of phyrs: how they are stored and searched.
 *
 * An array is stored in one of three ways, so that it is small and the data
 * path finds a byte quickly:
 *
 *  one      A single run: its address is in struct phyr_array itself. It is
 *           looked up as one block that is larger than any region.
 *  blocks   A table of the addresses of equal blocks, whose size is a power
 *           of two, so that a shift and one load find a byte. Runs may begin
 *           only where a block begins; a long run takes several entries.
 *  extents  A table with an entry for each run: its address and the number of
 *           its first page. A run is found by binary search, which is cut
 *           short by buckets: the pages of the region divided into about as
 *           many equal parts as there are runs, and for each part the run in
 *           which it begins. What is sought in bucket b lies in a run from
 *           bucket[b] up to and including bucket[b + 1].
 *
 * Blocks are counted from a multiple of their size in the user's address
 * space, since folios are aligned there. "skew" is the distance from there to
 * the region's first byte. The first block may begin before the region. Then its
 * address is that of a byte outside the region, which is never looked up.
 */
#include <linux/export.h>
#include <linux/kernel.h>
#include <linux/limits.h>
#include <linux/mm.h>
#include <linux/overflow.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>

#include "array.h"

/* Enough for any region, and still a valid shift. */
#define ONE_SHIFT 63

/* The memory need not be contiguous. Of a size above INT_MAX, kvmalloc() warns. */
static void *alloc_table(struct phyr_array *array, unsigned long nr, size_t size)
{
	size_t bytes = array_size(nr, size);
	void *table = bytes > INT_MAX ? __vmalloc(bytes, GFP_KERNEL | __GFP_NOWARN) :
					kvmalloc(bytes, GFP_KERNEL);

	if (table)
		array->table_bytes += bytes;
	return table;
}

/* A region that is one run. */
void phyr_array_set_one(struct phyr_array *array, u64 addr)
{
	array->kind = PHYR_ARRAY_ONE;
	array->one = addr;
	array->block = &array->one;
	array->capacity = 1;
	array->blocks = 1;
	array->skew = 0;
	array->shift = ONE_SHIFT;
}

int phyr_array_alloc_extents(struct phyr_array *array, unsigned long nr, unsigned long buckets)
{
	array->extent_addr = alloc_table(array, nr, sizeof(*array->extent_addr));
	array->extent_page = alloc_table(array, nr, sizeof(*array->extent_page));
	array->bucket = alloc_table(array, buckets, sizeof(*array->bucket));
	if (!array->extent_addr || !array->extent_page || !array->bucket) {
		phyr_array_free(array);
		return -ENOMEM;
	}
	array->kind = PHYR_ARRAY_EXTENTS;
	return 0;
}

/**
 * phyr_array_free - free the tables of an array
 * @array: the array, empty afterwards. Memory that it describes is not touched.
 *
 * Context: May sleep.
 */
void phyr_array_free(struct phyr_array *array)
{
	if (array->kind != PHYR_ARRAY_ONE)
		kvfree(array->block);
	kvfree(array->extent_page);
	kvfree(array->bucket);
	*array = (struct phyr_array){};
}
EXPORT_SYMBOL_GPL(phyr_array_free);

/* The last run that begins at the page or before. */
static unsigned long extent_of_page(const struct phyr_array *array, unsigned long page)
{
	unsigned long bucket = page >> array->bucket_shift;
	unsigned long low = array->bucket[bucket];
	unsigned long high = array->bucket[bucket + 1];

	while (low < high) {
		unsigned long middle = low + (high - low + 1) / 2;

		if (array->extent_page[middle] <= page)
			low = middle;
		else
			high = middle - 1;
	}
	return low;
}

/**
 * phyr_array_find_extent - phyr_array_find() for an array of extents
 * @array: an array stored as extents
 * @offset: offset of a byte in the region; less than its length
 *
 * Call phyr_array_find() instead.
 *
 * Context: Any.
 * Return: The phyr from that byte to the end of its run.
 */
struct phyr phyr_array_find_extent(const struct phyr_array *array, size_t offset)
{
	size_t at = array->skew + offset;
	unsigned long low = extent_of_page(array, at >> PAGE_SHIFT);
	size_t begin = (size_t)array->extent_page[low] << PAGE_SHIFT;
	size_t end = array->len;

	if (low + 1 < array->nr)
		end = ((size_t)array->extent_page[low + 1] << PAGE_SHIFT) - array->skew;
	return (struct phyr){
		.addr = array->extent_addr[low] + (at - begin),
		.len = end - offset,
	};
}
EXPORT_SYMBOL_GPL(phyr_array_find_extent);

/* Where a table entry begins, counted from where the table begins. */
static u64 entry_begin(const struct phyr_array *array, unsigned long index)
{
	return array->kind == PHYR_ARRAY_EXTENTS ? (u64)array->extent_page[index] << PAGE_SHIFT :
						   (u64)index << array->shift;
}

/* The blocks from index on that continue it; index moves on. */
static struct phyr run_of_blocks(const struct phyr_array *array, unsigned long *index)
{
	u64 size = 1ULL << array->shift;
	unsigned long i = *index;
	struct phyr run = {
		.addr = array->block[i],
		.len = size,
	};

	while (++i < array->blocks && array->block[i] == run.addr + run.len)
		run.len += size;
	*index = i;
	return run;
}

static struct phyr run_of_extent(const struct phyr_array *array, unsigned long *index)
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

/**
 * phyr_array_next_run - iterate over the runs of an array
 * @array: the array
 * @iter: where the iteration has got to; zeroed at first, or from phyr_array_seek()
 * @run: where to put the run
 *
 * Context: Any.
 * Return: false when there are no more runs, and @run is not written.
 */
bool phyr_array_next_run(const struct phyr_array *array, struct phyr_iter *iter, struct phyr *run)
{
	size_t left, before;

	if (iter->offset >= array->len)
		return false;
	left = array->len - iter->offset;
	/* The tables speak of whole blocks and pages; region and iteration may begin in one. */
	before = array->skew + iter->offset - entry_begin(array, iter->index);
	*run = array->kind == PHYR_ARRAY_EXTENTS ? run_of_extent(array, &iter->index) :
						   run_of_blocks(array, &iter->index);
	run->addr += before;
	run->len -= before;
	if (run->len > left)
		run->len = left;
	iter->offset += run->len;
	return true;
}
EXPORT_SYMBOL_GPL(phyr_array_next_run);

/**
 * phyr_array_seek - begin an iteration over runs somewhere in the array
 * @array: the array
 * @offset: offset of a byte in the region, or the region's length
 *
 * Context: Any.
 * Return: For phyr_array_next_run(), which then gives what is left of the run from
 * that byte on, and the runs that follow.
 */
struct phyr_iter phyr_array_seek(const struct phyr_array *array, size_t offset)
{
	struct phyr_iter iter = { .offset = offset };
	size_t at = array->skew + offset;

	if (offset < array->len)
		iter.index = array->kind == PHYR_ARRAY_EXTENTS ?
			     extent_of_page(array, at >> PAGE_SHIFT) : at >> array->shift;
	return iter;
}
EXPORT_SYMBOL_GPL(phyr_array_seek);

/**
 * phyr_array_alloc_blocks - allocate an array of blocks
 * @array: array, zeroed or with its length and counts set
 * @capacity: how many blocks it can hold
 *
 * This is for regions whose blocks are given one by one, and more than once, as
 * those of a fast-registration MR are. The caller calls phyr_array_begin_blocks(),
 * phyr_array_add_block() for each block, and phyr_array_end_blocks(). These three
 * do not sleep. The caller must exclude concurrent calls of them. It should exclude
 * look-ups, too: a look-up meanwhile may find a block of the old region or of the
 * new one. As long as the size of blocks stays the same, it finds nothing else.
 *
 * Context: May sleep.
 * Return: 0 or -ENOMEM.
 */
int phyr_array_alloc_blocks(struct phyr_array *array, unsigned long capacity)
{
	array->block = alloc_table(array, capacity, sizeof(*array->block));
	if (!array->block)
		return -ENOMEM;
	array->kind = PHYR_ARRAY_BLOCKS;
	array->capacity = capacity;
	return 0;
}
EXPORT_SYMBOL_GPL(phyr_array_alloc_blocks);

/**
 * phyr_array_begin_blocks - empty an array of blocks
 * @array: array from phyr_array_alloc_blocks()
 * @shift: log2 of the size of the new blocks
 *
 * Context: Any.
 * Return: 0, or -EINVAL for a size that is not possible.
 */
int phyr_array_begin_blocks(struct phyr_array *array, unsigned int shift)
{
	if (!shift || shift >= ONE_SHIFT)
		return -EINVAL;
	WRITE_ONCE(array->len, 0);
	array->nr = 0;
	WRITE_ONCE(array->blocks, 0);
	array->skew = 0;
	array->shift = shift;
	return 0;
}
EXPORT_SYMBOL_GPL(phyr_array_begin_blocks);

/**
 * phyr_array_add_block - append a block
 * @array: array after phyr_array_begin_blocks()
 * @addr: physical address of the block
 *
 * Context: Any.
 * Return: 0, or -ENOMEM if the array is full.
 */
int phyr_array_add_block(struct phyr_array *array, phys_addr_t addr)
{
	if (array->blocks == array->capacity)
		return -ENOMEM;
	WRITE_ONCE(array->block[array->blocks], addr);
	/* A look-up that sees the number sees the block: see phyr_array_find(). */
	smp_store_release(&array->blocks, array->blocks + 1);
	return 0;
}
EXPORT_SYMBOL_GPL(phyr_array_add_block);

/**
 * phyr_array_end_blocks - the blocks are complete
 * @array: array after phyr_array_begin_blocks()
 * @skew: bytes of the first block before the region, less than a block
 * @len: length of the region; clamped to what the blocks hold
 *
 * Counts the runs, for which it looks at each block once.
 *
 * Context: Any.
 */
void phyr_array_end_blocks(struct phyr_array *array, u64 skew, size_t len)
{
	u64 held = (u64)array->blocks << array->shift;
	bool valid = skew < held && !(skew >> array->shift);
	size_t largest = 0, smallest = SIZE_MAX;
	struct phyr_iter iter = {};
	unsigned long nr = 0;
	struct phyr run;

	array->skew = skew;
	/* A look-up that sees the length sees the skew and the blocks: see phyr_array_find(). */
	smp_store_release(&array->len, valid ? min_t(u64, len, held - skew) : 0);
	while (phyr_array_next_run(array, &iter, &run)) {
		nr++;
		largest = max(largest, run.len);
		smallest = min(smallest, run.len);
	}
	array->nr = nr;
	array->largest = largest;
	array->smallest = nr ? smallest : 0;
}
EXPORT_SYMBOL_GPL(phyr_array_end_blocks);
