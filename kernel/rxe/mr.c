// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Soft-RoCE's memory regions on phyrs: the life of an MR. mr_data.c moves the
 * bytes. Together, these two files replace the in-tree rxe_mr.c, and have all the
 * functions that rxe_loc.h declares for it.
 *
 * mr->umem says what the MR stands on:
 *
 *  user MR   a struct phyr_umem of pinned memory
 *  fast MR   a struct phyr_umem whose blocks rxe_map_mr_sg() sets
 *  ODP MR    a struct ib_umem_odp, which is rxe_odp.c's; we only release it
 *  DMA MR    nothing: its addresses are the kernel's own
 *
 * rxe's page table in struct rxe_mr (page_info and what belongs to it) stays
 * empty. The pool finds an MR by its key, and takes a reference for as long as the
 * MR is used. So its umem cannot go in the middle of a copy: the pool waits for the
 * last reference before it calls rxe_mr_cleanup(). (It waits for 50 s, then it warns
 * and goes on. A QP holds its MR from packet to packet of an RDMA WRITE, so a peer that
 * stops in the middle can make that happen. This is the in-tree pool's fault.)
 */
#include <linux/ioport.h>
#include <linux/log2.h>
#include <linux/mm.h>
#include <linux/random.h>

#include "counters.h"
#include "mr.h"

static void set_keys(struct rxe_mr *mr, u32 key)
{
	mr->lkey = key;
	mr->rkey = key;
}

/* A new variable part for a key. -1 means that there was no last key. */
u8 rxe_get_next_key(u32 last_key)
{
	u8 key;

	do {
		key = get_random_u8();
	} while (key == last_key);
	return key;
}

void rxe_mr_init(int access, struct rxe_mr *mr)
{
	u32 key = mr->elem.index << 8 | rxe_get_next_key(-1);

	/*
	 * The two pairs are equal until a REG_MR work request changes the
	 * MR's own, to what the owner of a fast MR wants.
	 */
	set_keys(mr, key);
	mr->ibmr.lkey = key;
	mr->ibmr.rkey = key;
	mr->ibmr.page_size = PAGE_SIZE;
	mr->access = access;
	mr->state = RXE_MR_STATE_INVALID;
}

void rxe_mr_init_dma(int access, struct rxe_mr *mr)
{
	rxe_mr_init(access, mr);
	mr->ibmr.type = IB_MR_TYPE_DMA;
	mr->state = RXE_MR_STATE_VALID;
}

/* Only persistent memory can be flushed to persistence. */
static bool all_persistent(phys_addr_t addr, size_t len)
{
	return region_intersects(addr, len, IORESOURCE_MEM, IORES_DESC_PERSISTENT_MEMORY) ==
	       REGION_INTERSECTS;
}

static int check_persistent(const struct rxe_mr *mr, const struct phyr_array *phyrs)
{
	struct phyr_iter iter = {};
	struct phyr run;

	if (!(mr->access & IB_ACCESS_FLUSH_PERSISTENT))
		return 0;
	while (phyr_array_next_run(phyrs, &iter, &run))
		if (!all_persistent(run.addr, run.len))
			return -EINVAL;
	return 0;
}

int rxe_mr_init_user(struct rxe_dev *rxe, u64 start, u64 length, int access, struct rxe_mr *mr)
{
	struct phyr_umem *phyr_umem;
	int err;

	rxe_mr_init(access, mr);

	phyr_umem = phyr_umem_get(&rxe->ib_dev, start, length, access);
	if (IS_ERR(phyr_umem)) {
		rxe_dbg_mr(mr, "cannot pin the region, err = %ld\n", PTR_ERR(phyr_umem));
		return PTR_ERR(phyr_umem);
	}
	err = check_persistent(mr, &phyr_umem->phyrs);
	if (err) {
		rxe_dbg_mr(mr, "flush to persistence asked for memory that is not persistent\n");
		phyr_umem_release(phyr_umem);
		return err;
	}

	mr->umem = &phyr_umem->umem;
	mr->ibmr.type = IB_MR_TYPE_USER;
	mr->state = RXE_MR_STATE_VALID;
	phyr_rxe_count_mr(rxe, phyr_umem);
	return 0;
}

int rxe_mr_init_fast(int max_pages, struct rxe_mr *mr)
{
	struct phyr_umem *phyr_umem;

	/* Fast MRs are always open to remote access; REG_MR narrows it. */
	rxe_mr_init(RXE_ACCESS_REMOTE, mr);

	phyr_umem = phyr_umem_alloc_fast(mr->ibmr.device, max_pages);
	if (IS_ERR(phyr_umem))
		return PTR_ERR(phyr_umem);

	mr->umem = &phyr_umem->umem;
	mr->ibmr.type = IB_MR_TYPE_MEM_REG;
	mr->state = RXE_MR_STATE_FREE;
	return 0;
}

/* One page, of the MR's own page size, for ib_sg_to_pages(). */
static int set_page(struct ib_mr *ibmr, u64 dma_addr)
{
	struct rxe_mr *mr = to_rmr(ibmr);
	phys_addr_t addr = virt_to_phys(ib_virt_dma_to_ptr(dma_addr));

	if ((mr->access & IB_ACCESS_FLUSH_PERSISTENT) && !all_persistent(addr, ibmr->page_size))
		return -EINVAL;
	return phyr_array_add_block(mr_phyrs(mr), addr);
}

/*
 * Map a fast MR. An entry is a page of the MR's page size, which may be larger or
 * smaller than the CPU's. So what was allocated with the MR is always enough, and
 * nothing sleeps here. An owner who keeps the rules has invalidated the MR before.
 * Otherwise a copy may be under way: it finds old memory or new, as long as the page
 * size does not change (see phyr_array_alloc_blocks()).
 *
 * ib_sg_to_pages() returns the number of entries that are mapped whole. 0 is no
 * error: then a part of the first entry may be mapped, and is used.
 */
int rxe_map_mr_sg(struct ib_mr *ibmr, struct scatterlist *sgl, int sg_nents,
		  unsigned int *sg_offset)
{
	struct rxe_mr *mr = to_rmr(ibmr);
	struct phyr_array *phyrs = mr_phyrs(mr);
	int mapped;

	if (!is_power_of_2(ibmr->page_size)) {
		rxe_dbg_mr(mr, "page size %u is not a power of two\n", ibmr->page_size);
		return -EINVAL;
	}
	if (phyr_array_begin_blocks(phyrs, ilog2(ibmr->page_size)))
		return -EINVAL;
	mapped = ib_sg_to_pages(ibmr, sgl, sg_nents, sg_offset, set_page);
	phyr_array_end_blocks(phyrs, ibmr->iova & (ibmr->page_size - 1),
			      mapped < 0 ? 0 : ibmr->length);
	return mapped;
}

struct rxe_mr *lookup_mr(struct rxe_pd *pd, int access, u32 key, enum rxe_mr_lookup_type type)
{
	struct rxe_dev *rxe = to_rdev(pd->ibpd.device);
	struct rxe_mr *mr = rxe_pool_get_index(&rxe->mr_pool, key >> 8);

	if (!mr)
		return NULL;
	/*
	 * The acquire pairs with the release in rxe_reg_fast_mr(): with the state come keys and
	 * access, and the blocks that were mapped before. Of other MRs all is set before the
	 * pool has them.
	 */
	if (smp_load_acquire(&mr->state) == RXE_MR_STATE_VALID && mr_pd(mr) == pd &&
	    key == (type == RXE_LOOKUP_LOCAL ? mr->lkey : mr->rkey) &&
	    (mr->access & access) == access)
		return mr;
	rxe_put(mr);
	return NULL;
}

/* Why a local or remote invalidation of this MR with this key must fail, if it must. */
static const char *cannot_invalidate(struct rxe_mr *mr, u32 key)
{
	if (key != (mr->access & RXE_ACCESS_REMOTE ? mr->rkey : mr->lkey))
		return "the key is not the MR's";
	if (atomic_read(&mr->num_mw) > 0)
		return "memory windows are bound to it";
	if (mr->ibmr.type != IB_MR_TYPE_MEM_REG)
		return "it is not a fast-registration MR";
	return NULL;
}

int rxe_invalidate_mr(struct rxe_qp *qp, u32 key)
{
	struct rxe_dev *rxe = to_rdev(qp->ibqp.device);
	struct rxe_mr *mr = rxe_pool_get_index(&rxe->mr_pool, key >> 8);
	const char *why;

	if (!mr) {
		rxe_dbg_qp(qp, "no MR has the key %#x\n", key);
		return -EINVAL;
	}
	why = cannot_invalidate(mr, key);
	if (why)
		rxe_dbg_mr(mr, "cannot invalidate with key %#x: %s\n", key, why);
	else
		mr->state = RXE_MR_STATE_FREE;
	rxe_put(mr);
	return why ? -EINVAL : 0;
}

/*
 * Execute a REG_MR work request: the one way to open a free fast MR, and to
 * change its keys. The poster keeps the MR alive until the request completes.
 */
int rxe_reg_fast_mr(struct rxe_qp *qp, struct rxe_send_wqe *wqe)
{
	struct rxe_mr *mr = to_rmr(wqe->wr.wr.reg.mr);
	u32 key = wqe->wr.wr.reg.key;

	if (mr->state != RXE_MR_STATE_FREE) {
		rxe_dbg_mr(mr, "is in use, lkey = %#x\n", mr->lkey);
		return -EINVAL;
	}
	if (mr->ibmr.pd != qp->ibqp.pd) {
		rxe_dbg_mr(mr, "is of another PD than the QP\n");
		return -EINVAL;
	}
	/* The index is ours, the low byte the owner's. */
	if (key >> 8 != mr->lkey >> 8) {
		rxe_dbg_mr(mr, "key %#x does not name it, lkey = %#x\n", key, mr->lkey);
		return -EINVAL;
	}

	mr->access = wqe->wr.wr.reg.access;
	set_keys(mr, key);
	/* See lookup_mr(). */
	smp_store_release(&mr->state, RXE_MR_STATE_VALID);
	return 0;
}

void rxe_mr_cleanup(struct rxe_pool_elem *elem)
{
	struct rxe_mr *mr = container_of(elem, struct rxe_mr, elem);

	rxe_put(mr_pd(mr));
	if (!mr->umem)
		return;
	if (is_odp_mr(mr))
		ib_umem_release(mr->umem);
	else
		phyr_umem_release(to_phyr_umem(mr->umem));
}
