// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * The largest region that a device takes, so that nothing is prepared for one that it refuses.
 *
 * What verbs say of it, no Soft-RoCE driver keeps: each says 2^64 - 1. Regions have at most 2^32
 * - 1 pages (their number is an unsigned int in the kernel), and for more than 2^18 stock's
 * driver wants a larger array than its kmalloc() has, since Linux 6.12.117. (Older ones took
 * more. There, we do not prepare that, which is no harm.)
 */
#include <unistd.h>

#include <infiniband/driver.h>

#include "provider.h"

#define MOST_PAGES	UINT32_MAX
#define STOCK_MOST	(UINT64_C(1) << 30)

static bool is_stock_driver(struct ibv_context *context)
{
	struct phyr_ib_device_info info = {};

	DECLARE_COMMAND_BUFFER(command, UVERBS_OBJECT_DEVICE, PHYR_IB_METHOD_DEVICE_QUERY, 1);

	fill_attr_out_ptr(command, PHYR_IB_ATTR_DEVICE_QUERY_RESP, &info);
	return execute_ioctl(context, command);
}

uint64_t phyr_largest_region(struct ibv_context *context)
{
	uint64_t most = (uint64_t)MOST_PAGES * sysconf(_SC_PAGESIZE);
	struct ibv_device_attr attr;

	if (ibv_query_device(context, &attr))
		return 0;
	if (is_stock_driver(context))
		most = STOCK_MOST;
	return attr.max_mr_size < most ? attr.max_mr_size : most;
}
