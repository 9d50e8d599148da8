// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Unit tests of kernel/core/dma_list.c: entries and blocks of a DMA list.
 *
 * The model is a list of pages, in order, each with its DMA address. So it has the
 * address of each byte. Tests check entries and blocks page by page, against their
 * definitions.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "array.h"
#include "builder.h"

#define USER 0x7f0000000000UL
#define SZ_1M (1UL << 20)
#define SZ_2M (2UL << 20)
#define MAX_PAGES 4096

/* A mapped region: its user address, and the DMA address of each of its pages. */
struct model {
	unsigned long start;
	size_t len;
	unsigned long pages;
	u64 page[MAX_PAGES];
};

static u64 model_find(const struct model *model, size_t offset)
{
	size_t at = (model->start & ~PAGE_MASK) + offset;

	return model->page[at >> PAGE_SHIFT] + (at & ~PAGE_MASK);
}

/* Offset of the first byte behind the page that a byte is in. */
static size_t page_end(const struct model *model, size_t offset)
{
	size_t at = (model->start & ~PAGE_MASK) + offset;

	return min(model->len, offset + PAGE_SIZE - (at & ~PAGE_MASK));
}

/* Offset of the end of the range that a byte is in. */
static size_t range_end(const struct model *model, size_t offset)
{
	size_t end = page_end(model, offset);

	while (end < model->len && model_find(model, end) == model_find(model, end - 1) + 1)
		end = page_end(model, end);
	return end;
}

static void set_region(struct model *model, unsigned long start, size_t len)
{
	model->start = start;
	model->len = len;
	model->pages = DIV_ROUND_UP((start & ~PAGE_MASK) + len, PAGE_SIZE);
	assert_true(model->pages <= MAX_PAGES);
}

/*
 * Fill the model with ranges of up to so many pages. As with IOMMUs and large pages,
 * some agree with the user's address modulo a power of two, and some end at a multiple
 * of one.
 */
static void fill_random(struct model *model, unsigned long max_pages, u64 *random)
{
	unsigned long i = 0, left, align, page = model->start >> PAGE_SHIFT;
	u64 addr;

	while (i < model->pages) {
		align = 1UL << next_random(random) % 12;
		left = 1 + next_random(random) % max_pages;
		if (next_random(random) % 4)
			left = align - (page + i) % align;
		addr = (1 + next_random(random) % 100000) * 2 * align;
		if (next_random(random) % 8)
			addr += (page + i) % align;
		for (; left && i < model->pages; left--, i++, addr++)
			model->page[i] = addr << PAGE_SHIFT;
	}
}

static void fill_one(struct model *model, u64 addr)
{
	unsigned long i;

	for (i = 0; i < model->pages; i++)
		model->page[i] = addr + (i << PAGE_SHIFT);
}

static void new_list(struct phyr_dma_list *list, const struct model *model)
{
	struct phyr_builder builder;
	unsigned long i;

	phyr_builder_init(&builder, model->start & PAGE_MASK);
	for (i = 0; i < model->pages; i++)
		assert_int_equal(phyr_builder_add(&builder, model->page[i], PAGE_SIZE), 0);
	assert_int_equal(phyr_builder_finish(&builder, &list->ranges, model->start, model->len), 0);
}

/* --- entries --- */

/* Could the entry that ends at this offset have been longer? */
static void check_longest(const struct model *model, const struct phyr_dma_list *list,
			  const struct phyr_dma *entry, size_t end)
{
	u64 next = entry->addr + entry->len;

	if (end == range_end(model, end - 1) || !(next & list->boundary))
		return;
	/* A segment below two pages is used to the byte. Else an entry ends with a page. */
	if (list->max_segment < 2 * PAGE_SIZE) {
		assert_int_equal(entry->len, list->max_segment);
	} else {
		assert_int_equal(next & ~PAGE_MASK, 0);
		assert_true(entry->len + PAGE_SIZE > ALIGN_DOWN(list->max_segment, PAGE_SIZE) -
						     (entry->addr & ~PAGE_MASK));
	}
}

static unsigned long check_entries(const struct model *model, struct phyr_dma_list *list,
				   size_t max_segment, u64 boundary)
{
	struct phyr_dma_iter iter = {};
	struct phyr_dma entry;
	unsigned long nr = 0;
	size_t offset = 0;

	list->max_segment = max_segment;
	list->boundary = boundary;
	while (phyr_dma_next_entry(list, &iter, &entry)) {
		assert_true(entry.len > 0);
		assert_true(entry.len <= max_segment);
		assert_true(entry.len <= model->len - offset);
		assert_int_equal(entry.addr & ~boundary, (entry.addr + entry.len - 1) & ~boundary);
		assert_int_equal(entry.addr, model_find(model, offset));
		assert_true(offset + entry.len <= range_end(model, offset));
		offset += entry.len;
		check_longest(model, list, &entry, offset);
		nr++;
	}
	assert_int_equal(offset, model->len);
	return nr;
}

static const size_t max_segments[] = {
	1, 511, 4095, 4096, 4097, 8191, 8192, 8193, 12287, 65536, 1234567, 0x7fffffff, UINT_MAX,
};

static const u64 boundaries[] = { 511, 4095, 65535, SZ_1M - 1, 0xffffffff, ULONG_MAX };

static void test_entries_random(void **state)
{
	static struct model model;
	struct phyr_dma_list list;
	u64 random = 4711;
	size_t m, b;
	int i;

	(void)state;
	for (i = 0; i < 80; i++) {
		set_region(&model, USER + next_random(&random) % (4 * SZ_2M),
			   1 + next_random(&random) % (i % 4 ? 50000 : 4000000));
		fill_random(&model, 1 + next_random(&random) % 600, &random);
		new_list(&list, &model);
		for (m = 0; m < sizeof(max_segments) / sizeof(*max_segments); m++)
			for (b = 0; b < sizeof(boundaries) / sizeof(*boundaries); b++)
				if (max_segments[m] * 100000 >= model.len)
					check_entries(&model, &list, max_segments[m],
						      boundaries[b]);
		phyr_array_free(&list.ranges);
	}
	assert_int_equal(allocated, 0);
}

/* Cases that can be counted by hand. */
static void test_entries_counted(void **state)
{
	static struct model model;
	struct phyr_dma_list list;

	(void)state;
	set_region(&model, USER, 2 * SZ_2M);
	fill_one(&model, 5 * SZ_1M);
	new_list(&list, &model);
	assert_int_equal(check_entries(&model, &list, UINT_MAX, ULONG_MAX), 1);
	assert_int_equal(check_entries(&model, &list, UINT_MAX, 0xffffffff), 1);
	assert_int_equal(check_entries(&model, &list, 65536, 0xffffffff), 64);
	assert_int_equal(check_entries(&model, &list, 65536 + 4095, 0xffffffff), 64);
	assert_int_equal(check_entries(&model, &list, UINT_MAX, SZ_1M - 1), 4);
	assert_int_equal(check_entries(&model, &list, 4096, ULONG_MAX), 1024);
	phyr_array_free(&list.ranges);

	/* Neither the region nor its address begins at a page or a boundary. */
	set_region(&model, USER + 100, SZ_2M);
	fill_one(&model, 5 * SZ_1M + 3 * PAGE_SIZE);
	new_list(&list, &model);
	assert_int_equal(check_entries(&model, &list, UINT_MAX, ULONG_MAX), 1);
	assert_int_equal(check_entries(&model, &list, UINT_MAX, SZ_1M - 1), 3);
	assert_int_equal(check_entries(&model, &list, 65536, ULONG_MAX), 33);
	phyr_array_free(&list.ranges);

	/* One region crosses 4 GiB, another ends at the last address. */
	set_region(&model, USER, SZ_2M);
	fill_one(&model, 0xffffffff - SZ_1M + 1);
	new_list(&list, &model);
	assert_int_equal(check_entries(&model, &list, UINT_MAX, ULONG_MAX), 1);
	assert_int_equal(check_entries(&model, &list, UINT_MAX, 0xffffffff), 2);
	phyr_array_free(&list.ranges);
	fill_one(&model, ULONG_MAX - SZ_2M + 1);
	new_list(&list, &model);
	assert_int_equal(check_entries(&model, &list, UINT_MAX, ULONG_MAX), 1);
	assert_int_equal(check_entries(&model, &list, 65536, ULONG_MAX), 32);
	phyr_array_free(&list.ranges);
	assert_int_equal(allocated, 0);
}

/* --- blocks --- */

/* The address that the block of a byte must have, so that the byte has its address. */
static u64 block_of(const struct model *model, size_t offset, unsigned long size, u64 iova)
{
	return model_find(model, offset) - ((iova + offset) & (size - 1));
}

/* Does a page table with blocks of this size give each byte its address? */
static bool size_will_do(const struct model *model, unsigned long size, u64 iova)
{
	size_t offset, last = 0;

	for (offset = 0; offset < model->len; offset = page_end(model, offset)) {
		u64 block = block_of(model, offset, size, iova);

		if (block & (size - 1))
			return false;
		if ((iova + offset) / size == (iova + last) / size &&
		    block != block_of(model, last, size, iova))
			return false;
		last = offset;
	}
	return true;
}

static u64 count_blocks(const struct model *model, unsigned long size, u64 iova)
{
	return (iova + model->len - 1) / size - iova / size + 1;
}

/* The largest size that will do, but none larger than the first that needs a single block. */
static unsigned long model_best(const struct model *model, unsigned long sizes, u64 iova)
{
	unsigned long best = 0;
	int bit;

	for (bit = 0; bit < BITS_PER_LONG; bit++) {
		unsigned long size = 1UL << bit;

		if (!(sizes & size) || !size_will_do(model, size, iova))
			continue;
		best = size;
		if (count_blocks(model, size, iova) == 1)
			break;
	}
	return best;
}

static void check_blocks(const struct model *model, const struct phyr_dma_list *list,
			 unsigned long size, u64 iova)
{
	size_t offset = 0, nr = 0, first;
	dma_addr_t block;

	for (;; nr++) {
		/* The first byte of the region in that block. */
		first = nr ? nr * size - (iova & (size - 1)) : 0;
		if (!phyr_dma_next_block(list, &offset, size, &block))
			break;
		assert_true(first < model->len);
		assert_int_equal(block, block_of(model, first, size, iova));
	}
	assert_int_equal(nr, count_blocks(model, size, iova));
	assert_int_equal(phyr_dma_nr_blocks(list, size, iova), nr);
}

/* Choose sizes: all from a page on, those of a CPU, all, or random ones. */
static unsigned long random_sizes(u64 *random)
{
	switch (next_random(random) % 4) {
	case 0:
		return ~0UL << PAGE_SHIFT;
	case 1:
		return PAGE_SIZE | SZ_2M | 1UL << 30;
	case 2:
		return ~0UL;
	default:
		return next_random(random);
	}
}

/* Choose an IOVA: the user's address, one with the same low bits, or a random one. */
static u64 random_iova(const struct model *model, u64 *random)
{
	unsigned int bits = PAGE_SHIFT + next_random(random) % 24;
	u64 low = model->start & (~0UL >> (64 - bits));

	switch (next_random(random) % 8) {
	case 0:
		return next_random(random) >> 1;
	case 1:
		return low;
	case 2:
	case 3:
		return (next_random(random) >> 1 & ~0UL << bits) + low;
	default:
		return model->start;
	}
}

static void test_blocks_random(void **state)
{
	unsigned long above_page = 0, none = 0, single = 0;
	static struct model model;
	struct phyr_dma_list list;
	u64 random = 1147;
	int i, n;

	(void)state;
	for (i = 0; i < 500; i++) {
		set_region(&model, USER + (next_random(&random) % 4 ? next_random(&random) : 0) %
					  (4 * SZ_2M),
			   1 + next_random(&random) % (i % 4 ? 100000 : 8000000));
		fill_random(&model, 1 + next_random(&random) % 600, &random);
		if (i % 8 == 0)
			fill_one(&model, (next_random(&random) % 1000000) << PAGE_SHIFT);
		new_list(&list, &model);
		for (n = 0; n < 8; n++) {
			unsigned long sizes = random_sizes(&random), best;
			u64 iova = random_iova(&model, &random);

			best = phyr_dma_best_block(&list, sizes, iova);
			assert_int_equal(best, model_best(&model, sizes, iova));
			if (best && count_blocks(&model, best, iova) < 100000)
				check_blocks(&model, &list, best, iova);
			above_page += best > PAGE_SIZE;
			none += !best;
			single += best && count_blocks(&model, best, iova) == 1;
		}
		/* These sizes always work if the IOVA is the user's address. */
		check_blocks(&model, &list, PAGE_SIZE, model.start);
		if (model.len < 100000)
			check_blocks(&model, &list, 512, model.start);
		phyr_array_free(&list.ranges);
	}
	assert_int_equal(allocated, 0);
	/* The cases must have been of all sorts. */
	assert_true(above_page > 300 && none > 50 && single > 50);
}

static void test_blocks_counted(void **state)
{
	static struct model model;
	struct phyr_dma_list list;
	unsigned long i;

	(void)state;
	/* Two ranges of 2 MiB. */
	set_region(&model, USER, 2 * SZ_2M);
	for (i = 0; i < model.pages; i++)
		model.page[i] = (i < 512 ? 4 : 10) * SZ_2M + (i << PAGE_SHIFT);
	new_list(&list, &model);
	assert_int_equal(phyr_dma_best_block(&list, ~0UL, USER), SZ_2M);
	assert_int_equal(phyr_dma_best_block(&list, ~0UL, 0), SZ_2M);
	assert_int_equal(phyr_dma_best_block(&list, PAGE_SIZE | 1UL << 30, USER), PAGE_SIZE);
	assert_int_equal(phyr_dma_best_block(&list, 1UL << 30, USER), 0);
	assert_int_equal(phyr_dma_best_block(&list, ~0UL, USER + PAGE_SIZE), PAGE_SIZE);
	assert_int_equal(phyr_dma_best_block(&list, ~0UL, USER + 4), 4);
	assert_int_equal(phyr_dma_nr_blocks(&list, SZ_2M, USER), 2);
	assert_int_equal(phyr_dma_nr_blocks(&list, PAGE_SIZE, USER), 1024);
	/* An IOVA that does not leave room for the region, and one that just does. */
	assert_int_equal(phyr_dma_best_block(&list, ~0UL, ULONG_MAX - SZ_2M + 1), 0);
	assert_int_equal(phyr_dma_best_block(&list, ~0UL, ULONG_MAX - 2 * SZ_2M + 1), SZ_2M);
	phyr_array_free(&list.ranges);

	/* For one range, the best size is the smallest that holds all of it in one block. */
	set_region(&model, USER + 100, SZ_1M);
	fill_one(&model, 64 * SZ_2M);
	new_list(&list, &model);
	assert_int_equal(phyr_dma_best_block(&list, ~0UL, USER + 100), SZ_2M);
	assert_int_equal(phyr_dma_nr_blocks(&list, SZ_2M, USER + 100), 1);
	assert_int_equal(phyr_dma_nr_blocks(&list, SZ_1M, USER + 100), 2);
	phyr_array_free(&list.ranges);
	assert_int_equal(allocated, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_entries_counted),
		cmocka_unit_test(test_entries_random),
		cmocka_unit_test(test_blocks_counted),
		cmocka_unit_test(test_blocks_random),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("phyr DMA list", tests, NULL, NULL);
}
