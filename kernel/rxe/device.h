/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * Included by force in front of the in-tree rxe_verbs.c, so that it registers
 * its devices through us.
 */
#ifndef PHYR_RXE_DEVICE_H
#define PHYR_RXE_DEVICE_H

#include <rdma/ib_verbs.h>

int phyr_rxe_register_device(struct ib_device *device, const char *name,
			     struct device *dma_device);

#ifndef PHYR_RXE_DEVICE_C
#define ib_register_device phyr_rxe_register_device
#endif

#endif
