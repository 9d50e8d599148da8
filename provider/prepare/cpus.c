// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * How many threads may populate memory, and on which CPUs.
 *
 * Not more than one for each CPU that we may run on; nor more than the CPU time that the cgroups we
 * are in may spend, else all threads of the program would pay for it by standing still until the
 * end of the period.
 *
 * Memory is placed on the node of the thread that populates it, unless a memory policy says
 * otherwise, which threads inherit. So that it comes to lie where the kernel would have placed it
 * in our name, helpers run only on CPUs of the node on which we are.
 */
#define _GNU_SOURCE
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "parts.h"

/* Of a list as in "0-3,8". */
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

/* CPUs for each period that a cgroup may use; at least one. */
static unsigned int quota_of(const char *group)
{
	char path[512], line[64];
	unsigned long quota, period;

	if (snprintf(path, sizeof(path), "/sys/fs/cgroup%s/cpu.max", group) >= (int)sizeof(path) ||
	    !prepare_read_line(path, line, sizeof(line)) ||
	    sscanf(line, "%lu %lu", &quota, &period) != 2 || !period)
		return UINT_MAX;
	return quota > period ? quota / period : 1;
}

/* The least of our cgroup and of those that it is in. (Version 2: there, ours is in line "0::".) */
static unsigned int find_quota(void)
{
	unsigned int quota = UINT_MAX, least = UINT_MAX;
	char group[512], *slash;

	if (!prepare_read_line("/proc/self/cgroup", group, sizeof(group)) ||
	    strncmp(group, "0::", 3))
		return least;
	while ((slash = strrchr(group + 3, '/'))) {
		quota = quota_of(group + 3);
		least = quota < least ? quota : least;
		*slash = '\0';
	}
	/* What a container sees as the root may have a limit; the real one has none. */
	quota = quota_of("");
	return quota < least ? quota : least;
}

static bool is_real_time(int policy)
{
	policy &= ~SCHED_RESET_ON_FORK;
	return policy == SCHED_FIFO || policy == SCHED_RR || policy == SCHED_DEADLINE;
}

unsigned int prepare_find_cpus(cpu_set_t *cpus)
{
	char path[64], list[1024];
	unsigned int node, count, quota;
	cpu_set_t of_node;

	/* Of a real-time thread, helpers would be such, and keep others off more CPUs. */
	if (is_real_time(sched_getscheduler(0)))
		return 1;
	if (sched_getaffinity(0, sizeof(*cpus), cpus) || getcpu(NULL, &node))
		return 1;
	snprintf(path, sizeof(path), "/sys/devices/system/node/node%u/cpulist", node);
	if (!prepare_read_line(path, list, sizeof(list)))
		return 1;
	parse_list(list, &of_node);
	CPU_AND(cpus, cpus, &of_node);
	count = CPU_COUNT(cpus);
	quota = count > 1 ? find_quota() : 1;
	return quota < count ? quota : count;
}
