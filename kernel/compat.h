/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * Where the kernels that phyr builds for differ, and nowhere else.
 *
 * What a kernel has is asked of its headers (HAVE_* come from kernel/Kbuild.compat),
 * not of its version: distributions backport.
 */
#ifndef PHYR_COMPAT_H
#define PHYR_COMPAT_H

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
