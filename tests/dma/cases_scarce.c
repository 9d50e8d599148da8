// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Address space that does not suffice, and processes that are killed while they map: nothing may
 * be left behind.
 *
 * With 22 bits, an IOMMU has 4 MiB of addresses for the device, less a page at 0. So these tests
 * soon run out of addresses if some are lost. test_run() checks that the pins are balanced.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cases.h"
#include "edu.h"
#include "faults.h"
#include "mapped.h"
#include "pattern.h"
#include "test.h"

#define SPACE_BITS 22
#define SPACE (1UL << SPACE_BITS)
#define FITS MIB

static int limit_bits(unsigned int bits)
{
	int result = edu_limits(bits, NO_MAX, PCI_BOUNDARY);

	return result ? fail("a DMA mask of %u bits cannot be set: %s", bits, errno_name(result)) :
			PASSED;
}

/* Map and unmap a part so often that addresses run out if any are left behind. */
static int map_often(const struct buf *buf, size_t len, int times)
{
	struct phyr_edu_map map;
	int i, result;

	for (i = 0; i < times; i++) {
		result = edu_map(buf->addr, len, true, PHYR_EDU_BOTH_WAYS, &map);
		if (result)
			return fail("%zu KiB cannot be mapped for the %dth time: %s", len / KIB,
				    i + 1, errno_name(result));
		if (edu_unmap(map.id))
			return fail("cannot be unmapped: %m");
		if (behind_iommu && map.ranges != 1)
			return fail("%lu ranges at the %dth time", (long)map.ranges, i + 1);
	}
	return PASSED;
}

/* Mapping the region must fail with that error, each time. */
static int map_never(const struct buf *buf, size_t len, int times, int error)
{
	struct phyr_edu_map map;
	int i, result;

	for (i = 0; i < times; i++) {
		result = edu_map(buf->addr, len, true, PHYR_EDU_BOTH_WAYS, &map);
		if (!result)
			edu_unmap(map.id);
		if (result != error)
			return fail("mapping %zu KiB gives %s, should be %s", len / KIB,
				    errno_name(result), errno_name(error));
	}
	return PASSED;
}

/* A region larger than the address space: when that is full, all mapped runs must be unmapped. */
static int test_exhausted(const void *arg)
{
	struct buf buf;
	int err;

	(void)arg;
	err = buf_open(&buf, BACKING_FRAG, SPACE);
	if (err)
		return err;
	err = limit_bits(SPACE_BITS) ?:
	      map_often(&buf, FITS, 2 * SPACE / FITS) ?:
	      map_never(&buf, SPACE, 3, ENOMEM) ?:
	      map_often(&buf, FITS, 2 * SPACE / FITS) ?:
	      map_never(&buf, SPACE, 1, ENOMEM) ?:
	      map_often(&buf, 123, 2) ?:
	      faults_none();
	buf_close(&buf);
	return limit_bits(ALL_BITS) ?: err;
}

/*
 * 3 MiB fit, but not as one stretch, which would have to begin at a multiple of 4 MiB.
 * So the region has many ranges. All else must be as for any region.
 */
static int test_pieces(const void *arg)
{
	static const struct region region = { "most", 77, MIB };
	struct mapped m;
	int err, i;

	(void)arg;
	err = limit_bits(SPACE_BITS) ?: mapped_open(&m, BACKING_FRAG, SPACE, &region);
	if (err)
		return err;
	for (i = 0; i < 3 && !err; i++) {
		err = mapped_map(&m);
		if (!err && (m.ranges.nr == 1 || m.ranges.nr > m.runs.nr))
			err = fail("%zu ranges of %zu runs", m.ranges.nr, m.runs.nr);
		if (!err && m.map.ranges != m.ranges.nr)
			err = fail("%lu ranges counted, %zu found", (long)m.map.ranges,
				   m.ranges.nr);
		err = err ?:
		      mapped_check_entries(&m, NO_MAX, PCI_BOUNDARY) ?:
		      mapped_check_blocks(&m) ?:
		      mapped_device_reads(&m, 0, 100) ?:
		      mapped_device_reads(&m, m.runs.piece[1].offset - 10, 20) ?:
		      mapped_device_writes(&m, m.len - 100, 100, 2) ?:
		      mapped_check_memory(&m, "after the device has written") ?:
		      mapped_unmap(&m);
		mapped_fill(&m, 3);
	}
	mapped_close(&m);
	return limit_bits(ALL_BITS) ?: err ?: faults_none();
}

/* How many slots of the kernel's bounce buffers are in use; 0 if the kernel does not say. */
static long bounce_slots(void)
{
	FILE *f = fopen("/sys/kernel/debug/swiotlb/io_tlb_used", "r");
	long slots = 0;

	if (!f)
		return 0;
	if (fscanf(f, "%ld", &slots) != 1)
		die("cannot read the number of bounce buffers in use");
	fclose(f);
	return slots;
}

/*
 * Without an IOMMU, a device may not reach some memory. Mapping that must be refused:
 * a bounce buffer would not have what the program writes later.
 */
static int test_out_of_reach(const void *arg)
{
	long slots = bounce_slots();
	uint64_t pfn[SZ_2M / SZ_4K];
	struct buf buf;
	int err;
	size_t i;

	(void)arg;
	err = buf_open(&buf, BACKING_FRAG, SZ_2M);
	if (err)
		return err;
	phys_pfns(buf.addr, ARRAY_SIZE(pfn), pfn);
	for (i = 0; i < ARRAY_SIZE(pfn); i++)
		if (pfn[i] < 4 * GIB / SZ_4K)
			err = fail("some memory is below 4 GiB: give the machine more");
	err = err ?:
	      map_often(&buf, SZ_2M, 1) ?:
	      limit_bits(32) ?:
	      map_never(&buf, SZ_4K, 50, EIO) ?:
	      map_never(&buf, SZ_2M, 10, EIO);
	if (!err && bounce_slots() != slots)
		err = fail("%ld slots of bounce buffers are left in use", bounce_slots() - slots);
	buf_close(&buf);
	return limit_bits(ALL_BITS) ?: err;
}

/* The child maps and unmaps for ever, and writes a byte after each turn. Never returns. */
static void map_for_ever(const struct buf *buf, int progress)
{
	struct phyr_edu_map map;

	edu_open();
	while (!edu_map(buf->addr, buf->len, true, PHYR_EDU_BOTH_WAYS, &map) && !edu_unmap(map.id))
		if (write(progress, "", 1) != 1)
			break;
	_exit(1);
}

/* Kill a child at a random time after its first turn. */
static int kill_one(const struct buf *buf)
{
	int pipe_fds[2], status;
	double turn;
	pid_t child;
	char byte;

	if (pipe(pipe_fds))
		die("pipe: %m");
	child = fork();
	if (child < 0)
		die("fork: %m");
	if (!child)
		map_for_ever(buf, pipe_fds[1]);
	close(pipe_fds[1]);
	turn = now_ms();
	if (read(pipe_fds[0], &byte, 1) == 1) {
		turn = now_ms() - turn;
		/* The turn seems to take no time if the byte was there before we read. */
		usleep(random_u64() % (1 + (long)(2000 * turn)));
	}
	kill(child, SIGKILL);
	if (waitpid(child, &status, 0) != child)
		die("waitpid: %m");
	close(pipe_fds[0]);
	if (!WIFSIGNALED(status))
		return fail("the region cannot be mapped any more");
	return PASSED;
}

/*
 * Whenever a process is killed, all its mappings must go with it. The region is so
 * large that most kills come in the middle of one.
 */
static int test_killed(const void *arg)
{
	struct buf buf;
	int err, i;

	(void)arg;
	err = buf_open(&buf, BACKING_FRAG, 16 * SZ_2M);
	/* There is room for three such regions at most. */
	if (!err && behind_iommu)
		err = limit_bits(27);
	for (i = 0; i < 8 && !err; i++)
		err = kill_one(&buf);
	err = err ?: map_often(&buf, buf.len, 6);
	buf_close(&buf);
	return limit_bits(ALL_BITS) ?: err ?: faults_none();
}

static int test_refused(const void *arg)
{
	struct phyr_edu_map map;
	static char byte;
	int result;

	(void)arg;
	result = edu_map(&byte, 0, true, PHYR_EDU_BOTH_WAYS, &map);
	if (result != EINVAL)
		return fail("a region of no bytes: %s", errno_name(result));
	result = edu_map(&byte, 1, true, PHYR_EDU_FROM_DEVICE + 1, &map);
	if (result != EINVAL)
		return fail("an unknown direction: %s", errno_name(result));
	result = edu_map(NULL, SZ_4K, true, PHYR_EDU_BOTH_WAYS, &map);
	if (result != EFAULT)
		return fail("memory that is not there: %s", errno_name(result));
	result = edu_unmap(12345);
	if (result != ENOENT)
		return fail("an unknown mapping: %s", errno_name(result));
	return PASSED;
}

void add_scarce(void)
{
	if (behind_iommu) {
		test_add(test_exhausted, NULL, "scarce/exhausted");
		test_add(test_pieces, NULL, "scarce/pieces");
	} else {
		test_add(test_out_of_reach, NULL, "scarce/out-of-reach");
	}
	test_add(test_killed, NULL, "scarce/killed");
	test_add(test_refused, NULL, "scarce/refused");
}
