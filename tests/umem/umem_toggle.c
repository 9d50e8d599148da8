// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * umem_toggle: the livepatch goes in and out while memory is registered, used and released.
 *
 * Some threads have regions of memory of several kinds. A thread chooses a region at random. If the
 * region is not registered, it registers it; else it moves data to or from it, or releases it. So
 * regions live across toggles. Every page of a region has a pattern with a seed that changes at
 * each write. So the checks, after each transfer and at the end, find data that come from
 * elsewhere, too late, or not at all. Meanwhile the patch is toggled every 100 ms, or as fast as
 * the kernel can.
 *
 * The runner checks that all is unpinned and uncharged at the end.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "patch.h"
#include "rdma.h"

/* A toggle takes many seconds on older kernels in emulated machines: then go on until LEAST. */
enum { THREADS = 4, SLOTS = 4, CHUNK_PAGES = 4, LEAST = 4 };

#define REGION	(4 * MIB)
#define PAGES	(REGION / SZ_4K)
#define PERIOD_US	100000

static unsigned int seconds = 60;
static atomic_bool over;
static atomic_uint toggles;

/* A region, which is registered at times. */
struct slot {
	struct buf buf;
	struct ibv_mr *mr;
	unsigned int toggles;		/* when it was registered */
	uint16_t seed[PAGES];		/* of the pattern in each page */
};

struct worker {
	pthread_t thread;
	unsigned int id;
	struct pair pair;
	struct slot slot[SLOTS];
	struct ibv_mr *scratch_mr;
	char *scratch;			/* CHUNK_PAGES pages, registered all the time */
	uint64_t random;
	int err;
	unsigned long registered, transfers, crossed;	/* counts */
};

/* Each thread has its own sequence of random numbers. */
static uint64_t draw(struct worker *w, uint64_t below)
{
	w->random ^= w->random << 13;
	w->random ^= w->random >> 7;
	w->random ^= w->random << 17;
	return w->random % below;
}

static void fill(char *to, const struct slot *s, size_t page, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		pattern_fill(to + i * SZ_4K, s->seed[page + i], (page + i) * SZ_4K, SZ_4K);
}

static int check(const char *what, const char *p, const struct slot *s, size_t page, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (pattern_check(what, p + i * SZ_4K, s->seed[page + i], (page + i) * SZ_4K,
				  SZ_4K))
			return FAILED;
	return PASSED;
}

/*
 * Move n pages between the region and the scratch memory. An RDMA write takes its data from the
 * local side, a read brings it there, so the region is the remote side in half of the cases.
 */
static int move(struct worker *w, struct slot *s, size_t page, size_t n, bool to_region)
{
	bool write = draw(w, 2), remote = write == to_region;
	enum ibv_wr_opcode opcode = write ? IBV_WR_RDMA_WRITE : IBV_WR_RDMA_READ;
	char *in_region = s->buf.addr + page * SZ_4K;
	struct ibv_sge local = remote ? sge(w->scratch, n * SZ_4K, w->scratch_mr) :
					sge(in_region, n * SZ_4K, s->mr);

	return rdma(&w->pair, opcode, local, (uintptr_t)(remote ? in_region : w->scratch),
		    remote ? s->mr->rkey : w->scratch_mr->rkey, IBV_WC_SUCCESS);
}

static int transfer(struct worker *w, struct slot *s)
{
	size_t n = 1 + draw(w, CHUNK_PAGES), page = 1 + draw(w, PAGES - n - 1), i;
	bool to_region = draw(w, 2);

	w->transfers++;
	if (to_region) {
		for (i = 0; i < n; i++)
			s->seed[page + i]++;
		fill(w->scratch, s, page, n);
		return move(w, s, page, n, true) ?:
		       check("memory", s->buf.addr + page * SZ_4K, s, page, n);
	}
	memset(w->scratch, 0, n * SZ_4K);
	return move(w, s, page, n, false) ?: check("read", w->scratch, s, page, n);
}

static int register_slot(struct worker *w, struct slot *s)
{
	size_t start = draw(w, 2) * 17;

	/* The ends may be inside pages, as transfers never reach the first page and the last. */
	s->mr = mr_reg(s->buf.addr + start, REGION - 2 * start, ACCESS_ALL);
	s->toggles = atomic_load(&toggles);
	w->registered++;
	return s->mr ? PASSED : FAILED;
}

static int release_slot(struct worker *w, struct slot *s)
{
	w->crossed += s->mr && s->toggles != atomic_load(&toggles);
	return mr_dereg(&s->mr);
}

static int step(struct worker *w)
{
	struct slot *s = &w->slot[draw(w, SLOTS)];

	if (!s->mr)
		return register_slot(w, s);
	return draw(w, 4) ? transfer(w, s) : release_slot(w, s);
}

static void *work(void *arg)
{
	struct worker *w = arg;

	while (!over && !w->err) {
		w->err = step(w);
		if (w->err)
			over = true;
	}
	return NULL;
}

static int open_worker(struct worker *w, unsigned int id)
{
	static const enum backing_kind backing[SLOTS] = {
		BACKING_FRAG, BACKING_THP, BACKING_HUGE2M_SHARED, BACKING_4K,
	};
	size_t i;

	*w = (struct worker){ .id = id, .random = id + 1 };
	w->scratch = aligned_alloc(SZ_4K, CHUNK_PAGES * SZ_4K);
	if (!w->scratch)
		die("out of memory");
	memset(w->scratch, 0, CHUNK_PAGES * SZ_4K);
	for (i = 0; i < SLOTS; i++) {
		if (buf_open(&w->slot[i].buf, backing[i], REGION))
			return FAILED;
		fill(w->slot[i].buf.addr, &w->slot[i], 0, PAGES);
	}
	w->scratch_mr = mr_reg(w->scratch, CHUNK_PAGES * SZ_4K, ACCESS_ALL);
	return w->scratch_mr ? pair_open(&w->pair, dev.pd) : FAILED;
}

static int close_worker(struct worker *w)
{
	int err = PASSED;
	size_t i;

	pair_close(&w->pair);
	for (i = 0; i < SLOTS; i++) {
		struct slot *s = &w->slot[i];

		err = release_slot(w, s) ?: err;
		if (s->buf.map && !err)
			err = check("memory at the end", s->buf.addr, s, 0, PAGES);
		buf_close(&s->buf);
	}
	err = mr_dereg(&w->scratch_mr) ?: err;
	free(w->scratch);
	return err;
}

static int toggle_until_over(void)
{
	const struct sched_param first = { .sched_priority = 1 };
	double deadline = now_ms() + seconds * 1e3;
	int err = PASSED;

	/*
	 * This thread must run before the others. When a change-over begins and when it ends, older
	 * kernels rewrite each call of cond_resched(), some thousands of them, in this thread.
	 */
	if (pthread_setschedparam(pthread_self(), SCHED_FIFO, &first))
		return fail("cannot have real-time priority");
	while (!err && !over && (now_ms() < deadline || toggles < LEAST)) {
		err = patch_set(!patch_is_in());
		atomic_fetch_add(&toggles, 1);
		usleep(PERIOD_US);
	}
	over = true;
	return err;
}

/* Did enough happen for this to have been a test? */
static int judge(const struct worker *w)
{
	if (w->registered < 10 || w->transfers < 20 || !w->crossed)
		return fail("thread %u: %lu registered, %lu transfers, %lu released after a toggle",
			    w->id, w->registered, w->transfers, w->crossed);
	return w->err;
}

static int test_toggle(const void *arg)
{
	static struct worker workers[THREADS];
	unsigned long registered = 0, transfers = 0, crossed = 0;
	unsigned int i, opened, running = 0;
	int err = PASSED;

	(void)arg;
	for (opened = 0; opened < THREADS && !err; opened++)
		err = open_worker(&workers[opened], opened);
	for (i = 0; i < THREADS && !err; i++, running++)
		if (pthread_create(&workers[i].thread, NULL, work, &workers[i]))
			err = fail("pthread_create");
	err = err ?: toggle_until_over();
	over = true;
	for (i = 0; i < running; i++)
		pthread_join(workers[i].thread, NULL);
	for (i = 0; i < opened; i++) {
		err = close_worker(&workers[i]) ?: err;
		if (running == THREADS && judge(&workers[i]))
			err = FAILED;
		registered += workers[i].registered;
		transfers += workers[i].transfers;
		crossed += workers[i].crossed;
	}
	remark("%u toggles, %lu registrations, %lu transfers, %lu released after a toggle",
	       toggles, registered, transfers, crossed);
	return patch_set(false) ?: err;
}

enum { OPT_SECONDS = 1000 };

static void option(int c, const char *arg)
{
	char *end;

	(void)c;
	seconds = strtoul(arg, &end, 10);
	if (*end || !seconds)
		die("--seconds wants a number, not \"%s\"", arg);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "seconds", required_argument, NULL, OPT_SECONDS },
		{},
	};
	static struct program prog = {
		.about = "Registers, transfers and releases while the livepatch comes and goes.",
		.subject = &rdma_device,
		.options_help = "      --seconds N    how long (default 60)\n",
		.options = options,
		.option = option,
	};

	program_start(&prog, argc, argv);
	prog.watchdog_s = seconds + 240;
	patch_prepare();
	test_add(test_toggle, NULL, "toggling under load");
	return test_run();
}
