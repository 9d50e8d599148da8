/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * A Soft-RoCE device of ours: the in-tree one, and what ours has besides.
 *
 * The build includes this in front of every in-tree file. So wherever these allocate
 * and register a device, they do it through us.
 */
#ifndef PHYR_RXE_DEVICE_H
#define PHYR_RXE_DEVICE_H

#include <rdma/ib_verbs.h>

#include "counters.h"
#include "rxe.h"

/**
 * struct phyr_rxe_dev - a Soft-RoCE device with what is ours
 * @rxe: the in-tree driver's device; first, as the RDMA core frees it by its address
 * @counters: our counters
 */
struct phyr_rxe_dev {
	struct rxe_dev rxe;
	struct phyr_rxe_counters counters;
};

static inline struct phyr_rxe_dev *to_phyr_rxe(struct ib_device *device)
{
	return container_of(to_rdev(device), struct phyr_rxe_dev, rxe);
}

int phyr_rxe_register_device(struct ib_device *device, const char *name,
			     struct device *dma_device);

#ifdef PHYR_RXE_INTREE

#define ib_register_device phyr_rxe_register_device

/* (Inside the macro, its own name is the function's.) */
static_assert(offsetof(struct phyr_rxe_dev, rxe.ib_dev) == 0);
#define _ib_alloc_device(size, ...) \
	_ib_alloc_device(sizeof(struct phyr_rxe_dev) - sizeof(struct rxe_dev) + (size), \
			 ##__VA_ARGS__)

#endif

#endif
