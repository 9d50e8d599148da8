// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Prepare memory for registration, before the kernel pins it.
 *
 * Memory that a program has not touched yet is populated by its registration, a base page at a
 * time unless somebody has asked for huge ones, by one thread. Once pinning is cheap that is what
 * remains: most of the time goes to zeroing pages, and what comes of it takes long to describe. So
 *
 *	huge.c		asks for huge pages where nothing is populated, or, if told to,
 *				makes huge pages of base pages
 *	populate.c	populates with several threads; cpus.c says how many
 *	ends.c		populates what is too short for a huge page, side by side
 *	look.c		finds out before what is there, and what is not
 *	zones.c		whether what is populated now would have to be moved to be pinned
 *
 * Every registration comes by here, and most are of memory that is there, or small. Below
 * PREPARE_LEAST there is no system call: it might not hold a whole huge page or two, and to look at
 * it would take a good part of what there is to gain. If a few samples of a larger range are
 * populated, all of it is taken to be, and that is all.
 *
 * Nothing is populated for a registration that the kernel is going to refuse, so far as we can
 * tell. To be wrong costs time, and memory until the program gives it back.
 *
 * Preparing never fails, as what has not been prepared, the kernel deals with. Nor can it do harm:
 *
 *  - No advice that we give for the caller's memory changes what memory reads as, wherever it
 *    hits. So it does not matter what other threads do to the address space between our looking
 *    and our giving it, be it in our range, which a program that registers it should not change,
 *    and had better not with the stock kernel either.
 *
 *  - The caller's memory is never touched by the CPU, so nothing raises a signal. Where a page
 *    cannot be had (past the end of a file, no huge page left, a userfaultfd that says so)
 *    MADV_POPULATE_WRITE fails, and then so does the registration, with an error of its own. Where
 *    a page fault waits for somebody (userfaultfd), it waits here instead of there. And memory
 *    that a cgroup does not grant is as missing when populated here as when populated there.
 *
 *  - Cancellation is off meanwhile: ibv_reg_mr() is no place for it, and we have files open and
 *    threads to join. errno is the caller's.
 *
 *  - There is no state but a count of helpers (populate.c). What a forked child prepares
 *    does not depend on what its parent has.
 *
 * What remains is the advice. Memory that is populated anew when its MR is gone comes in huge pages
 * again; and mappings of which only a part was advised have been split, so that mremap() cannot
 * resize them.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <unistd.h>

#include <infiniband/phyrdv.h>

#include "clock.h"
#include "memlock.h"
#include "parts.h"

/* The pages of [addr, addr + length); nothing if that is not a range. */
static struct range pages_of(void *addr, size_t length)
{
	size_t page = sysconf(_SC_PAGESIZE);
	struct range range = { .start = (uintptr_t)addr & ~(page - 1) };
	uintptr_t end;

	if (__builtin_add_overflow((uintptr_t)addr, length, &end) ||
	    __builtin_add_overflow(end, page - 1, &end))
		return (struct range){};
	range.end = end & ~(page - 1);
	return range;
}

/* What Soft-RoCE grants for pinned memory; and of the optional range, nobody refuses any. */
#define GRANTED (IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE | IBV_ACCESS_REMOTE_READ | \
		 IBV_ACCESS_REMOTE_ATOMIC | IBV_ACCESS_MW_BIND | IBV_ACCESS_FLUSH_GLOBAL | \
		 IBV_ACCESS_FLUSH_PERSISTENT | IBV_ACCESS_OPTIONAL_RANGE)

/*
 * Memory that is only read is left alone: a page of it that is not there may stay the one page of
 * zeros for all.
 */
static bool is_for_writing(int access)
{
	return access & IBV_ACCESS_LOCAL_WRITE && !(access & ~GRANTED);
}

/* An IOVA has to be where the memory is in a page. */
static bool fits(void *addr, uint64_t iova)
{
	return !(((uintptr_t)addr ^ iova) & (sysconf(_SC_PAGESIZE) - 1));
}

static bool may_lock(size_t bytes)
{
	struct rlimit limit;

	return !memlock_limited(&limit) || memlock_pinned() + bytes <= limit.rlim_cur;
}

static bool is_to_gain(struct range range, uint32_t steps)
{
	return steps & PHYRDV_PREPARE_COLLAPSE || !prepare_is_resident(range);
}

static void prepare_range(struct range range, const struct prepare_policy *policy,
			  struct prepare_report *report)
{
	struct parts mappings, untouched;
	uint32_t steps = policy->steps;

	if (!may_lock(range_size(range)) || !prepare_find_mappings(range, &mappings))
		return;
	if (prepare_may_be_moved())
		steps &= PHYRDV_PREPARE_HUGEPAGE;
	prepare_find_untouched(&mappings, &untouched);
	if (steps & PHYRDV_PREPARE_HUGEPAGE)
		report->huge_bytes = prepare_advise_huge(&untouched);
	if (steps & PHYRDV_PREPARE_POPULATE)
		prepare_populate(&untouched, policy->max_threads, report);
	if (steps & PHYRDV_PREPARE_COLLAPSE)
		report->collapsed_bytes = prepare_collapse(&mappings);
}

/* All that is not done for small memory, or for memory that is there. */
static void prepare_timed(struct range range, const struct prepare_policy *policy,
			  struct prepare_report *report)
{
	uint64_t begin = now_ns();
	int cancel;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
	prepare_range(range, policy, report);
	pthread_setcancelstate(cancel, NULL);
	report->ns = now_ns() - begin;
}

void prepare(void *addr, size_t length, uint64_t iova, int access,
	     const struct prepare_policy *policy, struct prepare_report *report)
{
	struct range range = pages_of(addr, length);
	int error = errno;

	*report = (struct prepare_report){};
	if (range_size(range) < PREPARE_LEAST || !policy->steps || !is_for_writing(access) ||
	    !fits(addr, iova))
		return;
	if (is_to_gain(range, policy->steps))
		prepare_timed(range, policy, report);
	errno = error;
}
