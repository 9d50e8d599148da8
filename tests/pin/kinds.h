/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * The kinds of memory that are pinned, and the states they can be in.
 */
#ifndef PHYR_TESTS_PIN_KINDS_H
#define PHYR_TESTS_PIN_KINDS_H

#include "layout.h"

enum fault_state {
	UNTOUCHED,	/* only mapped */
	TOUCHED,	/* written to */
	READ,		/* read only: private memory maps zero pages, or the file's */
	SWAPPED,	/* written to, and swapped out */
	FORKED,		/* written to, then forked; the child lives, and both have read */
	GONE,		/* the same, but the child has exited, so nothing is shared any more */
	PARTLY,		/* the same, and a part of the pages has been written to since */
	HALF_FORKED,	/* the child lives, but does not have some pages of each folio */
	STATES,
};

extern const char *const state_name[STATES];

#define ONLY(state)	(1U << (state))
#define ALL_STATES	(ONLY(STATES) - 1)

/*
 * A kind maps memory, and leaves it untouched if possible. Its order is that of the
 * memory's folios once they are touched, or UNKNOWN.
 */
#define UNKNOWN 99

struct kind {
	const char *name;
	int (*map)(struct layout *l, const struct kind *kind);
	int (*after_touch)(struct layout *l);
	size_t len;
	unsigned int order;
	unsigned int states;
	bool all_parts;		/* pin it in all parts of pin.c, not in the first few only */
	unsigned int object_order;	/* of the folios of memfds */
	const char *inherit;		/* see knobs_inherit() */
	int writable_errno;	/* what a writable pin fails with; 0: it succeeds */
};

/* All kinds that this kernel has. */
const struct kind *kinds(size_t *nr);

/* Map the memory; bring it to a state. child->pid is set if the state has a living child. */
int kind_open(const struct kind *kind, struct layout *l);
int kind_enter(const struct kind *kind, struct layout *l, enum fault_state state,
	       struct child *child);

#endif
