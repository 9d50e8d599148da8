// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * A program that serves the page faults of its own memory, as a virtual machine's monitor does
 * after a migration (userfaultfd): another of its threads has the bytes of each page. A
 * registration touches all pages. It must wait for each page, ask for it once, and register what
 * was served. If the program asks for errors instead (UFFD_FEATURE_SIGBUS), the registration fails
 * as stock's does, and nobody gets a signal.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/userfaultfd.h>

#include "case.h"

/* Enough for a second thread to help with. */
#define LEN	(16 * MIB)
#define PAGES	(LEN / SZ_4K)

static const struct kind {
	const char *name;
	int flags;
	bool protected;		/* there are no pages to serve, but each one's first write */
} kinds[] = {
	{ "anonymous memory", ANON, false },
	{ "shared memory", MAP_SHARED | MAP_ANONYMOUS, false },
	{ "write-protected memory", ANON, true },
};

struct server {
	pthread_t thread;
	int uffd;
	char *memory;
	atomic_uint served;
	atomic_bool stop;
};

static void fill_page(char *page, size_t number)
{
	memset(page, 1 + number % 255, SZ_4K);
}

static bool serve_missing(struct server *server, char *page)
{
	char bytes[SZ_4K];
	struct uffdio_copy copy = {
		.dst = (uintptr_t)page, .src = (uintptr_t)bytes, .len = SZ_4K,
	};

	fill_page(bytes, (page - server->memory) / SZ_4K);
	return !ioctl(server->uffd, UFFDIO_COPY, &copy);
}

static bool serve_write(struct server *server, char *page)
{
	struct uffdio_writeprotect allow = {
		.range = { .start = (uintptr_t)page, .len = SZ_4K },
	};

	return !ioctl(server->uffd, UFFDIO_WRITEPROTECT, &allow);
}

static void *serve(void *arg)
{
	struct server *server = arg;
	struct pollfd poller = { .fd = server->uffd, .events = POLLIN };
	struct uffd_msg message;
	bool served;
	char *page;

	while (!atomic_load(&server->stop)) {
		if (poll(&poller, 1, 50) <= 0 ||
		    read(server->uffd, &message, sizeof(message)) != sizeof(message))
			continue;
		page = (char *)(uintptr_t)(message.arg.pagefault.address & -SZ_4K);
		served = message.arg.pagefault.flags & UFFD_PAGEFAULT_FLAG_WP ?
			 serve_write(server, page) : serve_missing(server, page);
		if (served)
			atomic_fetch_add(&server->served, 1);
	}
	return NULL;
}

/* The memory's faults are the server's from now on. */
static int take_over(struct server *server, const struct kind *kind, uint64_t features)
{
	struct uffdio_api api = { .api = UFFD_API, .features = features };
	struct uffdio_register area = {
		.mode = kind->protected ? UFFDIO_REGISTER_MODE_WP : UFFDIO_REGISTER_MODE_MISSING,
	};
	struct uffdio_writeprotect protect = { .mode = UFFDIO_WRITEPROTECT_MODE_WP };

	server->memory = mmap(NULL, LEN, RW, kind->flags, -1, 0);
	server->uffd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	if (server->memory == MAP_FAILED || server->uffd < 0 ||
	    ioctl(server->uffd, UFFDIO_API, &api))
		return fail("userfaultfd: %m");
	area.range = (struct uffdio_range){ (uintptr_t)server->memory, LEN };
	protect.range = area.range;
	if (ioctl(server->uffd, UFFDIO_REGISTER, &area) ||
	    (kind->protected && ioctl(server->uffd, UFFDIO_WRITEPROTECT, &protect)))
		return fail("userfaultfd: %m");
	return PASSED;
}

static void give_up(struct server *server)
{
	close(server->uffd);
	munmap(server->memory, LEN);
}

static int check_bytes(const struct server *server, bool protected)
{
	char page[SZ_4K];
	size_t i;

	memset(page, 0, sizeof(page));
	for (i = 0; i < PAGES; i++) {
		if (!protected)
			fill_page(page, i);
		if (memcmp(server->memory + i * SZ_4K, page, SZ_4K))
			return fail("page %zu has other bytes", i);
	}
	return PASSED;
}

/* Not all of all, as an emulated machine serves some hundred pages a second. */
static const struct test {
	const char *mode;
	const struct kind *kind;
} tests[] = {
	{ "never", &kinds[0] },
	{ "never", &kinds[1] },
	{ "madvise", &kinds[0] },
	{ "madvise", &kinds[2] },
};

static int test_served(const void *arg)
{
	const struct test *test = arg;
	struct server server = { .uffd = -1 };
	struct ibv_mr *mr;
	int err;

	knob_set(&thp, test->mode);
	err = take_over(&server, test->kind, test->kind->protected ?
			UFFD_FEATURE_PAGEFAULT_FLAG_WP | UFFD_FEATURE_WP_UNPOPULATED : 0);
	if (err)
		return err;
	if (pthread_create(&server.thread, NULL, serve, &server))
		return fail("no thread: %m");
	mr = mr_reg(server.memory, LEN, ACCESS_ALL);
	atomic_store(&server.stop, true);
	pthread_join(server.thread, NULL);
	err = mr ? check_bytes(&server, test->kind->protected) : FAILED;
	if (!err && server.served != PAGES)
		err = fail("%u of %lu pages were served", server.served, PAGES);
	if (mr)
		err = mr_dereg(&mr) ?: err;
	give_up(&server);
	return err;
}

static int test_nobody(const void *arg)
{
	const struct test *test = arg;
	struct server server = { .uffd = -1 };
	struct ibv_mr *mr;
	int err;

	knob_set(&thp, test->mode);
	err = take_over(&server, test->kind, UFFD_FEATURE_SIGBUS);
	if (err)
		return err;
	mr = ibv_reg_mr(dev.pd, server.memory, LEN, ACCESS_ALL);
	if (mr)
		err = mr_dereg(&mr) ?: fail("it was registered");
	else if (errno != EFAULT)
		err = fail("%s in place of EFAULT", errno_name(errno));
	else if (present(server.memory, LEN))
		err = fail("%zu KiB are there", present(server.memory, LEN) / KIB);
	give_up(&server);
	return err;
}

int main(int argc, char **argv)
{
	const struct test *test;

	case_start("A program serves the page faults of its memory.", 240, argc, argv);
	for (test = tests; test < tests + ARRAY_SIZE(tests); test++) {
		test_add(test_served, test, "%s, huge pages %s", test->kind->name, test->mode);
		if (!test->kind->protected)
			test_add(test_nobody, test, "%s, huge pages %s, nobody serves",
				 test->kind->name, test->mode);
	}
	return test_run();
}
