// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * What the kernel says of an MR: PHYR_IB_METHOD_MR_QUERY of rdma/phyr-abi.h.
 */
#include <errno.h>

#include <infiniband/driver.h>

#include "provider.h"

int phyr_query_mr(struct ibv_mr *mr, struct phyr_ib_mr_info *info)
{
	int error;

	DECLARE_COMMAND_BUFFER(command, UVERBS_OBJECT_MR, PHYR_IB_METHOD_MR_QUERY, 2);

	fill_attr_in_obj(command, PHYR_IB_ATTR_MR_QUERY_HANDLE, mr->handle);
	fill_attr_out_ptr(command, PHYR_IB_ATTR_MR_QUERY_RESP, info);
	error = execute_ioctl(mr->context, command);
	/* uverbs does not know the method if the kernel's driver is stock. */
	return error == EPROTONOSUPPORT ? EOPNOTSUPP : error;
}
