/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/* What gup.c, the yardstick, offers to pins.c. */
#ifndef PHYR_TEST_GUP_H
#define PHYR_TEST_GUP_H

#include "phyr_test.h"

int phyr_test_gup(struct phyr_test_gup *gup);

#endif
