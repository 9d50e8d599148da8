// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * What a process may see of the system: /proc and /sys, its CPUs, cgroups and limits, and the
 * environment. If it cannot see something, or does not understand it, nothing is done.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "prepare_case.h"
#include "rights.h"

/* --- what the process may see of the system ----------------------------------------------- */

static int without(const void *arg)
{
	struct prepare_policy policy = { .steps = AUTO | COLLAPSE };
	struct prepare_report report;
	struct area area;
	int err = unshare_mounts() ?: area_open_anon(&area, LEN, ODD);

	if (!err && umount2(arg, MNT_DETACH))
		err = fail("cannot unmount %s: %m", (const char *)arg);
	if (err)
		return err;
	prepare_mr(area.addr, LEN, IBV_ACCESS_LOCAL_WRITE, &policy, &report);
	if (report.huge_bytes || report.populated_bytes || report.collapsed_bytes || report.threads)
		return fail("%zu bytes advised, %zu populated", report.huge_bytes,
			    report.populated_bytes);
	if (resident(area.addr, LEN))
		return fail("%zu bytes are present", resident(area.addr, LEN));
	return PASSED;
}

static int test_without(const void *arg)
{
	return test_in_child(without, arg);
}

/* In a child that may run on three CPUs: we say which CPUs the node has. */
static const struct node {
	const char *list;	/* of its CPUs; NULL: it cannot be read */
	unsigned int threads;
} nodes[] = {
	{ "0-1", 2 }, { "0,1", 2 }, { "1,7-9,0", 2 }, { "0-2", 3 }, { "0,2-9", 2 }, { "0", 0 },
	{ "1", 0 }, { "3-9", 0 }, { "", 0 }, { "nonsense", 0 }, { NULL, 0 },
};

#define NODES "/sys/devices/system/node"

static int on_node(const void *arg)
{
	const struct node *node = arg;
	struct prepare_report report;
	struct area area;
	char line[32];
	int fd, err = unshare_mounts();

	if (!err && (mount("none", NODES, "tmpfs", 0, NULL) || mkdir(NODES "/node0", 0755)))
		err = fail("cannot mount a tmpfs at %s: %m", NODES);
	if (!err && node->list) {
		fd = open(NODES "/node0/cpulist", O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
		snprintf(line, sizeof(line), "%s\n", node->list);
		err = write_line(NODES "/node0/cpulist", line);
		close(fd);
	}
	run_on(3);
	err = err ?: area_open_anon(&area, LEN, ODD) ?: ask(area.addr, LEN, POPULATE, 0, &report);
	if (!err && (report.threads != node->threads ||
		     present(area.addr, LEN) != (node->threads ? LEN : 0)))
		err = fail("%u threads populated %zu bytes", report.threads,
			   present(area.addr, LEN));
	return err;
}

static int test_node(const void *arg)
{
	return test_in_child(on_node, arg);
}

/*
 * In a child, in a cgroup in a cgroup. These limit the CPUs' time, or the number of threads.
 */
static const struct quota {
	const char *file;
	const char *outer, *inner;
	unsigned int threads;
} quotas[] = {
	{ "cpu.max", "max 100000", "max 100000", 2 },
	{ "cpu.max", "200000 100000", "max 100000", 2 },
	{ "cpu.max", "199999 100000", "max 100000", 0 },
	{ "cpu.max", "max 100000", "100000 100000", 0 },
	{ "cpu.max", "500000 100000", "20000 10000", 2 },
	{ "cpu.max", "10000 100000", "max 100000", 0 },
	/* We take half of the threads that are left. */
	{ "pids.max", "1", "max", 0 },
	{ "pids.max", "max", "1", 0 },
	{ "pids.max", "max", "2", 0 },
	{ "pids.max", "3", "3", 2 },
};

#define GROUPS "/sys/fs/cgroup"

static long pids_refused(void)
{
	FILE *f = fopen(GROUPS "/phyr/pids.events", "r");
	long times = -1;

	if (f && fscanf(f, "max %ld", &times) != 1)
		times = -1;
	if (f)
		fclose(f);
	return times;
}

static int in_cgroup(const void *arg)
{
	const struct quota *quota = arg;
	struct prepare_report report;
	struct area area;
	char outer[64], inner[64];
	int err;

	snprintf(outer, sizeof(outer), GROUPS "/phyr/%s", quota->file);
	snprintf(inner, sizeof(inner), GROUPS "/phyr/inner/%s", quota->file);
	err = write_line(GROUPS "/phyr/inner/cgroup.procs", "0") ?:
	      write_line(outer, quota->outer) ?: write_line(inner, quota->inner) ?:
	      area_open_anon(&area, LEN, ODD) ?:
	      ask(area.addr, LEN, POPULATE, 0, &report);
	if (!err && report.threads != quota->threads)
		err = fail("%u threads populated", report.threads);
	/* Administrators look at this number. */
	if (!err && pids_refused())
		err = fail("the limit was hit %ld times", pids_refused());
	return err;
}

/* In a child: a group may have any limits if we cannot see its files. */
static int in_unseen_group(const void *arg)
{
	(void)arg;
	struct area area;

	if (unshare_mounts() || write_line(GROUPS "/phyr/inner/cgroup.procs", "0"))
		return FAILED;
	if (umount(GROUPS))
		return fail("cannot unmount cgroup2: %m");
	return area_open_anon(&area, LEN, ODD) ?: check_left_alone(area.addr, LEN);
}

/*
 * In a child, in a namespace of cgroups, as containers have it: its own group has no limits. The
 * one above has, and cannot be seen.
 */
static int in_namespace(const void *arg)
{
	struct prepare_report report;
	struct area area;
	char events[32] = "";
	int file, err;

	(void)arg;
	err = write_line(GROUPS "/phyr/pids.max", "1") ?:
	      write_line(GROUPS "/phyr/inner/cgroup.procs", "0");
	if (err)
		return err;
	file = open(GROUPS "/phyr/pids.events", O_RDONLY | O_CLOEXEC);
	if (file < 0 || unshare(CLONE_NEWCGROUP) || unshare_mounts() ||
	    umount2(GROUPS, MNT_DETACH) || mount("none", GROUPS, "cgroup2", 0, NULL))
		return fail("no namespace of cgroups: %m");
	err = area_open_anon(&area, LEN, ODD) ?: ask(area.addr, LEN, POPULATE, 0, &report);
	if (!err && (report.threads || report.left_out != 1 << LEFT_THREADS_CGROUP))
		err = fail("%u threads populated, left out: %#x", report.threads, report.left_out);
	if (pread(file, events, sizeof(events) - 1, 0) < 0 || strcmp(events, "max 0\n"))
		err = fail("the group above has the events '%s'", events);
	/* Helpers are all that this is about. */
	return err ?: ask_and_check(area.addr, LEN, AUTO,
				    &(struct outcome){ huge_inside(area.addr, LEN), LEN, LEN, 0 });
}

static int test_groups(test_fn in_group, const void *arg)
{
	int err = PASSED;

	if (mount("none", GROUPS, "cgroup2", 0, NULL))
		return fail("cannot mount cgroup2: %m");
	err = write_line(GROUPS "/cgroup.subtree_control", "+cpu +pids");
	if (!err && mkdir(GROUPS "/phyr", 0755))
		err = fail("cannot make a cgroup: %m");
	err = err ?: write_line(GROUPS "/phyr/cgroup.subtree_control", "+cpu +pids");
	if (!err && mkdir(GROUPS "/phyr/inner", 0755))
		err = fail("cannot make a cgroup: %m");
	err = err ?: test_in_child(in_group, arg);
	rmdir(GROUPS "/phyr/inner");
	rmdir(GROUPS "/phyr");
	if (umount(GROUPS))
		err = fail("cannot unmount cgroup2: %m");
	return err;
}

static int test_quota(const void *arg)
{
	return test_groups(in_cgroup, arg);
}

static int test_unseen_group(const void *arg)
{
	return test_groups(in_unseen_group, arg);
}

static int test_in_namespace(const void *arg)
{
	return test_groups(in_namespace, arg);
}

/* In a child: fewer threads than the system has may be too few for us. */
static int few_threads(const void *arg)
{
	struct rlimit limit = { 2, 2 };
	struct prepare_report report;
	struct area area;
	int err;

	(void)arg;
	if (setrlimit(RLIMIT_NPROC, &limit))
		return fail("RLIMIT_NPROC: %m");
	err = area_open_anon(&area, LEN, ODD) ?: ask(area.addr, LEN, POPULATE, 0, &report);
	if (!err && (report.threads || report.left_out != 1 << LEFT_THREADS_LIMIT))
		err = fail("%u threads, left out: %#x", report.threads, report.left_out);
	return err;
}

static int test_few_threads(const void *arg)
{
	return test_in_child(few_threads, arg);
}

/* --- files that do not say what they should ------------------------------------------------- */

enum then { NOTHING, NO_HUGE, NO_THREADS };

#define ZONES		"/proc/buddyinfo"
#define THP_DIR		"/sys/kernel/mm/transparent_hugepage/"
#define STATUS		"/proc/thread-self/status"
#define GROUP		"/proc/thread-self/cgroup"
#define FIELDS		"Tgid:\t1\nVmPin:\t 0 kB\nCapEff:\t0\nTHP_enabled:\t1\n"

/* In a child that may lock some memory. A file without content cannot be opened. */
static const struct odd {
	const char *name, *path, *content;
	enum then then;
} odds[] = {
	{ "zones, closed", ZONES, NULL, NOTHING },
	{ "zones, empty", ZONES, "", NOTHING },
	{ "zones, nonsense", ZONES, "nonsense\n", NOTHING },
	{ "zones, cut off", ZONES, "Node 0, zone   Normal   1   1\nNode 0, zone   Mov", NOTHING },
	{ "zones, movable", ZONES, "Node 0, zone      DMA   1\nNode 0, zone  Movable   1\n",
	  NOTHING },
	{ "memory, closed", "/proc/meminfo", NULL, NOTHING },
	{ "memory, empty", "/proc/meminfo", "", NOTHING },
	{ "memory, cut off", "/proc/meminfo", "MemTotal:  1 kB\nCmaTot", NOTHING },
	{ "memory, CMA", "/proc/meminfo", "MemTotal:  1 kB\nCmaTotal:   16 kB\n", NOTHING },
	{ "memory, CMA unknown", "/proc/meminfo", "MemTotal:  1 kB\nCmaTotal:   x\n", NOTHING },
	{ "pages, closed", "/proc/self/pagemap", NULL, NOTHING },
	{ "pages, empty", "/proc/self/pagemap", "", NOTHING },
	{ "mappings, closed", "/proc/self/maps", NULL, NOTHING },
	{ "mappings, empty", "/proc/self/maps", "", NOTHING },
	{ "limits, closed", "/proc/thread-self/limits", NULL, NOTHING },
	{ "limits, empty", "/proc/thread-self/limits", "", NOTHING },
	{ "limits, nonsense", "/proc/thread-self/limits", "Max locked memory   many   many bytes\n",
	  NOTHING },
	{ "status, closed", STATUS, NULL, NOTHING },
	{ "status, empty", STATUS, "", NOTHING },
	{ "status, cut off", STATUS, FIELDS "Seccomp:\t0", NOTHING },
	{ "status, memory unknown", STATUS, "Tgid:\t1\nVmPin:\t 0 MB\nSeccomp:\t0\n", NOTHING },
	{ "status, filter unknown", STATUS, FIELDS, NO_THREADS },
	{ "status, filter of a kind", STATUS, FIELDS "Seccomp:\t3\n", NO_THREADS },
	{ "status, huge pages unknown", STATUS, "Tgid:\t1\nVmPin:\t 0 kB\nSeccomp:\t0\n", NO_HUGE },
	{ "cgroup, closed", GROUP, NULL, NOTHING },
	{ "cgroup, nonsense", GROUP, "nonsense\n0::/\n", NOTHING },
	{ "cgroup, cut off", GROUP, "0::/", NOTHING },
	{ "cgroup, of others", GROUP, "0::/../others\n", NOTHING },
	{ "cgroup, not there", GROUP, "0::/nowhere\n", NOTHING },
	{ "cgroup, version 1", GROUP, "5:pids:/service\n0::/\n", NOTHING },
	{ "huge pages, size closed", THP_DIR "hpage_pmd_size", NULL, NO_HUGE },
	{ "huge pages, size nonsense", THP_DIR "hpage_pmd_size", "3\n", NO_HUGE },
	{ "huge pages, setting closed", THP_DIR "hugepages-2048kB/enabled", NULL, NO_HUGE },
	{ "huge pages, setting empty", THP_DIR "hugepages-2048kB/enabled", "", NO_HUGE },
	{ "huge pages, setting nonsense", THP_DIR "enabled", "always madvise never\n", NO_HUGE },
	{ "huge pages, defrag closed", THP_DIR "defrag", NULL, NO_HUGE },
	{ "threads, closed", "/proc/loadavg", NULL, NO_THREADS },
	{ "threads, empty", "/proc/loadavg", "", NO_THREADS },
	{ "threads, nonsense", "/proc/loadavg", "0.01 0.02 0.03 1/x 7\n", NO_THREADS },
};

static int is_odd(const void *arg)
{
	const struct odd *odd = arg;
	struct rlimit limit = { 2 * LEN, 2 * LEN };
	uint32_t steps = odd->then == NO_THREADS ? POPULATE : AUTO;
	size_t populated = odd->then == NO_HUGE ? LEN : 0;
	struct prepare_policy policy = { .steps = steps };
	struct prepare_report report;
	struct area area;
	int err;

	if (setrlimit(RLIMIT_MEMLOCK, &limit) || drop_ipc_lock())
		return fail("no limit can be set: %m");
	err = unshare_mounts() ?: cover_file(odd->path, odd->content) ?:
	      area_open_anon(&area, LEN, ODD);
	if (err)
		return err;
	prepare_mr(area.addr, LEN, IBV_ACCESS_LOCAL_WRITE, &policy, &report);
	if (report.huge_bytes || report.populated_bytes != populated ||
	    resident(area.addr, LEN) != populated)
		return fail("%zu bytes made huge, %zu populated, %zu present", report.huge_bytes,
			    report.populated_bytes, resident(area.addr, LEN));
	return PASSED;
}

static int test_odd(const void *arg)
{
	return test_in_child(is_odd, arg);
}

/* --- real-time threads ---------------------------------------------------------------------- */

#define SYSCTL		"/proc/sys/kernel/"
#define CPUS		"/sys/devices/system/cpu/"
#define RT_RUNTIME	SYSCTL "sched_rt_runtime_us"
#define RT_PERIOD	SYSCTL "sched_rt_period_us"
#define RELEASE		SYSCTL "osrelease"

/* In a child: files say whether real-time threads may have a CPU alone. NULL: it is closed. */
static const struct realtime {
	const char *name;
	bool huge;
	struct {
		const char *path, *content;
	} files[3];
} realtimes[] = {
	{ "no limit", false, { { RT_RUNTIME, "-1\n" } } },
	{ "limit closed", false, { { RT_RUNTIME, NULL } } },
	{ "limit empty", false, { { RT_RUNTIME, "" } } },
	{ "limit nonsense", false, { { RT_RUNTIME, "\n" } } },
	{ "isolated CPU", false, { { CPUS "isolated", "2\n" } } },
	{ "isolated CPUs, many", false, { { CPUS "isolated", "1,3,5,7,9,11,13,15,17,19\n" } } },
	{ "isolated CPUs, closed", false, { { CPUS "isolated", NULL } } },
	{ "CPU without ticks", false, { { CPUS "nohz_full", "2\n" } } },
	{ "no CPU without ticks", true, { { CPUS "nohz_full", "(null)\n" } } },
	{ "no CPU without ticks, again", true, { { CPUS "nohz_full", "\n" } } },
	{ "fair server", true,
	  { { RELEASE, "6.12.0-x\n" }, { RT_RUNTIME, "9\n" }, { RT_PERIOD, "9\n" } } },
	{ "fair server, next version", true,
	  { { RELEASE, "7.0\n" }, { RT_RUNTIME, "1000000\n" } } },
	{ "older kernel, a limit", true,
	  { { RELEASE, "6.11.9\n" }, { RT_RUNTIME, "8\n" }, { RT_PERIOD, "9\n" } } },
	{ "older kernel, no limit", false,
	  { { RELEASE, "6.11.9\n" }, { RT_RUNTIME, "9\n" }, { RT_PERIOD, "9\n" } } },
	{ "older kernel, period closed", false,
	  { { RELEASE, "5.15.9\n" }, { RT_RUNTIME, "8\n" }, { RT_PERIOD, NULL } } },
	{ "kernel unknown", false,
	  { { RELEASE, "x\n" }, { RT_RUNTIME, "9\n" }, { RT_PERIOD, "9\n" } } },
};

/* Fresh memory gets huge pages or not, and populated memory as well. */
static int check_realtime(bool huge)
{
	struct prepare_report report;
	struct area area;
	size_t bytes = 0;
	int err = area_open_anon(&area, LEN, ODD);

	if (huge)
		bytes = huge_inside(area.addr, LEN);
	err = err ?: ask(area.addr, LEN, AUTO, 0, &report) ?:
	      check(area.addr, LEN, &report, &(struct outcome){ bytes, LEN, LEN, 0 });
	if (!err && report.left_out != (huge ? 0 : 1U << LEFT_HUGE_REALTIME))
		err = fail("left out: %#x", report.left_out);
	if (!err && !huge) {
		err = ask(area.addr, LEN, COLLAPSE, 0, &report);
		if (!err && report.collapsed_bytes)
			err = fail("%zu bytes were collapsed", report.collapsed_bytes);
	}
	area_close(&area);
	return err;
}

static int in_realtime(const void *arg)
{
	const struct realtime *realtime = arg;
	int err = unshare_mounts();
	size_t i;

	for (i = 0; i < ARRAY_SIZE(realtime->files) && realtime->files[i].path && !err; i++)
		err = cover_file(realtime->files[i].path, realtime->files[i].content);
	return err ?: check_realtime(realtime->huge);
}

static int test_realtime(const void *arg)
{
	return test_in_child(in_realtime, arg);
}

/* A cpuset takes a CPU away from all others. */
static int test_cpuset(const void *arg)
{
	int err = PASSED;

	(void)arg;
	if (mount("none", GROUPS, "cgroup2", 0, NULL))
		return fail("cannot mount cgroup2: %m");
	err = write_line(GROUPS "/cgroup.subtree_control", "+cpuset");
	if (!err && mkdir(GROUPS "/phyr", 0755))
		err = fail("cannot make a cgroup: %m");
	err = err ?: check_realtime(true) ?: write_line(GROUPS "/phyr/cpuset.cpus", "2") ?:
	      write_line(GROUPS "/phyr/cpuset.cpus.partition", "isolated") ?:
	      check_realtime(false);
	rmdir(GROUPS "/phyr");
	write_line(GROUPS "/cgroup.subtree_control", "-cpuset");
	if (umount(GROUPS))
		err = fail("cannot unmount cgroup2: %m");
	return err;
}

/* --- movable memory ------------------------------------------------------------------------- */

/* The kernel can take these out of use, and put them to use again. */
#define BLOCKS "/sys/devices/system/memory"

static bool has_movable(void)
{
	FILE *f = fopen("/proc/buddyinfo", "r");
	bool found = false;
	char line[512];

	while (f && fgets(line, sizeof(line), f))
		found |= !!strstr(line, "zone  Movable");
	if (f)
		fclose(f);
	return found;
}

static bool set_block(unsigned long block, const char *state)
{
	char path[64];
	ssize_t written;
	int fd;

	snprintf(path, sizeof(path), BLOCKS "/memory%lu/state", block);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	written = write(fd, state, strlen(state));
	close(fd);
	return written > 0;
}

/* The number of a block that has become movable, or -1. A block with the kernel's memory cannot. */
static long make_movable(void)
{
	DIR *dir = opendir(BLOCKS);
	struct dirent *entry;
	unsigned long block;
	long found = -1;

	while (dir && found < 0 && (entry = readdir(dir))) {
		if (sscanf(entry->d_name, "memory%lu", &block) != 1 || !set_block(block, "offline"))
			continue;
		if (set_block(block, "online_movable") && has_movable())
			found = block;
		else
			set_block(block, "online");
	}
	if (dir)
		closedir(dir);
	return found;
}

/* The kernel would have to move this memory to pin it, so we populate and collapse none. */
static int test_movable(const void *arg)
{
	struct prepare_report report;
	struct area area;
	long block;
	int err;

	(void)arg;
	if (has_movable())
		return fail("there is memory in the zone Movable already");
	block = make_movable();
	if (block < 0)
		return fail("no block of memory can be made movable");
	err = area_open_anon(&area, LEN, ODD) ?:
	      ask_and_check(area.addr, LEN, AUTO | COLLAPSE, &(struct outcome){}) ?:
	      ask_and_check(area.addr, LEN, ADVISE | COLLAPSE,
			    &(struct outcome){ .huge = huge_inside(area.addr, LEN) });
	pattern_fill(area.addr, 1, 0, LEN);
	err = err ?: ask(area.addr, LEN, AUTO | COLLAPSE, 0, &report);
	if (!err && report.collapsed_bytes)
		err = fail("%zu bytes were collapsed", report.collapsed_bytes);
	area_close(&area);
	if (!set_block(block, "offline") || !set_block(block, "online_kernel") || has_movable())
		err = fail("memory block %ld cannot be made what it was: %m", block);
	return err;
}

/* --- the environment ---------------------------------------------------------------------- */

static const struct variables {
	const char *name;
	const char *prepare, *threads;	/* NULL: not set */
	struct prepare_policy expect;
	unsigned int lines;		/* on stderr */
} variables[] = {
	{ "nothing", NULL, NULL, { AUTO, 0 }, 0 },
	{ "empty", "", "", { AUTO, 0 }, 0 },
	{ "auto", "auto", NULL, { AUTO, 0 }, 0 },
	{ "none", "none", NULL, { 0, 0 }, 0 },
	{ "advise", "advise", NULL, { ADVISE, 0 }, 0 },
	{ "collapse", "collapse", NULL, { AUTO | COLLAPSE, 0 }, 0 },
	{ "threads", "auto", "3", { AUTO, 3 }, 0 },
	{ "unknown", "NONE", NULL, { AUTO, 0 }, 1 },
	{ "unknown, longer", "none ", NULL, { AUTO, 0 }, 1 },
	{ "zero threads", NULL, "0", { AUTO, 0 }, 1 },
	{ "negative threads", NULL, "-1", { AUTO, 0 }, 1 },
	{ "blank before threads", NULL, " 2", { AUTO, 0 }, 1 },
	{ "threads and more", NULL, "2x", { AUTO, 0 }, 1 },
	{ "too many threads", NULL, "4294967296", { AUTO, 0 }, 1 },
	{ "far too many threads", NULL, "99999999999999999999999", { AUTO, 0 }, 1 },
	{ "both wrong", "never", "many", { AUTO, 0 }, 2 },
};

static void set(const char *name, const char *value)
{
	if (value)
		setenv(name, value, 1);
	else
		unsetenv(name);
}

static int test_variables(const void *arg)
{
	const struct variables *v = arg;
	int file = memfd_create("phyr-test", MFD_CLOEXEC), before = dup(STDERR_FILENO);
	int err = PASSED;
	struct prepare_policy policy;
	unsigned int lines = 0;
	char said[512] = "", *at;

	set("PHYR_PREPARE", v->prepare);
	set("PHYR_PREPARE_THREADS", v->threads);
	dup2(file, STDERR_FILENO);
	policy = prepare_policy_from_env();
	dup2(before, STDERR_FILENO);
	set("PHYR_PREPARE", NULL);
	set("PHYR_PREPARE_THREADS", NULL);
	if (pread(file, said, sizeof(said) - 1, 0) < 0)
		die("cannot read what was said: %m");
	close(file);
	close(before);
	for (at = said; (at = strchr(at, '\n')); at++)
		lines++;
	if (policy.steps != v->expect.steps || policy.max_threads != v->expect.max_threads)
		err = fail("steps %#x, %u threads", policy.steps, policy.max_threads);
	if (lines != v->lines || (lines && strncmp(said, "libphyr: PHYR_PREPARE", 21)))
		err = fail("it said '%s'", said);
	return err;
}

/* A child that has more rights than its parent takes nothing from the environment. */
static int secure(const void *arg)
{
	char *const args[] = { "privileged", NULL };
	char *const environment[] = { "PHYR_PREPARE=none", "PHYR_PREPARE_THREADS=7", NULL };
	pid_t pid;
	int status;

	(void)arg;
	if (unshare_mounts() || mount("none", "/tmp", "tmpfs", 0, NULL) ||
	    system("cp /proc/$PPID/exe /tmp/privileged && chmod 4755 /tmp/privileged"))
		return fail("no program with rights: %m");
	pid = fork();
	if (!pid) {
		if (setgid(65534) || setuid(65534))
			_exit(98);
		execve("/tmp/privileged", args, environment);
		_exit(99);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		die("no child: %m");
	return status ? fail("wait status %#x", status) : PASSED;
}

static int test_secure(const void *arg)
{
	return test_in_child(secure, arg);
}

void secure_main(void)
{
	struct prepare_policy policy = prepare_policy_from_env();

	_exit(policy.steps != AUTO || policy.max_threads || !getenv("PHYR_PREPARE"));
}

void system_add_tests(void)
{
	size_t i;

	test_add(test_without, "/proc", "system, no /proc");
	test_add(test_without, "/sys", "system, no /sys");
	for (i = 0; i < ARRAY_SIZE(nodes); i++)
		test_add(test_node, &nodes[i], "system, node with CPUs %s",
			 nodes[i].list ?: "unknown");
	for (i = 0; i < ARRAY_SIZE(quotas); i++)
		test_add(test_quota, &quotas[i], "system, %s %s, %s", quotas[i].file,
			 quotas[i].outer, quotas[i].inner);
	test_add(test_unseen_group, NULL, "system, cgroup not to be seen");
	test_add(test_in_namespace, NULL, "system, namespace of cgroups");
	test_add(test_few_threads, NULL, "system, RLIMIT_NPROC");
	for (i = 0; i < ARRAY_SIZE(odds); i++)
		test_add(test_odd, &odds[i], "unknown, %s", odds[i].name);
	for (i = 0; i < ARRAY_SIZE(realtimes); i++)
		test_add(test_realtime, &realtimes[i], "real time, %s", realtimes[i].name);
	test_add(test_cpuset, NULL, "real time, cpuset");
	test_add(test_movable, NULL, "system, movable memory");
	for (i = 0; i < ARRAY_SIZE(variables); i++)
		test_add(test_variables, &variables[i], "environment, %s", variables[i].name);
	test_add(test_secure, NULL, "environment, of others");
}
