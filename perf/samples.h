/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * What the programs that have a test module take times in the kernel (pin_floor, umem_time) share:
 * arguments KIND:MIB, and series of nanoseconds. A mistake of the caller's ends the program.
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

/* Zeros. */
uint64_t *samples_alloc(size_t nr);

/* Sorts them. */
double samples_median(uint64_t *ns, size_t nr);

/*
 * The options -n ROUNDS, -h and, unless @read_only is NULL, -r; so many arguments must follow. Ends
 * the program if need be.
 */
size_t samples_options(int argc, char **argv, const char *usage, size_t rounds, int arguments,
		       bool *read_only);

/* "KIND:MIB", which is overwritten. */
void samples_parse(char *arg, enum backing_kind *kind, size_t *size);

/*
 * Map memory as the comparison of page sizes wants it: base pages, and those of mTHP, in random
 * order, so that no two are neighbours by luck; and all of it really of its kind.
 */
void samples_map(struct backing *memory, enum backing_kind kind, size_t size, bool aliased);

#endif
