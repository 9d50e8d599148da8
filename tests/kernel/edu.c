// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * A driver for QEMU's edu device, as far as its DMA goes.
 *
 * The device has a buffer of a page. A transfer copies between this buffer and
 * memory, and takes a tenth of a second of the guest's time. The CPU has no access
 * to the buffer. So if user space reads memory through the device, that takes two
 * transfers: from the memory to the buffer, and from the buffer to a page of ours
 * that is always mapped. A write takes the same way back.
 *
 * A bit of a register says when a transfer has ended. We poll it, since nothing
 * here needs the speed of the interrupt that the device also has.
 *
 * Removal: open files have memory mapped for the device, which must be unmapped
 * before the driver goes. They hold the module, so it cannot be unloaded. But the
 * device can be unbound or removed at any time, and this waits until all files are
 * closed. No more files can be opened then, since misc_deregister() and the opening
 * of files exclude each other.
 */
#include <linux/dma-mapping.h>
#include <linux/io.h>
#include <linux/iopoll.h>
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/uaccess.h>

#include "edu.h"

#define EDU_SOURCE	0x80
#define EDU_DESTINATION	0x88
#define EDU_COUNT	0x90
#define EDU_COMMAND	0x98
#define EDU_START	BIT(0)
#define EDU_TO_MEMORY	BIT(1)

/* Where the buffer is among the device's addresses. */
#define EDU_BUFFER	0x40000

#define POLL_US		(2 * USEC_PER_MSEC)
#define PATIENCE_US	(60 * USEC_PER_SEC)	/* emulation may be slow */

static int transfer(struct edu *edu, u64 source, u64 destination, u64 len, u64 command)
{
	u64 state;
	int ret;

	writeq(source, edu->registers + EDU_SOURCE);
	writeq(destination, edu->registers + EDU_DESTINATION);
	writeq(len, edu->registers + EDU_COUNT);
	writeq(command | EDU_START, edu->registers + EDU_COMMAND);
	ret = read_poll_timeout(readq, state, !(state & EDU_START), POLL_US, PATIENCE_US, false,
				edu->registers + EDU_COMMAND);
	/* The device must not do the transfer later, when others may have the memory. */
	if (ret)
		pci_clear_master(to_pci_dev(edu->dev));
	return ret;
}

static int from_memory(struct edu *edu, dma_addr_t addr, size_t len)
{
	return transfer(edu, addr, EDU_BUFFER, len, 0);
}

static int to_memory(struct edu *edu, dma_addr_t addr, size_t len)
{
	return transfer(edu, EDU_BUFFER, addr, len, EDU_TO_MEMORY);
}

static int dma_locked(struct edu *edu, const struct phyr_edu_dma *args)
{
	void __user *data = u64_to_user_ptr(args->data);

	if (args->write) {
		if (copy_from_user(edu->bounce, data, args->len))
			return -EFAULT;
		return from_memory(edu, edu->bounce_addr, args->len) ?:
		       to_memory(edu, args->addr, args->len);
	}
	return from_memory(edu, args->addr, args->len) ?:
	       to_memory(edu, edu->bounce_addr, args->len) ?:
	       (copy_to_user(data, edu->bounce, args->len) ? -EFAULT : 0);
}

/* PHYR_EDU_DMA */
int edu_dma(struct edu *edu, const struct phyr_edu_dma *args)
{
	int ret;

	if (!args->len || args->len > EDU_BUFFER_SIZE)
		return -EINVAL;
	ret = mutex_lock_killable(&edu->transfer);
	if (ret)
		return ret;
	ret = dma_locked(edu, args);
	mutex_unlock(&edu->transfer);
	return ret;
}

void edu_put(struct edu *edu)
{
	if (refcount_dec_and_test(&edu->users))
		complete(&edu->unused);
}

static int edu_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	struct device *dev = &pdev->dev;
	struct edu *edu;
	int ret;

	edu = devm_kzalloc(dev, sizeof(*edu), GFP_KERNEL);
	if (!edu)
		return -ENOMEM;
	edu->dev = dev;
	mutex_init(&edu->transfer);
	init_rwsem(&edu->limits);
	refcount_set(&edu->users, 1);
	init_completion(&edu->unused);
	edu->misc.minor = MISC_DYNAMIC_MINOR;
	edu->misc.name = "phyr_edu";
	edu->misc.mode = 0600;
	edu->misc.fops = &edu_fops;
	pci_set_drvdata(pdev, edu);

	ret = pcim_enable_device(pdev);
	if (ret)
		return ret;
	edu->registers = pcim_iomap(pdev, 0, 0);
	if (!edu->registers)
		return -ENOMEM;
	ret = dma_set_mask_and_coherent(dev, DMA_BIT_MASK(64));
	if (ret)
		return ret;
	dma_set_max_seg_size(dev, UINT_MAX);
	edu->bounce = dmam_alloc_coherent(dev, EDU_BUFFER_SIZE, &edu->bounce_addr, GFP_KERNEL);
	if (!edu->bounce)
		return -ENOMEM;
	pci_set_master(pdev);
	ret = misc_register(&edu->misc);
	if (ret)
		pci_clear_master(pdev);
	return ret;
}

static void edu_remove(struct pci_dev *pdev)
{
	struct edu *edu = pci_get_drvdata(pdev);

	misc_deregister(&edu->misc);
	edu_put(edu);
	wait_for_completion(&edu->unused);
	/* The driver core frees @bounce, which the kernel's own operations have mapped. */
	edu_reset_ops(edu);
	pci_clear_master(pdev);
}

static const struct pci_device_id edu_ids[] = {
	{ PCI_DEVICE(0x1234, 0x11e8) },
	{}
};
MODULE_DEVICE_TABLE(pci, edu_ids);

static struct pci_driver edu_driver = {
	.name = "phyr_edu",
	.id_table = edu_ids,
	.probe = edu_probe,
	.remove = edu_remove,
};
module_pci_driver(edu_driver);

MODULE_DESCRIPTION("Test phyr.ko's DMA lists on QEMU's edu device");
MODULE_LICENSE("Dual BSD/GPL");
