// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Ask the kernel about a device and about an MR: PHYR_IB_METHOD_DEVICE_QUERY and
 * PHYR_IB_METHOD_MR_QUERY of rdma/phyr-abi.h.
 */
#include <errno.h>

#include <infiniband/driver.h>

#include "provider.h"

/* uverbs does not know our methods if the kernel's driver is stock. */
static int ask(struct ibv_context *context, struct ibv_command_buffer *command)
{
	int error = execute_ioctl(context, command);

	return error == EPROTONOSUPPORT ? EOPNOTSUPP : error;
}

int phyr_query_device(struct ibv_context *context, struct phyr_ib_device_info *info)
{
	DECLARE_COMMAND_BUFFER(command, UVERBS_OBJECT_DEVICE, PHYR_IB_METHOD_DEVICE_QUERY, 1);

	fill_attr_out_ptr(command, PHYR_IB_ATTR_DEVICE_QUERY_RESP, info);
	return ask(context, command);
}

int phyr_query_mr(struct ibv_mr *mr, struct phyr_ib_mr_info *info)
{
	DECLARE_COMMAND_BUFFER(command, UVERBS_OBJECT_MR, PHYR_IB_METHOD_MR_QUERY, 2);

	fill_attr_in_obj(command, PHYR_IB_ATTR_MR_QUERY_HANDLE, mr->handle);
	fill_attr_out_ptr(command, PHYR_IB_ATTR_MR_QUERY_RESP, info);
	return ask(mr->context, command);
}
