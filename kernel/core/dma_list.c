// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * DMA lists that are finished. A driver fills its table of an MR from them.
 *
 * There are devices of two kinds. Some take (address, length) pairs, and state
 * limits for these; a list gives them entries. Others have page tables, whose
 * pages all have the same size within an MR; a list gives them blocks, and those
 * limits do not apply.
 */
#include <linux/align.h>
#include <linux/bitops.h>
#include <linux/export.h>
#include <linux/kernel.h>
#include <linux/log2.h>
#include <linux/mm.h>
#include <linux/overflow.h>

#include "array.h"

/* How much of a range the device takes as one. */
static size_t entry_len(const struct phyr_dma_list *list, const struct phyr *range)
{
	u64 to_boundary = list->boundary - (range->addr & list->boundary);
	size_t max = list->max_segment;

	/* End with a page, so that the next entry begins with one. */
	if (max >= 2 * PAGE_SIZE)
		max = ALIGN_DOWN(max, PAGE_SIZE) - (range->addr & ~PAGE_MASK);
	/* One less, as the boundary can be that of all addresses. */
	return min3((u64)max - 1, (u64)range->len - 1, to_boundary) + 1;
}

/**
 * phyr_dma_next_entry - iterate over a list within the device's limits
 * @list: the list
 * @iter: where the iteration has got to; zeroed at first
 * @entry: where to put the entry
 *
 * Entries are in the order of the region's bytes, and have all of them. None is
 * longer than the device's longest segment, and none crosses its segment boundary.
 * Within these limits they are as long as possible. An entry that has room for two
 * pages ends with a page.
 *
 * Context: Any.
 * Return: false when there are no more entries, and @entry is not written.
 */
bool phyr_dma_next_entry(const struct phyr_dma_list *list, struct phyr_dma_iter *iter,
			 struct phyr_dma *entry)
{
	struct phyr *rest = &iter->rest;

	if (!rest->len && !phyr_array_next_run(&list->ranges, &iter->ranges, rest))
		return false;
	entry->addr = rest->addr;
	entry->len = entry_len(list, rest);
	rest->addr += entry->len;
	rest->len -= entry->len;
	return true;
}
EXPORT_SYMBOL_GPL(phyr_dma_next_entry);

/**
 * phyr_dma_best_block - the best size of blocks for a region
 * @list: the list
 * @sizes: the sizes that the device has, or-ed: powers of two
 * @iova: address of the region's first byte on the wire
 *
 * This is what ib_umem_find_best_pgsz() is for scatterlists. In a page table, the
 * low bits of an IOVA pass through to the DMA address. So a size is possible if
 * IOVA and DMA address are equal modulo that size in each range, and if each range
 * behind the first begins with a block. The best is the largest that is possible.
 * If several have the whole region in one block, it is the smallest of these.
 *
 * Context: Any; looks at each range.
 * Return: The size, or 0 if none is possible. Sizes up to PAGE_SIZE are always
 * possible if @iova is the region's user address, or differs from it by a multiple
 * of the size.
 */
unsigned long phyr_dma_best_block(const struct phyr_dma_list *list, unsigned long sizes, u64 iova)
{
	struct phyr_iter iter = {};
	unsigned long differ = 0;
	struct phyr range;
	unsigned int bits;
	u64 last;

	if (check_add_overflow(iova, (u64)list->ranges.len - 1, &last))
		return 0;
	/* Larger than this means the same single block. */
	bits = bits_per(iova ^ last);
	if (bits < BITS_PER_LONG)
		differ = sizes & GENMASK(BITS_PER_LONG - 1, bits);

	while (phyr_array_next_run(&list->ranges, &iter, &range)) {
		u64 at = iova + iter.offset - range.len;

		differ |= range.addr ^ at;
		if (at != iova)
			differ |= at;
	}
	if (differ)
		sizes &= GENMASK(__ffs(differ), 0);
	return sizes ? rounddown_pow_of_two(sizes) : 0;
}
EXPORT_SYMBOL_GPL(phyr_dma_best_block);

/**
 * phyr_dma_nr_blocks - the number of blocks of a region
 * @list: the list
 * @size: size of the blocks, a power of two
 * @iova: address of the region's first byte on the wire
 *
 * Context: Any.
 * Return: How many blocks phyr_dma_next_block() will give, if the size is one
 * that it can be called with for this @iova.
 */
size_t phyr_dma_nr_blocks(const struct phyr_dma_list *list, unsigned long size, u64 iova)
{
	size_t in_block = iova & (size - 1);

	return DIV_ROUND_UP(in_block + list->ranges.len, size);
}
EXPORT_SYMBOL_GPL(phyr_dma_nr_blocks);
