// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * A region can have UINT_MAX pages, which is 16 TiB less a page. One page more is EINVAL, whatever
 * is mapped there. Exactly UINT_MAX pages are pinned, or fail for another reason. Each page counts
 * that a region touches, so a region that begins and ends inside pages may have one too many.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "limits_cases.h"

#define P		SZ_4K
#define MOST		((size_t)UINT_MAX * P)
#define SPACE		(16 * TIB + 2 * GIB)
#define NR_HUGE		3	/* pages of 1 GiB, or each would get more pins than it can have */

static int attempt(char *addr, size_t len, int access)
{
	struct ibv_mr *mr;

	errno = 0;
	mr = ibv_reg_mr(dev.pd, addr, len, access);
	if (!mr)
		return errno ?: ENODATA;
	return ibv_dereg_mr(mr);
}

/* --- memory that is not mapped ------------------------------------------------------------ */

static const struct pages_case {
	const char *name;
	size_t off, len;
	int expect;
} pages_cases[] = {
	{ "most", 0, MOST, EFAULT },
	{ "most-but-a-byte", 0, MOST - 1, EFAULT },
	{ "one-byte-more", 0, MOST + 1, EINVAL },
	{ "one-page-more", 0, MOST + P, EINVAL },
	{ "much-more", 0, MOST + GIB, EINVAL },
	{ "starts-in-page", 1, MOST - 1, EFAULT },
	{ "starts-in-page-one-byte-more", 1, MOST, EINVAL },
	{ "both-ends-in-pages", P - 1, MOST - P + 2, EINVAL },
	{ "both-ends-in-pages-most", P - 1, MOST - 2 * P + 2, EFAULT },
};

/* The first page is mapped, so that something is pinned before the rest fails. */
static int test_pages(const void *arg)
{
	const struct pages_case *c = arg;
	size_t map_len;
	void *map;
	char *mem = map_reserve(SPACE, P, &map, &map_len);
	int err = map_fixed(mem, P, RW, ANON, -1, 0), is;

	if (!err) {
		memset(mem, 1, P);
		is = attempt(mem + c->off, c->len, WRITABLE);
		diag("result pages-%s: %s", c->name, errno_name(is));
		if (is != c->expect)
			err = fail("%s, expected %s", errno_name(is), errno_name(c->expect));
	}
	munmap(map, map_len);
	return err;
}

/* --- memory that is mapped ---------------------------------------------------------------- */

static int map_all(char *mem, int fd)
{
	size_t i;
	int err = PASSED;

	for (i = 0; i < SPACE / GIB && !err; i++)
		err = map_fixed(mem + i * GIB, GIB, RW, MAP_SHARED, fd, i % NR_HUGE * GIB);
	if (!err && madvise(mem, SPACE, MADV_POPULATE_WRITE))
		err = fail("no %d free huge pages of 1 GiB: %m", NR_HUGE);
	return err;
}

static int register_most(char *mem)
{
	struct pins before = pins_read(), with;
	struct ibv_mr *mr = mr_reg(mem, MOST, WRITABLE);
	int err = PASSED;

	if (!mr)
		return FAILED;
	with = pins_read();
	if (with.machine - before.machine != UINT_MAX)
		err = fail("%ld pages are pinned", with.machine - before.machine);
	if (with.vmpin_kb - before.vmpin_kb != (long)(MOST / KIB))
		err = fail("VmPin is %ld kB more", with.vmpin_kb - before.vmpin_kb);
	return mr_dereg(&mr) ?: err;
}

/* No machine has so many pages, so we map a few pages of 1 GiB again and again. */
static int test_most_mapped(const void *arg)
{
	size_t map_len;
	void *map;
	char *mem;
	int fd, err;

	(void)arg;
	if (on_stock)
		return skip("stock refuses more than 1 GiB");
	fd = hugetlb_memfd(GIB, NR_HUGE * GIB);
	if (fd < 0)
		return FAILED;
	mem = map_reserve(SPACE, GIB, &map, &map_len);
	err = map_all(mem, fd) ?: register_most(mem);
	if (!err && attempt(mem, MOST + 1, WRITABLE) != EINVAL)
		err = fail("a byte more is not EINVAL");
	munmap(map, map_len);
	close(fd);
	return err;
}

void pages_add_tests(void)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(pages_cases); i++)
		test_add(test_pages, &pages_cases[i], "pages, %s", pages_cases[i].name);
	test_add(test_most_mapped, NULL, "pages, UINT_MAX that are mapped");
}
