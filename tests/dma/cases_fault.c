// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * DMA that an IOMMU must block: to memory that is not mapped any more, or that was
 * mapped for the other direction only.
 *
 * The process still has the memory, and checks that it has not changed. Each
 * transfer must cause one fault.
 */
#define _GNU_SOURCE
#include <string.h>

#include "cases.h"
#include "edu.h"
#include "faults.h"
#include "mapped.h"
#include "pattern.h"
#include "test.h"

/* The length of a transfer that must be blocked; the IOMMU reports it as one fault. */
#define BYTES 4

static const struct region whole = { "whole", 0, 0 };

/* The transfer must end like any other, but move no data and cause a fault. */
static int must_fault(const struct mapped *m, uint64_t addr, size_t off, bool write,
		      const char *what)
{
	char data[BYTES], expected[BYTES];
	int result;

	memset(data, 0x5a, sizeof(data));
	pattern_fill(expected, m->buf.seed, off, BYTES);
	faults_pace();
	result = edu_dma(addr, data, BYTES, write);
	if (result)
		return fail("%s: DMA at %#lx: %s", what, (long)addr, errno_name(result));
	if (!write && !memcmp(data, expected, BYTES))
		return fail("%s: the device has read what is at offset %#zx", what, off);
	return faults_expect(addr, what) ?: mapped_check_memory(m, what);
}

/* Test both ends of a region, before and after it is unmapped. */
static int check_unmapped(struct mapped *m)
{
	const size_t offs[] = { 0, m->len - BYTES };
	uint64_t addr[ARRAY_SIZE(offs)];
	int err = PASSED;
	size_t i, len;

	for (i = 0; i < ARRAY_SIZE(offs) && !err; i++) {
		err = mapped_device_reads(m, offs[i], BYTES);
		if (!err && edu_find(m->map.id, offs[i], &addr[i], &len))
			err = fail("offset %#zx is not found: %m", offs[i]);
	}
	err = err ?: faults_none() ?: mapped_unmap(m);
	if (err)
		return err;
	/* The device's buffer may still have the old bytes, so the memory gets new ones. */
	mapped_fill(m, 7);
	for (i = 0; i < ARRAY_SIZE(offs) && !err; i++)
		err = must_fault(m, addr[i], offs[i], true, "written after unmapping");
	return err ?: must_fault(m, addr[0], offs[0], false, "read after unmapping");
}

static int test_unmapped(const void *arg)
{
	struct mapped m;
	int err;

	(void)arg;
	err = mapped_open(&m, BACKING_FRAG, SZ_2M, &whole) ?: mapped_map(&m) ?: check_unmapped(&m);
	mapped_close(&m);
	return err;
}

/* The same with each run mapped by itself: 22 bits have no free stretch of 3 MiB. */
static int test_unmapped_runs(const void *arg)
{
	static const struct region most = { "most", 0, MIB };
	struct mapped m;
	int err;

	(void)arg;
	if (edu_limits(22, NO_MAX, PCI_BOUNDARY))
		return fail("the limits cannot be set: %m");
	err = mapped_open(&m, BACKING_FRAG, 2 * SZ_2M, &most) ?: mapped_map(&m);
	if (!err && m.ranges.nr == 1)
		err = fail("mapped as one range");
	err = err ?: check_unmapped(&m);
	mapped_close(&m);
	if (edu_limits(ALL_BITS, NO_MAX, PCI_BOUNDARY))
		die("the limits cannot be set back: %m");
	return err;
}

/*
 * The device must not write to memory that is mapped for reading. The write goes to
 * a page that the device has not read: for others, QEMU's IOMMU denies it from its
 * cache, and reports no fault.
 */
static int check_direction(struct mapped *m)
{
	int result = edu_map(m->start, m->len, false, PHYR_EDU_TO_DEVICE, &m->map), err;
	uint64_t addr;
	size_t len;

	if (result) {
		m->map.id = 0;
		return fail("cannot be mapped: %s", errno_name(result));
	}
	err = mapped_device_reads(m, 0, BYTES) ?: faults_none();
	if (!err && edu_find(m->map.id, SZ_4K, &addr, &len))
		err = fail("an offset is not found: %m");
	return err ?: must_fault(m, addr, SZ_4K, true, "written though mapped for reading");
}

static int test_direction(const void *arg)
{
	struct mapped m;
	int err;

	(void)arg;
	err = mapped_open(&m, BACKING_FRAG, SZ_2M, &whole) ?: check_direction(&m);
	mapped_close(&m);
	return err;
}

void add_faults(void)
{
	/* Without an IOMMU, the device reaches all memory. */
	if (!behind_iommu)
		return;
	test_add(test_unmapped, NULL, "fault/unmapped");
	test_add(test_unmapped_runs, NULL, "fault/unmapped-runs");
	test_add(test_direction, NULL, "fault/direction");
}
