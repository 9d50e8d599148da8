/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
#ifndef PHYR_RXE_COUNTERS_H
#define PHYR_RXE_COUNTERS_H

#include <linux/atomic.h>
#include <rdma/ib_verbs.h>

#include "rxe.h"
#include "umem/umem.h"

enum phyr_counter {
	PHYR_REGISTRATIONS,
	PHYR_BYTES,
	PHYR_EXTENTS,
	PHYR_FOLIO_HITS,
	PHYR_FALLBACKS,
	PHYR_NR_COUNTERS
};

/**
 * struct phyr_rxe_counters - what a device has done since it was added
 * @value: our counters
 * @descs: names of the in-tree driver's counters, and of ours behind them
 */
struct phyr_rxe_counters {
	atomic64_t value[PHYR_NR_COUNTERS];
	struct rdma_stat_desc descs[RXE_NUM_OF_COUNTERS + PHYR_NR_COUNTERS];
};

void phyr_rxe_count_mr(struct rxe_dev *rxe, const struct phyr_umem *phyr_umem);
int phyr_rxe_add_counters(struct ib_device *device);

#endif
