// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * The largest region that a device takes. Nothing is prepared for a larger one, since the device
 * would refuse it.
 *
 * ibv_query_device() does not help: every Soft-RoCE driver says 2^64 - 1. A region has at most
 * 2^32 - 1 pages, since their number is an unsigned int in the kernel. Since Linux 6.12.117,
 * stock's driver refuses more than 2^18 pages: it needs a larger array for them than kmalloc()
 * gives. Older stock drivers take more. There, we leave regions unprepared that we could prepare.
 */
#include <unistd.h>

#include "provider.h"

#define MOST_PAGES	UINT32_MAX
#define STOCK_MOST	(UINT64_C(1) << 30)

static bool is_stock_driver(struct ibv_context *context)
{
	struct phyr_ib_device_info info;

	return phyr_query_device(context, &info);
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
