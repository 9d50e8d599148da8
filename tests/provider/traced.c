// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * traced: does what phyr's tracepoints record, and prints the events that must be seen, in the
 * order in which they happen:
 *
 *	phyr_pin start=0x7f0000000000 len=67108864 writable=1 nr=32 folio_hits=32 ...
 *
 * The kernel reports numbers of extents and of DMA entries in other ways, too, and these are
 * printed: for an MR by netlink ("rdma resource show mr -dd"), for a mapping by the edu device's
 * module. The memory is 2 MiB pages, none contiguous with the next. So each is an extent, and is
 * pinned in one step.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "nldev.h"
#include "phyr_edu.h"
#include "rdma.h"

#define LEN	(64 * MIB)

static void print_pin(const void *start, unsigned long nr)
{
	printf("phyr_pin start=%p len=%lu writable=1 nr=%lu folio_hits=%lu fallbacks=0 ret=0\n",
	       start, LEN, nr, LEN / SZ_2M);
}

static void print_unpin(unsigned long nr)
{
	printf("phyr_unpin len=%lu nr=%lu dirty=1\n", LEN, nr);
}

static void register_once(void *addr)
{
	struct ibv_mr *mr = ibv_reg_mr(dev.pd, addr, LEN, ACCESS_ALL);
	struct mr_facts facts;
	int err;

	if (!mr)
		die("ibv_reg_mr: %m");
	err = nldev_mr_facts(nldev_open(), ibv_get_device_index(dev.ctx->device), mr->lkey,
			     mr->length, &facts);
	if (err || !facts.known[MR_PHYRS])
		die("netlink does not tell the number of extents: %s", strerror(-err));
	print_pin(addr, facts.value[MR_PHYRS]);
	print_unpin(facts.value[MR_PHYRS]);
	if (ibv_dereg_mr(mr))
		die("ibv_dereg_mr: %m");
}

/* Register memory where nothing is mapped. */
static void register_badly(void *addr)
{
	if (ibv_reg_mr(dev.pd, addr, SZ_4K, ACCESS_ALL) || errno != EFAULT)
		die("memory that is not there should be refused with EFAULT: %m");
	printf("phyr_pin start=%p len=%lu writable=1 nr=0 ret=%d\n", addr, SZ_4K, -EFAULT);
}

static void map_for_device(void *addr)
{
	struct phyr_edu_map map = {
		.start = (uintptr_t)addr,
		.len = LEN,
		.writable = 1,
		.dir = PHYR_EDU_BOTH_WAYS,
	};
	struct phyr_edu_unmap unmap = {};
	int fd = open("/dev/phyr_edu", O_RDWR | O_CLOEXEC);

	if (fd < 0)
		die("/dev/phyr_edu: %m; run \"phyr-rxe edu\" on a machine with --device edu");
	if (ioctl(fd, PHYR_EDU_MAP, &map))
		die("PHYR_EDU_MAP: %m");
	unmap.id = map.id;
	if (ioctl(fd, PHYR_EDU_UNMAP, &unmap))
		die("PHYR_EDU_UNMAP: %m");
	print_pin(addr, map.runs);
	/* There is no IOMMU, so each extent is mapped on its own. */
	printf("phyr_dma_map len=%lu nr=%llu ranges=%llu entries=%llu way=each ret=0\n", LEN,
	       map.runs, map.ranges, map.entries);
	print_unpin(map.runs);
}

/*
 * The kernel keeps the events of each CPU apart, and not all tools sort events of several CPUs. On
 * one CPU, events come in the order in which they happened.
 */
static void stay_on_this_cpu(void)
{
	cpu_set_t cpus;

	CPU_ZERO(&cpus);
	CPU_SET(sched_getcpu(), &cpus);
	if (sched_setaffinity(0, sizeof(cpus), &cpus))
		die("sched_setaffinity: %m");
}

int main(void)
{
	struct buf buf;

	stay_on_this_cpu();
	rdma_device.open();
	if (buf_open(&buf, BACKING_HUGE2M_SHARED, LEN))
		die("cannot have 64 MiB in 2 MiB pages");
	register_once(buf.addr);
	register_badly(buf.addr + LEN);
	map_for_device(buf.addr);
	return 0;
}
