// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Changes of what is mapped: munmap and mmap, mremap, mprotect, and mappings of other parts of a
 * file side by side.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>

#include "race.h"

/* Pieces tear large folios apart; every so many changes, there shall be whole ones again. */
#define RENEW_EVERY 6

/* --- munmap and mmap ----------------------------------------------------------------------- */

static int unmap_step(struct arena *a, unsigned int round)
{
	struct range r = rng_range(a, 64);
	unsigned int gen;
	int err;

	if (round % RENEW_EVERY == 0)
		return arena_renew(a) ?: 1;
	gen = change_begin(a);
	if (munmap(a->addr + r.first * SZ_4K, r.n * SZ_4K))
		return fault("munmap: %m");
	if (rng_below(2))
		mutator_pause();
	err = arena_map(a, r.first, r.n);
	if (!err)
		arena_tag(a, r.first, r.n, gen);
	change_end(a);
	return err ?: 1;
}

const struct change change_unmap = {
	.name = "munmap and mmap",
	.step = unmap_step,
	.errno_changing = EFAULT,
};

/* --- mremap -------------------------------------------------------------------------------- */

static int move(char *from, char *to, size_t len)
{
	if (mremap(from, len, len, MREMAP_MAYMOVE | MREMAP_FIXED, to) != to)
		return fault("mremap: %m");
	return 0;
}

/* Another page in place of one that has been moved away. */
static int replace(char *addr, uint64_t tag)
{
	if (madvise(addr, SZ_4K, MADV_DONTNEED))
		return fault("MADV_DONTNEED: %m");
	((struct head *)addr)->tag = tag;
	return 0;
}

/*
 * Away and back, page tables and all if it is a whole PMD. While they are away, some pages are
 * replaced by foreign ones: who still looks through the page table, finds these. Before they come
 * back, the foreign ones are replaced by new ones of ours.
 */
static int mremap_step(struct arena *a, unsigned int round)
{
	bool whole = a->pages == MAX_PAGES && rng_below(2);
	struct range r = rng_range(a, 64);
	unsigned int gen, page, i;
	char *addr, *away;
	size_t len;

	if (round % RENEW_EVERY == 0)
		return arena_renew(a) ?: 1;
	if (whole)
		r = (struct range){ .first = rng_below(2) * PAGES_2M, .n = PAGES_2M };
	addr = a->addr + r.first * SZ_4K;
	/* By whole PMDs, or to elsewhere in a page table. */
	away = a->away + (whole ? r.first : r.first ^ 1) * SZ_4K;
	len = r.n * SZ_4K;

	gen = change_begin(a);
	if (move(addr, away, len))
		return FAILED;
	for (i = 0; i < 4; i++) {
		page = rng_below(r.n);
		if (replace(away + page * SZ_4K, tag_make(OWNER_AWAY, r.first + page, gen)))
			return FAILED;
		mutator_pause();
		if (replace(away + page * SZ_4K, tag_make(OWNER_ARENA, r.first + page, gen)))
			return FAILED;
		atomic_store(&a->gen[r.first + page], gen);
	}
	if (move(away, addr, len))
		return FAILED;
	change_end(a);
	return 1;
}

const struct change change_mremap = {
	.name = "mremap",
	.step = mremap_step,
	.errno_changing = EFAULT,
};

static int perforate(struct arena *a, unsigned int first)
{
	unsigned int gen = change_begin(a), i;

	for (i = first + 1; i < first + 64; i += 2) {
		if (madvise(a->addr + i * SZ_4K, SZ_4K, MADV_DONTNEED))
			return fault("MADV_DONTNEED: %m");
		arena_tag(a, i, 1, gen);
	}
	change_end(a);
	return 0;
}

/*
 * Other memory, which has been made ready elsewhere, in place of what is there, by one system
 * call. Nothing is missing for any moment, and it is as quick as a change can be: it has to happen
 * between two steps of a registration.
 *
 * In between, every other page of a part is replaced one by one: so of a large folio, some pages
 * are mapped and some have not been for long, when a whole one comes in its place.
 */
static int replace_step(struct arena *a, unsigned int round)
{
	unsigned int gen = atomic_load(&a->started) + 1, i;
	struct range r = rng_range(a, 64);
	char *away;

	(void)round;
	if (a->kind == KIND_THP)
		r = (struct range){ .first = rng_below(2) * PAGES_2M, .n = PAGES_2M };
	away = a->away + r.first * SZ_4K;
	if (arena_map_at(a, away, r.n * SZ_4K, 0))
		return FAILED;
	for (i = 0; i < r.n; i++)
		((struct head *)(away + i * SZ_4K))->tag = tag_make(OWNER_ARENA, r.first + i, gen);

	change_begin(a);
	if (move(away, a->addr + r.first * SZ_4K, r.n * SZ_4K))
		return FAILED;
	for (i = r.first; i < r.first + r.n; i++)
		atomic_store(&a->gen[i], gen);
	change_end(a);
	if (rng_below(2) && perforate(a, rng_below(a->pages - 64)))
		return FAILED;
	return 1;
}

const struct change change_replace = {
	.name = "mremap over it",
	.step = replace_step,
};

/* --- mprotect ------------------------------------------------------------------------------ */

static int protect(struct arena *a, struct range r, int prot)
{
	unsigned char deny = prot == PROT_NONE ? DENY_READ | DENY_WRITE :
			     prot == PROT_READ ? DENY_WRITE : 0;
	unsigned int i;

	change_begin(a);
	if (mprotect(a->addr + r.first * SZ_4K, r.n * SZ_4K, prot))
		return fault("mprotect: %m");
	for (i = r.first; i < r.first + r.n; i++)
		atomic_store(&a->deny[i], deny);
	change_end(a);
	return 0;
}

/* A part, often a small one, for a time. */
static int mprotect_step(struct arena *a, unsigned int round)
{
	static const int prots[] = { PROT_NONE, PROT_READ, PROT_READ };
	struct range r = rng_range(a, rng_below(2) ? 1 : 40);
	int prot = prots[rng_below(ARRAY_SIZE(prots))];

	/* What a mapping refused is not always huge again when it permits. */
	if (round % (4 * RENEW_EVERY) == 0 && arena_renew(a))
		return FAILED;
	if (protect(a, r, prot))
		return FAILED;
	mutator_pause();
	return protect(a, r, PROT_READ | PROT_WRITE) ?: 1;
}

const struct change change_mprotect = {
	.name = "mprotect",
	.step = mprotect_step,
	.errno_changing = EFAULT,
};

/* --- other parts of a file ----------------------------------------------------------------- */

/*
 * A page of the file that is about to be mapped: if it is not of the generation that is mapped
 * already, put a new one in its place, as pins shall keep what they have.
 */
static int renew_file_page(struct arena *a, unsigned int half, unsigned int page, unsigned int gen)
{
	off_t off = (half + page) * SZ_4K;
	struct head *head = (struct head *)(a->alias + off);

	if (head->tag == tag_make(OWNER_ARENA, page, atomic_load(&a->gen[page])))
		return 0;
	if (fallocate(a->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, off, SZ_4K))
		return fault("fallocate: %m");
	head->tag = tag_make(OWNER_ARENA, page, gen);
	return 0;
}

/*
 * The file is twice as long as the arena. Each page of the arena can be mapped to its place in the
 * first half or in the second, shared or private; so a folio of the file is often mapped in part
 * only, and what follows in the folio is not what follows in memory, or is, but in a mapping that
 * wants copies of its own.
 */
static int neighbours_step(struct arena *a, unsigned int round)
{
	struct range r = rng_range(a, 24);
	unsigned int gen, half = rng_below(2) * a->pages, i;
	int flags = MAP_FIXED | (rng_below(2) ? MAP_PRIVATE : MAP_SHARED);
	char *addr = a->addr + r.first * SZ_4K;
	off_t off = (half + r.first) * SZ_4K;

	if (round % (2 * RENEW_EVERY) == 0)
		return arena_renew(a) ?: 1;
	gen = change_begin(a);
	for (i = r.first; i < r.first + r.n; i++)
		if (renew_file_page(a, half, i, gen))
			return FAILED;
	if (mmap(addr, r.n * SZ_4K, PROT_READ | PROT_WRITE, flags, a->fd, off) == MAP_FAILED)
		return fault("mmap: %m");
	if (a->kind != KIND_SHMEM && madvise(addr, r.n * SZ_4K, MADV_HUGEPAGE))
		return fault("MADV_HUGEPAGE: %m");
	/* Looking at a page maps it, and does not copy a private one. */
	for (i = r.first; i < r.first + r.n; i++)
		atomic_store(&a->gen[i], (uint32_t)arena_head(a, i)->tag);
	change_end(a);
	return 1;
}

const struct change change_neighbours = {
	.name = "parts of a file side by side",
	.step = neighbours_step,
};
