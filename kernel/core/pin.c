// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Pin user memory at a cost that follows the number of folio mappings.
 *
 * GUP pins; we only spare it work. We ask GUP for a single page of a large folio.
 * Then the page table shows how many of the folio's pages are mapped behind it, by
 * one entry (a leaf) or by an entry for each page. We pin these by adding to the
 * folio's counters once. We ask GUP for base pages a whole table at a time.
 *
 * What makes it right to pin by counting what the page table maps:
 *
 *  - GUP's one pin did all that a longterm pin has to do for a folio. It
 *    migrated the folio out of movable zones, and it refused what must not be
 *    pinned (secretmem, fsdax, pages of a filesystem that tracks dirty pages). The
 *    answer is the same for each page of the folio, since it depends on the folio
 *    or its file. For the pages that follow, we skip what GUP asks of their
 *    mapping. So does GUP-fast, which looks at entries only. (A driver may map some
 *    of a folio's pages with VM_IO. If their entries are special, we stop at them,
 *    as GUP-fast does. If they are not, GUP-fast pins these pages, too.)
 *
 *  - While we hold that pin, the folio cannot be freed, split, migrated or
 *    collapsed, since all of these give up on unexpected references.
 *
 *  - We look at the page table only after that pin (pagetable.c). An entry that
 *    permits the access and maps a page of the folio at that moment is one that
 *    GUP would have found, too. A munmap(), mremap() or split since GUP's pin has
 *    left something else there, or nothing. One that comes later finds pages that
 *    are pinned, as after GUP.
 *
 *  - A fork() copies exclusive pages of a pinned folio, and makes others shared. A
 *    fork() that was under way when GUP pinned has ended before, or GUP has waited
 *    for it (mm->write_protect_seq, mmap_lock). A fork() that comes later sees the
 *    pin of the folio, for all of its pages. So what is exclusive when we look
 *    stays exclusive. KSM, too, leaves pinned folios alone.
 *
 *  - COW. A pin must not get a page that a later write of its owner would replace
 *    by a copy. An entry that permits writing rules that out: it maps an anonymous
 *    page only if that is exclusive to the process, and a file's page only in a
 *    shared mapping, and no fork() comes in between. With an entry that does not
 *    permit writing,
 *     - we pin an anonymous page only if PageAnonExclusive says that it is
 *       exclusive: for each page, or in the first page of a folio that a leaf
 *       maps.
 *     - we pin a page of a file only in a shared mapping. For that, we look at the
 *       mapping under the mmap_lock: GUP has looked at one, but the next page may
 *       belong to another, or the mapping has been replaced.
 *
 *  - Protection keys, userfaultfd write protection and NUMA hinting are in the
 *    entry. p?d_access_permitted() is false where they forbid the access.
 *
 *  - We clamp the pages to the folio: a leaf can be larger than the folio where
 *    ZONE_DEVICE memory is not made of large folios.
 *
 * The mmap_lock: GUP takes it to fault pages in, and for pages of a file that are
 * mapped for reading only. At the first of the latter we take it ourselves, for
 * reading, and keep it at most up to the end of the page table. We must not take
 * it twice, since a writer may wait in between. So under it we only look at the
 * page table, allocate, fault in pages of the same mapping (fault_in_shared()), and
 * call GUP for pages that are mapped and need not be moved (phyr_gup_read_locked()).
 * pages_to_ask() and call_gup() let go of it before any other call of GUP.
 *
 * If anything looks different, the one page stays pinned, and GUP is asked for
 * the next. How many pages GUP is asked for at a time is a guess (guess.h), and
 * nothing but time depends on it. gup.c says how GUP is called.
 *
 * The zero folio carries no pins, and no function that pins or unpins counts
 * any for it. (A longterm pin breaks COW, so we hardly ever meet it here.)
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
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/timekeeping.h>
#include <linux/uaccess.h>

#include "array.h"
#include "builder.h"
#include "compat.h"
#include "guess.h"
#include "gup.h"
#include "pagetable.h"
#include "sgtable.h"
#include "unpin.h"

#define CREATE_TRACE_POINTS
#include "trace.h"

/* Runs are merged across folios, so neighbouring memory needs neighbouring struct pages. */
#if defined(CONFIG_SPARSEMEM) && !defined(CONFIG_SPARSEMEM_VMEMMAP)
#error "phyr needs CONFIG_SPARSEMEM_VMEMMAP or a memory model without sections"
#endif

/* As in GUP-fast: freeing page tables waits for us, and special entries are marked. */
#if !defined(CONFIG_HAVE_GUP_FAST) || !defined(CONFIG_ARCH_HAS_PTE_SPECIAL)
#error "phyr is for machines on which GUP need not take locks"
#endif

/* Lengths of blocks and regions are kept in both size_t and u64. */
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
 * @write: whether the memory will be written to through the pins
 * @wants_lock: whether a mapping was shared when the mmap_lock was last taken
 * @mapping_end: 0; or up to here a shared mapping goes, which is faulted in under the lock
 * @shared_end: 0; or the mmap_lock is held for reading, and up to here is one shared mapping
 * @unlock_at: where to let go of the lock, if it is held
 * @guess: what to expect of the next pages
 * @pages: room for what GUP returns
 * @max_pages: how many it has room for, at least FEW_PAGES
 * @few_pages: room for few
 * @stats: for phyr_pin_user()'s caller and the tracepoint
 */
struct pinner {
	struct phyr_builder builder;
	struct mm_struct *mm;
	unsigned long start;
	unsigned long end;
	bool write;
	bool wants_lock;
	unsigned long mapping_end;
	unsigned long shared_end;
	unsigned long unlock_at;
	struct guess guess;
	struct page **pages;
	unsigned long max_pages;
	struct page *few_pages[FEW_PAGES];
	struct phyr_pin_stats stats;
};

/* --- add pins to a folio that GUP has pinned --- */

/*
 * Pages of a file that are mapped for reading only may be pinned in a shared
 * mapping. If va is in one, take the mmap_lock, and keep it for what else the page
 * table maps: GUP would take it for each call. Where other threads want it often,
 * each time may be a wait.
 */
static void lock_shared_mapping(struct pinner *pinner, unsigned long va)
{
	struct vm_area_struct *vma;

	pinner->wants_lock = false;
	pinner->mapping_end = 0;
	if (mmap_read_lock_killable(pinner->mm))
		return;
	vma = vma_lookup(pinner->mm, va);
	if (!vma || vma_is_cow_mapping(vma)) {
		mmap_read_unlock(pinner->mm);
		return;
	}
	pinner->wants_lock = true;
	pinner->mapping_end = vma->vm_end;
	pinner->shared_end = min(pinner->end, vma->vm_end);
	pinner->unlock_at = va + phyr_bytes_in_table(va, pinner->shared_end, PAGE_SHIFT);
}

static void unlock_mapping(struct pinner *pinner)
{
	if (!pinner->shared_end)
		return;
	pinner->shared_end = 0;
	mmap_read_unlock(pinner->mm);
}

/*
 * Must we let go of the lock before GUP is called? GUP moves pages out of memory where nothing is
 * pinned for long, and tries until it succeeds. Where nothing is mapped yet, such a page may come.
 * Another thread may have isolated the pages. move_pages() does so, and takes the mmap_lock for
 * each page of its list. If a writer waits for the lock, move_pages() gets it after the writer, and
 * the writer gets it after us. (If pages come that were not there when we looked, that may still
 * happen. It is seldom, and a fatal signal ends it.)
 */
static bool must_unlock(const struct pinner *pinner, unsigned long va, unsigned int shift,
			unsigned long nr)
{
	return pinner->shared_end && phyr_may_move(pinner->mm, va, shift, nr);
}

/* Up to where one look may go. */
static unsigned long look_end(const struct pinner *pinner)
{
	return pinner->shared_end ?: pinner->end;
}

/* phyr_pages_mapped() for a page that was just pinned, of whose folio so many pages are wanted. */
static unsigned long pages_mapped(struct pinner *pinner, unsigned long va, struct page *page,
				  unsigned long wanted)
{
	unsigned long nr = phyr_pages_mapped(pinner->mm, va, look_end(pinner), page,
					     pinner->write, pinner->shared_end);

	if (nr == wanted || pinner->write || PageAnon(page) || pinner->shared_end ||
	    !phyr_is_read_only(pinner->mm, va + (nr << PAGE_SHIFT)))
		return nr;
	/* Of a file: the mapping says whether its pages may be pinned. */
	lock_shared_mapping(pinner, va);
	if (pinner->shared_end)
		nr = phyr_pages_mapped(pinner->mm, va, look_end(pinner), page, false, true);
	return nr;
}

/*
 * How many references a folio of so many pages may have for pins to be added. A
 * folio that has more is left to GUP, which refuses when the number has turned
 * negative. Between the two numbers there is room for what all CPUs add that have
 * just looked.
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
 * The page at va is pinned, by a call for this page alone. Pin those of its folio
 * that are mapped behind it. Returns the number of pages now pinned from va on; 1
 * is always right.
 */
static unsigned long pin_rest_of_folio(struct pinner *pinner, unsigned long va, struct page *page,
				       enum phyr_sight sight)
{
	struct folio *folio = page_folio(page);
	unsigned long in_folio = folio_nr_pages(folio) - folio_page_idx(folio, page);
	unsigned long wanted = min(in_folio, (pinner->end - va) >> PAGE_SHIFT);
	unsigned long nr;

	if (wanted == 1)
		return 1;
	nr = pages_mapped(pinner, va, page, wanted);
	if (nr <= 1 || !add_pins(folio, nr - 1, most_refs(folio_nr_pages(folio)))) {
		pinner->stats.fallbacks++;
		return 1;
	}
	pinner->stats.folio_hits++;
	guess_note_folio(&pinner->guess, va, folio, nr, sight);
	return nr;
}

/*
 * Was the call for one page at va, by which nr pages of a folio came to be pinned,
 * worth it? The last pages of a folio at the region's start, or at a table's, say
 * nothing of the next folio, so they always are.
 */
static bool was_worth_it(const struct pinner *pinner, unsigned long va, const struct page *page,
			 unsigned long nr)
{
	const struct folio *folio = page_folio(page);

	if (nr >= WORTH_A_CALL)
		return true;
	return (va == pinner->start || IS_ALIGNED(va, PMD_SIZE)) && folio_test_large(folio) &&
	       nr == folio_nr_pages(folio) - folio_page_idx(folio, page);
}

/* --- enter what is pinned --- */

/* Enter pages that GUP has pinned one by one. Those that cannot be entered are unpinned. */
static int enter_pages(struct pinner *pinner, unsigned long nr)
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

/* --- pin --- */

/* Room for a whole table of pages. Without it, it takes longer. */
static void more_room(struct pinner *pinner)
{
	struct page **pages = kmalloc(PAGE_SIZE, GFP_KERNEL | __GFP_NOWARN);

	if (pages) {
		pinner->pages = pages;
		pinner->max_pages = PAGE_SIZE / sizeof(*pages);
	}
}

/* How many of so many pages there is room for. */
static unsigned long make_room(struct pinner *pinner, unsigned long nr)
{
	if (nr > FEW_PAGES && pinner->max_pages == FEW_PAGES)
		more_room(pinner);
	return min(nr, pinner->max_pages);
}

/* Ask GUP for so many pages at va. */
static long call_gup(struct pinner *pinner, unsigned long va, unsigned long nr,
		     enum phyr_sight sight)
{
	bool mapped = phyr_is_mapped(sight);
	unsigned long most;
	long ret;

	if (pinner->write)
		return phyr_gup_write(va, nr, pinner->pages);
	if (mapped) {
		ret = pinner->shared_end ? phyr_gup_read_locked(va, nr, pinner->pages) :
					   phyr_gup_read_mapped(va, nr, pinner->pages);
		if (ret != -EFAULT)
			return ret;
	}
	unlock_mapping(pinner);
	most = phyr_bytes_in_table(va, pinner->end, PAGE_SHIFT) >> PAGE_SHIFT;
	most = make_room(pinner, most);
	/* What is there but cannot be pinned gets copies, and these are base pages as a rule. */
	return phyr_gup_read(va, mapped ? most : nr, most, sight, pinner->pages);
}

/*
 * Fault in a page of a shared mapping of a file for reading, under the mmap_lock that we hold, as
 * GUP does: nobody is signalled, and new pages come from where they can be pinned for long. Returns
 * true if that went well; then we still hold the lock. If not, shared_end says whether we do.
 *
 * We only fault in what GUP would not refuse. Of secret memory and of DAX, it refuses the first
 * page. So only a mapping that another thread has just put there can be of these, and one page of
 * that may be faulted in for nothing.
 */
static bool fault_in_locked(struct pinner *pinner, unsigned long va)
{
	const unsigned int fault_flags = FAULT_FLAG_ALLOW_RETRY | FAULT_FLAG_KILLABLE;
	/* There is one up to shared_end, as long as the lock is held. */
	struct vm_area_struct *vma = vma_lookup(pinner->mm, va);
	unsigned int saved;
	vm_fault_t fault;

	if (!(vma->vm_flags & VM_READ) || vma->vm_flags & (VM_IO | VM_PFNMAP))
		return false;
	saved = memalloc_pin_save();
	fault = handle_mm_fault(vma, va, fault_flags, NULL);
	memalloc_pin_restore(saved);
	/* The fault has let go of the lock. */
	if (fault & (VM_FAULT_RETRY | VM_FAULT_COMPLETED))
		pinner->shared_end = 0;
	return !(fault & (VM_FAULT_RETRY | VM_FAULT_COMPLETED | VM_FAULT_ERROR));
}

/*
 * phyr_look() has seen nothing at va that could be pinned. If folios of the same shared mapping
 * were pinned before, fault in what is there, and look again. A fault often maps a whole folio, or
 * 64 KiB, and then these pages are pinned under the same lock. (If GUP is to fault them in, it
 * takes the lock for each call, and we take it for each look.)
 *
 * GUP does the rest of the table if the fault would wait, if it fails, which GUP then reports, and
 * if base pages come, since these gain nothing.
 */
static enum phyr_sight fault_in_shared(struct pinner *pinner, unsigned long va,
				       enum phyr_sight sight, unsigned long *nr)
{
	if (!pinner->shared_end || va < pinner->guess.batch_until)
		return sight;
	if (fault_in_locked(pinner, va))
		sight = phyr_look(pinner->mm, va, pinner->end, false, nr);
	if (sight == PHYR_SEES_LEAF || sight == PHYR_SEES_FOLIO)
		return sight;
	unlock_mapping(pinner);
	pinner->mapping_end = 0;
	guess_note_poor(&pinner->guess, va);
	return sight;
}

/*
 * How many pages to ask of GUP, given what phyr_look() has seen. If GUP faults pages in or moves
 * them, the lock is not held, and GUP takes it for each call. So one call is for the whole table.
 */
static unsigned long pages_to_ask(struct pinner *pinner, unsigned long va, enum phyr_sight sight,
				  unsigned long nr)
{
	struct guess *guess = &pinner->guess;
	unsigned long ask = guess_pages(guess, va, pinner->end, sight, nr);

	if (!must_unlock(pinner, va, PAGE_SHIFT, ask))
		return ask;
	unlock_mapping(pinner);
	if (sight == PHYR_SEES_LEAF)
		return ask;
	guess_note_poor(guess, va);
	return guess_pages(guess, va, pinner->end, sight, nr);
}

/* Pin something at va and enter it. Returns the number of pages, or an error. */
static long pin_some(struct pinner *pinner, unsigned long va)
{
	struct guess *guess = &pinner->guess;
	enum phyr_sight sight = PHYR_SEES_LEAF;
	struct page **pages;
	bool look, batch;
	unsigned long ask = 1;
	long nr;
	int ret;

	/*
	 * For writing, a look is saved where there is nothing to choose, and where what was
	 * alike is expected to be alike again.
	 */
	look = !pinner->write || (!guess->alike && va + PAGE_SIZE != pinner->end);
	if (look) {
		sight = phyr_look(pinner->mm, va, pinner->end, pinner->write, &ask);
		if (!phyr_is_mapped(sight))
			sight = fault_in_shared(pinner, va, sight, &ask);
		ask = pages_to_ask(pinner, va, sight, ask);
		ask = make_room(pinner, ask);
	}
	nr = call_gup(pinner, va, ask, sight);
	if (nr < 0)
		return nr;
	pages = pinner->pages;
	batch = ask > 1 || nr > 1 || va < guess->batch_until || sight == PHYR_SEES_BASE_PAGES;
	if (batch) {
		guess_note_pages(guess);
		ret = enter_pages(pinner, nr);
		return ret ?: nr;
	}
	nr = pin_rest_of_folio(pinner, va, pages[0], sight);
	if (nr == 1)
		guess_note_pages(guess);
	if (look && !was_worth_it(pinner, va, pages[0], nr))
		guess_note_poor(guess, va);
	ret = enter_folio(pinner, pages[0], nr);
	return ret ?: nr;
}

/*
 * Pin the first page of each of so many folios of the expected size. For reading, what is not
 * mapped ends it. Returns how many were pinned.
 */
static unsigned long pin_first_pages(struct pinner *pinner, unsigned long va, unsigned long nr)
{
	unsigned int gup_flags = phyr_gup_flags(pinner->write);
	unsigned long size = 1UL << pinner->guess.shift, i;
	bool locked = pinner->shared_end;
	struct page **pages = pinner->pages;
	long got;

	for (i = 0; i < nr; i++, va += size) {
		got = locked ? phyr_gup_read_locked(va, 1, pages + i) :
			       pin_user_pages_fast(va, 1, gup_flags, pages + i);
		if (got != 1)
			break;
	}
	return i;
}

/*
 * pin_some() for folios that are like the last, as neighbours often are: a pin
 * of each first, then one look at all of them. The first one that is not
 * whole and of the same size ends it, and what was pinned behind it is unpinned.
 * Returns 0 if that is the very first, if the region ends within it, or if GUP must
 * be called without the lock. Memory may be faulted in some folios ahead of what turns
 * out to be the end. What could not be pinned ahead, pin_some() tries again in its turn.
 */
static long pin_alike(struct pinner *pinner, unsigned long va)
{
	struct guess *guess = &pinner->guess;
	unsigned long ahead = phyr_bytes_in_table(va, look_end(pinner), guess->shift) >>
			      guess->shift;
	/* No more at a time than there were, so that not much has to be undone. */
	unsigned long nr = min3(ahead, FEW_PAGES, guess->alike);
	unsigned long in_folio = 1UL << (guess->shift - PAGE_SHIFT);
	struct page **pages = pinner->pages;
	unsigned long pinned, alike, i;
	long most = most_refs(in_folio);
	int ret = 0;

	if (!nr || must_unlock(pinner, va, guess->shift, nr))
		return 0;
	pinned = pin_first_pages(pinner, va, nr);
	alike = phyr_folios_mapped(pinner->mm, va, guess->shift, pages, pinned, pinner->write,
				   pinner->shared_end);
	for (i = 0; i < alike && !ret; i++) {
		if (!add_pins(page_folio(pages[i]), in_folio - 1, most))
			break;
		ret = enter_folio(pinner, pages[i], in_folio);
	}
	pinner->stats.folio_hits += i;
	/* A folio that could not be entered has been unpinned. */
	unpin_user_pages(pages + i, pinned - i);
	guess_note_ahead(guess, nr, i == nr);
	return ret ?: i << (guess->shift - PAGE_SHIFT);
}

/* Will what is at va be pinned under the lock, if it is not held yet? */
static bool wants_lock_at(const struct pinner *pinner, unsigned long va)
{
	unsigned long ignored;

	if (!pinner->wants_lock || pinner->shared_end)
		return false;
	if (phyr_is_read_only(pinner->mm, va))
		return true;
	return va < pinner->mapping_end && va >= pinner->guess.batch_until &&
	       !phyr_is_mapped(phyr_look(pinner->mm, va, va + PAGE_SIZE, false, &ignored));
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
		if (wants_lock_at(pinner, va))
			lock_shared_mapping(pinner, va);
		nr = guess_expects_alike(&pinner->guess) ? pin_alike(pinner, va) : 0;
		if (!nr)
			nr = pin_some(pinner, va);
		if (nr < 0)
			return nr;
		va += nr << PAGE_SHIFT;
		if (va >= pinner->unlock_at)
			unlock_mapping(pinner);
	}
	return 0;
}

/* Take back what a region that failed has pinned so far. */
static void unpin_all(struct phyr_builder *builder)
{
	unsigned long nr;
	struct phyr *runs;

	while ((nr = phyr_builder_take(builder, &runs)))
		phyr_unpin_runs(runs, nr);
}

/*
 * Pin a region into the pinner's builder; if that fails, nothing of it stays pinned. If
 * somebody wants to know how long it takes, the time begins here, and ends with
 * tell_pinned().
 */
static int pin_region(struct pinner *pinner, unsigned long start, size_t len, bool writable,
		      bool timed)
{
	unsigned long stop;
	int ret;

	/* (Field by field, as few_pages need not be cleared.) */
	pinner->stats = (struct phyr_pin_stats){ .ns = timed ? ktime_get_ns() : 0 };
	pinner->guess = (struct guess)GUESS_INIT;
	pinner->mm = current->mm;
	pinner->write = writable;
	pinner->wants_lock = false;
	pinner->mapping_end = 0;
	pinner->shared_end = 0;
	pinner->unlock_at = 0;
	pinner->pages = pinner->few_pages;
	pinner->max_pages = FEW_PAGES;
	pinner->start = start & PAGE_MASK;
	if (!len || check_add_overflow(start, len, &stop) || PAGE_ALIGN(stop) < stop)
		return -EINVAL;
	pinner->end = PAGE_ALIGN(stop);
	if ((pinner->end - pinner->start) >> PAGE_SHIFT > UINT_MAX)
		return -EINVAL;

	phyr_builder_init(&pinner->builder, pinner->start);
	ret = pin_all(pinner);
	unlock_mapping(pinner);
	if (ret)
		unpin_all(&pinner->builder);
	if (pinner->pages != pinner->few_pages)
		kfree(pinner->pages);
	pinner->pages = NULL;
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
 * This is phyr_pin_user() for callers that hand the pins on to parts of the kernel
 * that know scatterlists only. Each run is an entry of whole pages: the first page
 * and the last are in it from their first byte to their last. A few entries of the
 * table may be unused (total_nents against orig_nents).
 *
 * Runs that follow each other physically are one, even if they are of different
 * folios. Users of the table do not mind: each page has a struct page, and these are
 * neighbours, too. Device memory that must be kept apart (P2PDMA) is not pinned
 * without asking for it.
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
