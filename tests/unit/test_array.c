// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Unit tests of the phyr array and its builder (kernel/core/array.c and
 * builder.c, the same source that phyr.ko is built from).
 *
 * The model is a list of pages, in order, each with its physical address. Tests
 * build arrays from such lists. Every byte must be where the list says.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "array.h"
#include "builder.h"

#define USER 0x7f0000000000UL
#define SZ_2M (2UL << 20)
#define SZ_1G (1UL << 30)

/* A region: user address, length, and where each of its pages is. */
struct model {
	unsigned long start;
	size_t len;
	unsigned long pages;
	u64 *page;
};

static struct model new_model(unsigned long start, size_t len)
{
	struct model model = {
		.start = start,
		.len = len,
		.pages = DIV_ROUND_UP((start & ~PAGE_MASK) + len, PAGE_SIZE),
	};

	model.page = calloc(model.pages, sizeof(*model.page));
	assert_non_null(model.page);
	return model;
}

/* Fill the model with folios of folio_pages pages, at random addresses. */
static void fill_folios(struct model *model, unsigned long folio_pages, u64 seed)
{
	unsigned long first = model->start >> PAGE_SHIFT;
	unsigned long i;
	u64 base = 0;

	for (i = 0; i < model->pages; i++) {
		unsigned long within = (first + i) % folio_pages;

		if (!i || !within)
			base = (next_random(&seed) % 1000000) * 2 * folio_pages;
		model->page[i] = (base + within) << PAGE_SHIFT;
	}
}

static u64 model_find(const struct model *model, size_t offset)
{
	size_t at = (model->start & ~PAGE_MASK) + offset;

	return model->page[at >> PAGE_SHIFT] + (at & ~PAGE_MASK);
}

/* Give the model to a builder in bites of up to bite pages. */
static int feed(struct phyr_builder *builder, const struct model *model, unsigned long bite)
{
	unsigned long page = 0, nr;

	phyr_builder_init(builder, model->start & PAGE_MASK);
	for (; page < model->pages; page += nr) {
		int ret;

		for (nr = 1; nr < bite && page + nr < model->pages; nr++)
			if (model->page[page + nr] != model->page[page] + (nr << PAGE_SHIFT))
				break;
		ret = phyr_builder_add(builder, model->page[page], nr << PAGE_SHIFT);
		if (ret)
			return ret;
	}
	return 0;
}

static void build(struct phyr_array *array, const struct model *model, unsigned long bite)
{
	struct phyr_builder builder;

	assert_int_equal(feed(&builder, model, bite), 0);
	memset(array, 0xa5, sizeof(*array));
	assert_int_equal(phyr_builder_finish(&builder, array, model->start, model->len), 0);
	assert_null(builder.head);
	assert_int_equal(builder.taken, builder.nr);
}

static void check_offset(const struct phyr_array *array, const struct model *model, size_t offset)
{
	struct phyr phyr = phyr_array_find(array, offset);
	size_t last;

	assert_true(phyr.len > 0);
	assert_true(phyr.len <= model->len - offset);
	assert_int_equal(phyr.addr, model_find(model, offset));
	/* All bytes that it reports as contiguous must be contiguous. */
	last = offset + phyr.len - 1;
	assert_int_equal(phyr.addr + phyr.len - 1, model_find(model, last));
}

/* An iteration that begins inside a run must give the rest of the run, then the next run. */
static void check_seek(const struct phyr_array *array, size_t offset, const struct phyr *run,
		       struct phyr_iter behind)
{
	struct phyr_iter iter = phyr_array_seek(array, offset);
	struct phyr rest, next, sought;
	bool more;

	assert_true(phyr_array_next_run(array, &iter, &rest));
	assert_int_equal(iter.offset, behind.offset);
	assert_int_equal(rest.len, behind.offset - offset);
	assert_int_equal(rest.addr + rest.len, run->addr + run->len);

	more = phyr_array_next_run(array, &behind, &next);
	assert_int_equal(phyr_array_next_run(array, &iter, &sought), more);
	if (!more)
		return;
	assert_int_equal(sought.addr, next.addr);
	assert_int_equal(sought.len, next.len);
}

/* The runs must be as long as possible, in order, and cover the region. */
static void check_runs(const struct phyr_array *array, const struct model *model)
{
	size_t largest = 0, smallest = SIZE_MAX, done = 0;
	unsigned long nr = 0;
	struct phyr run, last = {};
	struct phyr_iter iter = {};

	while (phyr_array_next_run(array, &iter, &run)) {
		assert_int_equal(run.addr, model_find(model, done));
		assert_true(!last.len || last.addr + last.len != run.addr);
		done += run.len;
		assert_int_equal(done, iter.offset);
		assert_int_equal(run.addr + run.len - 1, model_find(model, done - 1));
		check_seek(array, done - run.len, &run, iter);
		check_seek(array, done - run.len / 2 - 1, &run, iter);
		check_seek(array, done - 1, &run, iter);
		largest = max(largest, run.len);
		smallest = min(smallest, run.len);
		last = run;
		nr++;
	}
	assert_int_equal(done, model->len);
	iter = phyr_array_seek(array, done);
	assert_false(phyr_array_next_run(array, &iter, &run));
	assert_int_equal(array->nr, nr);
	assert_int_equal(array->largest, largest);
	assert_int_equal(array->smallest, smallest);
}

static void check_all(const struct phyr_array *array, const struct model *model)
{
	size_t offset, step = model->len > 64 * PAGE_SIZE ? PAGE_SIZE / 2 - 1 : 97;

	assert_int_equal(array->len, model->len);
	for (offset = 0; offset < model->len; offset += step)
		check_offset(array, model, offset);
	check_offset(array, model, model->len - 1);
	for (offset = PAGE_SIZE; offset + PAGE_SIZE < model->len; offset += PAGE_SIZE) {
		size_t edge = offset - (model->start & ~PAGE_MASK);

		check_offset(array, model, edge - 1);
		check_offset(array, model, edge);
	}
	assert_int_equal(phyr_array_find(array, model->len).len, 0);
	assert_int_equal(phyr_array_find(array, SIZE_MAX).len, 0);
	check_runs(array, model);

	/* builder.c promises to use no more memory than this. */
	assert_true(array->table_bytes <= 16 * array->nr);
	assert_true(array->table_bytes <= 8 * (model->pages + 1));
}

static void check_model(const struct model *model, unsigned long bite)
{
	struct phyr_array array;

	build(&array, model, bite);
	check_all(&array, model);
	phyr_array_free(&array);
	assert_int_equal(allocated, 0);
}

static void test_one_run(void **state)
{
	static const size_t lens[] = { 1, 4095, 4096, 4097, 123456 };
	struct phyr_array array;
	struct model model;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(lens) / sizeof(*lens); i++) {
		model = new_model(USER + 1000, lens[i]);
		fill_folios(&model, 1UL << 20, 7);
		build(&array, &model, 512);
		assert_int_equal(array.nr, 1);
		assert_int_equal(array.table_bytes, 0);
		check_all(&array, &model);
		phyr_array_free(&array);
		free(model.page);
	}
}

static void test_uniform(void **state)
{
	static const unsigned long folio_pages[] = { 1, 2, 16, 512, 262144 };
	static const unsigned long skews[] = { 0, 1, 4095, 4096, SZ_2M - 1, SZ_2M + 12345 };
	size_t f, s;

	(void)state;
	for (f = 0; f < sizeof(folio_pages) / sizeof(*folio_pages); f++) {
		for (s = 0; s < sizeof(skews) / sizeof(*skews); s++) {
			size_t len = min(folio_pages[f] * PAGE_SIZE * 5, 2 * SZ_1G) + 777;
			struct model model = new_model(USER + skews[s], len);
			struct phyr_array array;

			fill_folios(&model, folio_pages[f], f + 1);
			build(&array, &model, 512);
			/* A shift finds the entry, and each folio has one. */
			assert_true(array.shift >= PAGE_SHIFT);
			assert_true(array.table_bytes <= 8 * (array.nr + 1));
			check_all(&array, &model);
			phyr_array_free(&array);
			free(model.page);
		}
	}
	assert_int_equal(allocated, 0);
}

static void test_1g_of_2m_is_small(void **state)
{
	struct model model = new_model(USER, SZ_1G);
	struct phyr_array array;

	(void)state;
	fill_folios(&model, 512, 3);
	build(&array, &model, 512);
	assert_true(array.nr <= 512);
	assert_true(array.table_bytes <= 4096);
	phyr_array_free(&array);
	free(model.page);
}

/*
 * If the physical address of the region's first byte is lower than its offset in
 * its block, the block begins before physical address 0. A user can make blocks of
 * any size, by mapping two pages around a round address.
 */
static void test_first_block_before_zero(void **state)
{
	static const unsigned int edges[] = { 13, 21, 22, 30, 31, 40, 44, 46 };
	unsigned long before;
	size_t e;

	(void)state;
	for (e = 0; e < sizeof(edges) / sizeof(*edges); e++) {
		for (before = 1; before <= 3; before++) {
			unsigned long start = (1UL << edges[e]) - before * PAGE_SIZE;
			struct model model = new_model(start + 123, 5 * PAGE_SIZE);
			unsigned long i;

			for (i = 0; i < model.pages; i++)
				model.page[i] = (i < before ? 16 + i : 500 + i) << PAGE_SHIFT;
			check_model(&model, 512);
			free(model.page);
		}
	}
}

/* The same with a whole folio, low in memory and just below a multiple of 1 GiB for the user. */
static void test_low_folio(void **state)
{
	struct model model = new_model(USER + SZ_1G - SZ_2M, SZ_1G + SZ_2M);
	unsigned long i;

	(void)state;
	for (i = 0; i < model.pages; i++)
		model.page[i] = i < 512 ? 64 * SZ_2M + (i << PAGE_SHIFT) :
					  3 * SZ_1G + ((i - 512) << PAGE_SHIFT);
	check_model(&model, 512);
	free(model.page);
}

/* Fill the model with runs of all lengths from 1 to max_pages pages. */
static void fill_ragged(struct model *model, unsigned long max_pages, u64 seed)
{
	unsigned long i, left = 0;
	u64 addr = 0;

	for (i = 0; i < model->pages; i++) {
		if (!left) {
			left = 1 + next_random(&seed) % max_pages;
			addr = (next_random(&seed) % 100000000) << (PAGE_SHIFT + 1);
		}
		model->page[i] = addr;
		addr += PAGE_SIZE;
		left--;
	}
}

/* Regions of random shapes. */
static void test_random_regions(void **state)
{
	u64 random = 20240607;
	int i;

	(void)state;
	for (i = 0; i < 3000; i++) {
		unsigned long edge = 1UL << (13 + next_random(&random) % 34);
		unsigned long before = next_random(&random) % (64 * PAGE_SIZE);
		unsigned long start = edge < before + PAGE_SIZE ? edge : edge - before;
		struct model model;

		model = new_model(start, 1 + next_random(&random) % (100 * PAGE_SIZE));
		if (next_random(&random) % 2)
			fill_ragged(&model, 1 + next_random(&random) % 20, next_random(&random));
		else
			fill_folios(&model, 1UL << next_random(&random) % 7, next_random(&random));
		check_model(&model, 1 + next_random(&random) % 20);
		free(model.page);
	}
}

static void test_ragged(void **state)
{
	static const unsigned long max_pages[] = { 2, 3, 5, 8, 100, 3000 };
	u64 seed;
	size_t m;

	(void)state;
	for (m = 0; m < sizeof(max_pages) / sizeof(*max_pages); m++) {
		for (seed = 1; seed <= 8; seed++) {
			struct model model = new_model(USER + seed * 1111, 20000000 + seed * 97);

			fill_ragged(&model, max_pages[m], seed);
			check_model(&model, seed % 2 ? 512 : 1);
			free(model.page);
		}
	}
}

static u64 long_run(unsigned long page)
{
	return SZ_1G + (page << PAGE_SHIFT);
}

static u64 short_run(unsigned long page)
{
	return (5000000 - 2 * page) << PAGE_SHIFT;
}

/* One long run, and many short ones behind or before it: the worst case for buckets. */
static void test_lopsided(void **state)
{
	struct model model = new_model(USER + 5, 3000 * PAGE_SIZE);
	unsigned long i;

	(void)state;
	for (i = 0; i < model.pages; i++)
		model.page[i] = i < 2000 ? long_run(i) : short_run(i);
	check_model(&model, 512);
	for (i = 0; i < model.pages; i++)
		model.page[i] = i < 1000 ? short_run(i) : long_run(i);
	check_model(&model, 512);
	free(model.page);
}

/* Folios that are added page by page must give the same array as whole ones. */
static void test_merge(void **state)
{
	struct model model = new_model(USER + 77, 4 * SZ_2M);
	struct phyr_array whole, pieces;

	(void)state;
	fill_folios(&model, 512, 9);
	build(&whole, &model, 512);
	build(&pieces, &model, 1);
	assert_int_equal(whole.nr, pieces.nr);
	assert_int_equal(whole.table_bytes, pieces.table_bytes);
	check_all(&pieces, &model);
	phyr_array_free(&whole);
	phyr_array_free(&pieces);
	free(model.page);
}

/* The same page again and again: adjacent in the region, never in memory. */
static void test_aliased(void **state)
{
	struct model model = new_model(USER, 1000 * PAGE_SIZE);
	unsigned long i;

	(void)state;
	for (i = 0; i < model.pages; i++)
		model.page[i] = SZ_1G;
	check_model(&model, 512);
	free(model.page);
}

/* Each allocation fails in turn. All runs that were added until then must come back. */
static void test_no_memory(void **state)
{
	struct model model = new_model(USER + 1, 3000 * PAGE_SIZE);
	struct phyr_builder builder;
	struct phyr_array array = {};
	bool finished = false;
	struct phyr *runs;
	unsigned long nr;
	long after;

	(void)state;
	fill_ragged(&model, 5, 42);
	for (after = 0; !finished; after++) {
		size_t added, taken = 0;
		int ret;

		fail_alloc_after = after;
		ret = feed(&builder, &model, 512);
		added = builder.end - (model.start & PAGE_MASK);
		if (!ret) {
			ret = phyr_builder_finish(&builder, &array, model.start, model.len);
			finished = !ret;
		}
		fail_alloc_after = -1;
		if (finished)
			break;
		assert_int_equal(ret, -ENOMEM);
		while ((nr = phyr_builder_take(&builder, &runs))) {
			for (; nr; nr--, runs++) {
				assert_int_equal(runs->addr, model.page[taken >> PAGE_SHIFT]);
				taken += runs->len;
			}
		}
		assert_int_equal(taken, added);
		assert_int_equal(allocated, 0);
	}
	assert_true(after > 3);
	check_all(&array, &model);
	phyr_array_free(&array);
	assert_int_equal(allocated, 0);
	free(model.page);
}

static void test_block_array(void **state)
{
	struct phyr_array array = {};
	struct phyr phyr;
	int i;

	(void)state;
	assert_int_equal(phyr_array_alloc_blocks(&array, 4), 0);
	assert_int_equal(phyr_array_find(&array, 0).len, 0);
	assert_int_equal(phyr_array_begin_blocks(&array, 0), -EINVAL);
	assert_int_equal(phyr_array_begin_blocks(&array, 63), -EINVAL);

	/* Refill the array with blocks of another size, as a fast-registration MR does. */
	for (i = 9; i <= 21; i += 4) {
		u64 size = 1UL << i;

		assert_int_equal(phyr_array_begin_blocks(&array, i), 0);
		assert_int_equal(phyr_array_find(&array, 0).len, 0);
		assert_int_equal(phyr_array_add_block(&array, 10 * size), 0);
		assert_int_equal(phyr_array_add_block(&array, 11 * size), 0);
		assert_int_equal(phyr_array_add_block(&array, 20 * size), 0);
		phyr_array_end_blocks(&array, 100, 3 * size - 150);
		assert_int_equal(array.nr, 2);
		assert_int_equal(array.largest, 2 * size - 100);
		assert_int_equal(array.smallest, size - 50);
		phyr = phyr_array_find(&array, 0);
		assert_int_equal(phyr.addr, 10 * size + 100);
		assert_int_equal(phyr.len, size - 100);
		phyr = phyr_array_find(&array, 2 * size - 100);
		assert_int_equal(phyr.addr, 20 * size);
		assert_int_equal(phyr.len, size - 50);
		assert_int_equal(phyr_array_find(&array, 3 * size - 150).len, 0);
	}

	/* A full array takes no more blocks. A length is cut to that of the blocks. */
	assert_int_equal(phyr_array_begin_blocks(&array, 12), 0);
	for (i = 0; i < 4; i++)
		assert_int_equal(phyr_array_add_block(&array, SZ_1G + 4 * SZ_2M * i), 0);
	assert_int_equal(phyr_array_add_block(&array, 0), -ENOMEM);
	phyr_array_end_blocks(&array, 0, SIZE_MAX);
	assert_int_equal(array.len, 4 * PAGE_SIZE);
	phyr_array_end_blocks(&array, PAGE_SIZE, 1);
	assert_int_equal(array.len, 0);
	assert_int_equal(array.smallest, 0);

	phyr_array_free(&array);
	assert_int_equal(allocated, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_run),
		cmocka_unit_test(test_uniform),
		cmocka_unit_test(test_1g_of_2m_is_small),
		cmocka_unit_test(test_first_block_before_zero),
		cmocka_unit_test(test_low_folio),
		cmocka_unit_test(test_ragged),
		cmocka_unit_test(test_random_regions),
		cmocka_unit_test(test_lopsided),
		cmocka_unit_test(test_merge),
		cmocka_unit_test(test_aliased),
		cmocka_unit_test(test_no_memory),
		cmocka_unit_test(test_block_array),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("phyr array", tests, NULL, NULL);
}
