/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * A region that is mapped for the device, and the checks that any such region must pass.
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

/* Is there an IOMMU? Has the kernel the calls that map any memory to one stretch of IOVAs? */
extern bool behind_iommu, has_iova_calls;

/* Each returns PASSED, or FAILED after fail(). mapped_close() may follow in both cases. */
int mapped_open(struct mapped *m, enum backing_kind kind, size_t len, const struct region *region);
int mapped_map(struct mapped *m);
int mapped_unmap(struct mapped *m);
void mapped_close(struct mapped *m);

/* The entries must be the ranges, cut where these limits require it. */
int mapped_check_entries(const struct mapped *m, uint32_t max_segment, uint64_t boundary);
/* With an IOMMU, there must be one range. Without it, the ranges must be the runs. */
int mapped_check_ranges(const struct mapped *m);
int mapped_check_blocks(const struct mapped *m);

/* Let the process write to all of the buffer. */
void mapped_fill(struct mapped *m, uint16_t seed);
/* Let the device read, and check what it has read. */
int mapped_device_reads(const struct mapped *m, size_t off, size_t len);
/* Let the device write. mapped_check_memory() then checks the whole buffer. */
int mapped_device_writes(struct mapped *m, size_t off, size_t len, uint16_t seed);
int mapped_check_memory(const struct mapped *m, const char *when);

#endif
