/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
#ifndef PHYR_TESTS_RIGHTS_H
#define PHYR_TESTS_RIGHTS_H

/*
 * From here on this thread, and what it starts, does not have the capability. (It cannot be undone,
 * so call it in a child.) 0, or -1 and errno.
 */
int drop_ipc_lock(void);	/* subject to RLIMIT_MEMLOCK */
int drop_sys_admin(void);

/* From here on this process is root with all capabilities, in a user namespace of its own. */
int become_root_of_namespace(void);

#endif
