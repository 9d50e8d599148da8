// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Faults memory in, in order or in random order.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "fault.h"

static int advise(char *start, size_t len, int advice, const struct reason *why)
{
	if (!madvise(start, len, advice))
		return 0;
	if (errno == EINVAL)
		return refuse(why, -errno, "the kernel cannot populate memory, Linux 5.14 can");
	return refuse(why, -errno, "cannot fault in %zu bytes of memory: %s", len, strerror(errno));
}

int fault_in(char *start, size_t len, const struct reason *why)
{
	return advise(start, len, MADV_POPULATE_WRITE, why);
}

int fault_in_to_read(char *start, size_t len, const struct reason *why)
{
	return advise(start, len, MADV_POPULATE_READ, why);
}

/* Marsaglia's xorshift64. Any random order will do, if it is the same in every run. */
static uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

void shuffle(size_t *order, size_t n)
{
	uint64_t state = 0x9e3779b97f4a7c15;
	size_t other, tmp;

	for (size_t i = 0; i < n; i++)
		order[i] = i;
	for (size_t i = n; i > 1; i--) {
		other = next_random(&state) % i;
		tmp = order[i - 1];
		order[i - 1] = order[other];
		order[other] = tmp;
	}
}

/*
 * The page allocator tends to hand out contiguous pages one after the other. If pages are touched
 * in random order, these land far apart in the region, and hardly any two adjacent pages of the
 * region are physically contiguous.
 */
static int fault_in_shuffled(struct backing *b, const struct reason *why)
{
	size_t pages = b->len / b->page_size;
	size_t *order = calloc(pages, sizeof(*order));
	int err = 0;

	if (!order)
		return refuse(why, -ENOMEM, "no memory to shuffle %zu pages", pages);
	shuffle(order, pages);
	for (size_t i = 0; i < pages && !err; i++)
		err = fault_in(b->start + order[i] * b->page_size, b->page_size, why);
	free(order);
	return err;
}

int fault_in_all(struct backing *b, bool shuffled, const struct reason *why)
{
	return shuffled ? fault_in_shuffled(b, why) : fault_in(b->start, b->len, why);
}
