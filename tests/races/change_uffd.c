// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * userfaultfd: pages are missing, write-protected, or present but not mapped, until a handler
 * resolves the fault. Pinning must wait for the handler. It must not pass over a write-protected
 * page, even in the middle of a folio.
 *
 * The handler and the mutator take turns (uffd.lock), since the handler's pages must belong to a
 * generation.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/userfaultfd.h>

#include "race.h"

static struct {
	int fd;
	uint64_t mode;
	struct arena *arena;
	pthread_t handler;
	pthread_mutex_t lock;
	atomic_bool stop;
} uffd = { .fd = -1, .lock = PTHREAD_MUTEX_INITIALIZER };

static struct uffdio_range pages(struct arena *a, unsigned int first, unsigned int n)
{
	return (struct uffdio_range){
		.start = (uintptr_t)a->addr + first * SZ_4K,
		.len = n * SZ_4K,
	};
}

/* Provide a page that is missing. EEXIST: another thread was faster. */
static int give_page(struct arena *a, unsigned int page)
{
	static char data[SZ_4K] __attribute__((aligned(4096)));
	struct uffdio_copy copy = {
		.dst = (uintptr_t)arena_head(a, page),
		.src = (uintptr_t)data,
		.len = SZ_4K,
	};

	((struct head *)data)->tag = tag_make(OWNER_ARENA, page, atomic_load(&a->gen[page]));
	if (ioctl(uffd.fd, UFFDIO_COPY, &copy) && errno != EEXIST && errno != EAGAIN)
		return fault("UFFDIO_COPY: %m");
	return 0;
}

static int protect(struct arena *a, unsigned int first, unsigned int n, bool on)
{
	struct uffdio_writeprotect wp = {
		.range = pages(a, first, n),
		.mode = on ? UFFDIO_WRITEPROTECT_MODE_WP : 0,
	};
	unsigned int i;

	/* Clear the mark first, so that no page is marked that is not protected. */
	for (i = first; i < first + n && !on; i++)
		atomic_store(&a->deny[i], 0);
	while (ioctl(uffd.fd, UFFDIO_WRITEPROTECT, &wp))
		if (errno != EAGAIN)
			return fault("UFFDIO_WRITEPROTECT: %m");
	for (i = first; i < first + n && on; i++)
		atomic_store(&a->deny[i], DENY_WRITE);
	return 0;
}

/* Map a page that is in the file already. */
static int map_page(struct arena *a, unsigned int page)
{
	struct uffdio_continue cont = { .range = pages(a, page, 1) };

	if (ioctl(uffd.fd, UFFDIO_CONTINUE, &cont) && errno != EEXIST && errno != EAGAIN)
		return fault("UFFDIO_CONTINUE: %m");
	return 0;
}

static int handle(const struct uffd_msg *msg)
{
	struct arena *a = uffd.arena;
	unsigned int page = (msg->arg.pagefault.address - (uintptr_t)a->addr) / SZ_4K;
	struct uffdio_range range = pages(a, page, 1);
	int err;

	if (msg->event != UFFD_EVENT_PAGEFAULT)
		return fault("userfaultfd: event %#x", msg->event);
	pthread_mutex_lock(&uffd.lock);
	switch (uffd.mode) {
	case UFFDIO_REGISTER_MODE_MISSING:
		err = give_page(a, page);
		break;
	case UFFDIO_REGISTER_MODE_WP:
		err = protect(a, page, 1, false);
		break;
	default:
		err = map_page(a, page);
		break;
	}
	pthread_mutex_unlock(&uffd.lock);
	/* If there was nothing to do, nothing has woken the thread that waits. */
	if (!err && ioctl(uffd.fd, UFFDIO_WAKE, &range))
		err = fault("UFFDIO_WAKE: %m");
	return err;
}

static void *handler_run(void *arg)
{
	struct pollfd poll_fd = { .fd = uffd.fd, .events = POLLIN };
	struct uffd_msg msg;

	(void)arg;
	/* Goes on after the end of the race, until no thread can wait for us any more. */
	while (!uffd.stop) {
		if (poll(&poll_fd, 1, 20) != 1)
			continue;
		if (read(uffd.fd, &msg, sizeof(msg)) == sizeof(msg) && handle(&msg))
			break;
	}
	return NULL;
}

static int uffd_open(struct arena *a, uint64_t mode, uint64_t features)
{
	struct uffdio_api api = { .api = UFFD_API, .features = features };
	struct uffdio_register reg = { .range = pages(a, 0, a->pages), .mode = mode };
	int fd;

	fd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	if (fd < 0 || ioctl(fd, UFFDIO_API, &api) || ioctl(fd, UFFDIO_REGISTER, &reg)) {
		fail("userfaultfd: %m");
		if (fd >= 0)
			close(fd);
		return FAILED;
	}
	uffd.fd = fd;
	uffd.mode = mode;
	uffd.arena = a;
	uffd.stop = false;
	if (pthread_create(&uffd.handler, NULL, handler_run, NULL))
		die("cannot make a thread");
	return PASSED;
}

static void uffd_close(struct arena *a)
{
	(void)a;
	if (uffd.fd < 0)
		return;
	uffd.stop = true;
	pthread_join(uffd.handler, NULL);
	close(uffd.fd);
	uffd.fd = -1;
}

/* --- missing ------------------------------------------------------------------------------- */

static int missing_open(struct arena *a)
{
	return uffd_open(a, UFFDIO_REGISTER_MODE_MISSING, 0);
}

static int missing_step(struct arena *a, unsigned int round)
{
	struct range r = rng_range(a, 64);
	unsigned int gen, i;

	(void)round;
	pthread_mutex_lock(&uffd.lock);
	gen = change_begin(a);
	if (madvise(a->addr + r.first * SZ_4K, r.n * SZ_4K, MADV_DONTNEED))
		fault("MADV_DONTNEED: %m");
	for (i = r.first; i < r.first + r.n; i++)
		atomic_store(&a->gen[i], gen);
	change_end(a);
	pthread_mutex_unlock(&uffd.lock);
	return 1;
}

const struct change change_missing = {
	.name = "userfaultfd, missing",
	.open = missing_open,
	.step = missing_step,
	.close = uffd_close,
};

/* --- write-protected ----------------------------------------------------------------------- */

static int wp_open(struct arena *a)
{
	return uffd_open(a, UFFDIO_REGISTER_MODE_WP, UFFD_FEATURE_PAGEFAULT_FLAG_WP);
}

static int wp_step(struct arena *a, unsigned int round)
{
	struct range r = rng_range(a, rng_below(2) ? 1 : 24);
	int err;

	(void)round;
	pthread_mutex_lock(&uffd.lock);
	change_begin(a);
	err = protect(a, r.first, r.n, true);
	change_end(a);
	pthread_mutex_unlock(&uffd.lock);
	return err ?: 1;
}

const struct change change_wp = {
	.name = "userfaultfd, write-protected",
	.open = wp_open,
	.step = wp_step,
	.close = uffd_close,
};

/* --- minor --------------------------------------------------------------------------------- */

static int minor_open(struct arena *a)
{
	return uffd_open(a, UFFDIO_REGISTER_MODE_MINOR, UFFD_FEATURE_MINOR_SHMEM);
}

/* Put new pages into the file, and map none of them. */
static int minor_step(struct arena *a, unsigned int round)
{
	struct range r = rng_range(a, 64);
	off_t off = r.first * SZ_4K;
	unsigned int gen, i;
	struct head *head;

	(void)round;
	pthread_mutex_lock(&uffd.lock);
	gen = change_begin(a);
	if (fallocate(a->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, off, r.n * SZ_4K))
		fault("fallocate: %m");
	for (i = r.first; i < r.first + r.n; i++) {
		head = (struct head *)(a->alias + i * SZ_4K);
		head->tag = tag_make(OWNER_ARENA, i, gen);
		atomic_store(&a->gen[i], gen);
	}
	change_end(a);
	pthread_mutex_unlock(&uffd.lock);
	return 1;
}

const struct change change_minor = {
	.name = "userfaultfd, minor",
	.open = minor_open,
	.step = minor_step,
	.close = uffd_close,
};
