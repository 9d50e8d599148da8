// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * The livepatch is taken out while a task is in it. The kernel must see the task, and keep the
 * module until the task has left. A fault that we hold up by userfaultfd keeps the task there.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "pattern.h"
#include "umem.h"

/* The kernel checks all tasks at once, and again each second. We wait for some of these checks. */
#define LOOKS_MS	3500.0
#define FAULT_MS	10000

struct held {
	struct buf buf;
	int uffd;
	pid_t tid;
	int result;			/* of umem_get() */
	uint32_t id;
};

static void *get(void *arg)
{
	struct held *h = arg;
	struct phyr_umem_test_get args = umem_request(h->buf.addr, SZ_4K, WRITABLE);

	__atomic_store_n(&h->tid, gettid(), __ATOMIC_RELEASE);
	h->result = umem_get(&args);
	h->id = args.id;
	return NULL;
}

static int hold_faults(struct held *h)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register range = {
		.range = { .start = (uintptr_t)h->buf.addr, .len = SZ_4K },
		.mode = UFFDIO_REGISTER_MODE_MISSING,
	};

	h->uffd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	if (h->uffd < 0 || ioctl(h->uffd, UFFDIO_API, &api) ||
	    ioctl(h->uffd, UFFDIO_REGISTER, &range))
		return fail("userfaultfd: %m");
	return PASSED;
}

static int await_fault(struct held *h)
{
	struct pollfd poll_fd = { .fd = h->uffd, .events = POLLIN };

	return poll(&poll_fd, 1, FAULT_MS) == 1 ? PASSED : fail("no fault has come");
}

/* 1: the task may be in our function; 0: it is not any more; -1: no task is, the patch is out. */
static int task_state(pid_t tid)
{
	char path[64];
	int state = -1;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/task/%d/patch_state", tid);
	f = fopen(path, "r");
	if (!f || fscanf(f, "%d", &state) != 1)
		state = -1;
	if (f)
		fclose(f);
	return state;
}

static int check_kept(pid_t tid)
{
	double end = now_ms() + LOOKS_MS;

	while (now_ms() < end) {
		if (task_state(tid) != 1)
			return fail("the kernel does not see that a task is in the livepatch");
		usleep(100000);
	}
	if (!syscall(SYS_delete_module, "phyr_umem", O_NONBLOCK))
		return fail("phyr_umem.ko could be unloaded");
	return PASSED;
}

static int let_go(struct held *h)
{
	struct uffdio_zeropage zero = {
		.range = { .start = (uintptr_t)h->buf.addr, .len = SZ_4K },
	};

	return ioctl(h->uffd, UFFDIO_ZEROPAGE, &zero) ? fail("UFFDIO_ZEROPAGE: %m") : PASSED;
}

static int hold(struct held *h)
{
	pthread_t thread;
	int err;

	err = patch_set(true) ?: hold_faults(h);
	if (err)
		return err;
	if (pthread_create(&thread, NULL, get, h))
		die("cannot start a thread");
	err = await_fault(h) ?: patch_disable() ?:
	      check_kept(__atomic_load_n(&h->tid, __ATOMIC_ACQUIRE));
	/* Without this, the thread would stay there for ever. */
	err = let_go(h) ?: err;
	pthread_join(thread, NULL);
	if (h->result)
		return err ?: fail("no umem: %s", errno_name(h->result));
	return umem_release(h->id) ?: err ?: patch_set(false);
}

static int test_held(const void *arg)
{
	struct held h = { .uffd = -1 };
	int err;

	(void)arg;
	err = buf_open(&h.buf, BACKING_4K, SZ_4K);
	/* The page must be missing. */
	if (!err && madvise(h.buf.addr, SZ_4K, MADV_DONTNEED))
		err = fail("MADV_DONTNEED: %m");
	err = err ?: hold(&h);
	if (h.uffd >= 0)
		close(h.uffd);
	buf_close(&h.buf);
	return err;
}

void held_add_tests(void)
{
	test_add(test_held, NULL, "out while a task is in it");
}
