/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * What the test devices have in common: who may open them, and how an ioctl gets its argument.
 */
#ifndef PHYR_TEST_DEVICE_H
#define PHYR_TEST_DEVICE_H

#include <linux/capability.h>
#include <linux/ioctl.h>
#include <linux/uaccess.h>

/* They tell physical or DMA addresses, and by one of them memory can be changed wherever it is. */
static inline bool may_open(void)
{
	return capable(CAP_SYS_RAWIO);
}

/*
 * Copy an ioctl's argument in, have call() see to it for the owner, and copy it out again if the
 * command says so and call() has succeeded. Returns what call() does, or -ENOTTY if there is no
 * room for that much (so it is no command of the device), or -EFAULT.
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
