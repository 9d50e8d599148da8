// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Describes the memory of an MR in numbers: for all who can see the MR, in
 * "rdma resource show mr -dd" (here), and for the process that has it (uverbs.c).
 */
#include <net/netlink.h>
#include <rdma/rdma_netlink.h>
#include <rdma/restrack.h>

#include "info.h"
#include "mr.h"

struct phyr_ib_mr_info phyr_rxe_mr_info(struct phyr_umem *phyr_umem)
{
	const struct phyr_array *phyrs = phyr_umem_extents(phyr_umem);

	return (struct phyr_ib_mr_info){
		.phyrs = phyrs->nr,
		/* The CPU reaches the memory, so each phyr is a DMA range. */
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
 * its memory stays. A fast MR may be mapped anew meanwhile. Then some of the numbers
 * are of its old memory and some of its new.
 */
int phyr_rxe_fill_res_mr_entry(struct sk_buff *msg, struct ib_mr *ibmr)
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
