/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * What a Soft-RoCE device of ours has and offers more than the in-tree one.
 *
 * Included by force in front of every in-tree file, so that wherever these allocate
 * and register a device, they do so through us.
 */
#ifndef PHYR_RXE_DEVICE_H
#define PHYR_RXE_DEVICE_H

#include <linux/atomic.h>
#include <rdma/ib_verbs.h>
#include <rdma/phyr-abi.h>
#include <rdma/uverbs_ioctl.h>

#include "rxe.h"
#include "umem/umem.h"

/* What a device has done since it was added; see counters.c. */
enum phyr_counter {
	PHYR_REGISTRATIONS,
	PHYR_BYTES,
	PHYR_EXTENTS,
	PHYR_FOLIO_HITS,
	PHYR_FALLBACKS,
	PHYR_NR_COUNTERS
};

/**
 * struct phyr_rxe_dev - a Soft-RoCE device with what is ours
 * @rxe: the in-tree driver's device; first, as the RDMA core frees it by its address
 * @counters: our counters
 * @descs: names of the in-tree driver's counters, and of ours behind them
 */
struct phyr_rxe_dev {
	struct rxe_dev rxe;
	atomic64_t counters[PHYR_NR_COUNTERS];
	struct rdma_stat_desc descs[RXE_NUM_OF_COUNTERS + PHYR_NR_COUNTERS];
};

static inline struct phyr_rxe_dev *to_phyr_rxe(struct ib_device *device)
{
	return container_of(to_rdev(device), struct phyr_rxe_dev, rxe);
}

void phyr_rxe_count_mr(struct rxe_dev *rxe, const struct phyr_umem *phyr_umem);
int phyr_rxe_add_counters(struct ib_device *device);

struct phyr_ib_mr_info phyr_rxe_mr_info(struct phyr_umem *phyr_umem);

extern const struct uapi_definition phyr_rxe_uapi_defs[];

int phyr_rxe_register_device(struct ib_device *device, const char *name,
			     struct device *dma_device);

#ifdef PHYR_RXE_INTREE

#define ib_register_device phyr_rxe_register_device

/* (A macro's own name in what it stands for is the function.) */
static_assert(offsetof(struct phyr_rxe_dev, rxe.ib_dev) == 0);
#define _ib_alloc_device(size, ...) \
	_ib_alloc_device(sizeof(struct phyr_rxe_dev) - sizeof(struct rxe_dev) + (size), \
			 ##__VA_ARGS__)

#endif

#endif
