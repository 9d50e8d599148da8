// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Atomics, atomic write and flush: operations that look up one word, or one range, in a region.
 *
 * We try them where a look-up can go wrong: in the first and the last word of a region, and in the
 * words on both sides of a physical boundary.
 */
#include <rdma/ib_user_verbs.h>
#include <string.h>

#include "verbs.h"

#define WORD	sizeof(uint64_t)

/* A region of whole words that begins and ends inside a page. */
#define START	(MARGIN + 1024)
#define CUT	(MARGIN + 512)

/* The result of an atomic may lie anywhere, even across a physical boundary. */
#define RESULT	(SZ_2M - 3)

struct words {
	struct buf *buf, *local;
	struct ibv_mr *mr, *local_mr;
	size_t off[8];
	int count;
};

static int words_open(struct words *w, enum backing_kind kind, int access)
{
	size_t len;

	*w = (struct words){ .buf = remote_buf(kind), .local = local_buf(kind) };
	if (dev.attr.orig_attr.atomic_cap == IBV_ATOMIC_NONE)
		return lacks("atomics");
	if (!w->buf || !w->local)
		return FAILED;
	len = w->buf->len - START - CUT;
	w->mr = mr_reg(w->buf->addr + START, len, access);
	w->local_mr = mr_reg(w->local->addr, w->local->len, IBV_ACCESS_LOCAL_WRITE);
	w->off[w->count++] = START;
	w->off[w->count++] = START + WORD;
	w->off[w->count++] = MARGIN + SZ_4K - WORD;
	w->off[w->count++] = MARGIN + SZ_4K;
	w->off[w->count++] = SZ_2M - WORD;
	w->off[w->count++] = SZ_2M;
	w->off[w->count++] = w->buf->len - CUT - WORD;
	return w->mr && w->local_mr ? PASSED : FAILED;
}

static int words_close(struct words *w, int err)
{
	if (!err)
		err = buf_check(w->buf) ?: buf_check(w->local);
	err = mr_dereg(&w->mr) ?: err;
	return mr_dereg(&w->local_mr) ?: err;
}

static uint64_t word_at(const struct buf *buf, size_t off)
{
	uint64_t word;

	memcpy(&word, buf->addr + off, WORD);
	return word;
}

static void restore(struct buf *buf, size_t off)
{
	pattern_fill(buf->addr + off, buf->seed, off, WORD);
}

static int atomic(struct words *w, enum ibv_wr_opcode opcode, uint64_t raddr, uint64_t compare_add,
		  uint64_t swap)
{
	struct ibv_sge local = sge(w->local->addr + RESULT, WORD, w->local_mr);
	struct ibv_send_wr wr = {
		.opcode = opcode,
		.sg_list = &local,
		.num_sge = 1,
		.wr.atomic = {
			.remote_addr = raddr,
			.rkey = w->mr->rkey,
			.compare_add = compare_add,
			.swap = swap,
		},
	};

	return post_send(pair.qp[0], &wr) ?: wait_wc(pair.cq[0], IBV_WC_SUCCESS, NULL);
}

/* Do an atomic that must succeed. Check its result and the word, and put the pattern back. */
static int atomic_ok(struct words *w, enum ibv_wr_opcode opcode, size_t off, uint64_t compare_add,
		     uint64_t swap, uint64_t expect)
{
	uint64_t before = word_at(w->buf, off), returned, after;
	int err;

	err = atomic(w, opcode, (uintptr_t)w->buf->addr + off, compare_add, swap);
	returned = word_at(w->local, RESULT);
	after = word_at(w->buf, off);
	restore(w->local, RESULT);
	restore(w->buf, off);
	if (err)
		return err;
	if (returned != before)
		return fail("offset %zu: returned 0x%lx, not 0x%lx", off, returned, before);
	if (after != expect)
		return fail("offset %zu: left 0x%lx, not 0x%lx", off, after, expect);
	return PASSED;
}

/*
 * Do an atomic that must be refused. libibverbs' plug-in for rxe checks the alignment itself in
 * ibv_post_send(), but not in ibv_wr_*(), so we use the latter to test the kernel.
 */
static int atomic_refused(struct words *w, uint64_t raddr, enum ibv_wc_status status)
{
	struct ibv_qp_ex *qpx = ibv_qp_to_qp_ex(pair.qp[0]);
	int err;

	ibv_wr_start(qpx);
	qpx->wr_id = 0;
	qpx->wr_flags = IBV_SEND_SIGNALED;
	ibv_wr_atomic_fetch_add(qpx, w->mr->rkey, raddr, 1);
	ibv_wr_set_sge(qpx, w->local_mr->lkey, (uintptr_t)w->local->addr + RESULT, WORD);
	err = ibv_wr_complete(qpx);
	if (err)
		return fail("ibv_wr_atomic_fetch_add: %s", errno_name(err));
	err = wait_wc(pair.cq[0], status, NULL);
	if (err)
		fail("address is start %+ld", (long)(raddr - (uintptr_t)w->buf->addr - START));
	/* The result must not have been touched: words_close() checks that. */
	return pair_recycle(&pair) ?: err;
}

static int test_fetch_add(const void *arg)
{
	const uint64_t add = 0xfedcba9876543210ULL;
	struct words w;
	int i, err;

	err = words_open(&w, (enum backing_kind)(uintptr_t)arg, ACCESS_ALL);
	for (i = 0; i < w.count && !err; i++)
		err = atomic_ok(&w, IBV_WR_ATOMIC_FETCH_AND_ADD, w.off[i], add, 0,
				word_at(w.buf, w.off[i]) + add);
	return words_close(&w, err);
}

static int test_cmp_swap(const void *arg)
{
	const uint64_t swap = 0x0123456789abcdefULL;
	struct words w;
	uint64_t word;
	int i, err;

	err = words_open(&w, (enum backing_kind)(uintptr_t)arg, ACCESS_ALL);
	for (i = 0; i < w.count && !err; i++) {
		word = word_at(w.buf, w.off[i]);
		err = atomic_ok(&w, IBV_WR_ATOMIC_CMP_AND_SWP, w.off[i], word, swap, swap) ?:
		      atomic_ok(&w, IBV_WR_ATOMIC_CMP_AND_SWP, w.off[i], word ^ 1, swap, word);
	}
	return words_close(&w, err);
}

static int test_atomic_refused(const void *arg)
{
	struct words w;
	uint64_t start, end;
	int i, err;

	err = words_open(&w, (enum backing_kind)(uintptr_t)arg, ACCESS_ALL);
	if (err)
		goto out;
	start = (uintptr_t)w.buf->addr + START;
	end = (uintptr_t)w.buf->addr + w.buf->len - CUT;
	for (i = 1; i < 8; i++) {
		err = atomic_refused(&w, start + i, IBV_WC_REM_INV_REQ_ERR);
		if (err)
			goto out;
	}
	err = atomic_refused(&w, start - WORD, IBV_WC_REM_ACCESS_ERR) ?:
	      atomic_refused(&w, start - 1, IBV_WC_REM_ACCESS_ERR) ?:
	      atomic_refused(&w, end - WORD + 1, IBV_WC_REM_ACCESS_ERR) ?:
	      atomic_refused(&w, end, IBV_WC_REM_ACCESS_ERR) ?:
	      atomic_refused(&w, -WORD, IBV_WC_REM_ACCESS_ERR);
out:
	return words_close(&w, err);
}

static int test_atomic_no_right(const void *arg)
{
	struct words w;
	int err;

	err = words_open(&w, (enum backing_kind)(uintptr_t)arg,
			 ACCESS_ALL & ~IBV_ACCESS_REMOTE_ATOMIC);
	if (!err)
		err = atomic_refused(&w, (uintptr_t)w.buf->addr + START, IBV_WC_REM_ACCESS_ERR);
	return words_close(&w, err);
}

/* --- atomic write ------------------------------------------------------------------------- */

static int atomic_write(uint64_t raddr, uint32_t rkey, uint64_t value, enum ibv_wc_status status)
{
	struct ibv_qp_ex *qpx = ibv_qp_to_qp_ex(pair.qp[0]);
	int err;

	ibv_wr_start(qpx);
	qpx->wr_id = 0;
	qpx->wr_flags = IBV_SEND_SIGNALED;
	ibv_wr_atomic_write(qpx, rkey, raddr, &value);
	err = ibv_wr_complete(qpx);
	if (err)
		return fail("ibv_wr_atomic_write: %s", errno_name(err));
	return wait_wc(pair.cq[0], status, NULL);
}

static int atomic_write_refused(struct words *w, uint64_t raddr, enum ibv_wc_status status)
{
	int err = atomic_write(raddr, w->mr->rkey, 1, status);

	return pair_recycle(&pair) ?: err;
}

static bool have(uint64_t flag)
{
	return dev.attr.device_cap_flags_ex & flag;
}

static int test_atomic_write(const void *arg)
{
	const uint64_t value = 0x0fedcba987654321ULL;
	struct words w;
	uint64_t start, end, after;
	int i, err;

	if (!have(IB_UVERBS_DEVICE_ATOMIC_WRITE))
		return lacks("atomic write");
	err = words_open(&w, (enum backing_kind)(uintptr_t)arg, ACCESS_ALL);
	if (err)
		goto out;
	for (i = 0; i < w.count; i++) {
		err = atomic_write((uintptr_t)w.buf->addr + w.off[i], w.mr->rkey, value + i,
				   IBV_WC_SUCCESS);
		if (err)
			goto out;
		after = word_at(w.buf, w.off[i]);
		if (after != value + i) {
			err = fail("offset %zu: left 0x%lx", w.off[i], after);
			goto out;
		}
		restore(w.buf, w.off[i]);
	}
	start = (uintptr_t)w.buf->addr + START;
	end = (uintptr_t)w.buf->addr + w.buf->len - CUT;
	err = atomic_write_refused(&w, start + 4, IBV_WC_REM_INV_REQ_ERR) ?:
	      atomic_write_refused(&w, start - WORD, IBV_WC_REM_ACCESS_ERR) ?:
	      atomic_write_refused(&w, end - WORD + 1, IBV_WC_REM_ACCESS_ERR) ?:
	      atomic_write_refused(&w, end, IBV_WC_REM_ACCESS_ERR);
out:
	return words_close(&w, err);
}

/* --- flush -------------------------------------------------------------------------------- */

static int flush(uint64_t raddr, uint32_t rkey, size_t len, uint8_t type, uint8_t level,
		 enum ibv_wc_status status)
{
	struct ibv_qp_ex *qpx = ibv_qp_to_qp_ex(pair.qp[0]);
	struct ibv_wc wc;
	int err;

	ibv_wr_start(qpx);
	qpx->wr_id = 0;
	qpx->wr_flags = IBV_SEND_SIGNALED;
	ibv_wr_flush(qpx, rkey, raddr, len, type, level);
	err = ibv_wr_complete(qpx);
	if (err)
		return fail("ibv_wr_complete: %s", errno_name(err));
	err = wait_wc(pair.cq[0], status, &wc);
	if (!err && status == IBV_WC_SUCCESS && wc.opcode != IBV_WC_FLUSH)
		err = fail("the completion has opcode %d", wc.opcode);
	return err;
}

static int flush_refused(uint64_t raddr, uint32_t rkey, size_t len, uint8_t type)
{
	int err = flush(raddr, rkey, len, type, IBV_FLUSH_RANGE, IBV_WC_REM_ACCESS_ERR);

	return pair_recycle(&pair) ?: err;
}

/* Data that was written before a flush must be there after it. */
static int test_flush(const void *arg)
{
	size_t off = SZ_2M - 100, len = SZ_4K + 5;
	struct words w;
	uint64_t start, end;
	int err;

	if (!have(IB_UVERBS_DEVICE_FLUSH_GLOBAL))
		return lacks("flush");
	err = words_open(&w, (enum backing_kind)(uintptr_t)arg,
			 ACCESS_ALL | IBV_ACCESS_FLUSH_GLOBAL);
	if (err)
		goto out;
	start = (uintptr_t)w.buf->addr + START;
	end = (uintptr_t)w.buf->addr + w.buf->len - CUT;
	err = rdma(&pair, IBV_WR_RDMA_WRITE, sge(w.local->addr + off, len, w.local_mr),
		   (uintptr_t)w.buf->addr + off, w.mr->rkey, IBV_WC_SUCCESS) ?:
	      flush((uintptr_t)w.buf->addr + off, w.mr->rkey, len, IBV_FLUSH_GLOBAL,
		    IBV_FLUSH_RANGE, IBV_WC_SUCCESS) ?:
	      moved(w.buf, off, w.local, off, len) ?:
	      flush(start, w.mr->rkey, end - start, IBV_FLUSH_GLOBAL, IBV_FLUSH_RANGE,
		    IBV_WC_SUCCESS) ?:
	      flush(0, w.mr->rkey, 0, IBV_FLUSH_GLOBAL, IBV_FLUSH_MR, IBV_WC_SUCCESS) ?:
	      flush_refused(start - 1, w.mr->rkey, 8, IBV_FLUSH_GLOBAL) ?:
	      flush_refused(end - 7, w.mr->rkey, 8, IBV_FLUSH_GLOBAL) ?:
	      /* The region may not be flushed to persistence. */
	      flush_refused(start, w.mr->rkey, 8, IBV_FLUSH_PERSISTENT);
out:
	return words_close(&w, err);
}

static int test_flush_no_right(const void *arg)
{
	struct words w;
	int err;

	if (!have(IB_UVERBS_DEVICE_FLUSH_GLOBAL))
		return lacks("flush");
	err = words_open(&w, (enum backing_kind)(uintptr_t)arg, ACCESS_ALL);
	if (!err)
		err = flush_refused((uintptr_t)w.buf->addr + START, w.mr->rkey, 8,
				    IBV_FLUSH_GLOBAL);
	return words_close(&w, err);
}

void add_sync_tests(void)
{
	unsigned int i;

	for (i = 0; i < BACKING_COUNT; i++) {
		const void *arg = (void *)(uintptr_t)i;
		const char *name = backing_name(i);

		test_add(test_fetch_add, arg, "fetch and add on %s", name);
		test_add(test_cmp_swap, arg, "compare and swap on %s", name);
		test_add(test_atomic_refused, arg, "atomics refused on %s", name);
		test_add(test_atomic_no_right, arg, "atomics without the right on %s", name);
		test_add(test_atomic_write, arg, "atomic write on %s", name);
		test_add(test_flush, arg, "flush on %s", name);
		test_add(test_flush_no_right, arg, "flush without the right on %s", name);
	}
}
