// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Compares what the kernel says of MRs with the page map: for memory of every kind, from any
 * address on, with one extent or with thousands, which calls of any size list.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "phyrdv.h"

void extents_free(struct extents *extents)
{
	free(extents->list);
	*extents = (struct extents){};
}

static void add(struct extents *extents, uint64_t offset, uint64_t length)
{
	if (extents->nr == extents->room) {
		extents->room = extents->room ? 2 * extents->room : 64;
		extents->list = reallocarray(extents->list, extents->room, sizeof(*extents->list));
		if (!extents->list)
			die("out of memory");
	}
	extents->list[extents->nr++] = (struct phyrdv_extent){ offset, length };
}

void extents_of_memory(struct extents *extents, const char *addr, size_t len)
{
	static _Thread_local uint64_t pfn[512];
	size_t offset = 0, length, n, i = 0, left = 0;
	uint64_t last = 0;

	*extents = (struct extents){};
	for (; offset < len; offset += length, i++, left--) {
		if (!left) {
			n = ((uintptr_t)addr % SZ_4K + len - 1) / SZ_4K + 1 - i;
			left = n < ARRAY_SIZE(pfn) ? n : ARRAY_SIZE(pfn);
			phys_pfns(addr + offset, left, pfn);
		}
		length = SZ_4K - (uintptr_t)(addr + offset) % SZ_4K;
		length = length < len - offset ? length : len - offset;
		if (offset && pfn[i % ARRAY_SIZE(pfn)] == last + 1)
			extents->list[extents->nr - 1].length += length;
		else
			add(extents, offset, length);
		last = pfn[i % ARRAY_SIZE(pfn)];
		if (!last)
			die("a page is not present");
	}
}

int extents_of_mr(struct extents *extents, struct ibv_mr *mr, uint64_t start, uint32_t at_a_time)
{
	/* There is room for one extent more than the call is told of, which must not change. */
	struct phyrdv_extent *some = calloc(at_a_time + 1, sizeof(*some));
	const struct phyrdv_extent guard = { 0x1234567, 0x7654321 };
	uint32_t nr = 0, i;
	int err = PASSED;

	*extents = (struct extents){};
	if (!some)
		die("out of memory");
	while (start < mr->length && !err) {
		some[at_a_time] = guard;
		err = expect("phyrdv_mr_extents",
			     phyrdv_mr_extents(mr, start, some, at_a_time, &nr), 0);
		if (err)
			break;
		if (!nr || nr > at_a_time)
			err = fail("%u extents where up to %u were asked for", nr, at_a_time);
		else if (memcmp(&some[at_a_time], &guard, sizeof(guard)))
			err = fail("an extent is written behind the list");
		for (i = 0; i < nr && !err; i++) {
			if (some[i].offset != start || !some[i].length)
				err = fail("an extent of %lu bytes at %lu; should be at %lu",
					   (unsigned long)some[i].length,
					   (unsigned long)some[i].offset, (unsigned long)start);
			start += some[i].length;
			add(extents, some[i].offset, some[i].length);
		}
	}
	if (!err && start != mr->length)
		err = fail("the extents' lengths add up to %lu, the MR's is %zu",
			   (unsigned long)start, mr->length);
	free(some);
	return err;
}

int extents_equal(const struct extents *one, const struct extents *other)
{
	size_t i;

	for (i = 0; i < one->nr && i < other->nr; i++)
		if (memcmp(&one->list[i], &other->list[i], sizeof(one->list[i])))
			return fail("extent %zu at %lu is %lu long, should be %lu", i,
				    (unsigned long)one->list[i].offset,
				    (unsigned long)one->list[i].length,
				    (unsigned long)other->list[i].length);
	if (one->nr != other->nr)
		return fail("%zu extents, should be %zu", one->nr, other->nr);
	return PASSED;
}

static int value(const char *what, uint64_t is, uint64_t low, uint64_t high)
{
	if (is >= low && is <= high)
		return PASSED;
	return fail("%s is %lu, should be from %lu to %lu", what, (unsigned long)is,
		    (unsigned long)low, (unsigned long)high);
}

/* All extents must be made of whole blocks, but the MR may cut the first and the last. */
static int whole_blocks(const struct extents *extents, uint64_t block_size)
{
	size_t i;

	if (!block_size)
		return PASSED;
	if (block_size & (block_size - 1))
		return fail("a block size of %lu", (unsigned long)block_size);
	for (i = 1; i + 1 < extents->nr; i++)
		if (extents->list[i].length % block_size)
			return fail("the extent at %lu of %lu bytes is not made of blocks of %lu",
				    (unsigned long)extents->list[i].offset,
				    (unsigned long)extents->list[i].length,
				    (unsigned long)block_size);
	return PASSED;
}

static int facts(struct ibv_mr *mr, const struct extents *extents)
{
	uintptr_t addr = (uintptr_t)mr->addr;
	size_t pages = (addr % SZ_4K + mr->length - 1) / SZ_4K + 1, i;
	uint64_t largest = 0, smallest = UINT64_MAX;
	struct phyrdv_mr_attr attr;
	int err;

	for (i = 0; i < extents->nr; i++) {
		largest = extents->list[i].length > largest ? extents->list[i].length : largest;
		smallest = extents->list[i].length < smallest ? extents->list[i].length : smallest;
	}
	err = expect("phyrdv_query_mr", phyrdv_query_mr(mr, &attr, sizeof(attr)), 0);
	if (err)
		return err;
	return value("comp_mask", attr.comp_mask, 0, 0) ?:
	       value("phyrs", attr.phyrs, extents->nr, extents->nr) ?:
	       value("dma_entries", attr.dma_entries, 1, extents->nr) ?:
	       value("largest", attr.largest, largest, largest) ?:
	       value("smallest", attr.smallest, smallest, smallest) ?:
	       value("metadata", attr.metadata, 1, SZ_4K + 16 * extents->nr) ?:
	       value("pinned_pages", attr.pinned_pages, pages, pages) ?:
	       value("pin_ns", attr.pin_ns, 1, 600 * 1000000000UL) ?:
	       whole_blocks(extents, attr.block_size);
}

int mr_as_memory(struct ibv_mr *mr)
{
	struct extents memory = {}, said = {};
	struct phyrdv_mr_attr attr;
	int err;

	if (on_stock)
		return expect("phyrdv_query_mr", phyrdv_query_mr(mr, &attr, sizeof(attr)),
			      EOPNOTSUPP);
	extents_of_memory(&memory, mr->addr, mr->length);
	err = extents_of_mr(&said, mr, 0, 1000) ?: extents_equal(&said, &memory) ?:
	      facts(mr, &memory);
	extents_free(&memory);
	extents_free(&said);
	return err;
}

/* --- every kind of memory, from any address on ------------------------------------------------ */

static int one_region(const struct buf *buf, size_t start, size_t len)
{
	struct ibv_mr *mr = mr_reg(buf->addr + start, len, IBV_ACCESS_LOCAL_WRITE);
	int err = mr ? mr_as_memory(mr) : FAILED;

	if (err)
		fail("%zu bytes at %zu", len, start);
	return mr_dereg(&mr) ?: err;
}

static int test_backing(const void *arg)
{
	const enum backing_kind *backing = arg;
	static const size_t sizes[] = { 1, 4095, 4096, 4097, 3 * SZ_4K + 5, SZ_2M - 1, SZ_2M + 1 };
	static const size_t starts[] = { 0, 1, 4095, SZ_4K, SZ_2M - 1, SZ_2M + SZ_4K + 3 };
	const size_t all = 4 * SZ_2M;
	struct buf buf;
	size_t i, j;
	int err = buf_open(&buf, *backing, all);

	if (err)
		return err;
	for (i = 0; i < ARRAY_SIZE(sizes) && !err; i++)
		for (j = 0; j < ARRAY_SIZE(starts) && !err; j++)
			err = one_region(&buf, starts[j], sizes[i]);
	err = err ?: one_region(&buf, 0, all) ?: one_region(&buf, 1, all - 2);
	buf_close(&buf);
	return err;
}

/* --- long lists ------------------------------------------------------------------------------- */

/* List more extents than one call returns. Then list them from within some extents on. */
static int test_pages(const void *arg)
{
	const uint32_t *asked = arg;
	struct extents memory = {}, said = {}, rest = {};
	struct phyrdv_device_attr device;
	uint32_t at_a_time = *asked;
	struct ibv_mr *mr = NULL;
	size_t skip_to, i;
	struct buf buf;
	int err;

	if (phyrdv_query_device(dev.ctx, &device, sizeof(device)))
		return fail("phyrdv_query_device: %m");
	/* 0 stands for as many as one call returns, UINT32_MAX for more. */
	if (!at_a_time || at_a_time == UINT32_MAX)
		at_a_time = device.max_extents + (at_a_time ? 1000 : 0);
	err = buf_open(&buf, BACKING_FRAG, 10 * SZ_2M);
	if (err)
		return err;
	mr = mr_reg(buf.addr + 100, buf.len - 200, IBV_ACCESS_LOCAL_WRITE);
	err = mr ? PASSED : FAILED;
	if (!err)
		extents_of_memory(&memory, mr->addr, mr->length);
	if (!err && memory.nr <= device.max_extents)
		err = fail("%zu extents are too few for this test", memory.nr);
	err = err ?: extents_of_mr(&said, mr, 0, at_a_time) ?: extents_equal(&said, &memory);
	for (i = 0; i < 5 && !err; i++) {
		skip_to = random_u64() % mr->length;
		extents_free(&rest);
		err = extents_of_mr(&rest, mr, skip_to, at_a_time);
		/* The first is the end of an extent in the whole list. All others are the same. */
		if (!err && rest.nr > memory.nr)
			err = fail("%zu extents from %zu on", rest.nr, skip_to);
		if (!err && rest.nr > 1)
			err = memcmp(rest.list + 1, memory.list + memory.nr - rest.nr + 1,
				     (rest.nr - 1) * sizeof(*rest.list)) ?
			      fail("other extents from %zu on", skip_to) : PASSED;
	}
	extents_free(&memory);
	extents_free(&said);
	extents_free(&rest);
	err = mr_dereg(&mr) ?: err;
	buf_close(&buf);
	return err;
}

void add_extents_tests(void)
{
	static const enum backing_kind backings[] = {
		BACKING_4K, BACKING_FRAG, BACKING_THP, BACKING_THP_PTE, BACKING_HUGE2M_SHARED,
		BACKING_MIXED,
	};
	static const uint32_t at_a_time[] = { 1, 7, 0, UINT32_MAX };
	static const char *const names[] = { "1", "7", "the most", "more than the most" };
	size_t i;

	for (i = 0; i < ARRAY_SIZE(backings); i++)
		test_add(test_backing, &backings[i], "%s: what is said is what there is",
			 backing_name(backings[i]));
	for (i = 0; i < ARRAY_SIZE(at_a_time) && !on_stock; i++)
		test_add(test_pages, &at_a_time[i], "extents by %s at a time", names[i]);
}
