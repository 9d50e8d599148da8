// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Anonymous memory: base pages, transparent huge pages of the processor's size (THP) and of smaller
 * sizes (mTHP), and memory from malloc().
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "fault.h"
#include "look.h"
#include "makers.h"
#include "setting.h"

int find_thp_size(size_t *size, const struct reason *why)
{
	if (read_number(THP_DIR "/hpage_pmd_size", size))
		return refuse(why, -EOPNOTSUPP,
			      "this kernel has no transparent huge pages (" THP_DIR
			      " is missing); choose another backing");
	return 0;
}

/* The number after @key in @path, which has lines such as "MemAvailable:  1234 kB". */
static int read_keyed_number(const char *path, const char *key, size_t *value)
{
	FILE *file = fopen(path, "re");
	int err = -ENOENT;
	char line[256];

	if (!file)
		return -errno;
	while (err && fgets(line, sizeof(line), file))
		if (!strncmp(line, key, strlen(key)) &&
		    sscanf(line + strlen(key), ": %zu", value) == 1)
			err = 0;
	fclose(file);
	return err;
}

/*
 * Faulting in more memory than the machine has would wake the OOM killer. A sixteenth is left for
 * page tables, and for what the kernel allocates to register the memory.
 */
static int check_available(size_t len, const struct reason *why)
{
	size_t available_kib;

	if (read_keyed_number("/proc/meminfo", "MemAvailable", &available_kib))
		return 0;
	if (len / 1024 > available_kib - available_kib / 16)
		return refuse(why, -ENOMEM,
			      "needs %zu MiB of memory and %zu MiB are available; choose a smaller size",
			      len / MIB, available_kib / 1024);
	return 0;
}

static int advise(struct backing *b, int advice, const char *name, const struct reason *why)
{
	if (madvise(b->start, b->len, advice))
		return refuse(why, -errno, "madvise(%s): %s", name, strerror(errno));
	return 0;
}

static int map_anonymous(struct backing *b, const struct reason *why)
{
	return check_available(b->len, why) ?:
	       map_here(b->start, b->len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
			0, why);
}

int make_4k(struct backing *b, const struct backing_spec *spec, const struct reason *why)
{
	int err = map_anonymous(b, why);

	if (err)
		return err;
	/* A kernel without transparent huge pages rejects this. It has only base pages anyway. */
	madvise(b->start, b->len, MADV_NOHUGEPAGE);
	return spec->untouched ? 0 : fault_in_all(b, spec->shuffled, why);
}

/*
 * The memory is aligned to a base page and no more, as in programs that use RDMA. Stock Soft-RoCE
 * takes 1 GiB only if it begins with a page.
 */
int make_malloc(struct backing *b, const struct backing_spec *spec, const struct reason *why)
{
	int err = check_available(b->len, why);

	if (err)
		return err;
	b->start = aligned_alloc(b->page_size, b->len);
	if (!b->start)
		return refuse(why, -ENOMEM, "aligned_alloc() has no %zu MiB of memory",
			      b->len / MIB);
	if (!spec->untouched)
		memset(b->start, 1, b->len);
	return 0;
}

int make_mthp(struct backing *b, const struct backing_spec *spec, const struct reason *why)
{
	struct thp_settings settings;
	int err;

	err = map_anonymous(b, why) ?:
	      advise(b, MADV_HUGEPAGE, "MADV_HUGEPAGE", why) ?:
	      enable_thp_only(&settings, b->page_size, "enabled", "madvise", why);
	if (err)
		return err;
	err = fault_in_all(b, spec->shuffled, why);
	restore_thp(&settings);
	/* Otherwise khugepaged might make larger pages of them. */
	return err ?: advise(b, MADV_NOHUGEPAGE, "MADV_NOHUGEPAGE", why);
}

/* A page fault takes base pages when no huge one is at hand. */
static int insist_on_thp(struct backing *b, const struct reason *why)
{
	if (madvise(b->start, b->len, MADV_COLLAPSE))
		return refuse(why, -errno, "no transparent huge pages for all of %zu MiB: %s",
			      b->len / MIB, strerror(errno));
	return 0;
}

int make_thp(struct backing *b, const struct backing_spec *spec, const struct reason *why)
{
	int err = map_anonymous(b, why) ?: advise(b, MADV_HUGEPAGE, "MADV_HUGEPAGE", why);

	if (err || spec->untouched)
		return err;
	return fault_in_all(b, spec->shuffled, why) ?:
	       (spec->exact ? insist_on_thp(b, why) : 0);
}

/* Changing one page's permission splits the PMD, and leaves the folio whole. */
static int split_pmd(char *start, size_t base, const struct reason *why)
{
	if (mprotect(start + 7 * base, base, PROT_READ) ||
	    mprotect(start + 7 * base, base, PROT_READ | PROT_WRITE))
		return refuse(why, -errno, "mprotect(): %s", strerror(errno));
	return 0;
}

int make_thp_pte(struct backing *b, const struct backing_spec *spec, const struct reason *why)
{
	struct backing_spec whole = { .shuffled = spec->shuffled, .exact = true };
	int err = make_thp(b, &whole, why);

	/* Otherwise khugepaged would map the split pages by PMDs again. */
	err = err ?: advise(b, MADV_NOHUGEPAGE, "MADV_NOHUGEPAGE", why);
	for (size_t at = 0; at < b->len && !err; at += b->page_size)
		err = split_pmd(b->start + at, look_page_size(), why);
	if (!err && look_smaps_kib(b->start, b->len, "AnonHugePages"))
		err = refuse(why, -EIO, "huge pages are still mapped by PMDs after mprotect()");
	return err;
}
