/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
#ifndef PHYR_PAGETABLE_H
#define PHYR_PAGETABLE_H

#include <linux/mm_types.h>

/**
 * enum phyr_level - what a page table has at an address
 * @PHYR_NOTHING: nothing is mapped, or something that is not present
 * @PHYR_PTES: a table of base pages
 * @PHYR_LEAF: one entry that maps more than a base page
 */
enum phyr_level {
	PHYR_NOTHING,
	PHYR_PTES,
	PHYR_LEAF,
};

/**
 * struct phyr_mapping - the page table at an address, as it was at one moment
 * @level: what there is
 * @permitted: PHYR_LEAF: the access asked for is permitted
 * @pfn: PHYR_LEAF: the page that the address is mapped to
 * @end: the address behind the leaf, or behind the table of base pages
 */
struct phyr_mapping {
	enum phyr_level level;
	bool permitted;
	unsigned long pfn;
	unsigned long end;
};

struct phyr_mapping phyr_look(struct mm_struct *mm, unsigned long addr, bool write);

#endif
