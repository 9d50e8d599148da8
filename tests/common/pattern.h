/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * Data that tell where they belong: a pattern in which every 8-byte word encodes its own offset and
 * a seed, so a byte from the wrong place is never equal by chance, and the message says where it
 * came from.
 */
#ifndef PHYR_TESTS_COMMON_PATTERN_H
#define PHYR_TESTS_COMMON_PATTERN_H

#include <stddef.h>
#include <stdint.h>

/* The bytes [off, off + len) of the pattern with that seed, written to dst or compared with p. */
void pattern_fill(void *dst, uint16_t seed, uint64_t off, size_t len);
int pattern_check(const char *what, const void *p, uint16_t seed, uint64_t off, size_t len);
int zero_check(const char *what, const void *p, size_t len);
uint64_t random_u64(void);	/* the same sequence in every run */
void random_seed(uint64_t seed);	/* choose another sequence */

#endif
