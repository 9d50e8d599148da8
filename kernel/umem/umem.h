/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
#ifndef PHYR_UMEM_H
#define PHYR_UMEM_H

#include <phyr/phyr.h>
#include <rdma/ib_umem.h>
#include <rdma/ib_verbs.h>

/**
 * struct phyr_umem - the user memory of an MR, as phyrs
 * @umem: what the RDMA core and the rest of a driver may look at. Its
 *	  scatterlist is empty, and it must never reach ib_umem_release().
 * @phyrs: the memory; of a fast-registration MR, what it is mapped to
 * @stats: how it was pinned; of a fast-registration MR, zeroes
 */
struct phyr_umem {
	struct ib_umem umem;
	struct phyr_array phyrs;
	struct phyr_pin_stats stats;
};

static inline struct phyr_umem *to_phyr_umem(struct ib_umem *umem)
{
	return container_of(umem, struct phyr_umem, umem);
}

struct phyr_umem *phyr_umem_get(struct ib_device *device, unsigned long addr, size_t size,
				int access);
struct phyr_umem *phyr_umem_alloc_fast(struct ib_device *device, unsigned long max_blocks);
void phyr_umem_release(struct phyr_umem *phyr_umem);

/**
 * phyr_umem_extents - what to report of an MR's memory
 * @phyr_umem: the MR's memory
 *
 * Return: Its phyrs; none if it is of no bytes, though a page is pinned for it.
 */
static inline const struct phyr_array *phyr_umem_extents(const struct phyr_umem *phyr_umem)
{
	static const struct phyr_array none;

	return phyr_umem->umem.owning_mm && !phyr_umem->umem.length ? &none : &phyr_umem->phyrs;
}

/**
 * phyr_umem_metadata - memory that an MR keeps for its phyrs
 * @phyr_umem: the MR's memory
 *
 * Return: Bytes, with those of @phyr_umem itself.
 */
static inline size_t phyr_umem_metadata(const struct phyr_umem *phyr_umem)
{
	return sizeof(*phyr_umem) + phyr_umem->phyrs.table_bytes;
}

/**
 * phyr_umem_pinned_pages - what an MR is charged for
 * @phyr_umem: the MR's memory
 *
 * Return: Pages. 0 for a fast-registration MR: we do not pin what it is mapped to.
 */
static inline size_t phyr_umem_pinned_pages(struct phyr_umem *phyr_umem)
{
	return phyr_umem->umem.owning_mm ? ib_umem_num_pages(&phyr_umem->umem) : 0;
}

#endif
