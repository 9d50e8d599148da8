// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Changes by madvise(): it takes memory away (DONTNEED, FREE, REMOVE), or moves it out (COLD,
 * PAGEOUT), which nobody should notice. A memory cgroup's reclaim, which also moves memory out, is
 * here, too.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "race.h"

#ifndef MADV_COLD
#define MADV_COLD 20
#define MADV_PAGEOUT 21
#endif

static int advise(struct arena *a, struct range r, int advice, const char *name)
{
	if (madvise(a->addr + r.first * SZ_4K, r.n * SZ_4K, advice))
		return fault("%s: %m", name);
	return 0;
}

/* Take pages away, and give heads to the pages that replace them. */
static int take_away(struct arena *a, unsigned int round, int advice, const char *name)
{
	struct range r = rng_range(a, 40);
	unsigned int gen;

	if (round % 8 == 0)
		return arena_renew(a) ?: 1;
	gen = change_begin(a);
	if (advise(a, r, advice, name))
		return FAILED;
	arena_tag(a, r.first, r.n, gen);
	change_end(a);
	return 1;
}

static int dontneed_step(struct arena *a, unsigned int round)
{
	return take_away(a, round, MADV_DONTNEED, "MADV_DONTNEED");
}

const struct change change_dontneed = {
	.name = "MADV_DONTNEED",
	.step = dontneed_step,
};

static int remove_step(struct arena *a, unsigned int round)
{
	return take_away(a, round, MADV_REMOVE, "MADV_REMOVE");
}

/* The file keeps its length all the time, so no registration may fail. */
const struct change change_remove = {
	.name = "MADV_REMOVE",
	.step = remove_step,
};

/*
 * Memory that MADV_FREE has given up may stay, or become zero at any time, until it is written to.
 * A registrar keeps the pages that it has pinned.
 */
static int free_step(struct arena *a, unsigned int round)
{
	struct range r = rng_range(a, 40);
	unsigned int gen;

	if (round % 8 == 0)
		return arena_renew(a) ?: 1;
	gen = change_begin(a);
	if (advise(a, r, MADV_FREE, "MADV_FREE") || advise(a, r, MADV_PAGEOUT, "MADV_PAGEOUT"))
		return FAILED;
	/* Take the rest away, and give heads to new pages, as pins may hold the old ones. */
	if (advise(a, r, MADV_DONTNEED, "MADV_DONTNEED"))
		return FAILED;
	arena_tag(a, r.first, r.n, gen);
	change_end(a);
	return 1;
}

const struct change change_free = {
	.name = "MADV_FREE",
	.step = free_step,
};

static int cold_step(struct arena *a, unsigned int round)
{
	if (round % 16 == 0)
		return arena_renew(a) ?: 1;
	return advise(a, rng_range(a, a->pages), MADV_COLD, "MADV_COLD") ?: 1;
}

const struct change change_cold = {
	.name = "MADV_COLD",
	.step = cold_step,
};

/* --- swap ---------------------------------------------------------------------------------- */

static bool have_swap(void)
{
	char line[256];
	FILE *f = fopen("/proc/swaps", "r");
	int lines = 0;

	while (f && fgets(line, sizeof(line), f))
		lines++;
	if (f)
		fclose(f);
	return lines > 1;
}

static int swap_open(struct arena *a)
{
	(void)a;
	return have_swap() ? PASSED : fail("no swap; tests/guest/races makes some");
}

/* The change counts as made if something was written to swap. */
static int pageout_step(struct arena *a, unsigned int round)
{
	long before = vmstat_count("pswpout");

	if (round % 16 == 0)
		return arena_renew(a) ?: 1;
	if (advise(a, rng_range(a, 64), MADV_PAGEOUT, "MADV_PAGEOUT"))
		return FAILED;
	return vmstat_count("pswpout") > before;
}

const struct change change_pageout = {
	.name = "MADV_PAGEOUT",
	.open = swap_open,
	.step = pageout_step,
};

/* --- reclaim by a memory cgroup ------------------------------------------------------------- */

#define CGROUPS	"/sys/fs/cgroup"
#define GROUP	CGROUPS "/phyr-races"

static int reclaim_open(struct arena *a)
{
	if (swap_open(a))
		return FAILED;
	if (access(CGROUPS "/cgroup.procs", W_OK))
		return fail("no cgroup2 at " CGROUPS "; tests/guest/races mounts it");
	rmdir(GROUP);
	if (write_file(CGROUPS "/cgroup.subtree_control", "+memory") || mkdir(GROUP, 0755))
		return fail("cannot make " GROUP ": %m");
	if (write_file(GROUP "/cgroup.procs", "%d", getpid()))
		return fail("cannot move to " GROUP ": %m");
	/* The arena is charged to the root group. A new one is charged to ours. */
	return arena_renew(a);
}

static void reclaim_close(struct arena *a)
{
	(void)a;
	write_file(CGROUPS "/cgroup.procs", "%d", getpid());
	rmdir(GROUP);
}

static int reclaim_step(struct arena *a, unsigned int round)
{
	long before = vmstat_count("pswpout");

	if (round % 8 == 0)
		return arena_renew(a) ?: 1;
	/* EAGAIN says that it has found less than that. */
	if (write_file(GROUP "/memory.reclaim", "%u", 512 * 1024) && errno != EAGAIN)
		return fault("memory.reclaim: %m");
	return vmstat_count("pswpout") > before;
}

const struct change change_reclaim = {
	.name = "reclaim by a memory cgroup",
	.open = reclaim_open,
	.step = reclaim_step,
	.close = reclaim_close,
};
