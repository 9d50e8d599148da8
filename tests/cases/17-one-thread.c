// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * A program with one thread registers memory, and then does what only such a program may do. A
 * thread that helped with the registration must be gone by then, for the kernel, too: the kernel
 * may still count a thread for a while after it was joined. This takes longest on a busy machine,
 * where the thread may lose its CPU while it exits. So each CPU has another process to run here.
 * The memory is in huge pages, so that the registration itself takes little time.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "case.h"

/* The provider starts one more thread for this much; both end at about the same time. */
#define LEN	(16 * MIB)
#define TRIES	20

/* Without a second thread, the other tests cannot find anything. libphyr says how many worked. */
static int look_for_helper(const void *unused)
{
	int log = memfd_create("log", MFD_CLOEXEC);
	char said[512], *threads;
	ssize_t len;

	(void)unused;
	if (log < 0 || dup2(log, STDERR_FILENO) < 0 || setenv("PHYR_DEBUG", "1", 1))
		return fail("cannot read what libphyr says: %m");
	if (reopen_device() || !mr_reg(map_fresh(LEN), LEN, ACCESS_ALL))
		return FAILED;
	len = pread(log, said, sizeof(said) - 1, 0);
	said[len < 0 ? 0 : len] = '\0';
	threads = strstr(said, " threads=");
	if (!threads)
		return skip("libphyr is not in use");
	if (atoi(threads + strlen(" threads=")) < 2)
		return fail("no thread helped: %s", said);
	return PASSED;
}

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

/* A process for each CPU that keeps it busy, in a group of their own. */
static pid_t start_load(void)
{
	long nr = sysconf(_SC_NPROCESSORS_ONLN);
	pid_t group = 0, pid;

	while (nr--) {
		pid = fork();
		if (!pid) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			for (;;)
				__asm__ volatile("");
		}
		if (pid > 0 && !setpgid(pid, group) && !group)
			group = pid;
	}
	return group;
}

static void end_load(pid_t group)
{
	if (!group)
		return;
	kill(-group, SIGKILL);
	while (waitpid(-group, NULL, 0) > 0)
		;
}

static int test(const void *arg)
{
	test_fn once = arg == (void *)unshare_at_once ? unshare_at_once : count_at_once;
	unsigned int bad = 0, i;
	pid_t load;

	knob_set(&thp, "always");
	load = start_load();
	for (i = 0; i < TRIES; i++)
		bad += test_in_child(once, NULL) != PASSED;
	end_load(load);
	return bad ? fail("%u of %u tries", bad, TRIES) : PASSED;
}

static int test_helper(const void *unused)
{
	knob_set(&thp, "always");
	return test_in_child(look_for_helper, unused);
}

int main(int argc, char **argv)
{
	case_start("A program with one thread has one thread after a registration.", 120, argc,
		   argv);
	test_add(test_helper, NULL, "a second thread helps meanwhile");
	test_add(test, unshare_at_once, "unshare(CLONE_NEWUSER) at once");
	test_add(test, count_at_once, "one entry in /proc/self/task at once");
	return test_run();
}
