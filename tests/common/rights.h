/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * Rights that a test gives up. It cannot get them back, so it calls these functions in a child.
 * They return 0, or -1 and errno.
 */
#ifndef PHYR_TESTS_RIGHTS_H
#define PHYR_TESTS_RIGHTS_H

/* Take a capability away from this thread, and from all threads and processes that it starts. */
int drop_ipc_lock(void);	/* subject to RLIMIT_MEMLOCK */
int drop_sys_admin(void);

/* Make this process root with all capabilities, in a user namespace of its own. */
int become_root_of_namespace(void);

#endif
