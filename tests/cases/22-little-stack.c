// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * A coroutine has a stack of some KiB. A registration must leave most of that to it.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>

#include "case.h"

#define LEN	(66 * MIB)
/* Of the thread that registers. We paint it before. */
#define STACK	(3 * MIB)
#define PAINT	0xa5
/* All of ibv_reg_mr() may use so much. */
#define BAR	(2 * KIB)

struct call {
	char *stack;
	size_t used;
	int err;
};

static __attribute__((noinline)) void register_fresh(struct call *c)
{
	char *p = map_fresh(LEN);
	struct ibv_mr *mr = ibv_reg_mr(dev.pd, p, LEN, ACCESS_ALL);

	if (!mr || ibv_dereg_mr(mr))
		c->err = fail("no region: %m");
	munmap(p, LEN);
}

static __attribute__((noinline)) void *call(void *arg)
{
	struct call *c = arg;
	char *here = __builtin_frame_address(0);
	size_t unused = 0;

	/* Once before: for its first call of a function, the dynamic linker needs more. */
	register_fresh(c);
	memset(c->stack, PAINT, here - c->stack - 512);
	register_fresh(c);
	while ((unsigned char)c->stack[unused] == PAINT)
		unused++;
	c->used = here - c->stack - unused;
	return NULL;
}

static int test(const void *mode)
{
	struct call c = {};
	pthread_attr_t attr;
	pthread_t thread;

	knob_set(&thp, mode);
	c.stack = mmap(NULL, STACK, RW, ANON, -1, 0);
	if (c.stack == MAP_FAILED)
		return fail("no stack: %m");
	pthread_attr_init(&attr);
	pthread_attr_setstack(&attr, c.stack, STACK);
	if (pthread_create(&thread, &attr, call, &c))
		return fail("no thread");
	pthread_join(thread, NULL);
	pthread_attr_destroy(&attr);
	munmap(c.stack, STACK);
	remark("%zu bytes", c.used);
	if (!c.err && c.used > BAR)
		c.err = fail("%zu bytes of stack were used", c.used);
	return c.err;
}

int main(int argc, char **argv)
{
	size_t i;

	case_start("A thread with little stack registers memory.", 60, argc, argv);
	for (i = 0; i < ARRAY_SIZE(thp_modes); i++)
		test_add(test, thp_modes[i], "stack, THP %s", thp_modes[i]);
	return test_run();
}
