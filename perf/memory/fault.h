/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * How the makers of memory fault it in. Functions return 0, or -errno after refuse().
 */
#ifndef PERF_MEMORY_FAULT_H
#define PERF_MEMORY_FAULT_H

#include <stdbool.h>

#include "backing.h"
#include "reason.h"

/*
 * Fault memory in for writing. This is a system call, so a missing page gives an error and no
 * SIGBUS.
 */
int fault_in(char *start, size_t len, const struct reason *why);

/* The same for reading. */
int fault_in_to_read(char *start, size_t len, const struct reason *why);

/* Fault in all of @b for writing, in random order if @shuffled. */
int fault_in_all(struct backing *b, bool shuffled, const struct reason *why);

/* Fill @order with the numbers below @n in random order, which is the same in every run. */
void shuffle(size_t *order, size_t n);

#endif
