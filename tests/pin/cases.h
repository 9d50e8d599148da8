/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * The tests of the program pin that do not come from its table.
 */
#ifndef PHYR_TESTS_PIN_CASES_H
#define PHYR_TESTS_PIN_CASES_H

#include <stdint.h>

/* Regions that must be refused, pins that overlap, and others. */
void add_special(void);
/* Memory under userfaultfd's write protection. */
void add_uffd(void);
/* How often GUP is called. */
void add_calls(void);
/* No memory is lost. This comes at the end. */
void add_memory(void);
/* Random layouts, from this seed on. */
void add_fuzz(uint64_t seed);

#endif
