// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Registers a Soft-RoCE device of ours with the RDMA core. It offers more than the
 * in-tree one: counters (counters.c), and a description of each MR's memory, for
 * "rdma resource show mr -dd" (info.c) and for the process that has the MR (uverbs.c).
 *
 * Only this file calls these, and none of them calls this one.
 */
#include "counters.h"
#include "device.h"
#include "info.h"
#include "uverbs.h"

static const struct ib_device_ops phyr_rxe_ops = {
	.fill_res_mr_entry = phyr_rxe_fill_res_mr_entry,
};

/*
 * The in-tree driver calls this in the place of ib_register_device().
 * ib_set_device_ops() keeps operations that are set already, such as those of the
 * counters. An in-tree driver that has the others, or methods of its own, does not fit ours.
 */
int phyr_rxe_register_device(struct ib_device *device, const char *name,
			     struct device *dma_device)
{
	int ret;

	if (WARN_ON(device->driver_def || device->ops.fill_res_mr_entry))
		return -EOPNOTSUPP;
	ret = phyr_rxe_add_counters(device);
	if (ret)
		return ret;
	ib_set_device_ops(device, &phyr_rxe_ops);
	device->driver_def = phyr_rxe_uapi_defs;
	return ib_register_device(device, name, dma_device);
}
