/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * Pin memory for an ib_umem: the part that is the same whatever is made of the
 * phyrs then. What it may cost a process to register memory (RLIMIT_MEMLOCK,
 * mm->pinned_vm), and which error comes first when several are due, is as in
 * the kernel's own ib_umem.
 *
 * Lifetime: the mm_struct is held (mmgrab) for pinned_vm, from which the pages
 * are subtracted on release, whoever releases and whether or not the address
 * space is still there. The memory itself is held by its pins alone.
 *
 * Inline, as it goes into two modules, neither of which should need the other.
 */
#ifndef PHYR_UMEM_PIN_H
#define PHYR_UMEM_PIN_H

#include <linux/mm.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <phyr/phyr.h>
#include <rdma/ib_umem.h>
#include <rdma/ib_verbs.h>

#include "compat.h"

/*
 * Charge the pages to the process before they are pinned. The sum is taken
 * back when it is too much, so threads that race for the last of the limit may
 * all be refused, but never exceed it together.
 */
static inline int phyr_umem_charge(struct mm_struct *mm, unsigned long pages)
{
	unsigned long limit = rlimit(RLIMIT_MEMLOCK) >> PAGE_SHIFT;
	unsigned long pinned = atomic64_add_return(pages, &mm->pinned_vm);

	if (pinned > limit && !capable(CAP_IPC_LOCK)) {
		atomic64_sub(pages, &mm->pinned_vm);
		return -ENOMEM;
	}
	return 0;
}

/*
 * Set up a zeroed umem and pin its memory, or leave nothing pinned and charged.
 * Errors are those of phyr_umem_get().
 */
static inline int phyr_umem_pin(struct ib_umem *umem, struct phyr_array *phyrs,
				struct ib_device *device, unsigned long addr, size_t size,
				int access)
{
	struct mm_struct *mm = current->mm;
	unsigned long pages;
	int ret;

	if (ib_device_bounces_dma(device))
		return -EOPNOTSUPP;
	if (addr + size < addr || PAGE_ALIGN(addr + size) < addr + size)
		return -EINVAL;
	if (!can_do_mlock())
		return -EPERM;
	if (access & IB_ACCESS_ON_DEMAND)
		return -EOPNOTSUPP;

	umem->ibdev = device;
	umem->length = size;
	umem->address = addr;
	umem->iova = addr;
	umem->writable = ib_access_writable(access);

	pages = ib_umem_num_pages(umem);
	if (!pages || pages > UINT_MAX)
		return -EINVAL;
	ret = phyr_umem_charge(mm, pages);
	if (ret)
		return ret;
	/* No bytes, at an address inside a page, count as that page: so it is in ib_umem. */
	ret = phyr_pin_user(phyrs, addr, size ?: 1, umem->writable);
	if (ret) {
		atomic64_sub(pages, &mm->pinned_vm);
		return ret;
	}
	mmgrab(mm);
	umem->owning_mm = mm;
	return 0;
}

/* Undo it. */
static inline void phyr_umem_unpin(struct ib_umem *umem, struct phyr_array *phyrs, bool dirty)
{
	phyr_unpin_user(phyrs, dirty);
	atomic64_sub(ib_umem_num_pages(umem), &umem->owning_mm->pinned_vm);
	mmdrop(umem->owning_mm);
}

#endif
