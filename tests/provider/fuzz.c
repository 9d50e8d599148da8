// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * fuzz_uverbs: makes good calls of a phyr device's uverbs methods, bad calls, random calls, and
 * calls in races. fuzz.h explains how.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "rights.h"

bool stock, unprivileged;
static unsigned int seconds = 10;
static uint64_t seed;
static unsigned long first;

/* --- good calls --------------------------------------------------------------------------- */

static int test_device(const void *arg)
{
	(void)arg;
	return device_check_info();
}

static int test_info(const void *arg)
{
	return region_check_info(region_named(arg));
}

/* List the extents of a region, @room at a time. The model checks the answers. */
static int list_extents(const struct region *region, uint16_t room, size_t most)
{
	struct call call;
	size_t i;
	int err;

	for (i = 0; i <= region->nr && i / room < most; i += room) {
		call_extents(&call, region,
			     i < region->nr ? region->extents[i].offset : region->mr->length, room);
		if (call_try(&call, &err))
			return fail("extents of %s from number %zu on, room for %u", region->name,
				    i, room);
		if (err)
			return fail("%s", errno_name(err));
	}
	return PASSED;
}

static int test_extents(const void *arg)
{
	const struct region *region = region_named(arg);

	remark("%zu extents", region->nr);
	return list_extents(region, 1, 100) ?: list_extents(region, 7, 100) ?:
	       list_extents(region, UINT16_MAX / sizeof(struct phyr_ib_extent), SIZE_MAX);
}

static int test_on_demand(const void *arg)
{
	const struct region *region = region_named("on demand");
	struct call call;
	int m, err;

	(void)arg;
	if (!region)
		return skip("this kernel's rxe has no on-demand paging");
	for (m = MR_QUERY; m <= MR_EXTENTS; m++) {
		call_good(&call, m, region);
		if (call_try(&call, &err))
			return FAILED;
		if (err != EOPNOTSUPP)
			return fail("%s, should be EOPNOTSUPP", errno_name(err));
	}
	return PASSED;
}

/* --- one change to a good call ------------------------------------------------------------ */

static const char *const method_name[METHODS] = { "DEVICE_QUERY", "MR_QUERY", "MR_EXTENTS" };

static int test_change(const void *arg)
{
	const struct change *change = arg;
	struct call call;
	int m, err, should = stock ? change->stock_err : change->err;

	for (m = 0; m < METHODS; m++) {
		if (!(change->methods & 1U << m))
			continue;
		call_good(&call, m, region_named("frag"));
		change->apply(&call, change->value);
		if (call_try(&call, &err)) {
			call_print(&call);
			return fail("a call of %s", method_name[m]);
		}
		if (err != should)
			return fail("%s came to %s and not %s, as the model has it", method_name[m],
				    err ? strerrorname_np(err) : "ok", errno_name(should));
	}
	return PASSED;
}

/* --- without CAP_SYS_ADMIN ---------------------------------------------------------------- */

/* Runs in a child. If uverbs accepts a call, the method must fail with EPERM before all else. */
static int all_unprivileged(const void *arg)
{
	unsigned long refused = 0;
	struct call call;
	size_t i;
	int m, err;

	(void)arg;
	if (drop_sys_admin())
		return fail("CAP_SYS_ADMIN cannot be dropped: %m");
	unprivileged = true;
	for (i = 0; i < changes_count; i++) {
		for (m = 0; m < METHODS; m++) {
			if (!(changes[i].methods & 1U << m))
				continue;
			call_good(&call, m, region_named("frag"));
			changes[i].apply(&call, changes[i].value);
			if (call_try(&call, &err)) {
				call_print(&call);
				return fail("a call of %s: %s", method_name[m], changes[i].name);
			}
			refused += err == EPERM;
		}
	}
	return refused ? PASSED : fail("no call came to EPERM");
}

static int test_unprivileged(const void *arg)
{
	return test_in_child(all_unprivileged, arg);
}

/* --- several random changes --------------------------------------------------------------- */

/* Call number i of a seed is the same in every run. */
static void call_random(struct call *call, unsigned long i)
{
	const struct change *change;
	unsigned int n;

	random_seed(seed * 0x9e3779b97f4a7c15 + i);
	call_good(call, random_u64() % METHODS, &regions[random_u64() % regions_count]);
	for (n = random_u64() % 4; n; n--) {
		change = &changes[random_u64() % changes_count];
		if (random_u64() % 3 == 0)
			change_wildly(call);
		else if (change->methods & 1U << call->method)
			change->apply(call, change->value);
	}
}

/* Each possible errno must have come up. Otherwise the fuzzer is not good enough. */
static int check_tally(const unsigned long *tally, unsigned long calls)
{
	static const int ours[] = {
		0, EINVAL, ENOENT, EPROTONOSUPPORT, EFAULT, ENOTTY, EOPNOTSUPP
	};
	static const int stocks[] = { EINVAL, EPROTONOSUPPORT, EFAULT, ENOTTY };
	const int *errs = stock ? stocks : ours;
	/* The last of ours needs on-demand paging. */
	size_t i, n = stock ? ARRAY_SIZE(stocks) : ARRAY_SIZE(ours) - !region_named("on demand");
	char text[200] = "";

	for (i = 0; i < n; i++) {
		if (!tally[errs[i]])
			return fail("in %lu calls none came to %s", calls, errno_name(errs[i]));
		snprintf(text + strlen(text), sizeof(text) - strlen(text), ", %s %lu",
			 errno_name(errs[i]), tally[errs[i]]);
	}
	remark("seed %" PRIu64 ", %lu calls%s", seed, calls, text);
	return PASSED;
}

static int test_fuzz(const void *arg)
{
	double end = now_ms() + seconds * 1000.0;
	unsigned long tally[256] = {}, i;
	struct call call;
	int err;

	(void)arg;
	diag("seed %" PRIu64, seed);
	for (i = first; now_ms() < end; i++) {
		call_random(&call, i);
		if (call_try(&call, &err)) {
			call_print(&call);
			return fail("a call of %s; again: --seed %" PRIu64 " --first %lu fuzz",
				    method_name[call.method], seed, i);
		}
		tally[err]++;
	}
	return check_tally(tally, i - first);
}

static int test_race(const void *arg)
{
	(void)arg;
	return race(seconds);
}

/* ------------------------------------------------------------------------------------------ */

static void open_all(void)
{
	rdma_device.open();
	regions_open();
}

enum { OPT_STOCK = 1000, OPT_SECONDS, OPT_SEED, OPT_FIRST };

static void option(int c, const char *arg)
{
	switch (c) {
	case OPT_STOCK:
		stock = true;
		break;
	case OPT_SECONDS:
		seconds = atoi(arg);
		break;
	case OPT_SEED:
		seed = strtoull(arg, NULL, 0);
		break;
	case OPT_FIRST:
		first = strtoul(arg, NULL, 0);
		break;
	}
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "stock", no_argument, NULL, OPT_STOCK },
		{ "seconds", required_argument, NULL, OPT_SECONDS },
		{ "seed", required_argument, NULL, OPT_SEED },
		{ "first", required_argument, NULL, OPT_FIRST },
		{},
	};
	static struct subject subject;
	static const struct program prog = {
		.about = "Calls the uverbs methods of a phyr device as nobody should.",
		.subject = &subject,
		.options_help =
			"      --stock        the driver is not ours, and does not have the methods\n"
			"      --seconds N    length of the fuzzer and of the races (default 10)\n"
			"      --seed N       seed of the fuzzer (default 0)\n"
			"      --first N      begin with the call of that number\n",
		.options = options,
		.option = option,
		.watchdog_s = 600,
	};
	static const char *const names[] = {
		"4k", "frag", "thp", "thp-pte", "huge2m-shared", "mixed",
		"unaligned", "in a huge page", "one byte", "no bytes",
	};
	size_t i;

	subject = rdma_device;
	subject.open = open_all;
	program_start(&prog, argc, argv);
	if (!stock) {
		test_add(test_device, NULL, "answer: device");
		for (i = 0; i < ARRAY_SIZE(names); i++)
			test_add(test_info, names[i], "answer: %s", names[i]);
		for (i = 0; i < ARRAY_SIZE(names); i++)
			test_add(test_extents, names[i], "extents: %s", names[i]);
		test_add(test_on_demand, NULL, "on demand");
	}
	for (i = 0; i < changes_count; i++)
		test_add(test_change, &changes[i], "change: %s", changes[i].name);
	if (!stock)
		test_add(test_unprivileged, NULL, "changes, without CAP_SYS_ADMIN");
	test_add(test_fuzz, NULL, "fuzz");
	if (!stock)
		test_add(test_race, NULL, "race");
	return test_run();
}
