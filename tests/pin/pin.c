// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Pin memory of every kind in every state, and check it against the page tables.
 *
 * Most tests come from a table: kind x state x part of the memory x access. kinds.h has
 * the first two, check.h the checks. fuzz.c has random layouts; special.c, uffd.c and
 * calls.c have tests that do not fit the table.
 */
#define _GNU_SOURCE
#include <stdlib.h>

#include "cases.h"
#include "check.h"
#include "device.h"
#include "kinds.h"
#include "knobs.h"
#include "test.h"

/* Which part is pinned; "unit" is the size of a folio. */
struct part {
	const char *name;
	void (*cut)(const struct layout *l, size_t *off, size_t *len);
};

struct test_case {
	const struct kind *kind;
	enum fault_state state;
	const struct part *part;
	bool writable;
};

static void whole(const struct layout *l, size_t *off, size_t *len)
{
	*off = 0;
	*len = l->size;
}

static void odd_start(const struct layout *l, size_t *off, size_t *len)
{
	*off = 123;
	*len = l->size - *off;
}

static void odd_end(const struct layout *l, size_t *off, size_t *len)
{
	*off = 0;
	*len = l->size - 77;
}

static void mid_start(const struct layout *l, size_t *off, size_t *len)
{
	*off = l->unit / 2;
	*len = l->size - *off;
}

static void mid_end(const struct layout *l, size_t *off, size_t *len)
{
	*off = 0;
	*len = l->size - l->unit / 2;
}

static void odd_mids(const struct layout *l, size_t *off, size_t *len)
{
	*off = l->unit / 2 + 123;
	*len = l->size - l->unit / 2 - 77 - *off;
}

static void one_byte(const struct layout *l, size_t *off, size_t *len)
{
	*off = l->unit / 2 + 1;
	*len = 1;
}

static void seam(const struct layout *l, size_t *off, size_t *len)
{
	*off = l->unit - 5;
	*len = 10;
}

static const struct part parts[] = {
	{ "whole", whole },
	{ "odd-mids", odd_mids },
	/* Only kinds with all_parts are pinned in these. */
	{ "odd-start", odd_start },
	{ "odd-end", odd_end },
	{ "mid-start", mid_start },
	{ "mid-end", mid_end },
	{ "one-byte", one_byte },
	{ "seam", seam },
};

#define FEW_PARTS 2

static int test_case(const void *arg)
{
	const struct test_case *c = arg;
	struct child child = { .pid = 0 };
	struct layout l;
	size_t off, len;
	int err;

	err = kind_open(c->kind, &l) ?: kind_enter(c->kind, &l, c->state, &child);
	c->part->cut(&l, &off, &len);
	if (!err)
		err = check_region(&l, l.begin + off, len, c->writable,
				   c->writable ? c->kind->writable_errno : 0);
	/*
	 * Pinning was the first to touch the memory, so it has its folios now. Read-only
	 * pins are different: they meet the zero page, and get base pages in its place.
	 */
	if (!err && c->state == UNTOUCHED && c->writable && c->kind->order != UNKNOWN)
		err = layout_prove_order(&l, l.begin + off, len, c->kind->order);
	if (child.pid)
		err = child_join(&child) ?: err;
	layout_close(&l);
	return err;
}

/* Add a read-only and a writable case, if the kind has this state and is pinned in this part. */
static void add_cases(const struct kind *kind, enum fault_state state, const struct part *part)
{
	bool all = kind->all_parts && state <= TOUCHED;
	int writable;

	if (!(kind->states & ONLY(state)) || !(all || part < parts + FEW_PARTS))
		return;
	for (writable = 0; writable < 2; writable++) {
		struct test_case *c = malloc(sizeof(*c));

		if (!c)
			die("out of memory");
		*c = (struct test_case){ kind, state, part, writable };
		test_add(test_case, c, "%s/%s/%s/%s", kind->name, state_name[state], part->name,
			 writable ? "write" : "read");
	}
}

static void add_table(void)
{
	const struct kind *all;
	enum fault_state state;
	size_t nr, i, j;

	all = kinds(&nr);
	for (i = 0; i < nr; i++)
		for (state = 0; state < STATES; state++)
			for (j = 0; j < ARRAY_SIZE(parts); j++)
				add_cases(&all[i], state, &parts[j]);
}

static uint64_t seed = 1;

static void option(int c, const char *arg)
{
	(void)c;
	seed = strtoul(arg, NULL, 0);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "seed", required_argument, NULL, 's' },
		{},
	};
	static const struct program program = {
		.about = "Pin memory by /dev/phyr_test, and check it against the page tables.",
		.options_help =
			"  --seed N           first seed of the random layouts (default: 1)\n",
		.options = options,
		.option = option,
		.watchdog_s = 120,
	};

	program_start(&program, argc, argv);
	device_open();
	knobs_open();
	add_table();
	add_special();
	add_uffd();
	add_calls();
	add_fuzz(seed);
	add_memory();
	return test_run();
}
