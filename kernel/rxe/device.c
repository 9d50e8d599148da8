// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * A Soft-RoCE device of ours on its way to the RDMA core, with what it offers more than
 * the in-tree one: counters (counters.c), and how the memory of each MR is described, for
 * "rdma resource show mr -dd" (info.c) and for the process that has it (uverbs.c).
 *
 * Only this file knows all of these, and none of them calls it.
 */
#include "counters.h"
#include "device.h"
#include "info.h"
#include "uverbs.h"

static const struct ib_device_ops phyr_rxe_ops = {
	.fill_res_mr_entry = phyr_rxe_fill_res_mr_entry,
};

/*
 * In the place of ib_register_device(). Operations that are set already, those of
 * the counters, are not taken by ib_set_device_ops(). An in-tree driver that had the others,
 * or methods of its own, would have to be put together with ours first.
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
