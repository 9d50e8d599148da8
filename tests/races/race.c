// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * One race: a mutator, registrars and the neighbour, for a time; see race.h for the story.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "race.h"

/* On a busy host, too little may happen in a race's time. The race gets this much more then. */
#define MORE_TIME_MS 30000

/* The mutator waits for registrars no longer than this. */
#define PATIENCE_MS 20

static struct arena arena;
static struct registrar registrars[REGISTRARS];
static atomic_bool over;
static atomic_ulong changes, refusals;
static unsigned long neighbours;	/* rounds that the neighbour has made before the race */
static pthread_mutex_t fault_lock = PTHREAD_MUTEX_INITIALIZER;
static char first_fault[512];
static atomic_uint rng_threads;

bool race_over(void)
{
	return over;
}

int fault(const char *fmt, ...)
{
	va_list ap;

	pthread_mutex_lock(&fault_lock);
	if (!first_fault[0]) {
		va_start(ap, fmt);
		vsnprintf(first_fault, sizeof(first_fault), fmt, ap);
		va_end(ap);
	}
	pthread_mutex_unlock(&fault_lock);
	over = true;
	return FAILED;
}

uint32_t rng_next(void)
{
	static _Thread_local uint64_t state;

	if (!state)
		state = (atomic_fetch_add(&rng_threads, 1) + 1) * 0x9e3779b97f4a7c15UL;
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state >> 32;
}

uint32_t rng_below(uint32_t n)
{
	return rng_next() % n;
}

/* Choose some pages: whole units, and at most max pages if that is a unit or more. */
struct range rng_range(const struct arena *a, unsigned int max)
{
	unsigned int unit = arena_unit(a), units = a->pages / unit;
	struct range range;

	max = max < unit ? 1 : max / unit;
	range.n = 1 + rng_below(max < units ? max : units);
	range.first = rng_below(units - range.n + 1) * unit;
	range.n *= unit;
	return range;
}

int write_file(const char *path, const char *fmt, ...)
{
	char text[128];
	va_list ap;
	int fd, n, err;

	va_start(ap, fmt);
	n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	err = write(fd, text, n) == n ? 0 : -1;
	close(fd);
	return err;
}

unsigned long race_rounds(void)
{
	unsigned long sum = 0;
	int i;

	for (i = 0; i < REGISTRARS; i++)
		sum += registrars[i].rounds;
	return sum;
}

unsigned long race_changes(void)
{
	return changes;
}

void mutator_pause(void)
{
	double deadline = now_ms() + PATIENCE_MS;
	unsigned long rounds = race_rounds();

	if (rng_below(3))
		return;
	while (race_rounds() < rounds + 2 && now_ms() < deadline && !over)
		usleep(PAUSE_US);
}

static void *mutator_run(void *arg)
{
	const struct change *change = arg;
	unsigned int round;
	int made;

	for (round = 0; !over; round++) {
		made = change->step(&arena, round);
		if (made < 0)
			break;
		if (made)
			changes++;
		else
			refusals++;
		mutator_pause();
	}
	return NULL;
}

static struct registrar_count sum_up(void)
{
	struct registrar_count sum = {};
	int i;

	for (i = 0; i < REGISTRARS; i++) {
		sum.pinned += registrars[i].count.pinned;
		sum.failed += registrars[i].count.failed;
		sum.quiet += registrars[i].count.quiet;
		sum.compared += registrars[i].count.compared;
	}
	return sum;
}

/* Has enough happened for this to be a test? */
static bool enough(void)
{
	struct registrar_count sum = sum_up();
	int i;

	for (i = 0; i < REGISTRARS; i++)
		if (!registrars[i].count.pinned)
			return false;
	return sum.quiet && sum.compared && changes && neighbour_rounds() != neighbours;
}

static void race(const struct change *change, double seconds)
{
	double end = now_ms() + seconds * 1000;
	pthread_t mutator, thread[REGISTRARS];
	int i;

	for (i = 0; i < REGISTRARS; i++) {
		registrars[i] = (struct registrar){ .id = i, .arena = &arena, .change = change };
		if (pthread_create(&thread[i], NULL, registrar_run, &registrars[i]))
			die("cannot make a thread");
	}
	if (pthread_create(&mutator, NULL, mutator_run, (void *)change))
		die("cannot make a thread");
	while (!over && now_ms() < end + (enough() ? 0 : MORE_TIME_MS)) {
		usleep(10000);
		if (neighbour_complaint())
			fault("%s", neighbour_complaint());
	}
	over = true;
	pthread_join(mutator, NULL);
	for (i = 0; i < REGISTRARS; i++)
		pthread_join(thread[i], NULL);
}

static int verdict(int may_fail)
{
	struct registrar_count sum = sum_up();
	char counts[128];

	snprintf(counts, sizeof(counts),
		 "%lu pinned (%lu quiet, %lu compared), %lu %s; %lu changes, %lu refused; %lu beside",
		 sum.pinned, sum.quiet, sum.compared, sum.failed,
		 may_fail ? errno_name(may_fail) : "failed", changes, refusals,
		 neighbour_rounds() - neighbours);
	remark("%s", counts);
	if (first_fault[0])
		return fail("%s (%s)", first_fault, counts);
	if (!enough())
		return fail("too little has happened for a test (%s)", counts);
	return PASSED;
}

int race_run(enum kind kind, const struct change *change, double seconds)
{
	int err;

	over = false;
	first_fault[0] = '\0';
	changes = 0;
	refusals = 0;
	neighbours = neighbour_rounds();
	err = arena_open(&arena, kind);
	if (!err && change->open)
		err = change->open(&arena);
	if (!err)
		race(change, seconds);
	if (change->close)
		change->close(&arena);
	arena_close(&arena);
	if (first_fault[0] || !err)
		err = verdict(change->errno_changing);
	return err;
}
