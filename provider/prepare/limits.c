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
 * Several threads may use the limits of memory and objects at the same time. Each would find that
 * its own region fits, and the kernel would refuse the last one after we have populated it. So a
 * region counts as locked, and as an object, from before we look until the kernel has answered. For
 * a moment it then counts twice. A region for which the others leave no room waits for the kernel's
 * answers to them. If it went to the kernel at once, it would get the room of those that are being
 * populated, and the kernel would refuse these. Others may lock memory meanwhile. We notice that
 * after a few MiB (prepare_still_fits()). We do not notice it if others make objects meanwhile.
 */
#define _GNU_SOURCE
#include <stdatomic.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cgroup.h"
#include "parts.h"

/* Nanoseconds. A region waits no longer for others, since one of them may wait for our caller. */
#define PATIENCE UINT64_C(2000000000)

/* The inode number that the kernel gives to the first user namespace (PROC_USER_INIT_INO). */
#define FIRST_USER_NS 0xEFFFFFFDu

/* --- what is under way --- */

/*
 * How much of something is for registrations under way, and above it the process that registers: a
 * child has a copy of this, but none of the threads. The number of a process is below 2^22, and a
 * region has less than 2^42 pages.
 */
static _Atomic uint64_t pages_under_way, objects_under_way;
#define OWNER_SHIFT 42
#define COUNT_MASK ((UINT64_C(1) << OWNER_SHIFT) - 1)

static void count_in(_Atomic uint64_t *what, const struct process *process, uint64_t count)
{
	uint64_t owner = (uint64_t)process->tgid << OWNER_SHIFT;
	uint64_t old = atomic_load(what), new;

	do
		new = ((old ^ owner) & ~COUNT_MASK ? owner : old) + count;
	while (!atomic_compare_exchange_weak(what, &old, new));
}

static void count_out(_Atomic uint64_t *what, uint64_t *count)
{
	if (*count)
		atomic_fetch_sub(what, *count);
	*count = 0;
}

/* Of this process, not of its parent. */
static uint64_t counted(_Atomic uint64_t *what, const struct process *process)
{
	uint64_t now = atomic_load(what);

	return now >> OWNER_SHIFT == process->tgid ? now & COUNT_MASK : 0;
}

void prepare_release(struct prepare_report *report)
{
	count_out(&pages_under_way, &report->counted_pages);
	count_out(&objects_under_way, &report->counted_objects);
}

static uint64_t end_of_patience(const struct room *room)
{
	return prepare_coarse_now(&room->process) + PATIENCE;
}

/* Wait a moment for those that are under way. False if it is that late, or if we must not wait. */
static bool wait_for_others(struct room *room, uint64_t until)
{
	const struct timespec pause = { .tv_nsec = 1000000 };

	/* A filter may kill for this call. */
	if (!room->process.unfiltered || prepare_coarse_now(&room->process) >= until)
		return false;
	raw_syscall(SYS_nanosleep, (long)&pause, 0, 0, 0, 0, 0);
	prepare_look_at_process(&room->text, &room->process);
	return true;
}

/* --- locked memory --- */

/* Is there room for so many bytes, together with what the process has locked? */
static bool has_room(const struct process *process, uint64_t limit, uint64_t bytes)
{
	return process->pinned <= limit && bytes <= limit - process->pinned;
}

static uint64_t bytes_under_way(const struct process *process)
{
	return counted(&pages_under_way, process) * sysconf(_SC_PAGESIZE);
}

bool prepare_still_fits(struct room *room)
{
	struct process now;
	uint64_t coming;

	if (room->lock_limit == UINT64_MAX)
		return true;
	/* In this order, a region that ends meanwhile counts twice. It must not be left out. */
	coming = bytes_under_way(&room->process);
	prepare_look_at_process(&room->text, &now);
	return has_room(&now, room->lock_limit, coming);
}

/* Count the region as locked, if there is room for it besides those that are under way. */
static bool reserve_pages(struct room *room, size_t bytes, struct prepare_report *report)
{
	uint64_t others = bytes_under_way(&room->process);

	/* Only look, at first: if we counted it for nothing, the others could stop for it. */
	if (!has_room(&room->process, room->lock_limit, others + bytes))
		return false;
	report->counted_pages = bytes / sysconf(_SC_PAGESIZE);
	count_in(&pages_under_way, &room->process, report->counted_pages);
	if (prepare_still_fits(room))
		return true;
	count_out(&pages_under_way, &report->counted_pages);
	return false;
}

static bool may_lock(struct room *room, size_t bytes, struct prepare_report *report)
{
	uint64_t *limit = &room->lock_limit;
	uint64_t until = end_of_patience(room);

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
	do {
		if (!has_room(&room->process, *limit, bytes))
			return false;
		if (reserve_pages(room, bytes, report))
			return true;
	} while (wait_for_others(room, until));
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

/* How many objects more of the device a group may have. 0 if we do not know. */
static uint64_t group_objects(struct room *room, const struct cgroup *group)
{
	const char *device = room->device->name;
	char path[CGROUP_PATH];
	uint64_t most, now;

	if (!cgroup_path(group, "rdma.max", path, sizeof(path)))
		return 0;
	/* A group without this controller has no such file. */
	if (text_is_missing(path))
		return UINT64_MAX;
	if (!read_objects(&room->text, path, device, &most))
		return 0;
	if (most == UINT64_MAX)
		return UINT64_MAX;
	if (!cgroup_path(group, "rdma.current", path, sizeof(path)) ||
	    !read_objects(&room->text, path, device, &now) || now >= most)
		return 0;
	return most - now;
}

/* What all our groups grant; UINT64_MAX: any number. */
static uint64_t objects_left(struct room *room)
{
	struct cgroup *group = &room->group;
	enum cgroup_state state = cgroup_find(&room->text, group);
	uint64_t left = UINT64_MAX, of_group;

	/*
	 * In a container, groups that we cannot see may have a limit, too. Few administrators know
	 * of this controller, and they give its limits to the container's own group, so these alone
	 * count here.
	 */
	if (state != CGROUP_SEEN && state != CGROUP_BELOW_OTHERS)
		return state == CGROUP_NONE ? UINT64_MAX : 0;
	do {
		of_group = group_objects(room, group);
		if (of_group < left)
			left = of_group;
	} while (left && cgroup_up(group));
	return left;
}

/*
 * Count the region as an object, if there is one left besides those that are under way. These may
 * be another device's: then we wait for nothing, and no longer than for others.
 */
static bool reserve_object(struct room *room, struct prepare_report *report)
{
	uint64_t coming;

	report->counted_objects = 1;
	count_in(&objects_under_way, &room->process, report->counted_objects);
	/* In this order, as in prepare_still_fits(). */
	coming = counted(&objects_under_way, &room->process);
	if (coming <= objects_left(room))
		return true;
	count_out(&objects_under_way, &report->counted_objects);
	return false;
}

static bool may_have_object(struct room *room, struct prepare_report *report)
{
	uint64_t until = end_of_patience(room);
	uint64_t left;

	do {
		left = objects_left(room);
		if (left == UINT64_MAX)
			return true;
		if (!left || !room->process.tgid)
			return false;
		/* Only look, at first: two that count themselves at once may both find no room. */
		if (counted(&objects_under_way, &room->process) < left &&
		    reserve_object(room, report))
			return true;
	} while (wait_for_others(room, until));
	return false;
}

enum left_out prepare_refused(struct room *room, size_t bytes, struct prepare_report *report)
{
	const struct prepare_device *device = room->device;

	if (bytes > device->largest(device))
		return LEFT_ALL_DEVICE;
	if (!may_have_object(room, report))
		return LEFT_ALL_CGROUP;
	return may_lock(room, bytes, report) ? LEFT_NOTHING : LEFT_ALL_MEMLOCK;
}
