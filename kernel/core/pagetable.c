// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * A look at a page table without locks.
 *
 * With interrupts off, no table of user memory that we have reached is freed
 * under us: its freeing waits for an RCU grace period or for an IPI to this
 * CPU, the same that GUP-fast and KVM's host_pfn_mapping_level() rely on. The
 * kernel's own tables are freed otherwise, and are not looked at.
 *
 * An entry may change at any time all the same, so each is read once, and what
 * is returned was true at one moment; what it is worth afterwards is the
 * caller's affair.
 */
#include <linux/irqflags.h>
#include <linux/mm.h>
#include <linux/pgtable.h>

#include "pagetable.h"

static struct phyr_mapping look_pmd(pud_t *pudp, pud_t pud, unsigned long addr, bool write)
{
	pmd_t pmd = pmdp_get_lockless(pmd_offset_lockless(pudp, pud, addr));
	struct phyr_mapping seen = {
		.end = (addr & PMD_MASK) + PMD_SIZE,
	};

	if (!pmd_present(pmd))
		return seen;
	if (!pmd_leaf(pmd)) {
		seen.level = PHYR_PTES;
		return seen;
	}
	seen.level = PHYR_LEAF;
	seen.pfn = pmd_pfn(pmd) + ((addr & ~PMD_MASK) >> PAGE_SHIFT);
	/* A protnone entry counts as present, and as accessible on some machines. */
	seen.permitted = !pmd_protnone(pmd) && pmd_access_permitted(pmd, write);
	return seen;
}

static struct phyr_mapping look_pud(p4d_t *p4dp, p4d_t p4d, unsigned long addr, bool write)
{
	pud_t *pudp = pud_offset_lockless(p4dp, p4d, addr);
	pud_t pud = pudp_get(pudp);
	struct phyr_mapping seen = {
		.end = (addr & PUD_MASK) + PUD_SIZE,
	};

	if (!pud_present(pud))
		return seen;
	if (!pud_leaf(pud))
		return look_pmd(pudp, pud, addr, write);
	seen.level = PHYR_LEAF;
	seen.pfn = pud_pfn(pud) + ((addr & ~PUD_MASK) >> PAGE_SHIFT);
	seen.permitted = pud_access_permitted(pud, write);
	return seen;
}

/**
 * phyr_look - what is mapped at an address
 * @mm: address space of the caller
 * @addr: untagged user address; nothing is ever mapped at one that is not
 * @write: whether the access asked for is a write
 *
 * Context: Any. Takes no locks.
 * Return: What there was at one moment during the call.
 */
struct phyr_mapping phyr_look(struct mm_struct *mm, unsigned long addr, bool write)
{
	struct phyr_mapping seen = {};
	unsigned long flags;
	p4d_t *p4dp, p4d;
	pgd_t *pgdp, pgd;

	if (addr >= TASK_SIZE_MAX)
		return seen;

	local_irq_save(flags);
	pgdp = pgd_offset(mm, addr);
	pgd = pgdp_get(pgdp);
	if (pgd_present(pgd)) {
		p4dp = p4d_offset_lockless(pgdp, pgd, addr);
		p4d = p4dp_get(p4dp);
		if (p4d_present(p4d))
			seen = look_pud(p4dp, p4d, addr, write);
	}
	local_irq_restore(flags);
	return seen;
}
