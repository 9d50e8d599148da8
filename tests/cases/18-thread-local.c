// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * A program has 1 MiB of thread-local variables. libc puts these on each thread's stack. A stack
 * that is large enough for a thread's work may have no room for them.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <string.h>

#include "case.h"

#define LEN	(64 * MIB)
#define SIZE	MIB

static __thread char variables[SIZE];

static int test_registered(const void *mode)
{
	char *p = map_fresh(LEN);
	size_t i;
	int err;

	knob_set(&thp, mode);
	memset(variables, 0x5a, sizeof(variables));
	err = register_once(p, LEN, ACCESS_ALL);
	for (i = 0; i < SIZE && !err; i++)
		if (variables[i] != 0x5a)
			err = fail("byte %zu of them has changed", i);
	if (!err && present(p, LEN) != LEN)
		err = fail("only %zu of %lu MiB are there", present(p, LEN) / MIB, LEN / MIB);
	munmap(p, LEN);
	return err;
}

struct call {
	const void *mode;
	int result;
};

static void *call(void *arg)
{
	struct call *c = arg;

	c->result = test_registered(c->mode);
	return NULL;
}

/* The thread that registers has a stack with little more room than the variables take. */
static int test_small_stack(const void *mode)
{
	struct call c = { .mode = mode };
	pthread_attr_t attr;
	pthread_t thread;
	int err;

	pthread_attr_init(&attr);
	err = pthread_attr_setstacksize(&attr, SIZE + 64 * KIB);
	err = err ?: pthread_create(&thread, &attr, call, &c);
	pthread_attr_destroy(&attr);
	if (err)
		return fail("no thread: %s", errno_name(err));
	pthread_join(thread, NULL);
	return c.result;
}

static int in_child(const void *mode)
{
	return reopen_device() ?: test_registered(mode) ?: test_small_stack(mode);
}

static int test(const void *mode)
{
	return test_in_child(in_child, mode);
}

int main(int argc, char **argv)
{
	size_t i;

	case_start("A program with many thread-local variables registers memory.", 60, argc, argv);
	for (i = 0; i < ARRAY_SIZE(thp_modes); i++)
		test_add(test, thp_modes[i], "1 MiB of them, THP %s", thp_modes[i]);
	return test_run();
}
