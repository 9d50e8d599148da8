// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * What the unit tests share: memory that can run out, and numbers; see shim.h.
 */
#include "shim.h"

long fail_alloc_after = -1;
long allocated;

void *shim_alloc(size_t size)
{
	if (!fail_alloc_after)
		return NULL;
	if (fail_alloc_after > 0)
		fail_alloc_after--;
	allocated++;
	return malloc(size);
}

void shim_free(void *block)
{
	if (block)
		allocated--;
	free(block);
}

u64 next_random(u64 *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}
