// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * The largest region that a device takes. Nothing is prepared for a larger one, since the device
 * would refuse it.
 *
 * ibv_query_device() does not help: every Soft-RoCE driver says 2^64 - 1, and the call takes more
 * stack than all of the preparation. A region has at most 2^32 - 1 pages, since their number is an
 * unsigned int in the kernel. Since Linux 6.12.117, stock's driver refuses more than 2^18 pages: it
 * needs a larger array for them than kmalloc() gives. Older stock drivers take more. There, we
 * leave regions unprepared that we could prepare.
 */
#include <errno.h>
#include <unistd.h>

#include <infiniband/driver.h>

#include "provider.h"

#define MOST_PAGES	UINT32_MAX
#define STOCK_MOST	(UINT64_C(1) << 30)

/* A device that has gone refuses all regions, and answers EIO. Soft-RoCE lacks this method. */
static bool is_there(struct ibv_context *context)
{
	uint64_t support;
	int error;

	DECLARE_COMMAND_BUFFER(command, UVERBS_OBJECT_DEVICE, UVERBS_METHOD_QUERY_CONTEXT, 1);

	fill_attr_out_ptr(command, UVERBS_ATTR_QUERY_CONTEXT_CORE_SUPPORT, &support);
	error = execute_ioctl(context, command);
	return !error || error == EOPNOTSUPP;
}

static bool is_stock_driver(struct ibv_context *context)
{
	struct phyr_ib_device_info info;

	return phyr_query_device(context, &info);
}

uint64_t phyr_largest_region(struct ibv_context *context)
{
	if (!is_there(context))
		return 0;
	if (is_stock_driver(context))
		return STOCK_MOST;
	return (uint64_t)MOST_PAGES * sysconf(_SC_PAGESIZE);
}
