/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
#ifndef LIBPHYR_H
#define LIBPHYR_H

#include <stdbool.h>

#include <infiniband/verbs.h>
#include <rdma/phyr-abi.h>

#include "prepare.h"

/* provider.c */
bool is_phyr_device(struct ibv_device *device);
struct ibv_mr *engine_reg_mr(struct ibv_pd *pd, void *addr, size_t length, uint64_t iova,
			     int access);

/* reg_mr.c: what ibv_reg_mr() of our devices comes to, and the same with a policy of one's own. */
struct ibv_mr *phyr_reg_mr(struct ibv_pd *pd, void *addr, size_t length, uint64_t iova, int access);
struct ibv_mr *phyr_reg_mr_with(const struct prepare_policy *policy, struct ibv_pd *pd, void *addr,
				size_t length, uint64_t iova, int access);

/* phyrdv.c: what the kernel says of an MR of ours; returns an errno. */
int phyr_query_mr(struct ibv_mr *mr, struct phyr_ib_mr_info *info);

#endif
