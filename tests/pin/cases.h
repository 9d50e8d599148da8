/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
#ifndef PHYR_TESTS_PIN_CASES_H
#define PHYR_TESTS_PIN_CASES_H

#include <stdint.h>

/* What the table of kinds and states has no place for. */
void add_special(void);
/* Under userfaultfd's write protection. */
void add_uffd(void);
/* How often GUP is called. */
void add_calls(void);
/* At the end: nothing was lost on the way. */
void add_memory(void);
/* Random layouts, from this seed on. */
void add_fuzz(uint64_t seed);

#endif
