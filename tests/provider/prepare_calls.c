// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * The system calls and functions that preparing uses: no call that a seccomp filter may kill for,
 * no symbol that a registration cache may have hooked, and little stack.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/fs.h>
#include <linux/seccomp.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "prepare_case.h"
#include "parts.h"

/* --- system calls ------------------------------------------------------------------------- */

/* From now on, these system calls have that action, and all others the other. */
static int filter_by(unsigned int flags, const int *calls, size_t count, uint32_t action,
		     uint32_t others)
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
	    syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program))
		return fail("seccomp: %m");
	return PASSED;
}

static int filter(const int *calls, size_t count, uint32_t action, uint32_t others)
{
	return filter_by(0, calls, count, action, others);
}

/* The same for all threads. */
static int filter_all(const int *calls, size_t count, uint32_t action, uint32_t others)
{
	return filter_by(SECCOMP_FILTER_FLAG_TSYNC, calls, count, action, others);
}

static int only(const int *calls, size_t count)
{
	return filter(calls, count, SECCOMP_RET_ALLOW, SECCOMP_RET_KILL_PROCESS);
}

/* In a child: any call but exit() kills it. */
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
	if (report.threads || report.left_out)
		return fail("the report says that something was done");
	return PASSED;
}

static int test_no_calls(const void *arg)
{
	return test_in_child(no_calls, arg);
}

/* In a child: of populated memory, we ask for a few pages, by a file. */
static int few_calls(const void *arg)
{
	static const int few[] = { SYS_exit_group, SYS_openat, SYS_ioctl, SYS_close };
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

/* In a child: memory that was found populated is taken to be so some times, and then looked at. */
static int no_calls_again(const void *arg)
{
	static const int leave[] = { SYS_exit_group };
	struct prepare_policy policy = { .steps = AUTO };
	struct prepare_report report;
	struct area area;
	int err = area_open_anon(&area, LEN, ODD), i;

	if (!err && madvise(area.addr, LEN, MADV_POPULATE_WRITE))
		err = fail("cannot populate: %m");
	for (i = 0; i < 8 && !err; i++) {
		prepare(&any_device, area.addr, LEN, (uintptr_t)area.addr, IBV_ACCESS_LOCAL_WRITE,
			&policy, &report);
		if (!i)
			err = arg ? PASSED : only(leave, ARRAY_SIZE(leave));
	}
	if (err || !arg)
		return err;
	if (madvise(area.addr, LEN, MADV_DONTNEED))
		return fail("MADV_DONTNEED: %m");
	prepare(&any_device, area.addr, LEN, (uintptr_t)area.addr, IBV_ACCESS_LOCAL_WRITE, &policy,
		&report);
	return report.populated_bytes == LEN ? PASSED : fail("%zu bytes were populated",
							     report.populated_bytes);
}

static int test_no_calls_again(const void *arg)
{
	return test_in_child(no_calls_again, arg);
}

/*
 * In a child: of memory that is too small for two threads, we ask for a few pages and for the
 * setting, if that leaves nothing to do.
 */
static int nothing_to_gain(const void *arg)
{
	static const int few[] = { SYS_exit_group, SYS_openat, SYS_read, SYS_ioctl, SYS_close };
	bool never = !strcmp(arg, "never");
	struct prepare_policy policy = { .steps = AUTO };
	struct prepare_report report;
	struct area area;
	int err = area_open_anon(&area, 16 * MIB - SZ_4K, ODD) ?: only(few, ARRAY_SIZE(few));

	if (err)
		return err;
	prepare_mr(area.addr, area.len, IBV_ACCESS_LOCAL_WRITE, &policy, &report);
	if (report.populated_bytes || report.left_out != (never ? 1U << LEFT_HUGE_SETTING : 0))
		return fail("%zu bytes were populated, left out: %#x", report.populated_bytes,
			    report.left_out);
	return PASSED;
}

static int test_nothing_to_gain(const void *arg)
{
	int err;

	knob_set(&thp, arg);
	err = test_in_child(nothing_to_gain, arg);
	knob_set(&thp, "madvise");
	return err;
}

/* The least memory that is prepared. */
static int test_least(const void *arg)
{
	struct outcome all = { PREPARE_LEAST, PREPARE_LEAST, PREPARE_LEAST, 0 };
	struct area area;
	int err = area_open_anon(&area, PREPARE_LEAST, 0) ?:
		  ask_and_check(area.addr, PREPARE_LEAST, AUTO, &all);

	(void)arg;
	area_close(&area);
	return err;
}

static int test_few_calls(const void *arg)
{
	return test_in_child(few_calls, arg);
}

/* --- under a filter ----------------------------------------------------------------------- */

/* The only calls where there is a filter, and before we know that there is none. */
static const int allowed[] = {
	SYS_exit_group, SYS_openat, SYS_read, SYS_close, SYS_ioctl, SYS_mmap, SYS_munmap,
	SYS_madvise,
};

/* Bytes in huge pages, found by the calls that are allowed. */
static size_t count_huge(const char *addr, size_t len)
{
	static struct page_region region[64];
	struct pm_scan_arg arg = {
		.size = sizeof(arg), .start = (uintptr_t)addr, .end = (uintptr_t)addr + len,
		.vec = (uintptr_t)region, .vec_len = ARRAY_SIZE(region),
		.category_mask = PAGE_IS_HUGE, .return_mask = PAGE_IS_HUGE,
	};
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC), count, i;
	size_t bytes = 0;

	count = ioctl(fd, PAGEMAP_SCAN, &arg);
	for (i = 0; i < count; i++)
		bytes += region[i].end - region[i].start;
	close(fd);
	return bytes;
}

static const struct filtered {
	const char *name;
	int flags;
	uint32_t steps;
	bool huge;		/* is it populated with huge pages? */
} filtered[] = {
	{ "private", ANON, AUTO, true },
	{ "private, collapse", ANON, AUTO | COLLAPSE, true },
	{ "private, base pages", ANON, POPULATE, false },
	{ "shared", MAP_SHARED | MAP_ANONYMOUS, AUTO, false },
	{ "hugetlb", ANON | MAP_HUGETLB, AUTO, false },
};

/* In a child, which any other call kills. There are huge pages, and no threads. */
static int under_filter(const void *arg)
{
	const struct filtered *f = arg;
	struct prepare_policy policy = { .steps = f->steps };
	struct prepare_report report;
	struct area area;
	size_t huge = f->huge ? LEN : 0;
	int err;

	err = area_open(&area, LEN, 0) ?: map_fixed(area.addr, LEN, RW, f->flags, -1, 0) ?:
	      only(allowed, ARRAY_SIZE(allowed));
	if (err)
		return err;
	prepare_mr(area.addr, LEN, IBV_ACCESS_LOCAL_WRITE, &policy, &report);
	if (report.huge_bytes != huge || report.populated_bytes != huge)
		return fail("%zu bytes made huge, %zu populated", report.huge_bytes,
			    report.populated_bytes);
	if (huge && count_huge(area.addr, LEN) != LEN)
		return fail("%zu bytes are in huge pages", count_huge(area.addr, LEN));
	if (!huge && report.left_out != 1 << LEFT_THREADS_SECCOMP)
		return fail("left out: %#x", report.left_out);
	return PASSED;
}

static int test_under_filter(const void *arg)
{
	return test_in_child(under_filter, arg);
}

/* In a child: calls fail, as in containers. What does not need them is done. */
static const struct denied {
	const char *name;
	int calls[4];
	bool made;
} denied[] = {
	{ "move_pages, mincore", { SYS_move_pages, SYS_mincore }, true },
	{ "clone", { SYS_clone, SYS_clone3 }, true },
	{ "memfd_create", { SYS_memfd_create }, true },
	{ "prctl, capget", { SYS_prctl, SYS_capget, SYS_prlimit64 }, true },
	{ "open", { SYS_open, SYS_openat }, false },
	{ "ioctl", { SYS_ioctl }, false },
	{ "madvise", { SYS_madvise }, false },
	{ "mmap", { SYS_mmap }, false },
};

static int deny(const void *arg)
{
	const struct denied *d = arg;
	struct prepare_policy policy = { .steps = AUTO };
	struct prepare_report report;
	struct area area;
	size_t count = 0, made;
	int err;

	while (count < ARRAY_SIZE(d->calls) && d->calls[count])
		count += 1;
	err = area_open_anon(&area, LEN, ODD) ?:
	      filter(d->calls, count ?: 1, SECCOMP_RET_ERRNO | EPERM, SECCOMP_RET_ALLOW);
	if (err)
		return err;
	prepare_mr(area.addr, LEN, IBV_ACCESS_LOCAL_WRITE, &policy, &report);
	made = d->made ? huge_inside(area.addr, LEN) : 0;
	if (report.huge_bytes != made || report.populated_bytes != (d->made ? LEN : 0))
		return fail("%zu bytes made huge, %zu populated", report.huge_bytes,
			    report.populated_bytes);
	return PASSED;
}

/* A filter that another thread installs, for all, while huge pages are made. */
struct late {
	struct area area;
	pthread_t thread;
	struct prepare_report report;
	atomic_bool done;
};

static void *prepare_late(void *arg)
{
	struct prepare_policy policy = { .steps = AUTO };
	struct late *late = arg;

	prepare_mr(late->area.addr, late->area.len, IBV_ACCESS_LOCAL_WRITE, &policy,
		   &late->report);
	atomic_store(&late->done, true);
	return NULL;
}

/* Answers one fault of the memory, by zeros. False if there is none. */
static bool answer_fault(int uffd)
{
	struct uffdio_zeropage zero = { .range.len = SZ_4K };
	struct uffd_msg fault;

	if (read(uffd, &fault, sizeof(fault)) != sizeof(fault))
		return false;
	zero.range.start = fault.arg.pagefault.address & ~(SZ_4K - 1);
	return !ioctl(uffd, UFFDIO_ZEROPAGE, &zero);
}

/* In a child: the first touch waits for us, and goes on under the filter. */
static int filter_late(const void *arg)
{
	static const int calls[] = {
		SYS_exit_group, SYS_exit, SYS_openat, SYS_read, SYS_close, SYS_ioctl, SYS_mmap,
		SYS_munmap, SYS_madvise, SYS_futex, SYS_rt_sigprocmask,
	};
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg = { .mode = UFFDIO_REGISTER_MODE_MISSING };
	struct pollfd poller = { .events = POLLIN };
	struct late late = {};
	int err = area_open_anon(&late.area, LEN, ODD);

	(void)arg;
	reg.range = (struct uffdio_range){ (uintptr_t)late.area.addr, LEN };
	poller.fd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	if (!err && (poller.fd < 0 || ioctl(poller.fd, UFFDIO_API, &api) ||
		     ioctl(poller.fd, UFFDIO_REGISTER, &reg)))
		err = fail("userfaultfd: %m");
	if (err)
		return err;
	if (pthread_create(&late.thread, NULL, prepare_late, &late))
		die("no thread");
	if (poll(&poller, 1, 20000) != 1)
		return fail("no fault has come");
	err = filter_all(calls, ARRAY_SIZE(calls), SECCOMP_RET_ALLOW, SECCOMP_RET_KILL_PROCESS);
	while (!err && !atomic_load(&late.done))
		answer_fault(poller.fd);
	if (!err && !(late.report.left_out & 1 << LEFT_THREADS_SECCOMP))
		err = fail("%u threads, left out: %#x", late.report.threads, late.report.left_out);
	return err;
}

static int test_filter_late(const void *arg)
{
	return test_in_child(filter_late, arg);
}

static int test_denied(const void *arg)
{
	return test_in_child(deny, arg);
}

/* --- hooks -------------------------------------------------------------------------------- */

/* Functions that caches stand in front of, and malloc(), which might call these. */
static atomic_bool watching;
static atomic_uint hooked;

static void count_call(void)
{
	if (atomic_load(&watching))
		atomic_fetch_add(&hooked, 1);
}

__typeof__(malloc) __libc_malloc;
__typeof__(calloc) __libc_calloc;
__typeof__(realloc) __libc_realloc;
__typeof__(free) __libc_free;

void *malloc(size_t size)
{
	count_call();
	return __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
	count_call();
	return __libc_calloc(count, size);
}

void *realloc(void *p, size_t size)
{
	count_call();
	return __libc_realloc(p, size);
}

void free(void *p)
{
	count_call();
	__libc_free(p);
}

void *mmap(void *addr, size_t len, int prot, int flags, int fd, off_t offset)
{
	count_call();
	return (void *)syscall(SYS_mmap, addr, len, prot, flags, fd, offset);
}

int munmap(void *addr, size_t len)
{
	count_call();
	return syscall(SYS_munmap, addr, len);
}

int madvise(void *addr, size_t len, int advice)
{
	count_call();
	return syscall(SYS_madvise, addr, len, advice);
}

int mprotect(void *addr, size_t len, int prot)
{
	count_call();
	return syscall(SYS_mprotect, addr, len, prot);
}

static const struct hooks {
	const char *name, *setting;
	int flags;
	uint32_t steps;
} hooks[] = {
	{ "huge pages", "madvise", ANON, AUTO | COLLAPSE },
	{ "advice", "madvise", ANON, ADVISE },
	{ "huge pages for all", "always", ANON, AUTO },
	{ "base pages", "never", ANON, AUTO },
	{ "shared", "madvise", MAP_SHARED | MAP_ANONYMOUS, AUTO },
};

static int test_hooks(const void *arg)
{
	const struct hooks *h = arg;
	struct prepare_policy policy = { .steps = h->steps };
	struct prepare_report report;
	size_t len = 66 * MIB;	/* the ends are prepared, too */
	struct area area;
	int err;

	knob_set(&thp, h->setting);
	err = area_open(&area, len, ODD) ?: map_fixed(area.addr, len, RW, h->flags, -1, 0);
	atomic_store(&hooked, 0);
	atomic_store(&watching, true);
	if (!err)
		prepare_mr(area.addr, len, IBV_ACCESS_LOCAL_WRITE, &policy, &report);
	atomic_store(&watching, false);
	if (!err && report.populated_bytes != len)
		err = fail("%zu bytes were populated", report.populated_bytes);
	if (!err && hooked)
		err = fail("%u calls by symbols", hooked);
	/* A hook would have seen one. */
	atomic_store(&watching, true);
	area_close(&area);
	atomic_store(&watching, false);
	if (!err && hooked != 1)
		err = fail("munmap() has called %u hooks", hooked);
	knob_set(&thp, "madvise");
	return err;
}

/* --- a call that waits -------------------------------------------------------------------- */

/* This clock is ahead of the system's, and each call may put it forward. */
static atomic_long ahead_ms, forward_ms;
static __typeof__(clock_gettime) *system_clock;

static __attribute__((constructor)) void find_clock(void)
{
	system_clock = (__typeof__(clock_gettime) *)dlsym(RTLD_NEXT, "clock_gettime");
}

int clock_gettime(clockid_t id, struct timespec *now)
{
	int err = system_clock(id, now);
	long ahead = atomic_fetch_add(&ahead_ms, forward_ms) + forward_ms;

	now->tv_sec += ahead / 1000;
	now->tv_nsec += ahead % 1000 * 1000000;
	if (now->tv_nsec >= 1000000000) {
		now->tv_sec += 1;
		now->tv_nsec -= 1000000000;
	}
	return err;
}

/* Huge pages are made by so much at a time. */
#define WAIT_STEP (64 * MIB)

static int prepare_and_count(size_t huge, enum left_out why)
{
	struct prepare_policy policy = { .steps = AUTO };
	struct prepare_report report;
	struct area area;
	uintptr_t start;
	int err = area_open_anon(&area, 4 * WAIT_STEP, 0);

	if (err)
		return err;
	start = (uintptr_t)area.addr;
	/* (forget() would forget the wait, too.) */
	prepare_remember((struct range){ start, start + area.len }, false);
	prepare(&any_device, area.addr, area.len, start, IBV_ACCESS_LOCAL_WRITE, &policy, &report);
	prepare_release(&report);
	if (report.huge_bytes != huge || report.populated_bytes != area.len)
		err = fail("%zu MiB made huge, %zu populated", report.huge_bytes / MIB,
			   report.populated_bytes / MIB);
	if (!err && report.left_out != (why ? 1U << why : 0))
		err = fail("left out: %#x", report.left_out);
	area_close(&area);
	return err;
}

/*
 * When the kernel takes long to make huge pages, there are no more of them, nor in the next
 * registrations, for a hundred times as long.
 */
static int test_wait(const void *arg)
{
	int err;

	(void)arg;
	prepare_forget_huge();
	atomic_store(&forward_ms, 1200);
	err = prepare_and_count(WAIT_STEP, LEFT_HUGE_FAILED);
	atomic_store(&forward_ms, 0);
	err = err ?: prepare_and_count(0, LEFT_HUGE_FAILED);
	atomic_fetch_add(&ahead_ms, 1000 * 1200);
	err = err ?: prepare_and_count(4 * WAIT_STEP, LEFT_NOTHING);
	atomic_store(&ahead_ms, 0);
	prepare_forget_huge();
	return err;
}

/* --- stack -------------------------------------------------------------------------------- */

/* A thread has a stack of ours, which we have painted before. */
#define STACK	(3 * MIB)
#define PAINT	0xa5
/* prepare() may use so much in all. */
#define BAR	(2 * KIB)

struct painted {
	char *stack;
	uint32_t steps;
	int err;
};

static size_t count_painted(const char *stack, const char *end)
{
	size_t n = 0;

	while (stack + n < end && (unsigned char)stack[n] == PAINT)
		n++;
	return n;
}

static __attribute__((noinline)) void prepare_fresh_area(uint32_t steps, int *err)
{
	struct prepare_policy policy = { .steps = steps };
	struct prepare_report report;
	struct area area;

	*err = area_open_anon(&area, 66 * MIB, ODD);
	prepare_mr(area.addr, area.len, IBV_ACCESS_LOCAL_WRITE, &policy, &report);
	if (!*err && report.populated_bytes != area.len)
		*err = fail("%zu bytes were populated", report.populated_bytes);
	area_close(&area);
}

static __attribute__((noinline)) void *use_stack(void *arg)
{
	struct painted *painted = arg;
	char *here = __builtin_frame_address(0);
	size_t used;

	/*
	 * Once before: the dynamic linker needs more when a function is called for the first time.
	 */
	prepare_fresh_area(painted->steps, &painted->err);
	memset(painted->stack, PAINT, here - painted->stack - 512);
	prepare_fresh_area(painted->steps, &painted->err);
	used = here - painted->stack - count_painted(painted->stack, here);
	remark("%zu bytes", used);
	if (!painted->err && used > BAR)
		painted->err = fail("%zu bytes of stack were used", used);
	return NULL;
}

static int test_stack(const void *arg)
{
	struct painted painted = { .steps = (uintptr_t)arg };
	pthread_attr_t attr;
	pthread_t thread;

	painted.stack = mmap(NULL, STACK, RW, ANON, -1, 0);
	if (painted.stack == MAP_FAILED)
		return fail("no stack: %m");
	pthread_attr_init(&attr);
	pthread_attr_setstack(&attr, painted.stack, STACK);
	if (pthread_create(&thread, &attr, use_stack, &painted))
		return fail("no thread");
	pthread_join(thread, NULL);
	pthread_attr_destroy(&attr);
	munmap(painted.stack, STACK);
	return painted.err;
}

void calls_add_tests(void)
{
	size_t i;

	test_add(test_no_calls, NULL, "calls, none if there is nothing to prepare");
	test_add(test_few_calls, NULL, "calls, few if all is there");
	test_add(test_nothing_to_gain, "always", "calls, few if the kernel makes huge pages");
	test_add(test_nothing_to_gain, "never", "calls, few if there are no huge pages");
	test_add(test_least, NULL, "calls, the least memory gets huge pages");
	test_add(test_no_calls_again, NULL, "calls, none if all was there");
	test_add(test_no_calls_again, "look again", "calls, a look if it was there for long");
	for (i = 0; i < ARRAY_SIZE(filtered); i++)
		test_add(test_under_filter, &filtered[i], "calls, no others, %s", filtered[i].name);
	for (i = 0; i < ARRAY_SIZE(denied); i++)
		test_add(test_denied, &denied[i], "calls, without %s", denied[i].name);
	test_add(test_filter_late, NULL, "calls, a filter that comes meanwhile");
	for (i = 0; i < ARRAY_SIZE(hooks); i++)
		test_add(test_hooks, &hooks[i], "calls, not by symbols, %s", hooks[i].name);
	test_add(test_wait, NULL, "calls, one that waits");
	test_add(test_stack, (void *)(uintptr_t)AUTO, "stack, huge pages");
	test_add(test_stack, (void *)(uintptr_t)ADVISE, "stack, advice");
	test_add(test_stack, (void *)(uintptr_t)POPULATE, "stack, base pages");
}
