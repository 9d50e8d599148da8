/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * Calls of /dev/phyr_test; tests/kernel/phyr_test.h says what they do. Each
 * returns 0 or an errno.
 */
#ifndef PHYR_TESTS_PIN_DEVICE_H
#define PHYR_TESTS_PIN_DEVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "phyr_test.h"

void device_open(void);
/* Map memory of the device (VM_IO) there. Its pages come when they are touched. */
int device_map_io(void *start, size_t len);
int device_pin(const void *start, size_t len, bool writable, struct phyr_test_pin *pin);
int device_unpin(uint32_t id, bool dirty);
int device_runs(uint32_t id, struct phyr_test_run *runs, uint64_t *nr);
int device_read(uint32_t id, size_t off, void *to, size_t len);
int device_write(uint32_t id, size_t off, const void *from, size_t len);
/* Returns when hold->state is PHYR_TEST_HOLD_OVER, or after some seconds. */
int device_hold_mmap_lock(struct phyr_test_hold *hold);
int device_folio(uint32_t id, size_t off, struct phyr_test_folio *folio);

#endif
