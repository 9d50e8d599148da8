// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * One row of ib_reg_mr: memory of one kind and size, registered and released over and over.
 *
 * The cycle is: [map fresh memory,] register, release [, unmap]. Each cycle maps its own memory if
 * that must be untouched, or if its registration replaces it by a copy. Only the calls of
 * ibv_reg_mr() and ibv_dereg_mr() are timed. Between the two, the very first cycle, which usually
 * is a warm-up, asks the kernel about the MR.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "ib_reg_mr.h"
#include "memlock.h"

#define NS_PER_SEC 1000000000ull

/* Without -n: measure for so long, but at least and at most so many times. */
#define ADAPTIVE_NS NS_PER_SEC
#define ADAPTIVE_MIN 5
#define ADAPTIVE_MAX 1000

/* Without -W: up to three warm-ups, but none after so long. */
#define WARMUP_NS (NS_PER_SEC / 10)
#define WARMUP_MAX 3

/* We warn if less than so much of the memory is in huge pages. */
#define HUGE_PERCENT 90

#define MEMLOCK_REMEDY "raise it with `ulimit -l`, or run with CAP_IPC_LOCK"

struct row {
	const struct bench *bench;
	struct backing_spec spec;
	bool fresh;			/* every cycle maps its own memory */
	struct backing memory;		/* otherwise all cycles use this */
	size_t cycles;			/* complete ones, warm-ups included */
	uint64_t *reg_ns;		/* samples */
	uint64_t *dereg_ns;
	struct result *result;
};

const char *stage_name(enum stage stage)
{
	static const char *const names[] = {
		[STAGE_MEMORY]		= "memory",
		[STAGE_REGISTRATION]	= "registration",
		[STAGE_RELEASE]		= "release",
	};

	return names[stage];
}

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC_RAW, &ts);
	return ts.tv_sec * NS_PER_SEC + ts.tv_nsec;
}

/* How often this thread has slept so far. */
static size_t nr_waits(void)
{
	struct rusage usage;

	getrusage(RUSAGE_THREAD, &usage);
	return usage.ru_nvcsw;
}

/* What went wrong. */

static bool fail(struct row *row, enum stage stage, int error)
{
	struct result *r = row->result;
	struct rlimit limit;

	r->failed = stage;
	r->error = error;
	if (stage == STAGE_REGISTRATION && error == ENOMEM && memlock_limited(&limit) &&
	    row->spec.size > limit.rlim_cur)
		snprintf(r->why, sizeof(r->why),
			 "over the limit of %ju bytes of locked memory; " MEMLOCK_REMEDY,
			 (uintmax_t)limit.rlim_cur);
	else if (stage != STAGE_MEMORY)
		snprintf(r->why, sizeof(r->why), "%s", strerror(error));
	return false;
}

/* Memory. */

static bool map_memory(struct row *row)
{
	int err = backing_map(&row->memory, &row->spec, row->result->why,
			      sizeof(row->result->why));

	return err ? fail(row, STAGE_MEMORY, -err) : true;
}

static void warn_unless_huge(const struct row *row)
{
	int percent = backing_percent(&row->memory);

	if (percent < 0)
		fprintf(stderr, PROGRAM ": cannot tell whether memory is in huge pages: %s\n",
			strerror(-percent));
	else if (percent < HUGE_PERCENT)
		fprintf(stderr,
			PROGRAM ": warning: only %d %% of the memory is in huge pages of %zu KiB\n"
			"Free memory is fragmented, or /sys/kernel/mm/transparent_hugepage/enabled says never.\n",
			percent, row->memory.page_size / 1024);
}

/* One cycle. */

static void look_at_mr(const struct row *row, const struct ibv_mr *mr)
{
	const struct bench *bench = row->bench;
	int err;

	if (!backing_is_copied(row->spec.kind))
		warn_unless_huge(row);
	if (bench->netlink < 0)
		return;
	err = nldev_mr_facts(bench->netlink, bench->device_index, mr->lkey, mr->length,
			     &row->result->facts);
	if (err)
		fprintf(stderr, PROGRAM ": warning: the kernel reports nothing of the MR: %s\n",
			strerror(-err));
}

static bool register_and_release(struct row *row, uint64_t *reg_ns, uint64_t *dereg_ns)
{
	const struct bench *bench = row->bench;
	char *start = row->memory.start + bench->opts->offset;
	uint64_t began, ended;
	struct ibv_mr *mr;
	size_t waits;
	int err;

	waits = nr_waits();
	began = now_ns();
	mr = ibv_reg_mr(bench->pd, start, row->result->bytes, bench->access);
	ended = now_ns();
	if (!mr)
		return fail(row, STAGE_REGISTRATION, errno);
	*reg_ns = ended - began;
	row->result->waits += nr_waits() - waits;

	if (!row->cycles)
		look_at_mr(row, mr);

	began = now_ns();
	err = ibv_dereg_mr(mr);
	ended = now_ns();
	if (err)
		return fail(row, STAGE_RELEASE, err);
	*dereg_ns = ended - began;
	row->cycles++;
	return true;
}

static bool cycle(struct row *row, uint64_t *reg_ns, uint64_t *dereg_ns)
{
	bool ok;

	if (!row->fresh)
		return register_and_release(row, reg_ns, dereg_ns);
	if (!map_memory(row))
		return false;
	/* Registration replaces this memory by a copy, and the warning is about the original. */
	if (!row->cycles && backing_is_copied(row->spec.kind))
		warn_unless_huge(row);
	ok = register_and_release(row, reg_ns, dereg_ns);
	backing_unmap(&row->memory);
	return ok;
}

/* All cycles. */

static bool warm_up(struct row *row)
{
	int wanted = row->bench->opts->warmup;
	uint64_t began = now_ns();
	uint64_t ignored;

	for (int i = 0; i < (wanted < 0 ? WARMUP_MAX : wanted) && !*row->bench->stop; i++) {
		if (!cycle(row, &ignored, &ignored))
			return false;
		if (wanted < 0 && now_ns() - began > WARMUP_NS)
			break;
	}
	return true;
}

static bool enough(size_t done, size_t wanted, uint64_t began)
{
	if (wanted)
		return done == wanted;
	return done == ADAPTIVE_MAX || (done >= ADAPTIVE_MIN && now_ns() - began > ADAPTIVE_NS);
}

static bool take_samples(struct row *row)
{
	size_t wanted = row->bench->opts->iters, i;
	uint64_t began = now_ns();

	row->result->waits = 0;	/* the warm-up's */
	for (i = 0; !enough(i, wanted, began) && !*row->bench->stop; i++)
		if (!cycle(row, &row->reg_ns[i], &row->dereg_ns[i]))
			return false;
	row->result->iterations = i;
	return true;
}

static int compare_ns(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static struct timing summarize(uint64_t *ns, size_t n)
{
	const double us = 1000.0;

	qsort(ns, n, sizeof(*ns), compare_ns);
	return (struct timing){
		.min = ns[0] / us,
		.median = (ns[(n - 1) / 2] + ns[n / 2]) / 2 / us,
		/* Nearest rank: the smallest sample that 99 % of them do not exceed. */
		.p99 = ns[n - n / 100 - 1] / us,
		.max = ns[n - 1] / us,
	};
}

static void run(struct row *row)
{
	struct result *r = row->result;

	if (!row->fresh && !map_memory(row))
		return;
	if (warm_up(row) && take_samples(row) && r->iterations) {
		r->reg = summarize(row->reg_ns, r->iterations);
		r->dereg = summarize(row->dereg_ns, r->iterations);
	}
	if (!row->fresh)
		backing_unmap(&row->memory);
}

void measure(const struct bench *bench, enum backing_kind kind, size_t size, struct result *result)
{
	const struct options *opts = bench->opts;
	size_t room = opts->iters ? opts->iters : ADAPTIVE_MAX;
	struct row row = {
		.bench = bench,
		.spec = {
			.kind = kind,
			.size = opts->offset + size,
			.aliased = opts->aliased,
			.untouched = opts->untouched,
			.shuffled = opts->shuffled,
		},
		.fresh = opts->untouched || backing_is_copied(kind),
		.reg_ns = calloc(room, sizeof(*row.reg_ns)),
		.dereg_ns = calloc(room, sizeof(*row.dereg_ns)),
		.result = result,
	};

	*result = (struct result){ .bytes = size, .backing = kind };
	if (row.reg_ns && row.dereg_ns) {
		run(&row);
	} else {
		snprintf(result->why, sizeof(result->why), "no memory for %zu samples", room);
		fail(&row, STAGE_MEMORY, ENOMEM);
	}
	free(row.reg_ns);
	free(row.dereg_ns);
}
