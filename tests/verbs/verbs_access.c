// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Accesses that must be refused, and must leave every byte as it was; and regions with unusual
 * rights, addresses or protection domains, which must work.
 *
 * If the InfiniBand specification leaves a choice, the completion codes are those of Soft-RoCE.
 * Over iWARP, any error will do.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "verbs.h"

/* A remote region inside a buffer, and a local region to talk to it. */
struct scene {
	struct buf *l, *r;
	struct ibv_mr *lmr, *rmr;
	uint64_t start, end;		/* addresses of the remote region */
};

static int scene_open(struct scene *s, enum backing_kind kind, int laccess, int raccess)
{
	*s = (struct scene){ .l = local_buf(kind), .r = remote_buf(kind) };
	if (!s->l || !s->r)
		return FAILED;
	s->lmr = mr_reg(s->l->addr, s->l->len, laccess);
	s->start = (uintptr_t)s->r->addr + MARGIN + 1234;
	s->end = (uintptr_t)s->r->addr + s->r->len - MARGIN - 4321;
	s->rmr = mr_reg((void *)s->start, s->end - s->start, raccess);
	return s->lmr && s->rmr ? PASSED : FAILED;
}

static int scene_close(struct scene *s, int err)
{
	if (!err)
		err = buf_check(s->l) ?: buf_check(s->r);
	err = mr_dereg(&s->lmr) ?: err;
	return mr_dereg(&s->rmr) ?: err;
}

static struct ibv_sge local_sge(struct scene *s, size_t len)
{
	return sge(s->l->addr + MARGIN, len, s->lmr);
}

/*
 * iWARP checks data segment by segment. A write beyond the region's end may change bytes in the
 * region. Put these back, so that the rest can be checked.
 */
static void undo_segments(struct scene *s, uint64_t raddr, size_t len)
{
	if (dev.iwarp && raddr >= s->start && raddr < s->end && len > s->end - raddr)
		pattern_fill((void *)raddr, s->r->seed, raddr - (uintptr_t)s->r->addr,
			     s->end - raddr);
}

static int refused(struct scene *s, enum ibv_wr_opcode opcode, uint64_t raddr, uint32_t rkey,
		   size_t len)
{
	int err = rdma_refused(&pair, opcode, local_sge(s, len), raddr, rkey,
			       IBV_WC_REM_ACCESS_ERR);

	if (opcode == IBV_WR_RDMA_WRITE)
		undo_segments(s, raddr, len);
	return err ? fail("%s of %zu bytes at start %+ld, end %+ld",
			  opcode == IBV_WR_RDMA_READ ? "read" : "write", len,
			  (long)(raddr - s->start), (long)(raddr - s->end)) : PASSED;
}

static int works(struct scene *s, enum ibv_wr_opcode opcode, uint64_t raddr, size_t len)
{
	size_t roff = raddr - (uintptr_t)s->r->addr;

	return rdma(&pair, opcode, local_sge(s, len), raddr, s->rmr->rkey, IBV_WC_SUCCESS) ?:
	       opcode == IBV_WR_RDMA_READ ? moved(s->l, MARGIN, s->r, roff, len) :
					    moved(s->r, roff, s->l, MARGIN, len);
}

/* --- the bounds of a region --------------------------------------------------------------- */

static int test_bounds(const void *arg)
{
	static const enum ibv_wr_opcode ops[] = { IBV_WR_RDMA_WRITE, IBV_WR_RDMA_READ };
	struct scene s;
	size_t i, len;
	int err;

	err = scene_open(&s, (enum backing_kind)(uintptr_t)arg, IBV_ACCESS_LOCAL_WRITE, ACCESS_ALL);
	if (err)
		goto out;
	for (i = 0; i < ARRAY_SIZE(ops); i++) {
		uint32_t key = s.rmr->rkey;

		len = s.end - s.start;
		err = works(&s, ops[i], s.start, 1) ?:
		      works(&s, ops[i], s.end - 1, 1) ?:
		      works(&s, ops[i], s.end - 5000, 5000) ?:
		      refused(&s, ops[i], s.start - 1, key, 1) ?:
		      refused(&s, ops[i], s.start - 1, key, 5000) ?:
		      refused(&s, ops[i], s.end, key, 1) ?:
		      refused(&s, ops[i], s.end - 1, key, 2) ?:
		      refused(&s, ops[i], s.end - 4999, key, 5000) ?:
		      refused(&s, ops[i], s.start, key, len + 1) ?:
		      refused(&s, ops[i], s.start - SZ_2M, key, 8) ?:
		      refused(&s, ops[i], s.end + GIB, key, 8) ?:
		      refused(&s, ops[i], 0, key, 8) ?:
		      /* Address + length wraps around. */
		      refused(&s, ops[i], -8UL, key, 16) ?:
		      refused(&s, ops[i], -1UL, key, 1) ?:
		      refused(&s, ops[i], s.start + (1UL << 63), key, 8) ?:
		      refused(&s, ops[i], s.start + (1UL << 32), key, 8) ?:
		      refused(&s, ops[i], s.start + (1UL << 44), key, 8) ?:
		      /* A transfer of no bytes looks up no address. */
		      rdma(&pair, ops[i], local_sge(&s, 0), s.start - 1, key, IBV_WC_SUCCESS);
		if (err)
			goto out;
	}
out:
	return scene_close(&s, err);
}

static int test_keys(const void *arg)
{
	static const enum ibv_wr_opcode ops[] = { IBV_WR_RDMA_WRITE, IBV_WR_RDMA_READ };
	struct ibv_mr *gone;
	struct scene s;
	uint32_t gone_key;
	size_t i;
	int err;

	err = scene_open(&s, (enum backing_kind)(uintptr_t)arg, IBV_ACCESS_LOCAL_WRITE, ACCESS_ALL);
	gone = err ? NULL : mr_reg((void *)s.start, s.end - s.start, ACCESS_ALL);
	if (!gone) {
		err = FAILED;
		goto out;
	}
	gone_key = gone->rkey;
	err = rdma(&pair, IBV_WR_RDMA_READ, local_sge(&s, 100), s.start, gone_key,
		   IBV_WC_SUCCESS) ?:
	      moved(s.l, MARGIN, s.r, s.start - (uintptr_t)s.r->addr, 100) ?:
	      mr_dereg(&gone);
	if (err)
		goto out;
	for (i = 0; i < ARRAY_SIZE(ops); i++) {
		err = refused(&s, ops[i], s.start, gone_key, 8) ?:
		      refused(&s, ops[i], s.start, s.rmr->rkey ^ 1, 8) ?:
		      refused(&s, ops[i], s.start, s.rmr->rkey ^ 0x8000, 8) ?:
		      refused(&s, ops[i], s.start, 0, 8) ?:
		      works(&s, ops[i], s.start, 8);
		if (err)
			goto out;
	}
out:
	err = mr_dereg(&gone) ?: err;
	return scene_close(&s, err);
}

/* --- rights ------------------------------------------------------------------------------- */

static int one_right(struct scene *s, enum ibv_wr_opcode opcode, bool granted)
{
	return granted ? works(s, opcode, s->start, 5000) :
			 refused(s, opcode, s->start, s->rmr->rkey, 5000);
}

static int test_rights(const void *arg)
{
	static const struct {
		int access;
		bool read, write;
	} cases[] = {
		{ 0, false, false },
		{ IBV_ACCESS_LOCAL_WRITE, false, false },
		{ IBV_ACCESS_REMOTE_READ, true, false },
		{ IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_READ, true, false },
		{ IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE, false, true },
		{ IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_ATOMIC, false, false },
		{ ACCESS_ALL, true, true },
	};
	struct scene s;
	size_t i;
	int err = PASSED;

	for (i = 0; i < ARRAY_SIZE(cases) && !err; i++) {
		err = scene_open(&s, (enum backing_kind)(uintptr_t)arg, IBV_ACCESS_LOCAL_WRITE,
				 cases[i].access);
		if (!err)
			/* Soft-iWARP checks no right to read: siw_qp_sq_proc_tx(). */
			err = one_right(&s, IBV_WR_RDMA_READ, cases[i].read || dev.iwarp) ?:
			      one_right(&s, IBV_WR_RDMA_WRITE, cases[i].write);
		err = scene_close(&s, err);
		if (err)
			fail("access 0x%x", cases[i].access);
	}
	return err;
}

/*
 * Post a request that the local side must refuse. Nothing may reach the other side.
 *
 * Soft-RoCE checks the source of a write when it builds the packet. It then notes "local QP
 * operation error", puts the QP into the error state, and flushes this request like all others. So
 * the program sees "flushed". Soft-RoCE checks the target of a read when the data has come, and
 * completes with "local protection error".
 */
static int local_refused(enum ibv_wr_opcode opcode, struct ibv_sge local, uint64_t raddr,
			 uint32_t rkey, enum ibv_wc_status status)
{
	return rdma_refused(&pair, opcode, local, raddr, rkey, status) ?
	       fail("opcode %d", opcode) : PASSED;
}

static int test_local_violation(const void *arg)
{
	struct scene s = {}, ro = {};
	struct ibv_sge local;
	int err;

	err = scene_open(&s, (enum backing_kind)(uintptr_t)arg, IBV_ACCESS_LOCAL_WRITE,
			 ACCESS_ALL) ?:
	      scene_open(&ro, (enum backing_kind)(uintptr_t)arg, 0, ACCESS_ALL);
	if (err)
		goto out;

	/* No region has this key. */
	local = local_sge(&s, 64);
	local.lkey ^= 1;
	err = local_refused(IBV_WR_RDMA_WRITE, local, s.start, s.rmr->rkey, IBV_WC_WR_FLUSH_ERR) ?:
	      local_refused(IBV_WR_RDMA_READ, local, s.start, s.rmr->rkey, IBV_WC_LOC_PROT_ERR);
	if (err)
		goto out;

	/* One byte is behind the region's end; then one is before its start. */
	local = sge(s.l->addr + s.l->len - 63, 64, s.lmr);
	err = local_refused(IBV_WR_RDMA_WRITE, local, s.start, s.rmr->rkey, IBV_WC_WR_FLUSH_ERR) ?:
	      local_refused(IBV_WR_RDMA_READ, local, s.start, s.rmr->rkey, IBV_WC_LOC_PROT_ERR);
	if (err)
		goto out;
	local = sge(s.l->addr - 1, 64, s.lmr);
	err = local_refused(IBV_WR_RDMA_WRITE, local, s.start, s.rmr->rkey, IBV_WC_WR_FLUSH_ERR) ?:
	      local_refused(IBV_WR_RDMA_READ, local, s.start, s.rmr->rkey, IBV_WC_LOC_PROT_ERR);
	if (err)
		goto out;

	/* A region without the right to write locally can be a source, but no target. */
	err = works(&ro, IBV_WR_RDMA_WRITE, ro.start, 64) ?:
	      local_refused(IBV_WR_RDMA_READ, local_sge(&ro, 64), s.start, s.rmr->rkey,
			    IBV_WC_LOC_PROT_ERR);
out:
	err = scene_close(&s, err);
	return scene_close(&ro, err);
}

/* The receiver's buffer is wrong. Both sides must get an error. */
static int bad_recv(struct ibv_sge from, struct ibv_sge to, enum ibv_wc_status sender,
		    enum ibv_wc_status receiver)
{
	struct ibv_send_wr wr = { .opcode = IBV_WR_SEND, .sg_list = &from, .num_sge = 1 };
	int err;

	err = post_recv(pair.qp[1], &to, 1) ?:
	      post_request(&pair, &wr) ?:
	      wait_request(&pair, &wr, sender) ?:
	      wait_wc(pair.cq[1], receiver, NULL);
	return pair_recycle(&pair) ?: err;
}

static int test_recv_violation(const void *arg)
{
	struct ibv_sge from, to;
	struct scene s;
	int err;

	err = scene_open(&s, (enum backing_kind)(uintptr_t)arg, 0, IBV_ACCESS_REMOTE_READ);
	if (err)
		goto out;
	from = local_sge(&s, 64);

	/* The region has no right to write locally. */
	to = sge((void *)s.start, 64, s.rmr);
	err = bad_recv(from, to, IBV_WC_REM_OP_ERR, IBV_WC_LOC_QP_OP_ERR);
	if (err)
		goto out;
	/* There is no such key. */
	to.lkey ^= 1;
	err = bad_recv(from, to, IBV_WC_REM_OP_ERR, IBV_WC_LOC_QP_OP_ERR) ?:
	      mr_dereg(&s.rmr);
	if (err)
		goto out;

	s.rmr = mr_reg((void *)s.start, s.end - s.start, IBV_ACCESS_LOCAL_WRITE);
	if (!s.rmr) {
		err = FAILED;
		goto out;
	}
	/* The buffer's last byte is behind the region. */
	to = sge((void *)(s.end - 63), 64, s.rmr);
	err = bad_recv(from, to, IBV_WC_REM_OP_ERR, IBV_WC_LOC_QP_OP_ERR);
	if (err)
		goto out;
	/* The buffer is too short for the message. */
	to = sge((void *)s.start, 63, s.rmr);
	err = bad_recv(from, to, IBV_WC_REM_OP_ERR, IBV_WC_LOC_QP_OP_ERR);
	if (err)
		goto out;
	pattern_fill((void *)s.start, s.r->seed, s.start - (uintptr_t)s.r->addr, 63);
	/* This buffer is right. */
	err = send_recv(&pair, from, sge((void *)s.start, 64, s.rmr), 0) ?:
	      moved(s.r, s.start - (uintptr_t)s.r->addr, s.l, MARGIN, 64);
out:
	return scene_close(&s, err);
}

/* --- memory that the process itself may only read ------------------------------------------ */

static int read_only_memory(char *addr, size_t len, uint16_t seed)
{
	struct buf *l = local_buf(BACKING_4K);
	struct buf memory = { .addr = addr, .len = len, .seed = seed };
	struct ibv_mr *lmr = NULL, *mr = NULL;
	size_t off = len / 2 - 777, n = 5000;
	int err = FAILED;

	lmr = mr_reg(l->addr, l->len, IBV_ACCESS_LOCAL_WRITE);
	mr = mr_reg(addr, len, IBV_ACCESS_REMOTE_READ);
	if (!lmr || !mr)
		goto out;
	err = rdma(&pair, IBV_WR_RDMA_READ, sge(l->addr + 99, n, lmr), (uintptr_t)addr + off,
		   mr->rkey, IBV_WC_SUCCESS) ?:
	      moved(l, 99, &memory, off, n) ?:
	      rdma_refused(&pair, IBV_WR_RDMA_WRITE, sge(l->addr + 99, n, lmr),
			   (uintptr_t)addr + off, mr->rkey, IBV_WC_REM_ACCESS_ERR) ?:
	      /* It can be a source, too. */
	      send_recv(&pair, sge(addr + off, n, mr), sge(l->addr + 99, n, lmr), 0) ?:
	      moved(l, 99, &memory, off, n) ?:
	      pattern_check("read-only memory", addr, seed, 0, len);
	if (err)
		goto out;
	err = buf_check(l);
out:
	err = mr_dereg(&mr) ?: err;
	return mr_dereg(&lmr) ?: err;
}

static int test_prot_read(const void *arg)
{
	struct buf buf;
	int err;

	if (!local_buf(BACKING_4K))
		return FAILED;
	err = buf_open(&buf, (enum backing_kind)(uintptr_t)arg, SZ_2M * 4);
	if (err)
		return err;
	buf_fill(&buf, 42);
	if (mprotect(buf.addr, buf.len, PROT_READ))
		err = fail("mprotect: %m");
	err = err ?: read_only_memory(buf.addr, buf.len, 42);
	buf_close(&buf);
	return err;
}

/* A read-only shared mapping of memory that was written through another mapping. */
static int test_shared_prot_read(const void *arg)
{
	size_t len = 64 * SZ_4K;
	char *rw, *ro;
	int fd = memfd_create("phyr-test-ro", MFD_CLOEXEC), err;

	(void)arg;
	if (!local_buf(BACKING_4K))
		return FAILED;
	if (fd < 0 || ftruncate(fd, len))
		return fail("memfd: %m");
	rw = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ro = mmap(NULL, len, PROT_READ, MAP_SHARED, fd, 0);
	close(fd);
	if (rw == MAP_FAILED || ro == MAP_FAILED)
		return fail("mmap: %m");
	pattern_fill(rw, 43, 0, len);
	err = read_only_memory(ro, len, 43);
	munmap(rw, len);
	munmap(ro, len);
	return err;
}

/* Memory that nobody has written to must read as zeros. It may be the shared zero page. */
static int test_untouched(const void *arg)
{
	bool huge = arg;
	struct buf *l = local_buf(BACKING_4K);
	struct ibv_mr *lmr = NULL, *mr = NULL;
	size_t map_len, len = 2 * SZ_2M, off, n = 3 * SZ_4K + 1;
	int err = FAILED;
	char *addr;
	void *map;

	if (!l)
		return FAILED;
	addr = map_reserve(len, SZ_2M, &map, &map_len);
	err = map_fixed(addr, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (err)
		goto out;
	if (madvise(addr, len, huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE)) {
		err = fail("madvise: %m");
		goto out;
	}
	lmr = mr_reg(l->addr, l->len, IBV_ACCESS_LOCAL_WRITE);
	mr = mr_reg(addr + 5, len - 10, IBV_ACCESS_REMOTE_READ);
	if (!lmr || !mr) {
		err = FAILED;
		goto out;
	}
	for (off = 5; off + n < len; off += SZ_2M / 2 + 3) {
		err = rdma(&pair, IBV_WR_RDMA_READ, sge(l->addr + 9, n, lmr), (uintptr_t)addr + off,
			   mr->rkey, IBV_WC_SUCCESS) ?:
		      zero_check("untouched memory", l->addr + 9, n);
		if (err)
			goto out;
		pattern_fill(l->addr + 9, l->seed, 9, n);
	}
	err = rdma_refused(&pair, IBV_WR_RDMA_WRITE, sge(l->addr, 8, lmr), (uintptr_t)addr + 8,
			   mr->rkey, IBV_WC_REM_ACCESS_ERR) ?:
	      zero_check("untouched memory", addr, len);
	if (err)
		goto out;
	err = buf_check(l);
out:
	err = mr_dereg(&mr) ?: err;
	err = mr_dereg(&lmr) ?: err;
	munmap(map, map_len);
	return err;
}

/* --- protection domains and rereg ---------------------------------------------------------- */

static int test_other_pd(const void *arg)
{
	struct ibv_pd *pd = ibv_alloc_pd(dev.ctx);
	struct ibv_mr *mr = NULL;
	struct scene s;
	int err;

	err = scene_open(&s, (enum backing_kind)(uintptr_t)arg, IBV_ACCESS_LOCAL_WRITE, ACCESS_ALL);
	if (err)
		goto out;
	if (!pd) {
		err = fail("ibv_alloc_pd: %m");
		goto out;
	}
	mr = ibv_reg_mr(pd, (void *)s.start, 8192, ACCESS_ALL);
	if (!mr) {
		err = fail("ibv_reg_mr: %m");
		goto out;
	}
	err = refused(&s, IBV_WR_RDMA_READ, s.start, mr->rkey, 8) ?:
	      refused(&s, IBV_WR_RDMA_WRITE, s.start, mr->rkey, 8) ?:
	      local_refused(IBV_WR_RDMA_WRITE, sge((void *)s.start, 8, mr), s.start, s.rmr->rkey,
			    IBV_WC_WR_FLUSH_ERR);
out:
	err = mr_dereg(&mr) ?: err;
	err = scene_close(&s, err);
	if (pd && ibv_dealloc_pd(pd))
		err = fail("ibv_dealloc_pd: %m");
	return err;
}

static int rereg_says(struct scene *s, int expect, int flags, struct ibv_pd *pd, size_t len,
		      int access)
{
	int err = mr_rereg(s->rmr, flags, pd, (void *)s->start, len, access);

	if (err == expect)
		return PASSED;
	if (dev.iwarp && err == EOPNOTSUPP)
		return lacks("rereg");
	return fail("rereg, flags %d, access 0x%x: %s, expected another answer", flags, access,
		    errno_name(err));
}

static int test_rereg_access(const void *arg)
{
	const int flag = IBV_REREG_MR_CHANGE_ACCESS;
	struct scene s;
	int err;

	err = scene_open(&s, (enum backing_kind)(uintptr_t)arg, IBV_ACCESS_LOCAL_WRITE, ACCESS_ALL);
	if (err)
		goto out;
	err = rereg_says(&s, 0, flag, NULL, 0, IBV_ACCESS_REMOTE_READ) ?:
	      works(&s, IBV_WR_RDMA_READ, s.start, 5000) ?:
	      refused(&s, IBV_WR_RDMA_WRITE, s.start, s.rmr->rkey, 5000) ?:
	      rereg_says(&s, 0, flag, NULL, 0, ACCESS_ALL) ?:
	      works(&s, IBV_WR_RDMA_WRITE, s.start, 5000) ?:
	      rereg_says(&s, EINVAL, flag, NULL, 0, IBV_ACCESS_REMOTE_WRITE) ?:
	      works(&s, IBV_WR_RDMA_WRITE, s.start, 5000);
	if (err)
		goto out;

	/* Pages pinned for reading only must never become writable. */
	err = mr_dereg(&s.rmr);
	if (err)
		goto out;
	s.rmr = mr_reg((void *)s.start, s.end - s.start, IBV_ACCESS_REMOTE_READ);
	if (!s.rmr) {
		err = FAILED;
		goto out;
	}
	err = rereg_says(&s, EACCES, flag, NULL, 0, ACCESS_ALL) ?:
	      refused(&s, IBV_WR_RDMA_WRITE, s.start, s.rmr->rkey, 5000) ?:
	      works(&s, IBV_WR_RDMA_READ, s.start, 5000);
	if (err)
		goto out;

	/* Soft-RoCE does not move a region. */
	err = rereg_says(&s, EOPNOTSUPP, IBV_REREG_MR_CHANGE_TRANSLATION, NULL, 8192, 0) ?:
	      rereg_says(&s, EINVAL, 0, NULL, 0, 0) ?:
	      works(&s, IBV_WR_RDMA_READ, s.start, 5000);
out:
	return scene_close(&s, err);
}

static int test_rereg_pd(const void *arg)
{
	const int flag = IBV_REREG_MR_CHANGE_PD;
	struct ibv_pd *pd = ibv_alloc_pd(dev.ctx);
	struct scene s;
	int err;

	err = scene_open(&s, (enum backing_kind)(uintptr_t)arg, IBV_ACCESS_LOCAL_WRITE, ACCESS_ALL);
	if (err)
		goto out;
	if (!pd) {
		err = fail("ibv_alloc_pd: %m");
		goto out;
	}
	err = works(&s, IBV_WR_RDMA_READ, s.start, 5000) ?:
	      rereg_says(&s, 0, flag, pd, 0, 0) ?:
	      refused(&s, IBV_WR_RDMA_READ, s.start, s.rmr->rkey, 5000) ?:
	      rereg_says(&s, 0, flag | IBV_REREG_MR_CHANGE_ACCESS, dev.pd, 0,
			 IBV_ACCESS_REMOTE_READ) ?:
	      works(&s, IBV_WR_RDMA_READ, s.start, 5000) ?:
	      refused(&s, IBV_WR_RDMA_WRITE, s.start, s.rmr->rkey, 5000) ?:
	      /* Leave it in the other domain: releasing it must drop that one's reference. */
	      rereg_says(&s, 0, flag, pd, 0, 0);
out:
	err = scene_close(&s, err);
	if (pd && ibv_dealloc_pd(pd))
		err = fail("ibv_dealloc_pd: %m");
	return err;
}

/* --- addresses ---------------------------------------------------------------------------- */

/* A region may have any IOVA that has the same offset in a page. */
static int test_iova(const void *arg)
{
	enum backing_kind backing = (enum backing_kind)(uintptr_t)arg;
	struct buf *l = local_buf(backing), *r = remote_buf(backing);
	size_t start = MARGIN + 1234, len, off, n = 9000;
	struct ibv_mr *lmr, *mr = NULL;
	uint64_t iova[4];
	unsigned int i;
	int err = FAILED;

	/* Soft-iWARP accepts any IOVA, but uses the memory's own address: siw_reg_user_mr(). */
	if (dev.iwarp)
		return lacks("IOVAs other than the memory's address");
	if (!l || !r)
		return FAILED;
	len = r->len - start - 999;
	iova[0] = 1234;					/* as good as zero-based */
	iova[1] = 0x7654321000000 + 1234;
	iova[2] = 0xffff800000000000 + 1234;
	iova[3] = -SZ_2M * 8 + 1234;			/* near the end of all addresses */
	lmr = mr_reg(l->addr, l->len, IBV_ACCESS_LOCAL_WRITE);
	if (!lmr)
		goto out;
	for (i = 0; i < ARRAY_SIZE(iova); i++) {
		mr = ibv_reg_mr_iova(dev.pd, r->addr + start, len, iova[i], ACCESS_ALL);
		if (!mr) {
			err = fail("ibv_reg_mr_iova at 0x%lx: %m", iova[i]);
			goto out;
		}
		off = SZ_2M - 4500;
		/* Use the region as the remote and as the local side, at both ends. */
		err = rdma(&pair, IBV_WR_RDMA_WRITE, sge(l->addr, n, lmr), iova[i] + off - start,
			   mr->rkey, IBV_WC_SUCCESS) ?:
		      moved(r, off, l, 0, n) ?:
		      rdma(&pair, IBV_WR_RDMA_READ, sge(l->addr, n, lmr), iova[i] + len - n,
			   mr->rkey, IBV_WC_SUCCESS) ?:
		      moved(l, 0, r, start + len - n, n) ?:
		      send_recv(&pair, sge(l->addr + 50, n, lmr), sge((void *)iova[i], n, mr), 0) ?:
		      moved(r, start, l, 50, n) ?:
		      /* The memory's own address is not in the region. */
		      rdma_refused(&pair, IBV_WR_RDMA_READ, sge(l->addr, 8, lmr),
				   (uintptr_t)r->addr + start, mr->rkey, IBV_WC_REM_ACCESS_ERR) ?:
		      rdma_refused(&pair, IBV_WR_RDMA_READ, sge(l->addr, 8, lmr), iova[i] - 1,
				   mr->rkey, IBV_WC_REM_ACCESS_ERR) ?:
		      rdma_refused(&pair, IBV_WR_RDMA_WRITE, sge(l->addr, 8, lmr),
				   iova[i] + len - 7, mr->rkey, IBV_WC_REM_ACCESS_ERR) ?:
		      mr_dereg(&mr);
		if (err)
			goto out;
	}
	err = buf_check(l) ?: buf_check(r);
out:
	err = mr_dereg(&mr) ?: err;
	return mr_dereg(&lmr) ?: err;
}

void add_access_tests(void)
{
	static const enum backing_kind kinds[] = { BACKING_4K, BACKING_THP, BACKING_THP_PTE,
						   BACKING_HUGE2M_SHARED, BACKING_MIXED };
	unsigned int i;

	for (i = 0; i < BACKING_COUNT; i++) {
		const void *arg = (void *)(uintptr_t)i;
		const char *name = backing_name(i);

		test_add(test_bounds, arg, "bounds of a region on %s", name);
		test_add(test_keys, arg, "wrong and released keys on %s", name);
		test_add(test_rights, arg, "rights of a region on %s", name);
		test_add(test_local_violation, arg, "local violations on %s", name);
		test_add(test_recv_violation, arg, "violations by a receive on %s", name);
		test_add(test_other_pd, arg, "another protection domain on %s", name);
		test_add(test_rereg_access, arg, "rereg: access on %s", name);
		test_add(test_rereg_pd, arg, "rereg: protection domain on %s", name);
		test_add(test_iova, arg, "other I/O addresses on %s", name);
	}
	for (i = 0; i < ARRAY_SIZE(kinds); i++)
		test_add(test_prot_read, (void *)(uintptr_t)kinds[i],
			 "read-only memory of kind %s", backing_name(kinds[i]));
	test_add(test_shared_prot_read, NULL, "read-only shared memory");
	test_add(test_untouched, NULL, "untouched base pages read as zeros");
	test_add(test_untouched, "huge", "untouched huge pages read as zeros");
}
