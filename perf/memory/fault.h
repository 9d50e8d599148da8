/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
#ifndef PERF_MEMORY_FAULT_H
#define PERF_MEMORY_FAULT_H

#include <stdbool.h>

#include "backing.h"
#include "reason.h"

/*
 * Fault memory in, for writing. That is a system call: a page that cannot be had is an error and
 * not a SIGBUS.
 */
int fault_in(char *start, size_t len, const struct reason *why);

/* The same for reading. */
int fault_in_to_read(char *start, size_t len, const struct reason *why);

/* All of it, in random order if @shuffled. */
int fault_in_all(struct backing *b, bool shuffled, const struct reason *why);

/* The numbers below @n in random order, the same one in every run. */
void shuffle(size_t *order, size_t n);

#endif
