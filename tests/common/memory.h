/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * Memory for tests, which perf/memory makes, and what the kernel says about it. A test fails if it
 * cannot get its memory. The program ends if it cannot read a file of /proc.
 */
#ifndef PHYR_TESTS_COMMON_MEMORY_H
#define PHYR_TESTS_COMMON_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "backing.h"
#include "look.h"

/* How many kinds the tests go through: the first ones of the list, which differ most. */
enum { BACKING_COUNT = BACKING_MIXED + 1 };

struct buf {
	char *addr;		/* the memory under test */
	size_t len;
	enum backing_kind backing;
	uint16_t seed;		/* of the pattern it is filled with */
	void *map;		/* what to unmap */
	size_t map_len;
};

/*
 * len is a multiple of 2 MiB. The memory is present, and was checked to be of this kind. For
 * BACKING_HUGE1G, one page is mapped twice, side by side, and the memory lies across the border.
 */
int buf_open(struct buf *buf, enum backing_kind kind, size_t len);
/* Map such memory at an address that is a multiple of 2 MiB; not for BACKING_HUGE1G. */
int memory_map(enum backing_kind kind, char *addr, size_t len);
void buf_close(struct buf *buf);
void buf_fill(struct buf *buf, uint16_t seed);
int buf_check(const struct buf *buf);

int hugetlb_memfd(size_t page_size, size_t len);
void *map_reserve(size_t len, size_t align, void **map, size_t *map_len);
int map_fixed(void *addr, size_t len, int prot, int flags, int fd, off_t off);

int phys_runs(const void *addr, size_t len, struct runs *runs);
/* The PFN of each page; 0 if it is not present. */
void phys_pfns(const void *addr, size_t pages, uint64_t *pfn);
uint64_t phys_pfn(const void *addr);
/* Flags of pages; bits as in linux/kernel-page-flags.h. */
void phys_flags(const uint64_t *pfn, size_t pages, uint64_t *flags);
/* Sum of one field of /proc/self/smaps ("AnonHugePages") over all mappings inside the range. */
long smaps_kb(const void *addr, size_t len, const char *field);
/* Has the mapping of this address the flag ("hg"), in the line VmFlags of /proc/self/smaps? */
bool smaps_flag(const void *addr, const char *flag);

#endif
