/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * What an IOMMU says of DMA that it did not let pass, from the kernel's log.
 *
 * Tests that provoke faults look for each of them, and the log must have no
 * others: so the lab can let this program's faults pass, and misses nothing.
 */
#ifndef PHYR_TESTS_DMA_FAULTS_H
#define PHYR_TESTS_DMA_FAULTS_H

#include <stdint.h>

void faults_open(void);
/* Before a fault is provoked: not so soon after the last one that the kernel would not tell. */
void faults_pace(void);
/* One fault comes, at an address in that page; and none came before. Else FAILED, after fail(). */
int faults_expect(uint64_t addr, const char *what);
/* None has come. */
int faults_none(void);

#endif
