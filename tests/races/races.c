// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * races: does registration get the right pages while the mapping changes?
 *
 * Each pair of a kind of memory and a change has its share of the time; see race.h.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "race.h"
#include "rdma.h"

/* So much memory may be missing at the end, as slab caches and per-CPU lists have grown. */
#define MEMORY_SLACK_KB (48 * 1024)

#define THP "/sys/kernel/mm/transparent_hugepage/"

static double seconds = 60;

static const struct {
	const struct change *change;
	enum kind kinds[KIND_COUNT + 1];	/* KIND_COUNT ends the list */
	unsigned int more;			/* extra shares of the time */
} races[] = {
	{ .change = &change_unmap,
	  .kinds = { KIND_4K, KIND_64K, KIND_THP, KIND_SHMEM_64K, KIND_HUGETLB, KIND_COUNT } },
	{ .change = &change_mremap,
	  .kinds = { KIND_4K, KIND_64K, KIND_THP, KIND_COUNT } },
	{ .change = &change_replace,
	  .kinds = { KIND_4K, KIND_64K, KIND_THP, KIND_COUNT } },
	{ .change = &change_mprotect,
	  .kinds = { KIND_4K, KIND_64K, KIND_THP, KIND_SHMEM_2M, KIND_COUNT } },
	{ .change = &change_neighbours,
	  .kinds = { KIND_SHMEM, KIND_SHMEM_64K, KIND_SHMEM_2M, KIND_COUNT } },
	{ .change = &change_dontneed,
	  .kinds = { KIND_64K, KIND_THP, KIND_COUNT } },
	{ .change = &change_free,
	  .kinds = { KIND_64K, KIND_THP, KIND_COUNT } },
	{ .change = &change_remove,
	  .kinds = { KIND_SHMEM_64K, KIND_SHMEM_2M, KIND_HUGETLB, KIND_COUNT } },
	{ .change = &change_cold,
	  .kinds = { KIND_THP, KIND_COUNT } },
	{ .change = &change_pageout,
	  .kinds = { KIND_64K, KIND_THP, KIND_COUNT } },
	{ .change = &change_reclaim,
	  .kinds = { KIND_64K, KIND_COUNT } },
	{ .change = &change_fork,
	  .kinds = { KIND_4K, KIND_64K, KIND_THP, KIND_HUGETLB_PRIVATE, KIND_COUNT },
	  .more = 2 },
	{ .change = &change_collapse,
	  .kinds = { KIND_THP, KIND_COUNT } },
	{ .change = &change_khugepaged,
	  .kinds = { KIND_THP, KIND_COUNT } },
	{ .change = &change_move_pages,
	  .kinds = { KIND_64K, KIND_THP, KIND_COUNT } },
	{ .change = &change_compact,
	  .kinds = { KIND_64K, KIND_COUNT } },
	{ .change = &change_ksm,
	  .kinds = { KIND_4K, KIND_COUNT } },
	{ .change = &change_missing,
	  .kinds = { KIND_4K, KIND_COUNT } },
	{ .change = &change_wp,
	  .kinds = { KIND_64K, KIND_THP, KIND_COUNT } },
	{ .change = &change_minor,
	  .kinds = { KIND_SHMEM_64K, KIND_COUNT } },
};

static struct pairing {
	const struct change *change;
	enum kind kind;
	unsigned int shares;
} pairings[64];
static unsigned int pairing_count, share_count;

static int test_race(const void *arg)
{
	const struct pairing *p = arg;

	return race_run(p->kind, p->change, seconds * p->shares / share_count);
}

static long free_kb(void)
{
	char line[128];
	long kb, sum = 0;
	FILE *f;

	if (write_file("/proc/sys/vm/drop_caches", "3"))
		die("cannot write /proc/sys/vm/drop_caches: %m; run as root");
	f = fopen("/proc/meminfo", "r");
	if (!f)
		die("cannot read /proc/meminfo: %m");
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "MemFree: %ld", &kb) == 1 || sscanf(line, "Cached: %ld", &kb) == 1)
			sum += kb;
	fclose(f);
	return sum;
}

static long free_before_kb;

static int test_memory_back(const void *arg)
{
	long now = free_kb();

	(void)arg;
	if (now + MEMORY_SLACK_KB < free_before_kb)
		return fail("%ld kB were free at the beginning, now it is %ld kB", free_before_kb,
			    now);
	remark("%+ld kB", now - free_before_kb);
	return PASSED;
}

static void option(int c, const char *arg)
{
	char *end;

	if (c != 's')
		return;
	seconds = strtod(arg, &end);
	if (*end || end == arg || !(seconds > 0))
		die("--seconds wants a positive number, not \"%s\"", arg);
}

static const struct option options[] = {
	{ "seconds", required_argument, NULL, 's' },
	{}
};

static const struct program program = {
	.about = "Registration of memory whose mapping changes at the same time.",
	.subject = &rdma_device,
	.options_help = "      --seconds S    how long, all races together (default 60)\n",
	.options = options,
	.option = option,
	.watchdog_s = 3600,
};

int main(int argc, char **argv)
{
	unsigned int i, j;

	neighbour_start();
	program_start(&program, argc, argv);
	for (i = 0; i < ARRAY_SIZE(races); i++) {
		for (j = 0; races[i].kinds[j] != KIND_COUNT; j++) {
			struct pairing *p = &pairings[pairing_count++];

			*p = (struct pairing){ races[i].change, races[i].kinds[j],
					       1 + races[i].more };
			share_count += p->shares;
			test_add(test_race, p, "%s, %s", p->change->name, kind_name[p->kind]);
		}
	}
	test_add(test_memory_back, NULL, "memory is given back");

	/* Arenas ask for folios of 64 KiB and of 2 MiB with MADV_HUGEPAGE. */
	if (write_file(THP "hugepages-64kB/enabled", "madvise") ||
	    write_file(THP "hugepages-64kB/shmem_enabled", "advise") ||
	    write_file(THP "shmem_enabled", "advise"))
		die(THP ": %m");
	free_before_kb = free_kb();
	return test_run();
}
