// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * The regions that calls are about, of every kind of memory, and objects that are no regions. All
 * are made before the first test and stay, so that handles mean the same in every call.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "fuzz.h"

struct region regions[MAX_REGIONS];
size_t regions_count;
struct phyr_ib_device_info device_info;
struct strangers strangers;

/* Extents are counted in bytes: the first and the last are cut to the region. */
static void find_extents(struct region *region)
{
	uintptr_t start = (uintptr_t)region->mr->addr;
	size_t len = region->mr->length, skew = start % SZ_4K;
	size_t pages = (skew + len + SZ_4K - 1) / SZ_4K, i;
	uint64_t *pfn = calloc(pages + 1, sizeof(*pfn));
	struct phyr_ib_extent *extent = NULL;

	region->extents = calloc(pages + 1, sizeof(*region->extents));
	if (!pfn || !region->extents)
		die("out of memory");
	phys_pfns((void *)(start - skew), pages, pfn);
	for (i = 0; i < pages; i++) {
		if (!pfn[i])
			die("page %zu of region %s is not there, though registered", i,
			    region->name);
		if (!i || pfn[i] != pfn[i - 1] + 1) {
			extent = &region->extents[region->nr++];
			extent->offset = i ? i * SZ_4K - skew : 0;
		}
		extent->length = (i + 1 < pages ? (i + 1) * SZ_4K - skew : len) - extent->offset;
	}
	free(pfn);
}

static bool region_reg(const char *name, void *addr, size_t len, int access)
{
	struct region *region = &regions[regions_count];
	double begin = now_ms();

	region->mr = ibv_reg_mr(dev.pd, addr, len, access);
	region->reg_ns = (now_ms() - begin) * 1e6;
	if (!region->mr)
		return false;
	region->name = name;
	regions_count++;
	if (access & IBV_ACCESS_ON_DEMAND)
		region->on_demand = true;
	else if (len)
		find_extents(region);
	return true;
}

/* Ask once. Tests check these answers, and all later answers must be like them. */
static void ask_first(void)
{
	struct call call;
	size_t i;

	call_good(&call, DEVICE_QUERY, NULL);
	call.bytes.attrs[0].data = (uintptr_t)&device_info;
	ioctl(dev.ctx->cmd_fd, call.cmd, &call.bytes);
	for (i = 0; i < regions_count; i++) {
		call_good(&call, MR_QUERY, &regions[i]);
		call.bytes.attrs[1].data = (uintptr_t)&regions[i].info;
		ioctl(dev.ctx->cmd_fd, call.cmd, &call.bytes);
	}
}

static uint32_t mr_elsewhere(void)
{
	struct ibv_context *ctx = ibv_open_device(dev.ctx->device);
	struct ibv_pd *pd = NULL;
	struct ibv_mr *mr;
	int i;

	if (!ctx)
		die("cannot open %s again: %m", dev.name);
	/* Each context numbers its own objects. Get a number that our context does not have. */
	for (i = 0; i < 200; i++) {
		pd = ibv_alloc_pd(ctx);
		if (!pd)
			die("ibv_alloc_pd: %m");
	}
	mr = ibv_reg_mr(pd, malloc(SZ_4K), SZ_4K, IBV_ACCESS_LOCAL_WRITE);
	if (!mr)
		die("ibv_reg_mr in a second context: %m");
	return mr->handle;
}

static void meet_strangers(void)
{
	struct ibv_cq *cq = ibv_create_cq(dev.ctx, 4, NULL, NULL, 0);
	struct ibv_qp_init_attr attr = {
		.send_cq = cq,
		.recv_cq = cq,
		.cap = { .max_send_wr = 1, .max_recv_wr = 1, .max_send_sge = 1, .max_recv_sge = 1 },
		.qp_type = IBV_QPT_RC,
	};
	struct ibv_qp *qp = cq ? ibv_create_qp(dev.pd, &attr) : NULL;
	struct ibv_mw *mw = ibv_alloc_mw(dev.pd, IBV_MW_TYPE_1);
	struct ibv_mr *mr = ibv_reg_mr(dev.pd, arena, SZ_4K, 0);

	if (!cq || !qp || !mw || !mr)
		die("cannot make a CQ, a QP, a memory window and an MR: %m");
	strangers = (struct strangers){
		.pd = dev.pd->handle,
		.cq = cq->handle,
		.qp = qp->handle,
		.mw = mw->handle,
		.freed = mr->handle,
		.elsewhere = mr_elsewhere(),
	};
	if (ibv_dereg_mr(mr))
		die("ibv_dereg_mr: %m");
}

void regions_open(void)
{
	static struct buf bufs[BACKING_COUNT];
	static const size_t len[BACKING_COUNT] = {
		[BACKING_4K] = SZ_2M,
		/* This has more extents than a call can return. */
		[BACKING_FRAG] = 32 * MIB,
		[BACKING_THP] = 8 * MIB,
		[BACKING_THP_PTE] = 4 * MIB,
		[BACKING_HUGE2M_SHARED] = 8 * MIB,
		[BACKING_MIXED] = 8 * MIB,
	};
	char *frag, *huge;
	int i;

	arena_open();
	for (i = 0; i < BACKING_COUNT; i++) {
		if (!len[i])
			continue;
		if (buf_open(&bufs[i], i, len[i]))
			die("no %zu bytes of %s", len[i], backing_name(i));
		if (!region_reg(backing_name(i), bufs[i].addr, len[i], ACCESS_ALL))
			die("cannot register %zu bytes of %s: %m", len[i], backing_name(i));
	}
	frag = bufs[BACKING_FRAG].addr;
	huge = bufs[BACKING_HUGE2M_SHARED].addr;
	if (!region_reg("unaligned", frag + 123, 77 * SZ_4K + 5, ACCESS_ALL) ||
	    !region_reg("in a huge page", huge + SZ_2M - 7, 9, ACCESS_ALL) ||
	    !region_reg("one byte", frag + SZ_4K - 1, 1, 0) ||
	    !region_reg("no bytes", frag + 5, 0, 0))
		die("cannot register parts of a buffer: %m");
	region_reg("on demand", bufs[BACKING_4K].addr, SZ_4K,
		   IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_ON_DEMAND);
	meet_strangers();
	ask_first();
}

struct region *region_named(const char *name)
{
	size_t i;

	for (i = 0; i < regions_count; i++)
		if (!strcmp(regions[i].name, name))
			return &regions[i];
	return NULL;
}

const struct region *region_of(uint64_t handle)
{
	size_t i;

	for (i = 0; i < regions_count; i++)
		if (regions[i].mr->handle == handle)
			return &regions[i];
	return NULL;
}

static int must_be(const char *field, uint64_t value, uint64_t from, uint64_t to)
{
	if (value >= from && value <= to)
		return PASSED;
	if (from == to)
		return fail("%s: %lu, should be %lu", field, value, from);
	return fail("%s: %lu, should be from %lu to %lu", field, value, from, to);
}

/* Does each extent but the first begin where a block begins? */
static int check_blocks(const struct region *region)
{
	uint64_t size = region->info.block_size;
	uintptr_t start = (uintptr_t)region->mr->addr;
	size_t i;

	if (!size)
		return PASSED;
	if (size < SZ_4K || size & (size - 1))
		return fail("blocks of %lu bytes", size);
	for (i = 1; i < region->nr; i++)
		if ((start + region->extents[i].offset) % size)
			return fail("extent %zu begins within one of the blocks of %lu bytes", i,
				    size);
	return PASSED;
}

int region_check_info(const struct region *region)
{
	const struct phyr_ib_mr_info *info = &region->info;
	uintptr_t start = (uintptr_t)region->mr->addr;
	size_t len = region->mr->length, i;
	uint64_t largest = 0, smallest = UINT64_MAX;
	uint64_t pages = (start % SZ_4K + len + SZ_4K - 1) / SZ_4K;

	for (i = 0; i < region->nr; i++) {
		if (region->extents[i].length > largest)
			largest = region->extents[i].length;
		if (region->extents[i].length < smallest)
			smallest = region->extents[i].length;
	}
	if (!region->nr)
		smallest = 0;
	return must_be("phyrs", info->phyrs, region->nr, region->nr) ?:
	       must_be("dma_entries", info->dma_entries, info->phyrs, info->phyrs) ?:
	       must_be("largest", info->largest, largest, largest) ?:
	       must_be("smallest", info->smallest, smallest, smallest) ?:
	       must_be("pinned_pages", info->pinned_pages, pages, pages) ?:
	       /* At most 8 bytes a page or 16 bytes an extent, and a constant. */
	       must_be("metadata", info->metadata, 1,
		       1024 + (pages * 8 < region->nr * 16 ? pages * 8 : region->nr * 16)) ?:
	       must_be("pin_ns", info->pin_ns, 1, region->reg_ns) ?:
	       check_blocks(region);
}

int device_check_info(void)
{
	uint64_t caps = PHYR_IB_DEVICE_CAP_MR_QUERY | PHYR_IB_DEVICE_CAP_MR_EXTENTS;
	/* As many extents as fit into an attribute. */
	uint32_t max = UINT16_MAX / sizeof(struct phyr_ib_extent);

	return must_be("caps", device_info.caps, caps, caps) ?:
	       must_be("max_extents", device_info.max_extents, max, max) ?:
	       must_be("reserved", device_info.reserved, 0, 0);
}
