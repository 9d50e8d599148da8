// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * A program registers memory once. Later it gives the memory back and touches it here and there, as
 * a heap does. Each touch must cost one page, as if the memory had never been registered.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "case.h"

#define LEN	(64 * MIB)

/* The flags of an address' mapping, as the kernel prints them. */
static void vm_flags(const char *addr, char flags[128])
{
	unsigned long from, to, at = (unsigned long)addr;
	FILE *f = fopen("/proc/self/smaps", "re");
	bool inside = false;
	char line[512];

	if (!f)
		die("cannot read /proc/self/smaps: %m");
	flags[0] = '\0';
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%lx-%lx ", &from, &to) == 2)
			inside = at >= from && at < to;
		else if (inside && !strncmp(line, "VmFlags: ", 9))
			snprintf(flags, 128, "%.*s", (int)strcspn(line + 9, "\n"), line + 9);
	}
	fclose(f);
	if (!flags[0])
		die("there are no flags of %p", addr);
}

/* Touch a page in each 2 MiB. No other page may become present. */
static int touch_sparsely(char *p, size_t len)
{
	size_t touches = len / SZ_2M, off, cost;

	for (off = 0; off < len; off += SZ_2M)
		p[off + 5 * SZ_4K] = 1;
	cost = present(p, len);
	if (cost > touches * SZ_4K)
		return fail("%zu touches cost %zu KiB", touches, cost / KIB);
	return PASSED;
}

static int test_given_back(const void *unused)
{
	char *p = map_fresh(LEN);
	int err;

	(void)unused;
	knob_set(&thp, "madvise");
	err = register_once(p, LEN, ACCESS_ALL);
	if (!err && madvise(p, LEN, MADV_DONTNEED))
		err = fail("MADV_DONTNEED: %m");
	err = err ?: touch_sparsely(p, LEN);
	munmap(p, LEN);
	return err;
}

static int test_beside(const void *unused)
{
	char *p = map_fresh(4 * LEN), *area = (char *)(((uintptr_t)p + SZ_2M - 1) & ~(SZ_2M - 1));
	int err;

	(void)unused;
	knob_set(&thp, "madvise");
	err = register_once(area + LEN + SZ_4K, LEN - 2 * SZ_4K, ACCESS_ALL) ?:
	      touch_sparsely(area, LEN) ?:
	      touch_sparsely(area + 2 * LEN, LEN);
	munmap(p, 4 * LEN);
	return err;
}

struct opinion {
	const char *name;
	int advice;		/* of the program itself, or -1 */
	const char *mode;
};

static int test_flags(const void *arg)
{
	const struct opinion *opinion = arg;
	char before[128], after[128], *p = map_fresh(LEN);
	int err = PASSED;

	knob_set(&thp, opinion->mode);
	if (opinion->advice >= 0 && madvise(p, LEN, opinion->advice))
		err = fail("madvise(%d): %m", opinion->advice);
	vm_flags(p + LEN / 2, before);
	err = err ?: register_once(p + SZ_2M, LEN - 2 * SZ_2M, ACCESS_ALL);
	vm_flags(p + LEN / 2, after);
	if (!err && strcmp(before, after))
		err = fail("they were %s and are %s", before, after);
	munmap(p, LEN);
	return err;
}

/* A program that does not want huge pages must not get any. */
static int test_none_huge(const void *arg)
{
	const struct opinion *opinion = arg;
	char *p = map_fresh(LEN);
	long huge_kb;
	int err = PASSED;

	knob_set(&thp, opinion->mode);
	if (opinion->advice >= 0 && madvise(p, LEN, opinion->advice))
		err = fail("madvise(%d): %m", opinion->advice);
	err = err ?: register_once(p, LEN, ACCESS_ALL);
	huge_kb = smaps_kb(p, LEN, "AnonHugePages");
	if (!err && huge_kb)
		err = fail("%ld KiB in huge pages", huge_kb);
	if (!err && present(p, LEN) != LEN)
		err = fail("only %zu of %zu KiB are there", present(p, LEN) / KIB, LEN / KIB);
	munmap(p, LEN);
	return err;
}

int main(int argc, char **argv)
{
	static const struct opinion opinions[] = {
		{ "no advice, THP always", -1, "always" },
		{ "no advice, THP madvise", -1, "madvise" },
		{ "no advice, THP never", -1, "never" },
		{ "MADV_HUGEPAGE", MADV_HUGEPAGE, "madvise" },
		{ "MADV_NOHUGEPAGE", MADV_NOHUGEPAGE, "always" },
	};
	size_t i;

	case_start("Memory that was registered once costs no more later.", 60, argc, argv);
	test_add(test_given_back, NULL, "given back and touched sparsely");
	test_add(test_beside, NULL, "what lies beside it, touched sparsely");
	for (i = 0; i < ARRAY_SIZE(opinions); i++)
		test_add(test_flags, &opinions[i], "VmFlags stay: %s", opinions[i].name);
	test_add(test_none_huge, &opinions[2], "no huge pages: THP never");
	test_add(test_none_huge, &opinions[4], "no huge pages: MADV_NOHUGEPAGE");
	return test_run();
}
