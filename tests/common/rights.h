/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
#ifndef PHYR_TESTS_RIGHTS_H
#define PHYR_TESTS_RIGHTS_H

/*
 * From here on this thread, and what it starts, is subject to RLIMIT_MEMLOCK. (It cannot be undone,
 * so call it in a child.) 0, or -1 and errno.
 */
int drop_ipc_lock(void);

#endif
