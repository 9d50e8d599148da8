// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * The kernel's scatterlists for the unit tests, with checks that the kernel does not make.
 */
#include <malloc.h>
#include <string.h>

#include <linux/scatterlist.h>

/* The size of the list's next chunk, if nents entries are left. */
static unsigned int chunk_size(unsigned int nents)
{
	return min(nents, SG_MAX_SINGLE_ALLOC);
}

/* The kernel frees chunks by the number of entries alone. Their sizes must follow from it. */
static void free_chunks(struct scatterlist *chunk, unsigned int left)
{
	struct scatterlist *next;
	unsigned int size;

	assert(!left == !chunk);
	for (; left; left -= left > size ? size - 1 : size, chunk = next) {
		size = chunk_size(left);
		assert(malloc_usable_size(chunk) == size * sizeof(*chunk));
		next = left > size ? chunk[size - 1].link : NULL;
		assert(left <= size || next);
		shim_free(chunk);
	}
}

int sg_alloc_table(struct sg_table *table, unsigned int nents, int gfp)
{
	struct scatterlist *before = NULL, *chunk = NULL;
	unsigned int left = nents, size = 0;

	(void)gfp;
	assert(nents);
	*table = (struct sg_table){ .nents = nents, .orig_nents = nents };
	for (; left; left -= left > size ? size - 1 : size) {
		size = chunk_size(left);
		chunk = shim_alloc(size * sizeof(*chunk));
		if (!chunk) {
			/* The place for the link counts as an entry then. */
			free_chunks(table->sgl, before ? nents - left + 1 : 0);
			*table = (struct sg_table){};
			return -ENOMEM;
		}
		memset(chunk, 0, size * sizeof(*chunk));
		if (before)
			sg_chain(before, SG_MAX_SINGLE_ALLOC, chunk);
		else
			table->sgl = chunk;
		before = chunk;
	}
	sg_mark_end(&chunk[size - 1]);
	return 0;
}

void sg_chain(struct scatterlist *chunk, unsigned int nents, struct scatterlist *next)
{
	struct scatterlist *place = &chunk[nents - 1];

	assert(!place->page);
	*place = (struct scatterlist){ .link = next };
}

struct scatterlist *sg_next(struct scatterlist *sg)
{
	if (sg->last)
		return NULL;
	sg++;
	return sg->link ?: sg;
}

void sg_free_append_table(struct sg_append_table *table)
{
	free_chunks(table->sgt.sgl, table->total_nents);
	table->sgt.sgl = NULL;
}
