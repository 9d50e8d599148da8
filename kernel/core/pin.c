// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Pin user memory at a cost that follows the number of folio mappings.
 *
 * GUP pins; we only spare it work. Where the page table maps a large folio by
 * one entry (a leaf), GUP is asked for a single page of it, and the other
 * pages of the leaf are pinned by adding to the folio's counters once. Where
 * it has base pages, GUP is asked for a whole table of them at a time.
 *
 * What makes the second half of a leaf's pin right:
 *
 *  - GUP's one pin did all that a longterm pin has to do, and does it for a
 *    folio, not for a page: it faulted the memory in, broke or unshared COW,
 *    migrated the folio out of movable zones, and refused what must not be
 *    pinned (secretmem, fsdax, writable pages of dirty-tracking filesystems).
 *
 *  - With that pin held the folio cannot be freed, split, migrated or
 *    collapsed, since all of these give up on unexpected references.
 *
 *  - Then, and not before, the page table is looked at again (pagetable.c).
 *    If a leaf that permits the access maps, at our address, our very page,
 *    then the rest of the leaf maps the pages that follow it, as far as they
 *    are in the same folio. They were mapped at that moment, which is what GUP
 *    promises of any page. A munmap(), mremap(), split or fork() since GUP's
 *    pin has left something else there, or no leaf; one that comes later finds
 *    pages that are pinned, as after GUP.
 *
 *  - A page of an anonymous folio may be pinned only while it is exclusive to
 *    this process, which PageAnonExclusive says: once for a folio mapped by a
 *    leaf, in its first page. An exclusive page that is pinned stays so until
 *    the pin goes, as fork() copies it and KSM leaves it alone; so for a leaf
 *    the pin of one page holds for all. We look at the flag all the same, since
 *    GUP's pin may be older than the leaf.
 *
 *  - Permissions, userfaultfd write protection and NUMA hinting belong to the
 *    leaf as a whole, and pmd_access_permitted() is false where they forbid.
 *
 *  - The pages are clamped to the folio: a leaf can be larger than it where
 *    ZONE_DEVICE memory is not made of large folios.
 *
 * If anything looks different, the one page stays pinned, and GUP is given the
 * others in batches. (The look before GUP's pin only decides how many pages to
 * ask for, and nothing but time depends on it.)
 *
 * One thing GUP would see that we do not: a process which, between GUP's pin
 * and our look, replaces a shared mapping of a file by a private one of the
 * same huge page gets a read-only pin of the file's pages, where GUP would
 * first have given it copies of its own. It could read those pages anyway; it
 * only fails to see in its MR what it writes to its private mapping later.
 *
 * The zero folio carries no pins, and no function that pins or unpins counts
 * any for it. (A longterm pin breaks COW, so it is hardly ever met here.)
 */
#include <linux/io.h>
#include <linux/kernel.h>
#include <linux/limits.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/overflow.h>
#include <linux/preempt.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "array.h"
#include "builder.h"
#include "compat.h"
#include "pagetable.h"

/* Runs are merged across folios, so neighbouring memory needs neighbouring struct pages. */
#if defined(CONFIG_SPARSEMEM) && !defined(CONFIG_SPARSEMEM_VMEMMAP)
#error "phyr needs CONFIG_SPARSEMEM_VMEMMAP or a memory model without sections"
#endif

/* Lengths of blocks and regions are not told apart from u64. */
#ifndef CONFIG_64BIT
#error "phyr is for 64-bit machines"
#endif

/*
 * Page pointers on the stack: enough for small regions, where an allocation
 * would show, and to unpin single pages without one.
 */
#define FEW_PAGES 32

/* Pages unpinned between two looks at the scheduler: a few milliseconds if all are base pages. */
#define UNPIN_STEP 32768UL

static_assert(UNPIN_STEP % FEW_PAGES == 0);

/*
 * A folio that has this many references is left to GUP, which refuses when the
 * number has turned negative. From here to there is room for 2048 CPUs that
 * have all just looked and add the pages of a 1 GiB folio.
 */
#define MAX_FOLIO_REFS (INT_MAX - INT_MAX / 4)

/**
 * struct pinner - a region while it is being pinned
 * @builder: what is pinned already
 * @mm: address space
 * @start: its first page
 * @end: the page behind its last
 * @gup_flags: how to pin
 * @batch_until: up to here, leaves are left to GUP
 * @pages: room for what GUP returns
 * @max_pages: how many it has room for
 */
struct pinner {
	struct phyr_builder builder;
	struct mm_struct *mm;
	unsigned long start;
	unsigned long end;
	unsigned int gup_flags;
	unsigned long batch_until;
	struct page **pages;
	unsigned long max_pages;
};

/* Unpin the pages of a run. */
static void unpin_run(struct phyr run, bool dirty)
{
	struct page *page = pfn_to_page(PHYS_PFN(run.addr));
	unsigned long left = PHYS_PFN((run.addr & ~PAGE_MASK) + run.len + PAGE_SIZE - 1);

	for (; left > UNPIN_STEP; left -= UNPIN_STEP, page += UNPIN_STEP) {
		unpin_user_page_range_dirty_lock(page, UNPIN_STEP, dirty);
		cond_resched();
	}
	unpin_user_page_range_dirty_lock(page, left, dirty);
	cond_resched();
}

/*
 * The page at va is pinned. How many pages from va on does a leaf map that are
 * as good as pinned, for the reasons at the top of this file? 1 is always right.
 */
static unsigned long pages_in_leaf(struct pinner *pinner, unsigned long va, struct page *page,
				   const struct phyr_mapping *seen)
{
	unsigned long stop = min(seen->end, pinner->end);
	struct folio *folio = page_folio(page);

	if (!seen->permitted || seen->pfn != page_to_pfn(page))
		return 1;
	if (folio_test_anon(folio) && !PageAnonExclusive(&folio->page))
		return 1;
	return min_t(unsigned long, (stop - va) >> PAGE_SHIFT,
		     folio_nr_pages(folio) - folio_page_idx(folio, page));
}

/*
 * Add pins to a folio that has one. Preemption is off so that not more tasks
 * than there are CPUs can be between the look at the number of references and
 * their addition.
 */
static bool add_pins(struct folio *folio, unsigned long nr)
{
	bool added;

	preempt_disable();
	added = folio_ref_count(folio) <= MAX_FOLIO_REFS && !folio_add_pins(folio, nr);
	preempt_enable();
	return added;
}

/*
 * The page at va is pinned. Pin those that follow it in the same leaf. Returns
 * the number of pages now pinned from va on.
 */
static unsigned long pin_rest_of_leaf(struct pinner *pinner, unsigned long va, struct page *page)
{
	struct phyr_mapping seen = phyr_look(pinner->mm, va, pinner->gup_flags & FOLL_WRITE);
	unsigned long nr;

	if (seen.level != PHYR_LEAF)
		return 1;
	nr = pages_in_leaf(pinner, va, page, &seen);
	if (nr > 1 && add_pins(page_folio(page), nr - 1))
		return nr;
	/* GUP shall have the leaf then, but not page by page. */
	pinner->batch_until = seen.end;
	return 1;
}

/*
 * How many pages to ask of GUP at va: a single one where there may be a leaf,
 * or where nothing is mapped yet and a leaf may come of it.
 */
static unsigned long pages_to_ask(struct pinner *pinner, unsigned long va)
{
	struct phyr_mapping seen;
	unsigned long end;

	if (va < pinner->batch_until) {
		end = pinner->batch_until;
	} else {
		seen = phyr_look(pinner->mm, va, pinner->gup_flags & FOLL_WRITE);
		if (seen.level != PHYR_PTES)
			return 1;
		end = seen.end;
	}
	return min((min(end, pinner->end) - va) >> PAGE_SHIFT, pinner->max_pages);
}

/* Enter pages that GUP has pinned one by one. Those that cannot be entered are unpinned. */
static int enter_batch(struct pinner *pinner, unsigned long nr)
{
	struct page **pages = pinner->pages;
	unsigned long i;

	for (i = 0; i < nr; i++)
		if (phyr_builder_add(&pinner->builder, page_to_phys(pages[i]), PAGE_SIZE)) {
			unpin_user_pages(pages + i, nr - i);
			return -ENOMEM;
		}
	return 0;
}

/* Enter pages of a leaf, which are pinned, or unpin them. */
static int enter_leaf(struct pinner *pinner, struct page *page, unsigned long nr)
{
	int ret = phyr_builder_add(&pinner->builder, page_to_phys(page), nr << PAGE_SHIFT);

	if (ret)
		unpin_user_page_range_dirty_lock(page, nr, false);
	return ret;
}

/* Pin something at va and enter it. Returns the number of pages, or an error. */
static long pin_some(struct pinner *pinner, unsigned long va)
{
	unsigned long ask = pages_to_ask(pinner, va);
	struct page **pages = pinner->pages;
	long nr;
	int ret;

	nr = pin_user_pages_fast(va, ask, pinner->gup_flags, pages);
	if (nr <= 0)
		return nr ?: -EFAULT;
	if (ask == 1 && va + PAGE_SIZE < pinner->end && va >= pinner->batch_until) {
		nr = pin_rest_of_leaf(pinner, va, pages[0]);
		ret = enter_leaf(pinner, pages[0], nr);
	} else {
		ret = enter_batch(pinner, nr);
	}
	return ret ?: nr;
}

static int pin_all(struct pinner *pinner)
{
	unsigned long va = pinner->start;
	long nr;

	while (va < pinner->end) {
		/* GUP looks for signals too, but not where it need not fault. */
		if (fatal_signal_pending(current))
			return -EINTR;
		cond_resched();
		nr = pin_some(pinner, va);
		if (nr < 0)
			return nr;
		va += nr << PAGE_SHIFT;
	}
	return 0;
}

/* Take back what a region that failed has pinned so far. */
static void unpin_all(struct phyr_builder *builder)
{
	unsigned long nr, i;
	struct phyr *runs;

	while ((nr = phyr_builder_take(builder, &runs)))
		for (i = 0; i < nr; i++)
			unpin_run(runs[i], false);
}

/**
 * phyr_pin_user - pin a region of the caller's memory
 * @array: array to set up; its old contents are lost
 * @start: user address of the region's first byte
 * @len: bytes
 * @writable: whether the memory will be written to through the pins
 *
 * The memory is faulted in and pinned for long (FOLL_PIN and FOLL_LONGTERM):
 * each page of each phyr holds an ordinary pin for each time that it is in the
 * region. The caller does the accounting (RLIMIT_MEMLOCK, pinned_vm).
 *
 * Context: Process context of the memory's owner, may sleep. Takes the
 * mmap_lock for reading where memory must be faulted in. Stops early for a
 * fatal signal.
 * Return: 0, and phyr_unpin_user() must be called some day. Else nothing is
 * pinned: -EINVAL for a region that is empty, wraps around or has more than
 * UINT_MAX pages; -EINTR for a fatal signal; -ENOMEM for want of memory; or
 * what pin_user_pages_fast() returns, such as -EFAULT.
 */
int phyr_pin_user(struct phyr_array *array, unsigned long start, size_t len, bool writable)
{
	struct page *few_pages[FEW_PAGES];
	struct pinner pinner = {
		.mm = current->mm,
		.gup_flags = FOLL_LONGTERM | (writable ? FOLL_WRITE : 0),
		.pages = few_pages,
		.max_pages = FEW_PAGES,
	};
	unsigned long pages, stop;
	int ret;

	start = untagged_addr(start);
	if (!len || check_add_overflow(start, len, &stop) || PAGE_ALIGN(stop) < stop)
		return -EINVAL;
	pinner.start = start & PAGE_MASK;
	pinner.end = PAGE_ALIGN(stop);
	pages = (pinner.end - pinner.start) >> PAGE_SHIFT;
	if (pages > UINT_MAX)
		return -EINVAL;

	if (pages > FEW_PAGES) {
		pinner.pages = kmalloc(PAGE_SIZE, GFP_KERNEL);
		if (!pinner.pages)
			return -ENOMEM;
		pinner.max_pages = PAGE_SIZE / sizeof(*pinner.pages);
	}

	phyr_builder_init(&pinner.builder, pinner.start);
	ret = pin_all(&pinner);
	if (!ret)
		ret = phyr_builder_finish(&pinner.builder, array, start, len);
	if (ret)
		unpin_all(&pinner.builder);
	if (pinner.pages != few_pages)
		kfree(pinner.pages);
	return ret;
}
EXPORT_SYMBOL_GPL(phyr_pin_user);

static void unpin_runs(const struct phyr_array *array, bool dirty)
{
	struct phyr_iter iter = {};
	struct phyr run;

	while (phyr_array_next_part(array, &iter, &run, UNPIN_STEP << PAGE_SHIFT))
		unpin_run(run, dirty);
}

/* Where most runs are single pages, a call for each would cost more than unpinning them. */
static void unpin_single_pages(const struct phyr_array *array, bool dirty)
{
	struct page *pages[FEW_PAGES];
	unsigned long i, j, nr;

	for (i = 0; i < array->blocks; i += nr) {
		nr = min_t(unsigned long, array->blocks - i, FEW_PAGES);
		for (j = 0; j < nr; j++)
			pages[j] = pfn_to_page(PHYS_PFN(array->block[i + j]));
		unpin_user_pages_dirty_lock(pages, nr, dirty);
		if (!(i % UNPIN_STEP))
			cond_resched();
	}
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
	if (array->shift == PAGE_SHIFT)
		unpin_single_pages(array, dirty);
	else
		unpin_runs(array, dirty);
	phyr_array_free(array);
}
EXPORT_SYMBOL_GPL(phyr_unpin_user);

MODULE_DESCRIPTION("User memory as physical ranges");
MODULE_LICENSE("Dual BSD/GPL");
