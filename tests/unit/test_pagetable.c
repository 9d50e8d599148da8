// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Unit tests of kernel/core/pagetable.c, the same source that phyr.ko is built
 * from, on machines with two to five levels of page tables (mmu.h).
 *
 * Each test runs for each number of levels. On a folded level, the code may keep the
 * address of a copy of an entry, but no longer than the copy lives: the address
 * sanitizer finds that (detect_stack_use_after_return).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "mmu.h"
#include "pagetable.h"

#define SZ_2M (1UL << 21)
#define SZ_1G (1UL << 30)
#define PAGES (4 * 512UL)

/* Aligned to 1 GiB, and in the last quarter of a table at each level. */
#define USER (0x7d7fUL << 30)

const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
	return "detect_stack_use_after_return=1";
}

unsigned int mmu_levels;
struct page mmu_pages[PAGES];
void (*mmu_before_pte)(pte_t *ptep);

static struct mm_struct mm;

/* --- page tables --- */

static void *tables[64];
static unsigned int nr_tables;

static void *new_table(void)
{
	assert_true(nr_tables < 64);
	tables[nr_tables] = aligned_alloc(PAGE_SIZE, PAGE_SIZE);
	assert_non_null(tables[nr_tables]);
	memset(tables[nr_tables], 0, PAGE_SIZE);
	return tables[nr_tables++];
}

static const unsigned int shift_of[] = { 12, 21, 30, 39, 48 };

/* Find the entry for addr at a level; level 0 has base pages. Make the tables on the way. */
static u64 *entry_of(unsigned long addr, unsigned int level)
{
	u64 *table = (u64 *)mm.pgd, *entry;
	unsigned int l = mmu_levels - 1;

	for (;; l--) {
		entry = table + MMU_INDEX(addr, shift_of[l]);
		if (l == level)
			return entry;
		if (!*entry)
			*entry = (uintptr_t)new_table() | ENTRY_PRESENT;
		assert_false(*entry & ENTRY_LEAF);
		table = (u64 *)(*entry & PAGE_MASK);
	}
}

static void map_at(unsigned long addr, unsigned int level, struct page *page, u64 bits)
{
	u64 leaf = level ? ENTRY_LEAF : 0;

	*entry_of(addr, level) = (u64)page_to_pfn(page) << PAGE_SHIFT | ENTRY_PRESENT | leaf | bits;
}

static void map_pages(unsigned long addr, struct page *page, unsigned long nr, u64 bits)
{
	for (; nr; nr--, addr += PAGE_SIZE, page++)
		map_at(addr, 0, page, bits);
}

/* A folio of anonymous memory, exclusive to the process. */
static struct page *make_folio(unsigned long index, unsigned int order)
{
	struct page *head = mmu_pages + index, *page;

	for (page = head; page < head + (1UL << order) && page < mmu_pages + PAGES; page++)
		*page = (struct page){ .head = head, .anon = true, .exclusive = true };
	head->order = order;
	return head;
}

static int new_machine(void **state)
{
	unsigned long i;

	mmu_levels = *(const unsigned int *)*state;
	mmu_before_pte = NULL;
	mm.pgd = new_table();
	for (i = 0; i < PAGES; i++)
		make_folio(i, 0);
	return 0;
}

static int end_of_machine(void **state)
{
	(void)state;
	while (nr_tables)
		free(tables[--nr_tables]);
	return 0;
}

/* --- looking --- */

static enum phyr_sight look(unsigned long addr, unsigned long end, unsigned long *nr)
{
	*nr = 0;
	return phyr_look(&mm, addr, end, true, nr);
}

static void test_nothing(void **state)
{
	unsigned long nr;

	(void)state;
	assert_int_equal(look(USER, USER + SZ_2M, &nr), PHYR_SEES_NO_TABLE);
	assert_int_equal(look(TASK_SIZE_MAX, TASK_SIZE_MAX + SZ_2M, &nr), PHYR_SEES_NO_TABLE);
	assert_int_equal(phyr_pages_mapped(&mm, USER, USER + SZ_2M, mmu_pages, true, false), 0);
	/* The table has other entries, but none here. */
	map_pages(USER, mmu_pages, 1, ENTRY_WRITE);
	assert_int_equal(look(USER + PAGE_SIZE, USER + SZ_2M, &nr), PHYR_SEES_NOTHING);
}

static void test_base_pages(void **state)
{
	unsigned long nr;

	(void)state;
	map_pages(USER, mmu_pages, 512, ENTRY_WRITE);
	assert_int_equal(look(USER + PAGE_SIZE, USER + SZ_1G, &nr), PHYR_SEES_BASE_PAGES);
	assert_int_equal(nr, 511);
	assert_int_equal(look(USER, USER + 3 * PAGE_SIZE, &nr), PHYR_SEES_BASE_PAGES);
	assert_int_equal(nr, 3);
	/* Base pages end at a large folio. */
	map_pages(USER + 64 * PAGE_SIZE, make_folio(512, 4), 16, ENTRY_WRITE);
	assert_int_equal(look(USER, USER + SZ_2M, &nr), PHYR_SEES_BASE_PAGES);
	assert_int_equal(nr, 64);
	assert_int_equal(look(USER + 64 * PAGE_SIZE, USER + SZ_2M, &nr), PHYR_SEES_FOLIO);
	/* A page that was swapped out counts as a base page. */
	*entry_of(USER, 0) = ENTRY_SWAP;
	assert_int_equal(look(USER, USER + SZ_2M, &nr), PHYR_SEES_BASE_PAGES);
}

static void test_sees_leaves(void **state)
{
	unsigned long nr;

	(void)state;
	map_at(USER, 1, make_folio(0, 9), ENTRY_WRITE);
	assert_int_equal(look(USER + PAGE_SIZE, USER + SZ_2M, &nr), PHYR_SEES_LEAF);
	map_at(USER + SZ_2M, 1, make_folio(512, 9), ENTRY_SPECIAL);
	assert_int_equal(look(USER + SZ_2M, USER + 2 * SZ_2M, &nr), PHYR_SEES_NO_TABLE);
	if (mmu_levels < 3)
		return;
	map_at(USER + SZ_1G, 2, mmu_pages, ENTRY_WRITE);
	assert_int_equal(look(USER + SZ_1G + SZ_2M, USER + 2 * SZ_1G, &nr), PHYR_SEES_LEAF);
}

static void test_is_read_only(void **state)
{
	(void)state;
	assert_false(phyr_is_read_only(&mm, USER));
	map_pages(USER, mmu_pages, 1, 0);
	map_pages(USER + PAGE_SIZE, mmu_pages + 1, 1, ENTRY_WRITE);
	*entry_of(USER + 2 * PAGE_SIZE, 0) = ENTRY_SWAP;
	assert_true(phyr_is_read_only(&mm, USER));
	assert_false(phyr_is_read_only(&mm, USER + PAGE_SIZE));
	assert_false(phyr_is_read_only(&mm, USER + 2 * PAGE_SIZE));
	assert_false(phyr_is_read_only(&mm, USER + 3 * PAGE_SIZE));
	map_at(USER + SZ_2M, 1, make_folio(512, 9), 0);
	map_at(USER + 2 * SZ_2M, 1, make_folio(1024, 9), ENTRY_WRITE);
	assert_true(phyr_is_read_only(&mm, USER + SZ_2M + PAGE_SIZE));
	assert_false(phyr_is_read_only(&mm, USER + 2 * SZ_2M));
	if (mmu_levels < 3)
		return;
	map_at(USER + SZ_1G, 2, mmu_pages, 0);
	assert_true(phyr_is_read_only(&mm, USER + SZ_1G + SZ_2M));
}

static void test_may_move(void **state)
{
	(void)state;
	/* What is not mapped may come, and may have to be moved. */
	assert_true(phyr_may_move(&mm, USER, 12, 1));
	map_pages(USER, mmu_pages, 256, 0);
	assert_false(phyr_may_move(&mm, USER, 12, 256));
	assert_true(phyr_may_move(&mm, USER, 12, 257));
	/* One of the pages. */
	mmu_pages[48].movable = true;
	assert_false(phyr_may_move(&mm, USER, 12, 48));
	assert_true(phyr_may_move(&mm, USER, 12, 49));
	assert_true(phyr_may_move(&mm, USER + 48 * PAGE_SIZE, 12, 1));
	assert_false(phyr_may_move(&mm, USER + 49 * PAGE_SIZE, 12, 256 - 49));
	/* Only the first of each 16. */
	assert_false(phyr_may_move(&mm, USER, 16, 3));
	assert_true(phyr_may_move(&mm, USER, 16, 4));
	assert_false(phyr_may_move(&mm, USER + PAGE_SIZE, 16, 15));
	mmu_pages[49].cma_zone = true;
	assert_true(phyr_may_move(&mm, USER + 49 * PAGE_SIZE, 12, 1));
}

static void test_leaves_may_move(void **state)
{
	(void)state;
	/* Where the second level is folded, the next leaf is in another table. */
	map_at(USER, 1, make_folio(0, 9), 0);
	map_at(USER + SZ_2M, 1, make_folio(512, 9), 0);
	mmu_pages[512].movable = true;
	assert_false(phyr_may_move(&mm, USER, 21, 1));
	assert_true(phyr_may_move(&mm, USER, 21, 2));
	assert_false(phyr_may_move(&mm, USER, 12, 512));
	assert_true(phyr_may_move(&mm, USER + SZ_2M, 12, 512));
	if (mmu_levels < 3)
		return;
	map_at(USER + SZ_1G, 2, mmu_pages + 512, 0);
	assert_true(phyr_may_move(&mm, USER + SZ_1G, 30, 1));
}

/* --- the pages of one folio --- */

static unsigned long mapped(unsigned long addr, unsigned long end, struct page *page, bool write,
			    bool shared)
{
	return phyr_pages_mapped(&mm, addr, end, page, write, shared);
}

static void test_in_table(void **state)
{
	struct page *folio = make_folio(16, 5);
	unsigned long at = USER + 8 * PAGE_SIZE;

	(void)state;
	map_pages(at, folio, 32, ENTRY_WRITE);
	assert_int_equal(mapped(at, USER + SZ_2M, folio, true, false), 32);
	assert_int_equal(mapped(at + 5 * PAGE_SIZE, USER + SZ_2M, folio + 5, true, false), 27);
	assert_int_equal(mapped(at, at + 7 * PAGE_SIZE, folio, true, false), 7);
	/* Another page is mapped there. */
	assert_int_equal(mapped(at, USER + SZ_2M, folio + 1, true, false), 0);
	/* The count ends at a page that cannot be pinned. */
	map_at(at + 20 * PAGE_SIZE, 0, folio + 20, ENTRY_WRITE | ENTRY_PROTNONE);
	assert_int_equal(mapped(at, USER + SZ_2M, folio, true, false), 20);
	map_at(at + 9 * PAGE_SIZE, 0, folio + 9, 0);
	assert_int_equal(mapped(at, USER + SZ_2M, folio, true, false), 9);
	map_at(at + 3 * PAGE_SIZE, 0, folio + 4, ENTRY_WRITE);
	assert_int_equal(mapped(at, USER + SZ_2M, folio, true, false), 3);
}

static void test_read_only(void **state)
{
	struct page *folio = make_folio(0, 4);

	(void)state;
	map_pages(USER, folio, 16, 0);
	assert_int_equal(mapped(USER, USER + SZ_2M, folio, false, false), 16);
	folio[6].exclusive = false;
	assert_int_equal(mapped(USER, USER + SZ_2M, folio, false, false), 6);
	folio->anon = false;
	assert_int_equal(mapped(USER, USER + SZ_2M, folio, false, false), 0);
	assert_int_equal(mapped(USER, USER + SZ_2M, folio, false, true), 16);
}

/* Entries with a hint of how many are alike. */
static void test_contiguous(void **state)
{
	struct page *folio = make_folio(64, 6);

	(void)state;
	map_pages(USER, folio, 64, ENTRY_WRITE | ENTRY_CONT);
	assert_int_equal(mapped(USER, USER + SZ_2M, folio, true, false), 64);
	assert_int_equal(mapped(USER + 3 * PAGE_SIZE, USER + SZ_2M, folio + 3, true, false), 61);
	assert_int_equal(mapped(USER, USER + 21 * PAGE_SIZE, folio, true, false), 21);
	map_pages(USER + 32 * PAGE_SIZE, folio + 32, 16, 0);
	assert_int_equal(mapped(USER, USER + SZ_2M, folio, true, false), 32);
	/* Each page of an anonymous folio can be exclusive or not. */
	map_pages(USER, folio, 64, ENTRY_CONT);
	folio[37].exclusive = false;
	assert_int_equal(mapped(USER, USER + SZ_2M, folio, false, false), 37);
}

static void test_leaf(void **state)
{
	struct page *folio = make_folio(512, 9);

	(void)state;
	map_at(USER, 1, folio, ENTRY_WRITE);
	assert_int_equal(mapped(USER, USER + SZ_1G, folio, true, false), 512);
	assert_int_equal(mapped(USER + PAGE_SIZE, USER + SZ_1G, folio + 1, true, false), 511);
	assert_int_equal(mapped(USER, USER + 100 * PAGE_SIZE, folio, true, false), 100);
	assert_int_equal(mapped(USER, USER + SZ_1G, folio + 1, true, false), 0);
	map_at(USER, 1, folio, 0);
	assert_int_equal(mapped(USER, USER + SZ_1G, folio, true, false), 0);
	assert_int_equal(mapped(USER, USER + SZ_1G, folio, false, false), 512);
	folio->exclusive = false;
	assert_int_equal(mapped(USER, USER + SZ_1G, folio, false, false), 0);
	map_at(USER, 1, folio, ENTRY_WRITE | ENTRY_PROTNONE);
	assert_int_equal(mapped(USER, USER + SZ_1G, folio, true, false), 0);
}

static void test_giant_leaf(void **state)
{
	struct page *folio = make_folio(0, 18);

	(void)state;
	if (mmu_levels < 3)
		return;
	map_at(USER, 2, folio, ENTRY_WRITE);
	assert_int_equal(mapped(USER, USER + 2 * SZ_1G, folio, true, false), 1UL << 18);
	assert_int_equal(mapped(USER + SZ_2M, USER + SZ_1G, folio + 512, true, false),
			 (1UL << 18) - 512);
}

/* --- several folios --- */

static void test_many_leaves(void **state)
{
	struct page *pages[3];
	unsigned long i, nr = (phyr_table_end(USER, PMD_SHIFT) - USER) >> PMD_SHIFT;

	(void)state;
	/* If the second level is folded, each leaf is the only entry of its table. */
	assert_int_equal(nr, mmu_levels < 3 ? 1 : 512);
	nr = min(nr, 3);
	for (i = 0; i < 3; i++) {
		pages[i] = make_folio(512 * i, 9);
		map_at(USER + i * SZ_2M, 1, pages[i], ENTRY_WRITE);
	}
	assert_int_equal(phyr_folios_mapped(&mm, USER, 21, pages, nr, true, false), nr);
	if (nr < 3)
		return;
	map_at(USER + 2 * SZ_2M, 1, pages[2], 0);
	assert_int_equal(phyr_folios_mapped(&mm, USER, 21, pages, 3, true, false), 2);
	make_folio(512, 8);
	assert_int_equal(phyr_folios_mapped(&mm, USER, 21, pages, 3, true, false), 1);
	assert_int_equal(phyr_folios_mapped(&mm, USER, 20, pages, 1, true, false), 0);
}

static void test_many_giants(void **state)
{
	struct page *pages[2];
	unsigned long i, nr;

	(void)state;
	if (mmu_levels < 3)
		return;
	nr = (phyr_table_end(USER, PUD_SHIFT) - USER) >> PUD_SHIFT;
	/* USER is in the last quarter of a table. */
	assert_int_equal(nr, mmu_levels < 4 ? 1 : 512 - 0x17f);
	nr = min(nr, 2);
	for (i = 0; i < 2; i++) {
		/* The folios overlap, but only the first page of each matters. */
		pages[i] = make_folio(i, 18);
		map_at(USER + i * SZ_1G, 2, pages[i], ENTRY_WRITE);
	}
	assert_int_equal(phyr_folios_mapped(&mm, USER, 30, pages, nr, true, false), nr);
}

static void test_many_in_table(void **state)
{
	struct page *pages[8];
	unsigned long i;

	(void)state;
	assert_int_equal(phyr_table_end(USER + PAGE_SIZE, 16), USER + SZ_2M);
	for (i = 0; i < 8; i++) {
		pages[i] = make_folio(32 * i, 4);
		map_pages(USER + (i << 16), pages[i], 16, ENTRY_WRITE);
	}
	assert_int_equal(phyr_folios_mapped(&mm, USER, 16, pages, 8, true, false), 8);
	assert_int_equal(phyr_folios_mapped(&mm, USER, 16, pages, 3, true, false), 3);
	map_at(USER + (5 << 16) + PAGE_SIZE, 0, pages[5] + 2, ENTRY_WRITE);
	assert_int_equal(phyr_folios_mapped(&mm, USER, 16, pages, 8, true, false), 5);
}

/* --- others change the tables --- */

static u64 *moved;

/* mremap() moves the table while it is being read. */
static void move_table(pte_t *ptep)
{
	(void)ptep;
	*moved = 0;
}

static void test_moved_table(void **state)
{
	struct page *folio = make_folio(0, 4);

	(void)state;
	map_pages(USER, folio, 16, ENTRY_WRITE);
	moved = entry_of(USER, 1);
	mmu_before_pte = move_table;
	assert_int_equal(mapped(USER, USER + SZ_2M, folio, true, false), 0);
}

static void test_moved_table_of_many(void **state)
{
	struct page *folio = make_folio(0, 4);

	(void)state;
	map_pages(USER, folio, 16, ENTRY_WRITE);
	moved = entry_of(USER, 1);
	mmu_before_pte = move_table;
	assert_int_equal(phyr_folios_mapped(&mm, USER, 16, &folio, 1, true, false), 0);
}

int main(void)
{
	static const unsigned int levels[] = { 2, 3, 4, 5 };
	static const struct CMUnitTest all[] = {
		cmocka_unit_test_setup_teardown(test_nothing, new_machine, end_of_machine),
		cmocka_unit_test_setup_teardown(test_base_pages, new_machine, end_of_machine),
		cmocka_unit_test_setup_teardown(test_sees_leaves, new_machine, end_of_machine),
		cmocka_unit_test_setup_teardown(test_is_read_only, new_machine, end_of_machine),
		cmocka_unit_test_setup_teardown(test_may_move, new_machine, end_of_machine),
		cmocka_unit_test_setup_teardown(test_leaves_may_move, new_machine, end_of_machine),
		cmocka_unit_test_setup_teardown(test_in_table, new_machine, end_of_machine),
		cmocka_unit_test_setup_teardown(test_read_only, new_machine, end_of_machine),
		cmocka_unit_test_setup_teardown(test_contiguous, new_machine, end_of_machine),
		cmocka_unit_test_setup_teardown(test_leaf, new_machine, end_of_machine),
		cmocka_unit_test_setup_teardown(test_giant_leaf, new_machine, end_of_machine),
		cmocka_unit_test_setup_teardown(test_many_leaves, new_machine, end_of_machine),
		cmocka_unit_test_setup_teardown(test_many_giants, new_machine, end_of_machine),
		cmocka_unit_test_setup_teardown(test_many_in_table, new_machine, end_of_machine),
		cmocka_unit_test_setup_teardown(test_moved_table, new_machine, end_of_machine),
		cmocka_unit_test_setup_teardown(test_moved_table_of_many, new_machine,
						end_of_machine),
	};
	struct CMUnitTest tests[4 * ARRAY_SIZE(all)];
	char names[4 * ARRAY_SIZE(all)][64];
	unsigned int i, l;

	for (l = 0; l < 4; l++)
		for (i = 0; i < ARRAY_SIZE(all); i++) {
			struct CMUnitTest *test = &tests[l * ARRAY_SIZE(all) + i];
			char *name = names[l * ARRAY_SIZE(all) + i];

			*test = all[i];
			snprintf(name, sizeof(names[0]), "%s, %u levels", test->name, levels[l]);
			test->name = name;
			test->initial_state = (void *)&levels[l];
		}
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("pagetable", tests, NULL, NULL);
}
