// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * phyr Direct Verbs: infiniband/phyrdv.h on top of rdma/phyr-abi.h. Programs call these functions
 * by way of libphyr.so.1, see plugin.h.
 *
 * Structures grow at their ends: in programs, here and in the kernel, at different times. In a
 * structure that we fill, a program must have room for the fields of the first release. We set to 0
 * what we don't know of its rest. In a structure that a program gives us, what we don't know must
 * be 0. Otherwise we refuse, since we would not do what the program asks for.
 */
#include <errno.h>
#include <string.h>

#include <infiniband/driver.h>
#include <infiniband/phyrdv.h>

#include "plugin.h"
#include "provider.h"

#define offsetofend(type, field) (offsetof(type, field) + sizeof(((type *)NULL)->field))

/* The kernel writes extents straight to the program's array, so both structures must be alike. */
static_assert(sizeof(struct phyrdv_extent) == sizeof(struct phyr_ib_extent) &&
	      offsetof(struct phyrdv_extent, offset) == offsetof(struct phyr_ib_extent, offset) &&
	      offsetof(struct phyrdv_extent, length) == offsetof(struct phyr_ib_extent, length),
	      "extents");

enum {
	KNOWN_STEPS = PHYRDV_PREPARE_HUGEPAGE | PHYRDV_PREPARE_POPULATE | PHYRDV_PREPARE_COLLAPSE |
		      PHYRDV_PREPARE_ADVISE,
};

static void copy_out(void *to, size_t room, const void *from, size_t size)
{
	memset(to, 0, room);
	memcpy(to, from, room < size ? room : size);
}

static bool all_zero(const uint8_t *begin, const uint8_t *end)
{
	while (begin < end)
		if (*begin++)
			return false;
	return true;
}

static int query_device(struct ibv_context *context, struct phyrdv_device_attr *attr,
			uint32_t inlen)
{
	struct phyrdv_device_attr known = {};
	struct phyr_ib_device_info info = {};
	int error;

	if (!is_phyr_device(context->device))
		return EOPNOTSUPP;
	if (!attr || inlen < offsetofend(struct phyrdv_device_attr, reserved))
		return EINVAL;

	/* A stock driver lacks the method. Our answer is that the device has no capabilities. */
	error = phyr_query_device(context, &info);
	if (error && error != EOPNOTSUPP)
		return error;

	if (info.caps & PHYR_IB_DEVICE_CAP_MR_QUERY)
		known.device_caps |= PHYRDV_DEVICE_CAP_MR_QUERY;
	if (info.caps & PHYR_IB_DEVICE_CAP_MR_EXTENTS)
		known.device_caps |= PHYRDV_DEVICE_CAP_MR_EXTENTS;
	known.max_extents = info.max_extents;
	copy_out(attr, inlen, &known, sizeof(known));
	return 0;
}

static int query_mr(struct ibv_mr *mr, struct phyrdv_mr_attr *attr, uint32_t inlen)
{
	struct phyrdv_mr_attr known = {};
	struct phyr_ib_mr_info info;
	int error;

	if (!is_phyr_device(mr->context->device))
		return EOPNOTSUPP;
	if (!attr || inlen < offsetofend(struct phyrdv_mr_attr, pin_ns))
		return EINVAL;

	error = phyr_query_mr(mr, &info);
	if (error)
		return error;

	known.phyrs = info.phyrs;
	known.dma_entries = info.dma_entries;
	known.largest = info.largest;
	known.smallest = info.smallest;
	known.block_size = info.block_size;
	known.metadata = info.metadata;
	known.pinned_pages = info.pinned_pages;
	known.pin_ns = info.pin_ns;
	copy_out(attr, inlen, &known, sizeof(known));
	return 0;
}

static int mr_extents(struct ibv_mr *mr, uint64_t start, struct phyrdv_extent *extents,
		      uint32_t max_extents, uint32_t *nr_extents)
{
	/* As many as fit into an attribute of uverbs. */
	const uint32_t most = UINT16_MAX / sizeof(*extents);
	uint32_t nr;
	int error;

	DECLARE_COMMAND_BUFFER(command, UVERBS_OBJECT_MR, PHYR_IB_METHOD_MR_EXTENTS, 4);

	if (!is_phyr_device(mr->context->device))
		return EOPNOTSUPP;
	if (!extents || !max_extents || !nr_extents)
		return EINVAL;

	fill_attr_in_obj(command, PHYR_IB_ATTR_MR_EXTENTS_HANDLE, mr->handle);
	fill_attr_in_uint64(command, PHYR_IB_ATTR_MR_EXTENTS_START, start);
	fill_attr_out_ptr_array(command, PHYR_IB_ATTR_MR_EXTENTS_RESP_EXTENTS, extents,
				max_extents < most ? max_extents : most);
	fill_attr_out_ptr(command, PHYR_IB_ATTR_MR_EXTENTS_RESP_NR, &nr);
	error = execute_ioctl(mr->context, command);
	if (!error)
		*nr_extents = nr;
	return error == EPROTONOSUPPORT ? EOPNOTSUPP : error;
}

static struct ibv_mr *reg_mr(struct ibv_pd *pd, void *addr, size_t length, uint64_t iova,
			     int access, const struct phyrdv_reg_mr_attr *attr, uint32_t inlen)
{
	struct prepare_policy policy;

	if (!is_phyr_device(pd->context->device)) {
		errno = EOPNOTSUPP;
		return NULL;
	}
	if (!attr || inlen < offsetofend(struct phyrdv_reg_mr_attr, max_threads)) {
		errno = EINVAL;
		return NULL;
	}
	if (attr->comp_mask || attr->prepare & ~KNOWN_STEPS ||
	    !all_zero((const uint8_t *)(attr + 1), (const uint8_t *)attr + inlen)) {
		errno = EOPNOTSUPP;
		return NULL;
	}

	policy.steps = attr->prepare;
	policy.max_threads = attr->max_threads;
	return phyr_reg_mr_with(&policy, pd, addr, length, iova, access);
}

const struct phyr_plugin_ops phyr_plugin_ops = {
	.version = PHYR_PLUGIN_VERSION,
	.size = sizeof(phyr_plugin_ops),
	.is_supported = is_phyr_device,
	.query_device = query_device,
	.query_mr = query_mr,
	.mr_extents = mr_extents,
	.reg_mr = reg_mr,
};
