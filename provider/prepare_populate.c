// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Populate untouched memory with several threads, ours among them.
 *
 * The threads take chunks from one cursor until none is left, so that they end together. A chunk is
 * populated by MADV_POPULATE_WRITE, which neither changes what is there, nor raises a signal where
 * nothing can be. After an error nobody takes more: the kernel is going to meet it as well, and
 * will say so.
 *
 * Alone we populate nothing but the ends (prepare_ends.c), which come first, while no helper of
 * ours allocates pages. The rest the kernel, when it pins, populates no slower.
 *
 * Helpers are nobody's but ours: they have all signals blocked, and are gone when we return. What
 * they inherit from us is what they need: scheduling, memory policy, cgroup. If one cannot be made,
 * there are fewer. If another thread calls fork() meanwhile, they stay in the parent, as we do.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>

#include "prepare_parts.h"

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

static unsigned int least(unsigned int a, unsigned int b)
{
	return a < b ? a : b;
}

/* Returns how many threads have populated all of it, ours among them; 0 if we had been alone. */
static unsigned int populate_together(struct work *work, uint32_t max_threads)
{
	unsigned int threads = least(count_chunks(work->parts), MAX_THREADS), started, i;
	pthread_t helpers[MAX_THREADS];
	cpu_set_t cpus;

	if (max_threads)
		threads = least(threads, max_threads);
	if (threads > 1)
		threads = least(threads, prepare_find_cpus(&cpus));
	if (threads <= 1)
		return 0;
	started = start_helpers(work, &cpus, threads - 1, helpers);
	if (!started)
		return 0;
	populate(work);
	for (i = 0; i < started; i++)
		pthread_join(helpers[i], NULL);
	return started + 1;
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
