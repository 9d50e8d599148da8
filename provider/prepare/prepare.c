// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Prepare memory for registration, before the kernel pins it.
 *
 * The kernel populates memory that a program has not touched when it registers it: by one thread,
 * and with base pages unless somebody has asked for huge ones. Once pinning is cheap, zeroing these
 * pages takes most of the time, and a list of so many pages is long. So we prepare the memory:
 *
 *	look.c		finds what is populated, and what is not
 *	limits.c	says whether the kernel is going to refuse the registration
 *	zones.c		says whether the kernel would have to move the pages to pin them
 *	huge.c		populates with huge pages where nothing is populated; if asked to, makes
 *			huge pages of base pages
 *	realtime.c	says whether a real-time thread could make huge.c wait without end
 *	ends.c		populates what is too short for a huge page, side by side
 *	populate.c	populates with several threads; cpus.c says how many, helpers.c has them
 *
 * They go by what /proc and /sys say (process.c, cgroup.c, text.c). The rule is: what we do to make
 * a registration fast leaves no trace after it, and never makes a program fail that works without
 * it. Where we cannot find out, we do nothing.
 *
 * Every registration calls this, and most are small, or of memory that is populated. Below
 * PREPARE_LEAST we make no system call: the memory may not hold a whole huge page or two, and a
 * look at it would take a good part of what there is to gain. In a larger range we look at a few
 * samples. If they are populated, we take the range to be so, and leave it alone. Then we ask for
 * the system's setting for huge pages, which says whether there is anything to gain below
 * PREPARE_SHARED_LEAST.
 *
 * We populate nothing for a registration that we know the kernel is going to refuse. A mistake
 * costs time, and memory until the program gives it back.
 *
 * System calls: a seccomp filter may kill the process for one that it does not know. While we do
 * not know that there is no filter, we make only calls that malloc() makes (mmap(), munmap(),
 * madvise(); open(), read() and close(), here of files of /proc and /sys), and ioctl(), which
 * registers the memory. Calls that change mappings go past libc: syscall.h says why.
 *
 * Preparing never fails: the kernel deals with memory that is not prepared. It does no harm:
 *
 *  - Our advice for the caller's memory never changes what memory reads as, wherever it hits. So
 *    other threads may change the address space between our look and our advice. (A program that
 *    registers a range should not change that range, with the stock kernel either.)
 *
 *  - The CPU never touches the caller's memory, so nothing raises a signal. Where a page cannot be
 *    had (past the end of a file, no huge page left, a userfaultfd that says so)
 *    MADV_POPULATE_WRITE fails. Then the registration fails, too, with an error of its own. Where
 *    a page fault waits for somebody (userfaultfd), it waits here instead of there. Memory that a
 *    cgroup does not grant is missing here as it is there.
 *
 *  - Cancellation is off meanwhile: we have files open and helpers to wait for. errno is the
 *    caller's.
 *
 *  - There is little state: counts of helpers (populate.c), and of pages and objects (limits.c),
 *    some ranges that were populated (look.c), and a time before which we make no huge pages
 *    (huge.c). What a forked child prepares does not depend on what its parent has counted.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <unistd.h>

#include <infiniband/phyrdv.h>

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

/*
 * What Soft-RoCE grants for pinned memory. Nobody refuses a flag of the optional range. Soft-RoCE
 * grants IBV_ACCESS_FLUSH_PERSISTENT only for persistent memory, which we do not populate.
 */
#define GRANTED (IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE | IBV_ACCESS_REMOTE_READ | \
		 IBV_ACCESS_REMOTE_ATOMIC | IBV_ACCESS_MW_BIND | IBV_ACCESS_FLUSH_GLOBAL | \
		 IBV_ACCESS_OPTIONAL_RANGE)

/*
 * We leave memory alone that is only read: a page that is not there may stay the one page of zeros
 * that all share.
 */
static bool is_for_writing(int access)
{
	return access & IBV_ACCESS_LOCAL_WRITE && !(access & ~GRANTED);
}

/* The IOVA and the memory must begin at the same place in a page. */
static bool fits(void *addr, uint64_t iova)
{
	return !(((uintptr_t)addr ^ iova) & (sysconf(_SC_PAGESIZE) - 1));
}

/*
 * Of memory for one thread alone, we make huge pages if we have to ask for them. The kernel
 * populates any other as fast as we do. Then it is populated, so we need not look at it soon.
 */
static bool is_to_gain(struct range range, uint32_t steps, struct huge_plan *huge)
{
	if (!(steps & PHYRDV_PREPARE_COLLAPSE) && prepare_is_resident(range))
		return false;
	if (steps & PHYRDV_PREPARE_HUGEPAGE)
		*huge = prepare_ask_huge(steps);
	if (steps & PHYRDV_PREPARE_COLLAPSE || range_size(range) >= PREPARE_SHARED_LEAST ||
	    (huge->size && huge->asks))
		return true;
	prepare_remember(range, true);
	return false;
}

/* After an error, and where no more may be pinned, we leave the rest alone. */
static void prepare_untouched(struct room *room, uint32_t steps, uint32_t max_threads,
			      struct prepare_report *report)
{
	bool populate = steps & PHYRDV_PREPARE_POPULATE;

	if (steps & PHYRDV_PREPARE_HUGEPAGE)
		prepare_plan_huge(room, steps & PHYRDV_PREPARE_ADVISE, report);
	if (populate && !prepare_ends(room))
		return;
	if (steps & PHYRDV_PREPARE_HUGEPAGE && !prepare_make_huge(room, report))
		return;
	if (populate)
		prepare_populate(room, max_threads, report);
}

static void sum_up(const struct room *room, struct prepare_report *report)
{
	unsigned int i;

	for (i = 0; i < room->untouched.count; i++)
		report->populated_bytes += room->untouched.part[i].populated;
	if (!report->threads && report->populated_bytes)
		report->threads = 1;
}

static enum left_out prepare_range(struct room *room, struct range range,
				   const struct prepare_policy *policy,
				   struct prepare_report *report)
{
	uint32_t steps = policy->steps;
	enum left_out refused;

	if (!prepare_find_mappings(room, range) || !prepare_find_untouched(room))
		return LEFT_ALL_MAPPINGS;
	if (!room->untouched.count && !(steps & PHYRDV_PREPARE_COLLAPSE))
		return LEFT_NOTHING;
	if (prepare_may_be_moved(&room->text)) {
		if (!(steps & PHYRDV_PREPARE_ADVISE))
			return LEFT_ALL_MOVABLE;
		steps &= PHYRDV_PREPARE_HUGEPAGE | PHYRDV_PREPARE_ADVISE;
	}
	prepare_look_at_process(&room->text, &room->process);
	refused = prepare_refused(room, range_size(range), report);
	if (refused)
		return refused;
	prepare_untouched(room, steps, policy->max_threads, report);
	sum_up(room, report);
	if (steps & PHYRDV_PREPARE_COLLAPSE)
		report->collapsed_bytes = prepare_collapse(room, report);
	return LEFT_NOTHING;
}

/* What we do for large memory that is not populated. */
static enum left_out prepare_in_room(const struct prepare_device *device, struct range range,
				     const struct prepare_policy *policy,
				     const struct huge_plan *huge, struct prepare_report *report)
{
	struct room *room = raw_mmap(sizeof(*room), MAP_PRIVATE);
	enum left_out left_out = LEFT_ALL_NO_ROOM;

	if (!room)
		return left_out;
	/* A child that is forked meanwhile would keep it. */
	if (advise((uintptr_t)room, sizeof(*room), MADV_DONTFORK)) {
		room->device = device;
		room->huge = *huge;
		left_out = prepare_range(room, range, policy, report);
	}
	raw_munmap(room, sizeof(*room));
	return left_out;
}

void prepare(const struct prepare_device *device, void *addr, size_t length, uint64_t iova,
	     int access, const struct prepare_policy *policy, struct prepare_report *report)
{
	struct range range = pages_of(addr, length);
	struct huge_plan huge = {};
	int error = errno, cancel;

	*report = (struct prepare_report){};
	if (range_size(range) < PREPARE_LEAST || !policy->steps || !is_for_writing(access) ||
	    !fits(addr, iova))
		return;
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
	if (is_to_gain(range, policy->steps, &huge))
		report->left_out |= 1 << prepare_in_room(device, range, policy, &huge, report);
	else if (!huge.size)
		report->left_out |= 1 << huge.why;
	report->left_out &= ~(1 << LEFT_NOTHING);
	pthread_setcancelstate(cancel, NULL);
	errno = error;
}

const char *prepare_left_out(enum left_out what)
{
	static const char *const words[NR_LEFT_OUT] = {
		[LEFT_NOTHING] = "nothing",
		[LEFT_ALL_NO_ROOM] = "all:memory",
		[LEFT_ALL_MAPPINGS] = "all:mappings",
		[LEFT_ALL_DEVICE] = "all:device",
		[LEFT_ALL_CGROUP] = "all:cgroup",
		[LEFT_ALL_MEMLOCK] = "all:memlock",
		[LEFT_ALL_MOVABLE] = "all:movable",
		[LEFT_HUGE_SETTING] = "huge:setting",
		[LEFT_HUGE_PROCESS] = "huge:process",
		[LEFT_HUGE_REALTIME] = "huge:realtime",
		[LEFT_HUGE_FAILED] = "huge:failed",
		[LEFT_THREADS_SECCOMP] = "threads:seccomp",
		[LEFT_THREADS_MACHINE] = "threads:machine",
		[LEFT_THREADS_SCHEDULING] = "threads:scheduling",
		[LEFT_THREADS_CPUS] = "threads:cpus",
		[LEFT_THREADS_CGROUP] = "threads:cgroup",
		[LEFT_THREADS_LIMIT] = "threads:limit",
		[LEFT_THREADS_BUSY] = "threads:busy",
		[LEFT_REST_MEMLOCK] = "rest:memlock",
	};

	return words[what];
}
