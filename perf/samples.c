// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Arguments, memory and series of times for pin_floor and umem_time; see samples.h.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "samples.h"

/* So much of the memory must be in folios of its kind. Otherwise we would time other folios. */
#define FOLIO_PERCENT 99

uint64_t *samples_alloc(size_t nr)
{
	uint64_t *array = calloc(nr, sizeof(*array));

	if (!array)
		die("no memory for %zu numbers", nr);
	return array;
}

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

double samples_median(uint64_t *ns, size_t nr)
{
	qsort(ns, nr, sizeof(*ns), compare);
	return (ns[(nr - 1) / 2] + ns[nr / 2]) / 2.0;
}

size_t samples_options(int argc, char **argv, const char *usage, size_t rounds, int arguments,
		       bool *read_only)
{
	int option;

	while ((option = getopt(argc, argv, read_only ? "n:rh" : "n:h")) != -1) {
		if (option == 'n')
			rounds = strtoul(optarg, NULL, 10);
		if (option == 'r')
			*read_only = true;
		if ((option != 'n' && option != 'r') || !rounds) {
			fputs(usage, option == 'h' ? stdout : stderr);
			exit(option == 'h' ? 0 : 2);
		}
	}
	if (argc - optind < arguments) {
		fputs(usage, stderr);
		exit(2);
	}
	return rounds;
}

void samples_parse(char *arg, enum backing_kind *kind, size_t *size)
{
	char *colon = strchr(arg, ':'), *end;

	if (!colon)
		die("'%s' is not KIND:MIB", arg);
	*colon = '\0';
	*kind = backing_find(arg);
	if (*kind == BACKING_NR_KINDS)
		die("'%s' is no kind of memory", arg);
	*size = strtoul(colon + 1, &end, 10) * MIB;
	if (!*size || *end)
		die("'%s' is no number of MiB", colon + 1);
}

static bool is_small(enum backing_kind kind)
{
	return kind == BACKING_4K || kind == BACKING_4K_FORKED || kind == BACKING_MTHP64K_FORKED ||
	       (kind >= BACKING_TMPFS4K_SHARED && kind <= BACKING_TMPFS64K_PRIVATE) ||
	       (kind >= BACKING_MTHP16K && kind <= BACKING_MTHP1M);
}

void samples_map(struct backing *memory, enum backing_kind kind, size_t size, bool aliased)
{
	const struct backing_spec spec = {
		.kind = kind,
		.size = size,
		.aliased = aliased,
		.shuffled = is_small(kind),
	};
	char why[512];
	int percent;

	if (backing_map(memory, &spec, why, sizeof(why)))
		die("%zu MiB of %s: %s", size / MIB, backing_name(kind), why);
	percent = backing_percent(memory);
	if (percent < FOLIO_PERCENT)
		die("only %d %% of the memory is really %s; free memory is fragmented: boot again",
		    percent, backing_name(kind));
}
