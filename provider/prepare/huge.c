// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Transparent huge pages for private anonymous memory.
 *
 * Where the system's setting is "madvise", MADV_HUGEPAGE has the kernel populate untouched memory
 * with huge pages. Processes, too, have a say (PR_SET_THP_DISABLE), which prctl() tells, and so
 * have mappings: MADV_NOHUGEPAGE. That, our advice would undo, so it has to be known first; but
 * only /proc/self/smaps tells, which goes over the page tables of all mappings below ours.
 *
 * What a mapping has been advised is its attribute, and where attributes differ there are two
 * mappings. So give MADV_NOHUGEPAGE for the first page alone. If that has become a mapping of its
 * own, the rest had not opted out, and our MADV_HUGEPAGE for all of it joins them again. If not,
 * nothing has changed. (MADV_COLLAPSE would tell by an error. But it has all CPUs put their pages
 * on the LRU lists, and one that a real-time thread occupies may take seconds to answer.)
 *
 * So what is too short for a huge page at either end of a mapping is advised with the rest. It
 * comes in base pages all the same; but as a mapping of its own it would have mremap() fail, by
 * which realloc() makes large memory larger.
 *
 * Shared memory is left to the system's and the mount's setting for it.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "parts.h"

/* Of newer kernels: those who have asked for huge pages get them all the same. */
#ifndef PR_THP_DISABLE_EXCEPT_ADVISED
#define PR_THP_DISABLE_EXCEPT_ADVISED (1 << 1)
#endif

#define SYSFS "/sys/kernel/mm/transparent_hugepage/"

/* Of MADV_COLLAPSE, which says EAGAIN of pages that somebody else happened to look at. */
#define TRIES	3

/* The size of a huge page; 0 if the kernel has none. */
static size_t huge_size(void)
{
	char line[32];

	if (!prepare_read_line(SYSFS "hpage_pmd_size", line, sizeof(line)))
		return 0;
	return strtoul(line, NULL, 10);
}

/* The word in brackets, of all those in the file. */
static bool read_choice(const char *path, char *word, size_t size)
{
	char line[96], *start, *end;

	if (!prepare_read_line(path, line, sizeof(line)))
		return false;
	start = strchr(line, '[');
	end = start ? strchr(start, ']') : NULL;
	if (!end)
		return false;
	*end = '\0';
	return (size_t)snprintf(word, size, "%s", start + 1) < size;
}

/* "always", "madvise" or "never": for huge pages of this size, or of all sizes. */
static bool setting_is(size_t huge, const char *wanted)
{
	char path[96], word[16];

	snprintf(path, sizeof(path), SYSFS "hugepages-%zukB/enabled", huge / 1024);
	if (!read_choice(path, word, sizeof(word)) || !strcmp(word, "inherit"))
		if (!read_choice(SYSFS "enabled", word, sizeof(word)))
			return false;
	return !strcmp(word, wanted);
}

enum who { NOBODY, WHO_ASKS, EVERYBODY };

/* Who gets huge pages, by the system's settings and the process's. */
static enum who who_gets(size_t huge)
{
	int disabled = prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0);

	if (disabled < 0 || (disabled && !(disabled & PR_THP_DISABLE_EXCEPT_ADVISED)))
		return NOBODY;
	if (setting_is(huge, "madvise"))
		return WHO_ASKS;
	if (!setting_is(huge, "always"))
		return NOBODY;
	return disabled ? WHO_ASKS : EVERYBODY;
}

/* The huge pages inside, with what of the mapping is left over at its ends. */
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
	/* (Of what is unmapped meanwhile there is no mapping; what is in its place is not ours.) */
	if (!prepare_mapping(maps, range.start, &first) || first.end != end)
		return false;
	if (advise(range.start, range_size(range), MADV_HUGEPAGE))
		return true;
	/* Not all of it, then; but the first page must not be left opted out. */
	advise(range.start, end - range.start, MADV_HUGEPAGE);
	return false;
}

static size_t advise_parts(struct parts *untouched, size_t huge)
{
	int maps = prepare_open_maps();
	struct range inside;
	size_t bytes = 0;
	struct part *part;
	unsigned int i;

	for (i = 0; i < untouched->count && maps >= 0; i++) {
		part = &untouched->part[i];
		inside = range_inside(part->range, huge);
		if (!part->anonymous || !range_size(inside) ||
		    !advise_unless_out(maps, with_ends(part, inside, huge)))
			continue;
		part->thp_size = huge;
		bytes += range_size(inside);
	}
	if (maps >= 0)
		close(maps);
	return bytes;
}

size_t prepare_advise_huge(struct parts *untouched)
{
	size_t huge = huge_size();
	unsigned int i;

	switch (huge ? who_gets(huge) : NOBODY) {
	case NOBODY:
		return 0;
	case WHO_ASKS:
		return advise_parts(untouched, huge);
	case EVERYBODY:
		/* Those that have opted out among them: we do not ask, as we do not advise. */
		for (i = 0; i < untouched->count; i++)
			if (untouched->part[i].anonymous &&
			    range_size(range_inside(untouched->part[i].range, huge)))
				untouched->part[i].thp_size = huge;
	}
	return 0;
}

size_t prepare_collapse(const struct parts *mappings)
{
	size_t huge = huge_size(), bytes = 0, before, after;
	struct range inside;
	unsigned int i, tries;

	/* That the system has opted out, MADV_COLLAPSE does not mind; we do. */
	if (!huge || setting_is(huge, "never"))
		return 0;
	for (i = 0; i < mappings->count; i++) {
		inside = range_inside(mappings->part[i].range, huge);
		if (!mappings->part[i].anonymous || !range_size(inside))
			continue;
		before = prepare_count_base(inside);
		if (!before)
			continue;
		/* An error need not mean that nothing was done, nor that no more can be. */
		for (tries = 0; tries < TRIES; tries++)
			if (advise(inside.start, range_size(inside), MADV_COLLAPSE) ||
			    errno != EAGAIN)
				break;
		after = prepare_count_base(inside);
		bytes += after < before ? before - after : 0;
	}
	return bytes;
}
