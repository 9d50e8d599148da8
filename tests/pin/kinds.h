/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * The kinds of memory that are pinned, and the states they can be in.
 */
#ifndef PHYR_TESTS_PIN_KINDS_H
#define PHYR_TESTS_PIN_KINDS_H

#include "layout.h"

enum fault_state {
	UNTOUCHED,	/* mapped, and that is all */
	TOUCHED,	/* written to */
	READ,		/* read only: private memory maps zero pages, or the file's */
	SWAPPED,	/* written to, and swapped out */
	FORKED,		/* written to, then forked; the child lives, and both have read */
	GONE,		/* the same, but the child has exited: nothing of it is shared any more */
	PARTLY,		/* the same, and a part of the pages has been written to since */
	HALF_FORKED,	/* the child lives, and was not given some pages of each folio */
	STATES,
};

extern const char *const state_name[STATES];

#define ONLY(state)	(1U << (state))
#define ALL_STATES	(ONLY(STATES) - 1)

/*
 * A kind maps memory, untouched if it can be. Its order is that of the folios
 * that the memory has once it is touched, or UNKNOWN.
 */
#define UNKNOWN 99

struct kind {
	const char *name;
	int (*map)(struct layout *l, const struct kind *kind);
	int (*after_touch)(struct layout *l);
	size_t len;
	unsigned int order;
	unsigned int states;
	bool all_parts;		/* the first of its sort: pin all parts, others the most telling */
	unsigned int object_order;	/* of the folios of memfds */
	const char *inherit;		/* see knobs_inherit() */
	int writable_errno;	/* of a writable pin */
};

/* All of them. Those that depend on the kernel come and go with it. */
const struct kind *kinds(size_t *nr);

/* Map, and bring to a state. If there is a child that lives then, child->pid is set. */
int kind_open(const struct kind *kind, struct layout *l);
int kind_enter(const struct kind *kind, struct layout *l, enum fault_state state,
	       struct child *child);

#endif
