// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Unit tests of scatterlists (kernel/core/sgtable.c, the same source that phyr.ko is built
 * from): the entries, what happens to pins when memory runs out, and how much memory it takes
 * at most to make one.
 *
 * A region has runs of equal length that never touch each other, from page number 1 on.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "builder.h"
#include "sgtable.h"
#include "unpin.h"

#define USER 0x7f0000000000UL
#define NO_MAX UINT_MAX
#define NO_BOUNDARY UINT64_MAX

struct region {
	unsigned long runs;
	unsigned long run_pages;
};

static size_t region_bytes(const struct region *region)
{
	return region->runs * region->run_pages * PAGE_SIZE;
}

/* The number of a run's first page. */
static unsigned long first_pfn(const struct region *region, unsigned long run)
{
	return 1 + run * (region->run_pages + 1);
}

static void feed(struct phyr_builder *builder, const struct region *region)
{
	unsigned long i;

	phyr_builder_init(builder, USER);
	for (i = 0; i < region->runs; i++)
		assert_int_equal(phyr_builder_add(builder, first_pfn(region, i) << PAGE_SHIFT,
						  region->run_pages << PAGE_SHIFT), 0);
}

/* How often each page has been unpinned. */
static u8 *unpinned;

void phyr_unpin_pages(struct page *page, unsigned long nr, bool dirty)
{
	assert_non_null(unpinned);
	assert_false(dirty);
	while (nr--)
		unpinned[page_to_pfn(page) + nr]++;
}

static void unpin_rest(struct phyr_builder *builder)
{
	unsigned long nr;
	struct phyr *run;

	while ((nr = phyr_builder_take(builder, &run)))
		for (; nr; nr--, run++)
			phyr_unpin_pages(pfn_to_page(PHYS_PFN(run->addr)), PHYS_PFN(run->len),
					 false);
}

static void check_unpinned(const struct region *region)
{
	unsigned long i, page;

	for (i = 0; i < region->runs; i++)
		for (page = 0; page < region->run_pages; page++)
			assert_int_equal(unpinned[first_pfn(region, i) + page], 1);
}

/* The table must have every page, in order, in the fewest entries, and room for few more. */
static void check_table(const struct sg_append_table *table, const struct region *region,
			size_t max_segment)
{
	unsigned long run = 0, page = 0, max_pages = max_segment / PAGE_SIZE, entries = 0, pages;
	unsigned long cuts = region->runs * region->run_pages / max_pages;
	struct scatterlist *sg;

	for (sg = table->sgt.sgl; sg; sg = sg_next(sg), entries++) {
		assert_true(run < region->runs);
		pages = min(region->run_pages - page, max_pages);
		assert_int_equal(page_to_pfn(sg_page(sg)), first_pfn(region, run) + page);
		assert_int_equal(sg->length, pages * PAGE_SIZE);
		page += pages;
		if (page == region->run_pages) {
			page = 0;
			run++;
		}
	}
	assert_int_equal(run, region->runs);
	assert_int_equal(table->sgt.nents, entries);
	assert_int_equal(table->sgt.orig_nents, entries);
	assert_true(table->total_nents >= entries);
	assert_true(table->total_nents <= region->runs + cuts);
}

static const struct region regions[] = {
	{ 1, 1 }, { 1, 1000 }, { 16, 1 }, { 17, 3 }, { 126, 1 }, { 127, 1 }, { 128, 1 },
	{ 129, 2 }, { 254, 1 }, { 255, 1 }, { 256, 1 }, { 271, 5 }, { 272, 1 }, { 3000, 1 },
	{ 700, 7 },
};

static const size_t segments[] = { NO_MAX, 5000, 2 * PAGE_SIZE, 3 * PAGE_SIZE };

static void test_entries(void **state)
{
	struct sg_append_table table;
	struct phyr_builder builder;
	struct phyr_array array;
	size_t i, j, bytes;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(regions); i++)
		for (j = 0; j < ARRAY_SIZE(segments); j++) {
			bytes = region_bytes(&regions[i]);
			feed(&builder, &regions[i]);
			assert_int_equal(phyr_builder_finish_sg(&builder, &table, bytes,
								segments[j]), 0);
			check_table(&table, &regions[i], segments[j]);
			sg_free_append_table(&table);
			assert_int_equal(allocated, 0);

			feed(&builder, &regions[i]);
			assert_int_equal(phyr_builder_finish(&builder, &array, USER, bytes), 0);
			assert_int_equal(phyr_array_to_sg(&array, bytes, &table, segments[j],
							  NO_BOUNDARY), 0);
			check_table(&table, &regions[i], segments[j]);
			sg_free_append_table(&table);
			phyr_array_free(&array);
			assert_int_equal(allocated, 0);
		}
}

/* A segment that is smaller than a page is refused, and the builder stays as it is. */
static void test_refused(void **state)
{
	const struct region region = { 300, 1 };
	struct sg_append_table table;
	struct phyr_builder builder;

	(void)state;
	feed(&builder, &region);
	assert_int_equal(phyr_builder_finish_sg(&builder, &table, region_bytes(&region),
						PAGE_SIZE - 1), -EINVAL);
	assert_null(table.sgt.sgl);
	unpinned = calloc(first_pfn(&region, region.runs), 1);
	assert_non_null(unpinned);
	unpin_rest(&builder);
	check_unpinned(&region);
	assert_int_equal(allocated, 0);
	free(unpinned);
	unpinned = NULL;
}

/* Each allocation fails once. No page may stay pinned, and none may be unpinned twice. */
static void fail_each(const struct region *region, size_t max_segment)
{
	struct sg_append_table table;
	struct phyr_builder builder;
	long after = 0;
	int ret;

	do {
		unpinned = calloc(first_pfn(region, region->runs), 1);
		assert_non_null(unpinned);
		feed(&builder, region);
		fail_alloc_after = after++;
		ret = phyr_builder_finish_sg(&builder, &table, region_bytes(region), max_segment);
		fail_alloc_after = -1;
		if (ret) {
			assert_int_equal(ret, -ENOMEM);
			assert_null(table.sgt.sgl);
			assert_int_equal(table.total_nents, 0);
			unpin_rest(&builder);
			check_unpinned(region);
		} else {
			check_table(&table, region, max_segment);
			sg_free_append_table(&table);
		}
		assert_int_equal(allocated, 0);
		free(unpinned);
		unpinned = NULL;
	} while (ret);
	assert_true(after > 1);
}

static void test_failing(void **state)
{
	size_t i, j;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(regions); i++)
		for (j = 0; j < ARRAY_SIZE(segments); j++)
			fail_each(&regions[i], segments[j]);
}

/* The same for an array, which keeps its pins. */
static void test_failing_array(void **state)
{
	const struct region region = { 3000, 1 };
	size_t bytes = region_bytes(&region);
	struct sg_append_table table;
	struct phyr_builder builder;
	struct phyr_array array;
	long after = 0, before;
	int ret;

	(void)state;
	feed(&builder, &region);
	assert_int_equal(phyr_builder_finish(&builder, &array, USER, bytes), 0);
	before = allocated;
	do {
		fail_alloc_after = after++;
		ret = phyr_array_to_sg(&array, bytes, &table, NO_MAX, NO_BOUNDARY);
		fail_alloc_after = -1;
		if (ret) {
			assert_int_equal(ret, -ENOMEM);
			assert_null(table.sgt.sgl);
			assert_int_equal(allocated, before);
		}
	} while (ret);
	check_table(&table, &region, NO_MAX);
	sg_free_append_table(&table);
	phyr_array_free(&array);
	assert_int_equal(allocated, 0);
}

/* Runs and entries together may never take much more memory than the entries do in the end. */
static void test_peak(void **state)
{
	const struct region region = { 100000, 1 };
	struct sg_append_table table;
	struct phyr_builder builder;
	size_t entries;

	(void)state;
	allocated_peak = 0;
	feed(&builder, &region);
	assert_int_equal(phyr_builder_finish_sg(&builder, &table, region_bytes(&region), NO_MAX),
			 0);
	entries = allocated_bytes;
	printf("# %zu bytes at most, %zu in the end\n", allocated_peak, entries);
	assert_true(entries >= region.runs * sizeof(struct scatterlist));
	assert_true(allocated_peak <= entries + entries / 100);
	sg_free_append_table(&table);
	assert_int_equal(allocated, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_entries),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_failing),
		cmocka_unit_test(test_failing_array),
		cmocka_unit_test(test_peak),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("scatterlists", tests, NULL, NULL);
}
