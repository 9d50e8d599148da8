/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * What comes before pinning and after unpinning, whatever is made of the phyrs in
 * between: may the process have this region as an ib_umem, and its account. What
 * it may cost to register memory (RLIMIT_MEMLOCK, mm->pinned_vm), and which error
 * comes first when several are due, is as in the kernel's own ib_umem.
 *
 * Lifetime: the mm_struct is held (mmgrab) for pinned_vm, from which the pages
 * are subtracted on release, whoever releases and whether or not the address
 * space is still there. The memory itself is held by its pins alone.
 *
 * Inline, as it goes into two modules, neither of which should need the other.
 */
#ifndef PHYR_UMEM_ACCOUNT_H
#define PHYR_UMEM_ACCOUNT_H

#include <linux/mm.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <phyr/phyr.h>
#include <rdma/ib_umem.h>
#include <rdma/ib_verbs.h>

#include "compat.h"

/*
 * Set up a zeroed umem and charge its pages to the process, before they are
 * pinned. The sum is taken back when it is too much, so threads that race for
 * the last of the limit may all be refused, but never exceed it together.
 *
 * Errors are those of phyr_umem_get(), but for the ones of pinning.
 */
static inline int phyr_umem_charge(struct ib_umem *umem, struct ib_device *device,
				   unsigned long addr, size_t size, int access)
{
	unsigned long limit = rlimit(RLIMIT_MEMLOCK) >> PAGE_SHIFT;
	struct mm_struct *mm = current->mm;
	unsigned long pages;

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
	if (atomic64_add_return(pages, &mm->pinned_vm) > limit && !capable(CAP_IPC_LOCK)) {
		atomic64_sub(pages, &mm->pinned_vm);
		return -ENOMEM;
	}
	mmgrab(mm);
	umem->owning_mm = mm;
	return 0;
}

/* Undo it. */
static inline void phyr_umem_uncharge(struct ib_umem *umem)
{
	atomic64_sub(ib_umem_num_pages(umem), &umem->owning_mm->pinned_vm);
	mmdrop(umem->owning_mm);
}

/*
 * How much to pin. No bytes, at an address inside a page, count as that page:
 * so it is in ib_umem.
 */
static inline size_t phyr_umem_bytes(const struct ib_umem *umem)
{
	return umem->length ?: 1;
}

#endif
