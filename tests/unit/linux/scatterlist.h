/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * Scatterlists as the kernel has them: chains of chunks of up to a page. The last place of each
 * chunk but the last is the link to the next chunk. See scatterlist.c.
 */
#ifndef SHIM_SCATTERLIST_H
#define SHIM_SCATTERLIST_H

#include "../shim.h"

/* It is as large as the kernel's. */
struct scatterlist {
	struct page *page;
	struct scatterlist *link;	/* not NULL: no entry, but the link to this chunk */
	unsigned int length;
	unsigned int last;
	u64 dma;
};

static_assert(sizeof(struct scatterlist) == 32);

#define SG_MAX_SINGLE_ALLOC (PAGE_SIZE / sizeof(struct scatterlist))

struct sg_table {
	struct scatterlist *sgl;
	unsigned int nents;
	unsigned int orig_nents;
};

struct sg_append_table {
	struct sg_table sgt;
	unsigned int total_nents;
};

int sg_alloc_table(struct sg_table *table, unsigned int nents, int gfp);
void sg_free_append_table(struct sg_append_table *table);
void sg_chain(struct scatterlist *chunk, unsigned int nents, struct scatterlist *next);
struct scatterlist *sg_next(struct scatterlist *sg);

static inline struct page *sg_page(const struct scatterlist *sg)
{
	return sg->page;
}

static inline void sg_set_page(struct scatterlist *sg, struct page *page, unsigned int len,
			       unsigned int offset)
{
	(void)offset;
	assert(!sg->link && !offset);
	sg->page = page;
	sg->length = len;
}

static inline void sg_mark_end(struct scatterlist *sg)
{
	sg->last = 1;
}

#define for_each_sgtable_sg(table, sg, i) \
	for (i = 0, sg = (table)->sgl; i < (table)->orig_nents; i++, sg = sg_next(sg))

#endif
