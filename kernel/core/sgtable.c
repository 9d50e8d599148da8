// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Scatterlists, for those parts of the kernel that know nothing else: an entry a
 * run, not one a page.
 *
 * A scatterlist is a chain of chunks, each a page of entries whose last place is the
 * link to the next chunk; the last chunk may be smaller, and has no link. An entry
 * takes twice the memory of a run. So the list is not allocated at once: it grows by
 * one chunk after the other while the runs that it is made of are freed, and all the
 * time both together take no more than the list does in the end.
 *
 * How many entries there are is known only when the runs have been cut to what
 * an entry may hold. "Most" is what there can be: one a run and one more for each
 * cut. The last chunk has room for what is left of these, and the end is marked where
 * it turns out to be. (No pinned region has more pages than an unsigned int can
 * count, nor entries then.)
 */
#include <linux/align.h>
#include <linux/limits.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/pfn.h>

#include "builder.h"
#include "pages.h"
#include "sgtable.h"
#include "unpin.h"

/**
 * struct filler - a scatterlist that is being filled
 * @table: the table; as it is, it can be freed at any time
 * @max_segment: bytes that an entry may hold
 * @boundary: no entry crosses a multiple of one more, counted from the first byte
 * @most: entries that there can be at most
 * @done: bytes so far
 * @chunk: the last chunk, whose entries are not counted in the table yet
 * @next: where the next entry goes
 * @limit: the end of the room at @next
 */
struct filler {
	struct sg_append_table *table;
	size_t max_segment;
	u64 boundary;
	size_t most;
	size_t done;
	struct scatterlist *chunk;
	struct scatterlist *next;
	struct scatterlist *limit;
};

static int fill_begin(struct filler *filler, struct sg_append_table *table, unsigned long runs,
		      size_t bytes, size_t max_segment, u64 boundary)
{
	size_t crossed = boundary < bytes ? bytes / (boundary + 1) : 0;

	*table = (struct sg_append_table){};
	/* What the length of an entry can hold. */
	max_segment = ALIGN_DOWN(min_t(size_t, max_segment, UINT_MAX), PAGE_SIZE);
	if (!max_segment)
		return -EINVAL;
	*filler = (struct filler){
		.table = table,
		.max_segment = max_segment,
		.boundary = boundary,
		.most = min(runs + bytes / max_segment + crossed, bytes / PAGE_SIZE),
	};
	return 0;
}

/*
 * Chain a new chunk behind the full one. It is a table of one chunk, from the
 * function that makes whole ones, as those who will free ours expect.
 */
static int fill_grow(struct filler *filler)
{
	struct sg_append_table *table = filler->table;
	struct sg_table chunk;
	unsigned int nr;
	size_t left;
	int ret;

	if (filler->chunk)
		table->sgt.orig_nents += filler->next - filler->chunk;
	left = filler->most - table->sgt.orig_nents;
	nr = min_t(size_t, left, SG_MAX_SINGLE_ALLOC);
	ret = sg_alloc_table(&chunk, nr, GFP_KERNEL);
	if (ret)
		return ret;
	if (filler->chunk) {
		/* What was its last place is no entry any more. */
		sg_chain(filler->chunk, SG_MAX_SINGLE_ALLOC, chunk.sgl);
		table->total_nents--;
	} else {
		table->sgt.sgl = chunk.sgl;
	}
	table->total_nents += nr;
	filler->chunk = chunk.sgl;
	filler->next = chunk.sgl;
	filler->limit = chunk.sgl + (left > nr ? nr - 1 : nr);
	return 0;
}

/* Bytes up to the next multiple that no entry crosses. */
static size_t fill_to_boundary(const struct filler *filler)
{
	return filler->boundary - (filler->done & filler->boundary) + 1;
}

/*
 * Add a run, or as much of it as there is memory for: the run becomes what is left of it.
 * Most are one entry, and there may be as many as pages: so it is inline.
 */
static __always_inline int fill_add(struct filler *filler, struct phyr *run)
{
	size_t len;
	int ret;

	for (; run->len; run->addr += len, run->len -= len) {
		if (filler->next == filler->limit) {
			ret = fill_grow(filler);
			if (ret)
				return ret;
		}
		len = min(run->len, filler->max_segment);
		if (filler->boundary != U64_MAX)
			len = min(len, fill_to_boundary(filler));
		filler->done += len;
		sg_set_page(filler->next++, pfn_to_page(PHYS_PFN(run->addr)), len, 0);
	}
	return 0;
}

static void fill_end(struct filler *filler)
{
	struct sg_table *table = &filler->table->sgt;

	sg_mark_end(filler->next - 1);
	table->orig_nents += filler->next - filler->chunk;
	table->nents = table->orig_nents;
}

static void drop_table(struct sg_append_table *table)
{
	sg_free_append_table(table);
	*table = (struct sg_append_table){};
}

/* Unpin what has come into the table, and the runs that were to follow. */
static void unpin_moved(struct sg_append_table *table, struct phyr *run, unsigned long nr)
{
	struct scatterlist *sg;
	unsigned int i;

	for_each_sgtable_sg(&table->sgt, sg, i) {
		phyr_unpin_pages(sg_page(sg), PHYS_PFN(sg->length), false);
		cond_resched();
	}
	phyr_unpin_runs(run, nr);
}

/**
 * phyr_builder_finish_sg - make a scatterlist of a complete region
 * @builder: a builder with at least one run
 * @table: table to set up, for sg_free_append_table()
 * @bytes: the builder's bytes
 * @max_segment: no entry has more bytes
 *
 * The runs are freed as they go into the table. So when memory runs out, the builder
 * has only those left that had not been looked at; the others have been unpinned.
 *
 * Context: May sleep.
 * Return: 0 and the builder is empty. Else the table is empty: -EINVAL and the
 * builder is unchanged; or -ENOMEM, and what the builder has left is the caller's to
 * unpin.
 */
int phyr_builder_finish_sg(struct phyr_builder *builder, struct sg_append_table *table,
			   size_t bytes, size_t max_segment)
{
	struct filler filler;
	unsigned long nr;
	struct phyr *run;
	int ret;

	ret = fill_begin(&filler, table, builder->nr, bytes, max_segment, U64_MAX);
	if (ret)
		return ret;
	while ((nr = phyr_builder_take(builder, &run)))
		for (; nr; nr--, run++) {
			ret = fill_add(&filler, run);
			if (ret) {
				unpin_moved(table, run, nr);
				drop_table(table);
				return ret;
			}
		}
	fill_end(&filler);
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

	ret = fill_begin(&filler, table, array->nr, bytes, max_segment, boundary);
	if (ret)
		return ret;
	while (phyr_array_next_pages(array, &iter, &pages)) {
		ret = fill_add(&filler, &pages);
		if (!ret)
			ret = phyr_breathe_killable(&steps);
		if (ret) {
			drop_table(table);
			return ret;
		}
	}
	fill_end(&filler);
	return 0;
}
