// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Memory windows: parts of a region get keys of their own, by work requests instead of calls of the
 * kernel.
 *
 * Soft-RoCE has type 1 (bound by ibv_bind_mw(), valid on any QP) and type 2B (bound by a work
 * request, valid only on the QP that bound it, here the responder).
 */
#include <errno.h>

#include "verbs.h"

struct scene {
	struct buf *l, *r;
	struct ibv_mr *lmr, *rmr;
	struct ibv_mw *mw;
	size_t start, len;	/* of the window: an offset in the buffer */
};

static int scene_open(struct scene *s, enum backing_kind kind, enum ibv_mw_type type)
{
	*s = (struct scene){ .l = local_buf(kind), .r = remote_buf(kind) };
	if (!dev.attr.orig_attr.max_mw)
		return lacks("memory windows");
	if (!s->l || !s->r)
		return FAILED;
	s->lmr = mr_reg(s->l->addr, s->l->len, IBV_ACCESS_LOCAL_WRITE);
	s->rmr = mr_reg(s->r->addr + MARGIN, s->r->len - 2 * MARGIN,
			ACCESS_ALL | IBV_ACCESS_MW_BIND);
	if (!s->lmr || !s->rmr)
		return FAILED;
	s->mw = ibv_alloc_mw(dev.pd, type);
	if (!s->mw)
		return fail("ibv_alloc_mw: %m");
	/* Over a boundary of 2 MiB, with odd ends. */
	s->start = SZ_2M - 10001;
	s->len = 30003;
	return PASSED;
}

static int scene_close(struct scene *s, int err)
{
	if (!err)
		err = buf_check(s->l) ?: buf_check(s->r);
	if (s->mw && ibv_dealloc_mw(s->mw))
		err = fail("ibv_dealloc_mw: %m");
	err = mr_dereg(&s->lmr) ?: err;
	return mr_dereg(&s->rmr) ?: err;
}

static struct ibv_mw_bind_info bind_info(struct scene *s, size_t len, unsigned int access)
{
	return (struct ibv_mw_bind_info){
		.mr = s->rmr,
		.addr = (uintptr_t)s->r->addr + s->start,
		.length = len,
		.mw_access_flags = access,
	};
}

static int works(struct scene *s, enum ibv_wr_opcode opcode, size_t roff, size_t len)
{
	return rdma(&pair, opcode, sge(s->l->addr, len, s->lmr), (uintptr_t)s->r->addr + roff,
		    s->mw->rkey, IBV_WC_SUCCESS) ?:
	       opcode == IBV_WR_RDMA_READ ? moved(s->l, 0, s->r, roff, len) :
					    moved(s->r, roff, s->l, 0, len);
}

static int refused(struct scene *s, enum ibv_wr_opcode opcode, uint32_t rkey, size_t roff,
		   size_t len)
{
	return rdma_refused(&pair, opcode, sge(s->l->addr, len, s->lmr),
			    (uintptr_t)s->r->addr + roff, rkey, IBV_WC_REM_ACCESS_ERR);
}

/* Accesses inside the window must work, and those outside the region must be refused. */
static int check_bound(struct scene *s)
{
	size_t region_end = s->r->len - MARGIN;

	return works(s, IBV_WR_RDMA_WRITE, s->start, s->len) ?:
	       works(s, IBV_WR_RDMA_READ, s->start, s->len) ?:
	       works(s, IBV_WR_RDMA_WRITE, s->start, 1) ?:
	       works(s, IBV_WR_RDMA_READ, s->start + s->len - 1, 1) ?:
	       refused(s, IBV_WR_RDMA_WRITE, s->mw->rkey, MARGIN - 1, 8) ?:
	       refused(s, IBV_WR_RDMA_READ, s->mw->rkey, region_end - 7, 8);
}

/* --- type 1 ------------------------------------------------------------------------------- */

static int bind1(struct scene *s, size_t len, unsigned int access, enum ibv_wc_status status)
{
	struct ibv_mw_bind bind = { .bind_info = bind_info(s, len, access) };
	struct ibv_wc wc;
	int err = ibv_bind_mw(pair.qp[1], s->mw, &bind);

	if (err)
		return fail("ibv_bind_mw: %s", errno_name(err));
	err = wait_wc(pair.cq[1], status, &wc);
	if (!err && status == IBV_WC_SUCCESS && wc.opcode != IBV_WC_BIND_MW)
		err = fail("completion of a bind has opcode %d", wc.opcode);
	return err;
}

static int test_type1(const void *arg)
{
	const unsigned int rw = IBV_ACCESS_REMOTE_READ | IBV_ACCESS_REMOTE_WRITE;
	struct scene s;
	uint32_t old;
	int err;

	err = scene_open(&s, (enum backing_kind)(uintptr_t)arg, IBV_MW_TYPE_1);
	if (err)
		goto out;
	/* The window is not bound yet. */
	err = refused(&s, IBV_WR_RDMA_READ, s.mw->rkey, s.start, 8) ?:
	      bind1(&s, s.len, rw, IBV_WC_SUCCESS) ?:
	      check_bound(&s);
	if (err)
		goto out;

	/* Bind it again, to another part, with fewer rights. The old key must be dead. */
	old = s.mw->rkey;
	s.start += SZ_4K + 3;
	err = bind1(&s, s.len, IBV_ACCESS_REMOTE_READ, IBV_WC_SUCCESS);
	if (err)
		goto out;
	if (s.mw->rkey == old) {
		err = fail("the key did not change");
		goto out;
	}
	err = works(&s, IBV_WR_RDMA_READ, s.start, s.len) ?:
	      refused(&s, IBV_WR_RDMA_WRITE, s.mw->rkey, s.start, 8) ?:
	      refused(&s, IBV_WR_RDMA_READ, old, s.start, 8);
	if (err)
		goto out;

	/* A region that has a window cannot be released. */
	err = ibv_dereg_mr(s.rmr);
	if (err != EINVAL) {
		s.rmr = err ? s.rmr : NULL;
		err = fail("ibv_dereg_mr with a window bound: %s", errno_name(err));
		goto out;
	}

	/* Bind it to nothing. Even then, libibverbs' plug-in for rxe wants a region. */
	err = bind1(&s, 0, 0, IBV_WC_SUCCESS) ?:
	      refused(&s, IBV_WR_RDMA_READ, s.mw->rkey, s.start, 8);
out:
	return scene_close(&s, err);
}

/* --- type 2 ------------------------------------------------------------------------------- */

/* Soft-RoCE flushes a work request that it refuses, as it flushes those behind it. */
static int bind2(struct scene *s, size_t len, unsigned int access, enum ibv_wc_status status)
{
	uint32_t key = ibv_inc_rkey(s->mw->rkey);
	struct ibv_send_wr wr = {
		.opcode = IBV_WR_BIND_MW,
		.bind_mw = {
			.mw = s->mw,
			.rkey = key,
			.bind_info = bind_info(s, len, access),
		},
	};
	int err = post_send(pair.qp[1], &wr) ?: wait_wc(pair.cq[1], status, NULL);

	if (!err && status == IBV_WC_SUCCESS)
		s->mw->rkey = key;
	if (status != IBV_WC_SUCCESS)
		err = pair_recycle(&pair) ?: err;
	return err;
}

static int local_invalidate(uint32_t rkey, enum ibv_wc_status status)
{
	struct ibv_send_wr wr = { .opcode = IBV_WR_LOCAL_INV, .invalidate_rkey = rkey };
	int err = post_send(pair.qp[1], &wr) ?: wait_wc(pair.cq[1], status, NULL);

	if (status != IBV_WC_SUCCESS)
		err = pair_recycle(&pair) ?: err;
	return err;
}

/* Send a message that also invalidates the receiver's window. */
static int send_with_invalidate(struct scene *s)
{
	struct ibv_sge from = sge(s->l->addr, 100, s->lmr);
	struct ibv_sge to = sge(s->r->addr + MARGIN, 100, s->rmr);
	struct ibv_send_wr wr = {
		.opcode = IBV_WR_SEND_WITH_INV,
		.sg_list = &from,
		.num_sge = 1,
		.invalidate_rkey = s->mw->rkey,
	};
	struct ibv_wc wc;
	int err;

	err = post_recv(pair.qp[1], &to, 1) ?:
	      post_send(pair.qp[0], &wr) ?:
	      wait_wc(pair.cq[0], IBV_WC_SUCCESS, NULL) ?:
	      wait_wc(pair.cq[1], IBV_WC_SUCCESS, &wc) ?:
	      moved(s->r, MARGIN, s->l, 0, 100);
	/*
	 * We do not check the flag: Soft-RoCE passes the kernel's IB_WC_WITH_INVALIDATE on, which
	 * is another bit than libibverbs' IBV_WC_WITH_INV.
	 */
	if (!err && wc.invalidated_rkey != s->mw->rkey)
		err = fail("the completion invalidates key 0x%x, not 0x%x (flags 0x%x)",
			   wc.invalidated_rkey, s->mw->rkey, wc.wc_flags);
	return err;
}

static int test_type2(const void *arg)
{
	const unsigned int rw = IBV_ACCESS_REMOTE_READ | IBV_ACCESS_REMOTE_WRITE;
	struct scene s;
	int err;

	err = scene_open(&s, (enum backing_kind)(uintptr_t)arg, IBV_MW_TYPE_2);
	if (err)
		goto out;
	err = refused(&s, IBV_WR_RDMA_READ, s.mw->rkey, s.start, 8) ?:
	      bind2(&s, s.len, rw, IBV_WC_SUCCESS) ?:
	      check_bound(&s);
	if (err)
		goto out;

	/* The window must be invalidated before it can be bound again. */
	err = bind2(&s, s.len, rw, IBV_WC_WR_FLUSH_ERR) ?:
	      local_invalidate(s.mw->rkey, IBV_WC_SUCCESS) ?:
	      refused(&s, IBV_WR_RDMA_WRITE, s.mw->rkey, s.start, 8);
	if (err)
		goto out;

	s.start -= SZ_4K + 77;
	err = bind2(&s, s.len, rw, IBV_WC_SUCCESS) ?:
	      check_bound(&s) ?:
	      send_with_invalidate(&s) ?:
	      refused(&s, IBV_WR_RDMA_READ, s.mw->rkey, s.start, 8);
	if (err)
		goto out;

	err = bind2(&s, s.len, IBV_ACCESS_REMOTE_READ, IBV_WC_SUCCESS) ?:
	      works(&s, IBV_WR_RDMA_READ, s.start, s.len) ?:
	      refused(&s, IBV_WR_RDMA_WRITE, s.mw->rkey, s.start, 8) ?:
	      /* An ordinary region's key cannot be invalidated. */
	      local_invalidate(s.rmr->rkey, IBV_WC_WR_FLUSH_ERR) ?:
	      works(&s, IBV_WR_RDMA_READ, s.start, s.len);
out:
	return scene_close(&s, err);
}

/* A window may not reach beyond its region, nor grant what the region cannot. */
static int test_bind_refused(const void *arg)
{
	const unsigned int rw = IBV_ACCESS_REMOTE_READ | IBV_ACCESS_REMOTE_WRITE;
	struct scene s;
	int err;

	err = scene_open(&s, (enum backing_kind)(uintptr_t)arg, IBV_MW_TYPE_2);
	if (err)
		goto out;
	s.start = MARGIN - 1;
	err = bind2(&s, 100, rw, IBV_WC_WR_FLUSH_ERR);
	if (err)
		goto out;
	s.start = s.r->len - MARGIN - 99;
	err = bind2(&s, 100, rw, IBV_WC_WR_FLUSH_ERR);
	if (err)
		goto out;
	s.start = MARGIN;
	err = bind2(&s, s.r->len - 2 * MARGIN + 1, rw, IBV_WC_WR_FLUSH_ERR) ?:
	      /* The whole region is fine. */
	      bind2(&s, s.r->len - 2 * MARGIN, rw, IBV_WC_SUCCESS) ?:
	      works(&s, IBV_WR_RDMA_WRITE, s.r->len - MARGIN - 100, 100) ?:
	      local_invalidate(s.mw->rkey, IBV_WC_SUCCESS);
	if (err)
		goto out;

	/* Try a region without the right to bind, then one that cannot be written to. */
	err = mr_dereg(&s.rmr);
	if (err)
		goto out;
	s.rmr = mr_reg(s.r->addr + MARGIN, s.r->len - 2 * MARGIN, ACCESS_ALL);
	if (!s.rmr) {
		err = FAILED;
		goto out;
	}
	err = bind2(&s, 100, rw, IBV_WC_WR_FLUSH_ERR) ?:
	      mr_dereg(&s.rmr);
	if (err)
		goto out;
	s.rmr = mr_reg(s.r->addr + MARGIN, s.r->len - 2 * MARGIN,
		       IBV_ACCESS_REMOTE_READ | IBV_ACCESS_MW_BIND);
	if (!s.rmr) {
		err = FAILED;
		goto out;
	}
	err = bind2(&s, 100, rw, IBV_WC_WR_FLUSH_ERR) ?:
	      bind2(&s, 100, IBV_ACCESS_REMOTE_READ, IBV_WC_SUCCESS) ?:
	      works(&s, IBV_WR_RDMA_READ, MARGIN, 100);
out:
	return scene_close(&s, err);
}

/* An atomic must work through a window. */
static int test_window_atomic(const void *arg)
{
	struct scene s;
	struct ibv_sge local;
	struct ibv_send_wr wr = {
		.opcode = IBV_WR_ATOMIC_FETCH_AND_ADD,
		.sg_list = &local,
		.num_sge = 1,
		.wr.atomic = { .compare_add = 5 },
	};
	uint64_t *word, before;
	int err;

	err = scene_open(&s, (enum backing_kind)(uintptr_t)arg, IBV_MW_TYPE_1);
	if (err)
		goto out;
	err = bind1(&s, s.len, IBV_ACCESS_REMOTE_ATOMIC, IBV_WC_SUCCESS);
	if (err)
		goto out;
	word = (uint64_t *)(s.r->addr + SZ_2M);
	before = *word;
	local = sge(s.l->addr, 8, s.lmr);
	wr.wr.atomic.remote_addr = (uintptr_t)word;
	wr.wr.atomic.rkey = s.mw->rkey;
	err = post_send(pair.qp[0], &wr) ?:
	      wait_wc(pair.cq[0], IBV_WC_SUCCESS, NULL);
	if (err)
		goto out;
	if (*word != before + 5 || *(uint64_t *)s.l->addr != before)
		err = fail("left 0x%lx, returned 0x%lx; was 0x%lx", *word,
			   *(uint64_t *)s.l->addr, before);
	pattern_fill(word, s.r->seed, SZ_2M, 8);
	pattern_fill(s.l->addr, s.l->seed, 0, 8);
	err = err ?: refused(&s, IBV_WR_RDMA_READ, s.mw->rkey, s.start, 8);
out:
	return scene_close(&s, err);
}

void add_window_tests(void)
{
	unsigned int i;

	for (i = 0; i < BACKING_COUNT; i++) {
		const void *arg = (void *)(uintptr_t)i;
		const char *name = backing_name(i);

		test_add(test_type1, arg, "window of type 1 on %s", name);
		test_add(test_type2, arg, "window of type 2 on %s", name);
		test_add(test_bind_refused, arg, "window refused on %s", name);
		test_add(test_window_atomic, arg, "atomic through a window on %s", name);
	}
}
