// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Registration by phyrdv_reg_mr(): every step does what it is for, and nothing else. Errors are
 * those of ibv_reg_mr(). Threads and forks do not mix anything up.
 *
 * The environment must ask for no preparation (PHYR_PREPARE=none), and the system's setting for
 * transparent huge pages must be "madvise", so that the call alone causes what the tests see.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "phyrdv.h"
#include "rights.h"

enum { ALL_STEPS = PHYRDV_PREPARE_HUGEPAGE | PHYRDV_PREPARE_POPULATE | PHYRDV_PREPARE_COLLAPSE };

#define AREA	(8 * SZ_2M)

static struct ibv_mr *reg_mr(void *addr, size_t len, int access, uint32_t prepare)
{
	struct phyrdv_reg_mr_attr attr = { .prepare = prepare };

	return phyrdv_reg_mr(dev.pd, addr, len, (uintptr_t)addr, access, &attr, sizeof(attr));
}

/* Fresh private memory of which nothing is populated, aligned as huge pages are. */
struct area {
	char *addr;
	void *map;
	size_t map_len;
};

static int area_open(struct area *area)
{
	area->addr = map_reserve(AREA, SZ_2M, &area->map, &area->map_len);
	return map_fixed(area->addr, AREA, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
			 0);
}

static void area_close(struct area *area)
{
	munmap(area->map, area->map_len);
}

static int huge_pages(const char *addr, size_t len, bool want)
{
	size_t huge = smaps_kb(addr, len, "AnonHugePages") * KIB;

	if (huge == (want ? len : 0))
		return PASSED;
	return fail("%zu of %zu bytes are huge pages, should be %s", huge, len,
		    want ? "all" : "none");
}

/* --- steps ------------------------------------------------------------------------------------ */

struct step {
	const char *name;
	uint32_t prepare;
	bool touched;		/* is the memory populated, with base pages? */
	bool huge;		/* are its pages huge afterwards? */
};

static const struct step steps[] = {
	{ "fresh memory, no step", 0, false, false },
	{ "fresh memory, hugepage", PHYRDV_PREPARE_HUGEPAGE, false, true },
	{ "fresh memory, populate", PHYRDV_PREPARE_POPULATE, false, false },
	{ "fresh memory, hugepage and populate",
	  PHYRDV_PREPARE_HUGEPAGE | PHYRDV_PREPARE_POPULATE, false, true },
	{ "fresh memory, by advice",
	  PHYRDV_PREPARE_HUGEPAGE | PHYRDV_PREPARE_POPULATE | PHYRDV_PREPARE_ADVISE, false, true },
	{ "fresh memory, all steps", ALL_STEPS, false, true },
	{ "populated memory, no step", 0, true, false },
	{ "populated memory, hugepage", PHYRDV_PREPARE_HUGEPAGE, true, false },
	{ "populated memory, populate", PHYRDV_PREPARE_POPULATE, true, false },
	{ "populated memory, collapse", PHYRDV_PREPARE_COLLAPSE, true, true },
};

static int test_step(const void *arg)
{
	const struct step *step = arg;
	struct phyrdv_mr_attr attr;
	struct ibv_mr *mr = NULL;
	struct area area;
	int err = area_open(&area);
	size_t i;

	if (!err && step->touched)
		pattern_fill(area.addr, 3, 0, AREA);
	if (!err) {
		mr = reg_mr(area.addr, AREA, ACCESS_ALL, step->prepare);
		err = mr ? PASSED : fail("phyrdv_reg_mr: %m");
	}
	err = err ?: huge_pages(area.addr, AREA, step->huge) ?: mr_as_memory(mr);
	if (!err && !on_stock) {
		err = expect("phyrdv_query_mr", phyrdv_query_mr(mr, &attr, sizeof(attr)), 0);
		if (!err && step->huge && attr.phyrs > AREA / SZ_2M)
			err = fail("huge pages in %lu extents", (unsigned long)attr.phyrs);
	}
	if (!err && step->touched)
		err = pattern_check("the memory", area.addr, 3, 0, AREA);
	for (i = 0; i < AREA && !err && !step->touched; i += SZ_4K)
		err = zero_check("the memory", area.addr + i, 1);
	err = mr_dereg(&mr) ?: err;
	area_close(&area);
	return err;
}

/*
 * Runs in a child. Memory that is registered already counts. A registration that is over the limit
 * because of it must populate nothing.
 */
static int limited(const void *arg)
{
	struct rlimit limit = { AREA + AREA / 2, AREA + AREA / 2 };
	struct area used, area;
	struct ibv_mr *mr;
	int err;

	(void)arg;
	if (setrlimit(RLIMIT_MEMLOCK, &limit) || drop_ipc_lock())
		return fail("no limit can be set: %m");
	err = area_open(&used) ?: area_open(&area);
	if (err)
		return err;
	mr = reg_mr(used.addr, AREA, ACCESS_ALL, ALL_STEPS);
	if (!mr)
		return fail("the first cannot be registered: %m");
	err = refused("beyond the limit", reg_mr(area.addr, AREA, ACCESS_ALL, ALL_STEPS), ENOMEM);
	if (!err && smaps_kb(area.addr, AREA, "Rss"))
		err = fail("%ld KiB were populated", smaps_kb(area.addr, AREA, "Rss"));
	return mr_dereg(&mr) ?: err;
}

static int test_limited(const void *arg)
{
	return test_in_child(limited, arg);
}

/*
 * If the library wrongly kept a pointer to the last request, it would point to where the library's
 * stack was. No other variables may overwrite that place. So only a variable that is never set
 * comes there, and memcheck at least would see its use.
 */
static __attribute__((noinline)) struct ibv_mr *mr_reg_below(void *addr, size_t len, int access)
{
	char gap[16 * KIB];

	__asm__ volatile("" : : "r" (gap) : "memory");
	return mr_reg(addr, len, access);
}

/* The steps that one call asks for must not be taken for the next call. */
static int test_once(const void *arg)
{
	struct ibv_mr *mr = NULL;
	struct area area;
	int err = area_open(&area);

	(void)arg;
	err = err ?: refused("nothing to register", reg_mr(NULL, AREA, ACCESS_ALL, ALL_STEPS),
			     EFAULT);
	if (!err) {
		mr = mr_reg_below(area.addr, AREA, ACCESS_ALL);
		err = mr ? huge_pages(area.addr, AREA, false) : FAILED;
	}
	err = mr_dereg(&mr) ?: err;
	area_close(&area);
	return err;
}

/* --- what cannot be registered ---------------------------------------------------------------- */

/* phyrdv_reg_mr() must refuse this with the errno of ibv_reg_mr(). */
static int as_ibv_reg_mr(const char *what, char *addr, size_t len, int access)
{
	struct ibv_mr *mr = ibv_reg_mr(dev.pd, addr, len, access);
	int error = errno;

	if (mr) {
		mr_dereg(&mr);
		return fail("%s: ibv_reg_mr takes it", what);
	}
	return refused(what, reg_mr(addr, len, access, ALL_STEPS), error);
}

static int test_errors(const void *arg)
{
	struct area area;
	int err = area_open(&area);

	(void)arg;
	/* Make a hole in the middle. */
	if (!err && munmap(area.addr + AREA / 2, SZ_2M))
		err = fail("munmap: %m");
	err = err ?: as_ibv_reg_mr("memory with a hole", area.addr, AREA, ACCESS_ALL) ?:
	      as_ibv_reg_mr("no memory", area.addr + AREA / 2, SZ_4K, ACCESS_ALL) ?:
	      as_ibv_reg_mr("beyond all addresses", area.addr, SIZE_MAX, ACCESS_ALL);
	area_close(&area);
	err = err ?: area_open(&area);
	err = err ?: as_ibv_reg_mr("remote write without local write", area.addr, AREA,
				   IBV_ACCESS_REMOTE_WRITE) ?:
	      as_ibv_reg_mr("atomics without local write", area.addr, AREA,
			    IBV_ACCESS_REMOTE_ATOMIC) ?:
	      /* It was clear that the kernel would refuse these, so nothing was populated. */
	      huge_pages(area.addr, AREA, false);
	area_close(&area);
	return err;
}

/* --- threads ---------------------------------------------------------------------------------- */

enum { THREADS = 4, ROUNDS = 5 };

struct worker {
	pthread_t thread;
	bool huge;		/* registers with huge pages, otherwise as the environment says */
	const char *why;	/* why it failed, or NULL */
};

/* Only the main thread may call fail(), so this returns what failed. */
static const char *one_round(struct worker *worker)
{
	struct phyrdv_extent some[7];
	struct phyrdv_mr_attr attr;
	struct extents memory;
	uint64_t offset = 0;
	struct ibv_mr *mr;
	struct area area;
	uint32_t nr;

	area.addr = map_reserve(AREA, SZ_2M, &area.map, &area.map_len);
	if (mmap(area.addr, AREA, PROT_READ | PROT_WRITE,
		 MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED)
		return "mmap";
	mr = worker->huge ? reg_mr(area.addr, AREA, ACCESS_ALL, PHYRDV_PREPARE_HUGEPAGE) :
			    ibv_reg_mr(dev.pd, area.addr, AREA, ACCESS_ALL);
	if (!mr)
		return "registration";
	if ((smaps_kb(area.addr, AREA, "AnonHugePages") != 0) != worker->huge)
		return worker->huge ? "no huge pages" : "huge pages that nobody asked for";
	if (!on_stock) {
		extents_of_memory(&memory, area.addr, AREA);
		if (phyrdv_query_mr(mr, &attr, sizeof(attr)) || attr.phyrs != memory.nr)
			return "phyrdv_query_mr";
		for (; offset < AREA; offset = some[nr - 1].offset + some[nr - 1].length)
			if (phyrdv_mr_extents(mr, offset, some, 7, &nr) || !nr)
				return "phyrdv_mr_extents";
		extents_free(&memory);
	}
	if (ibv_dereg_mr(mr))
		return "ibv_dereg_mr";
	area_close(&area);
	return NULL;
}

static void *work(void *arg)
{
	struct worker *worker = arg;
	int i;

	for (i = 0; i < ROUNDS && !worker->why; i++)
		worker->why = one_round(worker);
	return NULL;
}

static int test_threads(const void *arg)
{
	struct worker workers[THREADS] = {};
	int err = PASSED, i;

	(void)arg;
	for (i = 0; i < THREADS; i++) {
		workers[i].huge = i % 2;
		if (pthread_create(&workers[i].thread, NULL, work, &workers[i]))
			die("cannot start a thread");
	}
	for (i = 0; i < THREADS; i++) {
		pthread_join(workers[i].thread, NULL);
		if (workers[i].why)
			err = fail("thread %d: %s", i, workers[i].why);
	}
	return err;
}

/* --- fork ------------------------------------------------------------------------------------- */

/* The child must see the parent's memory, and changes its own copy. Its exit status. */
static int in_child(char *addr)
{
	if (zero_check("the child's memory", addr, SZ_4K))
		return 1;
	memset(addr, 0x77, AREA);
	return 0;
}

/* Registered pages stay with the parent, so the kernel's answers must still be right. */
static int test_fork(const void *arg)
{
	struct ibv_mr *mr = NULL, *second = NULL;
	struct area area, other = {};
	int err, status;
	pid_t pid;

	(void)arg;
	err = area_open(&area) ?: area_open(&other);
	if (!err) {
		mr = reg_mr(area.addr, AREA, ACCESS_ALL, ALL_STEPS);
		err = mr ? mr_as_memory(mr) : fail("phyrdv_reg_mr: %m");
	}
	if (!err) {
		pid = fork();
		if (pid < 0)
			die("fork: %m");
		if (!pid)
			_exit(in_child(area.addr));
		memset(area.addr, 0x33, AREA);
		if (waitpid(pid, &status, 0) != pid || status)
			err = fail("the child ended with status 0x%x", status);
		err = err ?: mr_as_memory(mr);
	}
	/* Registration must still work after the fork. */
	if (!err) {
		second = reg_mr(other.addr, AREA, ACCESS_ALL, ALL_STEPS);
		err = second ? mr_as_memory(second) : fail("phyrdv_reg_mr after fork: %m");
	}
	err = mr_dereg(&second) ?: mr_dereg(&mr) ?: err;
	area_close(&area);
	if (other.map)
		area_close(&other);
	return err;
}

/* --- cancellation ----------------------------------------------------------------------------- */

struct cancelled {
	struct area area;
	struct ibv_mr *mr;
};

static void register_cancelled(void *arg)
{
	struct cancelled *c = arg;

	c->mr = reg_mr(c->area.addr, AREA, ACCESS_ALL, ALL_STEPS);
}

/*
 * Cancellation must not end the thread before it has the MR. With PHYR_DEBUG, the library prints,
 * which is a cancellation point.
 */
static int test_cancel(const void *arg)
{
	struct cancelled c = {};
	int err = area_open(&c.area);

	(void)arg;
	err = err ?: test_cancelled(register_cancelled, &c);
	if (!err && !c.mr)
		err = fail("no memory was registered");
	err = mr_dereg(&c.mr) ?: err;
	area_close(&c.area);
	return err;
}

void add_reg_mr_tests(void)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(steps); i++)
		test_add(test_step, &steps[i], "reg_mr: %s", steps[i].name);
	test_add(test_limited, NULL, "reg_mr: not populated beyond RLIMIT_MEMLOCK");
	test_add(test_once, NULL, "reg_mr: steps are for one call");
	test_add(test_errors, NULL, "reg_mr: errors of ibv_reg_mr()");
	test_add(test_threads, NULL, "threads register and query at once");
	test_add(test_fork, NULL, "fork after registration");
	test_add(test_cancel, NULL, "cancellation waits until the caller has the MR");
}
