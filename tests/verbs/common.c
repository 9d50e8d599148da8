// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Shared parts of the libibverbs test programs; see common.h for the story.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <linux/memfd.h>

#include "common.h"

#define WC_TIMEOUT_MS	20000.0

/* --- tests -------------------------------------------------------------------------------- */

struct test {
	test_fn fn;
	const void *arg;
	char *name;
};

static struct test *tests;
static int test_count;
static char **filters;
static int filter_count;
static bool list_only;
static const struct program *program;
static const char *current = "(start)";
static char detail[1024];	/* why the running test failed or was skipped */
static char note[256];

static int record(const char *fmt, va_list ap, int result)
{
	size_t n = strlen(detail);

	if (n)
		n += snprintf(detail + n, sizeof(detail) - n, "; ");
	if (n < sizeof(detail))
		vsnprintf(detail + n, sizeof(detail) - n, fmt, ap);
	return result;
}

int fail(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	record(fmt, ap, FAILED);
	va_end(ap);
	return FAILED;
}

int skip(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	record(fmt, ap, SKIPPED);
	va_end(ap);
	return SKIPPED;
}

void remark(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(note, sizeof(note), fmt, ap);
	va_end(ap);
}

void diag(const char *fmt, ...)
{
	va_list ap;

	fputs("# ", stdout);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
}

void die(const char *fmt, ...)
{
	va_list ap;

	fprintf(stderr, "%s: ", program_invocation_short_name);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	exit(2);
}

static bool selected(const char *name)
{
	int i;

	for (i = 0; i < filter_count; i++)
		if (strstr(name, filters[i]))
			return true;
	return !filter_count;
}

void test_add(test_fn fn, const void *arg, const char *fmt, ...)
{
	struct test t = { .fn = fn, .arg = arg };
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&t.name, fmt, ap) < 0)
		die("out of memory");
	va_end(ap);
	if (!selected(t.name)) {
		free(t.name);
		return;
	}
	tests = reallocarray(tests, test_count + 1, sizeof(*tests));
	if (!tests)
		die("out of memory");
	tests[test_count++] = t;
}

static void watchdog(int sig)
{
	static const char text[] = "\nBail out! a test hung: ";

	(void)sig;
	if (write(STDOUT_FILENO, text, sizeof(text) - 1) < 0 ||
	    write(STDOUT_FILENO, current, strlen(current)) < 0 ||
	    write(STDOUT_FILENO, "\n", 1) < 0)
		_exit(3);
	_exit(1);
}

static int check_pins(const struct pins *before)
{
	struct pins after = pins_read();

	if (after.machine != before->machine)
		return fail("page pins not balanced: %+ld (nr_foll_pin_acquired - _released)",
			    after.machine - before->machine);
	if (after.vmpin_kb != before->vmpin_kb)
		return fail("VmPin was %ld kB and is %ld kB", before->vmpin_kb, after.vmpin_kb);
	return PASSED;
}

static int run_one(int number, const struct test *t)
{
	struct pins before = pins_read();
	double start = now_ms();
	int result, balanced;

	current = t->name;
	detail[0] = '\0';
	note[0] = '\0';
	alarm(program->watchdog_s);
	result = t->fn(t->arg);
	balanced = check_pins(&before);
	alarm(0);

	if (result == FAILED || balanced == FAILED) {
		printf("not ok %d %s - %s\n", number, t->name, detail);
		result = FAILED;
		if (program->recover && program->recover())
			die("cannot recover from the failure of %s: %s", t->name, detail);
	} else if (result == SKIPPED) {
		printf("ok %d %s # SKIP %s\n", number, t->name, detail);
	} else if (note[0]) {
		printf("ok %d %s # %s\n", number, t->name, note);
	} else {
		printf("ok %d %s\n", number, t->name);
	}
	if (now_ms() - start > 5000)
		diag("%s took %.1f s", t->name, (now_ms() - start) / 1000);
	return result;
}

/* Exit status: 0 if no test failed. */
int test_run(void)
{
	int i, failed = 0;

	if (!test_count)
		die("no test matches; -l lists them");
	if (list_only) {
		for (i = 0; i < test_count; i++)
			puts(tests[i].name);
		return 0;
	}
	signal(SIGALRM, watchdog);
	printf("1..%d\n", test_count);
	for (i = 0; i < test_count; i++)
		failed += run_one(i + 1, &tests[i]) == FAILED;
	if (failed)
		diag("%d of %d failed", failed, test_count);
	return failed != 0;
}

double now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1e3 + ts.tv_nsec / 1e6;
}

const char *errno_name(int err)
{
	static char unknown[24];
	const char *name = strerrorname_np(err);

	if (!err)
		return "ok";
	/* Two names, one value: ours is the one that the kernel's sources use. */
	if (err == EOPNOTSUPP)
		return "EOPNOTSUPP";
	if (name)
		return name;
	snprintf(unknown, sizeof(unknown), "errno-%d", err);
	return unknown;
}

/* --- pins --------------------------------------------------------------------------------- */

static long field_of(const char *path, const char *key)
{
	char line[256];
	size_t n = strlen(key);
	long value = -1;
	FILE *f = fopen(path, "r");

	if (!f)
		die("cannot read %s: %m", path);
	while (fgets(line, sizeof(line), f)) {
		if (!strncmp(line, key, n) && (line[n] == ' ' || line[n] == ':')) {
			value = strtol(line + n + 1, NULL, 10);
			break;
		}
	}
	fclose(f);
	if (value < 0)
		die("%s has no %s: this kernel cannot tell how many pages are pinned", path, key);
	return value;
}

struct pins pins_read(void)
{
	struct pins pins;
	int fd;

	/* Every CPU keeps a part of the counters to itself; this folds them in. */
	fd = open("/proc/sys/vm/stat_refresh", O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, "1", 1) != 1)
		die("cannot write /proc/sys/vm/stat_refresh: %m; run as root");
	close(fd);
	pins.machine = field_of("/proc/vmstat", "nr_foll_pin_acquired") -
		       field_of("/proc/vmstat", "nr_foll_pin_released");
	pins.vmpin_kb = field_of("/proc/self/status", "VmPin");
	return pins;
}

/* --- pattern ------------------------------------------------------------------------------ */

/*
 * word = mix(seed << 48 | index of the word). mix() is a bijection, so a word found in the wrong
 * place can be traced to where it belongs.
 */
#define MIX_MUL		0x9e3779b97f4a7c15ULL
#define MIX_SHIFT	32

static inline uint64_t pattern_word(uint16_t seed, uint64_t index)
{
	uint64_t x = ((uint64_t)seed << 48 | index) * MIX_MUL;

	return x ^ x >> MIX_SHIFT;
}

static void pattern_unmix(uint64_t word, unsigned int *seed, uint64_t *index)
{
	uint64_t x = word ^ word >> MIX_SHIFT;
	uint64_t inverse = MIX_MUL;
	int i;

	/* Newton's iteration for the inverse modulo 2^64. */
	for (i = 0; i < 6; i++)
		inverse *= 2 - MIX_MUL * inverse;
	x *= inverse;
	*seed = x >> 48;
	*index = x & ((1ULL << 48) - 1);
}

/* The 8 bytes of the pattern at off, for off, off + 8, ...: each mixes one new word only. */
struct pattern {
	uint16_t seed;
	unsigned int shift;	/* bits */
	uint64_t index;
	uint64_t word;
};

static inline struct pattern pattern_start(uint16_t seed, uint64_t off)
{
	struct pattern p = { .seed = seed, .shift = off % 8 * 8, .index = off / 8 };

	p.word = pattern_word(seed, p.index);
	return p;
}

static inline uint64_t pattern_next(struct pattern *p)
{
	uint64_t low = p->word;

	p->word = pattern_word(p->seed, ++p->index);
	return p->shift ? low >> p->shift | p->word << (64 - p->shift) : low;
}

void pattern_fill(void *dst, uint16_t seed, uint64_t off, size_t len)
{
	struct pattern p = pattern_start(seed, off);
	char *to = dst;
	uint64_t word;

	for (; len >= 8; to += 8, len -= 8) {
		word = pattern_next(&p);
		memcpy(to, &word, 8);
	}
	if (len) {
		word = pattern_next(&p);
		memcpy(to, &word, len);
	}
}

/* How many bytes agree, rounded down to a multiple of 8 unless all do. */
static size_t pattern_agrees(const char *is, uint16_t seed, uint64_t off, size_t len)
{
	struct pattern p = pattern_start(seed, off);
	uint64_t word, should;
	size_t done;

	for (done = 0; done + 8 <= len; done += 8) {
		memcpy(&word, is + done, 8);
		if (word != pattern_next(&p))
			return done;
	}
	should = pattern_next(&p);
	return memcmp(is + done, &should, len - done) ? done : len;
}

static int pattern_mismatch(const char *what, const unsigned char *is, unsigned char should,
			    size_t at, size_t len, uint64_t off)
{
	unsigned int seed;
	uint64_t word, index;
	size_t i;

	/* Is it a piece of some other place of a pattern? Try all alignments. */
	for (i = 0; i < 8 && at + i + 8 <= len; i++) {
		memcpy(&word, is + at + i, 8);
		pattern_unmix(word, &seed, &index);
		if (seed < 256 && index < TIB)
			return fail("%s: byte %zu of %zu (pattern offset %" PRIu64
				    ") is 0x%02x, should be 0x%02x; there is what belongs to offset %"
				    PRIu64 " of seed %u",
				    what, at, len, off + at, is[at], should, index * 8 - i, seed);
	}
	return fail("%s: byte %zu of %zu (pattern offset %" PRIu64 ") is 0x%02x, should be 0x%02x",
		    what, at, len, off + at, is[at], should);
}

int pattern_check(const char *what, const void *p, uint16_t seed, uint64_t off, size_t len)
{
	size_t done = pattern_agrees(p, seed, off, len);
	unsigned char should[8];
	const unsigned char *is = p;
	size_t i = 0;

	if (done == len)
		return PASSED;
	pattern_fill(should, seed, off + done, sizeof(should));
	while (is[done + i] == should[i])
		i++;
	return pattern_mismatch(what, is, should[i], done + i, len, off);
}

int zero_check(const char *what, const void *p, size_t len)
{
	const unsigned char *c = p;
	size_t i;

	for (i = 0; i < len; i++)
		if (c[i])
			return fail("%s: byte %zu of %zu is 0x%02x, should be 0", what, i, len,
				    c[i]);
	return PASSED;
}

uint64_t random_u64(void)
{
	static uint64_t x = 0x2545f4914f6cdd1dULL;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return x;
}

/* --- memory ------------------------------------------------------------------------------- */

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

uint64_t phys_pfn(const void *addr)
{
	static int fd = -1;
	uint64_t entry;

	if (fd < 0)
		fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	if (fd < 0 || pread(fd, &entry, 8, (uintptr_t)addr / SZ_4K * 8) != 8)
		die("cannot read /proc/self/pagemap: %m");
	/* Bit 63: present. Bits 0 to 54: the PFN, zero without CAP_SYS_ADMIN. */
	return entry >> 63 ? entry & ((1ULL << 55) - 1) : 0;
}

int phys_runs(const void *addr, size_t len, struct runs *runs)
{
	static uint64_t entry[1024];
	uintptr_t page = (uintptr_t)addr / SZ_4K, end = ((uintptr_t)addr + len - 1) / SZ_4K + 1;
	uint64_t pfn, last = 0;
	size_t run = 0, n, i;
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);

	*runs = (struct runs){};
	if (fd < 0)
		die("cannot open /proc/self/pagemap: %m");
	while (page < end) {
		n = end - page < ARRAY_SIZE(entry) ? end - page : ARRAY_SIZE(entry);
		if (pread(fd, entry, n * 8, page * 8) != (ssize_t)(n * 8))
			die("cannot read /proc/self/pagemap: %m");
		page += n;
		for (i = 0; i < n; i++) {
			pfn = entry[i] & ((1ULL << 55) - 1);
			if (!(entry[i] >> 63) || !pfn) {
				close(fd);
				return fail("a page is not present, or its PFN is hidden");
			}
			if (!run || pfn != last + 1) {
				runs->count++;
				run = 0;
			}
			run += SZ_4K;
			last = pfn;
			if (run > runs->largest)
				runs->largest = run;
		}
	}
	close(fd);
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

int buf_open(struct buf *buf, enum backing backing, size_t len)
{
	static int (*const fill[BACKING_COUNT])(char *addr, size_t len) = {
		[BACKING_4K] = map_4k,
		[BACKING_FRAG] = map_frag,
		[BACKING_THP] = map_thp,
		[BACKING_THP_PTE] = map_thp_pte,
		[BACKING_HUGE2M] = map_huge2m,
		[BACKING_MIXED] = map_mixed,
	};
	int err;

	*buf = (struct buf){ .backing = backing, .len = len };
	if (backing == BACKING_HUGE1G) {
		err = open_huge1g(buf, len);
	} else {
		buf->addr = map_reserve(len, SZ_2M, &buf->map, &buf->map_len);
		err = fill[backing](buf->addr, len);
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

/* --- device ------------------------------------------------------------------------------- */

struct device dev = { .name = "rxe0", .gid_index = 1 };

static void device_open(void)
{
	struct ibv_device **list, *found = NULL;
	int n, i;

	list = ibv_get_device_list(&n);
	if (!list)
		die("cannot list RDMA devices: %m");
	for (i = 0; i < n; i++)
		if (!strcmp(ibv_get_device_name(list[i]), dev.name))
			found = list[i];
	if (!found)
		die("there is no RDMA device %s among %d; see `rdma link` and option -d",
		    dev.name, n);
	dev.ctx = ibv_open_device(found);
	if (!dev.ctx)
		die("cannot open %s: %m", dev.name);
	ibv_free_device_list(list);
	if (ibv_query_device_ex(dev.ctx, NULL, &dev.attr))
		die("cannot query %s: %m", dev.name);
	if (ibv_query_port(dev.ctx, 1, &dev.port))
		die("cannot query port 1 of %s: %m", dev.name);
	if (dev.port.state != IBV_PORT_ACTIVE)
		die("port 1 of %s is not active", dev.name);
	if (ibv_query_gid(dev.ctx, 1, dev.gid_index, &dev.gid))
		die("%s has no GID %d: %m; see option -g", dev.name, dev.gid_index);
	dev.pd = ibv_alloc_pd(dev.ctx);
	if (!dev.pd)
		die("cannot allocate a protection domain on %s: %m", dev.name);
}

struct ibv_mr *mr_reg(void *addr, size_t len, int access)
{
	struct ibv_mr *mr = ibv_reg_mr(dev.pd, addr, len, access);

	if (!mr)
		fail("ibv_reg_mr of %zu bytes, access 0x%x: %s", len, access, errno_name(errno));
	return mr;
}

/* Safe to call for a region that was never registered. */
int mr_dereg(struct ibv_mr **mr)
{
	int err = *mr ? ibv_dereg_mr(*mr) : 0;

	*mr = NULL;
	return err ? fail("ibv_dereg_mr: %s", errno_name(err)) : PASSED;
}

static struct ibv_qp *qp_create(struct ibv_pd *pd, struct ibv_cq *cq)
{
	struct ibv_qp_init_attr_ex attr = {
		.send_cq = cq,
		.recv_cq = cq,
		.cap = {
			.max_send_wr = MAX_WR,
			.max_recv_wr = MAX_WR,
			.max_send_sge = MAX_SGE,
			.max_recv_sge = MAX_SGE,
			.max_inline_data = MAX_INLINE,
		},
		.qp_type = IBV_QPT_RC,
		.sq_sig_all = 1,
		.comp_mask = IBV_QP_INIT_ATTR_PD | IBV_QP_INIT_ATTR_SEND_OPS_FLAGS,
		.pd = pd,
		.send_ops_flags = IBV_QP_EX_WITH_RDMA_WRITE | IBV_QP_EX_WITH_RDMA_READ |
				  IBV_QP_EX_WITH_ATOMIC_FETCH_AND_ADD |
				  IBV_QP_EX_WITH_ATOMIC_WRITE | IBV_QP_EX_WITH_FLUSH,
	};

	return ibv_create_qp_ex(dev.ctx, &attr);
}

static int qp_to_rts(struct ibv_qp *qp, uint32_t dest_qpn, uint32_t rq_psn, uint32_t sq_psn)
{
	struct ibv_qp_attr attr = { .qp_state = IBV_QPS_RESET };

	if (ibv_modify_qp(qp, &attr, IBV_QP_STATE))
		return fail("QP to RESET: %m");

	attr = (struct ibv_qp_attr){
		.qp_state = IBV_QPS_INIT,
		.port_num = 1,
		.qp_access_flags = ACCESS_ALL | IBV_ACCESS_FLUSH_GLOBAL |
				   IBV_ACCESS_FLUSH_PERSISTENT,
	};
	if (ibv_modify_qp(qp, &attr, IBV_QP_STATE | IBV_QP_PKEY_INDEX | IBV_QP_PORT |
			  IBV_QP_ACCESS_FLAGS))
		return fail("QP to INIT: %m");

	attr = (struct ibv_qp_attr){
		.qp_state = IBV_QPS_RTR,
		.path_mtu = dev.port.active_mtu,
		.dest_qp_num = dest_qpn,
		.rq_psn = rq_psn,
		.max_dest_rd_atomic = 16,
		.min_rnr_timer = 1,
		.ah_attr = {
			.is_global = 1,
			.port_num = 1,
			.grh = {
				.dgid = dev.gid,
				.sgid_index = dev.gid_index,
				.hop_limit = 1,
			},
		},
	};
	if (ibv_modify_qp(qp, &attr, IBV_QP_STATE | IBV_QP_AV | IBV_QP_PATH_MTU |
			  IBV_QP_DEST_QPN | IBV_QP_RQ_PSN | IBV_QP_MAX_DEST_RD_ATOMIC |
			  IBV_QP_MIN_RNR_TIMER))
		return fail("QP to RTR: %m");

	attr = (struct ibv_qp_attr){
		.qp_state = IBV_QPS_RTS,
		.sq_psn = sq_psn,
		.timeout = 17,		/* half a second: emulated machines are slow */
		.retry_cnt = 7,
		.rnr_retry = 7,
		.max_rd_atomic = 16,
	};
	if (ibv_modify_qp(qp, &attr, IBV_QP_STATE | IBV_QP_SQ_PSN | IBV_QP_TIMEOUT |
			  IBV_QP_RETRY_CNT | IBV_QP_RNR_RETRY | IBV_QP_MAX_QP_RD_ATOMIC))
		return fail("QP to RTS: %m");
	return PASSED;
}

int pair_recycle(struct pair *pair)
{
	uint32_t psn[2] = { random_u64() & 0xffffff, random_u64() & 0xffffff };
	struct ibv_qp_attr reset = { .qp_state = IBV_QPS_RESET };
	struct ibv_wc wc;
	int i, err;

	/* Both must be quiet before either starts anew. */
	for (i = 0; i < 2; i++)
		if (ibv_modify_qp(pair->qp[i], &reset, IBV_QP_STATE))
			return fail("QP to RESET: %m");
	for (i = 0; i < 2; i++)
		while (ibv_poll_cq(pair->cq[i], 1, &wc) > 0)
			;
	for (i = 0; i < 2; i++) {
		err = qp_to_rts(pair->qp[i], pair->qp[!i]->qp_num, psn[!i], psn[i]);
		if (err)
			return err;
	}
	return PASSED;
}

int pair_open(struct pair *pair, struct ibv_pd *pd)
{
	int i;

	*pair = (struct pair){};
	for (i = 0; i < 2; i++) {
		pair->cq[i] = ibv_create_cq(dev.ctx, 4 * MAX_WR, NULL, NULL, 0);
		if (!pair->cq[i])
			return fail("ibv_create_cq: %m");
		pair->qp[i] = qp_create(pd, pair->cq[i]);
		if (!pair->qp[i])
			return fail("ibv_create_qp_ex: %m");
	}
	return pair_recycle(pair);
}

void pair_close(struct pair *pair)
{
	int i;

	for (i = 0; i < 2; i++)
		if (pair->qp[i] && ibv_destroy_qp(pair->qp[i]))
			fail("ibv_destroy_qp: %m");
	for (i = 0; i < 2; i++)
		if (pair->cq[i] && ibv_destroy_cq(pair->cq[i]))
			fail("ibv_destroy_cq: %m");
	*pair = (struct pair){};
}

struct ibv_sge sge(const void *addr, size_t len, const struct ibv_mr *mr)
{
	return (struct ibv_sge){
		.addr = (uintptr_t)addr,
		.length = len,
		.lkey = mr->lkey,
	};
}

static int poll_one(struct ibv_cq *cq, struct ibv_wc *wc)
{
	double deadline = now_ms() + WC_TIMEOUT_MS;
	int n, spins = 0;

	do {
		n = ibv_poll_cq(cq, 1, wc);
		if (n < 0)
			return fail("ibv_poll_cq: %d", n);
		if (n)
			return PASSED;
		/* The kernel does the work on these same few CPUs: let it. */
		if (++spins < 200)
			sched_yield();
		else
			usleep(100);
	} while (now_ms() < deadline);
	return fail("no completion within %.0f s", WC_TIMEOUT_MS / 1000);
}

int wait_wc(struct ibv_cq *cq, enum ibv_wc_status status, struct ibv_wc *wc)
{
	struct ibv_wc local;
	int err;

	wc = wc ?: &local;
	err = poll_one(cq, wc);
	if (err)
		return err;
	if (wc->status != status)
		return fail("completion says \"%s\", expected \"%s\"",
			    ibv_wc_status_str(wc->status), ibv_wc_status_str(status));
	return PASSED;
}

int no_wc(struct ibv_cq *cq)
{
	struct ibv_wc wc;

	if (!ibv_poll_cq(cq, 1, &wc))
		return PASSED;
	return fail("a completion too many, \"%s\"", ibv_wc_status_str(wc.status));
}

int post_send(struct ibv_qp *qp, struct ibv_send_wr *wr)
{
	struct ibv_send_wr *bad;
	int err = ibv_post_send(qp, wr, &bad);

	return err ? fail("ibv_post_send: %s", errno_name(err)) : PASSED;
}

int post_recv(struct ibv_qp *qp, struct ibv_sge *sges, int n)
{
	struct ibv_recv_wr wr = { .sg_list = sges, .num_sge = n }, *bad;
	int err = ibv_post_recv(qp, &wr, &bad);

	return err ? fail("ibv_post_recv: %s", errno_name(err)) : PASSED;
}

int rdma(struct pair *pair, enum ibv_wr_opcode opcode, struct ibv_sge local, uint64_t raddr,
	 uint32_t rkey, enum ibv_wc_status status)
{
	struct ibv_send_wr wr = {
		.opcode = opcode,
		.sg_list = &local,
		.num_sge = 1,
		.wr.rdma = { .remote_addr = raddr, .rkey = rkey },
	};

	return post_send(pair->qp[0], &wr) ?: wait_wc(pair->cq[0], status, NULL);
}

int rdma_refused(struct pair *pair, enum ibv_wr_opcode opcode, struct ibv_sge local,
		 uint64_t raddr, uint32_t rkey, enum ibv_wc_status status)
{
	int err = rdma(pair, opcode, local, raddr, rkey, status);

	return pair_recycle(pair) ?: err;
}

int send_recv(struct pair *pair, struct ibv_sge from, struct ibv_sge to, unsigned int flags)
{
	struct ibv_send_wr wr = {
		.opcode = IBV_WR_SEND,
		.sg_list = &from,
		.num_sge = 1,
		.send_flags = flags,
	};
	struct ibv_wc wc;
	int err;

	err = post_recv(pair->qp[1], &to, 1) ?:
	      post_send(pair->qp[0], &wr) ?:
	      wait_wc(pair->cq[0], IBV_WC_SUCCESS, NULL) ?:
	      wait_wc(pair->cq[1], IBV_WC_SUCCESS, &wc);
	if (!err && wc.byte_len != from.length)
		err = fail("received %u bytes, %u were sent", wc.byte_len, from.length);
	return err;
}

/* --- command line ------------------------------------------------------------------------- */

static void usage(const struct program *prog)
{
	printf("Usage: %s [options] [NAME...]\n"
	       "%s\n\n"
	       "Runs the tests whose names contain one of the NAMEs (default: all); prints TAP.\n\n"
	       "  -d, --device DEV   RDMA device (default %s)\n"
	       "  -g, --gid INDEX    GID index (default %d)\n"
	       "  -l, --list         list the tests\n"
	       "  -h, --help         this text\n%s",
	       program_invocation_short_name, prog->about, dev.name, dev.gid_index,
	       prog->options_help ?: "");
}

void program_start(const struct program *prog, int argc, char **argv)
{
	static const struct option common[] = {
		{ "device", required_argument, NULL, 'd' },
		{ "gid", required_argument, NULL, 'g' },
		{ "list", no_argument, NULL, 'l' },
		{ "help", no_argument, NULL, 'h' },
	};
	struct option all[16] = {};
	size_t n = ARRAY_SIZE(common), i;
	char *end;
	int c;

	memcpy(all, common, sizeof(common));
	for (i = 0; prog->options && prog->options[i].name; i++)
		all[n++] = prog->options[i];

	while ((c = getopt_long(argc, argv, "d:g:lh", all, NULL)) != -1) {
		switch (c) {
		case 'd':
			dev.name = optarg;
			break;
		case 'g':
			dev.gid_index = strtol(optarg, &end, 10);
			if (*end || end == optarg || dev.gid_index < 0)
				die("-g wants a GID index, not \"%s\"", optarg);
			break;
		case 'l':
			list_only = true;
			break;
		case 'h':
			usage(prog);
			exit(0);
		case '?':
			fprintf(stderr, "see %s -h\n", program_invocation_short_name);
			exit(2);
		default:
			prog->option(c, optarg);
		}
	}
	filters = argv + optind;
	filter_count = argc - optind;
	program = prog;
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (!list_only)
		device_open();
}
