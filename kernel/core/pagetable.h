/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
#ifndef PHYR_PAGETABLE_H
#define PHYR_PAGETABLE_H

#include <linux/mm_types.h>

unsigned long phyr_pages_to_ask(struct mm_struct *mm, unsigned long addr, unsigned long end,
				bool write, bool expect_single);
unsigned long phyr_pages_mapped(struct mm_struct *mm, unsigned long addr, unsigned long end,
				struct page *page, bool write, bool shared, bool *tells);
unsigned long phyr_table_end(unsigned long addr, unsigned int shift);
unsigned long phyr_folios_mapped(struct mm_struct *mm, unsigned long addr, unsigned int shift,
				 struct page **pages, unsigned long nr, bool write);

#endif
