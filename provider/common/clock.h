/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * A clock to take differences of.
 */
#ifndef PHYR_CLOCK_H
#define PHYR_CLOCK_H

#include <stdint.h>
#include <time.h>

/* Nanoseconds since some point in the past. */
static inline uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * UINT64_C(1000000000) + now.tv_nsec;
}

#endif
