/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
#ifndef PHYR_UNPIN_H
#define PHYR_UNPIN_H

#include <linux/mm_types.h>

void phyr_unpin_pages(struct page *page, unsigned long nr, bool dirty);

#endif
