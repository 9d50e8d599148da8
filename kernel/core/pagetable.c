// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Looks at a page table without locks.
 *
 * With interrupts off, no table of user memory that we have reached is freed
 * under us: its freeing waits for an RCU grace period or for an IPI to this
 * CPU, the same that GUP-fast and KVM's host_pfn_mapping_level() rely on. The
 * kernel's own tables are freed otherwise, and are not looked at.
 *
 * An entry may change at any time all the same, so each is read once, and what
 * is returned was true at one moment; what it is worth afterwards is the
 * caller's affair.
 *
 * A leaf is an entry that maps more than a base page; a table is here one of
 * entries for base pages, which may well belong to large folios.
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

/* What pages to look for in the page table, and for which access. */
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
 * The entry for addr in the table of the third level, NULL if there is none.
 * Interrupts are off, and stay off while it is in use.
 */
static pud_t *find_pud(struct mm_struct *mm, unsigned long addr)
{
	p4d_t *p4dp, p4d;
	pgd_t *pgdp, pgd;

	if (addr >= TASK_SIZE_MAX)
		return NULL;
	pgdp = pgd_offset(mm, addr);
	pgd = pgdp_get(pgdp);
	if (!pgd_present(pgd))
		return NULL;
	p4dp = p4d_offset_lockless(pgdp, pgd, addr);
	p4d = p4dp_get(p4dp);
	if (!p4d_present(p4d))
		return NULL;
	return pud_offset_lockless(p4dp, p4d, addr);
}

/* The same for the next level; NULL as well if pud is a leaf. */
static pmd_t *find_pmd(pud_t *pudp, pud_t pud, unsigned long addr)
{
	if (!pud_present(pud) || pud_leaf(pud))
		return NULL;
	return pmd_offset_lockless(pudp, pud, addr);
}

static bool is_leaf(pmd_t pmd)
{
	return pmd_present(pmd) && pmd_leaf(pmd) && !pmd_special(pmd);
}

static bool is_table(pmd_t pmd)
{
	return pmd_present(pmd) && !pmd_leaf(pmd) && !pmd_bad(pmd);
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

static bool pud_has(pud_t pud, unsigned long addr, const struct sought *sought)
{
	return pud_present(pud) && pud_leaf(pud) && !pud_special(pud) &&
	       pud_access_permitted(pud, sought->write) &&
	       leaf_has(sought, pud_pfn(pud) + ((addr & ~PUD_MASK) >> PAGE_SHIFT), pud_write(pud));
}

/* (A protnone entry counts as present, and as accessible on some machines.) */
static bool pmd_has(pmd_t pmd, unsigned long addr, const struct sought *sought)
{
	return is_leaf(pmd) && !pmd_protnone(pmd) && pmd_access_permitted(pmd, sought->write) &&
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

/* The entries from addr on, in pmd's table, that map the pages sought one after the other. */
static unsigned long count_ptes(pmd_t pmd, unsigned long addr, const struct sought *sought)
{
	unsigned long i = 0, nr = sought->nr, pfn = page_to_pfn(sought->page);
	pte_t *ptep = pte_offset_kernel(&pmd, addr);
	unsigned long expected, step;
	pte_t pte;

	while (i < nr) {
		pte = ptep_get_lockless(ptep + i);
		if (!has_page(pte) || pte_pfn(pte) != pfn + i || !permitted(pte, sought->write))
			break;
		if (!pte_write(pte)) {
			if (!may_pin_read_only(sought->page + i, sought->shared))
				break;
			i++;
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

/* count_ptes(), unless the table was moved by mremap(): it may have changed at its new place. */
static unsigned long count_table(pmd_t *pmdp, pmd_t pmd, unsigned long addr,
				 const struct sought *sought)
{
	unsigned long nr = count_ptes(pmd, addr, sought);

	smp_rmb(); /* the entry is read again after the table */
	return pmd_same(pmd, pmdp_get_lockless(pmdp)) ? nr : 0;
}

/* Nobody holds the page: what is read may be about its next user. */
static bool looks_large(pte_t pte, bool write)
{
	return has_page(pte) && PageCompound(pfn_to_page(pte_pfn(pte))) && permitted(pte, write);
}

/* Pages from addr on up to where a large folio seems to begin; 0 if that is here. */
static unsigned long count_single(pmd_t pmd, unsigned long addr, unsigned long end, bool write)
{
	pte_t *ptep = pte_offset_kernel(&pmd, addr);
	unsigned long at = addr, next;

	while (at < end && !looks_large(ptep_get_lockless(ptep), write)) {
		next = min((at & ~(GRAIN - 1)) + GRAIN, end);
		ptep += (next - at) >> PAGE_SHIFT;
		at = next;
	}
	return (at - addr) >> PAGE_SHIFT;
}

/* The address behind what an entry that covers 1 << shift bytes covers. */
static unsigned long entry_end(unsigned long addr, unsigned int shift)
{
	return ((addr >> shift) + 1) << shift;
}

/**
 * phyr_pages_to_ask - how many pages to ask of GUP at once
 * @mm: address space of the caller
 * @addr: untagged user address of a page; nothing is ever mapped at one that is not
 * @end: page address up to which pages are wanted
 * @write: whether the access asked for is a write
 * @expect_single: whether a base page is expected where none is mapped
 *
 * It is one page where a large folio is mapped, so that the others can be
 * pinned for less, and where nothing is mapped yet and a large folio may come
 * of it. Nothing but time depends on the answer.
 *
 * Context: Any. Takes no locks.
 * Return: The number of pages, at least 1.
 */
unsigned long phyr_pages_to_ask(struct mm_struct *mm, unsigned long addr, unsigned long end,
				bool write, bool expect_single)
{
	unsigned long nr = 0, flags;
	pmd_t *pmdp, pmd;
	pud_t *pudp;
	pte_t pte;

	local_irq_save(flags);
	pudp = find_pud(mm, addr);
	pmdp = pudp ? find_pmd(pudp, pudp_get(pudp), addr) : NULL;
	if (!pmdp)
		goto out;
	pmd = pmdp_get_lockless(pmdp);
	if (!is_table(pmd))
		goto out;
	pte = ptep_get_lockless(pte_offset_kernel(&pmd, addr));
	if (expect_single || !pte_none(pte))
		nr = count_single(pmd, addr, min(entry_end(addr, PMD_SHIFT), end), write);
out:
	local_irq_restore(flags);
	return nr ?: 1;
}

/* by_table: whether what was found was found in a table. */
static unsigned long pages_mapped(struct mm_struct *mm, unsigned long addr, struct sought *sought,
				  bool *by_table)
{
	pmd_t *pmdp, pmd;
	pud_t *pudp, pud;

	*by_table = false;
	pudp = find_pud(mm, addr);
	if (!pudp)
		return 0;
	pud = pudp_get(pudp);
	pmdp = find_pmd(pudp, pud, addr);
	if (!pmdp) {
		sought->nr = min(sought->nr, (entry_end(addr, PUD_SHIFT) - addr) >> PAGE_SHIFT);
		return pud_has(pud, addr, sought) ? sought->nr : 0;
	}
	pmd = pmdp_get_lockless(pmdp);
	sought->nr = min(sought->nr, (entry_end(addr, PMD_SHIFT) - addr) >> PAGE_SHIFT);
	if (is_table(pmd)) {
		*by_table = true;
		return count_table(pmdp, pmd, addr, sought);
	}
	return pmd_has(pmd, addr, sought) ? sought->nr : 0;
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
 * @tells: set to whether phyr_folios_mapped() could tell this of a folio like @page's
 *
 * Counts the pages that lie one behind the other in the address space and in
 * the folio, and may be pinned for the reasons at the top of pin.c.
 *
 * Context: Any. Takes no locks.
 * Return: The number of pages; 0 if not even @page is there any more.
 */
unsigned long phyr_pages_mapped(struct mm_struct *mm, unsigned long addr, unsigned long end,
				struct page *page, bool write, bool shared, bool *tells)
{
	struct folio *folio = page_folio(page);
	struct sought sought = {
		.page = page,
		.nr = min_t(unsigned long, (end - addr) >> PAGE_SHIFT,
			    folio_nr_pages(folio) - folio_page_idx(folio, page)),
		.write = write,
		.shared = shared,
	};
	unsigned long nr, flags;
	bool by_table;

	pin_before_look();
	local_irq_save(flags);
	nr = pages_mapped(mm, addr, &sought, &by_table);
	local_irq_restore(flags);
	*tells = nr && (!by_table || folio_size(folio) < PMD_SIZE);
	return nr;
}

/**
 * phyr_table_end - how far phyr_folios_mapped() can look at a time
 * @addr: user address
 * @shift: log2 of the size of a folio
 *
 * Return: The address behind what the table covers that has @addr's entry.
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
 * How many folios, that are neighbours from addr on and have their first pages
 * in pages, are mapped as a whole: by leaves of the third level, of the second,
 * or in a table.
 */
static unsigned long count_puds(pud_t *pudp, unsigned long addr, struct page **pages,
				unsigned long nr, struct sought *sought)
{
	unsigned long i;

	for (i = 0; i < nr; i++)
		if (!seek_folio(sought, pages[i]) || !pud_has(pudp_get(pudp + i), addr, sought))
			break;
	return i;
}

static unsigned long count_pmds(pmd_t *pmdp, unsigned long addr, struct page **pages,
				unsigned long nr, struct sought *sought)
{
	unsigned long i;

	for (i = 0; i < nr; i++)
		if (!seek_folio(sought, pages[i]) ||
		    !pmd_has(pmdp_get_lockless(pmdp + i), addr, sought))
			break;
	return i;
}

static unsigned long count_in_table(pmd_t *pmdp, unsigned long addr, struct page **pages,
				    unsigned long nr, struct sought *sought)
{
	pmd_t pmd = pmdp_get_lockless(pmdp);
	unsigned long i;

	if (!is_table(pmd))
		return 0;
	for (i = 0; i < nr; i++, addr += sought->nr << PAGE_SHIFT)
		if (!seek_folio(sought, pages[i]) ||
		    count_table(pmdp, pmd, addr, sought) != sought->nr)
			break;
	return i;
}

static unsigned long folios_mapped(struct mm_struct *mm, unsigned long addr, unsigned int shift,
				   struct page **pages, unsigned long nr, bool write)
{
	struct sought sought = {
		.nr = 1UL << (shift - PAGE_SHIFT),
		.write = write,
	};
	pud_t *pudp = find_pud(mm, addr);
	pmd_t *pmdp;

	if (!pudp)
		return 0;
	if (shift == PUD_SHIFT)
		return count_puds(pudp, addr, pages, nr, &sought);
	pmdp = find_pmd(pudp, pudp_get(pudp), addr);
	if (!pmdp)
		return 0;
	if (shift == PMD_SHIFT)
		return count_pmds(pmdp, addr, pages, nr, &sought);
	return shift < PMD_SHIFT ? count_in_table(pmdp, addr, pages, nr, &sought) : 0;
}

/**
 * phyr_folios_mapped - how many folios are as good as pinned
 * @mm: address space of the caller
 * @addr: untagged user address, a multiple of 1 << @shift
 * @shift: log2 of the bytes that each folio is expected to have
 * @pages: what GUP has pinned at @addr, and 1 << @shift bytes behind it, and so on
 * @nr: how many; the last ends before phyr_table_end()
 * @write: whether they were pinned for writing
 *
 * What phyr_pages_mapped() does for one, without @shared, in less time for each.
 *
 * Context: Any. Takes no locks.
 * Return: The number of folios that have the expected size and are mapped as a whole.
 */
unsigned long phyr_folios_mapped(struct mm_struct *mm, unsigned long addr, unsigned int shift,
				 struct page **pages, unsigned long nr, bool write)
{
	unsigned long flags;

	pin_before_look();
	local_irq_save(flags);
	nr = folios_mapped(mm, addr, shift, pages, nr, write);
	local_irq_restore(flags);
	return nr;
}
