// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * One thread maps blocks to an array, and another finds them, without a lock between the threads.
 * The look-up itself must order its reads (include/phyr/phyr.h, kernel/core/array.c).
 *
 * gcc's thread sanitizer finds accesses that nothing orders, whatever this CPU does, and ends the
 * program. The test also checks what the look-ups find.
 */
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "array.h"

#define BLOCKS 100
#define SHIFT PAGE_SHIFT
#define SKEW 77
#define TURNS 200

static u64 block_addr(unsigned long i)
{
	return (1 + 2 * i) << SHIFT;
}

static void *map_blocks(void *arg)
{
	struct phyr_array *array = arg;
	unsigned long i;
	int err;

	/* These calls are not in an assert(), since release builds leave asserts out. */
	err = phyr_array_begin_blocks(array, SHIFT);
	for (i = 0; i < BLOCKS; i++)
		err = err ?: phyr_array_add_block(array, block_addr(i));
	if (err)
		abort();
	phyr_array_end_blocks(array, SKEW, SIZE_MAX);
	return NULL;
}

/* Look for the last byte first: it is found as soon as the array has its length. */
static void find_all(const struct phyr_array *array)
{
	size_t len = (BLOCKS << SHIFT) - SKEW, at;
	struct phyr found;

	do {
		sched_yield();
		found = phyr_array_find(array, len - 1);
	} while (!found.len);
	for (at = len; at--;) {
		found = phyr_array_find(array, at);
		assert_true(found.len);
		assert_int_equal(found.addr, block_addr((SKEW + at) >> SHIFT) +
				 ((SKEW + at) & ~PAGE_MASK));
		at -= min(at, 511);
	}
}

static void test_mapped_meanwhile(void **state)
{
	struct phyr_array array;
	pthread_t thread;
	int turn;

	(void)state;
	for (turn = 0; turn < TURNS; turn++) {
		array = (struct phyr_array){};
		assert_int_equal(phyr_array_alloc_blocks(&array, BLOCKS), 0);
		assert_int_equal(pthread_create(&thread, NULL, map_blocks, &array), 0);
		find_all(&array);
		assert_int_equal(pthread_join(thread, NULL), 0);
		phyr_array_free(&array);
	}
	assert_int_equal(allocated, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_mapped_meanwhile),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("order of look-ups", tests, NULL, NULL);
}
