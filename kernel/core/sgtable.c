// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Scatterlists, for those parts of the kernel that know nothing else: an entry a
 * run, not one a page.
 *
 * How many entries there are is known only when the runs have been cut to what
 * an entry may hold. So as many are allocated as there can be at most, one a run and
 * one more for each cut, and the end is marked where it turns out to be. (No
 * pinned region has more pages than an unsigned int can count, nor entries then.)
 */
#include <linux/align.h>
#include <linux/limits.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/pfn.h>

#include "builder.h"
#include "pages.h"
#include "sgtable.h"

/**
 * struct filler - a scatterlist that is being filled
 * @table: the table
 * @max_segment: bytes that an entry may hold
 * @boundary: no entry crosses a multiple of one more, counted from the first byte
 * @done: bytes so far
 * @last: the last entry written
 */
struct filler {
	struct sg_append_table *table;
	size_t max_segment;
	u64 boundary;
	size_t done;
	struct scatterlist *last;
};

static int begin(struct filler *filler, struct sg_append_table *table, unsigned long runs,
		 size_t bytes, size_t max_segment, u64 boundary)
{
	size_t nr, crossed = boundary < bytes ? bytes / (boundary + 1) : 0;
	int ret;

	*table = (struct sg_append_table){};
	/* What the length of an entry can hold. */
	max_segment = ALIGN_DOWN(min_t(size_t, max_segment, UINT_MAX), PAGE_SIZE);
	if (!max_segment)
		return -EINVAL;
	nr = min(runs + bytes / max_segment + crossed, bytes / PAGE_SIZE);
	ret = sg_alloc_table(&table->sgt, nr, GFP_KERNEL);
	if (ret)
		return ret;
	table->total_nents = nr;
	table->sgt.orig_nents = 0;
	*filler = (struct filler){ .table = table, .max_segment = max_segment,
				    .boundary = boundary };
	return 0;
}

static void add(struct filler *filler, phys_addr_t addr, size_t left)
{
	struct scatterlist *sg;
	size_t len;

	for (; left; addr += len, left -= len) {
		len = min3((u64)left - 1, (u64)filler->max_segment - 1,
			   filler->boundary - (filler->done & filler->boundary)) + 1;
		filler->done += len;
		sg = filler->last ? sg_next(filler->last) : filler->table->sgt.sgl;
		sg_set_page(sg, pfn_to_page(PHYS_PFN(addr)), len, 0);
		filler->table->sgt.orig_nents++;
		filler->last = sg;
	}
}

static void end(struct filler *filler)
{
	sg_mark_end(filler->last);
	filler->table->sgt.nents = filler->table->sgt.orig_nents;
}

/**
 * phyr_builder_finish_sg - make a scatterlist of a complete region
 * @builder: a builder with at least one run
 * @table: table to set up, for sg_free_append_table()
 * @bytes: the builder's bytes
 * @max_segment: no entry has more bytes
 *
 * Context: May sleep.
 * Return: 0 and the builder is empty; or -ENOMEM or -EINVAL, the table empty and
 * the builder unchanged.
 */
int phyr_builder_finish_sg(struct phyr_builder *builder, struct sg_append_table *table,
			   size_t bytes, size_t max_segment)
{
	struct filler filler;
	unsigned long nr;
	struct phyr *run;
	int ret;

	ret = begin(&filler, table, builder->nr, bytes, max_segment, U64_MAX);
	if (ret)
		return ret;
	while ((nr = phyr_builder_take(builder, &run)))
		for (; nr; nr--, run++)
			add(&filler, run->addr, run->len);
	end(&filler);
	return 0;
}

/**
 * phyr_array_to_sg - make a scatterlist of an array
 * @array: the array, unchanged
 * @bytes: of the pages that it is in
 * @table: table to set up, for sg_free_append_table()
 * @max_segment: no entry has more bytes
 * @boundary: no entry crosses a multiple of one more, counted from the first byte
 *
 * Context: May sleep.
 * Return: 0; or -ENOMEM, -EINVAL, or -EINTR for a fatal signal, and the table is
 * empty.
 */
int phyr_array_to_sg(const struct phyr_array *array, size_t bytes, struct sg_append_table *table,
		     size_t max_segment, u64 boundary)
{
	struct phyr_iter iter = {};
	unsigned int steps = 0;
	struct filler filler;
	struct phyr pages;
	int ret;

	ret = begin(&filler, table, array->nr, bytes, max_segment, boundary);
	if (ret)
		return ret;
	while (phyr_array_next_pages(array, &iter, &pages)) {
		add(&filler, pages.addr, pages.len);
		ret = phyr_breathe_killable(&steps);
		if (ret) {
			sg_free_append_table(table);
			*table = (struct sg_append_table){};
			return ret;
		}
	}
	end(&filler);
	return 0;
}
