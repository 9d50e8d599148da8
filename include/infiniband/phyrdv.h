/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * phyr Direct Verbs, for devices that register memory by the folio. A program can ask what
 * ibv_reg_mr() made of memory, and say how memory is prepared before it is registered. Link with
 * -lphyr. See phyrdv(7) and the man pages that it names.
 */
#ifndef PHYRDV_H
#define PHYRDV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <infiniband/verbs.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Is libphyr the provider of this device? */
bool phyrdv_is_supported(struct ibv_device *device);

enum {
	PHYRDV_DEVICE_CAP_MR_QUERY = 1 << 0,	/* phyrdv_query_mr() */
	PHYRDV_DEVICE_CAP_MR_EXTENTS = 1 << 1,	/* phyrdv_mr_extents() */
};

struct phyrdv_device_attr {
	uint64_t comp_mask;	/* out, no values yet */
	uint64_t device_caps;	/* PHYRDV_DEVICE_CAP_*; 0 if the kernel's driver is stock */
	uint32_t max_extents;	/* the most that one call of phyrdv_mr_extents() returns */
	uint8_t reserved[4];
};

int phyrdv_query_device(struct ibv_context *context, struct phyrdv_device_attr *attr,
			uint32_t inlen);

struct phyrdv_mr_attr {
	uint64_t comp_mask;	/* out, no values yet */
	uint64_t phyrs;		/* physically contiguous extents */
	uint64_t dma_entries;	/* entries by which the device finds them */
	uint64_t largest;	/* the largest extent, in bytes */
	uint64_t smallest;	/* the smallest extent, in bytes */
	uint64_t block_size;	/* bytes of each block, if equal blocks describe the MR, or 0 */
	uint64_t metadata;	/* bytes of kernel memory that describe the MR */
	uint64_t pinned_pages;	/* base pages pinned */
	uint64_t pin_ns;	/* nanoseconds spent on pinning and describing */
};

int phyrdv_query_mr(struct ibv_mr *mr, struct phyrdv_mr_attr *attr, uint32_t inlen);

struct phyrdv_extent {
	uint64_t offset;	/* into the MR, in bytes */
	uint64_t length;	/* in bytes */
};

/* Fails with EPERM without CAP_SYS_ADMIN in the initial user namespace. */
int phyrdv_mr_extents(struct ibv_mr *mr, uint64_t start, struct phyrdv_extent *extents,
		      uint32_t max_extents, uint32_t *nr_extents);

/* What may be done with memory before it is registered. */
enum {
	PHYRDV_PREPARE_HUGEPAGE = 1 << 0,	/* huge pages where nothing is populated */
	PHYRDV_PREPARE_POPULATE = 1 << 1,	/* populate with several threads */
	PHYRDV_PREPARE_COLLAPSE = 1 << 2,	/* make huge pages of populated base pages */
	PHYRDV_PREPARE_ADVISE = 1 << 3,		/* get huge pages by advice, which stays */
};

struct phyrdv_reg_mr_attr {
	uint64_t comp_mask;	/* in, no values yet: 0 */
	uint32_t prepare;	/* PHYRDV_PREPARE_*; 0: leave the memory alone */
	uint32_t max_threads;	/* for PHYRDV_PREPARE_POPULATE; 0: as many as CPUs */
};

struct ibv_mr *phyrdv_reg_mr(struct ibv_pd *pd, void *addr, size_t length, uint64_t iova,
			     int access, const struct phyrdv_reg_mr_attr *attr, uint32_t inlen);

#ifdef __cplusplus
}
#endif

#endif
