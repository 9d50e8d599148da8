// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * A device with mapping operations of its own. For such a device, the kernel cannot say whether
 * an address needs to be synced.
 *
 * phyr.ko must use operations that leave memory in place like the kernel's. It must refuse those
 * that bounce, and unmap what they have mapped until then.
 */
#define _GNU_SOURCE
#include <errno.h>

#include "cases.h"
#include "edu.h"
#include "mapped.h"
#include "test.h"

static const struct region region = { "odd", 77, SZ_4K + 5 };

/* Change the operations. Before, the device's own operations must have so many mappings. */
static int set_ops(unsigned int ops, size_t mapped)
{
	size_t is;
	int result = edu_ops(ops, &is);

	if (result)
		return fail("mapping operations %u cannot be set: %s", ops, errno_name(result));
	if (is != mapped)
		return fail("%zu mappings by the device's own operations, should be %zu", is,
			    mapped);
	return PASSED;
}

static int check_direct(struct mapped *m)
{
	return mapped_map(m) ?:
	       set_ops(PHYR_EDU_OPS_DIRECT, m->runs.nr) ?:
	       mapped_check_ranges(m) ?:
	       mapped_check_entries(m, NO_MAX, PCI_BOUNDARY) ?:
	       mapped_device_reads(m, 0, 100) ?:
	       mapped_device_writes(m, m->len - 100, 100, 2) ?:
	       mapped_check_memory(m, "after the device has written") ?:
	       mapped_unmap(m);
}

static int check_bounce(struct mapped *m)
{
	int result = edu_map(m->start, SZ_4K, true, PHYR_EDU_BOTH_WAYS, &m->map);

	if (!result)
		return fail("memory is mapped, though the device would get a copy of it");
	m->map.id = 0;
	if (result != EIO)
		return fail("refused with %s, should be EIO", errno_name(result));
	return mapped_check_memory(m, "after a mapping was refused");
}

static int test_ops(unsigned int ops, int (*check)(struct mapped *m))
{
	struct mapped m;
	int err;

	err = mapped_open(&m, BACKING_FRAG, SZ_2M, &region);
	if (!err)
		err = set_ops(ops, 0) ?: check(&m);
	mapped_close(&m);
	/* None of their mappings may be left. */
	return set_ops(PHYR_EDU_OPS_NONE, 0) ?: err;
}

static int test_direct(const void *arg)
{
	(void)arg;
	return test_ops(PHYR_EDU_OPS_DIRECT, check_direct);
}

static int test_bounce(const void *arg)
{
	(void)arg;
	return test_ops(PHYR_EDU_OPS_BOUNCE, check_bounce);
}

void add_ops(void)
{
	/* With an IOMMU, the kernel's IOMMU layer maps. */
	if (behind_iommu)
		return;
	test_add(test_direct, NULL, "ops/direct");
	test_add(test_bounce, NULL, "ops/bounce");
}
