/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
#ifndef PHYR_PAGETABLE_H
#define PHYR_PAGETABLE_H

#include <linux/minmax.h>
#include <linux/mm_types.h>

/* What phyr_look() sees at an address. */
enum phyr_sight {
	PHYR_SEES_NO_TABLE,	/* no table for this address, and no leaf that could be pinned */
	PHYR_SEES_NOTHING,	/* an empty entry in a table */
	PHYR_SEES_LEAF,		/* an entry for more than a base page */
	PHYR_SEES_FOLIO,	/* a page of a large folio, in a table of entries for base pages */
	PHYR_SEES_BASE_PAGES,
};

static inline bool phyr_is_mapped(enum phyr_sight sight)
{
	return sight != PHYR_SEES_NO_TABLE && sight != PHYR_SEES_NOTHING;
}

enum phyr_sight phyr_look(struct mm_struct *mm, unsigned long addr, unsigned long end, bool write,
			  unsigned long *nr);
bool phyr_is_read_only(struct mm_struct *mm, unsigned long addr);
bool phyr_may_move(struct mm_struct *mm, unsigned long addr, unsigned int shift, unsigned long nr);
unsigned long phyr_pages_mapped(struct mm_struct *mm, unsigned long addr, unsigned long end,
				struct page *page, bool write, bool shared);
unsigned long phyr_table_end(unsigned long addr, unsigned int shift);

/*
 * Bytes from addr to end, or to phyr_table_end() if that comes first. (A table can end at 0, behind
 * the last address. So lengths are compared, and not ends.)
 */
static inline unsigned long phyr_bytes_in_table(unsigned long addr, unsigned long end,
						unsigned int shift)
{
	return min(end - addr, phyr_table_end(addr, shift) - addr);
}

unsigned long phyr_folios_mapped(struct mm_struct *mm, unsigned long addr, unsigned int shift,
				 struct page **pages, unsigned long nr, bool write, bool shared);

#endif
