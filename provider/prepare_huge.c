// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Transparent huge pages for private anonymous memory.
 *
 * Where the system's setting is "madvise", MADV_HUGEPAGE has the kernel populate untouched memory
 * with huge pages. Programs, too, have a say: MADV_NOHUGEPAGE for a mapping, PR_SET_THP_DISABLE for
 * the process. Our advice would undo the former, so it has to be known first; but only
 * /proc/self/smaps tells, which goes over the page tables of all mappings below ours. So ask
 * MADV_COLLAPSE: it refuses with EINVAL what has opted out, in either way, and does so before it
 * looks at what there is to collapse. At the start of a huge page, and for the length of one base
 * page, there is nothing: success says "allowed".
 *
 * It also refuses a mapping in which no page has ever been populated. (That is, one without an
 * anon_vma.) So if it refuses, ask again after one page is populated, which is only what the
 * registration is about to do anyway. Best outside of the huge pages; else that one huge page is
 * collapsed, which answers the question as well, and leaves no base page in the way.
 *
 * No manual page tells this. It is so in the kernels that we know, and if it is not in another,
 * tests/provider will notice: that nobody is allowed, or everybody is. (Linux 6.12 has all CPUs put
 * their pages on the LRU lists before it finds that there is nothing to collapse, which takes as
 * long as they take to answer. So ask once for each range, and only for large ones.)
 *
 * Shared memory is left to the system's and the mount's setting for it.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "prepare_parts.h"

#define SYSFS "/sys/kernel/mm/transparent_hugepage/"

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

static bool advise(uintptr_t start, size_t size, int advice)
{
	return !madvise((void *)start, size, advice);
}

/* May there be huge pages in this range of one mapping? */
static bool is_allowed(struct range untouched, struct range inside, size_t huge)
{
	size_t page = sysconf(_SC_PAGESIZE);

	if (advise(inside.start, page, MADV_COLLAPSE))
		return true;
	if (!advise(untouched.start, page, MADV_POPULATE_WRITE))
		return false;
	return advise(inside.start, untouched.start < inside.start ? page : huge, MADV_COLLAPSE);
}

size_t prepare_advise_huge(const struct parts *untouched)
{
	size_t huge = huge_size(), bytes = 0;
	const struct part *part;
	struct range inside;
	unsigned int i;

	if (!huge || !setting_is(huge, "madvise"))
		return 0;
	for (i = 0; i < untouched->count; i++) {
		part = &untouched->part[i];
		inside = range_inside(part->range, huge);
		if (part->anonymous && range_size(inside) &&
		    is_allowed(part->range, inside, huge) &&
		    advise(inside.start, range_size(inside), MADV_HUGEPAGE))
			bytes += range_size(inside);
	}
	return bytes;
}

size_t prepare_collapse(const struct parts *mappings)
{
	size_t huge = huge_size(), bytes = 0, before, after;
	struct range inside;
	unsigned int i;

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
		/* An error need not mean that nothing was done. */
		advise(inside.start, range_size(inside), MADV_COLLAPSE);
		after = prepare_count_base(inside);
		bytes += after < before ? before - after : 0;
	}
	return bytes;
}
