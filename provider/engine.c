// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * The engine: rdma-core's own provider of Soft-RoCE. Its source, rxe.c, is included here, so that
 * we can call its static functions. PROVIDER_DRIVER would register it with libibverbs; ours keeps
 * its operations instead.
 */
#include <infiniband/driver.h>

#include "provider.h"

#pragma push_macro("PROVIDER_DRIVER")
#undef PROVIDER_DRIVER
#define PROVIDER_DRIVER(name, ops) const struct verbs_device_ops *const engine = &(ops)
#include <rxe.c>
#pragma pop_macro("PROVIDER_DRIVER")

struct ibv_mr *engine_reg_mr(struct ibv_pd *pd, void *addr, size_t length, uint64_t iova,
			     int access)
{
	return rxe_reg_mr(pd, addr, length, iova, access);
}
