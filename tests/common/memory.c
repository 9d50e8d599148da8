// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Memory of a chosen kind; see memory.h for the story.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <linux/memfd.h>

#include "memory.h"
#include "pattern.h"
#include "test.h"

const char *const backing_name[BACKING_COUNT] = {
	[BACKING_4K] = "4k",
	[BACKING_FRAG] = "frag",
	[BACKING_THP] = "thp",
	[BACKING_THP_PTE] = "thp-pte",
	[BACKING_HUGE2M] = "huge2m",
	[BACKING_HUGE1G] = "huge1g",
	[BACKING_MIXED] = "mixed",
};

/*
 * Address space without memory; addr is aligned, and some of the reservation lies on either side of
 * [addr, addr + len). Exits if there is none.
 */
void *map_reserve(size_t len, size_t align, void **map, size_t *map_len)
{
	char *p;

	*map_len = len + 2 * align;
	p = mmap(NULL, *map_len, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (p == MAP_FAILED)
		die("cannot reserve %zu bytes of address space: %m", *map_len);
	*map = p;
	return (void *)(((uintptr_t)p + align) & ~(align - 1));
}

int map_fixed(void *addr, size_t len, int prot, int flags, int fd, off_t off)
{
	if (mmap(addr, len, prot, flags | MAP_FIXED, fd, off) == MAP_FAILED)
		return fail("mmap of %zu bytes failed: %m", len);
	return PASSED;
}

int hugetlb_memfd(size_t page_size, size_t len)
{
	int log2 = __builtin_ctzl(page_size);
	int fd = memfd_create("phyr-test", MFD_CLOEXEC | MFD_HUGETLB | log2 << MFD_HUGE_SHIFT);

	if (fd < 0) {
		fail("memfd_create with %zu KiB pages failed: %m", page_size / KIB);
		return -1;
	}
	if (ftruncate(fd, len)) {
		fail("ftruncate of a memfd with %zu KiB pages failed: %m", page_size / KIB);
		close(fd);
		return -1;
	}
	return fd;
}

void phys_pfns(const void *addr, size_t pages, uint64_t *pfn)
{
	/* Of this process: not one that a forked child has from its parent. */
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	size_t i;

	if (fd < 0 ||
	    pread(fd, pfn, pages * 8, (uintptr_t)addr / SZ_4K * 8) != (ssize_t)(pages * 8))
		die("cannot read /proc/self/pagemap: %m");
	close(fd);
	/* Bit 63: present. Bits 0 to 54: the PFN, zero without CAP_SYS_ADMIN. */
	for (i = 0; i < pages; i++)
		pfn[i] = pfn[i] >> 63 ? pfn[i] & ((1ULL << 55) - 1) : 0;
}

uint64_t phys_pfn(const void *addr)
{
	uint64_t pfn;

	phys_pfns(addr, 1, &pfn);
	return pfn;
}

void phys_flags(const uint64_t *pfn, size_t pages, uint64_t *flags)
{
	static int fd = -1;
	size_t i, n;

	if (fd < 0)
		fd = open("/proc/kpageflags", O_RDONLY | O_CLOEXEC);
	for (i = 0; i < pages; i += n) {
		for (n = 1; i + n < pages && pfn[i + n] == pfn[i] + n; n++)
			;
		if (fd < 0 || pread(fd, flags + i, n * 8, pfn[i] * 8) != (ssize_t)(n * 8))
			die("cannot read /proc/kpageflags: %m");
	}
}

int phys_runs(const void *addr, size_t len, struct runs *runs)
{
	static uint64_t pfn[1024];
	const char *page = (const char *)((uintptr_t)addr & ~(SZ_4K - 1));
	size_t left = ((uintptr_t)addr % SZ_4K + len + SZ_4K - 1) / SZ_4K, run = 0, n, i;
	uint64_t last = 0;

	*runs = (struct runs){};
	for (; left; left -= n, page += n * SZ_4K) {
		n = left < ARRAY_SIZE(pfn) ? left : ARRAY_SIZE(pfn);
		phys_pfns(page, n, pfn);
		for (i = 0; i < n; i++) {
			if (!pfn[i])
				return fail("a page is not present, or its PFN is hidden");
			if (!run || pfn[i] != last + 1) {
				runs->count++;
				run = 0;
			}
			run += SZ_4K;
			last = pfn[i];
			if (run > runs->largest)
				runs->largest = run;
		}
	}
	return PASSED;
}

long smaps_kb(const void *addr, size_t len, const char *field)
{
	uintptr_t first = (uintptr_t)addr, end = first + len, lo = 0, hi = 0, a, b;
	size_t n = strlen(field);
	char line[512];
	long kb = 0;
	FILE *f = fopen("/proc/self/smaps", "r");

	if (!f)
		die("cannot read /proc/self/smaps: %m");
	while (fgets(line, sizeof(line), f)) {
		/* A field's name may begin like a hexadecimal number ("Anonymous"): demand "-". */
		if (sscanf(line, "%" SCNxPTR "-%" SCNxPTR " ", &a, &b) == 2) {
			lo = a;
			hi = b;
		} else if (lo >= first && hi <= end && !strncmp(line, field, n) &&
			   line[n] == ':') {
			kb += strtol(line + n + 1, NULL, 10);
		}
	}
	fclose(f);
	return kb;
}

bool smaps_flag(const void *addr, const char *flag)
{
	uintptr_t at = (uintptr_t)addr, a, b;
	bool inside = false, has = false;
	char line[512], word[8];
	FILE *f = fopen("/proc/self/smaps", "r");

	if (!f)
		die("cannot read /proc/self/smaps: %m");
	snprintf(word, sizeof(word), " %s ", flag);
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%" SCNxPTR "-%" SCNxPTR " ", &a, &b) == 2)
			inside = at >= a && at < b;
		else if (inside && !strncmp(line, "VmFlags:", 8))
			has = strstr(line, word);
	}
	fclose(f);
	return has;
}

static void touch(char *addr, size_t len, size_t step)
{
	size_t i;

	for (i = 0; i < len; i += step)
		addr[i] = 1;
}

static int map_4k(char *addr, size_t len)
{
	int err = map_fixed(addr, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (err)
		return err;
	if (madvise(addr, len, MADV_NOHUGEPAGE))
		return fail("MADV_NOHUGEPAGE: %m");
	/* Populate in one call: cheaper than a fault for every page. */
	if (madvise(addr, len, MADV_POPULATE_WRITE))
		return fail("cannot get %zu MiB of base pages: %m", len / MIB);
	return PASSED;
}

static int map_frag(char *addr, size_t len)
{
	size_t n = len / SZ_4K, i, j, tmp, *order;
	struct runs runs;
	int err, fd;

	fd = memfd_create("phyr-test-frag", MFD_CLOEXEC);
	if (fd < 0 || ftruncate(fd, len))
		return fail("memfd: %m");
	order = calloc(n, sizeof(*order));
	if (!order)
		die("out of memory");
	for (i = 0; i < n; i++)
		order[i] = i;
	/* First in file order, else the order of the faults would be that of the pages. */
	err = map_fixed(addr, len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (!err)
		touch(addr, len, SZ_4K);
	for (i = n - 1; i; i--) {
		j = random_u64() % (i + 1);
		tmp = order[i];
		order[i] = order[j];
		order[j] = tmp;
	}
	for (i = 0; i < n && !err; i++)
		err = map_fixed(addr + i * SZ_4K, SZ_4K, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
				order[i] * SZ_4K);
	free(order);
	close(fd);
	if (err)
		return err;
	touch(addr, len, SZ_4K);
	err = phys_runs(addr, len, &runs);
	if (!err && runs.count < n * 9 / 10)
		err = fail("the fragmented memory is not: %zu runs of %zu pages", runs.count, n);
	return err;
}

static int map_thp(char *addr, size_t len)
{
	int err = map_fixed(addr, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	size_t off;

	if (err)
		return err;
	if (madvise(addr, len, MADV_HUGEPAGE))
		return fail("MADV_HUGEPAGE: %m");
	for (off = 0; off < len; off += SZ_2M) {
		touch(addr + off, 1, 1);
		/* The fault takes a base page when no huge one is at hand; then insist. */
		if (madvise(addr + off, SZ_2M, MADV_COLLAPSE))
			return fail("no transparent huge page at %zu MiB of %zu: %m", off / MIB,
				    len / MIB);
	}
	if (smaps_kb(addr, len, "AnonHugePages") * KIB != len)
		return fail("only %ld kB of %zu kB are transparent huge pages",
			    smaps_kb(addr, len, "AnonHugePages"), len / KIB);
	return PASSED;
}

static int map_thp_pte(char *addr, size_t len)
{
	struct runs runs;
	size_t off;
	int err = map_thp(addr, len);

	if (err)
		return err;
	/*
	 * Else khugepaged, which wakes up when a process asks for huge pages, joins again what has
	 * been split.
	 */
	if (madvise(addr, len, MADV_NOHUGEPAGE))
		return fail("MADV_NOHUGEPAGE: %m");
	/* Changing one page's permission splits the PMD, and leaves the folio whole. */
	for (off = 0; off < len; off += SZ_2M)
		if (mprotect(addr + off + 7 * SZ_4K, SZ_4K, PROT_READ) ||
		    mprotect(addr + off + 7 * SZ_4K, SZ_4K, PROT_READ | PROT_WRITE))
			return fail("mprotect: %m");
	if (smaps_kb(addr, len, "AnonHugePages"))
		return fail("transparent huge pages still mapped by PMDs after mprotect");
	err = phys_runs(addr, len, &runs);
	if (!err && runs.count > len / SZ_2M)
		err = fail("PTE-mapped huge pages in %zu pieces", runs.count);
	return err;
}

/* Pairs of 2 MiB pages, in that order in which they are not physically adjacent. */
static int map_huge2m(char *addr, size_t len)
{
	size_t off, last_pfn = 0;
	int fd = hugetlb_memfd(SZ_2M, len), err;

	if (fd < 0)
		return FAILED;
	err = map_fixed(addr, len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (!err && madvise(addr, len, MADV_POPULATE_WRITE))
		err = fail("no %zu free huge pages of 2 MiB: %m", len / SZ_2M);
	for (off = 0; off + SZ_2M < len && !err; off += 2 * SZ_2M) {
		if (phys_pfn(addr + off) + SZ_2M / SZ_4K != phys_pfn(addr + off + SZ_2M))
			continue;
		err = map_fixed(addr + off, SZ_2M, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
				off + SZ_2M) ?:
		      map_fixed(addr + off + SZ_2M, SZ_2M, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
				off);
	}
	close(fd);
	if (err)
		return err;
	touch(addr, len, SZ_2M);
	for (off = 0; off < len; off += SZ_2M) {
		if (off / SZ_2M % 2 && phys_pfn(addr + off) == last_pfn + SZ_2M / SZ_4K)
			return fail("2 MiB pages are adjacent at %zu MiB", off / MIB);
		last_pfn = phys_pfn(addr + off);
	}
	return PASSED;
}

static int map_mixed(char *addr, size_t len)
{
	static int (*const parts[])(char *addr, size_t len) = {
		map_4k, map_thp, map_huge2m, map_frag,
	};
	size_t i;
	int err = PASSED;

	for (i = 0; i < len / SZ_2M && !err; i++)
		err = parts[i % ARRAY_SIZE(parts)](addr + i * SZ_2M, SZ_2M);
	return err;
}

/* One 1 GiB page mapped twice, side by side; the window lies over the seam. */
static int open_huge1g(struct buf *buf, size_t len)
{
	char *addr = map_reserve(2 * GIB, GIB, &buf->map, &buf->map_len);
	int fd = hugetlb_memfd(GIB, GIB), err;

	if (fd < 0)
		return FAILED;
	err = map_fixed(addr, GIB, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) ?:
	      map_fixed(addr + GIB, GIB, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (err)
		return err;
	if (madvise(addr, 2 * GIB, MADV_POPULATE_WRITE))
		return fail("no free huge page of 1 GiB: %m");
	buf->addr = addr + GIB - len / 2;
	return PASSED;
}

int memory_map(enum backing backing, char *addr, size_t len)
{
	static int (*const fill[BACKING_COUNT])(char *addr, size_t len) = {
		[BACKING_4K] = map_4k,
		[BACKING_FRAG] = map_frag,
		[BACKING_THP] = map_thp,
		[BACKING_THP_PTE] = map_thp_pte,
		[BACKING_HUGE2M] = map_huge2m,
		[BACKING_MIXED] = map_mixed,
	};

	return fill[backing](addr, len);
}

int buf_open(struct buf *buf, enum backing backing, size_t len)
{
	int err;

	*buf = (struct buf){ .backing = backing, .len = len };
	if (backing == BACKING_HUGE1G) {
		err = open_huge1g(buf, len);
	} else {
		buf->addr = map_reserve(len, SZ_2M, &buf->map, &buf->map_len);
		err = memory_map(backing, buf->addr, len);
	}
	if (err)
		buf_close(buf);
	return err;
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
	return pattern_check(backing_name[buf->backing], buf->addr, buf->seed, 0, buf->len);
}
