// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * A container has just enough memory for the region, or may start no further thread. A program that
 * registers within these limits on the distribution's driver must do so here. The registration may
 * charge little more memory than the region. It must not even try to exceed the limit of threads,
 * since the kernel counts each attempt for operators to see.
 */
#define _GNU_SOURCE
#include <stdio.h>

#include "case.h"

#define LEN	(64 * MIB)
/* For page tables, which take 1/512 of the region, and what the kernel needs to register it. */
#define SLACK	(4 * MIB)

static int register_in_group(const void *unused)
{
	(void)unused;
	return group_join() ?: reopen_device() ?: register_once(map_fresh(LEN), LEN, ACCESS_ALL);
}

static int test_memory(const void *mode)
{
	char max[24];
	long killed;
	int err;

	knob_set(&thp, mode);
	snprintf(max, sizeof(max), "%lu", LEN + SLACK);
	err = group_open("+memory");
	if (err)
		return err;
	err = group_write("memory.max", max) ?:
	      test_in_child(register_in_group, NULL);
	killed = group_read("memory.events", "oom_kill ");
	if (killed)
		err = fail("%ld processes were killed for want of memory", killed);
	return group_close() ?: err;
}

static int test_threads(const void *mode)
{
	long hits;
	int err;

	knob_set(&thp, mode);
	err = group_open("+pids");
	if (err)
		return err;
	err = group_write("pids.max", "1") ?: test_in_child(register_in_group, NULL);
	hits = group_read("pids.events", "max ");
	if (hits)
		err = fail("pids.max was hit %ld times", hits);
	return group_close() ?: err;
}

int main(int argc, char **argv)
{
	size_t i;

	case_start("Memory is registered within the limits of a container.", 60, argc, argv);
	for (i = 0; i < ARRAY_SIZE(thp_modes); i++) {
		test_add(test_memory, thp_modes[i], "memory.max leaves %lu MiB, THP %s",
			 SLACK / MIB, thp_modes[i]);
		test_add(test_threads, thp_modes[i], "pids.max is 1, THP %s", thp_modes[i]);
	}
	return test_run();
}
