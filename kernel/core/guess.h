/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * How many pages to ask of GUP at the next address. This is a guess: whatever it
 * is, what gets pinned is the same, and only the time differs.
 *
 *  1. Where a large folio is mapped, or nothing is, ask for one page: the rest of
 *     its folio may be pinned for little.
 *  2. Where that pinned fewer pages than are worth a call, or where GUP takes the
 *     mmap_lock for each call, ask for all pages up to the end of the page table at
 *     once.
 *  3. Where base pages are mapped, ask for all up to the next large folio.
 *  4. After some whole folios of one size in a row, ask for one page of each of as
 *     many folios ahead, and look at them together (pin_alike() in pin.c). When
 *     that fails, it takes twice as many in a row to try it again.
 *
 * By 2, at most two calls for one page are not worth it in each page table,
 * whatever the folios look like. (Two, since the first page of a region or of a
 * table may be in the last pages of a folio. This says nothing of the next.)
 */
#ifndef PHYR_GUESS_H
#define PHYR_GUESS_H

#include <linux/minmax.h>
#include <linux/mm.h>

#include "pagetable.h"

/*
 * Pages for which a call of GUP for one page, and a look at the page table, cost
 * less than GUP for all.
 */
#define WORTH_A_CALL 4

/**
 * struct guess - what the last pages say of the next
 * @batch_until: up to here, all pages are asked for at once (rule 2)
 * @shift: log2 of the size of the last whole folio
 * @alike: how many whole folios of that size came one behind the other
 * @enough: how many it takes to ask for several ahead (rule 4)
 */
struct guess {
	unsigned long batch_until;
	unsigned int shift;
	unsigned int alike;
	unsigned int enough;
};

#define GUESS_INIT { .enough = 2 }

/* The pages to ask for at va, where sight is what phyr_look() saw there, and nr what it counted. */
static inline unsigned long guess_pages(const struct guess *guess, unsigned long va,
					unsigned long end, enum phyr_sight sight, unsigned long nr)
{
	if (va < guess->batch_until)
		return (min(end, guess->batch_until) - va) >> PAGE_SHIFT;
	return sight == PHYR_SEES_BASE_PAGES ? nr : 1;
}

/* Is it time to ask for several folios ahead? */
static inline bool guess_expects_alike(const struct guess *guess)
{
	return guess->alike >= guess->enough;
}

/*
 * Pages were pinned at va: nr of a folio, after a call for one page. Folios as large as a leaf
 * that are mapped by a table are not looked at together, so they do not count as alike.
 */
static inline void guess_note_folio(struct guess *guess, unsigned long va, struct folio *folio,
				    unsigned long nr, enum phyr_sight sight)
{
	unsigned int shift = PAGE_SHIFT + folio_order(folio);

	if (nr < folio_nr_pages(folio) || !IS_ALIGNED(va, 1UL << shift) ||
	    (sight == PHYR_SEES_FOLIO && shift >= PMD_SHIFT))
		guess->alike = 0;
	else
		guess->alike = shift == guess->shift ? guess->alike + 1 : 1;
	guess->shift = shift;
}

/* Pages were pinned that are not of one large folio, or not many of one. */
static inline void guess_note_pages(struct guess *guess)
{
	guess->alike = 0;
}

/* Calls for one page are not worth it at va (rule 2). */
static inline void guess_note_poor(struct guess *guess, unsigned long va)
{
	guess->alike = 0;
	guess->batch_until = phyr_table_end(va, PAGE_SHIFT);
}

/* Of several folios ahead, all were as expected, or not all. */
static inline void guess_note_ahead(struct guess *guess, unsigned long nr, bool all)
{
	if (all) {
		guess->alike += nr;
	} else {
		/* (No region has so many folios that this could overflow.) */
		guess->alike = 0;
		guess->enough *= 2;
	}
}

#endif
