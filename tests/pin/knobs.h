/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * Which sizes of large folios the kernel makes (/sys/kernel/mm/transparent_hugepage).
 *
 * Sets of sizes are masks with the bit 1 << order for folios of 4 KiB << order.
 * When the program ends, the knobs get back the values that they had before.
 */
#ifndef PHYR_TESTS_PIN_KNOBS_H
#define PHYR_TESTS_PIN_KNOBS_H

#define ORDER_2M 9

void knobs_open(void);
/* The sizes that this kernel has for anonymous memory. */
unsigned long knobs_orders(void);
/* From now on, anonymous memory and mapped shmem (memfds too) come in folios of these sizes. */
void knobs_set(unsigned long anon, unsigned long shmem);
/* Give shmem folios of 2 MiB by the older knob for all sizes: "always", "within_size". */
void knobs_inherit(const char *huge);

#endif
