/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * phyr: user memory as physical ranges.
 *
 * A phyr is a run of physical memory: address and length. A phyr array
 * describes a region of user memory as the shortest sequence of phyrs, in the
 * order of the region's bytes, and finds the physical address of any byte of
 * it. phyr_pin_user() makes an array of pinned memory, at a cost that follows
 * the number of folios and not the number of pages; phyr_unpin_user() undoes it.
 *
 * Words used here and in kernel/core:
 *
 *  region  the bytes [start, start + len) of a user address space
 *  offset  distance of a byte from the region's first byte
 *  run     phyr that no neighbour continues: the array's "nr" counts runs
 *  end     is open: the first byte (or page) that is no longer in
 */
#ifndef PHYR_PHYR_H
#define PHYR_PHYR_H

#include <asm/barrier.h>
#include <linux/types.h>

/**
 * struct phyr - a physically contiguous range
 * @addr: physical address of its first byte
 * @len: its length in bytes
 */
struct phyr {
	phys_addr_t addr;
	size_t len;
};

/**
 * struct phyr_array - where the bytes of a region are
 * @len: length of the region in bytes
 * @nr: number of runs
 * @largest: length of the longest run, in bytes
 * @smallest: length of the shortest run, in bytes
 * @table_bytes: memory allocated for the tables below
 * @capacity: blocks: number of entries that there is room for
 * @blocks: blocks: number of entries; all of them have been set
 * @skew: bytes of the first block (or page) that lie before offset 0
 * @shift: log2 of the size of a block; 0 if the runs are stored as extents
 * @bucket_shift: extents: log2 of the pages in a bucket
 * @one: the only block, where the region is a single run
 * @block: blocks: physical address of each
 * @extent_addr: extents: physical address of each run
 * @extent_page: extents: first page of each run, counted in the region
 * @bucket: extents: the run that holds the first page of each bucket
 *
 * An array must not be copied or moved: it may point into itself.
 *
 * Readers need no lock: an array does not change between the call that made it
 * and the one that frees it (for arrays made by phyr_array_alloc_blocks() the
 * owner of the array sees to that). The members are for kernel/core and for
 * the inline functions here, but for @len, @nr, @largest, @smallest and
 * @table_bytes, which anybody may read.
 */
struct phyr_array {
	size_t len;
	unsigned long nr;
	size_t largest;
	size_t smallest;
	size_t table_bytes;
	unsigned long capacity;
	unsigned long blocks;
	u64 skew;
	u8 shift;
	u8 bucket_shift;
	u64 one;
	union {
		u64 *block;
		u64 *extent_addr;
	};
	u32 *extent_page;
	u32 *bucket;
};

struct phyr phyr_array_find_extent(const struct phyr_array *array, size_t offset);

/**
 * phyr_array_find - the physical memory behind an offset
 * @array: array to look in
 * @offset: offset of a byte in the region
 *
 * The phyr returned starts at that byte. It need not reach to the end of its
 * run: callers that want more ask again behind it.
 *
 * One table entry is read where the runs are uniform; else a handful, with a
 * binary search within a bucket that has one or two runs on average.
 *
 * Context: Any. The caller keeps the array alive.
 * Return: The phyr; its length is 0 if @offset is not in the region.
 */
static inline struct phyr phyr_array_find(const struct phyr_array *array, size_t offset)
{
	struct phyr phyr = {};
	u64 in_block, left;
	size_t index;

	if (offset >= array->len)
		return phyr;
	if (!array->shift)
		return phyr_array_find_extent(array, offset);

	index = (array->skew + offset) >> array->shift;
	/*
	 * Never so in a pinned region, but in a block array that is being
	 * refilled. The acquire pairs with the release in phyr_array_add_block():
	 * whatever else is seen of the old and the new, an entry that is read
	 * has been written.
	 */
	if (index >= smp_load_acquire(&array->blocks))
		return phyr;
	in_block = (array->skew + offset) & ((1ULL << array->shift) - 1);
	left = (1ULL << array->shift) - in_block;
	phyr.addr = array->block[index] + in_block;
	phyr.len = left < array->len - offset ? left : array->len - offset;
	return phyr;
}

/**
 * struct phyr_iter - a place in an array, for phyr_array_next_run()
 * @offset: offset of the next run
 * @index: its first table entry
 */
struct phyr_iter {
	size_t offset;
	unsigned long index;
};

bool phyr_array_next_run(const struct phyr_array *array, struct phyr_iter *iter, struct phyr *run);

int phyr_array_alloc_blocks(struct phyr_array *array, unsigned long capacity);
int phyr_array_begin_blocks(struct phyr_array *array, unsigned int shift);
int phyr_array_add_block(struct phyr_array *array, phys_addr_t addr);
void phyr_array_end_blocks(struct phyr_array *array, u64 skew, size_t len);
void phyr_array_free(struct phyr_array *array);

int phyr_pin_user(struct phyr_array *array, unsigned long start, size_t len, bool writable);
void phyr_unpin_user(struct phyr_array *array, bool dirty);

#endif
