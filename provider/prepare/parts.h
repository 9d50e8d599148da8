/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * What the parts of prepare share; prepare.c tells the story.
 */
#ifndef PHYR_PREPARE_PARTS_H
#define PHYR_PREPARE_PARTS_H

#include <sched.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>

#include "prepare.h"

#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))
#define PREPARE_MIB	((size_t)1 << 20)

/* Less than that is not worth a system call; prepare.c says why. */
#define PREPARE_LEAST	(4 * PREPARE_MIB)

/* Whole pages, [start, end). */
struct range {
	uintptr_t start;
	uintptr_t end;
};

static inline size_t range_size(struct range range)
{
	return range.end - range.start;
}

/* The whole units (a power of two) that are in it. */
static inline struct range range_inside(struct range range, size_t unit)
{
	struct range inside = {
		.start = (range.start + unit - 1) & ~(unit - 1),
		.end = range.end & ~(unit - 1),
	};

	if (inside.start > inside.end)
		inside.end = inside.start;
	return inside;
}

static inline bool advise(uintptr_t start, size_t size, int advice)
{
	return !madvise((void *)start, size, advice);
}

/* A range that lies in one mapping. */
struct part {
	struct range range;
	struct range mapping;	/* that one, as far as it is registered */
	size_t page_size;
	bool anonymous;		/* private, and not a stack: may have transparent huge pages */
	size_t thp_size;	/* of those it will be populated with; 0: none, so far as we know */
};

/* Memory in more pieces is left to the kernel. */
enum { PREPARE_PARTS = 64 };

struct parts {
	unsigned int count;
	struct part part[PREPARE_PARTS];
};

/* look.c */

/* Is all of it populated, so far as a few samples tell? */
bool prepare_is_resident(struct range range);
/* A file for prepare_mapping(), or -1. */
int prepare_open_maps(void);
/* The mapping that an address is in. */
bool prepare_mapping(int maps, uintptr_t addr, struct range *mapping);
/*
 * The mappings that can be prepared. False if the range is to be left alone: the kernel would
 * refuse to register it, or might, or we do not know, as there are too many mappings.
 */
bool prepare_find_mappings(struct range range, struct parts *mappings);
/* Those ranges of them, of PREPARE_LEAST or more, in which not a page is populated. */
void prepare_find_untouched(const struct parts *mappings, struct parts *untouched);
/* Bytes that are populated with base pages. */
size_t prepare_count_base(struct range range);
/* The first line of a small file, without its end; false if it is not shorter than that. */
bool prepare_read_line(const char *path, char *line, size_t size);

/* huge.c: both return how many bytes. */

/* And sets thp_size. */
size_t prepare_advise_huge(struct parts *untouched);
size_t prepare_collapse(const struct parts *mappings);

/* ends.c */

/*
 * Populate the base pages before the first huge page and behind the last, if they are to be side by
 * side. Adds to @bytes what was; false after an error, which the kernel is going to meet as well.
 */
bool prepare_ends(const struct part *part, size_t *bytes);

/* populate.c */

void prepare_populate(const struct parts *untouched, uint32_t max_threads,
		      struct prepare_report *report);

/* zones.c */

/* Would what we populate have to be moved to be pinned? */
bool prepare_may_be_moved(void);

/* cpus.c */

/* How many threads may populate at a time, and on which CPUs. */
unsigned int prepare_find_cpus(cpu_set_t *cpus);

#endif
