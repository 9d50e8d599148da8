// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Huge pages from the pools that a machine has reserved.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fault.h"
#include "look.h"
#include "makers.h"
#include "setting.h"

#define POOL "/sys/kernel/mm/hugepages/hugepages-%zukB"

#define RW (PROT_READ | PROT_WRITE)

/* For messages: 2 MiB is 2 and 'M', 1 GiB is 1 and 'G'. */
static size_t count_of_unit(size_t size)
{
	return size / (size < GIB ? MIB : GIB);
}

static char unit_of(size_t size)
{
	return size < GIB ? 'M' : 'G';
}

int check_hugetlb_size(size_t size, const struct reason *why)
{
	char path[128];

	snprintf(path, sizeof(path), POOL, size / 1024);
	if (access(path, F_OK))
		return refuse(why, -EOPNOTSUPP,
			      "this machine has no huge pages of %zu %ciB (%s is missing)",
			      count_of_unit(size), unit_of(size), path);
	return 0;
}

static int read_pool(size_t page_size, const char *name, size_t *value)
{
	char path[128];

	snprintf(path, sizeof(path), POOL "/%s", page_size / 1024, name);
	return read_number(path, value);
}

#define POOL_REMEDY "reserve them with `echo %zu >" POOL "/nr_hugepages`, " \
		    "or boot with hugepagesz=%zu%c hugepages=%zu"

/* A pool that is too small is by far the most common reason, and gets a message of its own. */
static int refuse_hugetlb(const struct backing *b, size_t pages, int err, const struct reason *why)
{
	size_t size = b->page_size, total, unused, promised;

	if (err != -ENOMEM || read_pool(size, "nr_hugepages", &total) ||
	    read_pool(size, "free_hugepages", &unused) ||
	    read_pool(size, "resv_hugepages", &promised) || unused - promised >= pages)
		return refuse(why, err, "cannot map %zu huge pages of %zu %ciB: %s",
			      pages, count_of_unit(size), unit_of(size), strerror(-err));
	unused -= promised;
	total += pages - unused;
	return refuse(why, err,
		      "needs %zu free huge pages of %zu %ciB, and there are %zu; " POOL_REMEDY,
		      pages, count_of_unit(size), unit_of(size), unused, total, size / 1024,
		      count_of_unit(size), unit_of(size), total);
}

/* mmap() and memfd_create() have the same encoding of page sizes. */
static int size_flag(size_t page_size)
{
	return __builtin_ctzl(page_size) << MAP_HUGE_SHIFT;
}

int backing_hugetlb_file(size_t page_size, size_t len)
{
	int fd = memfd_create("hugetlb", MFD_CLOEXEC | MFD_HUGETLB | size_flag(page_size)), err;

	if (fd >= 0 && ftruncate(fd, len)) {
		err = errno;
		close(fd);
		errno = err;
		return -1;
	}
	return fd;
}

static int map_shared(const struct backing *b, size_t at, size_t len, int fd, size_t off)
{
	if (mmap(b->start + at, len, RW, MAP_SHARED | MAP_FIXED, fd, off) == MAP_FAILED)
		return -errno;
	return 0;
}

/* Each copy is a mapping of its own, and vm.max_map_count limits the mappings of a process. */
static int check_map_count(const struct backing *b, const struct reason *why)
{
	/* The mappings of program, libraries, stacks and heap. */
	const size_t others = 200;
	size_t copies = b->len / b->page_size, limit;

	if (read_number("/proc/sys/vm/max_map_count", &limit))
		return 0;
	if (copies + others > limit)
		return refuse(why, -ENOMEM,
			      "needs %zu mappings of one page and vm.max_map_count is %zu; set it with `sysctl vm.max_map_count=%zu`, or choose larger pages",
			      copies, limit, copies + others);
	return 0;
}

static int map_aliased(struct backing *b, const struct reason *why)
{
	int err = check_map_count(b, why);
	int fd;

	if (err)
		return err;
	fd = backing_hugetlb_file(b->page_size, b->page_size);
	if (fd < 0)
		return refuse_hugetlb(b, 1, -errno, why);
	for (size_t at = 0; at < b->len && !err; at += b->page_size)
		err = map_shared(b, at, b->page_size, fd, 0);
	close(fd);
	return err ? refuse_hugetlb(b, 1, err, why) : 0;
}

static int map_private(struct backing *b, const struct reason *why)
{
	int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_HUGETLB;

	if (mmap(b->start, b->len, RW, flags | size_flag(b->page_size), -1, 0) == MAP_FAILED)
		return refuse_hugetlb(b, b->len / b->page_size, -errno, why);
	return 0;
}

int make_hugetlb(struct backing *b, const struct backing_spec *spec, const struct reason *why)
{
	int err = spec->aliased ? map_aliased(b, why) : map_private(b, why);

	return err || spec->untouched ? err : fault_in_all(b, spec->shuffled, why);
}

/* Swap the pages of each pair that is physically contiguous. */
static int part_neighbours(struct backing *b, int fd, const struct reason *why)
{
	size_t size = b->page_size, at;
	uint64_t first, second;
	int err = 0;

	for (at = 0; at + size < b->len && !err; at += 2 * size) {
		err = look_pfns(b->start + at, 1, &first) ?:
		      look_pfns(b->start + at + size, 1, &second);
		if (!err && first + size / look_page_size() == second)
			err = map_shared(b, at, size, fd, at + size) ?:
			      map_shared(b, at + size, size, fd, at);
	}
	return err ? refuse(why, err, "cannot part huge pages that are adjacent: %s",
			    strerror(-err)) : 0;
}

static int check_parted(const struct backing *b, const struct reason *why)
{
	uint64_t last = 0, pfn;

	for (size_t at = 0; at < b->len; at += b->page_size) {
		if (look_pfns(b->start + at, 1, &pfn))
			return refuse(why, -EIO, "cannot see which huge pages are adjacent");
		if (at / b->page_size % 2 && pfn == last + b->page_size / look_page_size())
			return refuse(why, -EIO, "huge pages are adjacent at %zu MiB", at / MIB);
		last = pfn;
	}
	return 0;
}

int make_hugetlb_shared(struct backing *b, const struct backing_spec *spec,
			const struct reason *why)
{
	size_t pages = b->len / b->page_size;
	int fd = backing_hugetlb_file(b->page_size, b->len), err;

	if (fd < 0)
		return refuse_hugetlb(b, pages, -errno, why);
	err = map_shared(b, 0, b->len, fd, 0);
	if (err)
		err = refuse_hugetlb(b, pages, err, why);
	else
		err = fault_in_all(b, spec->shuffled, why) ?:
		      part_neighbours(b, fd, why) ?:
		      fault_in(b->start, b->len, why) ?:
		      check_parted(b, why);
	close(fd);
	return err;
}
