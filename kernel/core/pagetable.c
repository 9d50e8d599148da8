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
 * A leaf is an entry that maps more than a base page; a table is one of
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

enum level {
	NOTHING,	/* or nothing that is present */
	TABLE,
	LEAF,
};

/**
 * struct place - what a page table has at an address
 * @level: what there is
 * @end: the address behind the leaf or table
 * @permitted: leaf: the access asked for is permitted
 * @writable: leaf: so is writing
 * @pfn: leaf: the page that the address is mapped to
 * @pmdp: table: the entry that points to it
 * @pmd: table: what was read there
 */
struct place {
	enum level level;
	unsigned long end;
	bool permitted;
	bool writable;
	unsigned long pfn;
	pmd_t *pmdp;
	pmd_t pmd;
};

/*
 * These are called for each folio, and inlined so that a place need not be in
 * memory: half of the instructions that a look takes without.
 */
static __always_inline struct place look_pmd(pud_t *pudp, pud_t pud, unsigned long addr, bool write)
{
	pmd_t *pmdp = pmd_offset_lockless(pudp, pud, addr);
	pmd_t pmd = pmdp_get_lockless(pmdp);
	unsigned long end = (addr & PMD_MASK) + PMD_SIZE;

	if (!pmd_present(pmd))
		return (struct place){ .level = NOTHING };
	if (pmd_leaf(pmd))
		return (struct place){
			.level = LEAF,
			.end = end,
			/* A protnone entry counts as present, on some machines as accessible. */
			.permitted = !pmd_protnone(pmd) && pmd_access_permitted(pmd, write),
			.writable = pmd_write(pmd),
			.pfn = pmd_pfn(pmd) + ((addr & ~PMD_MASK) >> PAGE_SHIFT),
		};
	if (pmd_bad(pmd))
		return (struct place){ .level = NOTHING };
	return (struct place){ .level = TABLE, .end = end, .pmdp = pmdp, .pmd = pmd };
}

static __always_inline struct place look_pud(p4d_t *p4dp, p4d_t p4d, unsigned long addr, bool write)
{
	pud_t *pudp = pud_offset_lockless(p4dp, p4d, addr);
	pud_t pud = pudp_get(pudp);

	if (!pud_present(pud))
		return (struct place){ .level = NOTHING };
	if (!pud_leaf(pud))
		return look_pmd(pudp, pud, addr, write);
	return (struct place){
		.level = LEAF,
		.end = (addr & PUD_MASK) + PUD_SIZE,
		.permitted = pud_access_permitted(pud, write),
		.writable = pud_write(pud),
		.pfn = pud_pfn(pud) + ((addr & ~PUD_MASK) >> PAGE_SHIFT),
	};
}

/* Interrupts are off, and stay off while the place is in use. */
static __always_inline struct place look(struct mm_struct *mm, unsigned long addr, bool write)
{
	p4d_t *p4dp, p4d;
	pgd_t *pgdp, pgd;

	if (addr >= TASK_SIZE_MAX)
		return (struct place){ .level = NOTHING };
	pgdp = pgd_offset(mm, addr);
	pgd = pgdp_get(pgdp);
	if (!pgd_present(pgd))
		return (struct place){ .level = NOTHING };
	p4dp = p4d_offset_lockless(pgdp, pgd, addr);
	p4d = p4dp_get(p4dp);
	if (!p4d_present(p4d))
		return (struct place){ .level = NOTHING };
	return look_pud(p4dp, p4d, addr, write);
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

/* Nobody holds the page: what is read may be about its next user. */
static bool looks_large(pte_t pte, bool write)
{
	return has_page(pte) && PageCompound(pfn_to_page(pte_pfn(pte))) && permitted(pte, write);
}

/* Pages from addr on up to where a large folio seems to begin, or to end; 0 if that is here. */
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
	struct place place;
	pte_t pte;

	local_irq_save(flags);
	place = look(mm, addr, write);
	if (place.level == TABLE) {
		pte = ptep_get_lockless(pte_offset_kernel(&place.pmd, addr));
		if (expect_single || !pte_none(pte))
			nr = count_single(place.pmd, addr, min(place.end, end), write);
	}
	local_irq_restore(flags);
	return nr ?: 1;
}

/*
 * May a page be pinned through an entry that permits reading only, as far as
 * COW is concerned? (See pin.c. Through one that permits writing it may.)
 */
static bool may_pin_read_only(struct folio *folio, struct page *page, bool shared)
{
	if (!folio_test_anon(folio))
		return shared;
	/* As GUP does: the flag is read after the entry. */
	smp_rmb();
	return PageAnonExclusive(page);
}

/* Does the entry map this page for us? */
static bool maps(pte_t pte, unsigned long pfn, bool write)
{
	return has_page(pte) && pte_pfn(pte) == pfn && permitted(pte, write);
}

/* Entries from addr on that map page and its successors in the folio, at most nr. */
static unsigned long count_entries(pmd_t pmd, unsigned long addr, unsigned long nr,
				   struct page *page, bool write, bool shared)
{
	pte_t *ptep = pte_offset_kernel(&pmd, addr);
	struct folio *folio = page_folio(page);
	unsigned long i, pfn = page_to_pfn(page);
	unsigned long expected = 0, step = 0;
	bool writable = false;
	pte_t pte;

	/*
	 * Most entries differ from the one before in the page only. Its number
	 * is counted up by adding to the entry, since none of the pages of a
	 * folio has higher bits that differ.
	 */
	for (i = 0; i < nr; i++, expected += step) {
		pte = ptep_get_lockless(ptep + i);
		if (!i || pte_val(pte) != expected) {
			if (!maps(pte, pfn + i, write))
				break;
			expected = pte_val(pte);
			step = pte_val(pte_next_pfn(pte)) - expected;
			writable = pte_write(pte);
		}
		if (!writable && !may_pin_read_only(folio, page + i, shared))
			break;
	}
	return i;
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
	unsigned long nr, flags;
	struct place place;

	nr = min_t(unsigned long, (end - addr) >> PAGE_SHIFT,
		   folio_nr_pages(folio) - folio_page_idx(folio, page));
	local_irq_save(flags);
	place = look(mm, addr, write);
	switch (place.level) {
	case NOTHING:
		nr = 0;
		break;
	case TABLE:
		nr = min(nr, (place.end - addr) >> PAGE_SHIFT);
		nr = count_entries(place.pmd, addr, nr, page, write, shared);
		/* A table that was moved by mremap() may have changed at its new place. */
		if (!pmd_same(place.pmd, pmdp_get_lockless(place.pmdp)))
			nr = 0;
		break;
	case LEAF:
		nr = min(nr, (place.end - addr) >> PAGE_SHIFT);
		if (!place.permitted || place.pfn != page_to_pfn(page) ||
		    (!place.writable && !may_pin_read_only(folio, &folio->page, shared)))
			nr = 0;
		break;
	}
	local_irq_restore(flags);
	return nr;
}
