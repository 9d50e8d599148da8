/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * A pattern in which every 8-byte word encodes its own offset and a seed. So data from a wrong
 * place never match by chance, and the message says where they came from.
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
