/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * Faults of an IOMMU, from the kernel's log. A fault is DMA that the IOMMU has blocked.
 *
 * Tests that provoke faults look for each of them, and there must be no others. So
 * the lab can ignore faults while this program runs.
 */
#ifndef PHYR_TESTS_DMA_FAULTS_H
#define PHYR_TESTS_DMA_FAULTS_H

#include <stdint.h>

void faults_open(void);
/* Call this before a fault: waits so long after the last one that the kernel logs this one, too. */
void faults_pace(void);
/* Waits for the next fault, which must be in that address's page. Else FAILED, after fail(). */
int faults_expect(uint64_t addr, const char *what);
/* There must be no faults in the log that no test has asked for. */
int faults_none(void);

#endif
