/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
#ifndef PHYR_RXE_INFO_H
#define PHYR_RXE_INFO_H

#include <linux/skbuff.h>
#include <rdma/ib_verbs.h>
#include <rdma/phyr-abi.h>

#include "umem/umem.h"

struct phyr_ib_mr_info phyr_rxe_mr_info(struct phyr_umem *phyr_umem);
int phyr_rxe_fill_res_mr_entry(struct sk_buff *msg, struct ib_mr *ibmr);

#endif
