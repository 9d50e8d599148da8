// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * ib_umem on phyrs: what an MR holds instead of a scatterlist.
 *
 * A struct phyr_umem begins with a struct ib_umem, as struct ib_umem_dmabuf does. So
 * a driver can keep it where it keeps its umem, and ib_umem_check_rereg() and is_odp
 * go on working. account.h has what is the same for every kind of umem.
 *
 * Only devices that do DMA by CPU (ib_uses_virt_dma()) are served here. They need no
 * mapping.
 */
#include <linux/slab.h>

#include "account.h"
#include "umem.h"

static struct phyr_umem *alloc_umem(struct ib_device *device)
{
	struct phyr_umem *phyr_umem = kzalloc(sizeof(*phyr_umem), GFP_KERNEL);

	if (phyr_umem)
		phyr_umem->umem.ibdev = device;
	return phyr_umem;
}

/**
 * phyr_umem_get - pin user memory for an MR
 * @device: the device, which must do DMA by CPU
 * @addr: user address of the first byte
 * @size: bytes
 * @access: IB_ACCESS_* flags of the MR
 *
 * Context: Process context of the memory's owner, may sleep.
 * Return: The umem, or what ib_umem returns for the same: ERR_PTR() of
 * -EINVAL (no pages, wraps around, more than UINT_MAX pages), -EPERM (may not lock
 * memory), -EOPNOTSUPP (on-demand paging), -ENOMEM (no memory, or
 * RLIMIT_MEMLOCK), -EINTR (killed), or what pin_user_pages_fast() returns.
 */
struct phyr_umem *phyr_umem_get(struct ib_device *device, unsigned long addr, size_t size,
				int access)
{
	struct phyr_umem *phyr_umem;
	struct ib_umem *umem;
	int ret;

	if (WARN_ON_ONCE(!ib_uses_virt_dma(device)))
		return ERR_PTR(-EOPNOTSUPP);
	phyr_umem = alloc_umem(device);
	if (!phyr_umem)
		return ERR_PTR(-ENOMEM);
	umem = &phyr_umem->umem;
	ret = phyr_umem_charge(umem, device, addr, size, access);
	if (ret)
		goto err_free;
	ret = phyr_pin_user(&phyr_umem->phyrs, addr, phyr_umem_bytes(umem), umem->writable,
			    &phyr_umem->stats);
	if (ret)
		goto err_uncharge;
	return phyr_umem;

err_uncharge:
	phyr_umem_uncharge(umem);
err_free:
	kfree(phyr_umem);
	return ERR_PTR(ret);
}

/**
 * phyr_umem_alloc_fast - memory of a fast-registration MR
 * @device: the device
 * @max_blocks: how many blocks the MR can be mapped to
 *
 * There is no memory yet: phyr_array_begin_blocks() and the functions that follow it
 * give it some. Whoever maps the MR has pinned that memory.
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
		phyr_umem_uncharge(umem);
	} else {
		phyr_array_free(&phyr_umem->phyrs);
	}
	kfree(phyr_umem);
}
