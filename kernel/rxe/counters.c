// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Counts a device's registrations since it was added. The counters come behind the
 * in-tree driver's in "rdma statistic" and in hw_counters/ of sysfs.
 *
 *  phyr_registrations  user MRs registered (those on demand are not ours)
 *  phyr_bytes          their lengths
 *  phyr_extents        physical ranges they were found to be made of
 *  phyr_folio_hits     large folios, or parts of them, that were pinned in one step
 *  phyr_fallbacks      times that pages of one were pinned one by one
 *
 * Bytes divided by extents show how fragmented memory is. Base pages count neither as
 * hits nor as fallbacks. Counters only grow: they say nothing of what is registered now.
 */
#include "counters.h"
#include "device.h"

static const char *const names[PHYR_NR_COUNTERS] = {
	[PHYR_REGISTRATIONS] = "phyr_registrations",
	[PHYR_BYTES] = "phyr_bytes",
	[PHYR_EXTENTS] = "phyr_extents",
	[PHYR_FOLIO_HITS] = "phyr_folio_hits",
	[PHYR_FALLBACKS] = "phyr_fallbacks",
};

void phyr_rxe_count_mr(struct rxe_dev *rxe, const struct phyr_umem *phyr_umem)
{
	atomic64_t *counters = to_phyr_rxe(&rxe->ib_dev)->counters.value;

	atomic64_inc(&counters[PHYR_REGISTRATIONS]);
	atomic64_add(phyr_umem->umem.length, &counters[PHYR_BYTES]);
	atomic64_add(phyr_umem_extents(phyr_umem)->nr, &counters[PHYR_EXTENTS]);
	/* Small regions have neither. */
	if (phyr_umem->stats.folio_hits)
		atomic64_add(phyr_umem->stats.folio_hits, &counters[PHYR_FOLIO_HITS]);
	if (phyr_umem->stats.fallbacks)
		atomic64_add(phyr_umem->stats.fallbacks, &counters[PHYR_FALLBACKS]);
}

static struct rdma_hw_stats *phyr_rxe_alloc_stats(struct ib_device *device, u32 port)
{
	struct phyr_rxe_counters *counters = &to_phyr_rxe(device)->counters;

	return rdma_alloc_hw_stats_struct(counters->descs, ARRAY_SIZE(counters->descs),
					  RDMA_HW_STATS_DEFAULT_LIFESPAN);
}

static int phyr_rxe_get_stats(struct ib_device *device, struct rdma_hw_stats *stats, u32 port,
			      int index)
{
	const atomic64_t *counters = to_phyr_rxe(device)->counters.value;
	int nr = rxe_ib_get_hw_stats(device, stats, port, index);
	int i;

	if (nr < 0)
		return nr;
	for (i = 0; i < PHYR_NR_COUNTERS; i++)
		stats->value[RXE_NUM_OF_COUNTERS + i] = atomic64_read(&counters[i]);
	return RXE_NUM_OF_COUNTERS + i;
}

/*
 * Put our names behind the in-tree driver's, before the device is registered. The
 * in-tree driver gives its names only together with memory for values. The names are
 * kept with the device, since all of its statistics refer to them and are freed first.
 */
int phyr_rxe_add_counters(struct ib_device *device)
{
	struct rdma_stat_desc *descs = to_phyr_rxe(device)->counters.descs;
	struct rdma_hw_stats *intree = rxe_ib_alloc_hw_port_stats(device, 1);
	int i;

	if (!intree)
		return -ENOMEM;
	memcpy(descs, intree->descs, RXE_NUM_OF_COUNTERS * sizeof(*descs));
	rdma_free_hw_stats_struct(intree);
	for (i = 0; i < PHYR_NR_COUNTERS; i++)
		descs[RXE_NUM_OF_COUNTERS + i].name = names[i];

	device->ops.alloc_hw_port_stats = phyr_rxe_alloc_stats;
	device->ops.get_hw_stats = phyr_rxe_get_stats;
	return 0;
}
