// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * A provider for tests/provider/stubs. Each operation returns an errno of its own. The provider has
 * the version VERSION, and its size is larger by MORE than that of this release.
 */
#include <errno.h>

#include "plugin.h"

static bool is_supported(struct ibv_device *device)
{
	return device;
}

static int query_device(struct ibv_context *context, struct phyrdv_device_attr *attr,
			uint32_t inlen)
{
	return context && attr && inlen == sizeof(*attr) ? EDOM : EINVAL;
}

static int query_mr(struct ibv_mr *mr, struct phyrdv_mr_attr *attr, uint32_t inlen)
{
	return mr && attr && inlen == sizeof(*attr) ? ERANGE : EINVAL;
}

static int mr_extents(struct ibv_mr *mr, uint64_t start, struct phyrdv_extent *extents,
		      uint32_t max_extents, uint32_t *nr_extents)
{
	return mr && !start && extents && max_extents == 1 && nr_extents ? EXDEV : EINVAL;
}

static struct ibv_mr *reg_mr(struct ibv_pd *pd, void *addr, size_t length, uint64_t iova,
			     int access, const struct phyrdv_reg_mr_attr *attr, uint32_t inlen)
{
	errno = pd && !addr && !length && !iova && !access && attr && inlen == sizeof(*attr) ?
		ESRCH : EINVAL;
	return NULL;
}

const struct phyr_plugin_ops phyr_plugin_ops = {
	.version = VERSION,
	.size = sizeof(phyr_plugin_ops) + (MORE),
	.is_supported = is_supported,
	.query_device = query_device,
	.query_mr = query_mr,
	.mr_extents = mr_extents,
	.reg_mr = reg_mr,
};
