/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * Where the kernels that phyr builds for differ, and nowhere else.
 *
 * What a kernel has is asked of its headers (HAVE_* come from kernel/Kbuild.compat),
 * not of its version: distributions backport.
 */
#ifndef PHYR_COMPAT_H
#define PHYR_COMPAT_H

#include <linux/dma-mapping.h>
#include <linux/mm.h>

#ifndef HAVE_FOLIO_ADD_PINS
/*
 * What folio_add_pins() does on newer kernels: more pins on a folio that we
 * hold a pin on, which is why its count cannot be zero here. The zero folio
 * carries no pins. Each kernel that needs this counts the pins of every large
 * folio in _pincount (and one reference with each), and those of a small one
 * in units of GUP_PIN_COUNTING_BIAS references.
 */
static inline int folio_add_pins(struct folio *folio, unsigned int pins)
{
	if (is_zero_folio(folio))
		return 0;
	if (folio_test_large(folio)) {
		folio_ref_add(folio, pins);
		atomic_add(pins, &folio->_pincount);
	} else {
		folio_ref_add(folio, pins * GUP_PIN_COUNTING_BIAS);
	}
	mod_node_page_state(folio_pgdat(folio), NR_FOLL_PIN_ACQUIRED, pins);
	return 0;
}
#endif

#ifndef HAVE_VMA_IS_COW_MAPPING
static inline bool vma_is_cow_mapping(const struct vm_area_struct *vma)
{
	return is_cow_mapping(vma->vm_flags);
}
#endif

#ifndef HAVE_DMA_MAP_PHYS
static inline dma_addr_t dma_map_phys(struct device *dev, phys_addr_t phys, size_t size,
				      enum dma_data_direction dir, unsigned long attrs)
{
	return dma_map_page_attrs(dev, pfn_to_page(PHYS_PFN(phys)), offset_in_page(phys), size,
				  dir, attrs);
}

static inline void dma_unmap_phys(struct device *dev, dma_addr_t addr, size_t size,
				  enum dma_data_direction dir, unsigned long attrs)
{
	dma_unmap_page_attrs(dev, addr, size, dir, attrs);
}
#endif

#ifdef HAVE_DMA_IOVA
#define PHYR_DMA_TABLE false
#else
/* There, dma_map_sgtable() is what puts a whole region into one stretch. */
#define PHYR_DMA_TABLE true

/* A kernel without these calls: there never is a stretch of IOVA to use them on. */
struct dma_iova_state {
	dma_addr_t addr;
};

static inline bool dma_iova_try_alloc(struct device *dev, struct dma_iova_state *state,
				      phys_addr_t phys, size_t size)
{
	return false;
}

static inline size_t dma_iova_size(struct dma_iova_state *state)
{
	return 0;
}

static inline void dma_iova_free(struct device *dev, struct dma_iova_state *state)
{
}

static inline int dma_iova_link(struct device *dev, struct dma_iova_state *state,
				phys_addr_t phys, size_t offset, size_t size,
				enum dma_data_direction dir, unsigned long attrs)
{
	return -EOPNOTSUPP;
}

static inline int dma_iova_sync(struct device *dev, struct dma_iova_state *state,
				size_t offset, size_t size)
{
	return -EOPNOTSUPP;
}

static inline void dma_iova_unlink(struct device *dev, struct dma_iova_state *state, size_t offset,
				   size_t size, enum dma_data_direction dir, unsigned long attrs)
{
}
#endif

/*
 * Whether the device sees what is in the CPU's caches. Newer kernels refuse to map
 * for one that does not, if they are asked to. On older ones the one answer is in a
 * header that is not for drivers.
 */
#ifdef DMA_ATTR_REQUIRE_COHERENT
static inline bool phyr_dma_is_coherent(struct device *dev)
{
	return true;
}
#else
#define DMA_ATTR_REQUIRE_COHERENT 0
#include <linux/dma-map-ops.h>

static inline bool phyr_dma_is_coherent(struct device *dev)
{
	return dev_is_dma_coherent(dev);
}
#endif

/* For kernel/umem, after the RDMA core's headers. */
#ifdef IB_UMEM_H

/* Where no device can say so, none has its DMA go through bounce buffers. */
static inline bool ib_device_bounces_dma(const struct ib_device *device)
{
#ifdef HAVE_IB_CC_DMA_BOUNCE
	return device->cc_dma_bounce;
#else
	return false;
#endif
}

/* How ib_umem maps for DMA. Kernels that unmap with the same attributes keep them. */
static inline unsigned long ib_umem_set_dma_attrs(struct ib_umem *umem, int access)
{
	unsigned long attrs = DMA_ATTR_REQUIRE_COHERENT;

	if (access & IB_ACCESS_RELAXED_ORDERING)
		attrs |= DMA_ATTR_WEAK_ORDERING;
#ifdef HAVE_IB_UMEM_DMA_ATTRS
	umem->dma_attrs = attrs;
#endif
	return attrs;
}

/*
 * The function that makes the umem of a user address, and is called to do so by
 * whatever drivers call. (A test has another name for it.)
 */
#ifndef UMEM_FUNCTION
#ifdef HAVE_IB_UMEM_GET_DESC
#define UMEM_FUNCTION "__ib_umem_get_va"
#else
#define UMEM_FUNCTION "ib_umem_get"
#endif
#endif

/* What drivers call for a user address. */
#ifndef HAVE_IB_UMEM_GET_DESC
static inline struct ib_umem *ib_umem_get_va(struct ib_device *device, unsigned long addr,
					     size_t size, int access)
{
	return ib_umem_get(device, addr, size, access);
}
#endif

#endif /* IB_UMEM_H */

/* For tests that call the kernel's ib_umem. */
#ifdef PHYR_UMEM_TEST_H

static inline unsigned long ib_umem_dma_attrs(const struct ib_umem *umem)
{
#ifdef HAVE_IB_UMEM_DMA_ATTRS
	return umem->dma_attrs;
#else
	return 0;
#endif
}

#ifdef HAVE_IB_UMEM_GET_DESC
static inline struct ib_umem *ib_umem_get_by(struct ib_device *device, u32 type, u32 flags, int fd,
					     u64 addr, u64 length, int access)
{
	const struct ib_uverbs_buffer_desc desc = {
		.type = type,
		.flags = flags,
		.fd = fd,
		.addr = addr,
		.length = length,
	};

	return ib_umem_get_desc(device, &desc, access);
}
#else
static inline struct ib_umem *ib_umem_get_by(struct ib_device *device, u32 type, u32 flags, int fd,
					     u64 addr, u64 length, int access)
{
	return ERR_PTR(-EOPNOTSUPP);
}
#endif

#endif /* PHYR_UMEM_TEST_H */

/* For the files that stand in for a part of rxe, after rxe's own headers. */
#ifdef RXE_LOC_H

/* What the atomic operations return. */
#ifdef HAVE_RXE_RESPST
#define rxe_respst enum resp_states
#else
#define rxe_respst int
#endif

#ifndef HAVE_RXE_ATOMIC_OPS_LOCK
extern spinlock_t atomic_ops_lock;
#endif

/* Without on-demand paging in rxe, no MR is such, and none of these is called. */
#ifndef HAVE_RXE_ODP
static inline bool is_odp_mr(struct rxe_mr *mr)
{
	return false;
}

static inline int rxe_odp_mr_copy(struct rxe_mr *mr, u64 iova, void *addr, int length,
				  enum rxe_mr_copy_dir dir)
{
	return -EOPNOTSUPP;
}

static inline int rxe_odp_flush_pmem_iova(struct rxe_mr *mr, u64 iova, unsigned int length)
{
	return -EOPNOTSUPP;
}
#endif

#endif /* RXE_LOC_H */

#endif
