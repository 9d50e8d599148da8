/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * A region that is mapped for the device, and what can be said of any such.
 */
#ifndef PHYR_TESTS_DMA_MAPPED_H
#define PHYR_TESTS_DMA_MAPPED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "memory.h"
#include "model.h"

/* The part of a buffer that a test maps. */
struct region {
	const char *name;
	size_t before;		/* bytes of the buffer before it */
	size_t behind;
};

struct mapped {
	struct buf buf;
	char *start;
	size_t len;
	struct phyr_edu_map map;
	struct pieces runs;	/* of the memory */
	struct pieces ranges;	/* as the device sees it */
	char *shadow;		/* what the buffer must contain */
};

/* Is there an IOMMU, and has the kernel the calls that put any memory into one stretch? */
extern bool behind_iommu, has_iova_calls;

/* Each returns PASSED, or FAILED after fail(). mapped_close() may follow either. */
int mapped_open(struct mapped *m, enum backing_kind kind, size_t len, const struct region *region);
int mapped_map(struct mapped *m);
int mapped_unmap(struct mapped *m);
void mapped_close(struct mapped *m);

/* The entries are what becomes of the ranges within these limits. */
int mapped_check_entries(const struct mapped *m, uint32_t max_segment, uint64_t boundary);
/* One range if there is an IOMMU; else the runs. */
int mapped_check_ranges(const struct mapped *m);
int mapped_check_blocks(const struct mapped *m);

/* The process writes all of the buffer. */
void mapped_fill(struct mapped *m, uint16_t seed);
/* Does the device see what is there? Let it write; does the process see that, and nothing else? */
int mapped_device_reads(const struct mapped *m, size_t off, size_t len);
int mapped_device_writes(struct mapped *m, size_t off, size_t len, uint16_t seed);
int mapped_check_memory(const struct mapped *m, const char *when);

#endif
