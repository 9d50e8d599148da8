// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * phyr_umem.ko: registration by the folio for every RDMA driver, unmodified.
 *
 * A livepatch of the one function through which drivers get user memory, the
 * kernel's ib_umem_get() or what it has become. In its place ours pins by phyr.ko
 * and returns what the kernel's would: an ordinary struct ib_umem, mapped for
 * DMA, with an ordinary scatterlist, whose entries are runs of physical memory and
 * not what has been merged from pages. That is what drivers may assume of one:
 * whole pages from that of the first byte on, in order, and no entry longer than
 * the device's longest segment. (Most look at it by means of the RDMA core's
 * functions only; some go through the entries, or want the first one's page.)
 *
 * What leaves this file is released by the kernel's own ib_umem_release(): each page
 * has its ordinary pin, pinned_vm its charge, the mm_struct its reference, and
 * nothing refers to phyr.ko or to this module any more. So the patch can be
 * enabled and disabled at any time, whoever has memory registered, and which of
 * the two functions has registered a region makes no difference later. As long
 * as a task is in our function the kernel does not let go of this module.
 */
#include <linux/livepatch.h>
#include <linux/module.h>
#include <linux/slab.h>

#include "livepatch.h" /* first: compat.h, which the next one needs, looks for it */
#include "account.h"

/* Unpin the pages of a scatterlist that no device has seen. */
static void unpin_sg(struct sg_table *table)
{
	struct scatterlist *sg;
	unsigned int i;

	for_each_sgtable_sg(table, sg, i) {
		unpin_user_page_range_dirty_lock(sg_page(sg), sg->length >> PAGE_SHIFT, false);
		cond_resched();
	}
}

/**
 * phyr_umem_get_va - what the kernel's ib_umem does for user addresses
 * @device: the device
 * @addr: user address of the first byte
 * @size: bytes
 * @access: IB_ACCESS_* flags of the MR
 *
 * Context: Process context of the memory's owner, may sleep.
 * Return: The umem, for ib_umem_release(), or an ERR_PTR() of the same errors.
 */
struct ib_umem *phyr_umem_get_va(struct ib_device *device, unsigned long addr, size_t size,
				 int access)
{
	struct sg_append_table *table;
	struct ib_umem *umem;
	int ret;

	umem = kzalloc(sizeof(*umem), GFP_KERNEL);
	if (!umem)
		return ERR_PTR(-ENOMEM);
	table = &umem->sgt_append;
	ret = phyr_umem_charge(umem, device, addr, size, access);
	if (ret)
		goto err_free;
	ret = phyr_pin_user_sg(table, addr, phyr_umem_bytes(umem), umem->writable,
			       ib_dma_max_seg_size(device));
	if (ret)
		goto err_uncharge;
	ret = ib_dma_map_sgtable_attrs(device, &table->sgt, DMA_BIDIRECTIONAL,
				       ib_umem_set_dma_attrs(umem, access));
	if (ret)
		goto err_unpin;
	return umem;

err_unpin:
	unpin_sg(&table->sgt);
	sg_free_append_table(table);
err_uncharge:
	phyr_umem_uncharge(umem);
err_free:
	kfree(umem);
	return ERR_PTR(ret);
}

/* Which one it is, and with what arguments, compat.h knows. */
static struct klp_func functions[] = {
	{ .old_name = UMEM_FUNCTION, .new_func = umem_function },
	{ }
};

/* UMEM_OBJECT: the module that has the function; Kbuild asks the kernel which it is. */
static struct klp_object objects[] = {
	{ .name = UMEM_OBJECT, .funcs = functions },
	{ }
};

static struct klp_patch patch = {
	.mod = THIS_MODULE,
	.objs = objects,
};

static int __init phyr_umem_init(void)
{
	return klp_enable_patch(&patch);
}

/* Unloaded only when disabled, and then there is nothing to undo. */
static void __exit phyr_umem_exit(void)
{
}

module_init(phyr_umem_init);
module_exit(phyr_umem_exit);
MODULE_INFO(livepatch, "Y");
MODULE_DESCRIPTION("Registration by the folio for every RDMA driver (livepatch of ib_umem)");
MODULE_LICENSE("Dual BSD/GPL");
