// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * What must be left alone: memory whose owner has opted out of huge pages, and all memory of a
 * registration that the kernel will refuse.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "prepare_case.h"

/* Of newer kernels. */
#ifndef PR_THP_DISABLE_EXCEPT_ADVISED
#define PR_THP_DISABLE_EXCEPT_ADVISED (1 << 1)
#endif

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#endif

/* --- opted out of huge pages -------------------------------------------------------------- */

/* It is populated with base pages. */
static int test_no_huge(const void *arg)
{
	size_t shift = (uintptr_t)arg;
	struct area area;
	int err = area_open_anon(&area, LEN, shift);

	if (!err && madvise(area.addr, LEN, MADV_NOHUGEPAGE))
		err = fail("MADV_NOHUGEPAGE: %m");
	err = err ?: ask_and_check(area.addr, LEN, AUTO, &(struct outcome){ 0, LEN, LEN, 0 });
	if (!err && (!smaps_flag(area.addr, "nh") || smaps_flag(area.addr, "hg")))
		err = fail("the mapping's wish was undone");
	if (!err && smaps_kb(area.map, area.map_len, "AnonHugePages"))
		err = fail("there are huge pages");
	area_close(&area);
	return err;
}

/* The part in the middle has opted out, and there are huge pages to either side. */
static int test_no_huge_partly(const void *arg)
{
	size_t third = LEN;
	char *part[3];
	struct area area;
	size_t huge;
	int err, i;

	(void)arg;
	err = area_open_anon(&area, 3 * third, ODD);
	for (i = 0; i < 3; i++)
		part[i] = area.addr + i * third;
	if (!err && madvise(part[1], third, MADV_NOHUGEPAGE))
		err = fail("MADV_NOHUGEPAGE: %m");
	huge = huge_inside(part[0], third) + huge_inside(part[2], third);
	err = err ?: ask_and_check(area.addr, 3 * third, AUTO,
				   &(struct outcome){ huge, 3 * third, 3 * third, 2 });
	for (i = 0; i < 3 && !err; i++) {
		const bool is_out = i == 1;

		if (smaps_flag(part[i] + third / 2, "hg") ||
		    smaps_flag(part[i] + third / 2, "nh") != is_out)
			err = fail("part %d has the wrong flags", i);
	}
	if (!err && smaps_kb(area.map, area.map_len, "AnonHugePages") * KIB != huge)
		err = fail("%ld kB are transparent huge pages",
			   smaps_kb(area.map, area.map_len, "AnonHugePages"));
	area_close(&area);
	return err;
}

/* In a child: the process has opted out. */
static int no_huge_process(const void *arg)
{
	size_t shift = (uintptr_t)arg;
	struct area area;
	int err;

	if (prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0))
		return fail("PR_SET_THP_DISABLE: %m");
	err = area_open_anon(&area, LEN, shift) ?:
	      ask_and_check(area.addr, LEN, AUTO, &(struct outcome){ 0, LEN, LEN, 0 });
	if (!err && smaps_flag(area.addr + LEN / 2, "hg"))
		err = fail("huge pages were asked for");
	return err;
}

static int test_no_huge_process(const void *arg)
{
	return test_in_child(no_huge_process, arg);
}

/*
 * In a child: the process gives huge pages to memory that asks for them. Where the system gives
 * them to all, we do not ask: /proc does not show what the process wants.
 */
static int huge_if_advised(const void *arg)
{
	bool huge = !strcmp(arg, "madvise");
	size_t bytes;
	struct area area;
	int err;

	if (prctl(PR_SET_THP_DISABLE, 1, PR_THP_DISABLE_EXCEPT_ADVISED, 0, 0))
		return skip("this kernel has no PR_THP_DISABLE_EXCEPT_ADVISED");
	err = area_open_anon(&area, LEN, ODD);
	bytes = huge ? huge_inside(area.addr, LEN) : 0;
	return err ?: ask_and_check(area.addr, LEN, AUTO, &(struct outcome){ bytes, LEN, LEN, 0 });
}

static int test_huge_if_advised(const void *arg)
{
	int err;

	knob_set(&thp, arg);
	err = test_in_child(huge_if_advised, arg);
	knob_set(&thp, "madvise");
	return err;
}

/* A part of the first thread's stack that was never touched. A child has a fresh one. */
static int stack(const void *arg)
{
	struct rlimit limit = { 4 * LEN, 4 * LEN };
	volatile char *low;
	char *addr;
	int err;

	(void)arg;
	if (setrlimit(RLIMIT_STACK, &limit))
		return fail("RLIMIT_STACK: %m");
	low = __builtin_alloca(3 * LEN);
	low[0] = 1;
	addr = (char *)(((uintptr_t)low + SZ_2M) & ~(SZ_4K - 1));
	err = ask_and_check(addr, LEN, AUTO, &(struct outcome){ 0, LEN, LEN, 0 });
	if (!err && smaps_flag(addr + LEN / 2, "hg"))
		err = fail("huge pages were asked for");
	return err;
}

static int test_stack(const void *arg)
{
	return test_in_child(stack, arg);
}

static void *on_stack(void *arg)
{
	char *addr = (char *)(((uintptr_t)__builtin_frame_address(0) - LEN - SZ_2M) & ~(SZ_4K - 1));
	int *err = arg;

	*err = ask_and_check(addr, LEN, AUTO, &(struct outcome){ 0, LEN, LEN, 0 });
	if (!*err && smaps_flag(addr + LEN / 2, "hg"))
		*err = fail("huge pages were asked for");
	return NULL;
}

static int test_thread_stack(const void *arg)
{
	pthread_attr_t attr;
	pthread_t thread;
	int err;

	(void)arg;
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 2 * LEN);
	if (pthread_create(&thread, &attr, on_stack, &err))
		return fail("no thread");
	pthread_join(thread, NULL);
	pthread_attr_destroy(&attr);
	return err;
}

/* --- refused ------------------------------------------------------------------------------ */

/* In the middle of memory that would be prepared without it. */
static const struct spoil {
	const char *name;
	int prot;		/* of the page that spoils it all; -1: a hole */
	int flags;
} spoils[] = {
	{ "a hole", -1, 0 },
	{ "no access", PROT_NONE, ANON },
	{ "read-only", PROT_READ, ANON },
	{ "read-only shared", PROT_READ, MAP_SHARED | MAP_ANONYMOUS },
};

static int test_spoil(const void *arg)
{
	const struct spoil *spoil = arg;
	struct area area;
	char *page;
	int err = area_open_anon(&area, 3 * LEN, ODD);

	page = area.addr + 2 * LEN;
	if (spoil->prot < 0)
		munmap(page, SZ_4K);
	else
		err = err ?: map_fixed(page, SZ_4K, spoil->prot, spoil->flags, -1, 0);
	err = err ?: check_left_alone(area.addr, area.len) ?:
	      /* At the very end, and at the beginning. */
	      check_left_alone(area.addr, 2 * LEN + SZ_4K) ?:
	      check_left_alone(page, LEN) ?:
	      /* It was only that. */
	      ask_and_check(area.addr, 2 * LEN, AUTO,
			    &(struct outcome){ huge_inside(area.addr, 2 * LEN), 2 * LEN, 2 * LEN,
					       0 });
	area_close(&area);
	return err;
}

/* A shared mapping of a file, which the kernel does not pin for writing. */
static int test_spoil_file(const void *arg)
{
	int fd = open("/var/lib", O_RDWR | O_TMPFILE | O_CLOEXEC, 0600), err;
	struct area area;

	(void)arg;
	if (fd < 0 || ftruncate(fd, SZ_4K))
		return fail("no file: %m");
	err = area_open_anon(&area, 2 * LEN, ODD) ?:
	      map_fixed(area.addr + LEN, SZ_4K, RW, MAP_SHARED, fd, 0) ?:
	      check_left_alone(area.addr, area.len) ?:
	/* A private one is pinned; the memory beside it is prepared. */
	      map_fixed(area.addr + LEN, SZ_4K, RW, MAP_PRIVATE, fd, 0) ?:
	      ask_and_check(area.addr, area.len, AUTO,
			    &(struct outcome){
				    huge_inside(area.addr, LEN) +
				    huge_inside(area.addr + LEN + SZ_4K, LEN - SZ_4K),
				    2 * LEN - SZ_4K, 2 * LEN - SZ_4K, 0 });
	area_close(&area);
	close(fd);
	return err;
}

/* A guard page, which the kernel does not pin. */
static int test_spoil_guard(const void *arg)
{
	struct area area;
	int err = area_open_anon(&area, 2 * LEN, ODD);

	(void)arg;
	if (!err && madvise(area.addr + LEN, SZ_4K, MADV_GUARD_INSTALL)) {
		area_close(&area);
		return skip("this kernel has no guard pages");
	}
	err = err ?: check_left_alone(area.addr, area.len) ?:
	      /* It was only that. */
	      ask_and_check(area.addr, LEN, AUTO,
			    &(struct outcome){ huge_inside(area.addr, LEN), LEN, LEN, 0 });
	area_close(&area);
	return err;
}

/* More mappings than are looked at. */
static int test_many(const void *arg)
{
	struct area area;
	size_t at;
	int err = area_open_anon(&area, 3 * LEN, ODD);

	(void)arg;
	for (at = LEN; at < 2 * LEN && !err; at += 512 * KIB)
		if (madvise(area.addr + at, 256 * KIB, MADV_DONTFORK))
			err = fail("MADV_DONTFORK: %m");
	err = err ?: check_left_alone(area.addr, area.len);
	area_close(&area);
	return err;
}

static const struct access {
	const char *name;
	int access;
	uint32_t steps;
} accesses[] = {
	{ "local reading", 0, AUTO | COLLAPSE },
	{ "remote reading", IBV_ACCESS_REMOTE_READ, AUTO | COLLAPSE },
	{ "remote writing without local", IBV_ACCESS_REMOTE_WRITE, AUTO | COLLAPSE },
	{ "on demand", IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_ON_DEMAND, AUTO | COLLAPSE },
	{ "of huge pages", IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_HUGETLB, AUTO | COLLAPSE },
	{ "zero-based", IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_ZERO_BASED, AUTO | COLLAPSE },
	{ "flush to persistence", IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_FLUSH_PERSISTENT,
	  AUTO | COLLAPSE },
	{ "unknown", IBV_ACCESS_LOCAL_WRITE | 1 << 19, AUTO | COLLAPSE },
	{ "no steps", IBV_ACCESS_LOCAL_WRITE, 0 },
};

static int test_access(const void *arg)
{
	const struct access *access = arg;
	struct prepare_policy policy = { .steps = access->steps };
	struct prepare_report report;
	struct area area;
	int err = area_open_anon(&area, LEN, ODD);

	if (!err) {
		prepare_mr(area.addr, LEN, access->access, &policy, &report);
		err = check(area.addr, LEN, &report, &(struct outcome){});
	}
	area_close(&area);
	return err;
}

/* The kernel refuses an IOVA elsewhere in a page than the memory. One that fits has all access. */
static int test_iova(const void *arg)
{
	const int access = IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE |
			   IBV_ACCESS_REMOTE_READ | IBV_ACCESS_REMOTE_ATOMIC | IBV_ACCESS_MW_BIND |
			   IBV_ACCESS_FLUSH_GLOBAL | IBV_ACCESS_RELAXED_ORDERING;
	struct prepare_policy policy = { .steps = AUTO };
	struct prepare_report report;
	struct area area;
	int err = area_open_anon(&area, LEN, ODD);

	(void)arg;
	if (!err) {
		forget(area.addr, LEN);
		prepare(&any_device, area.addr, LEN, SZ_4K - 1, access, &policy, &report);
		err = check(area.addr, LEN, &report, &(struct outcome){});
	}
	if (!err) {
		forget(area.addr, LEN);
		prepare(&any_device, area.addr, LEN, SZ_4K, access, &policy, &report);
		prepare_release(&report);
		err = check(area.addr, LEN, &report,
			    &(struct outcome){ huge_inside(area.addr, LEN), LEN, LEN, 0 });
	}
	area_close(&area);
	return err;
}

/* --- memory that cannot be had ------------------------------------------------------------ */

/* More huge pages than there are: there is no signal, and those taken go with the mapping. */
static int test_too_few(const void *arg)
{
	int flags = (uintptr_t)arg;
	struct prepare_report report;
	struct area area;
	size_t len, size;
	long free_pages;
	FILE *f;
	int err;

	f = fopen("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages", "r");
	if (!f || fscanf(f, "%ld", &free_pages) != 1)
		return fail("cannot read how many huge pages are free");
	fclose(f);
	if (free_pages * SZ_2M < LEN)
		return fail("only %ld huge pages of 2 MiB are free: the machine must have more",
			    free_pages);
	len = free_pages * SZ_2M + LEN;
	err = area_open(&area, len, 0) ?:
	      map_fixed(area.addr, len, RW,
			flags | MAP_ANONYMOUS | MAP_HUGETLB | MAP_NORESERVE, -1, 0) ?:
	      ask(area.addr, len, AUTO, 0, &report);
	size = present(area.addr, len);
	if (!err && (report.populated_bytes > size || size > free_pages * SZ_2M))
		err = fail("%zu bytes are said to be populated, %zu are present",
			   report.populated_bytes, size);
	area_close(&area);
	return err;
}

/* Past the end of a file. */
static int test_end(const void *arg)
{
	int fd = memfd_create("phyr-test", MFD_CLOEXEC), err;
	struct prepare_report report;
	struct area area;

	(void)arg;
	if (fd < 0 || ftruncate(fd, LEN / 2))
		return fail("no memfd: %m");
	err = area_open(&area, LEN, ODD) ?:
	      map_fixed(area.addr, LEN, RW, MAP_SHARED, fd, 0) ?:
	      ask(area.addr, LEN, AUTO, 0, &report);
	if (!err && (report.populated_bytes > LEN / 2 || present(area.addr + LEN / 2, LEN / 2)))
		err = fail("%zu bytes were populated", report.populated_bytes);
	area_close(&area);
	close(fd);
	return err;
}

/* --- userfaultfd -------------------------------------------------------------------------- */

struct handler {
	int fd, stop[2];
	struct area area;
	char *source;
	unsigned int faults;
};

enum { BLOCK = 64 * KIB };

/* Fills in a block of the pattern. */
static void fill_in(struct handler *h, const struct uffd_msg *fault)
{
	size_t at = (fault->arg.pagefault.address - (uintptr_t)h->area.addr) & ~(BLOCK - 1UL), off;
	struct uffdio_copy copy;

	h->faults++;
	/* What another fault has brought meanwhile is there already: go on behind it. */
	for (off = at; off < at + BLOCK && off < h->area.len; off += SZ_4K) {
		copy = (struct uffdio_copy){
			.dst = (uintptr_t)h->area.addr + off,
			.src = (uintptr_t)h->source + off, .len = SZ_4K,
		};
		ioctl(h->fd, UFFDIO_COPY, &copy);
	}
}

/* For each fault. */
static void *handle(void *arg)
{
	struct handler *h = arg;
	struct pollfd fds[2] = { { h->fd, POLLIN, 0 }, { h->stop[0], POLLIN, 0 } };
	struct uffd_msg msg;

	while (poll(fds, 2, -1) > 0 && !fds[1].revents)
		if (read(h->fd, &msg, sizeof(msg)) == sizeof(msg))
			fill_in(h, &msg);
	return NULL;
}

static void handle_start(struct handler *h, pthread_t *thread)
{
	if (pipe(h->stop) || pthread_create(thread, NULL, handle, h))
		die("no thread: %m");
}

static void handle_stop(struct handler *h, pthread_t thread)
{
	close(h->stop[1]);
	pthread_join(thread, NULL);
	close(h->stop[0]);
}

static int uffd_open(struct handler *h, uint64_t features)
{
	struct uffdio_api api = { .api = UFFD_API, .features = features };
	struct uffdio_register reg = {
		.range = { (uintptr_t)h->area.addr, h->area.len },
		.mode = UFFDIO_REGISTER_MODE_MISSING,
	};

	h->fd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	if (h->fd < 0 || ioctl(h->fd, UFFDIO_API, &api) || ioctl(h->fd, UFFDIO_REGISTER, &reg))
		return fail("userfaultfd: %m");
	return PASSED;
}

/* The handler answers faults as ever, and memory has what it has put there. */
static int test_uffd(const void *arg)
{
	size_t shift = (uintptr_t)arg;
	struct prepare_report report;
	struct handler h = {};
	pthread_t thread;
	int err = area_open_anon(&h.area, LEN, shift) ?: uffd_open(&h, 0);

	if (err)
		return err;
	h.source = malloc(LEN);
	pattern_fill(h.source, 5, 0, LEN);
	handle_start(&h, &thread);
	err = ask(h.area.addr, LEN, AUTO, 0, &report);
	if (!err && report.populated_bytes != LEN)
		err = fail("%zu bytes were populated", report.populated_bytes);
	err = err ?: pattern_check("userfaultfd", h.area.addr, 5, 0, LEN);
	handle_stop(&h, thread);
	remark("%u faults handled", h.faults);
	close(h.fd);
	free(h.source);
	area_close(&h.area);
	return err;
}

/* --- several at a time, and a userfaultfd stops one ----------------------------------------- */

struct stopped {
	struct area *area;
	struct prepare_report report;
	pthread_t thread;
};

static void *prepare_stopped(void *arg)
{
	struct prepare_policy policy = { .steps = POPULATE };
	struct stopped *s = arg;

	prepare_mr(s->area->addr, s->area->len, IBV_ACCESS_LOCAL_WRITE, &policy, &s->report);
	return NULL;
}

/* So many threads must populate fresh memory for the caller. */
static int threads_must_be(unsigned int threads)
{
	struct prepare_report report;
	struct area area;
	int err = area_open_anon(&area, LEN, ODD) ?: ask(area.addr, LEN, POPULATE, 0, &report);

	if (!err && report.threads != threads)
		err = fail("%u threads populated, not %u", report.threads, threads);
	area_close(&area);
	return err;
}

static int child_has_two(const void *arg)
{
	(void)arg;
	return threads_must_be(2);
}

static int wait_for_fault(struct handler *h, struct uffd_msg *fault)
{
	struct pollfd fd = { h->fd, POLLIN, 0 };

	if (poll(&fd, 1, 20000) != 1 || read(h->fd, fault, sizeof(*fault)) != sizeof(*fault))
		return fail("no fault has come");
	return PASSED;
}

/* How many threads of this process are named as helpers, and the number of one of them. */
static unsigned int count_helpers(int *id)
{
	DIR *dir = opendir("/proc/self/task");
	unsigned int count = 0;
	struct dirent *entry;
	char path[300], name[32];
	FILE *f;

	while (dir && (entry = readdir(dir))) {
		snprintf(path, sizeof(path), "/proc/self/task/%s/comm", entry->d_name);
		f = fopen(path, "r");
		if (f && fscanf(f, "%31s", name) == 1 && !strcmp(name, "libphyr-helper")) {
			*id = atoi(entry->d_name);
			count++;
		}
		if (f)
			fclose(f);
	}
	if (dir)
		closedir(dir);
	return count;
}

/* A look at the process shows whose thread it is. */
static int one_is_named(void)
{
	int id;
	unsigned int named = count_helpers(&id);

	return named == 1 ? PASSED : fail("%u threads are named libphyr-helper", named);
}

/* A registration of fresh memory whose two threads each wait for the answer to a fault. */
struct halted {
	struct handler h;
	struct stopped stopped;
	struct uffd_msg fault[2];
	unsigned int faults;
};

static int halt(struct halted *s)
{
	int err;

	*s = (struct halted){ .stopped.area = &s->h.area };
	err = area_open_anon(&s->h.area, LEN, ODD) ?: uffd_open(&s->h, 0);
	if (err)
		return err;
	s->h.source = calloc(1, LEN);
	if (!s->h.source ||
	    pthread_create(&s->stopped.thread, NULL, prepare_stopped, &s->stopped))
		die("no thread");
	for (; s->faults < 2 && !err; s->faults += !err)
		err = wait_for_fault(&s->h, &s->fault[s->faults]);
	return err;
}

/* Answer all faults, and let the registration come to its end. */
static void resume(struct halted *s)
{
	pthread_t thread;
	unsigned int i;

	if (!s->h.source)
		return;
	for (i = 0; i < s->faults; i++)
		fill_in(&s->h, &s->fault[i]);
	handle_start(&s->h, &thread);
	pthread_join(s->stopped.thread, NULL);
	handle_stop(&s->h, thread);
}

static void halted_close(struct halted *s)
{
	if (!s->h.source)
		return;
	close(s->h.fd);
	free(s->h.source);
	area_close(&s->h.area);
}

/*
 * On two CPUs, all who register share one helper. While it works for one, another has none. But a
 * child has its own.
 */
static int test_shared_helpers(const void *arg)
{
	struct halted s;
	int err = halt(&s);

	(void)arg;
	err = err ?: one_is_named() ?: threads_must_be(0) ?: test_in_child(child_has_two, NULL);
	resume(&s);
	if (!err && s.stopped.report.threads != 2)
		err = fail("%u threads populated first", s.stopped.report.threads);
	err = err ?: threads_must_be(2);
	halted_close(&s);
	return err;
}

/* Where the helper's stack is, by what the kernel says of a thread that waits in a system call. */
static uintptr_t helper_stack(void)
{
	uintptr_t stack = 0;
	char path[64];
	FILE *f;
	int id;

	if (!count_helpers(&id))
		return 0;
	snprintf(path, sizeof(path), "/proc/self/task/%d/syscall", id);
	f = fopen(path, "r");
	if (f && fscanf(f, "%*s %*s %*s %*s %*s %*s %*s %lx", &stack) != 1)
		stack = 0;
	if (f)
		fclose(f);
	return stack & ~(SZ_4K - 1);
}

static bool is_mapped(uintptr_t page)
{
	unsigned char vec;

	return !mincore((void *)page, SZ_4K, &vec);
}

static int child_has_no_stack(const void *arg)
{
	if (is_mapped((uintptr_t)arg))
		return fail("the stack of its parent's helper is mapped");
	return threads_must_be(2);
}

/* A child that is forked while there is a helper has nothing of it, nor has the parent later. */
static int test_stack_not_for_children(const void *arg)
{
	struct halted s;
	uintptr_t stack = 0;
	int err = halt(&s);

	(void)arg;
	if (!err) {
		stack = helper_stack();
		if (!stack || !is_mapped(stack))
			err = fail("the helper has no stack");
	}
	err = err ?: test_in_child(child_has_no_stack, (void *)stack);
	resume(&s);
	if (!err && is_mapped(stack))
		err = fail("the helper's stack is left");
	err = err ?: test_in_child(child_has_no_stack, (void *)stack);
	halted_close(&s);
	return err;
}

/* Where a userfaultfd answers a fault by SIGBUS, there is no signal. */
static int test_uffd_sigbus(const void *arg)
{
	struct handler h = {};
	struct prepare_report report;
	int err;

	(void)arg;
	err = area_open_anon(&h.area, LEN, ODD) ?: uffd_open(&h, UFFD_FEATURE_SIGBUS) ?:
	      ask(h.area.addr, LEN, AUTO, 0, &report);
	if (!err && (report.populated_bytes || present(h.area.addr, LEN)))
		err = fail("%zu bytes were populated", report.populated_bytes);
	close(h.fd);
	area_close(&h.area);
	return err;
}

void refused_add_tests(void)
{
	size_t i;

	test_add(test_no_huge, (void *)ODD, "opted out, MADV_NOHUGEPAGE");
	test_add(test_no_huge, NULL, "opted out, MADV_NOHUGEPAGE, aligned");
	test_add(test_no_huge_partly, NULL, "opted out, MADV_NOHUGEPAGE for a part");
	test_add(test_no_huge_process, (void *)ODD, "opted out, PR_SET_THP_DISABLE");
	test_add(test_no_huge_process, NULL, "opted out, PR_SET_THP_DISABLE, aligned");
	test_add(test_huge_if_advised, "madvise", "opted out except for advice, system madvise");
	test_add(test_huge_if_advised, "always", "opted out except for advice, system always");
	test_add(test_stack, NULL, "opted out, stack");
	test_add(test_thread_stack, NULL, "opted out, stack of a thread");
	for (i = 0; i < ARRAY_SIZE(spoils); i++)
		test_add(test_spoil, &spoils[i], "refused, %s", spoils[i].name);
	test_add(test_spoil_file, NULL, "refused, a file");
	test_add(test_spoil_guard, NULL, "refused, a guard page");
	test_add(test_many, NULL, "refused, many mappings");
	for (i = 0; i < ARRAY_SIZE(accesses); i++)
		test_add(test_access, &accesses[i], "access, %s", accesses[i].name);
	test_add(test_iova, NULL, "access, IOVA");
	test_add(test_too_few, (void *)MAP_SHARED, "none left, hugetlb, shared");
	test_add(test_too_few, (void *)MAP_PRIVATE, "none left, hugetlb, private");
	test_add(test_end, NULL, "none left, past the end");
	test_add(test_uffd, (void *)ODD, "userfaultfd, handled");
	test_add(test_uffd, NULL, "userfaultfd, handled, aligned");
	test_add(test_uffd_sigbus, NULL, "userfaultfd, by signal");
	test_add(test_shared_helpers, NULL, "userfaultfd, others have no helper meanwhile");
	test_add(test_stack_not_for_children, NULL, "userfaultfd, a child has no helper's stack");
}
