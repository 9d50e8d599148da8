// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Memory to register, of a chosen kind.
 *
 * Every backing is made in three steps: reserve aligned address space, map memory of the wanted
 * kind into it, fault it in. Alignment is to 2 MiB at least, whatever the kind: page tables of two
 * runs then look the same, and only the pages differ.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "backing.h"

#define __printf(format, args) __attribute__((__format__(printf, format, args)))
#define MIB ((size_t)1 << 20)
#define GIB ((size_t)1 << 30)
#define MIN_ALIGN (2 * MIB)
#define HUGEPAGES_DIR "/sys/kernel/mm/hugepages/hugepages-%zukB"
#define THP_DIR "/sys/kernel/mm/transparent_hugepage"

/* Where to write the sentence that says why there is no memory. */
struct reason {
	char *text;
	size_t len;
};

static const char *const kind_names[BACKING_NR_KINDS] = {
	[BACKING_4K]		= "4k",
	[BACKING_THP]		= "thp",
	[BACKING_HUGE2M]	= "huge2m",
	[BACKING_HUGE1G]	= "huge1g",
};

const char *backing_name(enum backing_kind kind)
{
	return kind_names[kind];
}

bool backing_is_hugetlb(enum backing_kind kind)
{
	return kind == BACKING_HUGE2M || kind == BACKING_HUGE1G;
}

/* Note why, and return @err so that a caller can do both in one statement. */
__printf(3, 4)
static int refuse(const struct reason *why, int err, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(why->text, why->len, format, args);
	va_end(args);
	return err;
}

static size_t round_up(size_t value, size_t to)
{
	return (value + to - 1) / to * to;
}

/* The first number in a small file of the kernel's. */
static int read_number(const char *path, size_t *value)
{
	FILE *file = fopen(path, "re");
	int err = 0;

	if (!file)
		return -errno;
	if (fscanf(file, "%zu", value) != 1)
		err = -EIO;
	fclose(file);
	return err;
}

/* The number after @key in @path, which has lines such as "MemAvailable:  1234 kB". */
static int read_keyed_number(const char *path, const char *key, size_t *value)
{
	FILE *file = fopen(path, "re");
	int err = -ENOENT;
	char line[256];

	if (!file)
		return -errno;
	while (err && fgets(line, sizeof(line), file))
		if (!strncmp(line, key, strlen(key)) &&
		    sscanf(line + strlen(key), ": %zu", value) == 1)
			err = 0;
	fclose(file);
	return err;
}

/* Page sizes. */

/* For messages: 2 MiB is 2 and 'M', 1 GiB is 1 and 'G'. */
static size_t count_of_unit(size_t size)
{
	return size / (size < GIB ? MIB : GIB);
}

static char unit_of(size_t size)
{
	return size < GIB ? 'M' : 'G';
}

static int thp_page_size(size_t *size, const struct reason *why)
{
	if (read_number(THP_DIR "/hpage_pmd_size", size))
		return refuse(why, -EOPNOTSUPP,
			      "this kernel has no transparent huge pages (" THP_DIR
			      " is missing); choose another backing");
	return 0;
}

static int hugetlb_page_size(size_t size, const struct reason *why)
{
	char path[128];

	snprintf(path, sizeof(path), HUGEPAGES_DIR, size / 1024);
	if (access(path, F_OK))
		return refuse(why, -EOPNOTSUPP,
			      "this machine has no huge pages of %zu %ciB (%s is missing)",
			      count_of_unit(size), unit_of(size), path);
	return 0;
}

static int find_page_size(enum backing_kind kind, size_t *size, const struct reason *why)
{
	switch (kind) {
	case BACKING_THP:
		return thp_page_size(size, why);
	case BACKING_HUGE2M:
		*size = 2 * MIB;
		return hugetlb_page_size(*size, why);
	case BACKING_HUGE1G:
		*size = GIB;
		return hugetlb_page_size(*size, why);
	default:
		*size = sysconf(_SC_PAGESIZE);
		return 0;
	}
}

/* Address space: reserve more than is needed, give back what sticks out. */

static int reserve_space(struct backing *b, const struct reason *why)
{
	size_t align = b->page_size > MIN_ALIGN ? b->page_size : MIN_ALIGN;
	size_t room = b->len + align, head;
	char *space;

	space = mmap(NULL, room, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (space == MAP_FAILED)
		return refuse(why, -errno, "cannot reserve %zu MiB of address space: %s",
			      room / MIB, strerror(errno));
	b->start = (char *)round_up((uintptr_t)space, align);
	head = b->start - space;
	if (head)
		munmap(space, head);
	munmap(b->start + b->len, align - head);
	return 0;
}

/* Anonymous memory. */

/*
 * Faulting in memory that is not there would wake the OOM killer. A sixteenth on top is for page
 * tables and for what the kernel allocates to register the memory.
 */
static int check_available(size_t len, const struct reason *why)
{
	size_t available_kib;

	if (read_keyed_number("/proc/meminfo", "MemAvailable", &available_kib))
		return 0;
	if (len / 1024 > available_kib - available_kib / 16)
		return refuse(why, -ENOMEM,
			      "needs %zu MiB of memory and %zu MiB are available; choose a smaller size",
			      len / MIB, available_kib / 1024);
	return 0;
}

static int map_anonymous(struct backing *b, const struct reason *why)
{
	int advice = b->kind == BACKING_THP ? MADV_HUGEPAGE : MADV_NOHUGEPAGE;
	int err = check_available(b->len, why);

	if (err)
		return err;
	if (mmap(b->start, b->len, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED)
		return refuse(why, -errno, "cannot map %zu MiB of memory: %s",
			      b->len / MIB, strerror(errno));
	/* A kernel without transparent huge pages rejects both; base pages is what it has. */
	if (madvise(b->start, b->len, advice) && b->kind == BACKING_THP)
		return refuse(why, -errno, "madvise(MADV_HUGEPAGE): %s", strerror(errno));
	return 0;
}

/* Reserved huge pages. */

static int read_pool(size_t page_size, const char *name, size_t *value)
{
	char path[128];

	snprintf(path, sizeof(path), HUGEPAGES_DIR "/%s", page_size / 1024, name);
	return read_number(path, value);
}

#define POOL_REMEDY "reserve them with `echo %zu >" HUGEPAGES_DIR "/nr_hugepages`, " \
		    "or boot with hugepagesz=%zu%c hugepages=%zu"

/* Tell a pool that is too small, by far the most common reason, from anything else. */
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

static int size_flag(size_t page_size)
{
	return __builtin_ctzl(page_size) << MAP_HUGE_SHIFT;
}

static int map_hugetlb(struct backing *b, const struct reason *why)
{
	int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_HUGETLB;

	if (mmap(b->start, b->len, PROT_READ | PROT_WRITE, flags | size_flag(b->page_size),
		 -1, 0) == MAP_FAILED)
		return refuse_hugetlb(b, b->len / b->page_size, -errno, why);
	return 0;
}

/* Every copy is a mapping of its own, and a process may have only so many. */
static int check_map_count(const struct backing *b, const struct reason *why)
{
	/* For program, libraries, stacks and heap. */
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

static int map_copies(struct backing *b, int fd, const struct reason *why)
{
	for (size_t at = 0; at < b->len; at += b->page_size)
		if (mmap(b->start + at, b->page_size, PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_FIXED, fd, 0) == MAP_FAILED)
			return refuse_hugetlb(b, 1, -errno, why);
	return 0;
}

static int map_aliased(struct backing *b, const struct reason *why)
{
	int err = check_map_count(b, why);
	int fd;

	if (err)
		return err;
	/* memfd_create() knows page sizes by the same encoding as mmap(). */
	fd = memfd_create("aliased", MFD_CLOEXEC | MFD_HUGETLB | size_flag(b->page_size));
	if (fd < 0)
		return refuse_hugetlb(b, 1, -errno, why);
	if (ftruncate(fd, b->page_size))
		err = refuse(why, -errno, "cannot size a memfd: %s", strerror(errno));
	else
		err = map_copies(b, fd, why);
	close(fd);
	return err;
}

/* Faulting in. As a system call, a page that cannot be had is an error and not a SIGBUS. */

static int fault_in(char *start, size_t len, const struct reason *why)
{
	if (!madvise(start, len, MADV_POPULATE_WRITE))
		return 0;
	if (errno == EINVAL)
		return refuse(why, -errno, "the kernel cannot populate memory, Linux 5.14 can");
	return refuse(why, -errno, "cannot fault in %zu bytes of memory: %s", len, strerror(errno));
}

/* Marsaglia's xorshift64: any order that is no order will do, and the same in every run. */
static uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

static void shuffle(size_t *order, size_t n)
{
	uint64_t state = 0x9e3779b97f4a7c15;
	size_t other, tmp;

	for (size_t i = 0; i < n; i++)
		order[i] = i;
	for (size_t i = n; i > 1; i--) {
		other = next_random(&state) % i;
		tmp = order[i - 1];
		order[i - 1] = order[other];
		order[other] = tmp;
	}
}

/*
 * The page allocator tends to hand out neighbours one after the other. Asked in random order, it
 * places them far apart in the region, and hardly two pages side by side in the region are
 * neighbours in memory.
 */
static int fault_in_shuffled(struct backing *b, const struct reason *why)
{
	size_t pages = b->len / b->page_size;
	size_t *order = calloc(pages, sizeof(*order));
	int err = 0;

	if (!order)
		return refuse(why, -ENOMEM, "no memory to shuffle %zu pages", pages);
	shuffle(order, pages);
	for (size_t i = 0; i < pages && !err; i++)
		err = fault_in(b->start + order[i] * b->page_size, b->page_size, why);
	free(order);
	return err;
}

int backing_map(struct backing *b, const struct backing_spec *spec, char *why_text, size_t why_len)
{
	const struct reason why = { why_text, why_len };
	int err;

	b->kind = spec->kind;
	err = find_page_size(spec->kind, &b->page_size, &why);
	if (err)
		return err;
	/* Half the address space is far beyond any machine, and leaves room for rounding. */
	if (spec->size > SIZE_MAX / 2)
		return refuse(&why, -ENOMEM, "%zu bytes do not fit into the address space",
			      spec->size);
	b->len = round_up(spec->size, b->page_size);
	err = reserve_space(b, &why);
	if (err)
		return err;

	if (spec->aliased)
		err = map_aliased(b, &why);
	else if (backing_is_hugetlb(spec->kind))
		err = map_hugetlb(b, &why);
	else
		err = map_anonymous(b, &why);
	if (!err && spec->shuffled)
		err = fault_in_shuffled(b, &why);
	else if (!err && !spec->untouched)
		err = fault_in(b->start, b->len, &why);
	if (err)
		backing_unmap(b);
	return err;
}

void backing_unmap(struct backing *b)
{
	munmap(b->start, b->len);
	b->start = NULL;
}

/*
 * /proc/self/smaps is a series of mappings: a line "start-end perms ...", then lines "Key: value".
 * Our region is a mapping of its own, or part of one that the kernel merged with a neighbour of the
 * same kind; then the percentage is bounded by 100.
 */
int backing_thp_percent(const struct backing *b)
{
	unsigned long start = (unsigned long)b->start, end = start + b->len;
	FILE *file = fopen("/proc/self/smaps", "re");
	size_t huge_kib = 0, kib;
	unsigned long from, to;
	bool ours = false;
	char line[512];

	if (!file)
		return -errno;
	while (fgets(line, sizeof(line), file)) {
		if (sscanf(line, "%lx-%lx ", &from, &to) == 2)
			ours = from < end && to > start;
		else if (ours && sscanf(line, "AnonHugePages: %zu", &kib) == 1)
			huge_kib += kib;
	}
	fclose(file);
	if (huge_kib > b->len / 1024)
		return 100;
	return huge_kib * 100 / (b->len / 1024);
}
