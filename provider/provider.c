// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * A provider of Soft-RoCE devices that registers memory our way.
 *
 * Everything else is the engine's. We register the engine's device operations with libibverbs, with
 * an alloc_context of ours. It replaces the context's reg_mr by ours.
 *
 * There is no rereg_mr here, since libphyr does what librxe does, and the engine has none:
 * ibv_rereg_mr() fails with EOPNOTSUPP. We would have nothing to prepare for it anyway: the
 * kernel's Soft-RoCE changes only the access rights and the PD, never the memory.
 */
#include <infiniband/driver.h>

#include "provider.h"

static struct verbs_device_ops phyr_device_ops;

static const struct verbs_context_ops phyr_context_ops = {
	.reg_mr = phyr_reg_mr,
};

bool is_phyr_device(struct ibv_device *device)
{
	return verbs_get_device(device)->ops == &phyr_device_ops;
}

static struct verbs_context *alloc_context(struct ibv_device *device, int cmd_fd,
					   void *private_data)
{
	struct verbs_context *context = engine->alloc_context(device, cmd_fd, private_data);

	if (context)
		verbs_set_ops(context, &phyr_context_ops);
	return context;
}

static __attribute__((constructor)) void register_driver(void)
{
	phyr_device_ops = *engine;
	phyr_device_ops.name = "phyr";
	phyr_device_ops.alloc_context = alloc_context;
	verbs_register_driver(&phyr_device_ops);
}
