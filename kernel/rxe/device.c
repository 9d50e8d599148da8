// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * A Soft-RoCE device of ours on its way to the RDMA core: what it offers more than
 * the in-tree one. How the memory of each MR is described, for
 * "rdma resource show mr -dd" (here) and for the process that has it (uverbs.c); and
 * counters (counters.c).
 */
#include <net/netlink.h>
#include <rdma/rdma_netlink.h>
#include <rdma/restrack.h>

#include "device.h"
#include "mr.h"

/* What there is to tell of an MR's memory, whoever asks. */
struct phyr_ib_mr_info phyr_rxe_mr_info(struct phyr_umem *phyr_umem)
{
	const struct phyr_array *phyrs = phyr_umem_extents(phyr_umem);

	return (struct phyr_ib_mr_info){
		.phyrs = phyrs->nr,
		/* Memory is reached by the CPU: each phyr serves as the DMA range. */
		.dma_entries = phyrs->nr,
		.largest = phyrs->largest,
		.smallest = phyrs->smallest,
		.block_size = phyr_array_block_size(phyrs),
		.metadata = phyr_umem_metadata(phyr_umem),
		.pinned_pages = phyr_umem_pinned_pages(phyr_umem),
		.pin_ns = phyr_umem->stats.ns,
	};
}

static int put_info(struct sk_buff *msg, const struct phyr_ib_mr_info *info)
{
	if (rdma_nl_put_driver_u64(msg, "phyrs", info->phyrs) ||
	    rdma_nl_put_driver_u64(msg, "dma_entries", info->dma_entries) ||
	    rdma_nl_put_driver_u64(msg, "largest", info->largest) ||
	    rdma_nl_put_driver_u64(msg, "smallest", info->smallest) ||
	    rdma_nl_put_driver_u64(msg, "metadata", info->metadata) ||
	    rdma_nl_put_driver_u64(msg, "pinned_pages", info->pinned_pages))
		return -EMSGSIZE;
	return 0;
}

/*
 * The core's reference to the MR's resource entry keeps the MR registered, so
 * its memory stays. A fast MR may be mapped anew meanwhile: then the numbers
 * are those of no one moment, and that is all.
 */
static int fill_res_mr_entry(struct sk_buff *msg, struct ib_mr *ibmr)
{
	struct phyr_umem *phyr_umem = mr_phyr_umem(to_rmr(ibmr));
	struct phyr_ib_mr_info info;
	struct nlattr *nest;

	if (!phyr_umem)
		return 0;
	info = phyr_rxe_mr_info(phyr_umem);

	nest = nla_nest_start(msg, RDMA_NLDEV_ATTR_DRIVER);
	if (!nest)
		return -EMSGSIZE;
	if (put_info(msg, &info)) {
		nla_nest_cancel(msg, nest);
		return -EMSGSIZE;
	}
	nla_nest_end(msg, nest);
	return 0;
}

static const struct ib_device_ops phyr_rxe_ops = {
	.fill_res_mr_entry = fill_res_mr_entry,
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
