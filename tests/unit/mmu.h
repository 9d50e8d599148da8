/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * A machine for kernel/core/pagetable.c: page tables and pages in a process's own
 * memory, with as many levels of tables as a test asks for.
 *
 * Levels that the machine does not have are folded at run time, as on riscv64. The
 * function that goes down a folded level returns the address of its argument, which
 * is the caller's copy of an entry. The machine differs from x86 on purpose.
 */
#ifndef MMU_H
#define MMU_H

#include "shim.h"

/* 2 to 5. Pages have 4 KiB, tables 512 entries. */
extern unsigned int mmu_levels;

#define PMD_SHIFT 21
#define PUD_SHIFT (mmu_levels >= 3 ? 30 : PMD_SHIFT)
#define P4D_SHIFT (mmu_levels >= 4 ? 39 : PUD_SHIFT)
#define PGDIR_SHIFT (mmu_levels >= 5 ? 48 : P4D_SHIFT)
#define PMD_MASK (~((1UL << PMD_SHIFT) - 1))
#define PUD_MASK (~((1UL << PUD_SHIFT) - 1))
#define TASK_SIZE_MAX (1UL << 56)

/* An entry is a table's address or a page's number << 12, with these bits. */
enum {
	ENTRY_PRESENT = 1 << 0,
	ENTRY_LEAF = 1 << 1,
	ENTRY_WRITE = 1 << 2,
	ENTRY_SPECIAL = 1 << 3,
	ENTRY_PROTNONE = 1 << 4,
	ENTRY_CONT = 1 << 5,	/* one of 16 entries that are alike */
	ENTRY_SWAP = 1 << 6,	/* not present, and not none */
};

typedef struct { u64 val; } pgd_t;
typedef struct { u64 val; } p4d_t;
typedef struct { u64 val; } pud_t;
typedef struct { u64 val; } pmd_t;
typedef struct { u64 val; } pte_t;

struct mm_struct {
	pgd_t *pgd;
};

/* A page. The first page of a folio is the folio, too. */
struct page {
	struct page *head;
	unsigned int order;	/* of the folio; in its first page */
	bool anon;
	bool exclusive;
	bool movable;		/* in ZONE_MOVABLE */
	bool cma_zone;		/* in a zone that has CMA areas */
};

struct zone;

struct folio {
	struct page page;
};

/* Pages have numbers from FIRST_PFN on. */
#undef page_to_pfn
#undef pfn_to_page
#define FIRST_PFN 0x1234000UL
extern struct page mmu_pages[];

#define page_to_pfn(page) (FIRST_PFN + (unsigned long)((page) - mmu_pages))
#define pfn_to_page(pfn) (mmu_pages + ((pfn) - FIRST_PFN))
#define page_folio(p) ((struct folio *)(p)->head)
#define compound_head(p) ((p)->head)
#define folio_nr_pages(folio) (1UL << (folio)->page.order)
#define folio_page_idx(folio, p) ((unsigned long)((p) - &(folio)->page))
#define PageCompound(p) ((p)->head->order != 0)
#define PageAnon(p) ((p)->head->anon)
#define PageAnonExclusive(p) ((p)->exclusive)
#define is_zone_movable_page(p) ((p)->movable)
#define page_zone(p) ((struct zone *)(p))
#define zone_cma_pages(zone) (((struct page *)(zone))->cma_zone ? 1UL : 0)

#define local_irq_save(flags) ((void)((flags) = 0))
#define local_irq_restore(flags) ((void)(flags))

/* Called before an entry of a table is read, if set. */
extern void (*mmu_before_pte)(pte_t *ptep);

/* How to read the entries of each level. A folded level always has a next level. */
#define MMU_TABLE(entry) ((void *)((entry).val & PAGE_MASK))
#define MMU_PFN(entry) ((entry).val >> PAGE_SHIFT)
#define MMU_INDEX(addr, shift) ((addr) >> (shift) & 511)

#define pgd_offset(mm, addr) ((mm)->pgd + MMU_INDEX(addr, PGDIR_SHIFT))
#define pgdp_get(pgdp) (*(pgdp))
#define pgd_val(pgd) ((pgd).val)
#define pgd_present(pgd) (mmu_levels < 5 || (pgd).val & ENTRY_PRESENT)

static inline p4d_t *p4d_offset(pgd_t *pgdp, unsigned long addr)
{
	return mmu_levels < 5 ? (p4d_t *)pgdp :
				(p4d_t *)MMU_TABLE(*pgdp) + MMU_INDEX(addr, P4D_SHIFT);
}

#define p4d_offset_lockless(pgdp, pgd, addr) ((void)(pgdp), p4d_offset(&(pgd), addr))

#define p4dp_get(p4dp) (*(p4dp))
#define p4d_present(p4d) (mmu_levels < 4 || (p4d).val & ENTRY_PRESENT)

static inline pud_t *pud_offset(p4d_t *p4dp, unsigned long addr)
{
	return mmu_levels < 4 ? (pud_t *)p4dp :
				(pud_t *)MMU_TABLE(*p4dp) + MMU_INDEX(addr, PUD_SHIFT);
}

#define pud_offset_lockless(p4dp, p4d, addr) ((void)(p4dp), pud_offset(&(p4d), addr))

#define pudp_get(pudp) (*(pudp))
#define pud_present(pud) (mmu_levels < 3 || (pud).val & ENTRY_PRESENT)
#define pud_leaf(pud) (mmu_levels >= 3 && (pud).val & ENTRY_LEAF)
#define pud_special(pud) ((pud).val & ENTRY_SPECIAL)
#define pud_write(pud) ((pud).val & ENTRY_WRITE)
#define pud_pfn(pud) MMU_PFN(pud)
#define pud_access_permitted(pud, write) (!(write) || pud_write(pud))

static inline pmd_t *pmd_offset(pud_t *pudp, unsigned long addr)
{
	return mmu_levels < 3 ? (pmd_t *)pudp :
				(pmd_t *)MMU_TABLE(*pudp) + MMU_INDEX(addr, PMD_SHIFT);
}

#define pmd_offset_lockless(pudp, pud, addr) ((void)(pudp), pmd_offset(&(pud), addr))
#define mm_pmd_folded(mm) ((void)(mm), mmu_levels < 3)

#define pmdp_get_lockless(pmdp) (*(pmdp))
#define pmd_same(a, b) ((a).val == (b).val)
#define pmd_present(pmd) ((pmd).val & ENTRY_PRESENT)
#define pmd_leaf(pmd) ((pmd).val & ENTRY_LEAF)
#define pmd_bad(pmd) (!MMU_TABLE(pmd))
#define pmd_special(pmd) ((pmd).val & ENTRY_SPECIAL)
#define pmd_protnone(pmd) ((pmd).val & ENTRY_PROTNONE)
#define pmd_write(pmd) ((pmd).val & ENTRY_WRITE)
#define pmd_pfn(pmd) MMU_PFN(pmd)
#define pmd_access_permitted(pmd, write) (!(write) || pmd_write(pmd))

#define pte_offset_kernel(pmdp, addr) ((pte_t *)MMU_TABLE(*(pmdp)) + MMU_INDEX(addr, PAGE_SHIFT))

static inline pte_t ptep_get_lockless(pte_t *ptep)
{
	if (mmu_before_pte)
		mmu_before_pte(ptep);
	return *ptep;
}

#define pte_val(pte) ((pte).val)
#define pte_none(pte) (!(pte).val)
#define pte_present(pte) ((pte).val & ENTRY_PRESENT)
#define pte_special(pte) ((pte).val & ENTRY_SPECIAL)
#define pte_protnone(pte) ((pte).val & ENTRY_PROTNONE)
#define pte_write(pte) ((pte).val & ENTRY_WRITE)
#define pte_pfn(pte) MMU_PFN(pte)
#define pte_access_permitted(pte, write) (!(write) || pte_write(pte))
#define pte_next_pfn(pte) ((pte_t){ (pte).val + PAGE_SIZE })
#define pte_batch_hint(ptep, pte) \
	((pte).val & ENTRY_CONT ? 16 - ((uintptr_t)(ptep) / sizeof(pte_t) & 15) : 1)

#endif
