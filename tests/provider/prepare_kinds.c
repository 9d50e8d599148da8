// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Every kind of memory, and the states it can be in: what is prepared, and what stays as it is.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/shm.h>
#include <unistd.h>

#include "prepare_case.h"

/* --- kinds -------------------------------------------------------------------------------- */

static int map_fd(struct area *area, int fd, int flags)
{
	int err = PASSED;

	if (fd < 0)
		return fail("no file to map: %m");
	if (ftruncate(fd, area->len))
		err = fail("ftruncate: %m");
	err = err ?: map_fixed(area->addr, area->len, RW, flags, fd, 0);
	close(fd);
	return err;
}

static int map_anon(struct area *area)
{
	return map_fixed(area->addr, area->len, RW, ANON, -1, 0);
}

static int map_shared(struct area *area)
{
	return map_fixed(area->addr, area->len, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
}

static int map_memfd(struct area *area)
{
	return map_fd(area, memfd_create("phyr-test", MFD_CLOEXEC), MAP_SHARED);
}

static int map_memfd_private(struct area *area)
{
	return map_fd(area, memfd_create("phyr-test", MFD_CLOEXEC), MAP_PRIVATE);
}

static int map_sysv(struct area *area)
{
	int id = shmget(IPC_PRIVATE, area->len, IPC_CREAT | 0600), err = PASSED;

	if (id < 0)
		return fail("shmget: %m");
	if (shmat(id, area->addr, SHM_REMAP) != area->addr)
		err = fail("shmat: %m");
	shmctl(id, IPC_RMID, NULL);
	return err;
}

/* A file that has no name any more, in a directory. */
static int map_file(struct area *area, const char *dir, int flags)
{
	return map_fd(area, open(dir, O_RDWR | O_TMPFILE | O_CLOEXEC, 0600), flags);
}

static int map_posix(struct area *area)
{
	return map_file(area, "/dev/shm", MAP_SHARED);
}

static int map_tmpfs(struct area *area)
{
	return map_file(area, "/tmp", MAP_SHARED);
}

static int map_disk(struct area *area)
{
	return map_file(area, "/var/lib", MAP_SHARED);
}

static int map_disk_private(struct area *area)
{
	return map_file(area, "/var/lib", MAP_PRIVATE);
}

static int map_zero(struct area *area)
{
	int fd = open("/dev/zero", O_RDWR | O_CLOEXEC), err;

	err = map_fixed(area->addr, area->len, RW, MAP_PRIVATE, fd, 0);
	close(fd);
	return err;
}

static int map_hugetlb_shared(struct area *area)
{
	return map_fixed(area->addr, area->len, RW, MAP_SHARED | MAP_ANONYMOUS | MAP_HUGETLB, -1,
			 0);
}

static int map_hugetlb_private(struct area *area)
{
	return map_fixed(area->addr, area->len, RW, ANON | MAP_HUGETLB, -1, 0);
}

static int map_hugetlb_memfd(struct area *area)
{
	return map_fd(area, hugetlb_memfd(SZ_2M, area->len), MAP_SHARED);
}

static const struct kind {
	const char *name;
	int (*map)(struct area *area);
	bool huge;
	bool populated;
	size_t shift;
} kinds[] = {
	{ "private", map_anon, true, true, ODD },
	{ "private, aligned", map_anon, true, true, 0 },
	{ "shared", map_shared, false, true, ODD },
	{ "memfd", map_memfd, false, true, ODD },
	{ "System V", map_sysv, false, true, ODD },
	{ "POSIX", map_posix, false, true, ODD },
	{ "hugetlb, shared", map_hugetlb_shared, false, true, 0 },
	{ "hugetlb, private", map_hugetlb_private, false, true, 0 },
	{ "hugetlb, memfd", map_hugetlb_memfd, false, true, 0 },
	{ "memfd, private", map_memfd_private, false, false, ODD },
	{ "tmpfs elsewhere", map_tmpfs, false, false, ODD },
	{ "file", map_disk, false, false, ODD },
	{ "file, private", map_disk_private, false, false, ODD },
	{ "zero", map_zero, false, false, ODD },
};

static int test_kind(const void *arg)
{
	const struct kind *kind = arg;
	struct outcome expect = {
		.huge = kind->huge ? huge_inside((char *)kind->shift, LEN) : 0,
		.populated = kind->populated ? LEN : 0,
		.present = kind->populated ? LEN : 0,
	};
	struct area area;
	int err;

	err = area_open(&area, LEN, kind->shift) ?: kind->map(&area) ?:
	      ask_and_check(area.addr, LEN, AUTO, &expect);
	if (!err && smaps_kb(area.map, area.map_len, "AnonHugePages") * KIB != expect.huge)
		err = fail("%ld kB are transparent huge pages",
			   smaps_kb(area.map, area.map_len, "AnonHugePages"));
	/* Once more: it is all there, or to be left alone. */
	expect.huge = 0;
	expect.populated = 0;
	err = err ?: ask_and_check(area.addr, LEN, AUTO, &expect) ?:
	      zero_check(kind->name, area.addr, LEN);
	area_close(&area);
	return err;
}

static int test_malloc(const void *arg)
{
	size_t huge;
	char *p = malloc(LEN), *page;
	int err;

	(void)arg;
	if (!p)
		return fail("malloc: %m");
	page = (char *)((uintptr_t)p & ~(SZ_4K - 1));
	huge = huge_inside(p, LEN);
	/* malloc() uses 16 bytes of the first page, so the memory ends in one page more. */
	err = ask_and_check(p, LEN, AUTO, &(struct outcome){ huge, LEN, LEN, 0 });
	if (!err && present(page, LEN + SZ_4K) != LEN + SZ_4K)
		err = fail("the page where it ends is not present");
	if (!err && smaps_flag(p + LEN / 2, "hg"))
		err = fail("advice was left behind");
	free(p);
	return err;
}

/* --- settings ----------------------------------------------------------------------------- */

static const struct setting {
	const char *all, *size;	/* of transparent huge pages, and of those of 2 MiB */
	bool made, huge;	/* by us; at all */
} settings[] = {
	{ "madvise", "inherit", true, true },
	{ "always", "inherit", false, true },
	{ "never", "inherit", false, false },
	{ "madvise", "never", false, false },
	{ "never", "madvise", true, true },
	{ "never", "always", false, true },
	{ "always", "madvise", true, true },
};

static int test_setting(const void *arg)
{
	const struct setting *setting = arg;
	size_t inside = huge_inside((char *)ODD, LEN);
	struct outcome expect = { setting->made ? inside : 0, LEN, LEN, 0 };
	struct area area;
	int err;

	if (!knob_exists(&thp_2m))
		return skip("this kernel has no setting for huge pages of 2 MiB");
	knob_set(&thp, setting->all);
	knob_set(&thp_2m, setting->size);
	err = area_open_anon(&area, LEN, ODD) ?: ask_and_check(area.addr, LEN, AUTO, &expect);
	if (!err && smaps_flag(area.addr + LEN / 2, "hg"))
		err = fail("advice was left behind");
	if (!err && smaps_kb(area.map, area.map_len, "AnonHugePages") * KIB !=
		    (setting->huge ? inside : 0))
		err = fail("%ld kB are transparent huge pages",
			   smaps_kb(area.map, area.map_len, "AnonHugePages"));
	area_close(&area);
	knob_set(&thp, "madvise");
	knob_set(&thp_2m, "inherit");
	return err;
}

static int test_step(const void *arg)
{
	uint32_t step = (uintptr_t)arg;
	bool is_huge = step == HUGEPAGE;
	size_t huge = is_huge ? huge_inside((char *)ODD, LEN) : 0;
	size_t populated = step == POPULATE ? LEN : huge;
	struct outcome expect = { huge, populated, populated, 0 };
	struct area area;
	int err;

	err = area_open_anon(&area, LEN, ODD) ?: ask_and_check(area.addr, LEN, step, &expect);
	if (!err && smaps_kb(area.map, area.map_len, "AnonHugePages") * KIB != huge)
		err = fail("%ld kB are transparent huge pages",
			   smaps_kb(area.map, area.map_len, "AnonHugePages"));
	area_close(&area);
	return err;
}

/* --- states ------------------------------------------------------------------------------- */

/* Only the parts that were not written are prepared. */
static int test_partly(const void *arg)
{
	size_t quarter = LEN;	/* of the whole */
	struct area area;
	int err;

	(void)arg;
	err = area_open_anon(&area, 4 * LEN, ODD);
	if (!err && (madvise(area.addr, quarter, MADV_POPULATE_WRITE) ||
		     madvise(area.addr + 2 * quarter, quarter, MADV_POPULATE_WRITE)))
		err = fail("cannot populate: %m");
	err = err ?: ask_and_check(area.addr, 4 * LEN, AUTO,
				   &(struct outcome){ 2 * huge_inside(area.addr, quarter),
						      2 * quarter, 4 * quarter, 0 });
	if (!err && smaps_kb(area.map, area.map_len, "AnonHugePages") * KIB !=
		    2 * huge_inside(area.addr, quarter))
		err = fail("%ld kB are transparent huge pages",
			   smaps_kb(area.map, area.map_len, "AnonHugePages"));
	area_close(&area);
	return err;
}

/* Pages are written here and there, fewer and fewer. Those between must read as zeros. */
static bool is_written(size_t page)
{
	return page < 1024 || (page < 4096 && page % 512 == 7) || page == 5000;
}

static int test_content(const void *arg)
{
	struct prepare_report report;
	struct area area;
	size_t page;
	int err;

	(void)arg;
	err = area_open_anon(&area, 2 * LEN, ODD);
	for (page = 0; page < area.len / SZ_4K && !err; page++)
		if (is_written(page))
			pattern_fill(area.addr + page * SZ_4K, 1, page * SZ_4K, SZ_4K);
	err = err ?: ask(area.addr, area.len, AUTO | COLLAPSE, 0, &report);
	if (!err && (!report.huge_bytes || !report.populated_bytes || !report.collapsed_bytes))
		err = fail("%zu bytes advised, %zu populated, %zu collapsed", report.huge_bytes,
			   report.populated_bytes, report.collapsed_bytes);
	for (page = 0; page < area.len / SZ_4K && !err; page++)
		err = is_written(page) ?
			pattern_check("written", area.addr + page * SZ_4K, 1, page * SZ_4K, SZ_4K) :
			zero_check("not written", area.addr + page * SZ_4K, SZ_4K);
	area_close(&area);
	return err;
}

/* Another thread writes meanwhile. What it wrote last must be there. */
struct writer {
	struct area area;
	pthread_t thread;
	atomic_bool stop;
	uint64_t *last;		/* value of each page */
	uint64_t writes;
};

static void *write_on(void *arg)
{
	struct writer *w = arg;
	size_t page;

	do {
		page = random_u64() % (w->area.len / SZ_4K);
		w->last[page] = ++w->writes;
		*(volatile uint64_t *)(w->area.addr + page * SZ_4K + 8 * (page % 512)) = w->writes;
	} while (!atomic_load(&w->stop));
	return NULL;
}

static int test_writer(const void *arg)
{
	struct writer w = {};
	struct prepare_report report;
	size_t page, pages = 2 * LEN / SZ_4K;
	int err = area_open_anon(&w.area, 2 * LEN, ODD);

	(void)arg;
	w.last = calloc(pages, sizeof(*w.last));
	if (!w.last || pthread_create(&w.thread, NULL, write_on, &w))
		die("no thread");
	err = err ?: ask(w.area.addr, w.area.len, AUTO | COLLAPSE, 0, &report);
	atomic_store(&w.stop, true);
	pthread_join(w.thread, NULL);
	for (page = 0; page < pages && !err; page++)
		if (*(uint64_t *)(w.area.addr + page * SZ_4K + 8 * (page % 512)) != w.last[page])
			err = fail("page %zu has lost what was written to it", page);
	remark("%lu writes meanwhile", (unsigned long)w.writes);
	free(w.last);
	area_close(&w.area);
	return err;
}

/* As ibv_fork_init() has it, for a part of a larger mapping. */
static int test_dontfork(const void *arg)
{
	struct area area;
	char *part, *middle;
	int err;

	(void)arg;
	err = area_open_anon(&area, LEN + 2 * SZ_4K, ODD);
	part = area.addr + SZ_4K;
	middle = part + LEN / 2;
	if (!err && madvise(part, LEN, MADV_DONTFORK))
		err = fail("MADV_DONTFORK: %m");
	err = err ?: ask_and_check(part, LEN, AUTO,
				   &(struct outcome){ huge_inside(part, LEN), LEN, LEN, 0 });
	if (!err && (!smaps_flag(middle, "dc") || smaps_flag(middle, "hg")))
		err = fail("flags were lost, or left behind");
	if (!err && present(area.addr, area.len) != LEN)
		err = fail("there is more than was asked for");
	area_close(&area);
	return err;
}

/* Mappings with memory in them. */
static unsigned int count_mappings(uintptr_t start, uintptr_t end)
{
	FILE *maps = fopen("/proc/self/maps", "r");
	unsigned long from, to;
	unsigned int count = 0;
	char line[512];

	while (maps && fgets(line, sizeof(line), maps))
		if (sscanf(line, "%lx-%lx rw", &from, &to) == 2 && from < end && to > start)
			count++;
	if (maps)
		fclose(maps);
	return count;
}

/*
 * Memory that was prepared, all of a mapping or a part in its middle, is the one mapping that it
 * was. It can be made larger, as realloc() does it.
 */
static int test_mremap(const void *arg)
{
	size_t around = (uintptr_t)arg;
	struct outcome expect = { .populated = LEN, .present = LEN };
	unsigned int mappings;
	struct area area;
	char *part, *larger = MAP_FAILED;
	size_t len;
	int err;

	err = area_open_anon(&area, LEN + 2 * around, ODD);
	part = area.addr + around;
	len = area.len;
	expect.huge = huge_inside(part, LEN);
	err = err ?: ask_and_check(part, LEN, AUTO, &expect);
	mappings = count_mappings((uintptr_t)area.addr, (uintptr_t)area.addr + len);
	if (!err && mappings != 1)
		err = fail("there are %u mappings", mappings);
	if (!err) {
		pattern_fill(part, 9, 0, LEN);
		larger = mremap(area.addr, len, 2 * len, MREMAP_MAYMOVE);
		if (larger == MAP_FAILED)
			err = fail("mremap: %m");
	}
	err = err ?: pattern_check("moved", larger + around, 9, 0, LEN) ?:
	      zero_check("more", larger + len, len);
	if (larger != MAP_FAILED)
		munmap(larger, 2 * len);
	area_close(&area);
	return err;
}

/*
 * Parts of a mapping are prepared over and over, and their memory is given back. The next touch
 * there populates a page.
 */
static int test_churn(const void *arg)
{
	struct prepare_report report;
	struct area area;
	size_t at;
	int err = area_open_anon(&area, 8 * LEN, ODD);

	(void)arg;
	for (at = 3 * SZ_4K; at + 6 * MIB < area.len && !err; at += 12 * MIB) {
		err = ask(area.addr + at, 6 * MIB, AUTO, 0, &report);
		if (!err && !report.huge_bytes)
			err = fail("no huge pages were made");
		madvise(area.addr + at, 6 * MIB, MADV_DONTNEED);
	}
	if (!err && count_mappings((uintptr_t)area.addr, (uintptr_t)area.addr + area.len) != 1)
		err = fail("there are %u mappings",
			   count_mappings((uintptr_t)area.addr, (uintptr_t)area.addr + area.len));
	for (at = 0; at < area.len; at += SZ_2M)
		area.addr[at] = 1;
	if (!err && present(area.addr, area.len) != area.len / SZ_2M * SZ_4K)
		err = fail("%zu KiB are present", present(area.addr, area.len) / KIB);
	area_close(&area);
	return err;
}

/*
 * Advice, if asked for: two threads populate, and its traces are there, as the man page says.
 */
static int test_advise(const void *arg)
{
	size_t around = (uintptr_t)arg;
	unsigned int mappings, pieces = around ? 3 : 1;
	struct area area;
	char *part;
	int err;

	err = area_open_anon(&area, LEN + 2 * around, ODD);
	part = area.addr + around;
	err = err ?: ask_and_check(part, LEN, ADVISE,
				   &(struct outcome){ huge_inside(part, LEN), LEN, LEN, 2 });
	mappings = count_mappings((uintptr_t)area.addr, (uintptr_t)area.addr + area.len);
	if (!err && mappings != pieces)
		err = fail("there are %u mappings, not %u", mappings, pieces);
	if (!err && !smaps_flag(part + LEN / 2, "hg"))
		err = fail("huge pages were not advised");
	if (!err && smaps_kb(area.map, area.map_len, "AnonHugePages") * KIB !=
		    huge_inside(part, LEN))
		err = fail("%ld kB are transparent huge pages",
			   smaps_kb(area.map, area.map_len, "AnonHugePages"));
	area_close(&area);
	return err;
}

/* Where the kernel must not compact, it cannot collapse: two threads populate base pages. */
static struct knob defrag;

static int test_defrag(const void *arg)
{
	struct area area;
	int err;

	knob_set(&defrag, arg);
	err = area_open_anon(&area, LEN, ODD) ?:
	      ask_and_check(area.addr, LEN, AUTO, &(struct outcome){ 0, LEN, LEN, 0 });
	area_close(&area);
	knob_set(&defrag, "madvise");
	return err;
}

/* --- collapse ----------------------------------------------------------------------------- */

static const struct collapse {
	const char *name, *setting;
	int advice;
	uint32_t steps;
	bool huge;
} collapses[] = {
	{ "base pages", "madvise", 0, AUTO | COLLAPSE, true },
	{ "only that", "madvise", 0, COLLAPSE, true },
	{ "not by default", "madvise", 0, AUTO, false },
	{ "not against the mapping", "madvise", MADV_NOHUGEPAGE, AUTO | COLLAPSE, false },
	{ "not against the system", "never", 0, AUTO | COLLAPSE, false },
};

static int test_collapse(const void *arg)
{
	const struct collapse *c = arg;
	size_t inside, huge;
	struct prepare_report report;
	struct area area;
	int err;

	knob_set(&thp, c->setting);
	err = area_open_anon(&area, LEN, ODD);
	inside = huge_inside(area.addr, LEN);
	pattern_fill(area.addr, 3, 0, LEN);
	if (!err && c->advice && madvise(area.addr, LEN, c->advice))
		err = fail("madvise: %m");
	err = err ?: ask(area.addr, LEN, c->steps, 0, &report);
	huge = smaps_kb(area.map, area.map_len, "AnonHugePages") * KIB;
	if (!err && report.collapsed_bytes != (c->huge ? inside : 0))
		err = fail("%zu bytes were collapsed", report.collapsed_bytes);
	if (!err && huge != (c->huge ? inside : 0))
		err = fail("%zu bytes are transparent huge pages", huge);
	if (!err && (report.huge_bytes || report.populated_bytes))
		err = fail("what was there was prepared");
	/* Once more: there is nothing left to do. */
	err = err ?: ask(area.addr, LEN, c->steps, 0, &report);
	if (!err && report.collapsed_bytes)
		err = fail("%zu bytes were collapsed twice", report.collapsed_bytes);
	err = err ?: pattern_check("collapsed", area.addr, 3, 0, LEN);
	area_close(&area);
	knob_set(&thp, "madvise");
	return err;
}

void kinds_add_tests(void)
{
	size_t i;

	knob_open(&defrag, "/sys/kernel/mm/transparent_hugepage/defrag");
	test_add(test_malloc, NULL, "kind, malloc");
	for (i = 0; i < ARRAY_SIZE(kinds); i++)
		test_add(test_kind, &kinds[i], "kind, %s", kinds[i].name);
	for (i = 0; i < ARRAY_SIZE(settings); i++)
		test_add(test_setting, &settings[i], "setting, %s, of 2 MiB %s", settings[i].all,
			 settings[i].size);
	test_add(test_step, (void *)(uintptr_t)HUGEPAGE, "step, only huge pages");
	test_add(test_step, (void *)(uintptr_t)POPULATE, "step, only populate");
	test_add(test_step, (void *)(uintptr_t)COLLAPSE, "step, only collapse");
	test_add(test_partly, NULL, "state, written in parts");
	test_add(test_content, NULL, "state, content stays");
	test_add(test_writer, NULL, "state, written to meanwhile");
	test_add(test_dontfork, NULL, "state, not for children");
	test_add(test_mremap, NULL, "state, made larger afterwards");
	test_add(test_mremap, (void *)(8 * MIB), "state, a part of it made larger afterwards");
	test_add(test_churn, NULL, "state, parts over and over, given back");
	test_add(test_advise, NULL, "advice");
	test_add(test_advise, (void *)(8 * MIB), "advice, for a part");
	test_add(test_defrag, "never", "setting, never compact");
	test_add(test_defrag, "defer", "setting, compact later");
	for (i = 0; i < ARRAY_SIZE(collapses); i++)
		test_add(test_collapse, &collapses[i], "collapse, %s", collapses[i].name);
}
