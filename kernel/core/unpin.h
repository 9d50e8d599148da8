/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
#ifndef PHYR_UNPIN_H
#define PHYR_UNPIN_H

#include <linux/mm.h>
#include <linux/pfn.h>
#include <linux/sched.h>
#include <phyr/phyr.h>

void phyr_unpin_pages(struct page *page, unsigned long nr, bool dirty);

/* Unpin runs of whole pages that nobody has written to through the pins. */
static inline void phyr_unpin_runs(const struct phyr *run, unsigned long nr)
{
	for (; nr; nr--, run++) {
		phyr_unpin_pages(pfn_to_page(PHYS_PFN(run->addr)), PHYS_PFN(run->len), false);
		cond_resched();
	}
}

#endif
