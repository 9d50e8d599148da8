// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * A program with one thread registers memory, and then does what only such a program may do. A
 * thread that helped with the registration must be gone by then, for the kernel, too: the kernel
 * may still count a thread for a while after it was joined.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <sched.h>

#include "case.h"

/* The provider starts one more thread for this much; both end at about the same time. */
#define LEN	(16 * MIB)
#define TRIES	20

/* Checks with a single call: a thread may be gone before a directory has been read. */
static int unshare_at_once(const void *unused)
{
	(void)unused;
	if (reopen_device())
		return FAILED;
	if (!mr_reg(map_fresh(LEN), LEN, ACCESS_ALL))
		return FAILED;
	return unshare(CLONE_NEWUSER) ? fail("unshare: %m") : PASSED;
}

static int count_at_once(const void *unused)
{
	struct dirent *entry;
	unsigned int n = 0;
	DIR *tasks;

	(void)unused;
	if (reopen_device())
		return FAILED;
	tasks = opendir("/proc/self/task");
	if (!tasks || !mr_reg(map_fresh(LEN), LEN, ACCESS_ALL))
		return fail("/proc/self/task: %m");
	while ((entry = readdir(tasks)))
		n += entry->d_name[0] != '.';
	closedir(tasks);
	return n == 1 ? PASSED : fail("%u threads", n);
}

static int test(const void *arg)
{
	test_fn once = arg == (void *)unshare_at_once ? unshare_at_once : count_at_once;
	unsigned int bad = 0, i;

	knob_set(&thp, "madvise");
	for (i = 0; i < TRIES; i++)
		bad += test_in_child(once, NULL) != PASSED;
	return bad ? fail("%u of %u tries", bad, TRIES) : PASSED;
}

int main(int argc, char **argv)
{
	case_start("A program with one thread has one thread after a registration.", 120, argc,
		   argv);
	test_add(test, unshare_at_once, "unshare(CLONE_NEWUSER) at once");
	test_add(test, count_at_once, "one entry in /proc/self/task at once");
	return test_run();
}
