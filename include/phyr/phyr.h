/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * phyr: user memory as physical ranges.
 *
 * A phyr is a run of physical memory: address and length. A phyr array
 * describes a region of user memory as the shortest sequence of phyrs, in the
 * order of the region's bytes. It finds the physical address of any byte of the
 * region. phyr_pin_user() pins memory and makes an array of it, at a cost that
 * follows the number of folios and not the number of pages. phyr_unpin_user()
 * undoes that. phyr_dma_map() gives a device access to an array's memory. It makes
 * a DMA list, which says where the device finds the memory, with as few entries as
 * the machine allows.
 *
 * Words used here and in kernel/core:
 *
 *  region  the bytes [start, start + len) of a user address space
 *  offset  distance of a byte from the region's first byte
 *  run     a phyr that no neighbour continues; the array's "nr" counts runs
 *  range   the same for a device: contiguous DMA addresses that no neighbour continues
 *  entry   a range, or a part of one, that keeps to the limits which the device states
 *  end     the first byte (or page) behind a region or a range
 */
#ifndef PHYR_PHYR_H
#define PHYR_PHYR_H

#include <asm/barrier.h>
#include <linux/compiler.h>
#include <linux/dma-direction.h>
#include <linux/types.h>

struct device;
struct sg_append_table;

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
 * enum phyr_array_kind - how an array stores its runs
 * @PHYR_ARRAY_EMPTY: there are no runs
 * @PHYR_ARRAY_ONE: a single run, as one block that is larger than any region
 * @PHYR_ARRAY_BLOCKS: equal blocks
 * @PHYR_ARRAY_EXTENTS: an entry for each run
 */
enum phyr_array_kind {
	PHYR_ARRAY_EMPTY,
	PHYR_ARRAY_ONE,
	PHYR_ARRAY_BLOCKS,
	PHYR_ARRAY_EXTENTS,
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
 * @kind: enum phyr_array_kind
 * @shift: one, blocks: log2 of the size of a block
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
 * and the call that frees it. The owner of an array made by phyr_array_alloc_blocks()
 * has to ensure this. Readers need no barrier either, if they have found the array in a
 * usual way: the CPU that made it published it by a release (a lock,
 * rcu_assign_pointer(), xa_store()), and the reader has taken that lock or followed that
 * pointer.
 *
 * Anybody may read @len, @nr, @largest, @smallest and @table_bytes. The other members
 * are for kernel/core and for the inline functions here.
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
	u8 kind;
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

/**
 * phyr_array_block_size - size of the blocks that an array is stored as
 * @array: the array
 *
 * Context: Any.
 * Return: Size of the blocks in bytes; 0 if @array is stored as extents or as a single run.
 */
static inline u64 phyr_array_block_size(const struct phyr_array *array)
{
	return array->kind == PHYR_ARRAY_BLOCKS ? 1ULL << array->shift : 0;
}

struct phyr phyr_array_find_extent(const struct phyr_array *array, size_t offset);

/**
 * phyr_array_find - the physical memory behind an offset
 * @array: array to look in
 * @offset: offset of a byte in the region
 *
 * The phyr returned starts at that byte. It may end before its run does: callers
 * that want more ask again behind it.
 *
 * If the runs are uniform, this reads one table entry. Otherwise it reads a few, by
 * a binary search within a bucket that has one or two runs on average.
 *
 * struct phyr_array says what orders the look-up against the CPU that made the array.
 * Only an array of blocks can change during a look-up. Its length is set last and read
 * first, so a look-up that sees the new length sees all of the new region.
 *
 * Context: Any. The caller keeps the array alive.
 * Return: The phyr; its length is 0 if @offset is not in the region.
 */
static inline struct phyr phyr_array_find(const struct phyr_array *array, size_t offset)
{
	/* Pairs with the release in phyr_array_end_blocks(). */
	size_t len = smp_load_acquire(&array->len);
	struct phyr phyr = {};
	u64 in_block, left;
	size_t index;

	if (offset >= len)
		return phyr;
	if (array->kind == PHYR_ARRAY_EXTENTS)
		return phyr_array_find_extent(array, offset);

	index = (array->skew + offset) >> array->shift;
	/*
	 * This happens only in a block array that is being refilled. The acquire
	 * pairs with the release in phyr_array_add_block(): an entry that is read
	 * has been written, whether it is of the old region or of the new one.
	 */
	if (index >= smp_load_acquire(&array->blocks))
		return phyr;
	in_block = (array->skew + offset) & ((1ULL << array->shift) - 1);
	left = (1ULL << array->shift) - in_block;
	phyr.addr = READ_ONCE(array->block[index]) + in_block;
	phyr.len = left < len - offset ? left : len - offset;
	return phyr;
}

/**
 * struct phyr_iter - a place in an array, for phyr_array_next_run()
 * @offset: offset where the next run begins, or where the rest of a run begins
 * @index: the table entry that @offset is in
 */
struct phyr_iter {
	size_t offset;
	unsigned long index;
};

bool phyr_array_next_run(const struct phyr_array *array, struct phyr_iter *iter, struct phyr *run);
struct phyr_iter phyr_array_seek(const struct phyr_array *array, size_t offset);

int phyr_array_alloc_blocks(struct phyr_array *array, unsigned long capacity);
int phyr_array_begin_blocks(struct phyr_array *array, unsigned int shift);
int phyr_array_add_block(struct phyr_array *array, phys_addr_t addr);
void phyr_array_end_blocks(struct phyr_array *array, u64 skew, size_t len);
void phyr_array_free(struct phyr_array *array);

/**
 * struct phyr_pin_stats - how a region came to be pinned
 * @ns: nanoseconds spent on pinning the memory and describing it
 * @folio_hits: how many large folios, or contiguously mapped parts of them, were pinned in
 *	one step
 * @fallbacks: how often GUP had to pin pages of a large folio one by one. Either only one page
 *	of it was mapped there that could be pinned without waiting, or the folio could not take
 *	more pins at once.
 *
 * Base pages count as neither; the number of runs shows that memory consists of them. Folios
 * that GUP pins together with base pages count as neither, too.
 */
struct phyr_pin_stats {
	u64 ns;
	unsigned long folio_hits;
	unsigned long fallbacks;
};

int phyr_pin_user(struct phyr_array *array, unsigned long start, size_t len, bool writable,
		  struct phyr_pin_stats *stats);
void phyr_unpin_user(struct phyr_array *array, bool dirty);
int phyr_pin_user_sg(struct sg_append_table *table, unsigned long start, size_t len, bool writable,
		     size_t max_segment);

/**
 * struct phyr_dma - contiguous DMA addresses
 * @addr: DMA address of the first byte
 * @len: length in bytes
 */
struct phyr_dma {
	dma_addr_t addr;
	size_t len;
};

/**
 * struct phyr_dma_list - where a device finds the bytes of a region
 * @ranges: an array over the same offsets, with DMA in place of physical addresses
 * @nr: number of entries, that is, how often phyr_dma_next_entry() returns one
 * @max_segment: the most bytes of an entry, from dma_get_max_seg_size()
 * @boundary: from dma_get_seg_boundary(); no entry crosses a multiple of @boundary + 1
 *
 * phyr_dma_map() makes a list. It does not change, and readers need no lock.
 */
struct phyr_dma_list {
	struct phyr_array ranges;
	unsigned long nr;
	size_t max_segment;
	u64 boundary;
};

/*
 * The functions phyr_dma_*() are for drivers that keep phyrs in place of a scatterlist. There is no
 * such driver yet: only tests call these functions.
 */
struct phyr_dma_list *phyr_dma_map(struct device *dev, const struct phyr_array *array, u64 iova,
				   enum dma_data_direction dir, unsigned long attrs);
void phyr_dma_unmap(struct phyr_dma_list *list);

/**
 * phyr_dma_find - the DMA address of an offset
 * @list: the list
 * @offset: offset of a byte in the region
 *
 * As with phyr_array_find(), the addresses returned may end before their range does.
 * The device's limits are not applied.
 *
 * Context: Any. The caller keeps the list alive.
 * Return: The DMA addresses from that byte on; their length is 0 if @offset is
 * not in the region.
 */
static inline struct phyr_dma phyr_dma_find(const struct phyr_dma_list *list, size_t offset)
{
	struct phyr found = phyr_array_find(&list->ranges, offset);

	return (struct phyr_dma){ .addr = found.addr, .len = found.len };
}

/**
 * struct phyr_dma_iter - a place in a list, for phyr_dma_next_entry()
 * @ranges: the place of the next range
 * @rest: the rest of the current range
 */
struct phyr_dma_iter {
	struct phyr_iter ranges;
	struct phyr rest;
};

bool phyr_dma_next_entry(const struct phyr_dma_list *list, struct phyr_dma_iter *iter,
			 struct phyr_dma *entry);

unsigned long phyr_dma_best_block(const struct phyr_dma_list *list, unsigned long sizes, u64 iova);
size_t phyr_dma_nr_blocks(const struct phyr_dma_list *list, unsigned long size, u64 iova);

/**
 * phyr_dma_next_block - iterate over a list in blocks of equal size
 * @list: the list
 * @offset: where the next block begins; 0 at first
 * @size: size of the blocks: what phyr_dma_best_block() returned, or a power of
 *	two up to PAGE_SIZE
 * @block: where to put the block's DMA address, a multiple of @size
 *
 * This is what rdma_umem_for_each_dma_block() does for scatterlists. A page table
 * that has these blocks one behind the other is a page table of the region. The
 * first block may begin before the region, and the last may end behind it: the
 * device must keep to the bytes of the MR.
 *
 * Context: Any.
 * Return: false when there are no more blocks, and @block is not written.
 */
static inline bool phyr_dma_next_block(const struct phyr_dma_list *list, size_t *offset,
				       unsigned long size, dma_addr_t *block)
{
	struct phyr_dma found = phyr_dma_find(list, *offset);

	if (!found.len)
		return false;
	*block = found.addr & ~((dma_addr_t)size - 1);
	*offset += size - (found.addr & (size - 1));
	return true;
}

#endif
