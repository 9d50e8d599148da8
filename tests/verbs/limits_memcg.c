// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Memory cgroups: memory that a registration faults in is charged to the process's group, which has
 * a limit. At the limit, the kernel kills the process, or, if it may not be killed, registration
 * fails with ENOMEM. Afterwards, nothing of a registration may stay charged to the group, or keep
 * it from being removed.
 *
 * Each case has a group of its own, in a cgroup file system (version 2) that we mount for it.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "limits_cases.h"

/* A group without processes may still be charged for this: caches that belong to no MR. */
#define ALMOST_NOTHING	(64 * KIB)
/* Kernel memory is freed with a delay, which is long on a busy host. */
#define DRAIN_MS	20000.0
/* The kernel may charge this in advance: 64 pages for each CPU. */
#define IN_STORE_KB	1024
/* The tables of so many regions of fragmented memory are larger than that, also with our driver. */
#define MANY		32

enum ending {
	RELEASED,		/* the child releases its region and ends */
	EXITS,			/* it ends with its region */
	DIES,			/* it kills itself, with its region */
};

struct memcg_case {
	const char *name;
	size_t max;		/* of the group, bytes */
	size_t len;		/* of the region */
	int access;
	bool thp;
	bool many;		/* many regions of the same memory, present and fragmented */
	bool unkillable;	/* for the OOM killer */
	enum ending ending;
	int expect;
	bool killed;		/* the kernel kills the child, which has no result then */
};

static const struct memcg_case cases[] = {
	{ .name = "within", .max = 64 * MIB, .len = 16 * MIB, .access = WRITABLE },
	{ .name = "within-exits", .max = 64 * MIB, .len = 16 * MIB, .access = WRITABLE,
	  .ending = EXITS },
	{ .name = "within-dies", .max = 64 * MIB, .len = 16 * MIB, .access = WRITABLE,
	  .ending = DIES },
	{ .name = "within-thp-dies", .max = 64 * MIB, .len = 16 * MIB, .access = WRITABLE,
	  .thp = true, .ending = DIES },
	{ .name = "over", .max = 16 * MIB, .len = 32 * MIB, .access = WRITABLE, .killed = true },
	{ .name = "over-read-only", .max = 16 * MIB, .len = 32 * MIB, .access = READABLE,
	  .killed = true },
	{ .name = "over-unkillable", .max = 16 * MIB, .len = 32 * MIB, .access = WRITABLE,
	  .unkillable = true, .expect = ENOMEM },
	{ .name = "over-unkillable-read-only", .max = 16 * MIB, .len = 32 * MIB,
	  .access = READABLE, .unkillable = true, .expect = ENOMEM },
	{ .name = "over-thp", .max = 16 * MIB, .len = 32 * MIB, .access = WRITABLE, .thp = true,
	  .killed = true },
	{ .name = "over-thp-unkillable", .max = 16 * MIB, .len = 32 * MIB, .access = WRITABLE,
	  .thp = true, .unkillable = true, .expect = ENOMEM },
	{ .name = "tables", .max = 256 * MIB, .len = 32 * MIB, .access = WRITABLE, .many = true },
};

/* --- a group ------------------------------------------------------------------------------ */

static char mount_point[32];

static char *group_path(const char *file)
{
	static char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/case/%s", mount_point, file);
	return path;
}

static int write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC), err;

	if (fd < 0)
		return -1;
	err = write(fd, text, strlen(text)) == (ssize_t)strlen(text) ? 0 : -1;
	close(fd);
	return err;
}

/* The number after a key, or the first one in the file if there is no key; -1 if none. */
static long read_file(const char *file, const char *key)
{
	FILE *f = fopen(group_path(file), "r");
	long value = -1, number;
	char word[64];

	if (!f)
		return -1;
	if (!key) {
		if (fscanf(f, "%ld", &value) != 1)
			value = -1;
	} else {
		while (fscanf(f, "%63s %ld", word, &number) == 2)
			if (!strcmp(word, key))
				value = number;
	}
	fclose(f);
	return value;
}

static int group_open(size_t max)
{
	char path[PATH_MAX], text[32];

	snprintf(text, sizeof(text), "%zu", max);
	snprintf(mount_point, sizeof(mount_point), "/tmp/phyr-limits-XXXXXX");
	if (!mkdtemp(mount_point))
		return fail("mkdtemp: %m");
	if (mount("phyr-limits", mount_point, "cgroup2", 0, NULL)) {
		fail("cannot mount cgroup2: %m");
		rmdir(mount_point);
		return FAILED;
	}
	snprintf(path, sizeof(path), "%s/cgroup.subtree_control", mount_point);
	if (write_file(path, "+memory") || mkdir(group_path(""), 0755) ||
	    write_file(group_path("memory.max"), text))
		return fail("cannot make a memory cgroup: %m");
	return PASSED;
}

/* Removing the group must be possible as soon as its processes are gone. */
static int group_close(void)
{
	int err = PASSED;

	if (rmdir(group_path("")))
		err = fail("cannot remove the cgroup: %m");
	if (umount(mount_point) || rmdir(mount_point))
		err = fail("cannot unmount cgroup2: %m");
	return err;
}

/*
 * Returns what is charged to the group when it has no processes any more. memory.high makes the
 * kernel give back what it has charged in advance, and reclaim what it can. Kernel memory is freed
 * with a delay.
 */
static long group_drain(void)
{
	double deadline = now_ms() + DRAIN_MS;
	long left;

	do {
		write_file(group_path("memory.high"), "0");
		left = read_file("memory.current", NULL);
		if (left >= 0 && left <= (long)ALMOST_NOTHING)
			break;
		usleep(20000);
	} while (now_ms() < deadline);
	return left;
}

/* --- in the child ------------------------------------------------------------------------- */

static char *get_memory(struct child *c, const struct memcg_case *m)
{
	struct buf buf;
	char *mem;

	if (m->many) {
		if (buf_open(&buf, BACKING_FRAG, m->len))
			child_die(c, "cannot get fragmented memory");
		return buf.addr;
	}
	mem = map_reserve(m->len, SZ_2M, &buf.map, &buf.map_len);
	if (map_fixed(mem, m->len, RW, ANON, -1, 0) ||
	    madvise(mem, m->len, m->thp ? MADV_HUGEPAGE : MADV_NOHUGEPAGE))
		child_die(c, "cannot get memory: %m");
	return mem;
}

static int register_all(struct child *c, const struct memcg_case *m, char *mem, struct ibv_mr **mr)
{
	int i;

	for (i = 0; i < (m->many ? MANY : 1); i++) {
		errno = 0;
		mr[i] = ibv_reg_mr(c->pd, mem, m->len, m->access);
		if (!mr[i])
			return errno ?: ENODATA;
	}
	return 0;
}

static void work(struct child *c, const void *arg)
{
	const struct memcg_case *m = arg;
	struct ibv_mr *mr[MANY] = {};
	long before;
	char *mem;
	int err, i;

	if (write_file(group_path("cgroup.procs"), "0"))
		child_die(c, "cannot enter the cgroup: %m");
	if (m->unkillable && write_file("/proc/self/oom_score_adj", "-1000"))
		child_die(c, "oom_score_adj: %m");
	child_open_device(c);
	/* In a full group, an unkillable process hangs in its next page fault, so avoid these. */
	if (mlockall(MCL_CURRENT))
		child_die(c, "mlockall: %m");
	mem = get_memory(c, m);
	before = read_file("memory.current", NULL);
	err = register_all(c, m, mem, mr);
	if (err)
		munmap(mem, m->len);
	child_note(c, err);
	c->step[0].charged_kb = (read_file("memory.current", NULL) - before) / (long)KIB;
	if (m->ending == DIES)
		raise(SIGKILL);
	if (m->ending == EXITS || err)
		return;
	for (i = 0; i < MANY && mr[i] && !err; i++)
		err = ibv_dereg_mr(mr[i]);
	child_note(c, err);
}

/* --- in the parent ------------------------------------------------------------------------ */

/*
 * All memory that a registration faults in must be charged. Stock charges nothing for the kernel
 * memory of an MR's tables, and neither do we.
 */
static int judge_charge(const struct memcg_case *m, long charged_kb)
{
	long memory_kb = m->many ? 0 : m->len / KIB;
	bool tables = charged_kb > memory_kb + IN_STORE_KB;

	diag("memcg-%s: charged %+ld kB with the registration, of which %ld kB memory", m->name,
	     charged_kb, memory_kb);
	if (m->many)
		diag("result memcg-%s: kernel memory is %scharged", m->name, tables ? "" : "not ");
	if (charged_kb < memory_kb - IN_STORE_KB)
		return fail("only %ld kB of %ld kB were charged", charged_kb, memory_kb);
	return PASSED;
}

static int judge(const struct memcg_case *m, const struct child *c, int status)
{
	long kills = read_file("memory.events", "oom_kill");
	bool killed = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL && !c->steps;
	long pinned_kb = m->expect ? 0 : m->len / KIB * (m->many ? MANY : 1);

	diag("result memcg-%s: %s, %ld killed by OOM, VmPin %ld kB", m->name,
	     killed ? "killed" : errno_name(c->step[0].err), kills, c->step[0].vmpin_kb);
	if (killed != m->killed || kills != m->killed)
		return fail("%s, the OOM killer has killed %ld",
			    killed ? "the child was killed" : "the child lives", kills);
	if (killed)
		return PASSED;
	if (c->step[0].err != m->expect)
		return fail("%s, expected %s", errno_name(c->step[0].err),
			    errno_name(m->expect));
	if (c->step[0].vmpin_kb != pinned_kb)
		return fail("VmPin was %ld kB", c->step[0].vmpin_kb);
	if (m->ending == RELEASED && !m->expect && (c->steps != 2 || c->step[1].err ||
						    c->step[1].vmpin_kb))
		return fail("the release: %s, VmPin %ld kB", errno_name(c->step[1].err),
			    c->step[1].vmpin_kb);
	return m->expect ? PASSED : judge_charge(m, c->step[0].charged_kb);
}

static int run_case(const struct memcg_case *m)
{
	struct child *c = child_start(work, m, NULL);
	int status, err;
	long left;

	if (!c)
		return FAILED;
	status = child_reap(c);
	if (c->why[0])
		err = fail("the child could not do its work: %s", c->why);
	else
		err = judge(m, c, status);
	child_free(c);
	left = group_drain();
	if (left < 0 || left > (long)ALMOST_NOTHING)
		err = fail("%ld bytes stay charged to the group", left);
	return err;
}

static int test_memcg(const void *arg)
{
	const struct memcg_case *m = arg;
	int err = group_open(m->max);

	if (!err)
		err = run_case(m);
	return group_close() ?: err;
}

void memcg_add_tests(void)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(cases); i++)
		test_add(test_memcg, &cases[i], "memcg, %s", cases[i].name);
}
