// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * What the environment says about preparing memory:
 *
 *	PHYR_PREPARE=auto|none|advise|collapse	what we do; auto if not set
 *	PHYR_PREPARE_THREADS=N			threads that populate, at most
 *
 * A program that has more rights than who started it takes nothing from there (secure_getenv()).
 */
#define _GNU_SOURCE
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <infiniband/phyrdv.h>

#include "parts.h"

#define AUTO (PHYRDV_PREPARE_HUGEPAGE | PHYRDV_PREPARE_POPULATE)

static uint32_t read_steps(void)
{
	static const struct {
		const char *name;
		uint32_t steps;
	} known[] = {
		{ "auto", AUTO }, { "none", 0 }, { "advise", AUTO | PHYRDV_PREPARE_ADVISE },
		{ "collapse", AUTO | PHYRDV_PREPARE_COLLAPSE },
	};
	const char *value = secure_getenv("PHYR_PREPARE");
	size_t i;

	if (!value || !*value)
		return AUTO;
	for (i = 0; i < ARRAY_SIZE(known); i++)
		if (!strcmp(value, known[i].name))
			return known[i].steps;
	fprintf(stderr,
		"libphyr: PHYR_PREPARE is '%s', not auto, none, advise or collapse: taken as auto\n",
		value);
	return AUTO;
}

static uint32_t read_max_threads(void)
{
	const char *value = secure_getenv("PHYR_PREPARE_THREADS");
	unsigned long threads;
	char *end;

	if (!value || !*value)
		return 0;
	threads = strtoul(value, &end, 10);
	if (isdigit((unsigned char)*value) && !*end && threads && threads <= UINT32_MAX)
		return threads;
	fprintf(stderr, "libphyr: PHYR_PREPARE_THREADS is '%s', but should be a number from 1 on; "
			"ignored\n", value);
	return 0;
}

struct prepare_policy prepare_policy_from_env(void)
{
	return (struct prepare_policy){
		.steps = read_steps(), .max_threads = read_max_threads(),
	};
}
