// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Map memory for a device that really does DMA, and let it read and write.
 *
 * The tests map each backing, whole and in part. The list must be as short as can be,
 * and each entry and block must be right. The device and the process must see what the
 * other writes, and nothing else may change. Tests with narrow limits of the device
 * check the list only, as a transfer takes a fifth of a second. cases_fault.c has DMA
 * that must not be possible, cases_scarce.c address space that does not suffice,
 * cases_ops.c mapping operations of the device's own.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cases.h"
#include "edu.h"
#include "faults.h"
#include "mapped.h"
#include "pattern.h"
#include "test.h"

#define LEN (4 * SZ_2M)

static const enum backing_kind backings[] = {
	BACKING_FRAG, BACKING_THP, BACKING_HUGE2M_SHARED, BACKING_HUGE1G,
};

/* The odd region begins and ends in the middle of pages, and of large ones. */
static const struct region regions[] = {
	{ "whole", 0, 0 },
	{ "odd", 3 * SZ_4K + 564, 2 * SZ_4K + 77 },
};

struct limits {
	const char *name;
	uint32_t max_segment;
	uint64_t boundary;
};

static const struct limits limits[] = {
	{ "64K", 64 * KIB, PCI_BOUNDARY },
	{ "odd-64K", 64 * KIB + 4095, PCI_BOUNDARY },
	{ "page", SZ_4K * 2, PCI_BOUNDARY },
	{ "boundary-1M", NO_MAX, MIB - 1 },
	{ "2M-boundary-64K", SZ_2M, 64 * KIB - 1 },
	{ "no-boundary", NO_MAX, UINT64_MAX },
};

struct test_case {
	enum backing_kind backing;
	const struct region *region;
};

/* Where the second run begins; without one, the middle. */
static size_t seam(const struct mapped *m)
{
	return m->runs.nr > 1 ? m->runs.piece[1].offset : m->len / 2;
}

/* The device reads and writes at both ends, across the first seam, and at a random place. */
static int check_device(struct mapped *m)
{
	const struct { size_t off, len; } places[] = {
		{ 0, 300 },
		{ m->len - 300, 300 },
		{ seam(m) - 150, 300 },
		{ random_u64() % (m->len - 2 * SZ_4K), SZ_4K },
	};
	int err = PASSED;
	size_t i;

	/* Written after mapping: the device must not have a copy from before. */
	mapped_fill(m, 2);
	for (i = 0; i < ARRAY_SIZE(places) && !err; i++)
		err = mapped_device_reads(m, places[i].off, places[i].len);
	for (i = 0; i < ARRAY_SIZE(places) && !err; i++)
		err = mapped_device_writes(m, places[i].off, places[i].len, 3 + i);
	return err ?: mapped_check_memory(m, "after the device has written");
}

/*
 * The best block is as large as the memory's folios. Behind an IOMMU, it is the largest
 * size that there is, if phyr.ko can choose the addresses or the region is aligned to it.
 */
static int check_best(const struct mapped *m)
{
	struct phyr_edu_blocks args = {
		.id = m->map.id, .sizes = SZ_4K | SZ_2M, .iova = (uintptr_t)m->start,
	};
	bool aligned = args.iova % SZ_2M == 0;
	bool large = behind_iommu ? has_iova_calls || aligned : m->buf.backing != BACKING_FRAG;

	if (edu_blocks(&args))
		return fail("PHYR_EDU_BLOCKS: %m");
	if (args.best != (large ? SZ_2M : SZ_4K))
		return fail("the best blocks of a page or of 2 MiB are of %#lx", (long)args.best);
	return PASSED;
}

static int test_device(const void *arg)
{
	const struct test_case *c = arg;
	struct mapped m;
	int err;

	err = mapped_open(&m, c->backing, LEN, c->region) ?:
	      mapped_map(&m) ?:
	      mapped_check_ranges(&m) ?:
	      mapped_check_entries(&m, NO_MAX, PCI_BOUNDARY) ?:
	      mapped_check_blocks(&m) ?:
	      check_best(&m) ?:
	      check_device(&m);
	remark("%lu runs, %lu entries", (long)m.map.runs, (long)m.map.entries);
	err = err ?:
	      mapped_unmap(&m) ?:
	      mapped_check_memory(&m, "after unmapping") ?:
	      faults_none();
	mapped_close(&m);
	return err;
}

/* For some limits, the number of entries is known without a model. */
static int check_counted(const struct mapped *m, const struct limits *l)
{
	unsigned long entries = m->map.entries;

	if (!behind_iommu || m->len < LEN)
		return PASSED;
	if (l->max_segment == 64 * KIB && entries != LEN / (64 * KIB))
		return fail("%lu entries of 64 KiB", entries);
	if (l->boundary == MIB - 1 && entries != LEN / MIB)
		return fail("%lu entries within 1 MiB", entries);
	return PASSED;
}

static int check_limits(struct mapped *m, const struct limits *l)
{
	int err, result = edu_limits(ALL_BITS, l->max_segment, l->boundary);

	if (result)
		return fail("the limits cannot be set: %s", errno_name(result));
	err = mapped_map(m) ?:
	      /* Older kernels' IOMMU layer leaves gaps where a segment would cross the boundary. */
	      mapped_check_ranges(m) ?:
	      mapped_check_entries(m, l->max_segment, l->boundary) ?:
	      check_counted(m, l) ?:
	      mapped_unmap(m);
	return err ? fail("limits %s", l->name) : PASSED;
}

static int test_limits(const void *arg)
{
	const struct test_case *c = arg;
	struct mapped m;
	size_t i;
	int err;

	err = mapped_open(&m, c->backing, LEN, c->region);
	for (i = 0; i < ARRAY_SIZE(limits) && !err; i++)
		err = check_limits(&m, &limits[i]);
	mapped_close(&m);
	if (edu_limits(ALL_BITS, NO_MAX, PCI_BOUNDARY))
		die("the limits cannot be set back: %m");
	return err;
}

static void add_case(enum backing_kind kind, const struct region *region)
{
	struct test_case *c = malloc(sizeof(*c));

	if (!c)
		die("out of memory");
	*c = (struct test_case){ kind, region };
	test_add(test_device, c, "device/%s/%s", backing_name(kind), region->name);
	test_add(test_limits, c, "limits/%s/%s", backing_name(kind), region->name);
}

static void add_table(void)
{
	size_t b, r;

	for (b = 0; b < ARRAY_SIZE(backings); b++)
		for (r = 0; r < ARRAY_SIZE(regions); r++)
			add_case(backings[b], &regions[r]);
}

static int test_no_faults(const void *arg)
{
	(void)arg;
	sleep(1);
	return faults_none();
}

/* --- the subject: a device, and the IOMMU that it must be behind --- */

static const char *iommu;

static void subject_option(int c, const char *arg)
{
	(void)c;
	iommu = arg;
	behind_iommu = strcmp(iommu, "none");
}

static bool kernel_has(const char *function)
{
	FILE *f = fopen("/proc/kallsyms", "r");
	bool found = false;
	char name[512];

	if (!f)
		die("cannot read /proc/kallsyms: %m");
	while (!found && fscanf(f, "%*s %*s %511s%*[^\n]", name) == 1)
		found = !strcmp(name, function);
	fclose(f);
	return found;
}

static void subject_open(void)
{
	const char *type;

	if (!iommu)
		die("--iommu is missing: none, intel or virtio");
	edu_open();
	type = edu_iommu();
	if (strcmp(type, behind_iommu ? "DMA" : "none"))
		die("--iommu %s, but the IOMMU of the device is \"%s\"", iommu, type);
	has_iova_calls = kernel_has("dma_iova_try_alloc");
	faults_open();
}

static int recover(void)
{
	/* This closes the file, and so unmaps what a failed test has left. */
	edu_open();
	return edu_limits(ALL_BITS, NO_MAX, PCI_BOUNDARY);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "iommu", required_argument, NULL, 'i' },
		{},
	};
	static const struct subject subject = {
		.options_help =
			"  -i, --iommu NAME   what the machine was started with: none, intel or virtio\n",
		.short_options = "i:",
		.options = options,
		.option = subject_option,
		.open = subject_open,
	};
	static const struct program program = {
		.about = "Map memory by /dev/phyr_edu, and let the device read and write it.",
		.subject = &subject,
		.watchdog_s = 120,
		.recover = recover,
	};

	program_start(&program, argc, argv);
	add_table();
	add_scarce();
	add_ops();
	add_faults();
	test_add(test_no_faults, NULL, "no-other-faults");
	return test_run();
}
