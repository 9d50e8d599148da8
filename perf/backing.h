/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * Memory to register, of a chosen kind: base pages, transparent huge pages of the processor's size
 * (THP) or of a smaller one (mTHP), or huge pages of 2 MiB or 1 GiB from the reserved pools.
 */
#ifndef PERF_BACKING_H
#define PERF_BACKING_H

#include <stdbool.h>
#include <stddef.h>

enum backing_kind {
	BACKING_4K,
	BACKING_MALLOC,		/* from malloc()'s heap, in what pages it is given */
	BACKING_MTHP16K,	/* up to 1 MiB, each twice the one before */
	BACKING_MTHP32K,
	BACKING_MTHP64K,
	BACKING_MTHP128K,
	BACKING_MTHP256K,
	BACKING_MTHP512K,
	BACKING_MTHP1M,
	BACKING_THP,
	BACKING_HUGE2M,
	BACKING_HUGE1G,
	BACKING_NR_KINDS
};

struct backing_spec {
	enum backing_kind kind;
	size_t size;		/* bytes wanted; what is mapped is rounded up to whole pages */
	bool aliased;		/* one huge page, mapped over and over (huge2m and huge1g only) */
	bool untouched;		/* leave faulting the pages in to the first user */
	bool shuffled;		/* touch the pages in random order, so that neighbours are rare
				 * (not malloc)
				 */
};

struct backing {
	enum backing_kind kind;
	size_t page_size;
	char *start;		/* aligned to page_size, and to 2 MiB at least (not malloc) */
	size_t len;		/* a multiple of page_size */
};

const char *backing_name(enum backing_kind kind);

/* The kind of that name; BACKING_NR_KINDS if there is none. */
enum backing_kind backing_find(const char *name);

/* Whether the pages come from a reserved pool. */
bool backing_is_hugetlb(enum backing_kind kind);

/* Whether they are transparent huge pages of less than the processor's size. */
bool backing_is_mthp(enum backing_kind kind);

/*
 * Which sizes of transparent huge pages the kernel hands out is a setting of the whole machine. For
 * an mTHP backing it is changed while the memory is faulted in, and put back.
 *
 * 0, or -errno with a sentence in @why that says what is wrong and what to do about it. Memory that
 * the machine does not have is refused here rather than left to the OOM killer.
 */
int backing_map(struct backing *b, const struct backing_spec *spec, char *why, size_t why_len);

void backing_unmap(struct backing *b);

/*
 * How much of the memory really is in pages of its kind, in percent; or -errno. Less than 100 is
 * possible for transparent huge pages, of which the kernel promises none.
 */
int backing_percent(const struct backing *b);

#endif
