/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * What the test devices have in common: who may open them, and how an ioctl gets its argument.
 */
#ifndef PHYR_TEST_DEVICE_H
#define PHYR_TEST_DEVICE_H

#include <linux/capability.h>
#include <linux/ioctl.h>
#include <linux/uaccess.h>

/* The devices report physical or DMA addresses, and one of them can change any memory. */
static inline bool may_open(void)
{
	return capable(CAP_SYS_RAWIO);
}

/*
 * Copy an ioctl's argument in, let call() handle the command for the owner, and copy the argument
 * out again if the command says so and call() has succeeded. Returns what call() does, or -EFAULT.
 * An argument that is larger than any of the device's commands has is -ENOTTY.
 */
static inline int ioctl_with_args(unsigned int cmd, void __user *user, void *args, size_t room,
				  int (*call)(void *owner, unsigned int cmd, void *args),
				  void *owner)
{
	int ret;

	if (_IOC_SIZE(cmd) > room)
		return -ENOTTY;
	if (copy_from_user(args, user, _IOC_SIZE(cmd)))
		return -EFAULT;
	ret = call(owner, cmd, args);
	if (!ret && (_IOC_DIR(cmd) & _IOC_READ) && copy_to_user(user, args, _IOC_SIZE(cmd)))
		return -EFAULT;
	return ret;
}

#endif
