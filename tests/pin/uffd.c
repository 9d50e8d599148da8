// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Memory under userfaultfd's write protection is pinned for reading. For the pin, pages of
 * a private mapping of a file are copied. This must not need a write fault, which nobody
 * would answer.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/userfaultfd.h>

#include "cases.h"
#include "device.h"
#include "kinds.h"
#include "test.h"

#define LEN (2 * SZ_2M)
/* Seconds that a test may take: a pin could wait for an answer without end. */
#define PATIENCE_S 20

struct uffd_case {
	const char *name;
	size_t off;
	size_t len;
	bool touched;		/* the file's pages are mapped */
	bool protected;
};

static const struct uffd_case cases[] = {
	{ "one-page", 5 * SZ_4K, SZ_4K, true, true },
	{ "last-page-alone-in-its-table", SZ_2M - SZ_4K, 2 * SZ_4K, true, true },
	{ "all", 0, LEN, true, true },
	{ "untouched", 0, LEN, false, true },
	{ "not-protected", 0, LEN, false, false },
};

static int open_uffd(void)
{
	struct uffdio_api api = {
		.api = UFFD_API,
		.features = UFFD_FEATURE_WP_HUGETLBFS_SHMEM | UFFD_FEATURE_WP_UNPOPULATED,
	};
	int fd = syscall(SYS_userfaultfd, O_CLOEXEC);

	if (fd < 0 || ioctl(fd, UFFDIO_API, &api))
		die("userfaultfd with write protection of files: %m");
	return fd;
}

static int arm(int fd, void *addr, bool protected)
{
	struct uffdio_register reg = {
		.range = { .start = (uintptr_t)addr, .len = LEN },
		.mode = UFFDIO_REGISTER_MODE_WP,
	};
	struct uffdio_writeprotect wp = {
		.range = reg.range,
		.mode = UFFDIO_WRITEPROTECT_MODE_WP,
	};

	if (ioctl(fd, UFFDIO_REGISTER, &reg))
		return fail("UFFDIO_REGISTER: %m");
	if (protected && ioctl(fd, UFFDIO_WRITEPROTECT, &wp))
		return fail("UFFDIO_WRITEPROTECT: %m");
	return PASSED;
}

static int test_write_protected(const void *arg)
{
	const struct uffd_case *c = arg;
	struct phyr_test_pin pin;
	struct layout l;
	int fd, err;

	device_open();
	layout_open(&l, LEN);
	err = layout_map(&l, 0, LEN, layout_memfd(&l, LEN, true), 0, false,
			 PROT_READ | PROT_WRITE);
	if (!err && c->touched)
		layout_read(&l, 0, LEN);
	fd = open_uffd();
	err = err ?: arm(fd, l.addr, c->protected);
	if (!err) {
		err = device_pin(l.addr + c->off, c->len, false, &pin) ?:
		      device_unpin(pin.id, false);
		if (err)
			err = fail("pin and unpin: %s", errno_name(err));
	}
	err = err ?: layout_verify(&l, "the process");
	close(fd);
	layout_close(&l);
	return err;
}

static int test_uffd(const void *arg)
{
	return test_in_child_for(test_write_protected, arg, PATIENCE_S);
}

void add_uffd(void)
{
	const struct uffd_case *c;

	for (c = cases; c < cases + ARRAY_SIZE(cases); c++)
		test_add(test_uffd, c, "uffd-wp/%s", c->name);
}
