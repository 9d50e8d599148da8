/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * What pin_floor and umem_time share: options, arguments KIND:MIB, memory, and series of
 * nanoseconds. Both have a test module take times in the kernel. On any error, these functions
 * print a message and end the program.
 */
#ifndef PERF_SAMPLES_H
#define PERF_SAMPLES_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "backing.h"

#define MIB ((size_t)1 << 20)

#define die(...) (fputs(program_invocation_short_name, stderr), fprintf(stderr, ": " __VA_ARGS__), \
		  fputc('\n', stderr), exit(1))

/* An array of @nr zeros. */
uint64_t *samples_alloc(size_t nr);

/* The median of @ns, which is sorted for that. */
double samples_median(uint64_t *ns, size_t nr);

/*
 * Parse the options -n ROUNDS, -h and, unless @read_only is NULL, -r. At least @arguments arguments
 * must follow. Returns the number of rounds, which is @rounds without -n.
 */
size_t samples_options(int argc, char **argv, const char *usage, size_t rounds, int arguments,
		       bool *read_only);

/* Parse "KIND:MIB". @arg is overwritten. */
void samples_parse(char *arg, enum backing_kind *kind, size_t *size);

/*
 * Map memory for a comparison of page sizes. Base pages, and folios of mTHP and tmpfs, are in
 * random order, so that luck makes no two of them contiguous. Nearly all of the memory is of its
 * kind, or the program ends.
 */
void samples_map(struct backing *memory, enum backing_kind kind, size_t size, bool aliased);

#endif
