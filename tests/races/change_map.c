// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Changes of mappings: munmap() and mmap(), mremap(), mprotect(), and different parts of a file
 * side by side.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>

#include "race.h"

/* Changes of pieces break large folios up. After so many changes, map whole ones again. */
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

/* Replace a page that has been moved away. */
static int replace(char *addr, uint64_t tag)
{
	if (madvise(addr, SZ_4K, MADV_DONTNEED))
		return fault("MADV_DONTNEED: %m");
	((struct head *)addr)->tag = tag;
	return 0;
}

/*
 * Move pages away and back. A whole PMD moves with its page table. While the pages are away, some
 * are replaced by foreign ones: a registrar that still looks at the old page table finds these.
 * Before the pages come back, new ones of ours replace the foreign ones.
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
	/* A whole PMD keeps its alignment. Other pages get another place in their page table. */
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
 * Replace memory by other memory, which was prepared elsewhere, with one system call. Memory is
 * mapped at every moment. The change is as quick as a change can be, to come between two steps of
 * a registration.
 *
 * Between such changes, replace every other page of a part, one by one. So when a whole folio
 * comes, it may replace one of which only some pages were still mapped.
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

/* Protect a part, often a single page, for a while. */
static int mprotect_step(struct arena *a, unsigned int round)
{
	static const int prots[] = { PROT_NONE, PROT_READ, PROT_READ };
	struct range r = rng_range(a, rng_below(2) ? 1 : 40);
	int prot = prots[rng_below(ARRAY_SIZE(prots))];

	/* Memory that was protected does not always become huge again. */
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
 * Prepare a page of the file that is about to be mapped. If it is not of the generation that is
 * mapped now, replace it by a new one, since pins must keep the old one as it is.
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
 * first half or in the second, shared or private. So a folio of the file is often mapped only in
 * part. Behind that part, memory may have pages of another folio, or the next pages of the same
 * folio in a private mapping, which wants copies of its own.
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
	/* Reading a page maps it, and does not copy a private one. */
	for (i = r.first; i < r.first + r.n; i++)
		atomic_store(&a->gen[i], (uint32_t)arena_head(a, i)->tag);
	change_end(a);
	return 1;
}

const struct change change_neighbours = {
	.name = "parts of a file side by side",
	.step = neighbours_step,
};
