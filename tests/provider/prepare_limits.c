// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Registrations that the kernel will refuse: nothing is populated for them. If the kernel will not
 * refuse one, all is.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/mount.h>
#include <unistd.h>

#include "prepare_case.h"
#include "rights.h"

/* --- locked memory ------------------------------------------------------------------------- */

static int limited(void)
{
	return drop_ipc_lock() ? fail("CAP_IPC_LOCK cannot be dropped: %m") : PASSED;
}

static int memlock(const void *arg)
{
	struct rlimit limit = { LEN, LEN };
	struct outcome all = { .populated = LEN, .present = LEN };
	struct area area;
	int err;

	(void)arg;
	if (setrlimit(RLIMIT_MEMLOCK, &limit))
		return fail("RLIMIT_MEMLOCK: %m");
	/* With the capability there is no limit. */
	err = area_open_anon(&area, 2 * LEN, ODD) ?:
	      ask_and_check(area.addr, 2 * LEN, POPULATE,
			    &(struct outcome){ 0, 2 * LEN, 2 * LEN, 0 });
	area_close(&area);
	err = err ?: limited() ?: area_open_anon(&area, 2 * LEN, ODD) ?:
	      check_left_alone(area.addr, LEN + 1) ?:
	      ask_and_check(area.addr, LEN, POPULATE, &all);
	return err;
}

static int test_memlock(const void *arg)
{
	return test_in_child(memlock, arg);
}

/* All that is mapped is locked once it is populated. */
static int locked(const void *arg)
{
	struct area area;

	(void)arg;
	if (mlockall(MCL_FUTURE | MCL_ONFAULT))
		return fail("mlockall: %m");
	return area_open_anon(&area, LEN, ODD) ?:
	       ask_and_check(area.addr, LEN, AUTO,
			     &(struct outcome){ huge_inside(area.addr, LEN), LEN, LEN, 0 });
}

static int test_locked(const void *arg)
{
	return test_in_child(locked, arg);
}

/* In a child: root of another user namespace does not have the capability that counts. */
static int elsewhere(const void *arg)
{
	struct rlimit limit = { LEN, LEN };
	struct prepare_policy policy = { .steps = POPULATE };
	struct prepare_report report;
	struct area area;
	int err;

	(void)arg;
	if (setrlimit(RLIMIT_MEMLOCK, &limit) || unshare(CLONE_NEWUSER))
		return fail("no user namespace: %m");
	err = area_open_anon(&area, 2 * LEN, ODD);
	if (err)
		return err;
	/* /proc does not show page frame numbers here. */
	prepare_mr(area.addr, LEN + 1, IBV_ACCESS_LOCAL_WRITE, &policy, &report);
	if (report.populated_bytes || resident(area.addr, area.len))
		return fail("%zu bytes were populated", report.populated_bytes);
	prepare_mr(area.addr, LEN, IBV_ACCESS_LOCAL_WRITE, &policy, &report);
	if (report.populated_bytes != LEN || resident(area.addr, area.len) != LEN)
		return fail("%zu bytes were populated", report.populated_bytes);
	return PASSED;
}

static int test_elsewhere(const void *arg)
{
	return test_in_child(elsewhere, arg);
}

static int is_left_alone(const struct area *area, const struct prepare_report *report,
			 enum left_out why)
{
	if (report->populated_bytes || present(area->addr, area->len))
		return fail("%zu bytes were populated", report->populated_bytes);
	if (report->left_out != 1U << why)
		return fail("left out: %#x", report->left_out);
	return PASSED;
}

/*
 * In a child: a limit has room for one of two regions. We prepare both before the kernel has pinned
 * one, as two threads may. A child has nothing under way.
 */
static int two_in_child(const void *arg)
{
	struct area area;

	(void)arg;
	return area_open_anon(&area, LEN, ODD) ?:
	       ask_and_check(area.addr, LEN, POPULATE, &(struct outcome){ 0, LEN, LEN, 0 });
}

static int one_of_two(enum left_out why)
{
	struct prepare_policy policy = { .steps = AUTO };
	struct prepare_report first, second;
	struct area a, b;
	int err = area_open_anon(&a, LEN, ODD) ?: area_open_anon(&b, LEN, ODD);

	if (err)
		return err;
	forget(a.addr, LEN);
	prepare(&any_device, a.addr, LEN, (uintptr_t)a.addr, IBV_ACCESS_LOCAL_WRITE, &policy,
		&first);
	prepare_mr(b.addr, LEN, IBV_ACCESS_LOCAL_WRITE, &policy, &second);
	err = is_left_alone(&b, &second, why) ?: test_in_child(two_in_child, NULL);
	prepare_release(&first);
	if (err)
		return err;
	if (first.populated_bytes != LEN)
		return fail("of the first %zu bytes were populated", first.populated_bytes);
	return ask_and_check(b.addr, LEN, POPULATE, &(struct outcome){ 0, LEN, LEN, 0 });
}

static int two(const void *arg)
{
	struct rlimit limit = { LEN + LEN / 2, LEN + LEN / 2 };

	(void)arg;
	if (setrlimit(RLIMIT_MEMLOCK, &limit))
		return fail("RLIMIT_MEMLOCK: %m");
	return limited() ?: one_of_two(LEFT_ALL_MEMLOCK);
}

static int test_two(const void *arg)
{
	return test_in_child(two, arg);
}

/* While we populate memory, /proc says that others have used up the limit. */
#define LONG_LEN	(8 * LEN)
#define STATUS		"Tgid:\t%d\nVmPin:\t%8d kB\nTHP_enabled:\t1\nCapEff:\t0\nSeccomp:\t0\n"

struct competitor {
	struct area area;
	pthread_t thread;
	int file;
	atomic_bool stop;
};

static void write_status(int file, int pinned_kib)
{
	char text[128];
	int n = snprintf(text, sizeof(text), STATUS, getpid(), pinned_kib);

	if (pwrite(file, text, n, 0) != n)
		die("cannot write a status");
}

static void *compete(void *arg)
{
	struct competitor *c = arg;

	while (!atomic_load(&c->stop) && !present(c->area.addr, SZ_4K))
		;
	write_status(c->file, 2 * LONG_LEN / KIB);
	return NULL;
}

static int used_meanwhile(const void *arg)
{
	struct rlimit limit = { LONG_LEN + SZ_2M, LONG_LEN + SZ_2M };
	struct prepare_policy policy = { .steps = (uintptr_t)arg };
	struct competitor c = {};
	struct prepare_report report;
	int err;

	if (setrlimit(RLIMIT_MEMLOCK, &limit))
		return fail("RLIMIT_MEMLOCK: %m");
	err = unshare_mounts() ?: cover_file("/proc/thread-self/status", "") ?:
	      area_open_anon(&c.area, LONG_LEN, 0);
	if (err)
		return err;
	c.file = open("/proc/thread-self/status", O_WRONLY | O_CLOEXEC);
	write_status(c.file, 0);
	if (pthread_create(&c.thread, NULL, compete, &c))
		die("no thread");
	prepare_mr(c.area.addr, LONG_LEN, IBV_ACCESS_LOCAL_WRITE, &policy, &report);
	atomic_store(&c.stop, true);
	pthread_join(c.thread, NULL);
	remark("%zu MiB of %lu were populated", report.populated_bytes / MIB, LONG_LEN / MIB);
	if (!report.populated_bytes || report.populated_bytes == LONG_LEN ||
	    present(c.area.addr, LONG_LEN) > report.populated_bytes)
		return fail("%zu bytes were populated, %zu are present", report.populated_bytes,
			    present(c.area.addr, LONG_LEN));
	if (!(report.left_out & 1 << LEFT_REST_MEMLOCK))
		return fail("left out: %#x", report.left_out);
	return PASSED;
}

static int test_used_meanwhile(const void *arg)
{
	return test_in_child(used_meanwhile, arg);
}

/* --- the device --------------------------------------------------------------------------- */

static uint64_t takes_len(const struct prepare_device *device)
{
	(void)device;
	return LEN;
}

static int test_device(const void *arg)
{
	const struct prepare_device device = { .name = "any0", .largest = takes_len };
	struct prepare_policy policy = { .steps = AUTO };
	struct prepare_report report;
	struct area area;
	int err = area_open_anon(&area, LEN + SZ_4K, ODD);

	(void)arg;
	if (!err) {
		forget(area.addr, area.len);
		prepare(&device, area.addr, area.len, (uintptr_t)area.addr, IBV_ACCESS_LOCAL_WRITE,
			&policy, &report);
		err = is_left_alone(&area, &report, LEFT_ALL_DEVICE);
	}
	if (!err) {
		forget(area.addr, LEN);
		prepare(&device, area.addr, LEN, (uintptr_t)area.addr, IBV_ACCESS_LOCAL_WRITE,
			&policy, &report);
		prepare_release(&report);
		if (report.populated_bytes != LEN)
			err = fail("it should take as much as that");
	}
	area_close(&area);
	return err;
}

/* --- the rdma cgroup ---------------------------------------------------------------------- */

/* In a child: files such as a cgroup in a cgroup has them. NULL: there is no such file. */
static const struct granted {
	const char *name;
	const char *outer_max, *outer_now, *inner_max, *inner_now;
	bool granted;
} granted[] = {
	{ "no controller", NULL, NULL, NULL, NULL, true },
	{ "no limit", "any0 hca_handle=max hca_object=max\n", "any0 hca_handle=1 hca_object=9\n",
	  "any0 hca_handle=max hca_object=max\n", "any0 hca_handle=1 hca_object=9\n", true },
	{ "one is left", "other hca_handle=2 hca_object=1\nany0 hca_handle=1 hca_object=9\n",
	  "other hca_handle=2 hca_object=1\nany0 hca_handle=1 hca_object=8\n", NULL, NULL, true },
	{ "none is left", "other hca_handle=2 hca_object=max\nany0 hca_handle=1 hca_object=9\n",
	  "other hca_handle=2 hca_object=1\nany0 hca_handle=1 hca_object=9\n", NULL, NULL, false },
	{ "none is left inside", "any0 hca_handle=max hca_object=max\n",
	  "any0 hca_handle=1 hca_object=9\n", "any0 hca_handle=max hca_object=1\n",
	  "any0 hca_handle=1 hca_object=1\n", false },
	{ "none is left, which another device's name begins",
	  "any01 hca_handle=1 hca_object=9\nany0 hca_handle=1 hca_object=1\n",
	  "any01 hca_handle=1 hca_object=1\nany0 hca_handle=1 hca_object=1\n", NULL, NULL, false },
	{ "device unknown", "other hca_handle=2 hca_object=9\n",
	  "other hca_handle=2 hca_object=1\n", NULL, NULL, false },
	{ "nonsense", "any0 nonsense\n", "any0 nonsense\n", NULL, NULL, false },
	{ "what is used unknown", "any0 hca_handle=2 hca_object=9\n", NULL, NULL, NULL, false },
};

#define GROUPS "/sys/fs/cgroup"

static int make_file(const char *path, const char *content)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

	if (fd < 0)
		return fail("cannot make %s: %m", path);
	close(fd);
	return *content ? write_line(path, content) : PASSED;
}

static int make_group(const char *dir, const char *most, const char *now)
{
	char path[128];
	int err = PASSED;

	if (mkdir(dir, 0755))
		return fail("cannot make %s: %m", dir);
	snprintf(path, sizeof(path), "%s/cgroup.events", dir);
	err = make_file(path, "populated 1\n");
	snprintf(path, sizeof(path), "%s/rdma.max", dir);
	if (!err && most)
		err = make_file(path, most);
	snprintf(path, sizeof(path), "%s/rdma.current", dir);
	if (!err && now)
		err = make_file(path, now);
	return err;
}

/* In a child. */
static int join_granted(const struct granted *g)
{
	int err = unshare_mounts();

	if (!err && mount("none", GROUPS, "tmpfs", 0, NULL))
		err = fail("cannot mount a tmpfs at %s: %m", GROUPS);
	return err ?: make_group(GROUPS "/outer", g->outer_max, g->outer_now) ?:
	       make_group(GROUPS "/outer/inner", g->inner_max, g->inner_now) ?:
	       cover_file("/proc/thread-self/cgroup", "0::/outer/inner\n");
}

static int in_granted(const void *arg)
{
	const struct granted *g = arg;
	struct prepare_policy policy = { .steps = AUTO };
	struct prepare_report report;
	struct area area;
	int err = join_granted(g) ?: area_open_anon(&area, LEN, ODD);

	if (err)
		return err;
	prepare_mr(area.addr, LEN, IBV_ACCESS_LOCAL_WRITE, &policy, &report);
	if (!g->granted)
		return is_left_alone(&area, &report, LEFT_ALL_CGROUP);
	return report.populated_bytes == LEN ? PASSED :
	       fail("%zu bytes were populated", report.populated_bytes);
}

static int test_granted(const void *arg)
{
	return test_in_child(in_granted, arg);
}

static int two_objects(const void *arg)
{
	return join_granted(arg) ?: one_of_two(LEFT_ALL_CGROUP);
}

static int test_two_objects(const void *arg)
{
	static const struct granted one = {
		.outer_max = "any0 hca_handle=max hca_object=9\n",
		.outer_now = "any0 hca_handle=1 hca_object=8\n",
		.inner_max = "any0 hca_handle=max hca_object=9\n",
		.inner_now = "any0 hca_handle=1 hca_object=1\n",
	};

	(void)arg;
	return test_in_child(two_objects, &one);
}

void limits_add_tests(void)
{
	size_t i;

	test_add(test_memlock, NULL, "limit, RLIMIT_MEMLOCK");
	test_add(test_elsewhere, NULL, "limit, RLIMIT_MEMLOCK, root of another user namespace");
	test_add(test_two, NULL, "limit, RLIMIT_MEMLOCK, two at a time");
	test_add(test_used_meanwhile, (void *)(uintptr_t)AUTO,
		 "limit, RLIMIT_MEMLOCK, used up meanwhile, huge pages");
	test_add(test_used_meanwhile, (void *)(uintptr_t)POPULATE,
		 "limit, RLIMIT_MEMLOCK, used up meanwhile, base pages");
	test_add(test_locked, NULL, "limit, mlockall");
	test_add(test_device, NULL, "limit, of the device");
	for (i = 0; i < ARRAY_SIZE(granted); i++)
		test_add(test_granted, &granted[i], "limit, rdma cgroup, %s", granted[i].name);
	test_add(test_two_objects, NULL, "limit, rdma cgroup, two at a time");
}
