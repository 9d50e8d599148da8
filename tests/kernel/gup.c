// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * A yardstick: what pinning costs if GUP itself does all of it.
 *
 * We pin and unpin a block of pages at a time, so that nothing large is held or
 * allocated. A block is as many batches as 512 pages allow. We read the clock
 * before and after a block: with batches of one page, reading it for each call
 * would cost as much as the call.
 */
#include <linux/kernel.h>
#include <linux/ktime.h>
#include <linux/mm.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "gup.h"

#define MAX_BLOCK 512UL

/**
 * struct block - pages that are pinned together, and unpinned together
 * @gup: the request
 * @first: number of the block's first page in the request
 * @nr: pages in the block
 * @pinned: how many of them are pinned
 * @pages: the pinned pages
 * @addresses: the block's part of the request's addresses, if that has any
 */
struct block {
	struct phyr_test_gup *gup;
	u64 first;
	unsigned long nr;
	unsigned long pinned;
	struct page *pages[MAX_BLOCK];
	u64 addresses[MAX_BLOCK];
};

static unsigned long address(const struct block *block, unsigned long i)
{
	if (block->gup->addresses)
		return block->addresses[i];
	return block->gup->start + ((block->first + i) << PAGE_SHIFT);
}

static int pin_block(struct block *block)
{
	unsigned int flags = FOLL_LONGTERM | (block->gup->writable ? FOLL_WRITE : 0);
	u64 began = ktime_get_ns();
	int ret = 1;

	while (block->pinned < block->nr && ret > 0) {
		unsigned long ask = min_t(unsigned long, block->gup->batch,
					  block->nr - block->pinned);

		ret = pin_user_pages_fast(address(block, block->pinned), ask, flags,
					  block->pages + block->pinned);
		if (ret > 0)
			block->pinned += ret;
	}
	block->gup->pin_ns += ktime_get_ns() - began;
	if (block->pinned == block->nr)
		return 0;
	return ret ?: -EFAULT;
}

static void unpin_block(struct block *block)
{
	u64 began = ktime_get_ns();
	unsigned long i, nr;

	for (i = 0; i < block->pinned; i += nr) {
		nr = min_t(unsigned long, block->gup->batch, block->pinned - i);
		unpin_user_pages(block->pages + i, nr);
	}
	block->gup->unpin_ns += ktime_get_ns() - began;
	block->pinned = 0;
}

static int pin_and_unpin(struct block *block)
{
	struct phyr_test_gup *gup = block->gup;
	unsigned long most = rounddown(MAX_BLOCK, gup->batch);
	const u64 __user *addresses = u64_to_user_ptr(gup->addresses);
	int ret;

	for (block->first = 0; block->first < gup->nr; block->first += block->nr) {
		if (fatal_signal_pending(current))
			return -EINTR;
		cond_resched();
		block->nr = min_t(u64, most, gup->nr - block->first);
		if (addresses && copy_from_user(block->addresses, addresses + block->first,
						block->nr * sizeof(*addresses)))
			return -EFAULT;
		ret = pin_block(block);
		unpin_block(block);
		if (ret)
			return ret;
	}
	return 0;
}

/* See PHYR_TEST_GUP. */
int phyr_test_gup(struct phyr_test_gup *gup)
{
	struct block *block = kvzalloc(sizeof(*block), GFP_KERNEL);
	int ret = -EINVAL;

	if (!block)
		return -ENOMEM;
	block->gup = gup;
	gup->pin_ns = 0;
	gup->unpin_ns = 0;
	if (gup->batch && gup->batch <= MAX_BLOCK && (!gup->addresses || gup->batch == 1))
		ret = pin_and_unpin(block);
	kvfree(block);
	return ret;
}
