// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * The kinds of memory, and how memory of one is made.
 *
 * Every kind but malloc()'s is made in three steps: reserve aligned address space, map memory of
 * the wanted kind into it, fault it in. Alignment is to 2 MiB at least, whatever the kind: page
 * tables of two runs then look the same, and only the pages differ.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "look.h"
#include "makers.h"
#include "setting.h"

#define SIZE_64K (64 * KIB)
#define SIZE_2M (2 * MIB)
#define MIN_ALIGN SIZE_2M
#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

static int make_mixed(struct backing *b, const struct backing_spec *spec, const struct reason *why);

/* Where pages of a size come from. */
enum pages {
	BASE_PAGES,
	THP_PAGES,
	MTHP_PAGES,
	TMPFS_PAGES,
	HUGETLB_PAGES,
};

/* What a backing_spec may ask of a kind, and what a kind is. */
enum {
	UNTOUCHED	= 1 << 0,	/* may be asked for */
	SHUFFLED	= 1 << 1,	/* may be asked for */
	ALIASED		= 1 << 2,	/* may be asked for */
	FORKED		= 1 << 3,	/* a child process shares the memory */
	COPIED		= 1 << 4,	/* pinning replaces the memory by a copy */
};

static const struct kind {
	const char *name;
	maker_fn make;
	enum pages pages;
	size_t page_size;		/* 0: what the machine has */
	unsigned int flags;
} kinds[BACKING_NR_KINDS] = {
#define EITHER	(UNTOUCHED | SHUFFLED)
#define POOL	(UNTOUCHED | SHUFFLED | ALIASED)
#define SHARER	(SHUFFLED | FORKED | COPIED)
	[BACKING_4K]		= { "4k", make_4k, BASE_PAGES, 0, EITHER },
	[BACKING_FRAG]		= { "frag", make_frag },
	[BACKING_THP]		= { "thp", make_thp, THP_PAGES, 0, EITHER },
	[BACKING_THP_PTE]	= { "thp-pte", make_thp_pte, THP_PAGES, 0, SHUFFLED },
	[BACKING_HUGE2M_SHARED]	= { "huge2m-shared", make_hugetlb_shared, HUGETLB_PAGES, SIZE_2M },
	[BACKING_HUGE1G]	= { "huge1g", make_hugetlb, HUGETLB_PAGES, GIB, POOL },
	[BACKING_MIXED]		= { "mixed", make_mixed, THP_PAGES },
	[BACKING_HUGE2M]	= { "huge2m", make_hugetlb, HUGETLB_PAGES, SIZE_2M, POOL },
	[BACKING_MALLOC]	= { "malloc", make_malloc, BASE_PAGES, 0, UNTOUCHED },
	[BACKING_MTHP16K]	= { "mthp16k", make_mthp, MTHP_PAGES, 16 * KIB, SHUFFLED },
	[BACKING_MTHP32K]	= { "mthp32k", make_mthp, MTHP_PAGES, 32 * KIB, SHUFFLED },
	[BACKING_MTHP64K]	= { "mthp64k", make_mthp, MTHP_PAGES, SIZE_64K, SHUFFLED },
	[BACKING_MTHP128K]	= { "mthp128k", make_mthp, MTHP_PAGES, 128 * KIB, SHUFFLED },
	[BACKING_MTHP256K]	= { "mthp256k", make_mthp, MTHP_PAGES, 256 * KIB, SHUFFLED },
	[BACKING_MTHP512K]	= { "mthp512k", make_mthp, MTHP_PAGES, 512 * KIB, SHUFFLED },
	[BACKING_MTHP1M]	= { "mthp1m", make_mthp, MTHP_PAGES, 1024 * KIB, SHUFFLED },
	[BACKING_4K_FORKED]	= { "4k-forked", make_4k, BASE_PAGES, 0, SHARER },
	[BACKING_MTHP64K_FORKED] = { "mthp64k-forked", make_mthp, MTHP_PAGES, SIZE_64K, SHARER },
	[BACKING_THP_FORKED]	= { "thp-forked", make_thp, THP_PAGES, 0, SHARER },
	[BACKING_FILE_SHARED]	= { "file-shared", make_file_shared, BASE_PAGES, 0, UNTOUCHED },
	[BACKING_FILE_PRIVATE]	= { "file-private", make_file_private, BASE_PAGES, 0, COPIED },
	[BACKING_TMPFS4K_SHARED] = { "tmpfs4k-shared", make_tmpfs_shared, BASE_PAGES, 0, EITHER },
	[BACKING_TMPFS4K_PRIVATE] = { "tmpfs4k-private", make_tmpfs_private, BASE_PAGES, 0,
				      SHUFFLED | COPIED },
	[BACKING_TMPFS64K_SHARED] = { "tmpfs64k-shared", make_tmpfs_shared, TMPFS_PAGES, SIZE_64K,
				      EITHER },
	[BACKING_TMPFS64K_PRIVATE] = { "tmpfs64k-private", make_tmpfs_private, TMPFS_PAGES,
				       SIZE_64K, SHUFFLED | COPIED },
	[BACKING_TMPFS2M_SHARED] = { "tmpfs2m-shared", make_tmpfs_shared, TMPFS_PAGES, SIZE_2M,
				     EITHER },
};

const char *backing_name(enum backing_kind kind)
{
	return kinds[kind].name;
}

enum backing_kind backing_find(const char *name)
{
	enum backing_kind kind = 0;

	while (kind < BACKING_NR_KINDS && strcmp(name, kinds[kind].name))
		kind++;
	return kind;
}

bool backing_can_be_untouched(enum backing_kind kind)
{
	return kinds[kind].flags & UNTOUCHED;
}

bool backing_can_be_shuffled(enum backing_kind kind)
{
	return kinds[kind].flags & SHUFFLED;
}

bool backing_can_be_aliased(enum backing_kind kind)
{
	return kinds[kind].flags & ALIASED;
}

bool backing_is_copied(enum backing_kind kind)
{
	return kinds[kind].flags & COPIED;
}

int refuse(const struct reason *why, int err, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(why->text, why->len, format, args);
	va_end(args);
	return err;
}

int map_here(char *start, size_t len, int prot, int flags, int fd, off_t off,
	     const struct reason *why)
{
	if (mmap(start, len, prot, flags | MAP_FIXED, fd, off) == MAP_FAILED)
		return refuse(why, -errno, "cannot map %zu KiB of memory: %s", len / 1024,
			      strerror(errno));
	return 0;
}

static int find_page_size(const struct kind *kind, size_t *size, const struct reason *why)
{
	*size = kind->page_size;
	switch (kind->pages) {
	case THP_PAGES:
		return find_thp_size(size, why);
	case MTHP_PAGES:
		return check_thp_size(*size, "enabled", why);
	case TMPFS_PAGES:
		return check_thp_size(*size, "shmem_enabled", why);
	case HUGETLB_PAGES:
		return check_hugetlb_size(*size, why);
	default:
		*size = look_page_size();
		return 0;
	}
}

void *backing_reserve(size_t len, size_t align, void **map, size_t *map_len)
{
	char *space;

	*map_len = len + 2 * align;
	space = mmap(NULL, *map_len, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	*map = space == MAP_FAILED ? NULL : space;
	return *map ? (void *)(((uintptr_t)space + align) & ~(align - 1)) : NULL;
}

static int reserve_space(struct backing *b, const struct reason *why)
{
	size_t align = b->page_size > MIN_ALIGN ? b->page_size : MIN_ALIGN;

	b->start = backing_reserve(b->len, align, &b->map, &b->map_len);
	if (!b->start)
		return refuse(why, -errno, "cannot reserve %zu MiB of address space: %s",
			      b->map_len / MIB, strerror(errno));
	return 0;
}

static int make(struct backing *b, const struct backing_spec *spec, const struct reason *why)
{
	int err = kinds[b->kind].make(b, spec, why), percent;

	if (!err && kinds[b->kind].flags & FORKED)
		err = start_sharer(b, why);
	if (err || !spec->exact || spec->untouched)
		return err;
	percent = backing_percent(b);
	if (percent < 0)
		return refuse(why, percent, "cannot tell whether memory is %s: %s",
			      backing_name(b->kind), strerror(-percent));
	if (percent < 100)
		return refuse(why, -ENOMEM, "only %d %% of the memory is really %s", percent,
			      backing_name(b->kind));
	return 0;
}

int backing_map(struct backing *b, const struct backing_spec *spec, char *why_text, size_t why_len)
{
	const struct reason why = { why_text, why_len };
	int err;

	*b = (struct backing){ .kind = spec->kind };
	err = find_page_size(&kinds[b->kind], &b->page_size, &why);
	if (err)
		return err;
	/* Half the address space is far beyond any machine, and leaves room for rounding. */
	if (spec->size > SIZE_MAX / 2)
		return refuse(&why, -ENOMEM, "%zu bytes do not fit into the address space",
			      spec->size);
	b->len = (spec->size + b->page_size - 1) / b->page_size * b->page_size;
	if (b->kind != BACKING_MALLOC)
		err = reserve_space(b, &why);
	if (err)
		return err;
	err = make(b, spec, &why);
	if (err)
		backing_unmap(b);
	return err;
}

int backing_map_at(enum backing_kind kind, char *start, size_t len, char *why_text, size_t why_len)
{
	const struct backing_spec spec = { .kind = kind, .size = len, .exact = true };
	struct backing b = { .kind = kind, .start = start, .len = len };
	const struct reason why = { why_text, why_len };

	return find_page_size(&kinds[kind], &b.page_size, &why) ?: make(&b, &spec, &why);
}

static int make_mixed(struct backing *b, const struct backing_spec *spec, const struct reason *why)
{
	static const enum backing_kind parts[] = {
		BACKING_4K, BACKING_THP, BACKING_HUGE2M_SHARED, BACKING_FRAG,
	};
	const size_t step = b->page_size;
	int err = 0;

	(void)spec;
	for (size_t i = 0; i < b->len / step && !err; i++)
		err = backing_map_at(parts[i % ARRAY_SIZE(parts)], b->start + i * step, step,
				     why->text, why->len);
	return err;
}

void backing_unmap(struct backing *b)
{
	end_sharer(b);
	if (b->kind == BACKING_MALLOC)
		free(b->start);
	else
		munmap(b->map, b->map_len);
	b->start = NULL;
}

/* How much is in huge pages that are mapped by a PMD. */
static int thp_percent(const struct backing *b)
{
	long huge_kib = look_smaps_kib(b->start, b->len, "AnonHugePages");

	return huge_kib < 0 ? huge_kib : huge_kib * 100 / (long)(b->len / 1024);
}

/* How much is in folios of this size, however they are mapped. */
static int folio_percent(const struct backing *b)
{
	return look_folio_percent(b->start, b->len, b->page_size);
}

int backing_percent(const struct backing *b)
{
	const struct kind *kind = &kinds[b->kind];

	if (kind->make == make_thp)
		return thp_percent(b);
	if (kind->make == make_thp_pte || kind->pages == MTHP_PAGES || kind->pages == TMPFS_PAGES)
		return folio_percent(b);
	return 100;
}
