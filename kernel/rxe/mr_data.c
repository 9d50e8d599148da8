// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Moving bytes into and out of Soft-RoCE's memory regions.
 *
 * All memory is reached through the kernel's linear map, a whole phyr at a
 * time. (phyr is for 64-bit machines, which have no high memory. GUP does not pin
 * what is not in the linear map, such as secretmem.) The caller has a reference to
 * the MR, which keeps its memory pinned.
 *
 * An IOVA is turned into an offset into the MR's memory by subtracting the
 * MR's own IOVA, after mr_check_range() has said that all of it is inside.
 */
#include <linux/libnvdimm.h>
#include <linux/mm.h>

#include "mr.h"

/*
 * Makes atomics atomic against each other, on all devices and kinds of MR. The
 * in-tree rxe_mr.c has a lock of this name, which rxe_odp.c takes, too. Ordinary
 * loads and stores of the CPU do not take it.
 */
DEFINE_SPINLOCK(atomic_ops_lock);

int mr_check_range(struct rxe_mr *mr, u64 iova, size_t length)
{
	u64 begin = mr->ibmr.iova, size = mr->ibmr.length;

	switch (mr->ibmr.type) {
	case IB_MR_TYPE_DMA:
		return 0;
	case IB_MR_TYPE_USER:
	case IB_MR_TYPE_MEM_REG:
		/* In this order, nothing can wrap around. */
		if (iova >= begin && length <= size && iova - begin <= size - length)
			return 0;
		rxe_dbg_mr(mr, "%zu bytes at %#llx are not inside\n", length, iova);
		return -EINVAL;
	default:
		rxe_dbg_mr(mr, "MRs of type %d are not supported\n", mr->ibmr.type);
		return -EINVAL;
	}
}

static void copy_run(void *mem, void *addr, size_t length, enum rxe_mr_copy_dir dir)
{
	if (dir == RXE_TO_MR_OBJ)
		memcpy(mem, addr, length);
	else
		memcpy(addr, mem, length);
}

/* Copy to or from phyrs. There are enough, unless the owner of a fast MR maps it anew in use. */
static int copy_phyrs(struct rxe_mr *mr, u64 iova, void *addr, unsigned int length,
		      enum rxe_mr_copy_dir dir)
{
	const struct phyr_array *phyrs = mr_phyrs(mr);
	size_t offset = iova - mr->ibmr.iova;

	while (length) {
		struct phyr phyr = phyr_array_find(phyrs, offset);
		unsigned int bytes = min_t(size_t, length, phyr.len);

		if (unlikely(!bytes))
			return -EFAULT;
		copy_run(phys_to_virt(phyr.addr), addr, bytes, dir);
		offset += bytes;
		addr += bytes;
		length -= bytes;
	}
	return 0;
}

int rxe_mr_copy(struct rxe_mr *mr, u64 iova, void *addr, unsigned int length,
		enum rxe_mr_copy_dir dir)
{
	int err;

	if (!length)
		return 0;
	if (WARN_ON(!mr))
		return -EINVAL;

	if (mr->ibmr.type == IB_MR_TYPE_DMA) {
		copy_run(ib_virt_dma_to_ptr(iova), addr, length, dir);
		return 0;
	}
	err = mr_check_range(mr, iova, length);
	if (unlikely(err))
		return err;
	if (is_odp_mr(mr))
		return rxe_odp_mr_copy(mr, iova, addr, length, dir);
	return copy_phyrs(mr, iova, addr, length, dir);
}

/*
 * Let sge and offset name the next byte of a work request's scatter/gather
 * list, passing over entries that are used up or empty. Returns how many bytes
 * follow in the same entry, 0 at the end of the list. A length is read once,
 * as the list is in memory that its user can write to.
 */
static u32 next_bytes(struct rxe_dma_info *dma, struct rxe_sge **sge, u32 *offset)
{
	for (;;) {
		u32 length = READ_ONCE((*sge)->length);

		if (*offset < length)
			return length - *offset;
		if (++dma->cur_sge >= dma->num_sge)
			return 0;
		++*sge;
		*offset = 0;
	}
}

/*
 * Copy length bytes between addr and where a work request's scatter/gather
 * list has got to, and move on in the list. After an error the request cannot
 * go on, and where the list stands means nothing.
 */
int copy_data(struct rxe_pd *pd, int access, struct rxe_dma_info *dma, void *addr, int length,
	      enum rxe_mr_copy_dir dir)
{
	struct rxe_sge *sge = &dma->sge[dma->cur_sge];
	u32 offset = dma->sge_offset;
	u32 left = length;
	struct rxe_mr *mr;
	u32 bytes;
	int err;

	if (!length)
		return 0;
	if (length < 0 || left > dma->resid)
		return -EINVAL;

	while (left) {
		bytes = min(left, next_bytes(dma, &sge, &offset));
		if (!bytes)
			return -ENOSPC;

		mr = lookup_mr(pd, access, sge->lkey, RXE_LOOKUP_LOCAL);
		if (!mr)
			return -EINVAL;
		err = rxe_mr_copy(mr, sge->addr + offset, addr, bytes, dir);
		rxe_put(mr);
		if (err)
			return err;

		offset += bytes;
		addr += bytes;
		left -= bytes;
	}

	dma->sge_offset = offset;
	dma->resid -= length;
	return 0;
}

/* Move on in a scatter/gather list without copying. */
int advance_dma_data(struct rxe_dma_info *dma, unsigned int length)
{
	struct rxe_sge *sge = &dma->sge[dma->cur_sge];
	u32 offset = dma->sge_offset;
	u32 left = length;
	u32 bytes;

	while (left) {
		bytes = min(left, next_bytes(dma, &sge, &offset));
		if (!bytes)
			return -ENOSPC;
		offset += bytes;
		left -= bytes;
	}

	dma->sge_offset = offset;
	dma->resid -= length;
	return 0;
}

/* Write what is in the CPU's caches back to persistent memory. */
int rxe_flush_pmem_iova(struct rxe_mr *mr, u64 iova, unsigned int length)
{
	const struct phyr_array *phyrs;
	size_t offset;
	int err;

	if (WARN_ON(!mr))
		return -EINVAL;
	if (!length)
		return 0;
	if (mr->ibmr.type == IB_MR_TYPE_DMA)
		return -EFAULT;
	if (is_odp_mr(mr))
		return rxe_odp_flush_pmem_iova(mr, iova, length);

	err = mr_check_range(mr, iova, length);
	if (err)
		return err;
	phyrs = mr_phyrs(mr);
	offset = iova - mr->ibmr.iova;
	while (length) {
		struct phyr phyr = phyr_array_find(phyrs, offset);
		unsigned int bytes = min_t(size_t, length, phyr.len);

		if (unlikely(!bytes))
			return -EFAULT;
		arch_wb_cache_pmem(phys_to_virt(phyr.addr), bytes);
		offset += bytes;
		length -= bytes;
	}
	return 0;
}

/*
 * Find the 8 bytes that an atomic operation works on. They are aligned, so
 * they do not straddle two runs; unless a fast MR has absurdly small pages.
 */
static rxe_respst find_u64(struct rxe_mr *mr, u64 iova, u64 **word)
{
	struct phyr phyr = { .len = sizeof(**word) };
	void *mem;

	/* IBA oA19-28: the MR must be valid. */
	if (unlikely(mr->state != RXE_MR_STATE_VALID)) {
		rxe_dbg_mr(mr, "is not valid\n");
		return RESPST_ERR_RKEY_VIOLATION;
	}
	if (mr->ibmr.type == IB_MR_TYPE_DMA) {
		mem = ib_virt_dma_to_ptr(iova);
	} else {
		if (mr_check_range(mr, iova, sizeof(**word)))
			return RESPST_ERR_RKEY_VIOLATION;
		phyr = phyr_array_find(mr_phyrs(mr), iova - mr->ibmr.iova);
		mem = phys_to_virt(phyr.addr);
	}
	/* IBA A19.4.2 */
	if (unlikely(!IS_ALIGNED((unsigned long)mem, sizeof(**word)))) {
		rxe_dbg_mr(mr, "atomic operation at %#llx, which is not aligned\n", iova);
		return RESPST_ERR_MISALIGNED_ATOMIC;
	}
	if (unlikely(phyr.len < sizeof(**word)))
		return RESPST_ERR_RKEY_VIOLATION;
	*word = mem;
	return RESPST_NONE;
}

/* Compare and swap, or fetch and add. ODP has its own in rxe_odp.c. */
rxe_respst rxe_mr_do_atomic_op(struct rxe_mr *mr, u64 iova, int opcode, u64 compare, u64 swap_add,
			       u64 *orig_val)
{
	rxe_respst err;
	u64 *word, was;

	err = find_u64(mr, iova, &word);
	if (err != RESPST_NONE)
		return err;

	spin_lock_bh(&atomic_ops_lock);
	/* Programs write it without the lock, so it is read once: what we compare we return. */
	was = READ_ONCE(*word);
	if (opcode != IB_OPCODE_RC_COMPARE_SWAP)
		WRITE_ONCE(*word, was + swap_add);
	else if (was == compare)
		WRITE_ONCE(*word, swap_add);
	spin_unlock_bh(&atomic_ops_lock);
	*orig_val = was;
	return RESPST_NONE;
}

rxe_respst rxe_mr_do_atomic_write(struct rxe_mr *mr, u64 iova, u64 value)
{
	rxe_respst err;
	u64 *word;

	err = find_u64(mr, iova, &word);
	if (err != RESPST_NONE)
		return err;
	/* Whoever sees the value sees what was written before it. */
	smp_store_release(word, value);
	return RESPST_NONE;
}
