// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * What the unit tests share: memory that can run out, and random numbers; see shim.h.
 */
#include <malloc.h>

#include "shim.h"

long fail_alloc_after = -1;
long allocated;
size_t allocated_bytes;
size_t allocated_peak;

void *shim_alloc(size_t size)
{
	void *block;

	if (!fail_alloc_after)
		return NULL;
	if (fail_alloc_after > 0)
		fail_alloc_after--;
	block = malloc(size);
	assert(block);
	allocated++;
	allocated_bytes += malloc_usable_size(block);
	allocated_peak = max(allocated_peak, allocated_bytes);
	return block;
}

void shim_free(void *block)
{
	if (!block)
		return;
	allocated--;
	allocated_bytes -= malloc_usable_size(block);
	free(block);
}

u64 next_random(u64 *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}
