// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Changes of where memory lies. Folios are split and collapsed (debugfs, MADV_COLLAPSE,
 * khugepaged), moved (move_pages(), compaction), or merged with equal ones (KSM). Nobody should
 * notice any of it.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/mempolicy.h>

#include "race.h"

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

#define KHUGEPAGED	"/sys/kernel/mm/transparent_hugepage/khugepaged/"
#define KSM		"/sys/kernel/mm/ksm/"

static long read_number(const char *path)
{
	long n = -1;
	FILE *f = fopen(path, "r");

	if (f && fscanf(f, "%ld", &n) != 1)
		n = -1;
	if (f)
		fclose(f);
	return n;
}

/* --- split and collapse -------------------------------------------------------------------- */

/*
 * The kernel does not split folios that are pinned, and does not report that. Errors such as
 * ENOENT say that there was nothing to split.
 */
static int split(const struct arena *a, struct range r)
{
	static const char path[] = "/sys/kernel/debug/split_huge_pages";
	char *addr = a->addr + r.first * SZ_4K;

	if (write_file(path, "%d,0x%lx,0x%lx,0", getpid(), (unsigned long)addr,
		       (unsigned long)(addr + r.n * SZ_4K)) && access(path, W_OK))
		return fault("%s: %m", path);
	return 0;
}

/* Split only the page table of a huge page, by changing one page's permission for a moment. */
static int split_table(struct arena *a, unsigned int page)
{
	char *addr = a->addr + page * SZ_4K;

	change_begin(a);
	if (mprotect(addr, SZ_4K, PROT_READ) || mprotect(addr, SZ_4K, PROT_READ | PROT_WRITE))
		return fault("mprotect: %m");
	change_end(a);
	return 0;
}

static int collapse_step(struct arena *a, unsigned int round)
{
	unsigned int pmd = rng_below(2) * PAGES_2M;
	int err;

	(void)round;
	err = rng_below(2) ? split(a, rng_range(a, a->pages)) :
			     split_table(a, rng_below(a->pages));
	if (err)
		return FAILED;
	mutator_pause();
	if (!madvise(a->addr + pmd * SZ_4K, SZ_2M, MADV_COLLAPSE))
		return 1;
	/* Pages are pinned; not on the LRU yet; no huge page was free; the scan found none. */
	if (errno == EAGAIN || errno == EBUSY || errno == ENOMEM || errno == EINVAL)
		return 0;
	return fault("MADV_COLLAPSE: %m");
}

const struct change change_collapse = {
	.name = "split and MADV_COLLAPSE",
	.step = collapse_step,
	/* A registration may meet the page that split_table() has write-protected. */
	.errno_changing = EFAULT,
};

static bool is_khugepaged(const char *pid)
{
	char path[64], name[32] = "";
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%.20s/comm", pid);
	f = fopen(path, "r");
	if (f && fscanf(f, "%31s", name) != 1)
		name[0] = '\0';
	if (f)
		fclose(f);
	return !strcmp(name, "khugepaged");
}

/* The kernel gives khugepaged the lowest priority (19), and registrars leave little CPU time. */
static int khugepaged_nice(int nice)
{
	DIR *dir = opendir("/proc");
	struct dirent *entry;
	int err = -1;

	while (dir && (entry = readdir(dir)))
		if (atoi(entry->d_name) && is_khugepaged(entry->d_name))
			err = setpriority(PRIO_PROCESS, atoi(entry->d_name), nice);
	if (dir)
		closedir(dir);
	return err;
}

static int khugepaged_open(struct arena *a)
{
	(void)a;
	if (khugepaged_nice(10))
		return fail("khugepaged cannot have another priority: %m");
	if (write_file(KHUGEPAGED "scan_sleep_millisecs", "1") ||
	    write_file(KHUGEPAGED "alloc_sleep_millisecs", "1") ||
	    write_file(KHUGEPAGED "pages_to_scan", "8192"))
		return fail(KHUGEPAGED ": %m");
	return PASSED;
}

static void khugepaged_close(struct arena *a)
{
	(void)a;
	khugepaged_nice(19);
	write_file(KHUGEPAGED "scan_sleep_millisecs", "10000");
	write_file(KHUGEPAGED "alloc_sleep_millisecs", "60000");
	write_file(KHUGEPAGED "pages_to_scan", "4096");
}

/* We split the folios. The change is that khugepaged collapses them again. */
static int khugepaged_step(struct arena *a, unsigned int round)
{
	long before = read_number(KHUGEPAGED "pages_collapsed");
	int tries;

	(void)round;
	if (split(a, (struct range){ 0, a->pages }))
		return FAILED;
	for (tries = 0; tries < 10 && !race_over(); tries++) {
		usleep(2000);
		if (read_number(KHUGEPAGED "pages_collapsed") > before)
			return 1;
	}
	return 0;
}

const struct change change_khugepaged = {
	.name = "split and khugepaged",
	.open = khugepaged_open,
	.step = khugepaged_step,
	.close = khugepaged_close,
};

/* --- migration ----------------------------------------------------------------------------- */

static int move_pages_open(struct arena *a)
{
	(void)a;
	return access("/sys/devices/system/node/node1", F_OK) ?
		       fail("one node only; boot with numa=fake=2") : PASSED;
}

/* Move all pages that can be moved to one node, and in the next round to the other. */
static int move_pages_step(struct arena *a, unsigned int round)
{
	static int node[MAX_PAGES], status[MAX_PAGES];
	static void *page[MAX_PAGES];
	struct range r = rng_range(a, a->pages);
	unsigned int i, moved = 0;

	if (round % 16 == 0)
		return arena_renew(a) ?: 1;
	for (i = 0; i < r.n; i++) {
		page[i] = arena_head(a, r.first + i);
		node[i] = round % 2;
		status[i] = -1;
	}
	/* A positive result counts pages that were not moved, as they were pinned or in motion. */
	if (syscall(SYS_move_pages, 0, (long)r.n, page, node, status, MPOL_MF_MOVE) < 0)
		return fault("move_pages: %m");
	for (i = 0; i < r.n; i++)
		moved += status[i] == node[i];
	return moved > 0;
}

const struct change change_move_pages = {
	.name = "move_pages",
	.open = move_pages_open,
	.step = move_pages_step,
};

static int compact_step(struct arena *a, unsigned int round)
{
	(void)round;
	if (write_file("/proc/sys/vm/compact_memory", "1"))
		return fault("/proc/sys/vm/compact_memory: %m");
	return arena_renew(a) ?: 1;
}

const struct change change_compact = {
	.name = "compaction",
	.step = compact_step,
};

/* --- KSM ----------------------------------------------------------------------------------- */

static int ksm_open(struct arena *a)
{
	a->twins = true;
	if (arena_renew(a))
		return FAILED;
	if (madvise(a->addr, a->pages * SZ_4K, MADV_MERGEABLE))
		return fail("MADV_MERGEABLE: %m");
	if (write_file(KSM "sleep_millisecs", "1") || write_file(KSM "pages_to_scan", "2000") ||
	    write_file(KSM "run", "1"))
		return fail(KSM ": %m");
	return PASSED;
}

static void ksm_close(struct arena *a)
{
	(void)a;
	/* Stop, and unmerge all. */
	write_file(KSM "run", "2");
	write_file(KSM "run", "0");
}

/* Registrars write to twins, which then differ. Make new ones, and wait until some are merged. */
static int ksm_step(struct arena *a, unsigned int round)
{
	struct range r = rng_range(a, 96);
	char *addr = a->addr + r.first * SZ_4K;
	unsigned int gen;
	int tries;

	(void)round;
	gen = change_begin(a);
	if (madvise(addr, r.n * SZ_4K, MADV_DONTNEED))
		return fault("MADV_DONTNEED: %m");
	arena_tag(a, r.first, r.n, gen);
	change_end(a);
	for (tries = 0; tries < 10 && !race_over(); tries++) {
		usleep(2000);
		if (read_number(KSM "pages_sharing") > 0)
			return 1;
	}
	return 0;
}

const struct change change_ksm = {
	.name = "KSM",
	.open = ksm_open,
	.step = ksm_step,
	.close = ksm_close,
};
