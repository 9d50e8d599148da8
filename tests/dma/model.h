/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * What a DMA list must be: pieces of a region, computed in the simplest way.
 */
#ifndef PHYR_TESTS_DMA_MODEL_H
#define PHYR_TESTS_DMA_MODEL_H

#include <stddef.h>
#include <stdint.h>

#include "phyr_edu.h"

struct pieces {
	size_t nr;
	struct phyr_edu_entry *piece;
};

/* The runs of memory come from pagemap, the ranges of a mapping from look-ups. */
struct pieces model_runs(const char *start, size_t len);
int model_ranges(uint32_t id, size_t len, struct pieces *ranges);
/* Cut the ranges into entries that are as long as these limits allow. */
struct pieces model_cut(const struct pieces *from, uint32_t max_segment, uint64_t boundary);
/* FAILED, after fail(), if they are not the same. */
int model_compare(const char *what, const struct pieces *is, const struct pieces *should_be);
/* The best size of blocks, as ib_umem_find_best_pgsz() defines it. */
uint64_t model_best(const struct pieces *ranges, size_t len, uint64_t sizes, uint64_t iova);
void pieces_free(struct pieces *pieces);

#endif
