// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Is the kernel going to refuse this registration? Then we must populate nothing for it: the memory
 * would be taken for nothing, and stay.
 *
 * There are three limits: that of the device, the number of objects that the rdma cgroup grants,
 * and the memory that the process may lock (RLIMIT_MEMLOCK, without CAP_IPC_LOCK in the first user
 * namespace). prepare.c has looked at access flags and address before. We do not look at the number
 * of MRs, as Soft-RoCE takes half a million.
 *
 * Several threads may use the limit of locked memory at the same time. Each would find that its
 * own region fits, and the kernel would refuse the last one after we have populated it. So a region
 * counts as locked from before we look until the kernel has answered. For a moment it then counts
 * twice. A region for which the others leave no room waits for the kernel's answers to them. If it
 * went to the kernel at once, it would get the room of those that are being populated, and the
 * kernel would refuse these. Others may lock memory meanwhile. We notice that after a few MiB
 * (prepare_still_fits()).
 */
#define _GNU_SOURCE
#include <stdatomic.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cgroup.h"
#include "parts.h"

/* Nanoseconds. A region waits no longer for the others, since one of them may wait for our caller. */
#define PATIENCE UINT64_C(2000000000)

/* The inode number that the kernel gives to the first user namespace (PROC_USER_INIT_INO). */
#define FIRST_USER_NS 0xEFFFFFFDu

/* --- locked memory --- */

/*
 * How many base pages are being prepared, and above them the process that prepares: a child has a
 * copy of this, but none of the threads. The number of a process is below 2^22, and a region has
 * less than 2^42 pages.
 */
static _Atomic uint64_t under_way;
#define OWNER_SHIFT 42
#define PAGES_MASK ((UINT64_C(1) << OWNER_SHIFT) - 1)

static void count_pages(uint32_t tgid, uint64_t pages)
{
	uint64_t owner = (uint64_t)tgid << OWNER_SHIFT, old = atomic_load(&under_way), new;

	do
		new = ((old ^ owner) & ~PAGES_MASK ? owner : old) + pages;
	while (!atomic_compare_exchange_weak(&under_way, &old, new));
}

void prepare_release(struct prepare_report *report)
{
	if (report->counted_pages)
		atomic_fetch_sub(&under_way, report->counted_pages);
	report->counted_pages = 0;
}

/* Is there room for so many bytes, together with what the process has locked? */
static bool has_room(const struct process *process, uint64_t limit, uint64_t bytes)
{
	return process->pinned <= limit && bytes <= limit - process->pinned;
}

/* Of this process, not of its parent. */
static uint64_t bytes_under_way(const struct process *process)
{
	uint64_t now = atomic_load(&under_way);

	return now >> OWNER_SHIFT == process->tgid ? (now & PAGES_MASK) * sysconf(_SC_PAGESIZE) : 0;
}

bool prepare_still_fits(struct room *room)
{
	struct process now;

	if (room->lock_limit == UINT64_MAX)
		return true;
	prepare_look_at_process(&room->text, &now);
	return has_room(&now, room->lock_limit, bytes_under_way(&now));
}

/* Count the region as locked, if there is room for it besides those that are under way. */
static bool reserve(struct room *room, size_t bytes, struct prepare_report *report)
{
	uint64_t others = bytes_under_way(&room->process);

	/* Only look, at first: if we counted it for nothing, the others could stop for it. */
	if (!has_room(&room->process, room->lock_limit, others + bytes))
		return false;
	report->counted_pages = bytes / sysconf(_SC_PAGESIZE);
	count_pages(room->process.tgid, report->counted_pages);
	if (prepare_still_fits(room))
		return true;
	prepare_release(report);
	return false;
}

static bool may_lock(struct room *room, size_t bytes, struct prepare_report *report)
{
	const struct timespec pause = { .tv_nsec = 1000000 };
	uint64_t *limit = &room->lock_limit;
	uint64_t until = prepare_coarse_now(&room->process) + PATIENCE;

	if (!prepare_resource_limit(&room->text, "Max locked memory", limit))
		return false;
	if (room->process.ipc_lock &&
	    prepare_in_first_namespace(&room->text, "/proc/thread-self/ns/user", FIRST_USER_NS))
		*limit = UINT64_MAX;
	if (*limit == UINT64_MAX)
		return true;
	if (!room->process.tgid)
		return false;
	/* Without the others it must fit; otherwise there is nothing to wait for. */
	while (has_room(&room->process, *limit, bytes)) {
		if (reserve(room, bytes, report))
			return true;
		/* A filter may kill for this call. */
		if (!room->process.unfiltered || prepare_coarse_now(&room->process) >= until)
			break;
		raw_syscall(SYS_nanosleep, (long)&pause, 0, 0, 0, 0, 0);
		prepare_look_at_process(&room->text, &room->process);
	}
	return false;
}

/* --- objects of a device --- */

/*
 * The device's objects, from a file in which each device has a line "DEVICE hca_handle=2
 * hca_object=max". False if they are not there.
 */
static bool read_objects(struct text *text, const char *path, const char *device, uint64_t *objects)
{
	size_t length = strlen(device);
	bool found = false;
	char *line, *at;

	if (!text_open(text, path))
		return false;
	while (!found && (line = text_line(text))) {
		if (strncmp(line, device, length) || line[length] != ' ')
			continue;
		at = strstr(line, " hca_object=");
		if (!at)
			break;
		at += strlen(" hca_object=");
		at[strcspn(at, " ")] = '\0';
		found = text_limit(at, "max", objects);
		break;
	}
	text_close(text);
	return found;
}

/* May this group have one more object of the device? */
static bool group_grants(struct room *room, const struct cgroup *group)
{
	const char *device = room->device->name;
	char path[CGROUP_PATH];
	uint64_t most, now;

	if (!cgroup_path(group, "rdma.max", path, sizeof(path)))
		return false;
	/* A group without this controller has no such file. */
	if (text_is_missing(path))
		return true;
	if (!read_objects(&room->text, path, device, &most))
		return false;
	if (most == UINT64_MAX)
		return true;
	return cgroup_path(group, "rdma.current", path, sizeof(path)) &&
	       read_objects(&room->text, path, device, &now) && now < most;
}

static bool groups_grant(struct room *room)
{
	struct cgroup *group = &room->group;
	enum cgroup_state state = cgroup_find(&room->text, group);

	/*
	 * In a container, groups that we cannot see may have a limit, too. Few administrators know
	 * of this controller, and they give its limits to the container's own group, so these alone
	 * count here.
	 */
	if (state != CGROUP_SEEN && state != CGROUP_BELOW_OTHERS)
		return state == CGROUP_NONE;
	do {
		if (!group_grants(room, group))
			return false;
	} while (cgroup_up(group));
	return true;
}

enum left_out prepare_refused(struct room *room, size_t bytes, struct prepare_report *report)
{
	const struct prepare_device *device = room->device;

	if (bytes > device->largest(device))
		return LEFT_ALL_DEVICE;
	if (!groups_grant(room))
		return LEFT_ALL_CGROUP;
	return may_lock(room, bytes, report) ? LEFT_NOTHING : LEFT_ALL_MEMLOCK;
}
