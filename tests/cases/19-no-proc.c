// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * A program does not see /proc, or /proc is empty. Then the provider cannot find out what the
 * memory is and what the program wants, so it must leave all to the kernel.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "case.h"

#define LEN	(64 * MIB)

/* Opened before /proc is hidden. */
static int smaps;

static int open_witness(void)
{
	smaps = open("/proc/self/smaps", O_RDONLY | O_CLOEXEC);
	return smaps < 0 ? fail("/proc: %m") : PASSED;
}

/* KiB of this mapping in huge pages; -1 if the mapping is not there. */
static long huge_kb(const char *p)
{
	unsigned long from, to, at = (unsigned long)p;
	FILE *f = fdopen(dup(smaps), "r");
	bool inside = false;
	char line[512];
	long kb = -1;

	if (!f || fseek(f, 0, SEEK_SET))
		return -1;
	while (kb < 0 && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%lx-%lx ", &from, &to) == 2)
			inside = at >= from && at < to;
		else if (inside && !strncmp(line, "AnonHugePages:", 14))
			kb = atol(line + 14);
	}
	fclose(f);
	return kb;
}

/* Hide /proc, in a mount namespace of the test's own. */
static int hide(const void *how)
{
	if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL))
		return fail("unshare: %m");
	if (!strcmp(how, "not mounted"))
		return umount2("/proc", MNT_DETACH) ? fail("umount: %m") : PASSED;
	if (!strcmp(how, "empty"))
		return mount("none", "/proc", "tmpfs", 0, NULL) ? fail("mount: %m") : PASSED;
	/* Hide the system's settings, too. */
	if (mount("none", "/proc", "tmpfs", 0, NULL) ||
	    mount("none", "/sys/kernel", "tmpfs", 0, NULL))
		return fail("mount: %m");
	return PASSED;
}

static int register_hidden(const void *how)
{
	char *p = map_fresh(LEN);
	struct ibv_mr *mr;
	long huge;
	int err;

	err = reopen_device() ?: open_witness() ?: hide(how);
	if (err)
		return err;
	mr = ibv_reg_mr(dev.pd, p, LEN, ACCESS_ALL);
	if (!mr)
		return fail("ibv_reg_mr: %m");
	huge = huge_kb(p);
	err = ibv_dereg_mr(mr);
	if (err)
		return fail("ibv_dereg_mr: %s", errno_name(err));
	if (huge)
		return fail("%ld KiB are in huge pages", huge);
	return PASSED;
}

static int test(const void *how)
{
	knob_set(&thp, "madvise");
	return test_in_child(register_hidden, how);
}

int main(int argc, char **argv)
{
	case_start("A program without /proc registers memory.", 60, argc, argv);
	test_add(test, "not mounted", "/proc is not mounted");
	test_add(test, "empty", "/proc is empty");
	test_add(test, "both", "/proc and /sys/kernel are empty");
	return test_run();
}
