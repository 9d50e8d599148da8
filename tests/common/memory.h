/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * Memory of a chosen kind, and what the kernel tells of it.
 */
#ifndef PHYR_TESTS_COMMON_MEMORY_H
#define PHYR_TESTS_COMMON_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum backing {
	BACKING_4K,		/* anonymous base pages */
	BACKING_FRAG,		/* pages of a memfd in shuffled order: no two neighbours adjacent */
	BACKING_THP,		/* anonymous 2 MiB folios, mapped by a PMD */
	BACKING_THP_PTE,	/* the same folios mapped by PTEs */
	BACKING_HUGE2M,		/* hugetlb 2 MiB, neighbours not adjacent */
	BACKING_HUGE1G,		/* across the end of a 1 GiB page that is mapped twice */
	BACKING_MIXED,		/* 2 MiB each of 4k, thp, huge2m, frag */
	BACKING_COUNT,
};

extern const char *const backing_name[BACKING_COUNT];

struct buf {
	char *addr;		/* the memory under test */
	size_t len;
	enum backing backing;
	uint16_t seed;		/* of the pattern it is filled with */
	void *map;		/* what to unmap */
	size_t map_len;
};

/* len is a multiple of 2 MiB. The memory is present, and proven to be what was asked for. */
int buf_open(struct buf *buf, enum backing backing, size_t len);
/* The same at an address of the caller's choice, a multiple of 2 MiB; not for BACKING_HUGE1G. */
int memory_map(enum backing backing, char *addr, size_t len);
void buf_close(struct buf *buf);
void buf_fill(struct buf *buf, uint16_t seed);
int buf_check(const struct buf *buf);

int hugetlb_memfd(size_t page_size, size_t len);
void *map_reserve(size_t len, size_t align, void **map, size_t *map_len);
int map_fixed(void *addr, size_t len, int prot, int flags, int fd, off_t off);

/* Physically contiguous runs behind present memory, from /proc/self/pagemap. */
struct runs {
	size_t count;
	size_t largest;		/* bytes */
};

int phys_runs(const void *addr, size_t len, struct runs *runs);
/* The PFN of each page, from /proc/self/pagemap; 0 if it is not present. */
void phys_pfns(const void *addr, size_t pages, uint64_t *pfn);
uint64_t phys_pfn(const void *addr);
/* Flags of pages, from /proc/kpageflags; bits as in linux/kernel-page-flags.h. */
void phys_flags(const uint64_t *pfn, size_t pages, uint64_t *flags);
/* Sum of one field of /proc/self/smaps ("AnonHugePages") over all mappings inside the range. */
long smaps_kb(const void *addr, size_t len, const char *field);
/* Has the mapping of this address the flag ("hg"), in the line VmFlags of /proc/self/smaps? */
bool smaps_flag(const void *addr, const char *flag);

#endif
