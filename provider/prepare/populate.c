// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Populate untouched memory with several threads, ours among them.
 *
 * The threads take chunks from one cursor until none is left, so that they end together. A chunk is
 * populated by MADV_POPULATE_WRITE, which neither changes what is there, nor raises a signal where
 * nothing can be. After an error nobody takes more: the kernel is going to meet it as well, and
 * will say so.
 *
 * Alone we populate nothing but the ends (ends.c), which come first, while no helper of
 * ours allocates pages. The rest the kernel, when it pins, populates no slower.
 *
 * Helpers are nobody's but ours: they have all signals blocked, and have ended when we return. What
 * they inherit from us is what they need: scheduling, memory policy, cgroup. If one cannot be made,
 * there are fewer. If another thread calls fork() meanwhile, they stay in the parent, as we do.
 *
 * All registrations of a process that are under way share as many helpers as one would have alone.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <unistd.h>

#include "parts.h"

/*
 * Small enough that none waits long for the last one; large enough that a thread for it pays: to
 * have one come and go takes a thirtieth of the time (measured on an emulated machine).
 */
#define CHUNK		(8 * PREPARE_MIB)
/* Of one node's memory, fewer threads than that use up the bandwidth. */
#define MAX_THREADS	16
/* Enough for madvise(), and for the variables that libraries have in each thread. */
#define STACK		(128 * 1024)

struct work {
	pthread_mutex_t lock;		/* of all that follows */
	const struct parts *parts;
	unsigned int part;		/* where the next chunk begins */
	uintptr_t at;
	size_t populated;
	bool failed;
};

/* Of hugetlb's largest pages, each is one. */
static size_t chunk_size(const struct part *part)
{
	return part->page_size > CHUNK ? part->page_size : CHUNK;
}

/* Chunks end at multiples of their size, so that no huge page is in two. */
static bool take(struct work *work, struct range *chunk)
{
	const struct part *part;
	bool taken = false;
	size_t size;

	pthread_mutex_lock(&work->lock);
	if (!work->failed && work->part < work->parts->count) {
		part = &work->parts->part[work->part];
		size = chunk_size(part);
		chunk->start = work->at ?: part->range.start;
		chunk->end = (chunk->start & ~(size - 1)) + size;
		work->at = chunk->end;
		if (chunk->end >= part->range.end) {
			chunk->end = part->range.end;
			work->part++;
			work->at = 0;
		}
		taken = true;
	}
	pthread_mutex_unlock(&work->lock);
	return taken;
}

static void *populate(void *arg)
{
	struct work *work = arg;
	struct range chunk;
	bool populated;

	while (take(work, &chunk)) {
		populated = advise(chunk.start, range_size(chunk), MADV_POPULATE_WRITE);
		pthread_mutex_lock(&work->lock);
		if (populated)
			work->populated += range_size(chunk);
		else
			work->failed = true;
		pthread_mutex_unlock(&work->lock);
	}
	return NULL;
}

static unsigned int least(unsigned int a, unsigned int b)
{
	return a < b ? a : b;
}

/* How many helpers there are, behind the process that has them: a forked child has none. */
static _Atomic uint64_t at_work;

/* Returns how many more there may be, and counts them. */
static unsigned int reserve_helpers(unsigned int wanted, unsigned int most)
{
	uint64_t mine = (uint64_t)getpid() << 32, old = atomic_load(&at_work), new;
	unsigned int granted;

	do {
		new = (old ^ mine) >> 32 ? mine : old;
		granted = most > (uint32_t)new ? least(wanted, most - (uint32_t)new) : 0;
	} while (!atomic_compare_exchange_weak(&at_work, &old, new + granted));
	return granted;
}

static void return_helpers(unsigned int count)
{
	atomic_fetch_sub(&at_work, count);
}

/* Returns how many there are. */
static unsigned int start_helpers(struct work *work, const cpu_set_t *cpus, unsigned int wanted,
				  pthread_t *helpers)
{
	unsigned int started = 0;
	pthread_attr_t attr;
	sigset_t all;

	sigfillset(&all);
	if (pthread_attr_init(&attr))
		return 0;
	if (!pthread_attr_setstacksize(&attr, STACK) &&
	    !pthread_attr_setsigmask_np(&attr, &all) &&
	    !pthread_attr_setaffinity_np(&attr, sizeof(*cpus), cpus))
		while (started < wanted &&
		       !pthread_create(&helpers[started], &attr, populate, work))
			started++;
	pthread_attr_destroy(&attr);
	return started;
}

/* How many threads there is work for. */
static unsigned int count_chunks(const struct parts *parts)
{
	unsigned int count = 0, i;

	for (i = 0; i < parts->count; i++)
		count += range_size(parts->part[i].range) / chunk_size(&parts->part[i]);
	return count;
}

/* Returns how many threads have populated all of it, ours among them; 0 if we had been alone. */
static unsigned int populate_together(struct work *work, uint32_t max_threads)
{
	unsigned int threads = least(count_chunks(work->parts), MAX_THREADS);
	unsigned int most, reserved, started, i;
	pthread_t helpers[MAX_THREADS];
	cpu_set_t cpus;

	if (max_threads)
		threads = least(threads, max_threads);
	if (threads <= 1)
		return 0;
	most = least(prepare_find_cpus(&cpus), MAX_THREADS);
	if (most <= 1)
		return 0;
	reserved = reserve_helpers(least(threads, most) - 1, most - 1);
	started = start_helpers(work, &cpus, reserved, helpers);
	if (started)
		populate(work);
	for (i = 0; i < started; i++)
		pthread_join(helpers[i], NULL);
	return_helpers(reserved);
	return started ? started + 1 : 0;
}

void prepare_populate(const struct parts *untouched, uint32_t max_threads,
		      struct prepare_report *report)
{
	struct work work = { .lock = PTHREAD_MUTEX_INITIALIZER, .parts = untouched };
	bool going_on = true;
	size_t ends = 0;
	unsigned int i;

	for (i = 0; i < untouched->count && going_on; i++)
		going_on = prepare_ends(&untouched->part[i], &ends);
	report->threads = going_on ? populate_together(&work, max_threads) : 0;
	report->populated_bytes = work.populated;
	if (!report->threads && ends) {
		report->threads = 1;
		report->populated_bytes = ends;
	}
}
