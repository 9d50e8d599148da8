// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * The ABI of libphyr's first release: sizes and offsets that programs were compiled with. This file
 * compiles as C99 and as C++, as phyrdv.h must.
 */
#include <infiniband/phyrdv.h>

#define CONCAT_(a, b)	a##b
#define CONCAT(a, b)	CONCAT_(a, b)
#define HOLDS(condition)	typedef char CONCAT(holds_, __LINE__)[(condition) ? 1 : -1]
#define FIELD(structure, field, offset, size)						\
	HOLDS(offsetof(struct structure, field) == (offset) &&				\
	      sizeof(((struct structure *)NULL)->field) == (size))

HOLDS(sizeof(struct phyrdv_device_attr) == 24);
FIELD(phyrdv_device_attr, comp_mask, 0, 8);
FIELD(phyrdv_device_attr, device_caps, 8, 8);
FIELD(phyrdv_device_attr, max_extents, 16, 4);
FIELD(phyrdv_device_attr, reserved, 20, 4);

HOLDS(sizeof(struct phyrdv_mr_attr) == 72);
FIELD(phyrdv_mr_attr, comp_mask, 0, 8);
FIELD(phyrdv_mr_attr, phyrs, 8, 8);
FIELD(phyrdv_mr_attr, dma_entries, 16, 8);
FIELD(phyrdv_mr_attr, largest, 24, 8);
FIELD(phyrdv_mr_attr, smallest, 32, 8);
FIELD(phyrdv_mr_attr, block_size, 40, 8);
FIELD(phyrdv_mr_attr, metadata, 48, 8);
FIELD(phyrdv_mr_attr, pinned_pages, 56, 8);
FIELD(phyrdv_mr_attr, pin_ns, 64, 8);

HOLDS(sizeof(struct phyrdv_extent) == 16);
FIELD(phyrdv_extent, offset, 0, 8);
FIELD(phyrdv_extent, length, 8, 8);

HOLDS(sizeof(struct phyrdv_reg_mr_attr) == 16);
FIELD(phyrdv_reg_mr_attr, comp_mask, 0, 8);
FIELD(phyrdv_reg_mr_attr, prepare, 8, 4);
FIELD(phyrdv_reg_mr_attr, max_threads, 12, 4);

HOLDS(PHYRDV_DEVICE_CAP_MR_QUERY == 1 && PHYRDV_DEVICE_CAP_MR_EXTENTS == 2);
HOLDS(PHYRDV_PREPARE_HUGEPAGE == 1 && PHYRDV_PREPARE_POPULATE == 2);
HOLDS(PHYRDV_PREPARE_COLLAPSE == 4 && PHYRDV_PREPARE_ADVISE == 8);

/* The functions have these types. */
int main(void)
{
	bool (*is_supported)(struct ibv_device *device) = phyrdv_is_supported;
	int (*query_device)(struct ibv_context *context, struct phyrdv_device_attr *attr,
			    uint32_t inlen) = phyrdv_query_device;
	int (*query_mr)(struct ibv_mr *mr, struct phyrdv_mr_attr *attr, uint32_t inlen) =
		phyrdv_query_mr;
	int (*mr_extents)(struct ibv_mr *mr, uint64_t start, struct phyrdv_extent *extents,
			  uint32_t max_extents, uint32_t *nr_extents) = phyrdv_mr_extents;
	struct ibv_mr *(*reg_mr)(struct ibv_pd *pd, void *addr, size_t length, uint64_t iova,
				 int access, const struct phyrdv_reg_mr_attr *attr,
				 uint32_t inlen) = phyrdv_reg_mr;

	return !is_supported || !query_device || !query_mr || !mr_extents || !reg_mr;
}
