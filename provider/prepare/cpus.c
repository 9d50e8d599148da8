// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * How many helpers may populate memory besides us.
 *
 * Under a seccomp filter there is none: it may kill the process for a new thread. It may do so for
 * other calls below, too. So we look for a filter first.
 *
 * There is at most one for each other CPU that we may run on. The cgroups that we are in may limit
 * CPU time. If we spent more, all threads of the program would stand still until the end of the
 * period. The cgroups (pids.max) and RLIMIT_NPROC may limit threads. We take at most half of what
 * they leave: another thread of the program may need some, and a cgroup counts who meets its limit.
 *
 * The kernel places memory on the node of the thread that populates it, unless a memory policy says
 * otherwise. Threads inherit that policy. Helpers populate only while they run on the node where we
 * are, so memory lies where the kernel would have placed it for us.
 */
#define _GNU_SOURCE
#include <limits.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "parts.h"

#define NODE "/sys/devices/system/node/node"

/* A list such as "0-3,8". */
static void parse_list(const char *list, cpu_set_t *cpus)
{
	unsigned long first, last;
	char *end;

	CPU_ZERO(cpus);
	for (;; list = end + 1) {
		first = strtoul(list, &end, 10);
		last = first;
		if (end == list)
			return;
		if (*end == '-')
			last = strtoul(end + 1, &end, 10);
		for (; first <= last && first < CPU_SETSIZE; first++)
			CPU_SET(first, cpus);
		if (*end != ',')
			return;
	}
}

/* The CPUs of our node that we may run on; 0 if we do not know. */
static unsigned int count_cpus(struct text *text, unsigned int *node)
{
	cpu_set_t cpus, of_node;
	char path[64], digits[TEXT_DIGITS];

	if (sched_getaffinity(0, sizeof(cpus), &cpus) || getcpu(NULL, node))
		return 0;
	/* The list of a large machine is long. */
	if (!text_join(path, sizeof(path), NODE, text_digits(*node, digits), "/cpulist") ||
	    !text_read_line(path, text->buffer, sizeof(text->buffer)))
		return 0;
	parse_list(text->buffer, &of_node);
	CPU_AND(&cpus, &cpus, &of_node);
	return CPU_COUNT(&cpus);
}

static bool is_real_time(int policy)
{
	policy &= ~SCHED_RESET_ON_FORK;
	return policy < 0 || policy == SCHED_FIFO || policy == SCHED_RR || policy == SCHED_DEADLINE;
}

/* --- cgroups --- */

/* The CPUs that a cgroup may use all the time. 0 if less than one, or if we do not know. */
static unsigned int group_cpus(const struct cgroup *group)
{
	char path[CGROUP_PATH], line[64];
	uint64_t quota, period;
	const char *rest;

	if (!cgroup_path(group, "cpu.max", path, sizeof(path)))
		return 0;
	if (text_is_missing(path))
		return UINT_MAX;
	if (!text_read_line(path, line, sizeof(line)))
		return 0;
	if (text_after(line, "max "))
		return UINT_MAX;
	if (!text_number(line, 10, &quota, &rest) || *rest != ' ' ||
	    !text_number(rest + 1, 10, &period, &rest) || *rest || !period)
		return 0;
	return quota / period > UINT_MAX ? UINT_MAX : quota / period;
}

/* How many threads more a cgroup may have. 0 if we do not know. */
static unsigned int group_threads(const struct cgroup *group)
{
	char path[CGROUP_PATH], line[64];
	uint64_t most, now;

	if (!cgroup_path(group, "pids.max", path, sizeof(path)))
		return 0;
	if (text_is_missing(path))
		return UINT_MAX;
	if (!text_read_line(path, line, sizeof(line)) || !text_limit(line, "max", &most))
		return 0;
	if (most == UINT64_MAX)
		return UINT_MAX;
	if (!cgroup_path(group, "pids.current", path, sizeof(path)) ||
	    !text_read_line(path, line, sizeof(line)) || !text_limit(line, "", &now) || now >= most)
		return 0;
	return most - now > UINT_MAX ? UINT_MAX : most - now;
}

/* What our cgroups leave for helpers. Those that we cannot see may leave none. */
static unsigned int count_granted(struct room *room)
{
	struct cgroup *group = &room->group;
	enum cgroup_state state = cgroup_find(&room->text, group);
	unsigned int cpus = UINT_MAX, threads = UINT_MAX;

	if (state != CGROUP_SEEN)
		return state == CGROUP_NONE ? UINT_MAX : 0;
	do {
		cpus = least(cpus, group_cpus(group));
		threads = least(threads, group_threads(group));
	} while (cgroup_up(group));
	return cpus ? least(cpus - 1, threads / 2) : 0;
}

/* --- RLIMIT_NPROC --- */

/*
 * The kernel does not say how many threads a user has. But there are no more of them than there are
 * threads in all. That is the number behind the slash in "0.12 0.08 0.01 1/234 5678".
 */
static unsigned int count_left(struct text *text)
{
	uint64_t most, now;
	const char *rest;
	char line[128];

	if (!prepare_resource_limit(text, "Max processes", &most))
		return 0;
	if (most == UINT64_MAX)
		return UINT_MAX;
	if (!text_read_line("/proc/loadavg", line, sizeof(line)) || !strchr(line, '/') ||
	    !text_number(strchr(line, '/') + 1, 10, &now, &rest) || *rest != ' ' || now >= most)
		return 0;
	return most - now > UINT_MAX ? UINT_MAX : (most - now) / 2;
}

unsigned int prepare_find_helpers(struct room *room, unsigned int *node, enum left_out *why)
{
	unsigned int cpus, granted, left;

	/* Huge pages may have taken long. Meanwhile another thread may have installed a filter. */
	*why = LEFT_THREADS_SECCOMP;
	prepare_look_at_process(&room->text, &room->process);
	if (!room->process.unfiltered)
		return 0;
	*why = LEFT_THREADS_MACHINE;
	if (!PREPARE_CAN_HELP)
		return 0;
	/* The helpers of a real-time thread would be such, too, and keep others off more CPUs. */
	*why = LEFT_THREADS_SCHEDULING;
	if (is_real_time(sched_getscheduler(0)))
		return 0;
	*why = LEFT_THREADS_CPUS;
	cpus = count_cpus(&room->text, node);
	if (cpus <= 1)
		return 0;
	*why = LEFT_THREADS_CGROUP;
	granted = count_granted(room);
	if (!granted)
		return 0;
	*why = LEFT_THREADS_LIMIT;
	left = count_left(&room->text);
	return least(least(cpus - 1, granted), least(left, PREPARE_HELPERS));
}
