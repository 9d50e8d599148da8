// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * The kinds of memory, and the states; see kinds.h.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "kinds.h"
#include "knobs.h"
#include "memory.h"
#include "test.h"

#define RW (PROT_READ | PROT_WRITE)

const char *const state_name[STATES] = {
	[UNTOUCHED] = "untouched",
	[TOUCHED] = "touched",
	[READ] = "read",
	[SWAPPED] = "swapped",
	[FORKED] = "forked",
	[GONE] = "child-gone",
	[PARTLY] = "child-gone-partly-written",
	[HALF_FORKED] = "half-forked",
};

/* --- what maps them --- */

static int map_anon(struct layout *l, const struct kind *kind)
{
	knobs_set(1UL << kind->order, 0);
	return layout_map_anon(l, 0, kind->len);
}

static int split_pmds(struct layout *l)
{
	return layout_split_pmds(l, l->begin, l->size);
}

static int map_shmem(struct layout *l, const struct kind *kind)
{
	knobs_set(0, 1UL << kind->order);
	return layout_map(l, 0, kind->len, layout_anon_object(l, kind->len), 0, true, RW);
}

static int map_memfd(struct layout *l, const struct kind *kind)
{
	return layout_map(l, 0, kind->len, layout_memfd(l, kind->len, false), 0, true, RW);
}

static int map_memfd_private(struct layout *l, const struct kind *kind)
{
	return layout_map(l, 0, kind->len, layout_memfd(l, kind->len, true), 0, false, RW);
}

/*
 * A shared mapping, and behind it a private one of the pages that follow in the same
 * memfd, even in the same folio. The page table does not show the difference.
 */
static int map_neighbours(struct layout *l, const struct kind *kind, int prot)
{
	struct object *o = layout_memfd(l, kind->len, true);
	size_t shared = kind->len / 2 + 5 * SZ_4K;

	return layout_map(l, 0, shared, o, 0, true, prot) ?:
	       layout_map(l, shared, kind->len - shared, o, shared / SZ_4K, false, RW);
}

static int map_memfd_neighbours(struct layout *l, const struct kind *kind)
{
	return map_neighbours(l, kind, RW);
}

static int map_memfd_neighbours_ro(struct layout *l, const struct kind *kind)
{
	return map_neighbours(l, kind, PROT_READ);
}

static int map_file(struct layout *l, const struct kind *kind)
{
	return layout_map(l, 0, kind->len, layout_file(l, kind->len), 0, true, PROT_READ);
}

static int map_file_rw(struct layout *l, const struct kind *kind)
{
	return layout_map(l, 0, kind->len, layout_file(l, kind->len), 0, true, RW);
}

static int map_file_private(struct layout *l, const struct kind *kind)
{
	return layout_map(l, 0, kind->len, layout_file(l, kind->len), 0, false, RW);
}

/* The pin must be of copies, though the process may not write to them. */
static int map_memfd_private_ro(struct layout *l, const struct kind *kind)
{
	return layout_map(l, 0, kind->len, layout_memfd(l, kind->len, true), 0, false, PROT_READ);
}

static int map_file_private_ro(struct layout *l, const struct kind *kind)
{
	return layout_map(l, 0, kind->len, layout_file(l, kind->len), 0, false, PROT_READ);
}

static int map_huge2m(struct layout *l, const struct kind *kind)
{
	return layout_map(l, 0, kind->len, layout_hugetlb(l, SZ_2M, kind->len), 0, true, RW);
}

static int map_huge2m_private(struct layout *l, const struct kind *kind)
{
	return layout_map(l, 0, kind->len, layout_hugetlb(l, SZ_2M, kind->len), 0, false, RW);
}

/* Pages of a memfd in random order. */
static int map_frag(struct layout *l, const struct kind *kind)
{
	return memory_map(BACKING_FRAG, l->addr, kind->len) ?:
	       layout_adopt(l, 0, kind->len, layout_anon_object(l, kind->len), 0) ?:
	       layout_write(l, 0, kind->len);
}

/*
 * The memory lies across the border between two mappings of one 1 GiB page. We keep
 * the page for all tests, since it takes long to clear. So its contents stay, too.
 */
static int map_huge1g(struct layout *l, const struct kind *kind)
{
	static struct object *object;
	size_t half = kind->len / 2;
	char *seam;

	munmap(l->map, l->map_len);
	seam = (char *)map_reserve(2 * GIB, GIB, &l->map, &l->map_len) + GIB;
	l->addr = seam - half;
	if (!object)
		object = object_new(hugetlb_memfd(GIB, GIB), GIB);
	return map_fixed(seam - GIB, GIB, RW, MAP_SHARED, object->fd, 0) ?:
	       map_fixed(seam, GIB, RW, MAP_SHARED, object->fd, 0) ?:
	       layout_adopt(l, 0, half, object, (GIB - half) / SZ_4K) ?:
	       layout_adopt(l, half, half, object, 0);
}

/* A folio of 2 MiB is mapped twice, side by side. */
static int map_twice_2m(struct layout *l, const struct kind *kind)
{
	struct object *o = layout_memfd(l, SZ_2M, false);

	(void)kind;
	return layout_map(l, 0, SZ_2M, o, 0, true, RW) ?:
	       layout_map(l, SZ_2M, SZ_2M, o, 0, true, RW);
}

/* Each folio of 64 KiB is mapped twice, side by side, the second time without its last page. */
static int map_twice_64k(struct layout *l, const struct kind *kind)
{
	size_t first = l->len / 2, off, at = 0;
	int err;

	knobs_set(0, 1UL << kind->order);
	err = layout_map(l, first, 512 * KIB, layout_anon_object(l, 512 * KIB), 0, true, RW) ?:
	      layout_write(l, first, 512 * KIB) ?:
	      layout_prove_order(l, first, 512 * KIB, kind->order);
	for (off = 0; off < 512 * KIB && !err; off += 64 * KIB, at += 124 * KIB)
		err = layout_alias(l, first + off, at, 64 * KIB) ?:
		      layout_alias(l, first + off, at + 64 * KIB, 60 * KIB);
	l->size = at;
	return err;
}

/* Parts of folios are moved to addresses that are aligned differently from memory. */
static int map_odd(struct layout *l, unsigned int order, size_t part, size_t step)
{
	size_t first = l->len / 2, off, at = 0;
	int err;

	knobs_set(1UL << order, 0);
	err = layout_map_anon(l, first, l->len / 2) ?:
	      layout_write(l, first, l->len / 2) ?:
	      layout_prove_order(l, first, l->len / 2, order);
	for (off = 3 * SZ_4K; off + part <= l->len / 2 && !err; off += step, at += part)
		err = layout_move(l, first + off, at, part);
	l->size = at;
	return err;
}

static int map_odd_2m(struct layout *l, const struct kind *kind)
{
	return map_odd(l, kind->order, 333 * SZ_4K, 400 * SZ_4K);
}

static int map_odd_64k(struct layout *l, const struct kind *kind)
{
	return map_odd(l, kind->order, 13 * SZ_4K, 16 * SZ_4K);
}

/*
 * Folios of 2 MiB are split. The parts are neighbours in the address space and in
 * memory, though they are different folios.
 */
static int map_split_64k(struct layout *l, const struct kind *kind)
{
	FILE *f = fopen("/sys/kernel/debug/split_huge_pages", "w");
	int err;

	if (!f)
		die("cannot open /sys/kernel/debug/split_huge_pages: %m");
	knobs_set(1UL << ORDER_2M, 0);
	err = layout_map_anon(l, 0, l->len) ?:
	      layout_write(l, 0, l->len) ?:
	      layout_prove_order(l, 0, l->len, ORDER_2M);
	/* No split while CPUs have the pages in batches. This call only empties the batches. */
	if (!err && madvise(l->addr, l->len, MADV_COLLAPSE))
		err = fail("MADV_COLLAPSE: %m");
	/* This keeps khugepaged from making folios of 2 MiB of them again. */
	knobs_set(0, 0);
	fprintf(f, "%d,%p,%p,%u", getpid(), l->addr, l->addr + l->len, kind->order);
	fclose(f);
	return err ?: layout_prove_order(l, 0, l->len, kind->order);
}

static int map_piece_anon(struct layout *l, size_t off, size_t len, unsigned int order)
{
	knobs_set(1UL << order, 0);
	return layout_map_anon(l, off, len) ?:
	       layout_write(l, off, len) ?:
	       layout_prove_order(l, off, len, order);
}

static int map_piece(struct layout *l, size_t off, size_t len, struct object *o, bool shared)
{
	return layout_map(l, off, len, o, 0, shared, RW);
}

/* Pieces of many kinds, next to each other. */
static int map_mixed(struct layout *l, const struct kind *kind)
{
	size_t k = KIB;

	(void)kind;
	l->unit = 64 * k;
	return map_piece_anon(l, 0, 20 * k, 0) ?:
	       map_piece(l, 20 * k, 44 * k, layout_file(l, 44 * k), false) ?:
	       map_piece_anon(l, 64 * k, 128 * k, 4) ?:
	       map_piece_anon(l, 192 * k, 12 * k, 0) ?:
	       map_piece(l, 204 * k, 308 * k, layout_memfd(l, 308 * k, false), true) ?:
	       map_piece_anon(l, 512 * k, 512 * k, 7) ?:
	       map_piece(l, 1024 * k, 1020 * k, layout_memfd(l, 1020 * k, true), false) ?:
	       map_piece_anon(l, 2044 * k, 4 * k, 0) ?:
	       map_piece_anon(l, 2048 * k, 4096 * k, ORDER_2M) ?:
	       layout_split_pmds(l, 4096 * k, 2048 * k) ?:
	       map_piece(l, 6144 * k, 2048 * k, layout_hugetlb(l, SZ_2M, SZ_2M), true) ?:
	       map_piece_anon(l, 8192 * k, 48 * k, 2) ?:
	       map_piece_anon(l, 8240 * k, 16 * k, 0);
}

/* --- the table of them --- */

#define NOT_SWAPPED	(ONLY(UNTOUCHED) | ONLY(TOUCHED) | ONLY(READ) | ONLY(FORKED))
#define SHMEM_STATES	(NOT_SWAPPED | ONLY(SWAPPED))
#define ANON_TOUCHED	(ALL_STATES & ~(ONLY(UNTOUCHED) | ONLY(READ)))

static const struct kind always[] = {
	{
		.name = "anon-4k", .all_parts = true, .map = map_anon, .len = 256 * KIB,
		.states = ALL_STATES,
	}, {
		.name = "anon-many-thp", .map = map_anon, .len = 6 * SZ_2M, .order = ORDER_2M,
		.states = ONLY(UNTOUCHED) | ONLY(TOUCHED) | ONLY(PARTLY),
	}, {
		.name = "thp-pte", .all_parts = true, .map = map_anon,
		.after_touch = split_pmds, .len = 2 * SZ_2M, .order = ORDER_2M,
		.states = ANON_TOUCHED,
	}, {
		.name = "frag", .map = map_frag, .len = 512 * KIB,
		.states = ONLY(TOUCHED) | ONLY(SWAPPED) | ONLY(FORKED),
	}, {
		.name = "memfd-4k", .all_parts = true, .map = map_memfd, .len = 256 * KIB,
		.states = SHMEM_STATES,
	}, {
		.name = "memfd-always", .map = map_memfd, .len = 2 * SZ_2M, .order = ORDER_2M,
		.inherit = "always", .states = SHMEM_STATES,
	}, {
		.name = "memfd-within-size", .map = map_memfd, .len = 2 * SZ_2M,
		.order = ORDER_2M, .inherit = "within_size", .states = SHMEM_STATES,
	}, {
		.name = "memfd-private", .map = map_memfd_private, .len = 256 * KIB,
		.states = ALL_STATES,
	}, {
		.name = "memfd-2m-private", .map = map_memfd_private,
		.len = 2 * SZ_2M, .order = UNKNOWN, .object_order = ORDER_2M,
		.states = ALL_STATES,
	}, {
		.name = "memfd-2m-private-ro", .map = map_memfd_private_ro, .len = 2 * SZ_2M,
		.order = UNKNOWN, .object_order = ORDER_2M, .states = NOT_SWAPPED,
		.writable_errno = EFAULT,
	}, {
		.name = "memfd-neighbours", .map = map_memfd_neighbours, .len = 256 * KIB,
		.order = UNKNOWN, .states = ALL_STATES & ~ONLY(SWAPPED),
	}, {
		.name = "memfd-2m-neighbours", .all_parts = true, .map = map_memfd_neighbours,
		.len = 2 * SZ_2M, .order = UNKNOWN, .object_order = ORDER_2M,
		.states = ALL_STATES & ~ONLY(SWAPPED),
	}, {
		.name = "memfd-64k-neighbours", .map = map_memfd_neighbours, .len = 256 * KIB,
		.order = UNKNOWN, .object_order = 4, .states = ALL_STATES & ~ONLY(SWAPPED),
	}, {
		.name = "memfd-64k-neighbours-ro", .map = map_memfd_neighbours_ro,
		.len = 256 * KIB, .order = UNKNOWN, .object_order = 4, .states = NOT_SWAPPED,
		.writable_errno = EFAULT,
	}, {
		.name = "memfd-2m-neighbours-ro", .map = map_memfd_neighbours_ro,
		.len = 2 * SZ_2M, .order = UNKNOWN, .object_order = ORDER_2M,
		.states = NOT_SWAPPED, .writable_errno = EFAULT,
	}, {
		.name = "file", .map = map_file, .len = SZ_2M, .order = UNKNOWN,
		.states = ONLY(UNTOUCHED) | ONLY(READ) | ONLY(FORKED), .writable_errno = EFAULT,
	}, {
		.name = "file-rw", .map = map_file_rw, .len = SZ_2M, .order = UNKNOWN,
		.states = ONLY(UNTOUCHED) | ONLY(TOUCHED) | ONLY(FORKED),
		.writable_errno = EFAULT,
	}, {
		.name = "file-private", .all_parts = true, .map = map_file_private,
		.len = 256 * KIB, .order = UNKNOWN, .states = ALL_STATES,
	}, {
		/* The folios are large if the file system has large ones. */
		.name = "file-2m-private-ro", .map = map_file_private_ro, .len = 3 * SZ_2M,
		.order = UNKNOWN, .states = ONLY(UNTOUCHED) | ONLY(READ) | ONLY(FORKED),
		.writable_errno = EFAULT,
	}, {
		.name = "huge2m", .all_parts = true, .map = map_huge2m, .len = 2 * SZ_2M,
		.order = ORDER_2M, .states = NOT_SWAPPED,
	}, {
		.name = "many-huge2m", .map = map_huge2m, .len = 6 * SZ_2M, .order = ORDER_2M,
		.states = ONLY(TOUCHED),
	}, {
		.name = "huge2m-private", .map = map_huge2m_private, .len = 2 * SZ_2M,
		.order = ORDER_2M, .states = ALL_STATES & ~(ONLY(SWAPPED) | ONLY(HALF_FORKED)),
	}, {
		.name = "huge1g", .all_parts = true, .map = map_huge1g, .len = 512 * KIB,
		.order = UNKNOWN, .states = NOT_SWAPPED,
	}, {
		.name = "twice-2m", .map = map_twice_2m, .len = 2 * SZ_2M, .order = ORDER_2M,
		.object_order = ORDER_2M, .states = NOT_SWAPPED,
	}, {
		.name = "twice-64k", .all_parts = true, .map = map_twice_64k, .len = SZ_2M,
		.order = 4, .states = ONLY(TOUCHED) | ONLY(FORKED),
	}, {
		.name = "odd-2m", .map = map_odd_2m, .len = 4 * SZ_2M, .order = ORDER_2M,
		.states = ANON_TOUCHED,
	}, {
		.name = "odd-64k", .map = map_odd_64k, .len = SZ_2M, .order = 4,
		.states = ANON_TOUCHED,
	}, {
		.name = "split-64k", .all_parts = true, .map = map_split_64k, .len = SZ_2M,
		.order = 4, .states = ANON_TOUCHED,
	}, {
		.name = "mixed", .all_parts = true, .map = map_mixed, .len = 8256 * KIB,
		.order = UNKNOWN, .states = ANON_TOUCHED & ~(ONLY(SWAPPED) | ONLY(HALF_FORKED)),
	},
};

static void add(struct kind **all, size_t *nr, struct kind kind)
{
	*all = reallocarray(*all, *nr + 1, sizeof(**all));
	if (!*all)
		die("out of memory");
	(*all)[(*nr)++] = kind;
}

/* Add anonymous memory, private and shared, in folios of this size. */
static void add_order(struct kind **all, size_t *nr, unsigned int order)
{
	/* Many small folios, since alike ones may be pinned together, but few large ones. */
	size_t len = order < 6 ? 512 * KIB : (order < ORDER_2M ? 4 : 2) * SZ_4K << order;
	struct kind anon = {
		.map = map_anon, .len = len, .order = order, .states = ALL_STATES,
		.all_parts = order == 4 || order == ORDER_2M,
	};
	struct kind shmem = {
		.map = map_shmem, .len = len, .order = order, .states = SHMEM_STATES,
		.all_parts = order == 4,
	};
	static char names[2 * (ORDER_2M + 1)][24];

	/* The smallest size, the most common one and the largest go through all states. */
	if (order != 2 && order != 4 && order != ORDER_2M) {
		anon.states = ONLY(UNTOUCHED) | ONLY(TOUCHED) | ONLY(SWAPPED) | ONLY(HALF_FORKED);
		shmem.states = ONLY(UNTOUCHED) | ONLY(TOUCHED) | ONLY(SWAPPED);
	}
	snprintf(names[2 * order], sizeof(names[0]), "anon-%luk", 4UL << order);
	snprintf(names[2 * order + 1], sizeof(names[0]), "shmem-%luk", 4UL << order);
	anon.name = names[2 * order];
	shmem.name = names[2 * order + 1];
	add(all, nr, anon);
	add(all, nr, shmem);
}

const struct kind *kinds(size_t *nr)
{
	static struct kind *all;
	static size_t count;
	unsigned int order;
	size_t i;

	if (!all) {
		for (i = 0; i < ARRAY_SIZE(always); i++)
			add(&all, &count, always[i]);
		for (order = 1; order <= ORDER_2M; order++)
			if (knobs_orders() >> order & 1)
				add_order(&all, &count, order);
	}
	*nr = count;
	return all;
}

/* --- the states --- */

int kind_open(const struct kind *kind, struct layout *l)
{
	knobs_set(0, 1UL << kind->object_order);
	if (kind->inherit)
		knobs_inherit(kind->inherit);
	layout_open(l, kind->len);
	if (kind->order != UNKNOWN)
		l->unit = SZ_4K << kind->order;
	return kind->map(l, kind);
}

static int prove_swapped(const struct layout *l)
{
	uint64_t *pfn = calloc(l->size / SZ_4K, sizeof(*pfn));
	size_t left = 0, i;

	if (!pfn)
		die("out of memory");
	phys_pfns(l->addr + l->begin, l->size / SZ_4K, pfn);
	for (i = 0; i < l->size / SZ_4K; i++)
		left += pfn[i] != 0;
	free(pfn);
	return left ? fail("%zu of %zu pages were not swapped out", left, l->size / SZ_4K) : PASSED;
}

static int touch(const struct kind *kind, struct layout *l)
{
	return layout_write(l, l->begin, l->size) ?:
	       (kind->order == UNKNOWN ? PASSED :
					 layout_prove_order(l, l->begin, l->size, kind->order)) ?:
	       (kind->after_touch ? kind->after_touch(l) : PASSED);
}

static int write_partly(struct layout *l)
{
	size_t at;
	int err = PASSED;

	for (at = l->begin; at < l->begin + l->size && !err; at += 3 * SZ_4K)
		err = layout_write(l, at, SZ_4K);
	return err;
}

/* Advise every other three pages. */
static int advise_threes(struct layout *l, int advice)
{
	size_t at;

	for (at = 0; at + 3 * SZ_4K <= l->size; at += 6 * SZ_4K)
		if (madvise(l->addr + l->begin + at, 3 * SZ_4K, advice))
			return fail("MADV_%sFORK: %m", advice == MADV_DOFORK ? "DO" : "DONT");
	return PASSED;
}

static int half_fork(struct layout *l, struct child *child)
{
	/* The child must not look: there are holes in its memory. */
	return advise_threes(l, MADV_DONTFORK) ?:
	       child_start(child, NULL) ?:
	       advise_threes(l, MADV_DOFORK);
}

int kind_enter(const struct kind *kind, struct layout *l, enum fault_state state,
	       struct child *child)
{
	int err;

	if (state == UNTOUCHED)
		return PASSED;
	if (state == READ) {
		layout_read(l, l->begin, l->size);
		return PASSED;
	}
	err = touch(kind, l);
	if (err || state == TOUCHED)
		return err;
	if (state == SWAPPED)
		return layout_pageout(l, l->begin, l->size) ?: prove_swapped(l);
	if (state == HALF_FORKED)
		return half_fork(l, child);
	err = child_start(child, l);
	if (err || state == FORKED)
		return err;
	err = child_join(child);
	child->pid = 0;
	return err ?: (state == PARTLY ? write_partly(l) : PASSED);
}
