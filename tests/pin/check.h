/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * What must hold of every pin, whatever memory it is of.
 */
#ifndef PHYR_TESTS_PIN_CHECK_H
#define PHYR_TESTS_PIN_CHECK_H

#include "layout.h"

/*
 * Pin the bytes [off, off + len) of a layout, and expect this errno; if that is
 * 0, check all there is to check of it, and unpin. The contents of the layout
 * are others afterwards, as its model knows.
 */
int check_region(struct layout *l, size_t off, size_t len, bool writable, int expected);

#endif
