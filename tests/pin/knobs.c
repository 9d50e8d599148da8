// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * The kernel's knobs for large folios; see knobs.h.
 */
#define _GNU_SOURCE
#include <stdio.h>

#include "knob.h"
#include "knobs.h"
#include "test.h"

#define THP "/sys/kernel/mm/transparent_hugepage/"

static struct knob anon[ORDER_2M + 1], shmem[ORDER_2M + 1], shmem_enabled, khugepaged;

void knobs_open(void)
{
	char path[96];
	int order;

	for (order = 1; order <= ORDER_2M; order++) {
		snprintf(path, sizeof(path), THP "hugepages-%lukB/enabled", 4UL << order);
		knob_open(&anon[order], path);
		snprintf(path, sizeof(path), THP "hugepages-%lukB/shmem_enabled", 4UL << order);
		knob_open(&shmem[order], path);
	}
	knob_open(&shmem_enabled, THP "shmem_enabled");
	knob_open(&khugepaged, THP "khugepaged/scan_sleep_millisecs");
	/* khugepaged must rest. It still scans once each time 2 MiB are switched on. */
	knob_set(&khugepaged, "4294967295");
	knobs_set(0, 0);
}

unsigned long knobs_orders(void)
{
	unsigned long orders = 0;
	int order;

	for (order = 1; order <= ORDER_2M; order++)
		if (knob_exists(&anon[order]))
			orders |= 1UL << order;
	return orders;
}

void knobs_set(unsigned long anon_orders, unsigned long shmem_orders)
{
	int order;

	for (order = 1; order <= ORDER_2M; order++) {
		knob_set(&anon[order], anon_orders >> order & 1 ? "always" : "never");
		knob_set(&shmem[order], shmem_orders >> order & 1 ? "always" : "never");
	}
}

void knobs_inherit(const char *huge)
{
	knob_set(&shmem_enabled, huge);
	knob_set(&shmem[ORDER_2M], "inherit");
}
