// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * The process around it: threads, signals, cancellation and children.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "prepare_case.h"

/* A thread that libc makes has to have room for these on its stack. */
static _Thread_local char large[MIB];

/* --- threads ------------------------------------------------------------------------------ */

/* A thread that looks which other threads there are. */
struct watch {
	pthread_t thread;
	atomic_bool stop;
	pid_t known[2];		/* the one that prepares, and the watch */
	unsigned int most;	/* others at a time */
	unsigned int seen;	/* looks at one */
	unsigned long long unblocked;	/* signals that one could have blocked, and has not */
};

/* The kernel's mask of the signals that nobody can block. */
#define NEVER_BLOCKED	(1ULL << (SIGKILL - 1) | 1ULL << (SIGSTOP - 1))

static void look_at(struct watch *w, pid_t tid)
{
	unsigned long long mask;
	char path[64], line[128];
	bool lives = false;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/task/%d/status", tid);
	f = fopen(path, "r");
	while (f && fgets(line, sizeof(line), f)) {
		/* A thread that is gone but for its name has no threads, and blocks nothing. */
		if (!strncmp(line, "Threads:", 8))
			lives = atoi(line + 8);
		if (lives && sscanf(line, "SigBlk: %llx", &mask) == 1) {
			w->seen++;
			w->unblocked |= ~mask & ~NEVER_BLOCKED;
		}
	}
	if (f)
		fclose(f);
}

static void *watch(void *arg)
{
	struct watch *w = arg;
	struct dirent *entry;
	unsigned int others;
	pid_t tid;
	DIR *dir;

	w->known[1] = gettid();
	while (!atomic_load(&w->stop)) {
		dir = opendir("/proc/self/task");
		others = 0;
		while (dir && (entry = readdir(dir))) {
			tid = atoi(entry->d_name);
			if (!tid || tid == w->known[0] || tid == w->known[1])
				continue;
			others++;
			look_at(w, tid);
		}
		closedir(dir);
		if (others > w->most)
			w->most = others;
	}
	return NULL;
}

static void watch_start(struct watch *w)
{
	/* Threads of another test, or of the last watch, are no helpers. */
	await_threads(1);
	*w = (struct watch){ .known = { gettid() } };
	if (pthread_create(&w->thread, NULL, watch, w))
		die("no thread");
}

static void watch_stop(struct watch *w)
{
	atomic_store(&w->stop, true);
	pthread_join(w->thread, NULL);
}

static const struct threads {
	const char *name;
	uint32_t max;
	unsigned int expect;	/* that populate; 0: nobody does */
	bool one_cpu;
	size_t len;
} threads[] = {
	{ "as many as CPUs", 0, 2, false, LEN },
	{ "not more than CPUs", 9, 2, false, LEN },
	{ "two", 2, 2, false, LEN },
	{ "one is as good as none", 1, 0, false, LEN },
	{ "on one CPU none", 0, 0, true, LEN },
	{ "for 16 MiB", 0, 2, false, 16 * MIB },
	{ "not for less", 0, 0, false, 16 * MIB - SZ_4K },
};

static int test_threads(const void *arg)
{
	const struct threads *t = arg;
	size_t populated = t->expect ? t->len : 0;
	struct prepare_policy policy = { .steps = POPULATE, .max_threads = t->max };
	struct prepare_report report = {};
	struct area area;
	struct watch w;
	int err;

	*(volatile char *)&large[random_u64() % sizeof(large)] = 1;
	watch_start(&w);
	if (t->one_cpu)
		run_on(1);
	err = area_open_anon(&area, t->len, ODD);
	if (!err)
		prepare_mr(area.addr, t->len, IBV_ACCESS_LOCAL_WRITE, &policy, &report);
	run_on(2);
	watch_stop(&w);
	if (!err && (report.threads != t->expect || report.populated_bytes != populated))
		err = fail("%u threads populated %zu bytes", report.threads,
			   report.populated_bytes);
	if (!err && present(area.addr, t->len) != populated)
		err = fail("%zu bytes are present", present(area.addr, t->len));
	/* A short life is easily missed. */
	if (w.most > (t->expect ? t->expect - 1 : 0))
		err = fail("%u helpers were seen", w.most);
	if (w.unblocked)
		err = fail("a helper has not blocked the signals %#llx", w.unblocked);
	remark("helpers seen %u times, %u at a time", w.seen, w.most);
	area_close(&area);
	return err;
}

/* In a child: there is no thread of ours any more that unshare() would mind. */
static int alone_at_once(const void *arg)
{
	struct prepare_policy policy = { .steps = POPULATE };
	struct prepare_report report;
	struct area area;
	int err = area_open_anon(&area, 16 * MIB, ODD);

	(void)arg;
	if (err)
		return err;
	prepare_mr(area.addr, area.len, IBV_ACCESS_LOCAL_WRITE, &policy, &report);
	if (unshare(CLONE_NEWUSER))
		return fail("unshare: %m");
	return report.threads == 2 ? PASSED : fail("%u threads populated", report.threads);
}

static int test_alone_at_once(const void *arg)
{
	int err = PASSED, i;

	for (i = 0; i < 40 && !err; i++)
		err = test_in_child(alone_at_once, arg);
	return err;
}

/* --- signals, cancellation, children ------------------------------------------------------ */

static atomic_uint signals, strange_signals;
static pid_t expected_tid;

static void on_signal(int sig)
{
	(void)sig;
	atomic_fetch_add(&signals, 1);
	if (gettid() != expected_tid)
		atomic_fetch_add(&strange_signals, 1);
}

static int prepare_fresh(void)
{
	struct outcome expect;
	struct area area;
	int err = area_open_anon(&area, 2 * LEN, ODD);

	expect = (struct outcome){ huge_inside(area.addr, area.len), area.len, area.len, 0 };
	err = err ?: ask_and_check(area.addr, area.len, AUTO, &expect);
	area_close(&area);
	return err;
}

static int test_signals(const void *arg)
{
	struct itimerval timer = { { 0, 1000 }, { 0, 1000 } }, off = {};
	struct sigaction action = { .sa_handler = on_signal }, before;
	int err = PASSED, tries;

	(void)arg;
	expected_tid = gettid();
	/* Without SA_RESTART. */
	sigaction(SIGPROF, &action, &before);
	setitimer(ITIMER_PROF, &timer, NULL);
	/* This timer goes by the kernel's ticks. Fast memory may be ready before the next one. */
	for (tries = 0; tries < 50 && !err && !signals; tries++)
		err = prepare_fresh();
	setitimer(ITIMER_PROF, &off, NULL);
	sigaction(SIGPROF, &before, NULL);
	if (!err && !signals)
		err = fail("there was no signal");
	if (!err && strange_signals)
		err = fail("%u of %u signals were handled by another thread", strange_signals,
			   signals);
	remark("%u signals, %d tries", signals, tries);
	return err;
}

/* What a handler sees that interrupts ibv_reg_mr(): no helper, as it may never return there. */
static volatile bool preparing;
static unsigned int interrupts, most_threads;
static sigjmp_buf away;
static bool leaves;

static void on_alarm(int sig)
{
	unsigned int threads;

	(void)sig;
	if (!preparing)
		return;
	interrupts++;
	threads = entries("/proc/self/task");
	if (threads > most_threads)
		most_threads = threads;
	if (leaves)
		siglongjmp(away, 1);
}

static int prepare_until_left(struct area *area)
{
	struct prepare_policy policy = { .steps = POPULATE };
	struct prepare_report report;

	if (sigsetjmp(away, 1))
		return PASSED;
	prepare_mr(area->addr, area->len, IBV_ACCESS_LOCAL_WRITE, &policy, &report);
	if (report.threads != 2 || report.populated_bytes != area->len)
		return fail("%u threads populated %zu bytes", report.threads,
			    report.populated_bytes);
	return PASSED;
}

/* In a child, whose alarm interrupts a thread that has helpers. */
static int interrupted(const void *arg)
{
	struct itimerval timer = { { 0, 2000 }, { 0, 2000 } }, off = {};
	struct sigaction action = { .sa_handler = on_alarm };
	struct area area;
	int err = PASSED, tries;

	leaves = arg;
	sigaction(SIGALRM, &action, NULL);
	for (tries = 0; tries < 20 && !err && interrupts < 5; tries++) {
		err = area_open_anon(&area, 4 * LEN, ODD);
		setitimer(ITIMER_REAL, &timer, NULL);
		preparing = true;
		err = err ?: prepare_until_left(&area);
		preparing = false;
		setitimer(ITIMER_REAL, &off, NULL);
		if (!err && entries("/proc/self/task") > 1)
			err = fail("a helper is left");
		area_close(&area);
	}
	if (!err && !interrupts)
		err = fail("no alarm came in time");
	if (!err && most_threads > 1)
		err = fail("a handler saw %u threads", most_threads);
	remark("%u interrupts, %d tries", interrupts, tries);
	return err;
}

static int test_interrupted(const void *arg)
{
	return test_in_child(interrupted, arg);
}

struct cancelled {
	struct area area;
	struct prepare_report report;
};

static void prepare_cancelled(void *arg)
{
	struct prepare_policy policy = { .steps = AUTO };
	struct cancelled *c = arg;

	prepare_mr(c->area.addr, c->area.len, IBV_ACCESS_LOCAL_WRITE, &policy, &c->report);
}

static int test_cancel(const void *arg)
{
	struct cancelled c = {};
	int err = area_open_anon(&c.area, LEN, ODD);

	(void)arg;
	err = err ?: test_cancelled(prepare_cancelled, &c);
	err = err ?: check(c.area.addr, LEN, &c.report,
			   &(struct outcome){ huge_inside(c.area.addr, LEN), LEN, LEN, 0 });
	area_close(&c.area);
	return err;
}

/* Forks all the time; the children prepare memory of their own, and of their parent. */
struct forker {
	pthread_t thread;
	atomic_bool stop;
	struct area inherited;
	unsigned int forks;
	unsigned int failed;	/* wait status of a child */
};

static int child_prepares(struct area *inherited)
{
	struct prepare_policy policy = { .steps = AUTO };
	struct prepare_report report;
	struct area area;

	if (area_open_anon(&area, 16 * MIB, ODD))
		return 1;
	prepare_mr(area.addr, area.len, IBV_ACCESS_LOCAL_WRITE, &policy, &report);
	if (report.populated_bytes != area.len || present(area.addr, area.len) != area.len)
		return 2;
	prepare_mr(inherited->addr, inherited->len, IBV_ACCESS_LOCAL_WRITE, &policy, &report);
	if (report.populated_bytes != inherited->len ||
	    present(inherited->addr, inherited->len) != inherited->len)
		return 3;
	return 0;
}

static void *fork_on(void *arg)
{
	struct forker *f = arg;
	int status;
	pid_t pid;

	do {
		pid = fork();
		if (!pid)
			_exit(child_prepares(&f->inherited));
		if (pid < 0 || waitpid(pid, &status, 0) != pid)
			die("fork: %m");
		if (status)
			f->failed = status;
		f->forks++;
	} while (!atomic_load(&f->stop) && !f->failed);
	return NULL;
}

static int test_fork(const void *arg)
{
	struct prepare_policy policy = { .steps = AUTO };
	struct prepare_report report;
	struct forker f = {};
	size_t huge = 0;
	struct area area;
	int err = area_open_anon(&f.inherited, 16 * MIB, ODD), i;

	(void)arg;
	if (pthread_create(&f.thread, NULL, fork_on, &f))
		die("no thread");
	for (i = 0; i < 4 && !err; i++) {
		err = area_open_anon(&area, LEN, ODD);
		prepare_mr(area.addr, LEN, IBV_ACCESS_LOCAL_WRITE, &policy, &report);
		/* Pages that are being copied for a child do not become huge ones. */
		if (!err && (report.populated_bytes != LEN || present(area.addr, LEN) != LEN))
			err = fail("%zu bytes were populated, %zu are present",
				   report.populated_bytes, present(area.addr, LEN));
		huge += report.huge_bytes;
		area_close(&area);
	}
	atomic_store(&f.stop, true);
	pthread_join(f.thread, NULL);
	if (!err && f.failed)
		err = fail("a child ended with wait status 0x%x", f.failed);
	if (!err && present(f.inherited.addr, f.inherited.len))
		err = fail("a child has populated its parent's memory");
	remark("%u forks, %zu MiB of %lu in huge pages", f.forks, huge / MIB, 4 * LEN / MIB);
	area_close(&f.inherited);
	return err;
}

/* Other threads change mappings elsewhere. */
struct mapper {
	pthread_t thread;
	atomic_bool stop;
	unsigned int changes;
};

static void *map_on(void *arg)
{
	struct mapper *m = arg;
	char *p;

	do {
		p = mmap(NULL, SZ_2M, RW, ANON, -1, 0);
		if (p == MAP_FAILED)
			die("mmap: %m");
		p[0] = 1;
		madvise(p, SZ_2M, MADV_DONTNEED);
		mprotect(p + SZ_4K, SZ_4K, PROT_READ);
		munmap(p, SZ_2M);
		m->changes++;
	} while (!atomic_load(&m->stop));
	return NULL;
}

static int test_mappers(const void *arg)
{
	struct mapper m[2] = {};
	struct area area;
	int err = area_open_anon(&area, 2 * LEN, ODD), i;

	(void)arg;
	for (i = 0; i < 2; i++)
		if (pthread_create(&m[i].thread, NULL, map_on, &m[i]))
			die("no thread");
	err = err ?: ask_and_check(area.addr, area.len, AUTO,
				   &(struct outcome){ huge_inside(area.addr, area.len), area.len,
						      area.len, 0 });
	for (i = 0; i < 2; i++) {
		atomic_store(&m[i].stop, true);
		pthread_join(m[i].thread, NULL);
	}
	remark("%u changes", m[0].changes + m[1].changes);
	area_close(&area);
	return err;
}

void process_add_tests(void)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(threads); i++)
		test_add(test_threads, &threads[i], "threads, %s", threads[i].name);
	test_add(test_alone_at_once, NULL, "threads, gone at once");
	test_add(test_signals, NULL, "signals");
	test_add(test_interrupted, NULL, "signals, a handler sees no helper");
	test_add(test_interrupted, "leaves", "signals, a handler that does not return");
	test_add(test_cancel, NULL, "cancellation");
	test_add(test_fork, NULL, "fork");
	test_add(test_mappers, NULL, "mappings elsewhere");
}
