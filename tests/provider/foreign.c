// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * phyr Direct Verbs for a program that has opened its device before it opens libphyr.
 *
 * If two providers match a device, libibverbs takes the one that it has loaded first. This program
 * is not linked with libphyr, so the distribution's provider serves the device, and each function
 * fails with EOPNOTSUPP. With --ours, IBV_DRIVERS names libphyr, so libphyr serves the device. Then
 * opening libphyr must not load a second copy of the provider, which would not know the device.
 */
#include <dlfcn.h>
#include <errno.h>
#include <string.h>

#include <infiniband/phyrdv.h>

#include "rdma.h"

static struct {
	typeof(phyrdv_is_supported) *is_supported;
	typeof(phyrdv_query_device) *query_device;
	typeof(phyrdv_query_mr) *query_mr;
	typeof(phyrdv_mr_extents) *mr_extents;
	typeof(phyrdv_reg_mr) *reg_mr;
} dv;

static char memory[SZ_4K];

static bool ours;

static int refused(const char *what, int result)
{
	if (result != EOPNOTSUPP)
		return fail("%s: %s, should be EOPNOTSUPP", what, errno_name(result));
	return PASSED;
}

static int test_is_supported(const void *arg)
{
	(void)arg;
	if (dv.is_supported(dev.ctx->device) == ours)
		return PASSED;
	return fail("it is said to be%s libphyr's", ours ? " not" : "");
}

static int test_query_device(const void *arg)
{
	struct phyrdv_device_attr attr;
	int error;

	(void)arg;
	if (ours) {
		error = dv.query_device(dev.ctx, &attr, sizeof(attr));
		return error ? fail("phyrdv_query_device: %s", errno_name(error)) : PASSED;
	}
	return refused("phyrdv_query_device", dv.query_device(dev.ctx, &attr, sizeof(attr)));
}

static int test_mr(const void *arg)
{
	struct ibv_mr *mr = mr_reg(memory, sizeof(memory), 0);
	struct phyrdv_extent extent;
	struct phyrdv_mr_attr attr;
	uint32_t nr;
	int err;

	(void)arg;
	if (!mr)
		return FAILED;
	err = refused("phyrdv_query_mr", dv.query_mr(mr, &attr, sizeof(attr))) ?:
	      refused("phyrdv_mr_extents", dv.mr_extents(mr, 0, &extent, 1, &nr));
	return mr_dereg(&mr) ?: err;
}

static int test_reg_mr(const void *arg)
{
	struct phyrdv_reg_mr_attr attr = {};
	struct ibv_mr *mr = dv.reg_mr(dev.pd, memory, sizeof(memory), 0, 0, &attr, sizeof(attr));

	(void)arg;
	if (!mr)
		return refused("phyrdv_reg_mr", errno);
	mr_dereg(&mr);
	return fail("phyrdv_reg_mr registers");
}

static void *symbol(void *library, const char *name)
{
	void *address = dlsym(library, name);

	return address ?: (die("libphyr has no %s", name), NULL);
}

static void load(void)
{
	void *library = dlopen("libphyr.so.1", RTLD_NOW);

	if (!library)
		die("%s", dlerror());
	dv.is_supported = symbol(library, "phyrdv_is_supported");
	dv.query_device = symbol(library, "phyrdv_query_device");
	dv.query_mr = symbol(library, "phyrdv_query_mr");
	dv.mr_extents = symbol(library, "phyrdv_mr_extents");
	dv.reg_mr = symbol(library, "phyrdv_reg_mr");
}

static void option(int c, const char *arg)
{
	(void)c;
	(void)arg;
	ours = true;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "ours", no_argument, NULL, 'o' },
		{}
	};
	static const struct program prog = {
		.about = "Tests phyr Direct Verbs on a device that was opened before libphyr.",
		.subject = &rdma_device,
		.options_help = "      --ours         libphyr serves the device (IBV_DRIVERS)\n",
		.options = options,
		.option = option,
		.watchdog_s = 120,
	};

	program_start(&prog, argc, argv);
	test_add(test_is_supported, NULL, "is_supported");
	test_add(test_query_device, NULL, "query_device");
	if (!ours) {
		test_add(test_mr, NULL, "query_mr, mr_extents");
		test_add(test_reg_mr, NULL, "reg_mr");
	}
	if (dev.ctx)
		load();
	return test_run();
}
