/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * The checks that every pin must pass, whatever memory it is of.
 */
#ifndef PHYR_TESTS_PIN_CHECK_H
#define PHYR_TESTS_PIN_CHECK_H

#include "layout.h"

/*
 * Pin the bytes [off, off + len) of a layout, and expect this errno. If that is 0,
 * check the pin in every way, and unpin. This writes to the layout, and to its model.
 */
int check_region(struct layout *l, size_t off, size_t len, bool writable, int expected);

#endif
