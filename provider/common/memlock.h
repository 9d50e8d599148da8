/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * How much memory this process may register, which is as much as it may lock.
 */
#ifndef PHYR_MEMLOCK_H
#define PHYR_MEMLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/resource.h>

/* Is there a limit? If so, @limit has it, in bytes. */
bool memlock_limited(struct rlimit *limit);

/*
 * Is this process in another user namespace than the first, such as a container's? There,
 * capabilities do not lift the limit.
 */
bool memlock_in_other_user_ns(void);

/* Bytes that are registered now, and count against the limit; 0 if that is not known. */
size_t memlock_pinned(void);

#endif
