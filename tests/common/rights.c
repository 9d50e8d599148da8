// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Rights that a test gives up; see rights.h.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "rights.h"

static int drop(int capability)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];
	struct __user_cap_data_struct *of = &data[CAP_TO_INDEX(capability)];

	if (syscall(SYS_capget, &header, data))
		return -1;
	of->effective &= ~CAP_TO_MASK(capability);
	of->permitted &= ~CAP_TO_MASK(capability);
	of->inheritable &= ~CAP_TO_MASK(capability);
	return syscall(SYS_capset, &header, data);
}

int drop_ipc_lock(void)
{
	return drop(CAP_IPC_LOCK);
}

int drop_sys_admin(void)
{
	return drop(CAP_SYS_ADMIN);
}

static int write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	ssize_t len = strlen(text);
	int err;

	if (fd < 0)
		return -1;
	err = write(fd, text, len) == len ? 0 : -1;
	close(fd);
	return err;
}

int become_root_of_namespace(void)
{
	return unshare(CLONE_NEWUSER) || write_text("/proc/self/uid_map", "0 0 1") ? -1 : 0;
}
