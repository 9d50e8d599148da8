// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Arenas: memory of each kind that can be mapped anew, piece by piece, at the same address.
 *
 * Arenas lie far below the addresses that mmap() chooses, so that no other mapping comes into a
 * hole that a mutator leaves for a moment.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "memory.h"
#include "race.h"

#define ARENA_ADDR	((char *)(1UL << 44))
#define AWAY_ADDR	((char *)(1UL << 44) + GIB)

const char *const kind_name[KIND_COUNT] = {
	[KIND_4K] = "4k",
	[KIND_64K] = "64k",
	[KIND_THP] = "thp",
	[KIND_SHMEM] = "shmem",
	[KIND_SHMEM_64K] = "shmem 64k",
	[KIND_SHMEM_2M] = "shmem 2M",
	[KIND_HUGETLB] = "hugetlb",
	[KIND_HUGETLB_PRIVATE] = "hugetlb private",
};

static bool is_file(const struct arena *a)
{
	return a->kind >= KIND_SHMEM && a->kind <= KIND_HUGETLB;
}

unsigned int arena_unit(const struct arena *a)
{
	return a->kind >= KIND_HUGETLB ? PAGES_2M : 1;
}

struct head *arena_head(const struct arena *a, unsigned int page)
{
	return (struct head *)(a->addr + page * SZ_4K);
}

unsigned int change_begin(struct arena *a)
{
	return atomic_fetch_add(&a->started, 1) + 1;
}

void change_end(struct arena *a)
{
	atomic_store(&a->done, a->started);
}

void arena_tag(struct arena *a, unsigned int first, unsigned int n, unsigned int gen)
{
	unsigned int i;

	for (i = first; i < first + n; i++) {
		arena_head(a, i)->tag = a->twins ? tag_make(OWNER_ARENA, TWIN, 0) :
						   tag_make(OWNER_ARENA, i, gen);
		atomic_store(&a->gen[i], gen);
	}
}

int arena_map_at(const struct arena *a, char *addr, size_t len, off_t off)
{
	int flags = MAP_FIXED;

	if (is_file(a))
		flags |= MAP_SHARED;
	else
		flags |= MAP_PRIVATE | MAP_ANONYMOUS |
			 (a->kind == KIND_HUGETLB_PRIVATE ? MAP_HUGETLB : 0);
	if (mmap(addr, len, PROT_READ | PROT_WRITE, flags, a->fd, off) == MAP_FAILED)
		return fault("mmap: %m");
	switch (a->kind) {
	case KIND_4K:
	case KIND_SHMEM:
		return madvise(addr, len, MADV_NOHUGEPAGE) ? fault("MADV_NOHUGEPAGE: %m") : 0;
	case KIND_HUGETLB:
	case KIND_HUGETLB_PRIVATE:
		return 0;
	default:
		return madvise(addr, len, MADV_HUGEPAGE) ? fault("MADV_HUGEPAGE: %m") : 0;
	}
}

/* Takes a file's pages out of the file first, or the old ones would come back. */
int arena_map(struct arena *a, unsigned int first, unsigned int n)
{
	off_t off = first * SZ_4K;
	size_t len = n * SZ_4K;

	if (is_file(a) && fallocate(a->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, off, len))
		return fault("fallocate: %m");
	return arena_map_at(a, a->addr + off, len, off);
}

int arena_renew(struct arena *a)
{
	unsigned int gen = change_begin(a);
	int err;

	err = arena_map(a, 0, a->pages);
	if (!err)
		arena_tag(a, 0, a->pages, gen);
	change_end(a);
	return err;
}

/*
 * If a hole is punched into a folio of a file while the folio is pinned, the pages become zero and
 * stay in the file. So the pinned pages get new heads later.
 */
bool arena_reuses(const struct arena *a)
{
	return a->kind == KIND_SHMEM_64K || a->kind == KIND_SHMEM_2M;
}

/* Check that the folios are there, or a race would not test them. */
static int check_kind(const struct arena *a)
{
	size_t len = a->pages * SZ_4K, want = SZ_4K;
	struct runs runs;

	if (phys_runs(a->addr, len, &runs))
		return FAILED;
	switch (a->kind) {
	case KIND_THP:
		if (smaps_kb(a->addr, len, "AnonHugePages") * KIB != len)
			return fail("no transparent huge pages");
		return PASSED;
	case KIND_SHMEM_2M:
		if (smaps_kb(a->addr, len, "ShmemPmdMapped") * KIB != len)
			return fail("no huge pages in the memfd; is shmem_enabled \"advise\"?");
		return PASSED;
	case KIND_64K:
	case KIND_SHMEM_64K:
		want = PAGES_64K * SZ_4K;
		break;
	default:
		break;
	}
	if (runs.largest < want || runs.count > len / want)
		return fail("%zu runs instead of %zu: no folios of %zu KiB", runs.count, len / want,
			    want / KIB);
	return PASSED;
}

int arena_open(struct arena *a, enum kind kind)
{
	size_t len;

	memset(a, 0, sizeof(*a));
	a->kind = kind;
	a->addr = ARENA_ADDR;
	a->away = AWAY_ADDR;
	a->fd = -1;
	a->pages = kind == KIND_64K || kind == KIND_SHMEM || kind == KIND_SHMEM_64K ? 256 :
									      2 * PAGES_2M;
	len = a->pages * SZ_4K;
	if (kind == KIND_HUGETLB)
		a->fd = hugetlb_memfd(SZ_2M, len);
	else if (is_file(a))
		a->fd = memfd_create("phyr-races", MFD_CLOEXEC);
	/* The file is twice as long, so that there is other memory to map at the same address. */
	if (is_file(a) && (a->fd < 0 || ftruncate(a->fd, 2 * len)))
		return fail("memfd: %m");
	if (is_file(a)) {
		a->alias = mmap(NULL, 2 * len, PROT_READ | PROT_WRITE, MAP_SHARED, a->fd, 0);
		if (a->alias == MAP_FAILED) {
			a->alias = NULL;
			return fail("mmap: %m");
		}
	}
	if (arena_renew(a))
		return FAILED;
	return check_kind(a);
}

void arena_close(struct arena *a)
{
	munmap(a->addr, a->pages * SZ_4K);
	munmap(a->away, a->pages * SZ_4K);
	if (a->alias)
		munmap(a->alias, 2 * a->pages * SZ_4K);
	if (a->fd >= 0)
		close(a->fd);
}
