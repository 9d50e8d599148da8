// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Memory for tests; see memory.h for the story.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "memory.h"
#include "pattern.h"
#include "test.h"

void *map_reserve(size_t len, size_t align, void **map, size_t *map_len)
{
	void *start = backing_reserve(len, align, map, map_len);

	if (!start)
		die("cannot reserve %zu bytes of address space: %m", *map_len);
	return start;
}

int map_fixed(void *addr, size_t len, int prot, int flags, int fd, off_t off)
{
	if (mmap(addr, len, prot, flags | MAP_FIXED, fd, off) == MAP_FAILED)
		return fail("mmap of %zu bytes failed: %m", len);
	return PASSED;
}

int hugetlb_memfd(size_t page_size, size_t len)
{
	int fd = backing_hugetlb_file(page_size, len);

	if (fd < 0)
		fail("no memfd of %zu bytes in %zu KiB pages: %m", len, page_size / KIB);
	return fd;
}

/* Ends the program if one of the kernel's files cannot be read. */
static void must(int err, const char *file)
{
	if (err < 0)
		die("cannot read %s: %s", file, strerror(-err));
}

void phys_pfns(const void *addr, size_t pages, uint64_t *pfn)
{
	must(look_pfns(addr, pages, pfn), "/proc/self/pagemap");
}

uint64_t phys_pfn(const void *addr)
{
	uint64_t pfn;

	phys_pfns(addr, 1, &pfn);
	return pfn;
}

void phys_flags(const uint64_t *pfn, size_t pages, uint64_t *flags)
{
	must(look_flags(pfn, pages, flags), "/proc/kpageflags");
}

int phys_runs(const void *addr, size_t len, struct runs *runs)
{
	int err = look_runs(addr, len, runs);

	if (err == -ENODATA)
		return fail("a page is not present, or its PFN is hidden");
	must(err, "/proc/self/pagemap");
	return PASSED;
}

long smaps_kb(const void *addr, size_t len, const char *field)
{
	long kib = look_smaps_kib(addr, len, field);

	must(kib, "/proc/self/smaps");
	return kib;
}

bool smaps_flag(const void *addr, const char *flag)
{
	int has = look_smaps_flag(addr, flag);

	must(has, "/proc/self/smaps");
	return has;
}

int memory_map(enum backing_kind kind, char *addr, size_t len)
{
	char why[512];

	return backing_map_at(kind, addr, len, why, sizeof(why)) ? fail("%s", why) : PASSED;
}

int buf_open(struct buf *buf, enum backing_kind kind, size_t len)
{
	/* A 1 GiB page is mapped twice, side by side. */
	bool huge1g = kind == BACKING_HUGE1G;
	struct backing_spec spec = {
		.kind = kind, .size = huge1g ? 2 * GIB : len, .aliased = huge1g, .exact = true,
	};
	struct backing memory;
	char why[512];

	*buf = (struct buf){ .backing = kind, .len = len };
	if (backing_map(&memory, &spec, why, sizeof(why)))
		return fail("%zu KiB of %s: %s", len / KIB, backing_name(kind), why);
	buf->addr = huge1g ? memory.start + GIB - len / 2 : memory.start;
	buf->map = memory.map;
	buf->map_len = memory.map_len;
	return PASSED;
}

void buf_close(struct buf *buf)
{
	if (buf->map)
		munmap(buf->map, buf->map_len);
	buf->map = NULL;
}

void buf_fill(struct buf *buf, uint16_t seed)
{
	buf->seed = seed;
	pattern_fill(buf->addr, seed, 0, buf->len);
}

int buf_check(const struct buf *buf)
{
	return pattern_check(backing_name(buf->backing), buf->addr, buf->seed, 0, buf->len);
}
