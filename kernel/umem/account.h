/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * The account of an ib_umem: may the process have this region, and what it is
 * charged. This comes before pinning and after unpinning, for both kinds of umem.
 * Limits (RLIMIT_MEMLOCK, mm->pinned_vm) and the order of errors are those of the
 * kernel's own ib_umem.
 *
 * Lifetime: mmgrab() holds the mm_struct for its pinned_vm, from which the release
 * subtracts the pages. Any process may release, and the address space may be gone
 * by then. The memory itself is held by its pins alone.
 *
 * The functions are inline because two modules have them, and neither should need
 * the other.
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
 * pinned. A charge that exceeds the limit is taken back. So threads that race for
 * the last pages may all be refused, but together they never exceed the limit.
 *
 * It returns the errors of phyr_umem_get(), without those of pinning.
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
 * How much to pin. For a region of no bytes inside a page, ib_umem pins that page,
 * and so do we.
 */
static inline size_t phyr_umem_bytes(const struct ib_umem *umem)
{
	return umem->length ?: 1;
}

#endif
