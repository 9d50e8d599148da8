/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * The tests of the program dma, file by file.
 */
#ifndef PHYR_TESTS_DMA_CASES_H
#define PHYR_TESTS_DMA_CASES_H

void add_faults(void);	/* cases_fault.c */
void add_ops(void);	/* cases_ops.c */
void add_scarce(void);	/* cases_scarce.c */

#endif
