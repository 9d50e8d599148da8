/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * What the files in this folder share: sizes, and how they say why there is no memory.
 */
#ifndef PERF_MEMORY_REASON_H
#define PERF_MEMORY_REASON_H

#include <stddef.h>

#define KIB ((size_t)1 << 10)
#define MIB ((size_t)1 << 20)
#define GIB ((size_t)1 << 30)

/* Where to write the sentence that says why there is no memory. */
struct reason {
	char *text;
	size_t len;
};

/* Note why, and return @err so that a caller can do both in one statement. */
int refuse(const struct reason *why, int err, const char *format, ...)
	__attribute__((__format__(printf, 3, 4)));

#endif
