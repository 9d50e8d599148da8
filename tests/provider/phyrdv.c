// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Tests of phyr Direct Verbs, on phyr's Soft-RoCE or on stock's.
 *
 * The program is linked with libphyr, so libphyr is the provider of all its Soft-RoCE devices. This
 * file tests what the functions accept and what they refuse. This is the same with both drivers.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "phyrdv.h"
#include "rights.h"

bool on_stock;

/* Base pages, for tests to which the kind of memory does not matter. */
static struct buf memory;

int expect(const char *what, int result, int want)
{
	if (result == want)
		return PASSED;
	return fail("%s: %s, should be %s", what, errno_name(result), errno_name(want));
}

int refused(const char *what, struct ibv_mr *mr, int want)
{
	int error = errno;

	if (!mr)
		return expect(what, error, want);
	fail("%s: ok, should be %s", what, errno_name(want));
	mr_dereg(&mr);
	return FAILED;
}

static bool all_are(const void *begin, size_t len, unsigned char value)
{
	const unsigned char *byte = begin;

	while (len--)
		if (*byte++ != value)
			return false;
	return true;
}

/* --- structures of any size ------------------------------------------------------------------- */

static int query_device(struct ibv_mr *mr, void *attr, uint32_t inlen)
{
	return phyrdv_query_device(mr->context, attr, inlen);
}

static int query_mr(struct ibv_mr *mr, void *attr, uint32_t inlen)
{
	return phyrdv_query_mr(mr, attr, inlen);
}

struct query {
	const char *name;
	int (*call)(struct ibv_mr *mr, void *attr, uint32_t inlen);
	uint32_t size;		/* of the structure in the first release */
	bool on_stock;		/* does it work with stock's driver? */
};

static const struct query queries[] = {
	{ "query_device", query_device, 24, true },
	{ "query_mr", query_mr, 72, false },
};

enum { FILL = 0xa5, ROOM = 200 };

/* With one size of the structure: check that the right bytes are written, and no others. */
static int one_size(const struct query *query, struct ibv_mr *mr, uint32_t inlen)
{
	unsigned char attr[ROOM], full[ROOM];
	int want = inlen < query->size ? EINVAL : 0;
	uint32_t written = inlen;
	int err;

	if (!want && on_stock && !query->on_stock)
		want = EOPNOTSUPP;
	if (want)
		written = 0;
	memset(attr, FILL, sizeof(attr));
	err = expect(query->name, query->call(mr, attr, inlen), want);
	if (!err && !all_are(attr + written, sizeof(attr) - written, FILL))
		err = fail("bytes are written behind the first %u", written);
	if (!err && !want) {
		memset(full, FILL, sizeof(full));
		err = expect(query->name, query->call(mr, full, query->size), 0);
		if (!err && memcmp(attr, full, query->size))
			err = fail("what is known depends on the room there is");
		if (!err && !all_are(attr + query->size, inlen - query->size, 0))
			err = fail("what is not known is not zeroed");
	}
	return err ? fail("with an inlen of %u", inlen) : PASSED;
}

static int test_inlen(const void *arg)
{
	const struct query *query = arg;
	struct ibv_mr *mr = mr_reg(memory.addr, SZ_4K, 0);
	uint32_t inlen;
	int err = mr ? PASSED : FAILED;

	for (inlen = 0; inlen <= ROOM && !err; inlen++)
		err = one_size(query, mr, inlen);
	if (!err)
		err = expect("without a structure", query->call(mr, NULL, query->size), EINVAL);
	return mr_dereg(&mr) ?: err;
}

static int test_query_device(const void *arg)
{
	struct phyrdv_device_attr attr;
	uint64_t caps = on_stock ? 0 : PHYRDV_DEVICE_CAP_MR_QUERY | PHYRDV_DEVICE_CAP_MR_EXTENTS;
	int err;

	(void)arg;
	err = expect("phyrdv_query_device", phyrdv_query_device(dev.ctx, &attr, sizeof(attr)), 0);
	if (err)
		return err;
	if (attr.comp_mask || !all_are(attr.reserved, sizeof(attr.reserved), 0))
		return fail("what has no meaning yet is not 0");
	if (attr.device_caps != caps)
		return fail("capabilities 0x%lx, should be 0x%lx", (unsigned long)attr.device_caps,
			    (unsigned long)caps);
	if (!attr.max_extents != on_stock)
		return fail("max_extents is %u", attr.max_extents);
	return PASSED;
}

/* --- what registration is asked for ----------------------------------------------------------- */

/* The structure of a newer program. */
struct newer {
	struct phyrdv_reg_mr_attr attr;
	unsigned char more[8];
};

static struct ibv_mr *reg_mr(const struct newer *attr, uint32_t inlen)
{
	errno = 0;
	return phyrdv_reg_mr(dev.pd, memory.addr, SZ_4K, (uintptr_t)memory.addr, 0, &attr->attr,
			     inlen);
}

static int test_attr(const void *arg)
{
	static const struct newer plain, last = { .more = { [7] = 1 } };
	static const struct newer mask = { .attr.comp_mask = 1 };
	static const struct newer high_mask = { .attr.comp_mask = 1ULL << 63 };
	static const struct newer all = {
		.attr.prepare = PHYRDV_PREPARE_HUGEPAGE | PHYRDV_PREPARE_POPULATE |
				PHYRDV_PREPARE_COLLAPSE | PHYRDV_PREPARE_ADVISE,
		.attr.max_threads = 3,
	};
	const uint32_t size = sizeof(struct phyrdv_reg_mr_attr);
	struct newer step = {};
	struct ibv_mr *mr;
	uint32_t inlen, bit;
	int err;

	(void)arg;
	err = refused("without a structure", reg_mr(NULL, size), EINVAL) ?:
	      refused("an unknown bit of comp_mask", reg_mr(&mask, size), EOPNOTSUPP) ?:
	      refused("the last bit of comp_mask", reg_mr(&high_mask, size), EOPNOTSUPP) ?:
	      refused("a field that is not known", reg_mr(&last, sizeof(last)), EOPNOTSUPP);
	for (bit = 0; bit < 32 && !err; bit++) {
		step.attr.prepare = 1U << bit;
		if (all.attr.prepare & step.attr.prepare)
			continue;
		err = refused("an unknown step", reg_mr(&step, size), EOPNOTSUPP);
	}
	for (inlen = 0; inlen < size && !err; inlen++)
		err = refused("a structure too short", reg_mr(&plain, inlen), EINVAL);
	for (inlen = size; inlen <= sizeof(plain) && !err; inlen++) {
		mr = reg_mr(&plain, inlen);
		err = mr ? mr_dereg(&mr) : fail("inlen %u: %m", inlen);
	}
	/* The byte that is not 0 lies behind the structure. */
	mr = err ? NULL : reg_mr(&last, sizeof(last) - 1);
	if (!err)
		err = mr ? mr_dereg(&mr) : fail("a structure that ends before: %m");
	mr = err ? NULL : reg_mr(&all, size);
	if (!err)
		err = mr ? mr_dereg(&mr) : fail("all steps at once: %m");
	return err;
}

/* --- extents: arguments ----------------------------------------------------------------------- */

static int arguments(struct ibv_mr *mr)
{
	const int answer = on_stock ? EOPNOTSUPP : 0;
	struct phyrdv_extent extent = { 1, 2 };
	uint64_t len = mr->length;
	uint32_t nr = 77;
	int err;

	err = expect("no room", phyrdv_mr_extents(mr, 0, &extent, 0, &nr), EINVAL) ?:
	      expect("no list", phyrdv_mr_extents(mr, 0, NULL, 1, &nr), EINVAL) ?:
	      expect("no number", phyrdv_mr_extents(mr, 0, &extent, 1, NULL), EINVAL) ?:
	      expect("behind the end", phyrdv_mr_extents(mr, len + 1, &extent, 1, &nr),
		     answer ?: EINVAL) ?:
	      expect("far behind it", phyrdv_mr_extents(mr, UINT64_MAX, &extent, 1, &nr),
		     answer ?: EINVAL) ?:
	      expect("a list that is not there",
		     phyrdv_mr_extents(mr, 0, (struct phyrdv_extent *)8, 1, &nr),
		     answer ?: EFAULT);
	if (!err && (nr != 77 || extent.offset != 1 || extent.length != 2))
		err = fail("a call that fails has written something");
	err = err ?: expect("at the end", phyrdv_mr_extents(mr, len, &extent, 1, &nr), answer);
	if (!err && nr != (on_stock ? 77 : 0))
		err = fail("%u extents at the end", nr);
	if (!err && (extent.offset != 1 || extent.length != 2))
		err = fail("an extent is written that is not counted");
	return err;
}

static int test_arguments(const void *arg)
{
	struct ibv_mr *mr = mr_reg(memory.addr + 1, 3 * SZ_4K, 0);
	int err = mr ? arguments(mr) : FAILED;

	(void)arg;
	return mr_dereg(&mr) ?: err;
}

/* --- MRs of other kinds, and of others -------------------------------------------------------- */

static int says_nothing(struct ibv_mr *mr, int want)
{
	struct phyrdv_mr_attr attr;
	struct phyrdv_extent extent;
	uint32_t nr;

	return expect("phyrdv_query_mr", phyrdv_query_mr(mr, &attr, sizeof(attr)), want) ?:
	       expect("phyrdv_mr_extents", phyrdv_mr_extents(mr, 0, &extent, 1, &nr), want);
}

static int test_on_demand(const void *arg)
{
	struct ibv_mr *mr;
	int err;

	(void)arg;
	if (!(dev.attr.odp_caps.general_caps & IBV_ODP_SUPPORT))
		return skip("this kernel's Soft-RoCE has no on-demand paging");
	mr = mr_reg(memory.addr, SZ_4K, IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_ON_DEMAND);
	if (!mr)
		return FAILED;
	err = says_nothing(mr, EOPNOTSUPP);
	return mr_dereg(&mr) ?: err;
}

/* A handle is valid only in its own context. */
static int test_other_context(const void *arg)
{
	struct ibv_context *context = ibv_open_device(dev.ctx->device);
	struct ibv_mr *mr = mr_reg(memory.addr, SZ_4K, 0), foreign;
	int err = mr ? PASSED : FAILED;

	(void)arg;
	if (!context)
		die("cannot open %s again: %m", dev.name);
	if (mr) {
		foreign = *mr;
		foreign.context = context;
		err = says_nothing(&foreign, on_stock ? EOPNOTSUPP : ENOENT);
	}
	if (ibv_close_device(context))
		err = fail("ibv_close_device: %m");
	return mr_dereg(&mr) ?: err;
}

/* --- rights ----------------------------------------------------------------------------------- */

struct right {
	const char *name;
	int (*take)(void);	/* 0, or -1 and errno */
};

static const struct right rights[] = {
	{ "without CAP_SYS_ADMIN", drop_sys_admin },
	{ "root of a user namespace", become_root_of_namespace },
};

/*
 * Runs in a child. The query must answer, and the list of extents must fail with EPERM, even if
 * something else is wrong with the call.
 */
static int unprivileged(const void *arg)
{
	const struct right *right = arg;
	struct phyrdv_extent extent = { 1, 2 };
	struct ibv_mr *mr = mr_reg(memory.addr, 3 * SZ_4K, 0);
	struct phyrdv_mr_attr attr = {};
	uint32_t nr = 77;
	int err = mr ? PASSED : FAILED;

	if (!err)
		err = expect("before", phyrdv_mr_extents(mr, 0, &extent, 1, &nr),
			     on_stock ? EOPNOTSUPP : 0);
	extent = (struct phyrdv_extent){ 1, 2 };
	nr = 77;
	if (!err && right->take())
		err = fail("%s: %m", right->name);
	err = err ?: expect("phyrdv_mr_extents", phyrdv_mr_extents(mr, 0, &extent, 1, &nr),
			    on_stock ? EOPNOTSUPP : EPERM) ?:
	      expect("behind the end", phyrdv_mr_extents(mr, SZ_2M, &extent, 1, &nr),
		     on_stock ? EOPNOTSUPP : EPERM) ?:
	      expect("phyrdv_query_mr", phyrdv_query_mr(mr, &attr, sizeof(attr)),
		     on_stock ? EOPNOTSUPP : 0);
	if (!err && (nr != 77 || extent.offset != 1 || extent.length != 2))
		err = fail("a call that fails has written something");
	if (!err && !on_stock &&
	    (attr.pinned_pages != 3 || !attr.phyrs || attr.phyrs > 3 || !attr.largest))
		err = fail("%lu pages, %lu extents, the largest of %lu bytes",
			   (unsigned long)attr.pinned_pages, (unsigned long)attr.phyrs,
			   (unsigned long)attr.largest);
	return mr_dereg(&mr) ?: err;
}

static int test_right(const void *arg)
{
	return test_in_child(unprivileged, arg);
}

static void option(int c, const char *arg)
{
	(void)c;
	(void)arg;
	on_stock = true;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "stock", no_argument, NULL, 's' },
		{}
	};
	static const struct program prog = {
		.about = "Tests phyr Direct Verbs.",
		.subject = &rdma_device,
		.options_help =
			"      --stock        the kernel's driver is stock rxe: expect no answers\n",
		.options = options,
		.option = option,
		.watchdog_s = 600,	/* valgrind in an emulated machine takes long */
	};
	size_t i;

	program_start(&prog, argc, argv);
	test_add(test_query_device, NULL, "query_device: what the device can");
	for (i = 0; i < ARRAY_SIZE(queries); i++)
		test_add(test_inlen, &queries[i], "%s: structures of any size", queries[i].name);
	test_add(test_arguments, NULL, "mr_extents: arguments");
	test_add(test_attr, NULL, "reg_mr: structures of any size, bits of any meaning");
	test_add(test_on_demand, NULL, "an MR that is paged on demand says nothing");
	test_add(test_other_context, NULL, "an MR of another context's says nothing");
	for (i = 0; i < ARRAY_SIZE(rights); i++)
		test_add(test_right, &rights[i], "%s: numbers, but no extents", rights[i].name);
	add_extents_tests();
	add_reg_mr_tests();

	if (dev.ctx) {
		if (!phyrdv_is_supported(dev.ctx->device))
			die("%s is not libphyr's; unset IBV_DRIVERS", dev.name);
		if (buf_open(&memory, BACKING_4K, SZ_2M))
			die("no memory");
	}
	return test_run();
}
