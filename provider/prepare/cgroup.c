// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Find the control groups of this thread.
 *
 * We read groups of version 2 below /sys/fs/cgroup. A container may not show the files there. A
 * controller that matters to us may be of version 1. Then we do not know its limits, unless the
 * thread is in the first of its groups, which has none.
 *
 * In a namespace of cgroups, as containers have it, we cannot see the groups above its first one.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "cgroup.h"
#include "parts.h"

#define ROOT "/sys/fs/cgroup"

/*
 * The inode number that the kernel gives to the first namespace of cgroups
 * (PROC_CGROUP_INIT_INO).
 */
#define FIRST_CGROUP_NS 0xEFFFFFFBu

/* Does a controller matter to us, in a list such as "cpu,cpuacct"? */
static bool matters(const char *list, const char *end)
{
	static const char *const controllers[] = { "cpu", "pids", "rdma" };
	size_t length, i;

	for (; list < end; list += length + 1) {
		length = strcspn(list, ",:");
		for (i = 0; i < ARRAY_SIZE(controllers); i++)
			if (strlen(controllers[i]) == length &&
			    !strncmp(list, controllers[i], length))
				return true;
	}
	return false;
}

/*
 * Lines are "ID:CONTROLLERS:PATH". This finds the path in that of version 2, "0::PATH". False if
 * there may be limits that we cannot read. @first: this is the first namespace of cgroups.
 *
 * If no hierarchy was ever mounted, there are no lines. Then all are in the first of all groups.
 */
static bool read_groups(struct text *text, bool first, char *path, size_t size)
{
	char *line, *list, *group;
	bool known = true, found = false, any = false;

	if (!text_open(text, "/proc/thread-self/cgroup"))
		return false;
	while ((line = text_line(text))) {
		any = true;
		list = strchr(line, ':');
		group = list ? strchr(list + 1, ':') : NULL;
		if (!group)
			known = false;
		else if (group == list + 1)
			found = text_join(path, size, group + 1, "", "");
		else if (matters(list + 1, group) && (!first || strcmp(group, ":/")))
			known = false;
	}
	if (!any)
		found = first && text_join(path, size, "/", "", "");
	return text_close(text) && known && found;
}

static bool is_there(const struct cgroup *group, const char *file)
{
	char path[CGROUP_PATH];
	int fd;

	if (!cgroup_path(group, file, path, sizeof(path)))
		return false;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	close(fd);
	return true;
}

enum cgroup_state cgroup_find(struct text *text, struct cgroup *group)
{
	char *path = group->dir + strlen(ROOT);
	bool first = prepare_in_first_namespace(text, "/proc/thread-self/ns/cgroup",
						FIRST_CGROUP_NS);

	memcpy(group->dir, ROOT, sizeof(ROOT));
	if (!read_groups(text, first, path, sizeof(group->dir) - strlen(ROOT)))
		return CGROUP_UNKNOWN;
	/* A group outside of our namespace: "/../group". */
	if (*path != '/' || strstr(path, "/.."))
		return CGROUP_UNKNOWN;
	if (!path[1] && first)
		return CGROUP_NONE;
	if (!path[1])
		*path = '\0';
	/* The first of all groups has no such file, and is not ours. */
	if (!is_there(group, "cgroup.events"))
		return CGROUP_UNKNOWN;
	return first ? CGROUP_SEEN : CGROUP_BELOW_OTHERS;
}

bool cgroup_up(struct cgroup *group)
{
	if (strlen(group->dir) <= strlen(ROOT))
		return false;
	*strrchr(group->dir, '/') = '\0';
	return true;
}

bool cgroup_path(const struct cgroup *group, const char *file, char *path, size_t size)
{
	return text_join(path, size, group->dir, "/", file);
}
