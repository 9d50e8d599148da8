// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * /dev/phyr_umem_test: phyr_umem_test.h says what it does.
 *
 * A umem holds its RDMA device, of which there are two kinds. A real device, such as
 * rxe's, is found by its network device. A bare device is one that no driver has
 * registered, and does DMA by a PCI device. That is enough for ib_umem: it asks only
 * whether there is a device for DMA, and whether a driver has said that its DMA is
 * bounced. We set the PCI device's limits as RDMA drivers do when they probe: 64
 * bits of address, and segments of any size. Some tests ask for less.
 *
 * Lifetimes: a umem belongs to the open file, and is found there by its id; see
 * table.h.
 */
#include <linux/dma-mapping.h>
#include <linux/fs.h>
#include <linux/io.h>
#include <linux/iommu.h>
#include <linux/kernel.h>
#include <linux/ktime.h>
#include <linux/miscdevice.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/netdevice.h>
#include <linux/pci.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include <rdma/ib_umem.h>
#include <rdma/ib_verbs.h>
#include <rdma/iter.h>
#include <rdma/uverbs_ioctl.h>

#include "device.h"
#include "phyr_umem_test.h"
#include "table.h"

#include "compat.h"

#define COPY_MAX SZ_1M

struct region {
	struct ib_umem *umem;
	struct ib_device *device;
	struct pci_dev *pci;	/* of a bare device; NULL for a real one */
};

/* ib_alloc_device() wants a struct of the driver's. */
struct bare_device {
	struct ib_device ib;
};

static int bare_device(struct region *region, const struct phyr_umem_test_get *args)
{
	struct device *dma_device;
	struct bare_device *bare;
	int ret;

	if (args->dma_bits > 64)
		return -EINVAL;
	region->pci = pci_get_device(args->pci >> 16, args->pci & 0xffff, NULL);
	if (!region->pci)
		return -ENODEV;
	dma_device = &region->pci->dev;
	ret = dma_set_mask_and_coherent(dma_device, DMA_BIT_MASK(args->dma_bits ?: 64));
	if (ret)
		goto err_put;
	dma_set_max_seg_size(dma_device, args->max_segment);
	bare = ib_alloc_device(bare_device, ib);
	if (!bare) {
		ret = -ENOMEM;
		goto err_put;
	}
	bare->ib.dma_device = dma_device;
	region->device = &bare->ib;
	return 0;

err_put:
	pci_dev_put(region->pci);
	return ret;
}

static int real_device(struct region *region, u32 ifindex)
{
	struct net_device *netdev = dev_get_by_index(&init_net, ifindex);

	if (!netdev)
		return -ENODEV;
	region->device = ib_device_get_by_netdev(netdev, RDMA_DRIVER_UNKNOWN);
	dev_put(netdev);
	return region->device ? 0 : -ENODEV;
}

static void put_device_of(struct region *region)
{
	if (region->pci) {
		ib_dealloc_device(region->device);
		pci_dev_put(region->pci);
	} else {
		ib_device_put(region->device);
	}
}

static struct ib_umem *call_ib_umem(struct ib_device *device,
				    const struct phyr_umem_test_get *args)
{
	if (args->descriptor)
		return ib_umem_get_by(device, args->desc_type, args->desc_flags, args->desc_fd,
				      args->addr, args->len, args->access);
	return ib_umem_get_va(device, args->addr, args->len, args->access);
}

static struct region *make_region(struct phyr_umem_test_get *args)
{
	struct region *region = kzalloc(sizeof(*region), GFP_KERNEL);
	u64 began;
	int ret;

	if (!region)
		return ERR_PTR(-ENOMEM);
	ret = args->netdev ? real_device(region, args->netdev) : bare_device(region, args);
	if (ret)
		goto err_free;
	began = ktime_get_ns();
	region->umem = call_ib_umem(region->device, args);
	args->ns = ktime_get_ns() - began;
	if (IS_ERR(region->umem)) {
		ret = PTR_ERR(region->umem);
		goto err_put;
	}
	return region;

err_put:
	put_device_of(region);
err_free:
	kfree(region);
	return ERR_PTR(ret);
}

static void release_region_of(struct region *region)
{
	ib_umem_release(region->umem);
	put_device_of(region);
	kfree(region);
}

static void describe(const struct ib_umem *umem, struct phyr_umem_test_get *args)
{
	args->entries = umem->sgt_append.sgt.orig_nents;
	args->dma_entries = umem->sgt_append.sgt.nents;
	args->total_entries = umem->sgt_append.total_nents;
	args->appended = !!umem->sgt_append.prv;
	args->writable = umem->writable;
	args->dmabuf = umem->is_dmabuf;
	args->owned = umem->owning_mm == current->mm;
	args->address = umem->address;
	args->length = umem->length;
	args->iova = umem->iova;
	args->dma_attrs = ib_umem_dma_attrs(umem);
}

static int test_get(struct table *umems, struct phyr_umem_test_get __user *user)
{
	struct phyr_umem_test_get args;
	struct region *region;
	int ret;

	if (copy_from_user(&args, user, sizeof(args)))
		return -EFAULT;
	ret = table_reserve(umems, &args.id);
	if (ret)
		return ret;
	region = make_region(&args);
	if (IS_ERR(region)) {
		table_cancel(umems, args.id);
		return PTR_ERR(region);
	}
	describe(region->umem, &args);
	if (copy_to_user(user, &args, sizeof(args))) {
		table_cancel(umems, args.id);
		release_region_of(region);
		return -EFAULT;
	}
	table_enter(umems, args.id, region);
	return 0;
}

/* The IOMMU that is between the device and memory, or NULL. */
static struct iommu_domain *iommu_of(const struct ib_device *device)
{
	return device->dma_device ? iommu_get_domain_for_dev(device->dma_device) : NULL;
}

/* The physical address of a DMA address, or 0. Without a DMA device, that is a kernel address. */
static phys_addr_t phys_of(const struct ib_device *device, dma_addr_t dma)
{
	struct iommu_domain *iommu = iommu_of(device);

	if (!device->dma_device)
		return virt_to_phys((void *)(uintptr_t)dma);
	return iommu ? iommu_iova_to_phys(iommu, dma) : dma;
}

static int test_release(struct table *umems, struct phyr_umem_test_release *args)
{
	struct region *region = table_take(umems, args->id);
	dma_addr_t first = 0, last = 0;
	struct scatterlist *sg;
	struct sg_table *sgt;
	bool behind_iommu;
	u64 began;
	int i;

	if (IS_ERR(region))
		return PTR_ERR(region);
	sgt = &region->umem->sgt_append.sgt;
	behind_iommu = region->pci && dma_get_merge_boundary(&region->pci->dev);
	if (behind_iommu) {
		first = sg_dma_address(sgt->sgl);
		for_each_sgtable_dma_sg(sgt, sg, i)
			last = sg_dma_address(sg) + sg_dma_len(sg) - 1;
	}
	began = ktime_get_ns();
	ib_umem_release(region->umem);
	args->ns = ktime_get_ns() - began;
	args->mapped = 0;
	if (behind_iommu)
		args->mapped = !!phys_of(region->device, first) + !!phys_of(region->device, last);
	put_device_of(region);
	kfree(region);
	return 0;
}

static int test_entries(const struct ib_umem *umem, struct phyr_umem_test_entries *args)
{
	struct phyr_umem_test_entry __user *to = u64_to_user_ptr(args->entries);
	const struct sg_table *sgt = &umem->sgt_append.sgt;
	struct scatterlist *sg;
	u32 nr = 0;

	for (sg = sgt->sgl; sg; sg = sg_next(sg), nr++) {
		struct phyr_umem_test_entry out = {
			.pfn = page_to_pfn(sg_page(sg)),
			.offset = sg->offset,
			.length = sg->length,
		};

		if (nr < sgt->nents) {
			out.dma_address = sg_dma_address(sg);
			out.dma_length = sg_dma_len(sg);
		}
		if (nr < args->nr && copy_to_user(to + nr, &out, sizeof(out)))
			return -EFAULT;
		if (fatal_signal_pending(current))
			return -EINTR;
		cond_resched();
	}
	args->nr = nr;
	return 0;
}

static int test_best(struct ib_umem *umem, struct phyr_umem_test_best *args)
{
	args->best = ib_umem_find_best_pgsz(umem, args->sizes, args->virt);
	return 0;
}

static int test_blocks(struct ib_umem *umem, struct phyr_umem_test_blocks *args)
{
	struct phyr_umem_test_block __user *to = u64_to_user_ptr(args->blocks);
	struct ib_block_iter iter;
	u64 nr = 0;

	args->num = ib_umem_num_dma_blocks(umem, args->size);
	if (!args->nr)
		return 0;
	rdma_umem_for_each_dma_block(umem, &iter, args->size) {
		struct phyr_umem_test_block out = { .dma = rdma_block_iter_dma_address(&iter) };

		out.phys = phys_of(umem->ibdev, out.dma);
		if (nr < args->nr && copy_to_user(to + nr, &out, sizeof(out)))
			return -EFAULT;
		nr++;
		if (fatal_signal_pending(current))
			return -EINTR;
		cond_resched();
	}
	args->nr = nr;
	return 0;
}

/* The kernel must refuse a range that is not inside the umem, so it needs no room. */
static int test_copy(struct ib_umem *umem, const struct phyr_umem_test_copy *args)
{
	bool refused = args->offset > umem->length || args->len > umem->length - args->offset;
	void *bounce;
	int ret;

	if (args->len > COPY_MAX && !refused)
		return -E2BIG;
	bounce = kvzalloc(COPY_MAX, GFP_KERNEL);
	if (!bounce)
		return -ENOMEM;
	ret = ib_umem_copy_from(bounce, umem, args->offset, args->len);
	if (!ret && copy_to_user(u64_to_user_ptr(args->data), bounce, min(args->len, COPY_MAX)))
		ret = -EFAULT;
	kvfree(bounce);
	return ret;
}

union test_args {
	u32 id;	/* first in all of them */
	struct phyr_umem_test_release release;
	struct phyr_umem_test_entries entries;
	struct phyr_umem_test_best best;
	struct phyr_umem_test_blocks blocks;
	struct phyr_umem_test_copy copy;
};

/* Calls that look at a umem. */
static int look_at_umem(struct table *umems, unsigned int cmd, union test_args *args)
{
	struct region *region = table_get(umems, args->id);
	int ret;

	if (IS_ERR(region))
		return PTR_ERR(region);
	switch (cmd) {
	case PHYR_UMEM_TEST_ENTRIES:
		ret = test_entries(region->umem, &args->entries);
		break;
	case PHYR_UMEM_TEST_BEST:
		ret = test_best(region->umem, &args->best);
		break;
	case PHYR_UMEM_TEST_BLOCKS:
		ret = test_blocks(region->umem, &args->blocks);
		break;
	case PHYR_UMEM_TEST_COPY:
		ret = test_copy(region->umem, &args->copy);
		break;
	default:
		ret = -ENOTTY;
	}
	table_put(umems);
	return ret;
}

static int test_ioctl_args(void *umems, unsigned int cmd, void *args)
{
	if (cmd == PHYR_UMEM_TEST_RELEASE)
		return test_release(umems, args);
	return look_at_umem(umems, cmd, args);
}

static long test_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	void __user *user = (void __user *)arg;
	union test_args args = {};

	if (cmd == PHYR_UMEM_TEST_GET)
		return test_get(file->private_data, user);
	return ioctl_with_args(cmd, user, &args, sizeof(args), test_ioctl_args,
			       file->private_data);
}

static int test_open(struct inode *inode, struct file *file)
{
	if (!may_open())
		return -EPERM;
	file->private_data = table_alloc();
	return file->private_data ? 0 : -ENOMEM;
}

static int test_close(struct inode *inode, struct file *file)
{
	struct table *umems = file->private_data;
	struct region *region;
	unsigned long id;

	xa_for_each(&umems->objects, id, region) {
		release_region_of(region);
		cond_resched();
	}
	table_destroy(umems);
	kfree(umems);
	return 0;
}

static const struct file_operations test_fops = {
	.owner = THIS_MODULE,
	.open = test_open,
	.release = test_close,
	.unlocked_ioctl = test_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
};

static struct miscdevice test_device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "phyr_umem_test",
	.mode = 0600,
	.fops = &test_fops,
};
module_misc_device(test_device);

MODULE_DESCRIPTION("Test the kernel's ib_umem without a driver");
MODULE_LICENSE("Dual BSD/GPL");
