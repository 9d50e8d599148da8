// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * ib_umem on phyrs: what an MR holds instead of a scatterlist.
 *
 * A struct phyr_umem begins with a struct ib_umem, as struct ib_umem_dmabuf
 * does, so that a driver can keep it where it keeps its umem, and
 * ib_umem_check_rereg() and is_odp go on working. What it may cost a process
 * to register memory (RLIMIT_MEMLOCK, mm->pinned_vm), and which error comes
 * first when several are due, is the same as in ib_umem_get().
 *
 * Lifetime: the mm_struct is held (mmgrab) for pinned_vm, from which the pages
 * are subtracted on release, whoever releases and whether or not the address
 * space is still there. The memory itself is held by its pins alone.
 *
 * Devices that do DMA by CPU (ib_uses_virt_dma()) need no mapping, and theirs
 * are the only ones served here.
 */
#include <linux/mm.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "umem.h"

static struct phyr_umem *alloc_umem(struct ib_device *device)
{
	struct phyr_umem *phyr_umem = kzalloc(sizeof(*phyr_umem), GFP_KERNEL);

	if (phyr_umem)
		phyr_umem->umem.ibdev = device;
	return phyr_umem;
}

/*
 * Charge the pages to the process before they are pinned. The sum is taken
 * back when it is too much, so threads that race for the last of the limit may
 * all be refused, but never exceed it together.
 */
static int charge(struct mm_struct *mm, unsigned long pages)
{
	unsigned long limit = rlimit(RLIMIT_MEMLOCK) >> PAGE_SHIFT;
	unsigned long pinned = atomic64_add_return(pages, &mm->pinned_vm);

	if (pinned > limit && !capable(CAP_IPC_LOCK)) {
		atomic64_sub(pages, &mm->pinned_vm);
		return -ENOMEM;
	}
	return 0;
}

/**
 * phyr_umem_get - pin user memory for an MR
 * @device: the device, which must do DMA by CPU
 * @addr: user address of the first byte
 * @size: bytes
 * @access: IB_ACCESS_* flags of the MR
 *
 * Context: Process context of the memory's owner, may sleep.
 * Return: The umem, or what ib_umem_get() returns for the same: ERR_PTR() of
 * -EINVAL (no pages, wraps around, more than UINT_MAX pages), -EPERM (may not lock
 * memory), -EOPNOTSUPP (on-demand paging), -ENOMEM (no memory, or
 * RLIMIT_MEMLOCK), -EINTR (killed), or what pin_user_pages_fast() returns.
 */
struct phyr_umem *phyr_umem_get(struct ib_device *device, unsigned long addr, size_t size,
				int access)
{
	struct mm_struct *mm = current->mm;
	struct phyr_umem *phyr_umem;
	unsigned long pages;
	int ret;

	if (WARN_ON_ONCE(!ib_uses_virt_dma(device)))
		return ERR_PTR(-EOPNOTSUPP);
	if (addr + size < addr || PAGE_ALIGN(addr + size) < addr + size)
		return ERR_PTR(-EINVAL);
	if (!can_do_mlock())
		return ERR_PTR(-EPERM);
	if (access & IB_ACCESS_ON_DEMAND)
		return ERR_PTR(-EOPNOTSUPP);

	phyr_umem = alloc_umem(device);
	if (!phyr_umem)
		return ERR_PTR(-ENOMEM);
	phyr_umem->umem.length = size;
	phyr_umem->umem.address = addr;
	phyr_umem->umem.iova = addr;
	phyr_umem->umem.writable = ib_access_writable(access);

	pages = ib_umem_num_pages(&phyr_umem->umem);
	if (!pages || pages > UINT_MAX) {
		ret = -EINVAL;
		goto err_free;
	}
	ret = charge(mm, pages);
	if (ret)
		goto err_free;
	/* No bytes, at an address inside a page, count as that page: so it is in ib_umem_get(). */
	ret = phyr_pin_user(&phyr_umem->phyrs, addr, size ?: 1, phyr_umem->umem.writable);
	if (ret)
		goto err_uncharge;

	mmgrab(mm);
	phyr_umem->umem.owning_mm = mm;
	return phyr_umem;

err_uncharge:
	atomic64_sub(pages, &mm->pinned_vm);
err_free:
	kfree(phyr_umem);
	return ERR_PTR(ret);
}

/**
 * phyr_umem_alloc_fast - memory of a fast-registration MR
 * @device: the device
 * @max_blocks: how many blocks the MR can be mapped to
 *
 * There is no memory yet: phyr_array_begin_blocks() and so on give it some.
 * It is not pinned by us, but by whoever maps the MR.
 *
 * Context: May sleep.
 * Return: The umem, or ERR_PTR(-ENOMEM).
 */
struct phyr_umem *phyr_umem_alloc_fast(struct ib_device *device, unsigned long max_blocks)
{
	struct phyr_umem *phyr_umem = alloc_umem(device);

	if (!phyr_umem)
		return ERR_PTR(-ENOMEM);
	if (phyr_array_alloc_blocks(&phyr_umem->phyrs, max_blocks)) {
		kfree(phyr_umem);
		return ERR_PTR(-ENOMEM);
	}
	return phyr_umem;
}

/**
 * phyr_umem_release - undo phyr_umem_get() or phyr_umem_alloc_fast()
 * @phyr_umem: the umem, freed
 *
 * Context: Any process, may sleep.
 */
void phyr_umem_release(struct phyr_umem *phyr_umem)
{
	struct ib_umem *umem = &phyr_umem->umem;

	if (umem->owning_mm) {
		phyr_unpin_user(&phyr_umem->phyrs, umem->writable);
		atomic64_sub(ib_umem_num_pages(umem), &umem->owning_mm->pinned_vm);
		mmdrop(umem->owning_mm);
	} else {
		phyr_array_free(&phyr_umem->phyrs);
	}
	kfree(phyr_umem);
}
