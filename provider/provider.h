/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * The parts of the provider, libphyr-rdmavN.so. Each part calls only the parts above it in this
 * file, and prepare/.
 */
#ifndef PHYR_PROVIDER_H
#define PHYR_PROVIDER_H

#include <stdbool.h>
#include <stdint.h>

#include <infiniband/verbs.h>
#include <rdma/phyr-abi.h>

#include "prepare.h"

struct verbs_device_ops;

/* engine.c: rdma-core's own provider of Soft-RoCE. */
extern const struct verbs_device_ops *const engine;
struct ibv_mr *engine_reg_mr(struct ibv_pd *pd, void *addr, size_t length, uint64_t iova,
			     int access);

/*
 * query.c: what the kernel says of a device of ours, and of an MR. Both return an errno: EOPNOTSUPP
 * if the kernel's driver is stock.
 */
int phyr_query_device(struct ibv_context *context, struct phyr_ib_device_info *info);
int phyr_query_mr(struct ibv_mr *mr, struct phyr_ib_mr_info *info);

/* device.c: the largest region that a device takes, in bytes. */
uint64_t phyr_largest_region(struct ibv_context *context);

/* reg_mr.c: ibv_reg_mr() of our devices, and the same with a policy of the caller's. */
struct ibv_mr *phyr_reg_mr(struct ibv_pd *pd, void *addr, size_t length, uint64_t iova, int access);
struct ibv_mr *phyr_reg_mr_with(const struct prepare_policy *policy, struct ibv_pd *pd, void *addr,
				size_t length, uint64_t iova, int access);

/* provider.c */
bool is_phyr_device(struct ibv_device *device);

/* phyrdv.c defines what plugin.h declares. */

#endif
