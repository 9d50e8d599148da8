// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Memory to register, of a chosen kind.
 *
 * Every backing but malloc()'s is made in three steps: reserve aligned address space, map memory of
 * the wanted kind into it, fault it in. Alignment is to 2 MiB at least, whatever the kind: page
 * tables of two runs then look the same, and only the pages differ.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
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
#define MTHP_DIR THP_DIR "/hugepages-%zukB"
#define MTHP_SMALLEST ((size_t)16 << 10)
#define MIN_THP ((size_t)8 << 10)

/* Where to write the sentence that says why there is no memory. */
struct reason {
	char *text;
	size_t len;
};

static const char *const kind_names[BACKING_NR_KINDS] = {
	[BACKING_4K]		= "4k",
	[BACKING_MALLOC]	= "malloc",
	[BACKING_MTHP16K]	= "mthp16k",
	[BACKING_MTHP32K]	= "mthp32k",
	[BACKING_MTHP64K]	= "mthp64k",
	[BACKING_MTHP128K]	= "mthp128k",
	[BACKING_MTHP256K]	= "mthp256k",
	[BACKING_MTHP512K]	= "mthp512k",
	[BACKING_MTHP1M]	= "mthp1m",
	[BACKING_THP]		= "thp",
	[BACKING_HUGE2M]	= "huge2m",
	[BACKING_HUGE1G]	= "huge1g",
};

const char *backing_name(enum backing_kind kind)
{
	return kind_names[kind];
}

enum backing_kind backing_find(const char *name)
{
	enum backing_kind kind = 0;

	while (kind < BACKING_NR_KINDS && strcmp(name, kind_names[kind]))
		kind++;
	return kind;
}

bool backing_is_mthp(enum backing_kind kind)
{
	return kind >= BACKING_MTHP16K && kind <= BACKING_MTHP1M;
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

/* Linux has had them since 6.8, not all sizes on all machines. */
static int check_mthp_size(size_t size, const struct reason *why)
{
	char path[128];

	snprintf(path, sizeof(path), MTHP_DIR, size / 1024);
	if (access(path, F_OK))
		return refuse(why, -EOPNOTSUPP,
			      "this kernel has no transparent huge pages of %zu KiB (%s is missing)",
			      size / 1024, path);
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
	case BACKING_4K:
	case BACKING_MALLOC:
		*size = sysconf(_SC_PAGESIZE);
		return 0;
	default:
		*size = MTHP_SMALLEST << (kind - BACKING_MTHP16K);
		return check_mthp_size(*size, why);
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
	int advice = b->kind == BACKING_4K ? MADV_NOHUGEPAGE : MADV_HUGEPAGE;
	int err = check_available(b->len, why);

	if (err)
		return err;
	if (mmap(b->start, b->len, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED)
		return refuse(why, -errno, "cannot map %zu MiB of memory: %s",
			      b->len / MIB, strerror(errno));
	/* A kernel without transparent huge pages rejects both; base pages is what it has. */
	if (madvise(b->start, b->len, advice) && b->kind != BACKING_4K)
		return refuse(why, -errno, "madvise(MADV_HUGEPAGE): %s", strerror(errno));
	return 0;
}

/*
 * Aligned to a page, as programs that use RDMA have it, and not more. (Stock Soft-RoCE takes 1 GiB
 * only if it begins with a page.)
 */
static int map_malloc(struct backing *b, bool untouched, const struct reason *why)
{
	int err = check_available(b->len, why);

	if (err)
		return err;
	b->start = aligned_alloc(b->page_size, b->len);
	if (!b->start)
		return refuse(why, -ENOMEM, "aligned_alloc() has no %zu MiB of memory",
			      b->len / MIB);
	if (!untouched)
		memset(b->start, 1, b->len);
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

static int fault_in_all(struct backing *b, bool shuffled, const struct reason *why)
{
	return shuffled ? fault_in_shuffled(b, why) : fault_in(b->start, b->len, why);
}

/*
 * mTHP. Each size has a file "enabled"; of the sizes that it finds enabled for a mapping, a page
 * fault takes the largest. So for a moment ours alone is enabled, for mappings that ask.
 */

#define MAX_THP_SIZES 32

struct thp_setting {
	char path[128];
	char was[16];
};

/* Such a file reads "always inherit [madvise] never". */
static int read_setting(struct thp_setting *setting)
{
	FILE *file = fopen(setting->path, "re");
	int err = -ENOENT;
	char word[16];

	if (!file)
		return -errno;
	while (err && fscanf(file, "%15s", word) == 1)
		if (sscanf(word, "[%15[a-z]", setting->was) == 1)
			err = 0;
	fclose(file);
	return err;
}

static int write_setting(const char *path, const char *value)
{
	FILE *file = fopen(path, "we");
	int err = 0;

	if (!file)
		return -errno;
	fputs(value, file);
	if (fclose(file))
		err = -errno;
	return err;
}

static void restore_settings(const struct thp_setting *settings, size_t nr)
{
	while (nr--)
		if (write_setting(settings[nr].path, settings[nr].was))
			fprintf(stderr, "cannot restore %s; it was %s\n", settings[nr].path,
				settings[nr].was);
}

/* Returns how many settings were changed, or -errno with nothing changed. */
static int enable_only(size_t page_size, struct thp_setting *settings)
{
	size_t size, nr = 0;
	int err;

	for (size = MIN_THP; size && nr < MAX_THP_SIZES; size *= 2) {
		struct thp_setting *setting = &settings[nr];

		snprintf(setting->path, sizeof(setting->path), MTHP_DIR "/enabled", size / 1024);
		if (access(setting->path, F_OK))
			continue;
		err = read_setting(setting);
		if (!err)
			err = write_setting(setting->path, size == page_size ? "madvise" : "never");
		if (err) {
			restore_settings(settings, nr);
			return err;
		}
		nr++;
	}
	return nr;
}

static int fault_in_mthp(struct backing *b, bool shuffled, const struct reason *why)
{
	struct thp_setting settings[MAX_THP_SIZES];
	int nr = enable_only(b->page_size, settings), err;

	if (nr < 0)
		return refuse(why, nr,
			      "cannot set which transparent huge pages there are, in " MTHP_DIR
			      "/enabled: %s; run as root",
			      b->page_size / 1024, strerror(-nr));
	err = fault_in_all(b, shuffled, why);
	restore_settings(settings, nr);
	/* Else khugepaged might make larger pages of them. */
	if (!err && madvise(b->start, b->len, MADV_NOHUGEPAGE))
		err = refuse(why, -errno, "madvise(MADV_NOHUGEPAGE): %s", strerror(errno));
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
	if (spec->kind == BACKING_MALLOC)
		return map_malloc(b, spec->untouched, &why);
	err = reserve_space(b, &why);
	if (err)
		return err;

	if (spec->aliased)
		err = map_aliased(b, &why);
	else if (backing_is_hugetlb(spec->kind))
		err = map_hugetlb(b, &why);
	else
		err = map_anonymous(b, &why);
	if (!err && backing_is_mthp(spec->kind))
		err = fault_in_mthp(b, spec->shuffled, &why);
	else if (!err && !spec->untouched)
		err = fault_in_all(b, spec->shuffled, &why);
	if (err)
		backing_unmap(b);
	return err;
}

void backing_unmap(struct backing *b)
{
	if (b->kind == BACKING_MALLOC)
		free(b->start);
	else
		munmap(b->start, b->len);
	b->start = NULL;
}

/*
 * /proc/self/smaps is a series of mappings: a line "start-end perms ...", then lines "Key: value".
 * Our region is a mapping of its own, or part of one that the kernel merged with a neighbour of the
 * same kind; then the percentage is bounded by 100.
 */
static int thp_percent(const struct backing *b)
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

/*
 * /proc/kpageflags has 64 bits of flags for each page frame; a folio is a head and its tails.
 */

#define FLAG_HEAD (1ull << 15)
#define FLAG_TAIL (1ull << 16)
#define MTHP_PAGES_MAX 256

/* True if the page frames from @pfn on are a folio of exactly @pages. */
static bool is_folio(int flags_fd, uint64_t pfn, size_t pages)
{
	uint64_t flags[MTHP_PAGES_MAX + 1];
	size_t i;
	ssize_t got;

	/* With the one behind it, unless there is no more memory. */
	got = pread(flags_fd, flags, (pages + 1) * sizeof(*flags), pfn * sizeof(*flags));
	if (got < (ssize_t)(pages * sizeof(*flags)) || !(flags[0] & FLAG_HEAD))
		return false;
	for (i = 1; i < pages; i++)
		if (!(flags[i] & FLAG_TAIL))
			return false;
	return got <= (ssize_t)(pages * sizeof(*flags)) || !(flags[pages] & FLAG_TAIL);
}

/* True if the memory at @start is one folio, mapped from its beginning to its end. */
static bool is_mapped_folio(int map_fd, int flags_fd, const char *start, size_t pages)
{
	const uint64_t present = 1ull << 63, pfn_mask = (1ull << 55) - 1;
	size_t base = sysconf(_SC_PAGESIZE), i;
	uint64_t entry[MTHP_PAGES_MAX];

	if (pread(map_fd, entry, pages * sizeof(*entry),
		  (uintptr_t)start / base * sizeof(*entry)) != (ssize_t)(pages * sizeof(*entry)))
		return false;
	for (i = 0; i < pages; i++)
		if (!(entry[i] & present) ||
		    (entry[i] & pfn_mask) != (entry[0] & pfn_mask) + i)
			return false;
	return is_folio(flags_fd, entry[0] & pfn_mask, pages);
}

static int mthp_percent(const struct backing *b)
{
	int map_fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	int flags_fd = open("/proc/kpageflags", O_RDONLY | O_CLOEXEC);
	size_t pages = b->page_size / sysconf(_SC_PAGESIZE), folios = 0, at;
	int err = map_fd < 0 || flags_fd < 0 ? -errno : 0;

	for (at = 0; !err && at < b->len; at += b->page_size)
		folios += is_mapped_folio(map_fd, flags_fd, b->start + at, pages);
	if (map_fd >= 0)
		close(map_fd);
	if (flags_fd >= 0)
		close(flags_fd);
	return err ?: (int)(folios * 100 / (b->len / b->page_size));
}

int backing_percent(const struct backing *b)
{
	if (b->kind == BACKING_THP)
		return thp_percent(b);
	return backing_is_mthp(b->kind) ? mthp_percent(b) : 100;
}
