/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * Calls of /dev/phyr_edu; tests/kernel/phyr_edu.h says what they do. Each
 * returns 0 or an errno, unless said otherwise.
 */
#ifndef PHYR_TESTS_DMA_EDU_H
#define PHYR_TESTS_DMA_EDU_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "phyr_edu.h"

#define ALL_BITS 64
#define NO_MAX UINT32_MAX
#define PCI_BOUNDARY UINT32_MAX	/* what each PCI device has at first */

/* Opens the device, or opens it again, as a child must. Ends the program if there is none. */
void edu_open(void);
/* What sysfs says about the device's IOMMU: "DMA" if it translates, "none" if there is none. */
const char *edu_iommu(void);

int edu_limits(unsigned int mask_bits, uint32_t max_segment, uint64_t boundary);
/* PHYR_EDU_OPS_*. *mapped becomes the number of mappings that the device's own operations have. */
int edu_ops(unsigned int ops, size_t *mapped);
int edu_map(const void *start, size_t len, bool writable, unsigned int dir,
	    struct phyr_edu_map *map);
int edu_unmap(uint32_t id);
int edu_find(uint32_t id, size_t off, uint64_t *addr, size_t *len);
/* There is room for *nr entries. *nr becomes the number of entries that were written. */
int edu_entries(uint32_t id, struct phyr_edu_entry *entries, size_t *nr);
int edu_blocks(struct phyr_edu_blocks *args);
int edu_dma(uint64_t addr, void *data, size_t len, bool write);

#endif
