/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
#ifndef PHYR_LIVEPATCH_H
#define PHYR_LIVEPATCH_H

#include <rdma/ib_umem.h>
#include <rdma/uverbs_ioctl.h>

struct ib_umem *phyr_umem_get_va(struct ib_device *device, unsigned long addr, size_t size,
				 int access);

#endif
