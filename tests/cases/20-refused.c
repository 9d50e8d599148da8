// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * The kernel refuses a region before it looks at the memory, because of the limit of locked memory
 * or that of a control group. A program that tries, and then makes do with less, must not pay for
 * the region that was refused: none of its memory may be touched.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "case.h"
#include "rights.h"

#define LEN	(64 * MIB)

/* The region must be refused with this error, and its memory must stay untouched. */
static int refused(char *p, int wanted)
{
	struct ibv_mr *mr;

	errno = 0;
	mr = ibv_reg_mr(dev.pd, p, LEN, ACCESS_ALL);
	if (mr)
		return mr_dereg(&mr) ?: fail("it was registered");
	if (errno != wanted)
		return fail("%s in place of %s", errno_name(errno), errno_name(wanted));
	if (present(p, LEN))
		return fail("%zu of %lu KiB were touched for nothing", present(p, LEN) / KIB,
			    LEN / KIB);
	return PASSED;
}

static int limit_memlock(size_t limit)
{
	struct rlimit r = { limit, limit };

	if (setrlimit(RLIMIT_MEMLOCK, &r) || drop_ipc_lock())
		return fail("cannot limit locked memory: %m");
	return PASSED;
}

static int over_memlock(const void *unused)
{
	(void)unused;
	return reopen_device() ?: limit_memlock(LEN - SZ_4K) ?: refused(map_fresh(LEN), ENOMEM);
}

/* Earlier regions count against the limit, too. */
static int rest_of_memlock(const void *unused)
{
	struct ibv_mr *first;
	char *p;

	(void)unused;
	if (reopen_device() || limit_memlock(2 * LEN - SZ_4K))
		return FAILED;
	p = map_fresh(LEN);
	first = mr_reg(p, LEN, ACCESS_ALL);
	return first ? refused(map_fresh(LEN), ENOMEM) ?: mr_dereg(&first) : FAILED;
}

/* --- several threads at once, whose regions have room for half of them --- */

#define THREADS	4
#define SHARE	(LEN / 2)

static pthread_barrier_t all_start, all_done;

struct attempt {
	char *memory;
	bool refused;
	int err;
};

static void *attempt(void *arg)
{
	struct attempt *a = arg;
	struct ibv_mr *mr;

	pthread_barrier_wait(&all_start);
	mr = ibv_reg_mr(dev.pd, a->memory, SHARE, ACCESS_ALL);
	a->refused = !mr;
	pthread_barrier_wait(&all_done);
	if (mr)
		a->err = mr_dereg(&mr);
	else if (present(a->memory, SHARE))
		a->err = fail("%zu of %lu KiB were touched for nothing",
			      present(a->memory, SHARE) / KIB, SHARE / KIB);
	return NULL;
}

static int half_of_attempts(void)
{
	struct attempt attempts[THREADS] = {};
	unsigned int refusals = 0, i;
	pthread_t threads[THREADS];
	int err = PASSED;

	pthread_barrier_init(&all_start, NULL, THREADS);
	pthread_barrier_init(&all_done, NULL, THREADS);
	for (i = 0; i < THREADS; i++) {
		attempts[i].memory = map_fresh(SHARE);
		if (pthread_create(&threads[i], NULL, attempt, &attempts[i]))
			return fail("no thread: %m");
	}
	for (i = 0; i < THREADS; i++) {
		pthread_join(threads[i], NULL);
		refusals += attempts[i].refused;
		err = err ?: attempts[i].err;
	}
	if (!err && refusals != THREADS / 2)
		err = fail("%u of %u were refused", refusals, THREADS);
	return err;
}

static int half_of_memlock(const void *unused)
{
	(void)unused;
	return reopen_device() ?: limit_memlock(THREADS / 2 * SHARE) ?: half_of_attempts();
}

static int no_memlock(const void *unused)
{
	(void)unused;
	return reopen_device() ?: limit_memlock(0) ?: refused(map_fresh(LEN), EPERM);
}

static int over_objects(const void *unused)
{
	(void)unused;
	return group_join() ?: reopen_device() ?: refused(map_fresh(LEN), EAGAIN);
}

static int half_of_objects(const void *unused)
{
	(void)unused;
	return group_join() ?: reopen_device() ?: half_of_attempts();
}

static int test_memlock(const void *arg)
{
	knob_set(&thp, "madvise");
	return test_in_child(*(const test_fn *)arg, NULL);
}

/* The device counts as a handle. The protection domain is the first object. */
static const struct objects {
	const char *name;
	unsigned int most;
	test_fn run;
} objects[] = {
	{ "over the rdma control group's hca_object", 1, over_objects },
	{ "threads at once, and hca_object for half of them", 1 + THREADS / 2, half_of_objects },
};

static int test_objects(const void *arg)
{
	const struct objects *o = arg;
	char max[64];
	int err;

	knob_set(&thp, "madvise");
	err = group_open("+rdma");
	if (err)
		return err;
	snprintf(max, sizeof(max), "%s hca_object=%u", dev.name, o->most);
	err = group_write("rdma.max", max) ?: test_in_child(o->run, NULL);
	/* While a limit is set, some kernels use the group again when the device goes. */
	snprintf(max, sizeof(max), "%s hca_handle=max hca_object=max", dev.name);
	return group_write("rdma.max", max) ?: group_close() ?: err;
}

int main(int argc, char **argv)
{
	static const test_fn memlock[] = {
		over_memlock, rest_of_memlock, no_memlock, half_of_memlock,
	};
	size_t i;

	case_start("A registration that is refused leaves memory untouched.", 60, argc, argv);
	test_add(test_memlock, &memlock[0], "over RLIMIT_MEMLOCK");
	test_add(test_memlock, &memlock[1], "over what others leave of RLIMIT_MEMLOCK");
	test_add(test_memlock, &memlock[2], "RLIMIT_MEMLOCK is 0");
	test_add(test_memlock, &memlock[3], "threads at once, and a limit for half of them");
	for (i = 0; i < ARRAY_SIZE(objects); i++)
		test_add(test_objects, &objects[i], "%s", objects[i].name);
	return test_run();
}
