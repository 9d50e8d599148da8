/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * What the files of kernel/core share about the storage of an array.
 */
#ifndef PHYR_ARRAY_H
#define PHYR_ARRAY_H

#include <phyr/phyr.h>

/* An extent is an address and a page number; buckets come on top. */
#define PHYR_EXTENT_BYTES (sizeof(u64) + sizeof(u32))

void phyr_array_set_one(struct phyr_array *array, u64 addr);
int phyr_array_alloc_extents(struct phyr_array *array, unsigned long nr, unsigned long buckets);

/*
 * Where a region begins in the user's address space, modulo the size of the
 * array's blocks: an array of DMA addresses over the same region has them too.
 */
static inline size_t phyr_array_frame(const struct phyr_array *array)
{
	return array->kind == PHYR_ARRAY_ONE ? array->one & ~PAGE_MASK : array->skew;
}

#endif
