// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * What a Soft-RoCE device of ours offers more than the in-tree one: for
 * "rdma resource show mr -dd", how the memory of each MR is described.
 */
#include <net/netlink.h>
#include <rdma/rdma_netlink.h>
#include <rdma/restrack.h>

#define PHYR_RXE_DEVICE_C
#include "device.h"
#include "mr.h"

static int put_phyrs(struct sk_buff *msg, struct phyr_umem *phyr_umem)
{
	const struct phyr_array *phyrs = &phyr_umem->phyrs;
	/* The pages of a fast MR are pinned by its owner, if at all. */
	u64 pinned = phyr_umem->umem.owning_mm ? ib_umem_num_pages(&phyr_umem->umem) : 0;

	if (rdma_nl_put_driver_u64(msg, "phyrs", phyrs->nr) ||
	    /* Memory is reached by the CPU: each phyr serves as the DMA range. */
	    rdma_nl_put_driver_u64(msg, "dma_entries", phyrs->nr) ||
	    rdma_nl_put_driver_u64(msg, "largest", phyrs->largest) ||
	    rdma_nl_put_driver_u64(msg, "smallest", phyrs->smallest) ||
	    rdma_nl_put_driver_u64(msg, "metadata", phyr_umem_metadata(phyr_umem)) ||
	    rdma_nl_put_driver_u64(msg, "pinned_pages", pinned))
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
	struct rxe_mr *mr = to_rmr(ibmr);
	struct nlattr *nest;

	if (!mr->umem || is_odp_mr(mr))
		return 0;

	nest = nla_nest_start(msg, RDMA_NLDEV_ATTR_DRIVER);
	if (!nest)
		return -EMSGSIZE;
	if (put_phyrs(msg, to_phyr_umem(mr->umem))) {
		nla_nest_cancel(msg, nest);
		return -EMSGSIZE;
	}
	nla_nest_end(msg, nest);
	return 0;
}

static const struct ib_device_ops phyr_rxe_ops = {
	.fill_res_mr_entry = fill_res_mr_entry,
};

/* In the place of ib_register_device(), which takes operations that are not set yet. */
int phyr_rxe_register_device(struct ib_device *device, const char *name,
			     struct device *dma_device)
{
	ib_set_device_ops(device, &phyr_rxe_ops);
	return ib_register_device(device, name, dma_device);
}
