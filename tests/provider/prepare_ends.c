// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * The base pages before the first huge page and behind the last lie side by side, though free
 * memory is scattered. For the rest they are populated as ever.
 */
#define _GNU_SOURCE
#include <sched.h>
#include <stdio.h>
#include <string.h>

#include "prepare_case.h"

/* From here on, ends are of interest. */
#define ENDS_LEN	(64 * MIB)
/*
 * One would do for each end. But the kernel takes a page for itself here and there. And a thread
 * that moves to another CPU loses the 32 pages that have just been freed on this one. While the
 * host is busy, that may happen three times.
 */
#define RUNS		(16 + 3 * 32)
/* So many runs has a huge page's worth of base pages, if nothing puts them side by side. */
#define SCATTERED	256

/* All CPUs together keep this part of a zone's memory as free pages. FEW is the least. */
static struct knob kept;
#define FEW		"1000000"

/* More than the least that a CPU keeps. */
#define LEAST_KEPT	(4 * MIB)
/* Each time, a CPU gives back some 2000 pages: after so many times, it keeps the least. */
#define REFRESHES	64

/* The CPUs give back most of the free pages that they have kept until now. */
static int keep_few(void)
{
	int i, err = PASSED;

	knob_set(&kept, FEW);
	for (i = 0; i < REFRESHES && !err; i++)
		err = write_line("/proc/sys/vm/stat_refresh", "1");
	return err;
}

/* Use up the others: populate this on each CPU that we run on. */
static int use_up_kept(char *addr)
{
	cpu_set_t cpus;
	int cpu, err = PASSED;

	for (cpu = 0; cpu < 2 && !err; cpu++) {
		CPU_ZERO(&cpus);
		CPU_SET(cpu, &cpus);
		if (sched_setaffinity(0, sizeof(cpus), &cpus) ||
		    madvise(addr + cpu * LEAST_KEPT, LEAST_KEPT, MADV_POPULATE_WRITE))
			err = fail("cannot populate on CPU %d: %m", cpu);
	}
	run_on(2);
	return err;
}

/* Free every second page of it, while no CPU has others to give out first. */
static int scatter(struct area *area)
{
	size_t at;
	int err = keep_few() ?: area_open_anon(area, ENDS_LEN + 2 * LEAST_KEPT, 0);

	if (!err && (madvise(area->addr, area->len, MADV_NOHUGEPAGE) ||
		     madvise(area->addr, ENDS_LEN, MADV_POPULATE_WRITE)))
		err = fail("cannot populate: %m");
	for (at = 0; at < ENDS_LEN && !err; at += 2 * SZ_4K)
		if (madvise(area->addr + at, SZ_4K, MADV_DONTNEED))
			err = fail("MADV_DONTNEED: %m");
	return err ?: use_up_kept(area->addr + ENDS_LEN);
}

/* Memory that is populated in order is as scattered as we want it. */
static int check_scattered(void)
{
	struct area area;
	struct runs runs;
	int err = area_open_anon(&area, SZ_2M, SZ_4K);

	if (!err && madvise(area.addr, area.len, MADV_POPULATE_WRITE))
		err = fail("cannot populate: %m");
	err = err ?: phys_runs(area.addr, area.len, &runs);
	if (!err && runs.count < SCATTERED)
		err = fail("free memory is not scattered: %zu runs", runs.count);
	area_close(&area);
	return err;
}

static int check_ends(const struct area *area, bool side_by_side)
{
	size_t head = SZ_2M - (uintptr_t)area->addr % SZ_2M;
	size_t tail = (uintptr_t)(area->addr + area->len) % SZ_2M;
	struct runs before = {}, behind = {};
	int err = phys_runs(area->addr, head, &before);

	if (tail)
		err = err ?: phys_runs(area->addr + area->len - tail, tail, &behind);
	if (err)
		return err;
	if (side_by_side && before.count + behind.count > RUNS)
		return fail("%zu and %zu runs of pages", before.count, behind.count);
	if (!side_by_side && before.count + behind.count < SCATTERED)
		return fail("only %zu and %zu runs of pages", before.count, behind.count);
	remark("%zu and %zu runs of pages", before.count, behind.count);
	return PASSED;
}

static const struct ends {
	const char *name, *setting, *kept;
	size_t pages, len, shift;
	uint32_t steps;
	bool side_by_side;
	unsigned int threads;	/* as in struct outcome */
} ends[] = {
	{ "a huge page in all", "madvise", "0", 512, ENDS_LEN, ODD, AUTO, true, 0 },
	{ "more than a huge page", "madvise", "0", 1007, ENDS_LEN + 495 * SZ_4K, ODD, AUTO, true,
	  0 },
	{ "one", "madvise", "0", 507, ENDS_LEN + SZ_2M - ODD, ODD, AUTO, true, 0 },
	{ "few pages kept by CPUs", "madvise", FEW, 512, ENDS_LEN, ODD, AUTO, true, 0 },
	{ "by advice", "madvise", "0", 512, ENDS_LEN, ODD, ADVISE, true, 2 },
	{ "huge pages for all", "always", "0", 512, ENDS_LEN, ODD, AUTO, true, 0 },
	{ "memory too small", "madvise", "0", 512, ENDS_LEN - SZ_2M, ODD, AUTO, false, 0 },
	{ "no huge pages", "never", "0", 512, ENDS_LEN, ODD, AUTO, false, 0 },
	{ "not asked for", "madvise", "0", 512, ENDS_LEN, ODD, POPULATE, false, 0 },
};

static int test_ends(const void *arg)
{
	const struct ends *e = arg;
	bool made = e->steps & HUGEPAGE && !strcmp(e->setting, "madvise");
	struct area scattered, area;
	int err;

	knob_set(&thp, e->setting);
	err = scatter(&scattered) ?: check_scattered() ?: area_open_anon(&area, e->len, e->shift);
	knob_set(&kept, e->kept);
	if (!err) {
		err = ask_and_check(area.addr, e->len, e->steps, &(struct outcome){
			made ? huge_inside(area.addr, e->len) : 0, e->len, e->len,
			e->threads }) ?:
		      check_ends(&area, e->side_by_side) ?:
		      zero_check("ends", area.addr, e->len);
		area_close(&area);
	}
	area_close(&scattered);
	knob_set(&kept, "0");
	knob_set(&thp, "madvise");
	return err;
}

static size_t mapped_pages(void)
{
	size_t pages = 0;
	FILE *f = fopen("/proc/self/statm", "r");

	if (!f || fscanf(f, "%zu", &pages) != 1)
		die("cannot read /proc/self/statm: %m");
	fclose(f);
	return pages;
}

/*
 * A single thread populates the ends, too. By advice it populates nothing else. Nothing of ours is
 * left.
 */
static int test_alone(const void *arg)
{
	struct prepare_report report;
	struct area scattered, around = {}, area = {};
	size_t mapped = 0;
	int err = scatter(&scattered) ?: area_open_anon(&around, ENDS_LEN + 2 * SZ_2M, 0);

	(void)arg;
	knob_set(&kept, "0");
	if (!err) {
		area.addr = around.addr + SZ_2M + ODD;
		area.len = ENDS_LEN;
		mapped = mapped_pages();
		err = ask(area.addr, area.len, ADVISE, 1, &report);
	}
	if (!err && mapped_pages() != mapped)
		err = fail("%zu pages were mapped, and %zu are", mapped, mapped_pages());
	if (!err && (report.populated_bytes != SZ_2M || report.threads != 1))
		err = fail("%zu bytes were populated by %u threads", report.populated_bytes,
			   report.threads);
	if (!err && present(around.addr, around.len) != SZ_2M)
		err = fail("%zu bytes are present", present(around.addr, around.len));
	err = err ?: check_ends(&area, true);
	area_close(&around);
	area_close(&scattered);
	return err;
}

void ends_add_tests(void)
{
	size_t i;

	knob_open(&kept, "/proc/sys/vm/percpu_pagelist_high_fraction");
	for (i = 0; i < ARRAY_SIZE(ends); i++)
		test_add(test_ends, &ends[i], "ends, %s, %zu pages", ends[i].name, ends[i].pages);
	test_add(test_alone, NULL, "ends, a single thread");
}
