// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Rights that a test gives up.
 */
#define _GNU_SOURCE
#include <linux/capability.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "rights.h"

int drop_ipc_lock(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];
	struct __user_cap_data_struct *of = &data[CAP_TO_INDEX(CAP_IPC_LOCK)];

	if (syscall(SYS_capget, &header, data))
		return -1;
	of->effective &= ~CAP_TO_MASK(CAP_IPC_LOCK);
	of->permitted &= ~CAP_TO_MASK(CAP_IPC_LOCK);
	of->inheritable &= ~CAP_TO_MASK(CAP_IPC_LOCK);
	return syscall(SYS_capset, &header, data);
}
