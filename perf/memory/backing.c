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
#include "parts.h"
#include "setting.h"

#define MIN_ALIGN (2 * MIB)

static int make_mixed(struct backing *b, const struct backing_spec *spec, const struct reason *why);

enum {
	BASE_PAGES,
	THP_PAGES,
	MTHP_PAGES,
	HUGETLB_PAGES,
};

static const struct kind {
	const char *name;
	maker_fn make;
	int pages;
	size_t page_size;		/* of the last two; others ask the machine */
	bool can_be_untouched, can_be_shuffled, can_be_aliased;
} kinds[BACKING_NR_KINDS] = {
#define MTHP(size_name, kib) \
	{ "mthp" size_name, make_mthp, MTHP_PAGES, (size_t)(kib) << 10, false, true, false }
	[BACKING_4K]		= { "4k", make_4k, BASE_PAGES, 0, true, true, false },
	[BACKING_FRAG]		= { "frag", make_frag, BASE_PAGES },
	[BACKING_THP]		= { "thp", make_thp, THP_PAGES, 0, true, true, false },
	[BACKING_THP_PTE]	= { "thp-pte", make_thp_pte, THP_PAGES, 0, false, true, false },
	[BACKING_HUGE2M_SHARED]	= { "huge2m-shared", make_hugetlb_shared, HUGETLB_PAGES, 2 * MIB },
	[BACKING_HUGE1G]	= { "huge1g", make_hugetlb, HUGETLB_PAGES, GIB, true, true, true },
	[BACKING_MIXED]		= { "mixed", make_mixed, THP_PAGES },
	[BACKING_HUGE2M]	= { "huge2m", make_hugetlb, HUGETLB_PAGES, 2 * MIB, true, true, true },
	[BACKING_MALLOC]	= { "malloc", make_malloc, BASE_PAGES, 0, true, false, false },
	[BACKING_MTHP16K]	= MTHP("16k", 16),
	[BACKING_MTHP32K]	= MTHP("32k", 32),
	[BACKING_MTHP64K]	= MTHP("64k", 64),
	[BACKING_MTHP128K]	= MTHP("128k", 128),
	[BACKING_MTHP256K]	= MTHP("256k", 256),
	[BACKING_MTHP512K]	= MTHP("512k", 512),
	[BACKING_MTHP1M]	= MTHP("1m", 1024),
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
	return kinds[kind].can_be_untouched;
}

bool backing_can_be_shuffled(enum backing_kind kind)
{
	return kinds[kind].can_be_shuffled;
}

bool backing_can_be_aliased(enum backing_kind kind)
{
	return kinds[kind].can_be_aliased;
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
	const size_t nr = sizeof(parts) / sizeof(parts[0]), step = b->page_size;
	int err = 0;

	(void)spec;
	for (size_t i = 0; i < b->len / step && !err; i++)
		err = backing_map_at(parts[i % nr], b->start + i * step, step, why->text, why->len);
	return err;
}

void backing_unmap(struct backing *b)
{
	if (b->kind == BACKING_MALLOC)
		free(b->start);
	else
		munmap(b->map, b->map_len);
	b->start = NULL;
}

int backing_percent(const struct backing *b)
{
	long huge_kib;

	switch (b->kind) {
	case BACKING_THP:
		huge_kib = look_smaps_kib(b->start, b->len, "AnonHugePages");
		return huge_kib < 0 ? huge_kib : huge_kib * 100 / (long)(b->len / 1024);
	case BACKING_THP_PTE:
		return look_folio_percent(b->start, b->len, b->page_size);
	default:
		return kinds[b->kind].pages == MTHP_PAGES ?
		       look_folio_percent(b->start, b->len, b->page_size) : 100;
	}
}
