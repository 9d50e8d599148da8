// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * DMA that an IOMMU must not let pass: to memory that is mapped no longer, or
 * was mapped for the other direction only.
 *
 * The memory still is the process's own, which looks whether it has changed. A
 * fault is expected for each transfer, one by one.
 */
#define _GNU_SOURCE
#include <string.h>

#include "cases.h"
#include "edu.h"
#include "faults.h"
#include "mapped.h"
#include "pattern.h"
#include "test.h"

/* What is not let pass is tried, and reported, so many bytes at a time. */
#define BYTES 4

static const struct region whole = { "whole", 0, 0 };

/* The transfer ends like any, but nothing has come of it. */
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

/* A region at its ends, before and after. */
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
	/* Not what the device may still have in its buffer. */
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

/* The same where each run was mapped by itself: 22 bits have no stretch for 3 MiB. */
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
 * What the device shall only read it cannot write. (Of a page that it has read
 * before, QEMU's IOMMU knows from its cache that it is not to be written, and
 * reports no fault then: so another one.)
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
	/* Without one, the device reaches all memory. */
	if (!behind_iommu)
		return;
	test_add(test_unmapped, NULL, "fault/unmapped");
	test_add(test_unmapped_runs, NULL, "fault/unmapped-runs");
	test_add(test_direction, NULL, "fault/direction");
}
