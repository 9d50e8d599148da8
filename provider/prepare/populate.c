// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Populate untouched memory with several threads, ours among them.
 *
 * The threads take chunks until none is left, by a count that all of them raise. So they end
 * together. They populate by MADV_POPULATE_WRITE, which does not change what is there, and raises
 * no signal. After an error nobody takes more: the kernel is going to meet it, too, and to say so.
 *
 * A single thread leaves this memory to the kernel, which populates it no slower when it pins.
 *
 * Helpers (helpers.c) inherit what they need: scheduling, memory policy, cgroup. If one cannot be
 * made, there are fewer. When a signal waits, they end, and there are new ones once it was handled.
 * All registrations of a process that are under way share as many helpers as one would have alone.
 */
#define _GNU_SOURCE
#include <stdatomic.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "parts.h"

/*
 * Small enough that no thread waits long for the last one. Large enough that a thread for it pays:
 * to make one and to end it takes a thirtieth of the time (measured on an emulated machine).
 */
#define CHUNK		(PREPARE_SHARED_LEAST / 2)

struct work {
	struct room *room;
	unsigned int node;		/* where the memory is to be */
	size_t chunks;
	atomic_size_t taken;		/* of these */
	atomic_size_t populated;	/* bytes */
	atomic_bool failed;
	atomic_bool paused;		/* for a signal */
	struct held_signals signals;
};

/* Each of hugetlb's largest pages is a chunk. */
static size_t chunk_size(const struct part *part)
{
	return part->page_size > CHUNK ? part->page_size : CHUNK;
}

/* Chunks end at multiples of their size, so no huge page is in two of them. */
static size_t count_chunks(const struct part *part)
{
	size_t size = chunk_size(part);

	if (part->done)
		return 0;
	return (part->range.end + size - 1) / size - part->range.start / size;
}

/* How many threads there is work for. */
static size_t count_whole_chunks(const struct part *part)
{
	return part->done ? 0 : range_size(part->range) / chunk_size(part);
}

static struct range chunk_of(const struct part *part, size_t number)
{
	size_t size = chunk_size(part);
	struct range chunk;

	chunk.start = (part->range.start / size + number) * size;
	chunk.end = chunk.start + size;
	if (chunk.start < part->range.start)
		chunk.start = part->range.start;
	if (chunk.end > part->range.end)
		chunk.end = part->range.end;
	return chunk;
}

static bool take(struct work *work, struct range *chunk)
{
	const struct part *part = work->room->untouched.part;
	size_t number, count;

	if (atomic_load(&work->failed) || atomic_load(&work->paused))
		return false;
	number = atomic_fetch_add(&work->taken, 1);
	if (number >= work->chunks)
		return false;
	for (; number >= (count = count_chunks(part)); part++)
		number -= count;
	*chunk = chunk_of(part, number);
	return true;
}

static bool populate_one(struct work *work)
{
	struct range chunk;

	if (!take(work, &chunk))
		return false;
	if (advise(chunk.start, range_size(chunk), MADV_POPULATE_WRITE)) {
		atomic_fetch_add(&work->populated, range_size(chunk));
		return true;
	}
	atomic_store(&work->failed, true);
	return false;
}

static bool is_on_node(unsigned int node)
{
	unsigned int cpu, here;

	return !raw_syscall(SYS_getcpu, (long)&cpu, (long)&here, 0, 0, 0, 0) && here == node;
}

/* A helper: helpers.c says what it must not do. */
static int help(void *arg)
{
	struct work *work = arg;
	static const char name[] = "libphyr-helper";

	raw_syscall(SYS_prctl, PR_SET_NAME, (long)name, 0, 0, 0, 0);
	while (is_on_node(work->node) && populate_one(work))
		;
	return 0;
}

/* Populates as helpers do, and stops all when no more may be pinned, or a signal waits. */
static void populate(struct work *work, struct prepare_report *report)
{
	while (populate_one(work)) {
		if (!prepare_still_fits(work->room)) {
			report->left_out |= 1 << LEFT_REST_MEMLOCK;
			atomic_store(&work->failed, true);
		}
		if (prepare_signal_waits(&work->signals))
			atomic_store(&work->paused, true);
	}
}

/* The process that has helpers, and behind it their number: a forked child has none. */
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

/* Until all is done, or a signal waits. Returns how many helpers there were. */
static unsigned int populate_with_helpers(struct work *work, unsigned int wanted,
					  struct prepare_report *report)
{
	struct helper helpers[PREPARE_HELPERS];
	unsigned int started;

	atomic_store(&work->paused, false);
	started = prepare_start_helpers(work->room, helpers, wanted, help, work);
	if (started) {
		populate(work, report);
		prepare_await_helpers(helpers, started);
	}
	return started;
}

/* Returns how many threads have populated all of it, ours among them; 0 if we had been alone. */
static unsigned int populate_together(struct work *work, unsigned int wanted,
				      struct prepare_report *report)
{
	unsigned int most, reserved, started, helpers = 0;
	enum left_out why;

	if (wanted <= 1)
		return 0;
	most = prepare_find_helpers(work->room, &work->node, &why);
	if (!most) {
		report->left_out |= 1 << why;
		return 0;
	}
	do {
		if (!prepare_hold_signals(&work->signals))
			break;
		reserved = reserve_helpers(wanted - 1, most);
		started = reserved ? populate_with_helpers(work, reserved, report) : 0;
		return_helpers(reserved);
		/* Here nothing is under way that a handler could leave behind. */
		prepare_let_signals(&work->signals);
		if (started > helpers)
			helpers = started;
	} while (started && atomic_load(&work->paused) && atomic_load(&work->taken) < work->chunks);
	if (!helpers)
		report->left_out |= 1 << LEFT_THREADS_BUSY;
	return helpers ? helpers + 1 : 0;
}

/*
 * Of a part with huge pages, what is left is not worth a helper.
 */
static bool populate_rest(struct part *part)
{
	if (!advise(part->range.start, range_size(part->range), MADV_POPULATE_WRITE))
		return false;
	part->populated = range_size(part->range);
	return true;
}

void prepare_populate(struct room *room, uint32_t max_threads, struct prepare_report *report)
{
	struct part *part = room->untouched.part, *end = part + room->untouched.count;
	struct work work = { .room = room };
	size_t whole = 0;

	for (; part < end; part++) {
		if (part->done && !populate_rest(part))
			return;
		work.chunks += count_chunks(part);
		whole += count_whole_chunks(part);
	}
	if (max_threads && whole > max_threads)
		whole = max_threads;
	report->threads = populate_together(&work, whole > UINT32_MAX ? UINT32_MAX : whole, report);
	if (!report->threads)
		return;
	/* The chunks include what was populated of these parts before. */
	for (part = room->untouched.part; part < end; part++)
		if (!part->done)
			part->populated = 0;
	report->populated_bytes = work.populated;
}
