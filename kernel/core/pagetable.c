// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Looks at a page table without locks.
 *
 * With interrupts off, no table of user memory that we have reached is freed
 * under us: its freeing waits for an RCU grace period or for an IPI to this
 * CPU. GUP-fast and KVM's host_pfn_mapping_level() rely on the same. The
 * kernel's own tables are freed otherwise, and are not looked at.
 *
 * An entry may change at any time all the same. So each is read once, and what
 * a function here returns was true at one moment. The caller must know what
 * that is worth afterwards.
 *
 * Words: a leaf is an entry that maps more than a base page. A table is here
 * one of entries for base pages. (These may well belong to large folios.)
 *
 * Machines differ in their number of levels, some of them only when they boot
 * (riscv64, arm64). A level that a machine does not have is folded: its "table"
 * is the one entry of the level above, and the address of that entry can be the
 * address of our copy of it. So the copies live in struct walk, as long as the
 * walk does, and nobody goes from an entry to its neighbour at a folded level:
 * phyr_table_end() makes sure of that.
 */
#include <linux/irqflags.h>
#include <linux/mm.h>
#include <linux/pgtable.h>

#include "pagetable.h"

/*
 * Where among base pages large folios are looked for. Folios are aligned in user
 * memory too, unless mremap() moved them. Looking for the smaller ones as well
 * would cost base pages more than it gains those.
 */
#define GRAIN (16 * PAGE_SIZE)

/* --- the walk --- */

/* Where a walk for an address ended. */
enum place {
	PLACE_NONE,		/* nothing is mapped, or no table is there */
	PLACE_PUD_LEAF,		/* at a leaf of the third level */
	PLACE_PMD_LEAF,		/* at a leaf of the second level */
	PLACE_TABLE,		/* at a table */
};

/**
 * struct walk - the way to an address's entry
 * @pgdp: entry of the highest level
 * @pgd: what was read there
 * @p4d: what was read at the next level
 * @pud: what was read at the third level
 * @pmd: what was read at the second level
 * @pudp: where the third level's entry is
 * @pmdp: where the second level's entry is
 *
 * The entries are valid as far down as the place says where the walk ended.
 */
struct walk {
	pgd_t *pgdp;
	pgd_t pgd;
	p4d_t p4d;
	pud_t pud;
	pmd_t pmd;
	pud_t *pudp;
	pmd_t *pmdp;
};

static __always_inline bool is_pud_leaf(pud_t pud)
{
	return pud_present(pud) && pud_leaf(pud) && !pud_special(pud);
}

static __always_inline bool is_pmd_leaf(pmd_t pmd)
{
	return pmd_present(pmd) && pmd_leaf(pmd) && !pmd_special(pmd);
}

static __always_inline enum place place_of_pmd(pmd_t pmd)
{
	if (is_pmd_leaf(pmd))
		return PLACE_PMD_LEAF;
	return !pmd_present(pmd) || pmd_leaf(pmd) || pmd_bad(pmd) ? PLACE_NONE : PLACE_TABLE;
}

/* Interrupts are off, and stay off while the entries are in use. */
static __always_inline enum place walk_to(struct walk *walk, struct mm_struct *mm,
					  unsigned long addr)
{
	p4d_t *p4dp;

	if (addr >= TASK_SIZE_MAX)
		return PLACE_NONE;
	walk->pgdp = pgd_offset(mm, addr);
	walk->pgd = pgdp_get(walk->pgdp);
	if (!pgd_present(walk->pgd))
		return PLACE_NONE;
	p4dp = p4d_offset_lockless(walk->pgdp, walk->pgd, addr);
	walk->p4d = p4dp_get(p4dp);
	if (!p4d_present(walk->p4d))
		return PLACE_NONE;
	walk->pudp = pud_offset_lockless(p4dp, walk->p4d, addr);
	walk->pud = pudp_get(walk->pudp);
	if (is_pud_leaf(walk->pud))
		return PLACE_PUD_LEAF;
	if (!pud_present(walk->pud) || pud_leaf(walk->pud))
		return PLACE_NONE;
	walk->pmdp = pmd_offset_lockless(walk->pudp, walk->pud, addr);
	walk->pmd = pmdp_get_lockless(walk->pmdp);
	return place_of_pmd(walk->pmd);
}

/*
 * Is the table still where the walk has found it? mremap() moves tables, and what
 * was read in one may have changed at its new place before we read it.
 */
static bool table_is_there(const struct walk *walk, struct mm_struct *mm)
{
	smp_rmb(); /* the entry is read again after the table */
	if (!pmd_same(walk->pmd, pmdp_get_lockless(walk->pmdp)))
		return false;
	/* With two levels, that was our copy; the entry itself is the highest level's. */
	return !mm_pmd_folded(mm) || pgd_val(walk->pgd) == pgd_val(pgdp_get(walk->pgdp));
}

/* The address behind what an entry that covers 1 << shift bytes covers. */
static unsigned long entry_end(unsigned long addr, unsigned int shift)
{
	return ((addr >> shift) + 1) << shift;
}

/* --- how a page is mapped --- */

/* What pages to look for, and for which access. */
struct sought {
	struct page *page;	/* the first; the others follow it in its folio */
	unsigned long nr;
	bool write;
	bool shared;		/* see phyr_pages_mapped() */
};

/*
 * The pin comes before the look for other CPUs too. (GUP's slow path, which
 * checks under locks, has no such barrier.) Pairs with the one between clearing
 * an entry and looking for pins, as in folio_try_share_anon_rmap_pte().
 */
static void pin_before_look(void)
{
	smp_mb(); /* GUP's pin before our look */
}

/*
 * May a page be pinned through an entry that permits reading only, as far as
 * COW is concerned? (See pin.c. Through one that permits writing it may.)
 */
static bool may_pin_read_only(struct page *page, bool shared)
{
	if (!PageAnon(page))
		return shared;
	/* As GUP does: the flag is read after the entry. */
	smp_rmb();
	return PageAnonExclusive(page);
}

/*
 * Is it the page sought that a leaf maps at our address, and may the leaf's pages
 * be pinned? (Inlined: a call would be a tenth of a look at a leaf.)
 */
static __always_inline bool leaf_has(const struct sought *sought, unsigned long pfn, bool writable)
{
	if (pfn != page_to_pfn(sought->page))
		return false;
	return writable || may_pin_read_only(compound_head(sought->page), sought->shared);
}

static __always_inline bool pud_has(pud_t pud, unsigned long addr, const struct sought *sought)
{
	return is_pud_leaf(pud) && pud_access_permitted(pud, sought->write) &&
	       leaf_has(sought, pud_pfn(pud) + ((addr & ~PUD_MASK) >> PAGE_SHIFT), pud_write(pud));
}

/* (A protnone entry counts as present, and as accessible on some machines.) */
static __always_inline bool pmd_has(pmd_t pmd, unsigned long addr, const struct sought *sought)
{
	return is_pmd_leaf(pmd) && !pmd_protnone(pmd) && pmd_access_permitted(pmd, sought->write) &&
	       leaf_has(sought, pmd_pfn(pmd) + ((addr & ~PMD_MASK) >> PAGE_SHIFT), pmd_write(pmd));
}

/* A special entry has no struct page that could be pinned. */
static bool has_page(pte_t pte)
{
	return pte_present(pte) && !pte_special(pte);
}

static bool permitted(pte_t pte, bool write)
{
	return !pte_protnone(pte) && pte_access_permitted(pte, write);
}

/* How many of the pages from the i-th on may be pinned, of so many mapped for reading only. */
static unsigned long count_read_only(const struct sought *sought, unsigned long i,
				     unsigned long nr)
{
	unsigned long n = 0;

	while (n < nr && may_pin_read_only(sought->page + i + n, sought->shared))
		n++;
	return n;
}

/* The entries from addr on, in pmd's table, that map the pages sought one after the other. */
static unsigned long count_ptes(pmd_t pmd, unsigned long addr, const struct sought *sought)
{
	unsigned long i = 0, nr = sought->nr, pfn = page_to_pfn(sought->page);
	pte_t *ptep = pte_offset_kernel(&pmd, addr);
	unsigned long expected, step, batch, n;
	pte_t pte;

	while (i < nr) {
		pte = ptep_get_lockless(ptep + i);
		if (!has_page(pte) || pte_pfn(pte) != pfn + i || !permitted(pte, sought->write))
			break;
		/* Some machines (arm64) say of an entry how many that follow are like it. */
		batch = min_t(unsigned long, pte_batch_hint(ptep + i, pte), nr - i);
		if (!pte_write(pte)) {
			n = count_read_only(sought, i, batch);
			i += n;
			if (n < batch)
				break;
			continue;
		}
		if (batch > 1) {
			i += batch;
			continue;
		}
		/*
		 * Most entries differ from the one before in the page only. Its
		 * number is counted up by adding to the entry: none of the pages
		 * of a folio has other high bits.
		 */
		expected = pte_val(pte);
		step = pte_val(pte_next_pfn(pte)) - expected;
		do {
			expected += step;
			i++;
		} while (i < nr && pte_val(ptep_get_lockless(ptep + i)) == expected);
	}
	return i;
}

/* How many of the pages sought are mapped at such a place, where pud or pmd is the entry. */
static __always_inline unsigned long count_mapped(enum place place, pud_t pud, pmd_t pmd,
						  unsigned long addr, const struct sought *sought)
{
	switch (place) {
	case PLACE_PUD_LEAF:
		return pud_has(pud, addr, sought) ? sought->nr : 0;
	case PLACE_PMD_LEAF:
		return pmd_has(pmd, addr, sought) ? sought->nr : 0;
	case PLACE_TABLE:
		return count_ptes(pmd, addr, sought);
	case PLACE_NONE:
		break;
	}
	return 0;
}

/* --- what pin.c asks --- */

/* Nobody holds the page: what is read may be about its next user. */
static bool looks_large(pte_t pte, bool write)
{
	return has_page(pte) && PageCompound(pfn_to_page(pte_pfn(pte))) && permitted(pte, write);
}

/* Pages from addr on up to where a large folio seems to begin; 0 if that is here. */
static unsigned long count_single(pte_t *ptep, unsigned long addr, unsigned long end, bool write)
{
	unsigned long at = addr, next;

	while (at < end && !looks_large(ptep_get_lockless(ptep), write)) {
		next = min((at & ~(GRAIN - 1)) + GRAIN, end);
		ptep += (next - at) >> PAGE_SHIFT;
		at = next;
	}
	return (at - addr) >> PAGE_SHIFT;
}

static enum phyr_sight look_at_table(pmd_t pmd, unsigned long addr, unsigned long end, bool write,
				     unsigned long *nr)
{
	pte_t *ptep = pte_offset_kernel(&pmd, addr);

	if (pte_none(ptep_get_lockless(ptep)))
		return PHYR_SEES_NOTHING;
	end = addr + phyr_bytes_in_table(addr, end, PAGE_SHIFT);
	*nr = count_single(ptep, addr, end, write);
	return *nr ? PHYR_SEES_BASE_PAGES : PHYR_SEES_FOLIO;
}

/**
 * phyr_look - what seems to be mapped at an address
 * @mm: address space of the caller
 * @addr: untagged user address of a page; nothing is ever mapped at one that is not
 * @end: page address up to which pages are wanted
 * @write: whether the access asked for is a write
 * @nr: of base pages, set to how many there are up to the next large folio, or up to the end
 *	of the table; some of them may not be mapped. Else not written.
 *
 * Context: Any. Takes no locks.
 * Return: What is there, at one moment. No page is held: it may be another by now.
 */
enum phyr_sight phyr_look(struct mm_struct *mm, unsigned long addr, unsigned long end, bool write,
			  unsigned long *nr)
{
	enum phyr_sight sight = PHYR_SEES_NO_TABLE;
	unsigned long flags;
	struct walk walk;

	local_irq_save(flags);
	switch (walk_to(&walk, mm, addr)) {
	case PLACE_PUD_LEAF:
	case PLACE_PMD_LEAF:
		sight = PHYR_SEES_LEAF;
		break;
	case PLACE_TABLE:
		sight = look_at_table(walk.pmd, addr, end, write, nr);
		break;
	case PLACE_NONE:
		break;
	}
	local_irq_restore(flags);
	return sight;
}

/**
 * phyr_is_read_only - whether what is mapped may only be read
 * @mm: address space of the caller
 * @addr: untagged user address of a page
 *
 * Context: Any. Takes no locks.
 * Return: true if there is an entry for @addr that does not permit writing.
 */
bool phyr_is_read_only(struct mm_struct *mm, unsigned long addr)
{
	bool read_only = false;
	unsigned long flags;
	struct walk walk;
	pte_t pte;

	local_irq_save(flags);
	switch (walk_to(&walk, mm, addr)) {
	case PLACE_PUD_LEAF:
		read_only = !pud_write(walk.pud);
		break;
	case PLACE_PMD_LEAF:
		read_only = !pmd_write(walk.pmd);
		break;
	case PLACE_TABLE:
		pte = ptep_get_lockless(pte_offset_kernel(&walk.pmd, addr));
		read_only = has_page(pte) && !pte_write(pte);
		break;
	case PLACE_NONE:
		break;
	}
	local_irq_restore(flags);
	return read_only;
}

/*
 * GUP pins nothing for long in ZONE_MOVABLE and in CMA areas. A module cannot ask whether a page is
 * in a CMA area. So all pages of a zone that has such areas count.
 */
static bool page_may_move(unsigned long pfn)
{
	const struct page *page = pfn_to_page(pfn);

	return is_zone_movable_page(page) || zone_cma_pages(page_zone(page));
}

/* Of the pages from addr on that are mapped at such a place. */
static bool any_may_move(enum place place, const struct walk *walk, unsigned long addr,
			 unsigned int shift, unsigned long nr)
{
	pmd_t pmd = walk->pmd;
	pte_t *ptep, pte;

	switch (place) {
	case PLACE_PUD_LEAF:
		return page_may_move(pud_pfn(walk->pud));
	case PLACE_PMD_LEAF:
		return page_may_move(pmd_pfn(pmd));
	case PLACE_TABLE:
		ptep = pte_offset_kernel(&pmd, addr);
		for (; nr; nr--, ptep += 1UL << (shift - PAGE_SHIFT)) {
			pte = ptep_get_lockless(ptep);
			if (!has_page(pte) || page_may_move(pte_pfn(pte)))
				return true;
		}
		return false;
	case PLACE_NONE:
		break;
	}
	return true;
}

/**
 * phyr_may_move - whether GUP may have to move pages before it pins them
 * @mm: address space of the caller
 * @addr: untagged user address of the first
 * @shift: log2 of the bytes from one to the next
 * @nr: how many; the last is before phyr_table_end()
 *
 * Context: Any. Takes no locks.
 * Return: true if one of them is in ZONE_MOVABLE, or in a zone that has CMA areas; or if one is not
 * mapped, as what comes there may be.
 */
bool phyr_may_move(struct mm_struct *mm, unsigned long addr, unsigned int shift, unsigned long nr)
{
	unsigned long at_once = shift < PMD_SHIFT ? nr : 1;
	unsigned long flags;
	struct walk walk = {};
	bool may_move;

	local_irq_save(flags);
	do {
		may_move = any_may_move(walk_to(&walk, mm, addr), &walk, addr, shift, at_once);
		addr += at_once << shift;
		nr -= at_once;
	} while (nr && !may_move);
	local_irq_restore(flags);
	return may_move;
}

/**
 * phyr_pages_mapped - how many pages are as good as pinned
 * @mm: address space of the caller
 * @addr: untagged user address of a page
 * @end: page address up to which pages are wanted
 * @page: what GUP has pinned at @addr
 * @write: whether it was pinned for writing
 * @shared: whether no private mapping of a file is between @addr and @end, and
 *	none can come there before we return
 *
 * Counts the pages that lie one behind the other in the address space and in
 * the folio, and may be pinned for the reasons at the top of pin.c.
 *
 * Context: Any. Takes no locks.
 * Return: The number of pages; 0 if not even @page is there any more.
 */
unsigned long phyr_pages_mapped(struct mm_struct *mm, unsigned long addr, unsigned long end,
				struct page *page, bool write, bool shared)
{
	struct folio *folio = page_folio(page);
	struct sought sought = {
		.page = page,
		.write = write,
		.shared = shared,
	};
	unsigned long bytes, nr, flags;
	struct walk walk = {};
	enum place place;

	pin_before_look();
	local_irq_save(flags);
	place = walk_to(&walk, mm, addr);
	bytes = entry_end(addr, place == PLACE_PUD_LEAF ? PUD_SHIFT : PMD_SHIFT) - addr;
	sought.nr = min_t(unsigned long, min(end - addr, bytes) >> PAGE_SHIFT,
			  folio_nr_pages(folio) - folio_page_idx(folio, page));
	nr = count_mapped(place, walk.pud, walk.pmd, addr, &sought);
	if (place == PLACE_TABLE && !table_is_there(&walk, mm))
		nr = 0;
	local_irq_restore(flags);
	return nr;
}

/**
 * phyr_table_end - how far one look can reach
 * @addr: user address
 * @shift: log2 of the size of a folio
 *
 * Return: The address behind what the table covers that has the entry, or the entries, of
 * such a folio at @addr.
 */
unsigned long phyr_table_end(unsigned long addr, unsigned int shift)
{
	if (shift < PMD_SHIFT)
		return entry_end(addr, PMD_SHIFT);
	return entry_end(addr, shift < PUD_SHIFT ? PUD_SHIFT : P4D_SHIFT);
}

/* Seek the whole folio of this page, which must be its first. */
static __always_inline bool seek_folio(struct sought *sought, struct page *page)
{
	struct folio *folio = page_folio(page);

	sought->page = page;
	return &folio->page == page && folio_nr_pages(folio) == sought->nr;
}

/*
 * How many folios, which are neighbours from addr on and have their first pages in
 * pages, are mapped as a whole at such a place. Inlined, so that for each place there is a loop
 * that does not ask which it is: it would cost a tenth of a look at a leaf.
 */
static __always_inline unsigned long count_folios(const struct walk *walk, enum place place,
						  unsigned long addr, struct page **pages,
						  unsigned long nr, struct sought *sought)
{
	pud_t pud = walk->pud, *pudp = walk->pudp;
	pmd_t pmd = walk->pmd, *pmdp = walk->pmdp;
	unsigned long i;

	for (i = 0; i < nr; i++, addr += sought->nr << PAGE_SHIFT) {
		if (i && place == PLACE_PUD_LEAF)
			pud = pudp_get(pudp + i);
		if (i && place == PLACE_PMD_LEAF)
			pmd = pmdp_get_lockless(pmdp + i);
		if (!seek_folio(sought, pages[i]) ||
		    count_mapped(place, pud, pmd, addr, sought) != sought->nr)
			break;
	}
	return i;
}

static unsigned long folios_mapped(struct mm_struct *mm, unsigned long addr, unsigned int shift,
				   struct page **pages, unsigned long nr, struct sought *sought)
{
	struct walk walk = {};

	switch (walk_to(&walk, mm, addr)) {
	case PLACE_PUD_LEAF:
		if (shift != PUD_SHIFT)
			break;
		return count_folios(&walk, PLACE_PUD_LEAF, addr, pages, nr, sought);
	case PLACE_PMD_LEAF:
		if (shift != PMD_SHIFT)
			break;
		return count_folios(&walk, PLACE_PMD_LEAF, addr, pages, nr, sought);
	case PLACE_TABLE:
		if (shift >= PMD_SHIFT)
			break;
		nr = count_folios(&walk, PLACE_TABLE, addr, pages, nr, sought);
		return table_is_there(&walk, mm) ? nr : 0;
	case PLACE_NONE:
		break;
	}
	return 0;
}

/**
 * phyr_folios_mapped - how many folios are as good as pinned
 * @mm: address space of the caller
 * @addr: untagged user address, a multiple of 1 << @shift
 * @shift: log2 of the bytes that each folio is expected to have
 * @pages: what GUP has pinned at @addr, and 1 << @shift bytes behind it, and so on
 * @nr: how many; the last ends before phyr_table_end()
 * @write: whether they were pinned for writing
 * @shared: as of phyr_pages_mapped()
 *
 * What phyr_pages_mapped() does for one, in less time for each.
 *
 * Context: Any. Takes no locks.
 * Return: The number of folios that have the expected size and are mapped as a whole.
 */
unsigned long phyr_folios_mapped(struct mm_struct *mm, unsigned long addr, unsigned int shift,
				 struct page **pages, unsigned long nr, bool write, bool shared)
{
	struct sought sought = {
		.nr = 1UL << (shift - PAGE_SHIFT),
		.write = write,
		.shared = shared,
	};
	unsigned long flags;

	pin_before_look();
	local_irq_save(flags);
	nr = folios_mapped(mm, addr, shift, pages, nr, &sought);
	local_irq_restore(flags);
	return nr;
}
