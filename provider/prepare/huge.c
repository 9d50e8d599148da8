// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Transparent huge pages for private anonymous memory, where the system's setting is "madvise":
 * the system gives huge pages to those who ask.
 *
 * One can ask by MADV_HUGEPAGE. Then the kernel populates untouched memory with huge pages. But
 * the advice stays with the mapping. Memory that is given back later grows by a huge page for each
 * touch. Advice for a part of a mapping splits it into two or three, which mremap() cannot resize,
 * and a process may have only so many. So we do this only if the user allows it (@by_advice).
 *
 * It leaves no trace to touch one page of each huge one, and to have the kernel collapse it
 * (MADV_COLLAPSE). That takes a quarter longer. Other threads do not make it faster: the kernel
 * zeroes the rest of the huge page with the mappings locked. It works where the setting is
 * "never", too, but there we do nothing. Processes may have opted out (PR_SET_THP_DISABLE), as
 * /proc shows. So may mappings (MADV_NOHUGEPAGE), which the kernel refuses to collapse. Where it
 * does not work, populate.c populates base pages.
 *
 * For each call, MADV_COLLAPSE has all CPUs put their pages on the LRU lists. A CPU that a
 * real-time thread occupies may take long to do so. So a call is for much memory. When one has
 * taken long, we make no other for a hundred times as long, in this registration and in others.
 * Where there are signs that it might take for ever, we make none (realtime.c).
 *
 * Advice would undo that a mapping has opted out, so we have to know. Only /proc/self/smaps has
 * it, and that goes over the page tables of all mappings below ours. But where attributes differ
 * there are two mappings. So we give MADV_NOHUGEPAGE for the first page alone. If that becomes a
 * mapping of its own, the rest had not opted out, and our MADV_HUGEPAGE for all of it joins them
 * again. If not, nothing has changed. We advise what is too short for a huge page at either end of
 * a mapping with the rest. It would be a mapping of its own otherwise.
 *
 * We leave shared memory to the system's and the mount's setting for it.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <infiniband/phyrdv.h>

#include "parts.h"

#define SYSFS "/sys/kernel/mm/transparent_hugepage/"

/* Calls of MADV_COLLAPSE for the same memory. */
#define TRIES	3
/* So much is collapsed at a time. Then we look at the limit of locked memory. */
#define STEP	(64 * PREPARE_MIB)
/* A call that takes longer than this many nanoseconds has waited for somebody. */
#define LONG	UINT64_C(1000000000)

/* Linux 6.1; some C libraries do not have it. */
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

/* The size of a huge page, once we know it: it does not change. */
static _Atomic size_t known_size;

/* 0 if the kernel has none, or if we do not understand what it says. */
static size_t huge_size(void)
{
	uint64_t size = atomic_load(&known_size);
	const char *end;
	char line[32];

	if (size)
		return size;
	if (!text_read_line(SYSFS "hpage_pmd_size", line, sizeof(line)) ||
	    !text_number(line, 10, &size, &end) || *end || size & (size - 1) ||
	    size > UINT64_C(1) << 40)
		return 0;
	atomic_store(&known_size, size);
	return size;
}

/* The one word in the file that is in brackets. */
static bool read_choice(const char *path, char *word, size_t size)
{
	char line[96], *start, *end;

	if (!text_read_line(path, line, sizeof(line)))
		return false;
	start = strchr(line, '[');
	end = start ? strchr(start, ']') : NULL;
	if (!end)
		return false;
	*end = '\0';
	return text_join(word, size, start + 1, "", "");
}

/*
 * The setting for huge pages of this size: "always", "madvise" or "never"; empty if we do not know.
 */
static void read_setting(size_t huge, char word[16])
{
	char path[96], digits[TEXT_DIGITS];

	*word = '\0';
	if (!text_join(path, sizeof(path), SYSFS "hugepages-", text_digits(huge / 1024, digits),
		       "kB/enabled"))
		return;
	/* Older kernels have one setting for all sizes. */
	if (!read_choice(path, word, 16))
		text_join(word, 16, text_is_missing(path) ? "inherit" : "", "", "");
	if (!strcmp(word, "inherit") && !read_choice(SYSFS "enabled", word, 16))
		*word = '\0';
}

/*
 * May the kernel compact memory to have huge pages for those who ask? MADV_COLLAPSE always does, so
 * we must not use it where the administrator wants nobody to wait for that.
 */
static bool may_compact(void)
{
	char word[16];

	return read_choice(SYSFS "defrag", word, sizeof(word)) &&
	       (!strcmp(word, "madvise") || !strcmp(word, "always") ||
		!strcmp(word, "defer+madvise"));
}

/* --- by advice --- */

/* The huge pages inside, with the rest of the mapping if that is too short for one. */
static struct range with_ends(const struct part *part, struct range inside, size_t huge)
{
	if (inside.start - part->mapping.start < huge)
		inside.start = part->mapping.start;
	if (part->mapping.end - inside.end < huge)
		inside.end = part->mapping.end;
	return inside;
}

/* Advise huge pages for a range of one mapping, unless that has opted out. */
static bool advise_unless_out(int maps, struct range range)
{
	uintptr_t end = range.start + sysconf(_SC_PAGESIZE);
	struct range first;

	if (!advise(range.start, end - range.start, MADV_NOHUGEPAGE))
		return false;
	if (!prepare_mapping(maps, range.start, &first) || first.end != end)
		return false;
	if (advise(range.start, range_size(range), MADV_HUGEPAGE))
		return true;
	/* Not all of it, then; but the first page must not be left opted out. */
	advise(range.start, end - range.start, MADV_HUGEPAGE);
	return false;
}

/* --- without a trace --- */

/*
 * The page of a huge one that is touched: MADV_COLLAPSE takes the huge page from the node of that
 * page. Where a memory policy has the nodes take turns (MPOL_INTERLEAVE), they do so page by page,
 * and the first pages of all huge ones may be on the same node. So each time it is another page.
 * The golden ratio spreads these evenly, and any number of nodes gets its shares.
 */
static uintptr_t page_to_touch(uintptr_t start, size_t huge)
{
	const uint64_t golden = UINT64_C(0x9E3779B97F4A7C15);	/* of 2^64 */
	uint64_t spread = start / huge * golden;
	size_t offset = spread / (UINT64_MAX / huge + 1);

	return start + (offset & ~(sysconf(_SC_PAGESIZE) - 1));
}

static bool touch(struct range range, size_t huge)
{
	uintptr_t at;

	for (at = range.start; at < range.end; at += huge)
		if (!advise(page_to_touch(at, huge), sysconf(_SC_PAGESIZE), MADV_POPULATE_WRITE))
			return false;
	return true;
}

/* No call before this time, as one has waited. */
static _Atomic uint64_t next_call;

static bool may_call(const struct room *room)
{
	uint64_t now = prepare_coarse_now(&room->process);

	return now && now >= atomic_load(&next_call);
}

/* Was the time since then too long for so much memory? */
static bool has_waited(const struct room *room, uint64_t since, size_t size)
{
	uint64_t took = prepare_coarse_now(&room->process) - since;

	if (took <= LONG * (size > STEP ? size / STEP : 1))
		return false;
	atomic_store(&next_call, since + 100 * took);
	return true;
}

void prepare_forget_huge(void)
{
	atomic_store(&next_call, 0);
	atomic_store(&known_size, 0);
}

/*
 * Returns an error if not all of it has become huge pages. Some may have, and the others still may:
 * the kernel says -EAGAIN for pages that somebody else happened to look at, as fork() does.
 */
static long collapse(struct range range)
{
	unsigned int tries;
	long error = -EAGAIN;

	for (tries = 0; tries < TRIES && error == -EAGAIN; tries++)
		error = raw_madvise(range.start, range_size(range), MADV_COLLAPSE);
	return error;
}

/*
 * Populates huge pages one step after the other. Where there is none, populate.c populates base
 * pages, also for all the rest if there is no hope for more. False after an error that the kernel
 * would meet, too.
 */
static bool collapse_untouched(struct room *room, struct part *part, struct prepare_report *report)
{
	struct range inside = range_inside(part->range, part->thp_size);
	size_t size = part->thp_size < STEP ? STEP : part->thp_size, huge;
	struct range step = inside;
	uint64_t begin;
	long error = 0;

	part->done = true;
	for (; step.start < inside.end && (!error || error == -EAGAIN) && may_call(room);
	     step.start = step.end) {
		step.end = inside.end - step.start > size ? step.start + size : inside.end;
		begin = prepare_coarse_now(&room->process);
		if (!prepare_still_fits(room)) {
			report->left_out |= 1 << LEFT_REST_MEMLOCK;
			return false;
		}
		if (!touch(step, part->thp_size))
			return false;
		error = collapse(step);
		huge = error ? prepare_count_huge(room, step) : range_size(step);
		report->huge_bytes += huge;
		part->populated += huge;
		part->done &= !error;
		if (has_waited(room, begin, range_size(step)))
			error = error ?: -ETIME;
	}
	part->done &= step.start == inside.end;
	if (!part->done)
		report->left_out |= 1 << LEFT_HUGE_FAILED;
	return true;
}

bool prepare_make_huge(struct room *room, struct prepare_report *report)
{
	struct parts *untouched = &room->untouched;
	unsigned int i;

	for (i = 0; i < untouched->count; i++)
		if (untouched->part[i].to_collapse &&
		    !collapse_untouched(room, &untouched->part[i], report))
			return false;
	return true;
}

/* --- which memory, and how --- */

static bool may_be_huge(const struct part *part, size_t huge)
{
	return part->anonymous && range_size(range_inside(part->range, huge));
}

static void advise_parts(struct parts *untouched, size_t huge, struct prepare_report *report)
{
	int maps = prepare_open_maps();
	struct range inside;
	struct part *part;
	unsigned int i;

	for (i = 0; i < untouched->count && maps >= 0; i++) {
		part = &untouched->part[i];
		inside = range_inside(part->range, huge);
		if (!may_be_huge(part, huge) ||
		    !advise_unless_out(maps, with_ends(part, inside, huge)))
			continue;
		part->thp_size = huge;
		report->huge_bytes += range_size(inside);
	}
	if (maps >= 0)
		close(maps);
}

struct huge_plan prepare_ask_huge(uint32_t steps)
{
	struct huge_plan plan = { .why = LEFT_HUGE_SETTING };
	size_t size = huge_size();
	char setting[16] = "";

	if (size)
		read_setting(size, setting);
	plan.asks = !strcmp(setting, "madvise");
	if (!plan.asks && strcmp(setting, "always"))
		return plan;
	if (plan.asks && !(steps & PHYRDV_PREPARE_ADVISE)) {
		if (!may_compact())
			return plan;
		plan.why = LEFT_HUGE_REALTIME;
		if (!prepare_cpus_answer())
			return plan;
	}
	plan.size = size;
	return plan;
}

void prepare_plan_huge(struct room *room, bool by_advice, struct prepare_report *report)
{
	struct parts *untouched = &room->untouched;
	const struct huge_plan *plan = &room->huge;
	unsigned int i;

	if (!plan->size) {
		report->left_out |= 1 << plan->why;
		return;
	}
	if (!room->process.thp) {
		report->left_out |= 1 << LEFT_HUGE_PROCESS;
		return;
	}
	if (plan->asks && by_advice) {
		advise_parts(untouched, plan->size, report);
		return;
	}
	/*
	 * With "always", some of it may have opted out. We do not ask, as the kernel makes the huge
	 * pages.
	 */
	for (i = 0; i < untouched->count; i++) {
		if (!may_be_huge(&untouched->part[i], plan->size))
			continue;
		untouched->part[i].thp_size = plan->size;
		untouched->part[i].to_collapse = plan->asks;
	}
}

size_t prepare_collapse(struct room *room, struct prepare_report *report)
{
	size_t huge = huge_size(), bytes = 0, before, after;
	struct range inside;
	char setting[16] = "";
	unsigned int i;

	/* MADV_COLLAPSE works where the system has opted out. There we leave it. */
	if (huge)
		read_setting(huge, setting);
	if ((strcmp(setting, "madvise") && strcmp(setting, "always")) || !may_call(room))
		return 0;
	if (!prepare_cpus_answer()) {
		report->left_out |= 1 << LEFT_HUGE_REALTIME;
		return 0;
	}
	for (i = 0; i < room->mappings.count; i++) {
		inside = range_inside(room->mappings.part[i].range, huge);
		if (!may_be_huge(&room->mappings.part[i], huge))
			continue;
		before = prepare_count_base(room, inside);
		if (!before)
			continue;
		collapse(inside);
		after = prepare_count_base(room, inside);
		bytes += after < before ? before - after : 0;
	}
	return bytes;
}
