// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * The process around it: what it costs one with nothing to prepare, its limits, its threads,
 * signals and children, and what it may see of the system.
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
#include "parts.h"
#include "rights.h"

/* --- system calls ------------------------------------------------------------------------- */

/* From now on, these system calls have that action, and all others the other. */
static int filter(const int *calls, size_t count, uint32_t action, uint32_t others)
{
	struct sock_filter code[32];
	struct sock_fprog program = { .filter = code };
	size_t n = 0, i;

	code[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
						 offsetof(struct seccomp_data, nr));
	for (i = 0; i < count; i++) {
		code[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, calls[i], 0, 1);
		code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, action);
	}
	code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, others);
	program.len = n;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program))
		return fail("seccomp: %m");
	return PASSED;
}

static int only(const int *calls, size_t count)
{
	return filter(calls, count, SECCOMP_RET_ALLOW, SECCOMP_RET_KILL_PROCESS);
}

/* In a child: whatever it calls but exit() kills it. */
static int no_calls(const void *arg)
{
	static const int leave[] = { SYS_exit_group };
	struct prepare_policy policy = { .steps = AUTO | COLLAPSE }, none = {};
	struct prepare_report report;
	struct area area;
	int err = area_open_anon(&area, LEN, 0) ?: only(leave, ARRAY_SIZE(leave));

	(void)arg;
	if (err)
		return err;
	prepare_mr(area.addr, 1, IBV_ACCESS_LOCAL_WRITE, &policy, &report);
	prepare_mr(area.addr, 64 * KIB, IBV_ACCESS_LOCAL_WRITE, &policy, &report);
	prepare_mr(area.addr, PREPARE_LEAST - SZ_4K, IBV_ACCESS_LOCAL_WRITE, &policy, &report);
	prepare_mr(area.addr + 1, PREPARE_LEAST - SZ_4K - 1, IBV_ACCESS_LOCAL_WRITE, &policy,
		   &report);
	prepare_mr(area.addr, 0, IBV_ACCESS_LOCAL_WRITE, &policy, &report);
	prepare_mr(NULL, SIZE_MAX, IBV_ACCESS_LOCAL_WRITE, &policy, &report);
	prepare_mr(area.addr, SIZE_MAX - SZ_4K, IBV_ACCESS_LOCAL_WRITE, &policy, &report);
	prepare_mr(area.addr, LEN, IBV_ACCESS_REMOTE_READ, &policy, &report);
	prepare_mr(NULL, SIZE_MAX, IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_ON_DEMAND, &policy, &report);
	prepare_mr(area.addr, LEN, IBV_ACCESS_LOCAL_WRITE, &none, &report);
	if (report.threads || report.ns)
		return fail("the report says that something was done");
	return PASSED;
}

static int test_no_calls(const void *arg)
{
	return test_in_child(no_calls, arg);
}

/* In a child: in memory that is there, a few pages are asked for, and no file is opened. */
static int few_calls(const void *arg)
{
	static const int few[] = { SYS_exit_group, SYS_move_pages, SYS_clock_gettime };
	struct prepare_policy policy = { .steps = AUTO };
	struct prepare_report report;
	struct area area;
	int err = area_open_anon(&area, LEN, ODD);

	(void)arg;
	if (!err && madvise(area.addr, LEN, MADV_POPULATE_WRITE))
		err = fail("cannot populate: %m");
	err = err ?: only(few, ARRAY_SIZE(few));
	if (err)
		return err;
	prepare_mr(area.addr, PREPARE_LEAST, IBV_ACCESS_LOCAL_WRITE, &policy, &report);
	prepare_mr(area.addr, LEN, IBV_ACCESS_LOCAL_WRITE, &policy, &report);
	return PASSED;
}

static int test_few_calls(const void *arg)
{
	return test_in_child(few_calls, arg);
}

/* In a child: calls that fail, as containers have them; what is not needed does without. */
static const struct denied {
	const char *name;
	int calls[3];
	bool advised, populated;
} denied[] = {
	{ "move_pages", { SYS_move_pages }, true, true },
	{ "clone", { SYS_clone, SYS_clone3 }, true, false },
	{ "ioctl", { SYS_ioctl }, false, false },
	{ "madvise", { SYS_madvise }, false, false },
	{ "sched_getaffinity", { SYS_sched_getaffinity }, true, false },
};

static int deny(const void *arg)
{
	const struct denied *d = arg;
	struct prepare_report report;
	struct area area;
	size_t count = 0;
	int err;

	while (count < ARRAY_SIZE(d->calls) && (!count || d->calls[count]))
		count++;
	err = area_open_anon(&area, LEN, ODD) ?:
	      filter(d->calls, count, SECCOMP_RET_ERRNO | EPERM, SECCOMP_RET_ALLOW) ?:
	      ask(area.addr, LEN, AUTO, 0, &report);
	if (!err && report.populated_bytes != (d->populated ? LEN : 0))
		err = fail("%zu bytes were populated", report.populated_bytes);
	if (!err && report.huge_bytes != (d->advised ? huge_inside(area.addr, LEN) : 0))
		err = fail("%zu bytes were advised to be huge", report.huge_bytes);
	return err;
}

static int test_denied(const void *arg)
{
	return test_in_child(deny, arg);
}

/* --- limits ------------------------------------------------------------------------------- */

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
	/* Who has the capability has no limit. */
	err = area_open_anon(&area, 2 * LEN, ODD) ?:
	      ask_and_check(area.addr, 2 * LEN, POPULATE,
			    &(struct outcome){ 0, 2 * LEN, 2 * LEN });
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

/* All that is mapped is locked once it is there. */
static int locked(const void *arg)
{
	struct area area;

	(void)arg;
	if (mlockall(MCL_FUTURE | MCL_ONFAULT))
		return fail("mlockall: %m");
	return area_open_anon(&area, LEN, ODD) ?:
	       ask_and_check(area.addr, LEN, AUTO,
			     &(struct outcome){ huge_inside(area.addr, LEN), LEN, LEN });
}

static int test_locked(const void *arg)
{
	return test_in_child(locked, arg);
}

/* --- threads ------------------------------------------------------------------------------ */

/* Looks on, from a thread, what other threads there are. */
struct watch {
	pthread_t thread;
	atomic_bool stop;
	pid_t known[2];		/* the one that prepares, and the watch */
	unsigned int most;	/* others at a time */
	unsigned int seen;	/* looks at one */
	unsigned long long unblocked;	/* signals that one had not blocked, of those that can be */
	char cpus[32];		/* that one might run on, as a list */
};

/* Kernel's mask of the signals that nobody can block, and of the two that glibc does not. */
#define NEVER_BLOCKED	(1ULL << (SIGKILL - 1) | 1ULL << (SIGSTOP - 1) | 1ULL << 31 | 1ULL << 32)

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
		if (lives)
			sscanf(line, "Cpus_allowed_list: %31s", w->cpus);
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
	/* Those of another test, or of the last watch, are no helpers. */
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

	expect = (struct outcome){ huge_inside(area.addr, area.len), area.len, area.len };
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
	/* Such a timer goes by the kernel's ticks, and fast memory may be ready before the next. */
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
			   &(struct outcome){ huge_inside(c.area.addr, LEN), LEN, LEN });
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
	struct area area;
	int err = area_open_anon(&f.inherited, 16 * MIB, ODD), i;

	(void)arg;
	if (pthread_create(&f.thread, NULL, fork_on, &f))
		die("no thread");
	for (i = 0; i < 4 && !err; i++) {
		err = area_open_anon(&area, LEN, ODD);
		prepare_mr(area.addr, LEN, IBV_ACCESS_LOCAL_WRITE, &policy, &report);
		err = err ?: check(area.addr, LEN, &report,
				   &(struct outcome){ huge_inside(area.addr, LEN), LEN, LEN });
		area_close(&area);
	}
	atomic_store(&f.stop, true);
	pthread_join(f.thread, NULL);
	if (!err && f.failed)
		err = fail("a child ended with wait status 0x%x", f.failed);
	if (!err && present(f.inherited.addr, f.inherited.len))
		err = fail("a child has populated its parent's memory");
	remark("%u forks", f.forks);
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
						      area.len });
	for (i = 0; i < 2; i++) {
		atomic_store(&m[i].stop, true);
		pthread_join(m[i].thread, NULL);
	}
	remark("%u changes", m[0].changes + m[1].changes);
	area_close(&area);
	return err;
}

/* --- what the process may see of the system ----------------------------------------------- */

/* In a child: mounts of our own from here on. */
static int unshare_mounts(void)
{
	if (unshare(CLONE_NEWNS) || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL))
		return fail("no mounts of our own: %m");
	return PASSED;
}

/* Without what shows it in /proc. */
static size_t resident(const char *addr, size_t len)
{
	unsigned char vec[512];
	size_t bytes = 0, i, n;

	for (; len; addr += n * SZ_4K, len -= n * SZ_4K) {
		n = len / SZ_4K < sizeof(vec) ? len / SZ_4K : sizeof(vec);
		if (mincore((void *)addr, n * SZ_4K, vec))
			return -1;
		for (i = 0; i < n; i++)
			bytes += vec[i] & 1 ? SZ_4K : 0;
	}
	return bytes;
}

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

/* In a child: nodes are as we say. */
static const struct node {
	const char *list;	/* of its CPUs; NULL: it cannot be read */
	unsigned int threads;
	const char *cpus;	/* of the helper, which our node has, where we may run on more */
} nodes[] = {
	{ "0-1", 2, NULL }, { "0,1", 2, NULL }, { "1,7-9,0", 2, NULL }, { "0", 0, NULL },
	{ "1", 0, NULL }, { "2-9", 0, NULL }, { "", 0, NULL }, { "nonsense", 0, NULL },
	{ NULL, 0, NULL },
	{ "0,2-9", 2, "0,2" }, { "1-2", 2, "1-2" },
};

#define NODES "/sys/devices/system/node"

static int prepare_on_node(const struct node *node, struct watch *w)
{
	struct prepare_policy policy = { .steps = POPULATE };
	struct prepare_report report;
	struct area area;
	int err = area_open_anon(&area, LEN, ODD);

	if (err)
		return err;
	watch_start(w);
	prepare_mr(area.addr, LEN, IBV_ACCESS_LOCAL_WRITE, &policy, &report);
	watch_stop(w);
	if (report.threads != node->threads ||
	    present(area.addr, LEN) != (node->threads ? LEN : 0))
		err = fail("%u threads populated %zu bytes", report.threads,
			   present(area.addr, LEN));
	area_close(&area);
	return err;
}

static int on_node(const void *arg)
{
	const struct node *node = arg;
	struct watch w = {};
	char line[32];
	int fd, tries, err = unshare_mounts();

	if (!err && (mount("none", NODES, "tmpfs", 0, NULL) || mkdir(NODES "/node0", 0755)))
		err = fail("cannot mount a tmpfs at %s: %m", NODES);
	if (!err && node->list) {
		fd = open(NODES "/node0/cpulist", O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
		snprintf(line, sizeof(line), "%s\n", node->list);
		err = write_line(NODES "/node0/cpulist", line);
		close(fd);
	}
	if (!node->cpus)
		return err ?: prepare_on_node(node, &w);
	run_on(3);
	/* A helper's life is short, and begins on all CPUs: glibc gives it the right ones then. */
	for (tries = 0; tries < 10 && !err && strcmp(w.cpus, node->cpus); tries++)
		err = prepare_on_node(node, &w);
	if (!err && strcmp(w.cpus, node->cpus))
		err = fail("a helper was to run on CPUs '%s', not %s", w.cpus, node->cpus);
	return err;
}

static int test_node(const void *arg)
{
	return test_in_child(on_node, arg);
}

/* In a child, in a cgroup in a cgroup, which have a part of the CPUs' time. */
static const struct quota {
	const char *outer, *inner;
	unsigned int threads;
} quotas[] = {
	{ "max 100000", "max 100000", 2 },
	{ "200000 100000", "max 100000", 2 },
	{ "199999 100000", "max 100000", 0 },
	{ "max 100000", "100000 100000", 0 },
	{ "500000 100000", "20000 10000", 2 },
	{ "10000 100000", "max 100000", 0 },
};

#define GROUPS "/sys/fs/cgroup"

static int in_cgroup(const void *arg)
{
	const struct quota *quota = arg;
	struct prepare_report report;
	struct area area;

	return write_line(GROUPS "/phyr/inner/cgroup.procs", "0") ?:
	       write_line(GROUPS "/phyr/cpu.max", quota->outer) ?:
	       write_line(GROUPS "/phyr/inner/cpu.max", quota->inner) ?:
	       area_open_anon(&area, LEN, ODD) ?:
	       ask(area.addr, LEN, POPULATE, 0, &report) ?:
	       (report.threads != quota->threads ? fail("%u threads populated", report.threads) :
						   PASSED);
}

static int test_quota(const void *arg)
{
	int err = PASSED;

	if (mount("none", GROUPS, "cgroup2", 0, NULL))
		return fail("cannot mount cgroup2: %m");
	err = write_line(GROUPS "/cgroup.subtree_control", "+cpu");
	if (!err && mkdir(GROUPS "/phyr", 0755))
		err = fail("cannot make a cgroup: %m");
	err = err ?: write_line(GROUPS "/phyr/cgroup.subtree_control", "+cpu");
	if (!err && mkdir(GROUPS "/phyr/inner", 0755))
		err = fail("cannot make a cgroup: %m");
	err = err ?: test_in_child(in_cgroup, arg);
	rmdir(GROUPS "/phyr/inner");
	rmdir(GROUPS "/phyr");
	if (umount(GROUPS))
		err = fail("cannot unmount cgroup2: %m");
	return err;
}

/* In which memory can be taken out of the machine, and put in again. */
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

/* The number of a block that has become movable, or -1. Those with the kernel's memory cannot. */
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

/* Memory from there would have to be moved to be pinned, so none is populated nor collapsed. */
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
	      ask_and_check(area.addr, LEN, AUTO | COLLAPSE,
			    &(struct outcome){ huge_inside(area.addr, LEN), 0, 0 });
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

void process_add_tests(void)
{
	size_t i;

	test_add(test_no_calls, NULL, "calls, none if there is nothing to prepare");
	test_add(test_few_calls, NULL, "calls, few if all is there");
	for (i = 0; i < ARRAY_SIZE(denied); i++)
		test_add(test_denied, &denied[i], "calls, without %s", denied[i].name);
	test_add(test_memlock, NULL, "limit, RLIMIT_MEMLOCK");
	test_add(test_locked, NULL, "limit, mlockall");
	for (i = 0; i < ARRAY_SIZE(threads); i++)
		test_add(test_threads, &threads[i], "threads, %s", threads[i].name);
	test_add(test_signals, NULL, "signals");
	test_add(test_cancel, NULL, "cancellation");
	test_add(test_fork, NULL, "fork");
	test_add(test_mappers, NULL, "mappings elsewhere");
	test_add(test_without, "/proc", "system, no /proc");
	test_add(test_without, "/sys", "system, no /sys");
	for (i = 0; i < ARRAY_SIZE(nodes); i++)
		test_add(test_node, &nodes[i], "system, node with CPUs %s%s",
			 nodes[i].list ?: "unknown", nodes[i].cpus ? ", of more" : "");
	for (i = 0; i < ARRAY_SIZE(quotas); i++)
		test_add(test_quota, &quotas[i], "system, CPU time %s, %s", quotas[i].outer,
			 quotas[i].inner);
	test_add(test_movable, NULL, "system, movable memory");
	for (i = 0; i < ARRAY_SIZE(variables); i++)
		test_add(test_variables, &variables[i], "environment, %s", variables[i].name);
}
