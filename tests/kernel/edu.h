/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * What the files of phyr_edu.ko share: edu.c has the device, edu_maps.c its open files
 * and their mappings, edu_ops.c mapping operations of its own.
 */
#ifndef PHYR_EDU_DEVICE_H
#define PHYR_EDU_DEVICE_H

#include <linux/atomic.h>
#include <linux/completion.h>
#include <linux/device.h>
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/mutex.h>
#include <linux/refcount.h>
#include <linux/rwsem.h>
#include <linux/types.h>

#include "phyr_edu.h"

/* The device has a buffer of this size, which is one end of each transfer. */
#define EDU_BUFFER_SIZE 4096

/**
 * struct edu - the device
 * @dev: for the DMA API
 * @registers: its BAR
 * @transfer: held during a transfer, for @registers and @bounce
 * @bounce: memory that the device can always reach, of the size of its buffer
 * @bounce_addr: the DMA address of @bounce
 * @limits: held for writing while the limits of @dev or its mapping operations change,
 *	for reading while something is mapped according to them
 * @ops_mapped: mappings that operations of its own have made, and not undone
 * @misc: /dev/phyr_edu
 * @users: open files, and one for the driver
 * @unused: complete when there are no @users any more
 */
struct edu {
	struct device *dev;
	void __iomem *registers;
	struct mutex transfer;	/* @registers, @bounce */
	void *bounce;
	dma_addr_t bounce_addr;
	struct rw_semaphore limits;
	atomic_t ops_mapped;
	struct miscdevice misc;
	refcount_t users;
	struct completion unused;
};

extern const struct file_operations edu_fops;

int edu_dma(struct edu *edu, const struct phyr_edu_dma *args);
void edu_put(struct edu *edu);
int edu_set_ops(struct edu *edu, struct phyr_edu_ops *args);
void edu_reset_ops(struct edu *edu);

#endif
