/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * Memory of a chosen kind, for the benchmarks and the tests.
 *
 *	backing.c	the kinds, and how one is made: reserve address space, map, fault in
 *	anon.c		anonymous memory: base pages, huge pages, malloc()'s heap
 *	hugetlb.c	huge pages from the reserved pools
 *	file.c		pages of files, on tmpfs and on a disk
 *	forked.c	memory that another process shares copy-on-write
 *	fault.c		faulting memory in
 *	setting.c	which transparent huge pages the kernel hands out
 *	look.c		what the kernel says of memory that is there
 *	makers.h	what the parts that make memory share
 *	reason.h	how a part says what went wrong
 */
#ifndef PERF_MEMORY_BACKING_H
#define PERF_MEMORY_BACKING_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

enum backing_kind {
	BACKING_4K,		/* anonymous base pages */
	BACKING_FRAG,		/* pages of a memfd in random order: few neighbours adjacent */
	BACKING_THP,		/* anonymous, of the processor's huge size, mapped by a PMD */
	BACKING_THP_PTE,	/* the same pages, mapped by PTEs */
	BACKING_HUGE2M_SHARED,	/* 2 MiB of a memfd from the pool, no neighbours adjacent */
	BACKING_HUGE1G,		/* 1 GiB from the pool */
	BACKING_MIXED,		/* 2 MiB each of 4k, thp, huge2m-shared and frag */
	BACKING_HUGE2M,		/* 2 MiB from the pool */
	BACKING_MALLOC,		/* from malloc()'s heap, in pages of any size */
	BACKING_MTHP16K,	/* anonymous, up to 1 MiB, each twice the one before */
	BACKING_MTHP32K,
	BACKING_MTHP64K,
	BACKING_MTHP128K,
	BACKING_MTHP256K,
	BACKING_MTHP512K,
	BACKING_MTHP1M,
	BACKING_4K_FORKED,	/* anonymous memory that a child process shares, copy-on-write */
	BACKING_MTHP64K_FORKED,
	BACKING_THP_FORKED,
	BACKING_FILE_SHARED,	/* of a disk file, in folios as large as there are */
	BACKING_FILE_PRIVATE,	/* the same up to 64 KiB, in a private mapping */
	BACKING_TMPFS4K_SHARED,	/* of a memfd: base pages, or larger folios */
	BACKING_TMPFS4K_PRIVATE,
	BACKING_TMPFS64K_SHARED,
	BACKING_TMPFS64K_PRIVATE,
	BACKING_TMPFS2M_SHARED,
	BACKING_NR_KINDS
};

struct backing_spec {
	enum backing_kind kind;
	size_t size;		/* bytes wanted; what is mapped is rounded up to whole pages */
	bool aliased;		/* one huge page over and over (huge2m and huge1g only) */
	bool untouched;		/* leave faulting or mapping the pages in to the first user */
	bool shuffled;		/* touch the pages in random order */
	bool exact;		/* make all of the memory of its kind, or refuse */
};

struct backing {
	enum backing_kind kind;
	size_t page_size;
	char *start;		/* aligned to page_size, and to 2 MiB at least (not malloc) */
	size_t len;		/* a multiple of page_size */
	void *map;		/* address space around it, of its own (not malloc) */
	size_t map_len;
	pid_t sharer;		/* the child that shares it, or 0 */
};

const char *backing_name(enum backing_kind kind);

/* The kind of that name; BACKING_NR_KINDS if there is none. */
enum backing_kind backing_find(const char *name);

/* Whether spec.untouched is possible. Other kinds are made by touching them. */
bool backing_can_be_untouched(enum backing_kind kind);

/* Whether spec.shuffled means anything. */
bool backing_can_be_shuffled(enum backing_kind kind);

/* Whether spec.aliased is possible. */
bool backing_can_be_aliased(enum backing_kind kind);

/*
 * Whether pinning makes a copy of the memory for this process, even pinning for reading only. The
 * copy is memory of another kind, so each measurement needs new memory.
 */
bool backing_is_copied(enum backing_kind kind);

/*
 * Map memory. Returns 0, or -errno with a sentence in @why that says what is wrong and what to do
 * about it. Memory that the machine does not have is refused here, before the OOM killer wakes.
 *
 * For some kinds, this changes a setting of the whole machine for a moment: which sizes of
 * transparent huge pages the kernel hands out.
 */
int backing_map(struct backing *b, const struct backing_spec *spec, char *why, size_t why_len);

/*
 * Map memory at @start, which replaces what is mapped there. All of it is exactly of its kind.
 * @start and @len are multiples of 2 MiB. Not for malloc, huge1g, and memory that a child shares.
 */
int backing_map_at(enum backing_kind kind, char *start, size_t len, char *why, size_t why_len);

void backing_unmap(struct backing *b);

/*
 * How much of the memory really is in pages of its kind, in percent; or -errno. It may be less than
 * 100 for transparent huge pages, since the kernel promises none.
 */
int backing_percent(const struct backing *b);

/*
 * Reserve address space without memory. Returns a multiple of @align with @len bytes behind it, or
 * NULL with errno. Some bytes on either side are reserved, too. In all, *map_len bytes from *map on
 * are reserved.
 */
void *backing_reserve(size_t len, size_t align, void **map, size_t *map_len);

/* A memfd of @len bytes in huge pages of @page_size from the pool; -1 with errno. */
int backing_hugetlb_file(size_t page_size, size_t len);

#endif
