/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
#ifndef PHYR_GUP_H
#define PHYR_GUP_H

#include <linux/types.h>

#include "pagetable.h"

struct page;

long phyr_gup_write(unsigned long va, unsigned long nr, struct page **pages);
long phyr_gup_read_mapped(unsigned long va, unsigned long nr, struct page **pages);
long phyr_gup_read(unsigned long va, unsigned long nr, unsigned long most, enum phyr_sight sight,
		   struct page **pages);

#endif
