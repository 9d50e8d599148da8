// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * How much memory this process may register. Without CAP_IPC_LOCK, RLIMIT_MEMLOCK is the limit. The
 * kernel wants the capability in the first user namespace. So the capabilities of root in another
 * user namespace, such as a container's, do not lift the limit.
 */
#define _GNU_SOURCE
#include <linux/capability.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "memlock.h"

/* The inode number that the kernel gives to the first user namespace (PROC_USER_INIT_INO). */
#define FIRST_USER_NS 0xEFFFFFFDu

bool memlock_in_other_user_ns(void)
{
	struct stat ns;

	return !stat("/proc/self/ns/user", &ns) && ns.st_ino != FIRST_USER_NS;
}

static bool may_lock_memory(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];

	if (memlock_in_other_user_ns() || syscall(SYS_capget, &header, data))
		return false;
	return data[CAP_TO_INDEX(CAP_IPC_LOCK)].effective & CAP_TO_MASK(CAP_IPC_LOCK);
}

size_t memlock_pinned(void)
{
	FILE *status = fopen("/proc/self/status", "re");
	size_t kib = 0;
	char line[128];

	while (status && fgets(line, sizeof(line), status))
		if (sscanf(line, "VmPin: %zu kB", &kib) == 1)
			break;
	if (status)
		fclose(status);
	return kib * 1024;
}

bool memlock_limited(struct rlimit *limit)
{
	return !getrlimit(RLIMIT_MEMLOCK, limit) && limit->rlim_cur != RLIM_INFINITY &&
	       !may_lock_memory();
}
