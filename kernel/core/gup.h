/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
#ifndef PHYR_GUP_H
#define PHYR_GUP_H

#include <linux/mm.h>
#include <linux/types.h>

#include "pagetable.h"

/*
 * For pin_user_pages_fast(), where nobody has looked at what is mapped: for reading, what is not
 * mapped is not faulted in. gup.c says why.
 */
static inline unsigned int phyr_gup_flags(bool write)
{
	return FOLL_LONGTERM | (write ? FOLL_WRITE : FOLL_NOFAULT);
}

long phyr_gup_write(unsigned long va, unsigned long nr, struct page **pages);
long phyr_gup_read_mapped(unsigned long va, unsigned long nr, struct page **pages);
long phyr_gup_read_locked(unsigned long va, unsigned long nr, struct page **pages);
long phyr_gup_read(unsigned long va, unsigned long nr, unsigned long most, enum phyr_sight sight,
		   struct page **pages);

#endif
