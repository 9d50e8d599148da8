// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Unpin what pin.c has pinned, at a cost that follows the number of folios.
 *
 * Pages are unpinned by the folio: as many pins as the region has pages of it,
 * at once. The array does not say where folios end; that is asked of the folios,
 * which cannot change as long as they are pinned.
 */
#include <linux/export.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/pfn.h>
#include <linux/sched.h>
#include <linux/sizes.h>
#include <linux/timekeeping.h>

#include "pages.h"
#include "trace.h"
#include "unpin.h"

/* Folios unpinned between two looks at the scheduler: less than a millisecond. */
#define FOLIOS_AT_ONCE 4096

/* Page pointers on the stack. */
#define PAGES_AT_ONCE 32

static_assert(FOLIOS_AT_ONCE % PAGES_AT_ONCE == 0);

/* How much of a run to unpin in one step: the pages of the largest folio. */
#define MERGE_PAGES (SZ_1G / PAGE_SIZE)

/**
 * struct unpinner - how to unpin
 * @dirty: whether to mark what is unpinned dirty
 * @folios: folios to unpin until the next look at the scheduler
 */
struct unpinner {
	bool dirty;
	unsigned int folios;
};

/* Inlined: a call would add a quarter to the cost of what is not the kernel's. */
static __always_inline void unpin_folio_part(struct unpinner *unpinner, struct folio *folio,
					     unsigned long nr)
{
	/* A race with its cleaning does not matter: see unpin_user_pages_dirty_lock(). */
	if (unpinner->dirty && !folio_test_dirty(folio))
		set_page_dirty_lock(&folio->page);
	unpin_user_folio(folio, nr);
	if (!--unpinner->folios) {
		unpinner->folios = FOLIOS_AT_ONCE;
		cond_resched();
	}
}

static void unpin_pages(struct unpinner *unpinner, struct page *page, unsigned long nr)
{
	unsigned long in_folio;
	struct folio *folio;

	for (; nr; nr -= in_folio, page += in_folio) {
		folio = page_folio(page);
		in_folio = min_t(unsigned long, nr,
				 folio_nr_pages(folio) - folio_page_idx(folio, page));
		unpin_folio_part(unpinner, folio, in_folio);
	}
}

/**
 * phyr_unpin_pages - unpin pages
 * @page: the first
 * @nr: how many, one physically behind the other
 * @dirty: whether they may have been written to
 *
 * Context: May sleep.
 */
void phyr_unpin_pages(struct page *page, unsigned long nr, bool dirty)
{
	struct unpinner unpinner = { .dirty = dirty, .folios = FOLIOS_AT_ONCE };

	unpin_pages(&unpinner, page, nr);
}

static void unpin_blocks(struct unpinner *unpinner, const struct phyr_array *array)
{
	unsigned long size = 1UL << (array->shift - PAGE_SHIFT);
	/* The first block may begin before the region, even before address 0. */
	unsigned long skip = PHYS_PFN(array->skew);
	size_t in_page = (array->block[0] + array->skew) & ~PAGE_MASK;
	unsigned long left = skip + PHYS_PFN(in_page + array->len + PAGE_SIZE - 1);
	unsigned long nr, i = 0;
	struct folio *folio;
	struct page *page;
	u64 addr;

	while (left) {
		addr = array->block[i++];
		/* Most blocks are folios. */
		if (!skip && size <= left) {
			page = pfn_to_page(PHYS_PFN(addr));
			folio = page_folio(page);
			if (&folio->page == page && folio_nr_pages(folio) == size) {
				unpin_folio_part(unpinner, folio, size);
				left -= size;
				continue;
			}
		}
		nr = size;
		/* A folio can be in several blocks. */
		while (nr < left && nr < MERGE_PAGES &&
		       array->block[i] == addr + ((u64)nr << PAGE_SHIFT)) {
			nr += size;
			i++;
		}
		nr = min(nr, left);
		addr += (u64)skip << PAGE_SHIFT;
		unpin_pages(unpinner, pfn_to_page(PHYS_PFN(addr)), nr - skip);
		left -= nr;
		skip = 0;
	}
}

/* For single pages, one call for many of them costs less than a call for each. */
static void unpin_single_pages(const struct phyr_array *array, bool dirty)
{
	struct page *pages[PAGES_AT_ONCE];
	unsigned long i, j, nr;

	for (i = 0; i < array->blocks; i += nr) {
		nr = min_t(unsigned long, array->blocks - i, PAGES_AT_ONCE);
		for (j = 0; j < nr; j++)
			pages[j] = pfn_to_page(PHYS_PFN(array->block[i + j]));
		unpin_user_pages_dirty_lock(pages, nr, dirty);
		if (!(i % FOLIOS_AT_ONCE))
			cond_resched();
	}
}

static void unpin_extents(struct unpinner *unpinner, const struct phyr_array *array)
{
	struct phyr_iter iter = {};
	struct phyr pages;

	while (phyr_array_next_pages(array, &iter, &pages))
		unpin_pages(unpinner, pfn_to_page(PHYS_PFN(pages.addr)), PHYS_PFN(pages.len));
}

/**
 * phyr_unpin_user - undo phyr_pin_user()
 * @array: array from phyr_pin_user(), empty afterwards
 * @dirty: whether the memory may have been written to through the pins
 *
 * Need not be called by the process that pinned; its address space may be gone.
 *
 * Context: May sleep: takes the lock of folios that it has to mark dirty.
 */
void phyr_unpin_user(struct phyr_array *array, bool dirty)
{
	struct unpinner unpinner = { .dirty = dirty, .folios = FOLIOS_AT_ONCE };
	u64 begin = trace_phyr_unpin_enabled() ? ktime_get_ns() : 0;

	switch ((enum phyr_array_kind)array->kind) {
	case PHYR_ARRAY_EMPTY:
		break;
	case PHYR_ARRAY_ONE:
	case PHYR_ARRAY_BLOCKS:
		if (array->shift == PAGE_SHIFT)
			unpin_single_pages(array, dirty);
		else
			unpin_blocks(&unpinner, array);
		break;
	case PHYR_ARRAY_EXTENTS:
		unpin_extents(&unpinner, array);
		break;
	}
	if (begin)
		trace_phyr_unpin(array->len, array->nr, dirty, ktime_get_ns() - begin);
	phyr_array_free(array);
}
EXPORT_SYMBOL_GPL(phyr_unpin_user);
