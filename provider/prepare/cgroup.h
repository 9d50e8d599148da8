/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * The control groups that this thread is in: its own, the one above that, and so on, as far as we
 * can see.
 */
#ifndef PHYR_PREPARE_CGROUP_H
#define PHYR_PREPARE_CGROUP_H

#include <stdbool.h>
#include <stddef.h>

#include "text.h"

enum { CGROUP_DIR = 512, CGROUP_PATH = CGROUP_DIR + 32 };

struct cgroup {
	char dir[CGROUP_DIR];	/* of the group that we look at */
};

enum cgroup_state {
	CGROUP_NONE,		/* the first of all groups, in which nothing is limited */
	CGROUP_SEEN,		/* we can read the group's files, and those of all above */
	CGROUP_BELOW_OTHERS,	/* the same, but there may be others above that we cannot see */
	CGROUP_UNKNOWN,
};

enum cgroup_state cgroup_find(struct text *text, struct cgroup *group);
/* Go on with the group above. False if there is none. */
bool cgroup_up(struct cgroup *group);
/* The path of a group's file. False if it is too long. */
bool cgroup_path(const struct cgroup *group, const char *file, char *path, size_t size);

#endif
