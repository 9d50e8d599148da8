// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Pin user memory at a cost that follows the number of folio mappings.
 *
 * GUP pins; we only spare it work. Of a large folio GUP is asked for a single
 * page; the page table then tells how many of the pages that follow are mapped
 * there as well, by one entry (a leaf) or by one for each page, and these are
 * pinned by adding to the folio's counters once. Base pages are asked of GUP a
 * whole table at a time.
 *
 * What makes it right to pin by counting what the page table maps:
 *
 *  - GUP's one pin did all that a longterm pin has to do for a folio: it
 *    migrated the folio out of movable zones, and refused what must not be
 *    pinned (secretmem, fsdax, pages that are written to behind the back of a
 *    filesystem that tracks dirty ones). Whichever page of it is asked for, the
 *    answer is the same, since it depends on the folio or its file; for the
 *    pages that follow we skip what GUP asks of their mapping, as GUP does
 *    itself where it need not fault. (A driver could map pages of one folio
 *    with VM_IO next to others without: they are pinned here, not by GUP.)
 *
 *  - With that pin held the folio cannot be freed, split, migrated or
 *    collapsed, since all of these give up on unexpected references.
 *
 *  - Then, and not before, the page table is looked at again (pagetable.c).
 *    Where an entry that permits the access maps a page of the folio at that
 *    moment, GUP too would have found it. A munmap(), mremap() or split since
 *    GUP's pin has left something else there, or nothing; one that comes later
 *    finds pages that are pinned, as after GUP.
 *
 *  - A fork() makes exclusive pages shared, unless their folio is pinned, when
 *    it copies them. One that was under way when GUP pinned has ended before,
 *    or has made GUP wait for it (mm->write_protect_seq, mmap_lock); one that
 *    comes later sees the pin of the folio, for all of its pages. So what is
 *    exclusive when we look stays so. KSM, too, leaves pinned folios alone.
 *
 *  - COW. What a pin must not get is a page that a later write of its owner
 *    would replace by a copy. An entry that permits writing rules that out, as
 *    no fork() is in between: it maps an anonymous page only if that is
 *    exclusive to the process, and a file's page only in a shared mapping. With
 *    an entry that does not,
 *     - an anonymous page is pinned only if PageAnonExclusive says that it is
 *       exclusive: for each page, or for a folio mapped by a leaf, in its first
 *       page.
 *     - a page of a file is pinned only in a shared mapping, for which the
 *       mapping has to be looked at, under the mmap_lock. GUP has looked at
 *       one, but the next page may belong to another, or it has been replaced.
 *
 *  - Protection keys, userfaultfd write protection and NUMA hinting are in the
 *    entry, and p?d_access_permitted() is false where they forbid.
 *
 *  - The pages are clamped to the folio: a leaf can be larger than it where
 *    ZONE_DEVICE memory is not made of large folios.
 *
 * If anything looks different, the one page stays pinned, and GUP is asked for
 * the next. (The look before GUP's pin only decides how many pages to ask for,
 * and nothing but time depends on it.)
 *
 * The zero folio carries no pins, and no function that pins or unpins counts
 * any for it. (A longterm pin breaks COW, so it is hardly ever met here.)
 */
#include <linux/io.h>
#include <linux/kernel.h>
#include <linux/limits.h>
#include <linux/mm.h>
#include <linux/mmap_lock.h>
#include <linux/module.h>
#include <linux/overflow.h>
#include <linux/preempt.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/timekeeping.h>
#include <linux/uaccess.h>

#include "array.h"
#include "builder.h"
#include "compat.h"
#include "pagetable.h"
#include "sgtable.h"
#include "unpin.h"

#define CREATE_TRACE_POINTS
#include "trace.h"

/* Runs are merged across folios, so neighbouring memory needs neighbouring struct pages. */
#if defined(CONFIG_SPARSEMEM) && !defined(CONFIG_SPARSEMEM_VMEMMAP)
#error "phyr needs CONFIG_SPARSEMEM_VMEMMAP or a memory model without sections"
#endif

/* As in GUP-fast: freeing page tables waits for us, and special entries can be told. */
#if !defined(CONFIG_HAVE_GUP_FAST) || !defined(CONFIG_ARCH_HAS_PTE_SPECIAL)
#error "phyr is for machines on which GUP need not take locks"
#endif

/* Lengths of blocks and regions are not told apart from u64. */
#ifndef CONFIG_64BIT
#error "phyr is for 64-bit machines"
#endif

/* Page pointers on the stack: enough for small regions, where an allocation would show. */
#define FEW_PAGES 32

/**
 * struct pinner - a region while it is being pinned
 * @builder: what is pinned already
 * @mm: address space
 * @start: its first page
 * @end: the page behind its last
 * @gup_flags: how to pin
 * @single: what was pinned last were pages one by one
 * @alike: how many large folios of one size there were at last
 * @enough: how many are enough to expect more of them
 * @shift: log2 of their bytes
 * @gup_until: up to here, everything is left to GUP
 * @pages: room for what GUP returns
 * @max_pages: how many it has room for, at least FEW_PAGES
 * @stats: for phyr_pin_user()'s caller and the tracepoint
 */
struct pinner {
	struct phyr_builder builder;
	struct mm_struct *mm;
	unsigned long start;
	unsigned long end;
	unsigned int gup_flags;
	bool single;
	unsigned int alike;
	unsigned int enough;
	unsigned int shift;
	unsigned long gup_until;
	struct page **pages;
	unsigned long max_pages;
	struct phyr_pin_stats stats;
};

/*
 * phyr_pages_mapped() for pages of a file that are mapped for reading only. GUP
 * works as well where the lock is contended.
 */
static unsigned long pages_mapped_shared(struct pinner *pinner, unsigned long va, struct page *page)
{
	struct mm_struct *mm = pinner->mm;
	struct vm_area_struct *vma;
	unsigned long nr = 0;
	bool tells;

	if (!mmap_read_trylock(mm))
		return nr;
	vma = vma_lookup(mm, va);
	if (vma && !vma_is_cow_mapping(vma))
		nr = phyr_pages_mapped(mm, va, min(vma->vm_end, pinner->end), page, false, true,
				       &tells);
	mmap_read_unlock(mm);
	return nr;
}

/*
 * How many references a folio of so many pages may have for pins to be added. One
 * that has more is left to GUP, which refuses when their number has turned
 * negative. From here to there is room for what all CPUs add that have just
 * looked at the number.
 */
static long most_refs(unsigned long nr_pages)
{
	return INT_MAX - max_t(long, INT_MAX / 4, (long)nr_cpu_ids * nr_pages);
}

/* Add pins to a folio that has one. Preemption is off so that it is one task on each CPU. */
static bool add_pins(struct folio *folio, unsigned long nr, long most)
{
	bool added;

	preempt_disable();
	added = folio_ref_count(folio) <= most && !folio_add_pins(folio, nr);
	preempt_enable();
	return added;
}

/*
 * A folio was pinned from its page at va on. Where it is whole, the next may be
 * like it; but do not expect that where phyr_folios_mapped() could not tell.
 */
static void note_folio(struct pinner *pinner, unsigned long va, struct folio *folio,
		       unsigned long nr, bool tells)
{
	unsigned int shift = PAGE_SHIFT + folio_order(folio);

	pinner->single = false;
	if (!tells || nr != folio_nr_pages(folio) || !IS_ALIGNED(va, 1UL << shift))
		pinner->alike = 0;
	else
		pinner->alike = shift == pinner->shift ? pinner->alike + 1 : 1;
	pinner->shift = shift;
}

/*
 * The page at va is pinned. Pin those of its folio that are mapped behind it.
 * Returns the number of pages now pinned from va on; 1 is always right.
 */
static unsigned long pin_rest_of_folio(struct pinner *pinner, unsigned long va, struct page *page)
{
	bool write = pinner->gup_flags & FOLL_WRITE, tells;
	struct folio *folio = page_folio(page);
	unsigned long nr;

	pinner->single = true;
	if (!folio_test_large(folio) || pinner->end - va == PAGE_SIZE ||
	    folio_page_idx(folio, page) == folio_nr_pages(folio) - 1)
		return 1;
	nr = phyr_pages_mapped(pinner->mm, va, pinner->end, page, write, false, &tells);
	if (!nr && !write && !folio_test_anon(folio))
		nr = pages_mapped_shared(pinner, va, page);
	if (nr <= 1 || !add_pins(folio, nr - 1, most_refs(folio_nr_pages(folio)))) {
		pinner->stats.fallbacks++;
		/* Where there are more, GUP shall have them, but not each by a call. */
		if (nr > 1)
			pinner->gup_until = va + (nr << PAGE_SHIFT);
		return 1;
	}
	pinner->stats.folio_hits++;
	note_folio(pinner, va, folio, nr, tells);
	return nr;
}

/* Room for a whole table of pages. Without it, it takes longer. */
static void more_room(struct pinner *pinner)
{
	struct page **pages = kmalloc(PAGE_SIZE, GFP_KERNEL | __GFP_NOWARN);

	if (pages) {
		pinner->pages = pages;
		pinner->max_pages = PAGE_SIZE / sizeof(*pages);
	}
}

/* How many pages to ask of GUP at va. */
static unsigned long pages_to_ask(struct pinner *pinner, unsigned long va)
{
	unsigned long nr;

	if (va < pinner->gup_until)
		nr = (min(pinner->end, pinner->gup_until) - va) >> PAGE_SHIFT;
	else if (pinner->alike || va + PAGE_SIZE == pinner->end)
		nr = 1;
	else
		nr = phyr_pages_to_ask(pinner->mm, va, pinner->end, pinner->gup_flags & FOLL_WRITE,
				       pinner->single);
	if (nr > FEW_PAGES && pinner->max_pages == FEW_PAGES)
		more_room(pinner);
	return min(nr, pinner->max_pages);
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

/* Enter pages of a folio, which are pinned, or unpin them. */
static int enter_folio(struct pinner *pinner, struct page *page, unsigned long nr)
{
	int ret = phyr_builder_add(&pinner->builder, page_to_phys(page), nr << PAGE_SHIFT);

	if (ret)
		phyr_unpin_pages(page, nr, false);
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
	if (ask == 1 && va >= pinner->gup_until) {
		nr = pin_rest_of_folio(pinner, va, pages[0]);
		ret = enter_folio(pinner, pages[0], nr);
	} else {
		pinner->single = true;
		ret = enter_batch(pinner, nr);
	}
	if (pinner->single)
		pinner->alike = 0;
	return ret ?: nr;
}

/*
 * pin_some() for folios that are like the last, as neighbours often are: a pin
 * of each first, then one look at all of them. The first one that is not
 * whole and of the same size ends it, and what was pinned behind it is unpinned.
 * Returns 0 if that is the very first, or if the region ends within it. Memory
 * may be faulted in some folios ahead of what turns out to be the end; what GUP
 * has refused ahead it will refuse again in its turn.
 */
static long pin_alike(struct pinner *pinner, unsigned long va)
{
	unsigned long end = min(pinner->end, phyr_table_end(va, pinner->shift));
	unsigned long nr = min((end - va) >> pinner->shift, FEW_PAGES);
	unsigned long in_folio = 1UL << (pinner->shift - PAGE_SHIFT);
	struct page **pages = pinner->pages;
	unsigned int gup_flags = pinner->gup_flags;
	unsigned long pinned, alike, i, at = va;
	long most = most_refs(in_folio);
	int ret = 0;

	/* No more at a time than there were, lest much be undone. */
	nr = min(nr, pinner->alike);
	if (!nr)
		return 0;
	for (pinned = 0; pinned < nr; pinned++, at += in_folio << PAGE_SHIFT)
		if (pin_user_pages_fast(at, 1, gup_flags, pages + pinned) != 1)
			break;
	alike = phyr_folios_mapped(pinner->mm, va, pinner->shift, pages, pinned,
				   gup_flags & FOLL_WRITE);
	for (i = 0; i < alike && !ret; i++) {
		if (!add_pins(page_folio(pages[i]), in_folio - 1, most))
			break;
		ret = enter_folio(pinner, pages[i], in_folio);
	}
	pinner->stats.folio_hits += i;
	/* A folio that could not be entered has been unpinned. */
	unpin_user_pages(pages + i, pinned - i);
	if (i == nr) {
		pinner->alike += nr;
	} else {
		/* (No region has so many folios that this could overflow.) */
		pinner->alike = 0;
		pinner->enough *= 2;
	}
	return ret ?: i << (pinner->shift - PAGE_SHIFT);
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
		nr = pinner->alike >= pinner->enough ? pin_alike(pinner, va) : 0;
		if (!nr)
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
		for (i = 0; i < nr; i++) {
			phyr_unpin_pages(pfn_to_page(PHYS_PFN(runs[i].addr)),
					 PHYS_PFN(runs[i].len), false);
			cond_resched();
		}
}

/*
 * Pin a region into the pinner's builder; if that fails, nothing of it stays pinned. If
 * somebody wants to know how long it takes, the time begins here, and is up with
 * tell_pinned().
 */
static int pin_region(struct pinner *pinner, unsigned long start, size_t len, bool writable,
		      bool timed)
{
	struct page *few_pages[FEW_PAGES];
	unsigned long stop;
	int ret;

	*pinner = (struct pinner){
		.stats.ns = timed ? ktime_get_ns() : 0,
		.mm = current->mm,
		.gup_flags = FOLL_LONGTERM | (writable ? FOLL_WRITE : 0),
		.enough = 2,
		.pages = few_pages,
		.max_pages = FEW_PAGES,
		.start = start & PAGE_MASK,
	};
	if (!len || check_add_overflow(start, len, &stop) || PAGE_ALIGN(stop) < stop)
		return -EINVAL;
	pinner->end = PAGE_ALIGN(stop);
	if ((pinner->end - pinner->start) >> PAGE_SHIFT > UINT_MAX)
		return -EINVAL;

	phyr_builder_init(&pinner->builder, pinner->start);
	ret = pin_all(pinner);
	if (ret)
		unpin_all(&pinner->builder);
	if (pinner->pages != few_pages)
		kfree(pinner->pages);
	return ret;
}

/* The region is pinned, or is not: so many runs, or so many entries. */
static void tell_pinned(struct pinner *pinner, unsigned long start, size_t len, bool writable,
			unsigned long nr, int ret)
{
	if (!pinner->stats.ns)
		return;
	pinner->stats.ns = ktime_get_ns() - pinner->stats.ns;
	trace_phyr_pin(start, len, writable, nr, &pinner->stats, ret);
}

/**
 * phyr_pin_user - pin a region of the caller's memory
 * @array: array to set up; its old contents are lost
 * @start: user address of the region's first byte
 * @len: bytes
 * @writable: whether the memory will be written to through the pins
 * @stats: where to say how it went, if it went well; may be NULL
 *
 * The memory is faulted in and pinned for long (FOLL_PIN and FOLL_LONGTERM):
 * each page of each phyr holds an ordinary pin for each time that it is in the
 * region. The caller does the accounting (RLIMIT_MEMLOCK, pinned_vm).
 *
 * Context: Process context of the memory's owner, may sleep. Takes the
 * mmap_lock for reading where memory must be faulted in, and where pages of a
 * file are mapped for reading only. Stops early for a fatal signal.
 * Return: 0, and phyr_unpin_user() must be called some day. Else nothing is
 * pinned: -EINVAL for a region that is empty, wraps around or has more than
 * UINT_MAX pages; -EINTR for a fatal signal; -ENOMEM for want of memory; or
 * what pin_user_pages_fast() returns, such as -EFAULT.
 */
int phyr_pin_user(struct phyr_array *array, unsigned long start, size_t len, bool writable,
		  struct phyr_pin_stats *stats)
{
	struct pinner pinner;
	int ret;

	start = untagged_addr(start);
	ret = pin_region(&pinner, start, len, writable, stats || trace_phyr_pin_enabled());
	if (!ret) {
		ret = phyr_builder_finish(&pinner.builder, array, start, len);
		if (ret)
			unpin_all(&pinner.builder);
	}
	tell_pinned(&pinner, start, len, writable, ret ? 0 : array->nr, ret);
	if (stats && !ret)
		*stats = pinner.stats;
	return ret;
}
EXPORT_SYMBOL_GPL(phyr_pin_user);

/**
 * phyr_pin_user_sg - pin a region of the caller's memory into a scatterlist
 * @table: table to set up, for sg_free_append_table()
 * @start: user address of the region's first byte
 * @len: bytes
 * @writable: whether the memory will be written to through the pins
 * @max_segment: no entry has more bytes; at least a page
 *
 * As phyr_pin_user(), for those who hand the pins on to parts of the kernel
 * that know scatterlists only. One entry a run, of whole pages: the first page
 * and the last are in it from their first byte to their last. What is left of the
 * table is not used (total_nents against orig_nents), and that is little.
 *
 * Runs that follow each other physically are one even where they are of
 * different folios. Nobody whom the table is for minds: there is a struct page
 * for each, and they have the same distance; and device memory that needs to be
 * told apart (P2PDMA) is not pinned without asking for it.
 *
 * Context: As phyr_pin_user().
 * Return: 0, and each page of each entry must be unpinned some day, by
 * unpin_user_page_range_dirty_lock() or the like. Else nothing is pinned and the
 * table is empty: the errors of phyr_pin_user(), or -EINVAL for a @max_segment
 * below a page.
 */
int phyr_pin_user_sg(struct sg_append_table *table, unsigned long start, size_t len, bool writable,
		     size_t max_segment)
{
	struct pinner pinner;
	int ret;

	start = untagged_addr(start);
	ret = pin_region(&pinner, start, len, writable, trace_phyr_pin_enabled());
	if (!ret) {
		ret = phyr_builder_finish_sg(&pinner.builder, table, pinner.end - pinner.start,
					     max_segment);
		if (ret)
			unpin_all(&pinner.builder);
	}
	tell_pinned(&pinner, start, len, writable, ret ? 0 : table->sgt.orig_nents, ret);
	return ret;
}
EXPORT_SYMBOL_GPL(phyr_pin_user_sg);

MODULE_DESCRIPTION("User memory as physical ranges");
MODULE_LICENSE("Dual BSD/GPL");
