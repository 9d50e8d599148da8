// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Requests that must be refused. phyr must return the same error as stock, also if several things
 * are wrong, and nothing may stay charged or pinned.
 *
 * A test tries each case some times under stock, then under phyr. Both must return the error that
 * this file expects, or the same one if it expects none. Some cases run in a child with limits.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/udmabuf.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "rights.h"
#include "umem.h"

enum { PAGES = 64, TIMES = 8 };

/* Types of buffer descriptors, from uverbs; others are unknown. */
enum { TYPE_DMABUF = 0, TYPE_VA = 1, TYPE_UNKNOWN = 77 };

/*
 * The memory that cases are about, which is mapped once. Behind the pages at "good", which can be
 * read and written, there is a hole ("none").
 */
static char *good;
static char *none, *no_access, *read_only, *file;
static int udmabuf = -1;

struct error_case {
	const char *name;
	char *const *at;	/* or NULL: the address is off itself */
	size_t off, len;
	int access;
	int expect;
	/* The limit of a child without CAP_IPC_LOCK. */
	enum { NO_LIMIT, LIMIT_64K, LIMIT_NOTHING } limit;
};

static const struct error_case cases[] = {
	{ "good", &good, 0, PAGES * SZ_4K, WRITABLE, 0, NO_LIMIT },
	{ "no byte", &good, 0, 0, WRITABLE, EINVAL, NO_LIMIT },
	{ "no byte inside a page", &good, 3, 0, WRITABLE, 0, NO_LIMIT },
	{ "no byte inside no memory", &none, 3, 0, WRITABLE, EFAULT, NO_LIMIT },
	{ "address 0", NULL, 0, SZ_4K, WRITABLE, EFAULT, NO_LIMIT },
	{ "wraps around", NULL, -SZ_4K, 2 * SZ_4K, WRITABLE, EINVAL, NO_LIMIT },
	{ "wraps around as pages", NULL, -SZ_4K, SZ_4K - 1, WRITABLE, EINVAL, NO_LIMIT },
	{ "all there is", NULL, 0, SIZE_MAX, WRITABLE, EINVAL, NO_LIMIT },
	{ "2^32 pages", &good, 0, SZ_4K << 32, WRITABLE, EINVAL, NO_LIMIT },
	{ "the kernel's memory", NULL, 0xffff888000000000, SZ_4K, READABLE, EFAULT, NO_LIMIT },
	{ "not canonical", NULL, 1UL << 62, SZ_4K, READABLE, EFAULT, NO_LIMIT },
	{ "no memory", &none, 0, SZ_4K, READABLE, EFAULT, NO_LIMIT },
	{ "no memory behind", &good, SZ_4K, PAGES * SZ_4K, WRITABLE, EFAULT, NO_LIMIT },
	{ "no memory before", &none, PAGES * SZ_4K - 1, 2, WRITABLE, EFAULT, NO_LIMIT },
	{ "no access", &no_access, 0, SZ_4K, READABLE, EFAULT, NO_LIMIT },
	{ "read-only, to write", &read_only, 0, SZ_4K, WRITABLE, EFAULT, NO_LIMIT },
	{ "read-only, to read", &read_only, 0, SZ_4K, READABLE, 0, NO_LIMIT },
	{ "shared file, to write", &file, 0, SZ_4K, WRITABLE, EFAULT, NO_LIMIT },
	{ "shared file, to read", &file, 0, SZ_4K, READABLE, 0, NO_LIMIT },
	{ "on demand", &good, 0, SZ_4K, WRITABLE | ON_DEMAND, EOPNOTSUPP, NO_LIMIT },
	{ "on demand, no byte", &good, 0, 0, WRITABLE | ON_DEMAND, EOPNOTSUPP, NO_LIMIT },
	{ "on demand, wraps around", NULL, -1, 2, WRITABLE | ON_DEMAND, EINVAL, NO_LIMIT },
	{ "within the limit", &good, 0, 16 * SZ_4K, WRITABLE, 0, LIMIT_64K },
	{ "over the limit", &good, 0, 17 * SZ_4K, WRITABLE, ENOMEM, LIMIT_64K },
	{ "over the limit by two bytes", &good, SZ_4K - 1, 15 * SZ_4K + 2, WRITABLE, ENOMEM,
	  LIMIT_64K },
	{ "over the limit, no memory", &none, 0, 17 * SZ_4K, WRITABLE, ENOMEM, LIMIT_64K },
	{ "within the limit, no memory", &none, 0, SZ_4K, WRITABLE, EFAULT, LIMIT_64K },
	{ "limit of nothing", &good, 0, SZ_4K, WRITABLE, EPERM, LIMIT_NOTHING },
	{ "limit of nothing, on demand", &good, 0, SZ_4K, ON_DEMAND, EPERM, LIMIT_NOTHING },
	{ "limit of nothing, wraps around", NULL, -1, 2, WRITABLE, EINVAL, LIMIT_NOTHING },
};

/* Buffer descriptors. Only newer kernels have them; on others all cases are EOPNOTSUPP. */
static const struct desc_case {
	const char *name;
	uint32_t type, flags;
	int *fd;
	size_t len;
	int expect;		/* -1: the same as stock */
} desc_cases[] = {
	{ "addresses", TYPE_VA, 0, NULL, SZ_4K, 0 },
	{ "addresses, no byte", TYPE_VA, 0, NULL, 0, EINVAL },
	{ "flags", TYPE_VA, ~0U, NULL, SZ_4K, EINVAL },
	{ "flags of a dma-buf", TYPE_DMABUF, ~0U, NULL, SZ_4K, EINVAL },
	{ "unknown type", TYPE_UNKNOWN, 0, NULL, SZ_4K, EINVAL },
	{ "dma-buf without", TYPE_DMABUF, 0, NULL, SZ_4K, EBADF },
	{ "dma-buf", TYPE_DMABUF, 0, &udmabuf, SZ_4K, 0 },
	{ "dma-buf, too long", TYPE_DMABUF, 0, &udmabuf, SZ_4K << 20, -1 },
};

/* Returns 0 or an errno, or FAILED if it is not the same each time. */
static int get_and_release(struct phyr_umem_test_get ask)
{
	struct phyr_umem_test_get get;
	int i, err, first = 0;

	for (i = 0; i < TIMES; i++) {
		get = ask;
		err = umem_get(&get);
		if (!err && umem_release(get.id))
			return FAILED;
		if (i && err != first)
			return fail("try %d: %s, the first was %s", i, errno_name(err),
				    first ? "refused otherwise" : "accepted");
		first = err;
	}
	return first;
}

static struct phyr_umem_test_get ask_for(const struct error_case *c)
{
	return umem_request((c->at ? *c->at : NULL) + c->off, c->len, c->access);
}

static void obey_limit(const struct error_case *c)
{
	struct rlimit limit = { .rlim_max = RLIM_INFINITY };

	limit.rlim_cur = c->limit == LIMIT_64K ? 64 * KIB : 0;
	if (setrlimit(RLIMIT_MEMLOCK, &limit) || drop_ipc_lock())
		_exit(255);
}

/* A child has a copy of our memory. Its exit status is the errno. */
static int in_child(const struct error_case *c)
{
	pid_t pid = fork();
	int status;

	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		obey_limit(c);
		status = get_and_release(ask_for(c));
		_exit(status < 0 || vmpin_kb() ? 255 : status);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return fail("fork: %m");
	if (!WIFEXITED(status) || WEXITSTATUS(status) == 255)
		return fail("the child failed, or has memory charged at its end");
	return WEXITSTATUS(status);
}

static int try(const struct error_case *c)
{
	return c->limit ? in_child(c) : get_and_release(ask_for(c));
}

static int try_desc(const struct desc_case *c)
{
	struct phyr_umem_test_get get = umem_request(good, c->len, WRITABLE);

	get.descriptor = 1;
	get.desc_type = c->type;
	get.desc_flags = c->flags;
	get.desc_fd = c->fd ? *c->fd : -1;
	if (c->type == TYPE_DMABUF)
		get.addr = 0;	/* the offset in the dma-buf */
	return get_and_release(get);
}

static int judge(const char *name, int stock, int phyr, int expect)
{
	if (stock < 0 || phyr < 0)
		return fail("%s", name);
	if (stock != phyr)
		return fail("%s: stock says %d, phyr %d (%s)", name, stock, phyr, errno_name(phyr));
	if (expect >= 0 && stock != expect)
		return fail("%s: %s", name, errno_name(stock));
	return PASSED;
}

static char *map_pages(int prot, int flags, int fd)
{
	char *p = mmap(NULL, PAGES * SZ_4K, prot, flags, fd, 0);

	if (p == MAP_FAILED)
		die("mmap: %m");
	return p;
}

static void map_places(void)
{
	int fd = ext4_file(PAGES * SZ_4K);
	void *map;
	size_t len;

	if (fd < 0)
		die("no file");
	file = map_pages(RW, MAP_SHARED, fd);
	close(fd);
	no_access = map_pages(PROT_NONE, ANON, -1);
	read_only = map_pages(RW, ANON, -1);
	memset(read_only, 1, PAGES * SZ_4K);
	if (mprotect(read_only, PAGES * SZ_4K, PROT_READ))
		die("mprotect: %m");
	good = map_reserve(2 * PAGES * SZ_4K, SZ_4K, &map, &len);
	none = good + PAGES * SZ_4K;
	if (map_fixed(good, PAGES * SZ_4K, RW, ANON, -1, 0) || munmap(none, PAGES * SZ_4K))
		die("cannot map memory with a hole behind: %m");
	memset(good, 1, PAGES * SZ_4K);
}

/* Stock comes first. */
static int begin(void)
{
	if (!good)
		map_places();
	return patch_set(false);
}

/*
 * The device has too few addresses to map memory that was pinned already. This is the last step
 * that can fail.
 */
static int try_without_room(void)
{
	struct phyr_umem_test_get get = umem_request(good, PAGES * SZ_4K, WRITABLE);

	get.dma_bits = __builtin_ctzl(PAGES * SZ_4K) - 1;
	return get_and_release(get);
}

static int test_errors(const void *arg)
{
	int stock[ARRAY_SIZE(cases)], err = PASSED;
	size_t i;

	(void)arg;
	if (begin())
		return FAILED;
	for (i = 0; i < ARRAY_SIZE(cases); i++)
		stock[i] = try(&cases[i]);
	if (patch_set(true))
		return FAILED;
	for (i = 0; i < ARRAY_SIZE(cases); i++)
		if (judge(cases[i].name, stock[i], try(&cases[i]), cases[i].expect))
			err = FAILED;
	return err;
}

/* Make a dma-buf of this process's memory. */
static int make_udmabuf(void)
{
	int control = open("/dev/udmabuf", O_RDWR | O_CLOEXEC);
	struct udmabuf_create create = { .size = 16 * SZ_4K };

	if (control < 0)
		return fail("/dev/udmabuf: %m");
	create.memfd = memfd_create("umem", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (ftruncate(create.memfd, create.size) ||
	    fcntl(create.memfd, F_ADD_SEALS, F_SEAL_SHRINK))
		return fail("memfd: %m");
	udmabuf = ioctl(control, UDMABUF_CREATE, &create);
	close(control);
	close(create.memfd);
	return udmabuf < 0 ? fail("UDMABUF_CREATE: %m") : PASSED;
}

static bool desc_applies(const struct desc_case *c)
{
	/* A device without DMA cannot attach to a dma-buf, and the kernel warns if it tries. */
	return !(c->fd && !pci_device);
}

static int test_descriptors(const void *arg)
{
	int stock[ARRAY_SIZE(desc_cases)], err = PASSED, phyr;
	const struct desc_case *c;
	size_t i;

	(void)arg;
	if (begin())
		return FAILED;
	if (try_desc(&desc_cases[0]) == EOPNOTSUPP)
		return skip("this kernel has no buffer descriptors");
	if (pci_device && make_udmabuf())
		return FAILED;
	for (i = 0; i < ARRAY_SIZE(desc_cases); i++)
		if (desc_applies(&desc_cases[i]))
			stock[i] = try_desc(&desc_cases[i]);
	if (patch_set(true))
		return FAILED;
	for (i = 0, c = desc_cases; i < ARRAY_SIZE(desc_cases); i++, c++) {
		if (!desc_applies(c))
			continue;
		phyr = try_desc(c);
		if (judge(c->name, stock[i], phyr, c->expect))
			err = FAILED;
		else if (c->expect < 0)
			diag("%s: %s", c->name, errno_name(phyr));
	}
	if (udmabuf >= 0)
		close(udmabuf);
	udmabuf = -1;
	return err;
}

static int test_no_room(const void *arg)
{
	int stock;

	(void)arg;
	if (begin())
		return FAILED;
	stock = try_without_room();
	return patch_set(true) ?: judge("no room", stock, try_without_room(), ENOMEM);
}

/* A livepatch of a function that drivers do not call must not load. */
static int test_wrong_function(const void *arg)
{
	int err;

	(void)arg;
	if (patch_set(false))
		return FAILED;
	err = patch_load("phyr_umem_wrong");
	if (err != EOPNOTSUPP)
		return fail("loading it ends with %s, should be EOPNOTSUPP", errno_name(err));
	if (!access("/sys/kernel/livepatch/phyr_umem_wrong", F_OK))
		return fail("the kernel has the livepatch, but should not");
	return PASSED;
}

void errors_add_tests(void)
{
	test_add(test_wrong_function, NULL, "a patch of the wrong function");
	test_add(test_errors, NULL, "errors");
	if (pci_device)
		test_add(test_no_room, NULL, "no room for DMA");
	test_add(test_descriptors, NULL, "errors by descriptor");
}
