// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * From an array to a scatterlist, for those parts of the kernel that know
 * nothing else: an entry a run, not one a page.
 */
#include <linux/align.h>
#include <linux/export.h>
#include <linux/limits.h>
#include <linux/math.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/pfn.h>
#include <linux/scatterlist.h>

#include "pages.h"

static int count(const struct phyr_array *array, size_t max_segment, size_t *nr)
{
	struct phyr_iter iter = {};
	unsigned int steps = 0;
	struct phyr pages;
	int ret = 0;

	*nr = 0;
	while (!ret && phyr_array_next_pages(array, &iter, &pages)) {
		*nr += DIV_ROUND_UP(pages.len, max_segment);
		ret = phyr_breathe_killable(&steps);
	}
	return ret;
}

static int fill(struct sg_table *table, const struct phyr_array *array, size_t max_segment)
{
	struct scatterlist *sg = table->sgl;
	struct phyr_iter iter = {};
	unsigned int steps = 0;
	struct phyr pages;
	int ret = 0;
	size_t len;

	while (!ret && phyr_array_next_pages(array, &iter, &pages)) {
		for (; pages.len; pages.addr += len, pages.len -= len) {
			len = min(pages.len, max_segment);
			sg_set_page(sg, pfn_to_page(PHYS_PFN(pages.addr)), len, 0);
			sg = sg_next(sg);
		}
		ret = phyr_breathe_killable(&steps);
	}
	return ret;
}

/**
 * phyr_alloc_sgtable - allocate a scatterlist with the pages of an array
 * @table: table to set up, for sg_free_table()
 * @array: array from phyr_pin_user()
 * @max_segment: no entry has more bytes; at least a page
 *
 * One entry a run, of whole pages: a region that begins or ends within a page
 * has all of it in the table. A run longer than @max_segment becomes several
 * entries.
 *
 * Runs that follow each other physically are one even where they are of
 * different folios. Nobody whom the table is for minds: there is a struct page
 * for each, and they have the same distance; and device memory that needs to be
 * told apart (P2PDMA) is not pinned by phyr_pin_user().
 *
 * Context: May sleep.
 * Return: 0, or -ENOMEM, -EINVAL for a @max_segment below a page, or -EINTR for
 * a fatal signal.
 */
int phyr_alloc_sgtable(struct sg_table *table, const struct phyr_array *array, size_t max_segment)
{
	size_t nr = array->nr;
	int ret;

	/* What the length of an entry can hold. */
	max_segment = ALIGN_DOWN(min_t(size_t, max_segment, UINT_MAX), PAGE_SIZE);
	if (!max_segment)
		return -EINVAL;
	/* Runs are longer than they say by less than a page at either end. */
	if (array->largest > max_segment - min(max_segment, 2 * PAGE_SIZE)) {
		ret = count(array, max_segment, &nr);
		if (ret)
			return ret;
	}
	if (nr > UINT_MAX)
		return -EINVAL;
	ret = sg_alloc_table(table, nr, GFP_KERNEL);
	if (ret)
		return ret;
	ret = fill(table, array, max_segment);
	if (ret)
		sg_free_table(table);
	return ret;
}
EXPORT_SYMBOL_GPL(phyr_alloc_sgtable);
