// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * phyr_umem.ko: registration by the folio for every RDMA driver, unmodified.
 *
 * A livepatch of the one function that makes the umem of a user address: the
 * kernel's ib_umem_get(), or on newer kernels __ib_umem_get_va(), which all the
 * functions that drivers call lead to. Ours pins by phyr.ko, and returns what the
 * kernel's would: an ordinary struct ib_umem, mapped for DMA, with an ordinary
 * scatterlist. Its entries are runs of physical memory. Drivers may assume that a
 * scatterlist has whole pages from that of the first byte on, in order, and that no
 * entry is longer than the device's longest segment. (Most drivers look at it only
 * by the RDMA core's functions. Some go through the entries, or want the page of the
 * first one.)
 *
 * The kernel's own ib_umem_release() releases what leaves this file: each page has
 * its ordinary pin, pinned_vm its charge, and the mm_struct its reference. Nothing
 * refers to phyr.ko or to this module any more. So the patch can be enabled and
 * disabled at any time, while memory is registered, and it makes no difference later
 * which of the two functions has registered a region.
 *
 * The kernel lets go of this module when no task is in the function that it was
 * given. It looks for that function on the tasks' stacks. So our function must call
 * whatever takes long, and not end with such a call: of a call at the end, a
 * compiler makes a jump, and then our function is on no stack. This is why there is
 * no wrapper around ours, and why we do not patch the functions that only find out
 * which kind of memory is wanted.
 */
#include <linux/livepatch.h>
#include <linux/module.h>
#include <linux/slab.h>

#include "account.h"
#include "reach.h"

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

/* What ib_umem_get() does, whose arguments it has, and of whose errors it returns one. */
static struct ib_umem *phyr_umem_get_va(struct ib_device *device, unsigned long addr,
					size_t size, int access)
{
	struct ib_umem *umem = kzalloc(sizeof(*umem), GFP_KERNEL);
	struct sg_append_table *table;
	int ret;

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

/*
 * The patch finds its function by name, but a struct ib_umem must be what it was
 * when this was built. An RDMA core from elsewhere, as some vendors put in the place
 * of the kernel's own, may have another one.
 */
static int refuse_foreign(struct klp_object *object)
{
	if (!object->mod || !test_bit(TAINT_OOT_MODULE, &object->mod->taints))
		return 0;
	pr_err("phyr_umem: %s is not this kernel's own, and may differ: unload one of the two\n",
	       object->mod->name);
	return -EINVAL;
}

static struct klp_func functions[] = {
	{ .old_name = UMEM_FUNCTION, .new_func = phyr_umem_get_va },
	{ }
};

/* UMEM_OBJECT: the module that has the function; Kbuild asks the kernel which it is. */
static struct klp_object objects[] = {
	{
		.name = UMEM_OBJECT,
		.funcs = functions,
		.callbacks = { .pre_patch = refuse_foreign },
	},
	{ }
};

static struct klp_patch patch = {
	.mod = THIS_MODULE,
	.objs = objects,
};

static int __init phyr_umem_init(void)
{
	int ret = phyr_umem_check_reach();

	if (ret == -EOPNOTSUPP)
		pr_err("phyr_umem: drivers do not call " UMEM_FUNCTION "(): nothing is patched\n");
	return ret ?: klp_enable_patch(&patch);
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
