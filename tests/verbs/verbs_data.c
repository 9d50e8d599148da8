// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Every operation that moves data, between every two kinds of memory.
 *
 * Regions begin and end on a page boundary, then somewhere inside a page. In each, messages of
 * every size lie at the very start, at the very end, and across a boundary of 2 MiB, where the
 * physical address jumps (with fragmented memory it jumps at every page).
 */
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "verbs.h"

enum op { OP_WRITE, OP_WRITE_IMM, OP_READ, OP_SEND, OP_COUNT };

static const char *const op_name[OP_COUNT] = { "write", "write-imm", "read", "send" };

static const size_t sizes[] = { 0, 1, 7, 8, 4095, 4096, 4097, 64 * KIB, MIB + 3 };

/* A region over part of a buffer. */
struct region {
	struct buf *buf;
	struct ibv_mr *mr;
	size_t start, end;	/* offsets in the buffer */
};

static int region_open(struct region *r, struct buf *buf, size_t cut_start, size_t cut_end,
		       int access)
{
	*r = (struct region){ .buf = buf };
	if (!buf)
		return FAILED;
	r->start = MARGIN + cut_start;
	r->end = buf->len - MARGIN - cut_end;
	r->mr = mr_reg(buf->addr + r->start, r->end - r->start, access);
	return r->mr ? PASSED : FAILED;
}

enum place { AT_START, AT_END, ACROSS, PLACES };

/* Where in its buffer a message of len bytes lies. round chooses the 2 MiB boundary. */
static size_t place(const struct region *r, enum place at, size_t len, unsigned int round)
{
	size_t boundaries = r->buf->len / SZ_2M - 1;

	switch (at) {
	case AT_START:
		return r->start;
	case AT_END:
		return r->end - len;
	default:
		/* The boundary lies about a third into the message. */
		return SZ_2M * (1 + round % boundaries) - (len + 2) / 3;
	}
}

static int write_imm(struct ibv_sge local, uint64_t raddr, uint32_t rkey)
{
	struct ibv_send_wr wr = {
		.opcode = IBV_WR_RDMA_WRITE_WITH_IMM,
		.sg_list = &local,
		.num_sge = 1,
		.imm_data = htonl(0x10000000 | local.length),
		.wr.rdma = { .remote_addr = raddr, .rkey = rkey },
	};
	struct ibv_wc wc;
	int err;

	err = post_recv(pair.qp[1], NULL, 0) ?:
	      post_send(pair.qp[0], &wr) ?:
	      wait_wc(pair.cq[0], IBV_WC_SUCCESS, NULL) ?:
	      wait_wc(pair.cq[1], IBV_WC_SUCCESS, &wc);
	if (err)
		return err;
	if (wc.opcode != IBV_WC_RECV_RDMA_WITH_IMM || !(wc.wc_flags & IBV_WC_WITH_IMM) ||
	    wc.imm_data != wr.imm_data || wc.byte_len != local.length)
		return fail("opcode %d, flags 0x%x, immediate 0x%x, %u bytes; sent 0x%x, %u bytes",
			    wc.opcode, wc.wc_flags, ntohl(wc.imm_data), wc.byte_len,
			    ntohl(wr.imm_data), local.length);
	return PASSED;
}

static int transfer(enum op op, struct region *l, size_t loff, struct region *r, size_t roff,
		    size_t len)
{
	struct ibv_sge local = sge(l->buf->addr + loff, len, l->mr);
	struct ibv_sge remote = sge(r->buf->addr + roff, len, r->mr);
	int err;

	switch (op) {
	case OP_WRITE:
		err = rdma(&pair, IBV_WR_RDMA_WRITE, local, remote.addr, r->mr->rkey,
			   IBV_WC_SUCCESS);
		break;
	case OP_WRITE_IMM:
		err = write_imm(local, remote.addr, r->mr->rkey);
		break;
	case OP_READ:
		return rdma(&pair, IBV_WR_RDMA_READ, local, remote.addr, r->mr->rkey,
			    IBV_WC_SUCCESS) ?:
		       moved(l->buf, loff, r->buf, roff, len);
	default:
		err = send_recv(&pair, local, remote, 0);
		break;
	}
	return err ?: moved(r->buf, roff, l->buf, loff, len);
}

struct between {
	enum op op;
	enum backing_kind local, remote;
};

/*
 * The largest message is slow on an emulated machine. It has to cross a boundary in each kind of
 * memory, on both sides, but not in all combinations. A write with immediate moves its data as a
 * write does, so it may leave this message out.
 */
static bool too_slow(const struct between *b, const struct region *l, enum place at, size_t len)
{
	return len > MIB && (at != ACROSS || l->start % SZ_4K == 0 || b->op == OP_WRITE_IMM ||
			     (b->local + 1) % BACKING_COUNT != b->remote);
}

/*
 * Soft-iWARP garbles two kinds of small messages:
 *
 *  - a few bytes from both sides of the end of a page: siw_try_1seg() sends those behind the end in
 *    place of those before it. This affects writes and sends if the kernel's thread sends them, and
 *    not the program.
 *  - reads of no byte: siw_activate_tx() answers with the length of the read before, if that is
 *    still under way.
 */
static bool siw_garbles(const struct between *b, size_t loff, size_t roff, size_t len)
{
	size_t source = b->op == OP_READ ? roff : loff;

	if (!dev.iwarp)
		return false;
	return len ? len < 64 && source % SZ_4K + len > SZ_4K : b->op == OP_READ;
}

static int all_sizes(const struct between *b, struct region *l, struct region *r)
{
	unsigned int round = 0, at;
	size_t i, loff, roff;
	int err;

	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		for (at = 0; at < PLACES; at++, round++) {
			loff = place(l, at, sizes[i], round);
			roff = place(r, (at + round / PLACES) % PLACES, sizes[i], round);
			if (too_slow(b, l, at, sizes[i]) || siw_garbles(b, loff, roff, sizes[i]))
				continue;
			err = transfer(b->op, l, loff, r, roff, sizes[i]);
			if (err)
				return fail("message of %zu bytes, placement %u", sizes[i], at);
		}
	}
	return no_wc(pair.cq[0]) ?: no_wc(pair.cq[1]);
}

static int test_transfer(const void *arg)
{
	static const struct {
		size_t lstart, lend, rstart, rend;
	} cut[] = {
		{ 0, 0, 0, 0 },
		{ 1021, 1531, 2043, 777 },
	};
	const struct between *b = arg;
	struct region l = {}, r = {};
	size_t i;
	int err = PASSED;

	if (b->op == OP_WRITE_IMM && dev.iwarp)
		return lacks("immediate data");
	for (i = 0; i < ARRAY_SIZE(cut) && !err; i++) {
		err = region_open(&l, local_buf(b->local), cut[i].lstart, cut[i].lend,
				  IBV_ACCESS_LOCAL_WRITE) ?:
		      region_open(&r, remote_buf(b->remote), cut[i].rstart, cut[i].rend,
				  ACCESS_ALL) ?:
		      all_sizes(b, &l, &r);
		err = mr_dereg(&l.mr) ?: err;
		err = mr_dereg(&r.mr) ?: err;
	}
	return err ?: buf_check(l.buf) ?: buf_check(r.buf);
}

/* One message has every byte of a region, so that a wrong page shows. */
static int test_whole(const void *arg)
{
	enum backing_kind backing = (enum backing_kind)(uintptr_t)arg;
	struct region l = {}, r = {};
	size_t len;
	int err;

	err = region_open(&l, local_buf(backing), 1021, 1531, IBV_ACCESS_LOCAL_WRITE) ?:
	      region_open(&r, remote_buf(backing), 1021, 1531, ACCESS_ALL);
	if (err)
		goto out;
	len = l.end - l.start;
	err = transfer(OP_WRITE, &l, l.start, &r, r.start, len) ?:
	      transfer(OP_READ, &l, l.start, &r, r.start, len);
out:
	err = mr_dereg(&l.mr) ?: err;
	return mr_dereg(&r.mr) ?: err;
}

/* --- many scatter/gather entries ---------------------------------------------------------- */

/*
 * A list of up to MAX_SGE pieces. They come from the buffers of all kinds in turn, so a message
 * uses each region several times, if the device takes so many pieces. Every fifth piece is empty.
 */
struct pieces {
	struct region region[BACKING_COUNT];
	struct ibv_sge sge[MAX_SGE];
	struct region *of[MAX_SGE];
	size_t off[MAX_SGE];	/* in its buffer */
	int count;
	size_t total;
};

static int pieces_open(struct pieces *p, struct buf *(*get)(enum backing_kind backing), int access)
{
	int i, err = PASSED;

	*p = (struct pieces){};
	for (i = 0; i < BACKING_COUNT && !err; i++)
		err = region_open(&p->region[i], get(i), 100 + 7 * i, 50 + 3 * i, access);
	return err;
}

static int pieces_close(struct pieces *p)
{
	int i, err = PASSED;

	for (i = 0; i < BACKING_COUNT; i++)
		err = mr_dereg(&p->region[i].mr) ?: err;
	return err;
}

/* So many bytes for each piece always fit, even if the pieces are cut badly. */
#define PER_PIECE	(35 * KIB)

/*
 * Cut total bytes, or what the device can take, into count pieces of random length, at places that
 * never overlap.
 */
static void pieces_cut(struct pieces *p, int count, size_t total)
{
	size_t left, len, slot;
	struct region *r;
	int i, n;

	count = count < dev.max_sge ? count : dev.max_sge;
	total = total < dev.max_sge * PER_PIECE ? total : dev.max_sge * PER_PIECE;
	left = total;
	p->count = 0;
	p->total = total;
	for (i = 0; i < count; i++) {
		r = &p->region[i % BACKING_COUNT];
		/* Each use of a region has a slot of its own; the third lies across 2 MiB. */
		slot = SZ_2M - 320 * KIB + (i / BACKING_COUNT) * 128 * KIB;
		len = 2 * left / (count - i) ? random_u64() % (2 * left / (count - i)) : 0;
		if (i % 5 == 3)
			len = 0;
		len = i == count - 1 ? left : len;
		len = len > 120 * KIB ? 120 * KIB : len;
		/* Soft-iWARP follows a NULL pointer at an empty piece: siw_tx_hdt(). */
		if (!len && dev.iwarp)
			continue;
		n = p->count++;
		p->of[n] = r;
		p->off[n] = slot + random_u64() % SZ_4K;
		p->sge[n] = sge(r->buf->addr + p->off[n], len, r->mr);
		left -= len;
	}
	p->total -= left;
}

/* Make the message that the pieces' patterns require. */
static void pieces_expect(const struct pieces *p, char *stream)
{
	int i;

	for (i = 0; i < p->count; i++) {
		pattern_fill(stream, p->of[i]->buf->seed, p->off[i], p->sge[i].length);
		stream += p->sge[i].length;
	}
}

/* Check that the pieces have these bytes. Then put their own bytes back. */
static int pieces_check(struct pieces *p, const char *stream)
{
	struct buf *buf;
	size_t j, len;
	int i, err = PASSED;

	for (i = 0; i < p->count; i++) {
		buf = p->of[i]->buf;
		len = p->sge[i].length;
		for (j = 0; j < len && !err; j++)
			if (buf->addr[p->off[i] + j] != stream[j])
				err = fail("piece %d (%s), byte %zu of %zu: 0x%02hhx, not 0x%02hhx",
					   i, backing_name(buf->backing), j, len,
					   buf->addr[p->off[i] + j], stream[j]);
		pattern_fill(buf->addr + p->off[i], buf->seed, p->off[i], len);
		stream += len;
	}
	for (i = 0; i < BACKING_COUNT; i++)
		err = err ?: buf_check(p->region[i].buf);
	return err;
}

static int post_pieces(struct pieces *p, enum ibv_wr_opcode opcode, uint64_t raddr, uint32_t rkey)
{
	struct ibv_send_wr wr = {
		.opcode = opcode,
		.sg_list = p->sge,
		.num_sge = p->count,
		.wr.rdma = { .remote_addr = raddr, .rkey = rkey },
	};

	return post_request(&pair, &wr) ?: wait_request(&pair, &wr, IBV_WC_SUCCESS);
}

static const struct {
	int count;
	size_t total;
} cuts[] = { { 1, 9000 }, { 2, 17 }, { 5, 4096 }, { 13, 100000 }, { MAX_SGE, MIB - 5 } };

static int test_gather_write(const void *arg)
{
	struct buf *target = remote_buf((enum backing_kind)(uintptr_t)arg);
	size_t i, off = SZ_2M - 5001;
	static char stream[2 * MIB];
	struct region r = {};
	struct pieces p;
	int err;

	err = region_open(&r, target, 1, 2, ACCESS_ALL) ?: pieces_open(&p, local_buf, 0);
	for (i = 0; i < ARRAY_SIZE(cuts) && !err; i++) {
		pieces_cut(&p, cuts[i].count, cuts[i].total);
		pieces_expect(&p, stream);
		err = post_pieces(&p, IBV_WR_RDMA_WRITE, (uintptr_t)target->addr + off,
				  r.mr->rkey);
		if (!err && memcmp(target->addr + off, stream, p.total))
			err = fail("%d pieces, %zu bytes: arrived wrong", p.count, p.total);
		pattern_fill(target->addr + off, target->seed, off, p.total);
		err = err ?: buf_check(target);
	}
	err = pieces_close(&p) ?: err;
	return mr_dereg(&r.mr) ?: err;
}

static int test_scatter_read(const void *arg)
{
	struct buf *source = remote_buf((enum backing_kind)(uintptr_t)arg);
	size_t i, off = SZ_2M - 5001;
	static char stream[2 * MIB];
	struct region r = {};
	struct pieces p;
	int err;

	if (dev.attr.orig_attr.max_sge_rd < 2)
		return lacks("reads into more than one buffer");
	err = region_open(&r, source, 1, 2, ACCESS_ALL) ?:
	      pieces_open(&p, local_buf, IBV_ACCESS_LOCAL_WRITE);
	for (i = 0; i < ARRAY_SIZE(cuts) && !err; i++) {
		pieces_cut(&p, cuts[i].count, cuts[i].total);
		pattern_fill(stream, source->seed, off, p.total);
		err = post_pieces(&p, IBV_WR_RDMA_READ, (uintptr_t)source->addr + off,
				  r.mr->rkey) ?:
		      pieces_check(&p, stream) ?:
		      buf_check(source);
	}
	err = pieces_close(&p) ?: err;
	return mr_dereg(&r.mr) ?: err;
}

/* Gather pieces on one side, and scatter the message to different pieces on the other side. */
static int test_gather_send_scatter(const void *arg)
{
	static char stream[2 * MIB];
	struct pieces from, to;
	struct ibv_wc wc;
	size_t i;
	int err;

	(void)arg;
	to = (struct pieces){};
	err = pieces_open(&from, local_buf, 0) ?:
	      pieces_open(&to, remote_buf, IBV_ACCESS_LOCAL_WRITE);
	for (i = 0; i < ARRAY_SIZE(cuts) && !err; i++) {
		pieces_cut(&from, cuts[i].count, cuts[i].total);
		pieces_expect(&from, stream);
		/* All of the message must fit, so take as many pieces as possible. */
		do {
			pieces_cut(&to, MAX_SGE, from.total);
		} while (to.total < from.total);
		err = post_recv(pair.qp[1], to.sge, to.count) ?:
		      post_pieces(&from, IBV_WR_SEND, 0, 0) ?:
		      wait_wc(pair.cq[1], IBV_WC_SUCCESS, &wc);
		if (!err && wc.byte_len != from.total)
			err = fail("received %u bytes of %zu", wc.byte_len, from.total);
		err = err ?: pieces_check(&to, stream);
	}
	err = pieces_close(&from) ?: err;
	return pieces_close(&to) ?: err;
}

/* --- inline ------------------------------------------------------------------------------- */

/* Inline data needs no region, and may be overwritten as soon as it is posted. */
static int inline_one(enum ibv_wr_opcode opcode, struct region *r, size_t off, size_t len)
{
	struct buf source = { .seed = 77 };
	char data[MAX_INLINE];
	struct ibv_sge from = { .addr = (uintptr_t)data, .length = len, .lkey = 0xdead };
	struct ibv_sge to = sge(r->buf->addr + off, len, r->mr);
	struct ibv_send_wr wr = {
		.opcode = opcode,
		.sg_list = &from,
		.num_sge = 1,
		.send_flags = IBV_SEND_INLINE,
		.wr.rdma = { .remote_addr = to.addr, .rkey = r->mr->rkey },
	};
	int err = PASSED;

	pattern_fill(data, source.seed, off, len);
	if (opcode == IBV_WR_SEND)
		err = post_recv(pair.qp[1], &to, 1);
	err = err ?: post_request(&pair, &wr);
	memset(data, 0xee, sizeof(data));
	err = err ?: wait_request(&pair, &wr, IBV_WC_SUCCESS);
	if (!err && opcode == IBV_WR_SEND)
		err = wait_wc(pair.cq[1], IBV_WC_SUCCESS, NULL);
	return err ?: moved(r->buf, off, &source, off, len);
}

static int test_inline(const void *arg)
{
	static const size_t lens[] = { 0, 1, 7, 8, 63, 128, MAX_INLINE };
	struct region r = {};
	size_t i, off;
	int err;

	err = region_open(&r, remote_buf((enum backing_kind)(uintptr_t)arg), 3, 5, ACCESS_ALL);
	for (i = 0; i < ARRAY_SIZE(lens) && lens[i] <= dev.max_inline && !err; i++) {
		off = SZ_2M - lens[i] / 2;
		err = inline_one(IBV_WR_SEND, &r, off, lens[i]) ?:
		      inline_one(IBV_WR_RDMA_WRITE, &r, off, lens[i]) ?:
		      inline_one(IBV_WR_RDMA_WRITE, &r, r.start, lens[i]) ?:
		      inline_one(IBV_WR_SEND, &r, r.end - lens[i], lens[i]);
	}
	if (!err)
		err = buf_check(r.buf);
	return mr_dereg(&r.mr) ?: err;
}

/* --- datagrams ---------------------------------------------------------------------------- */

#define QKEY	0x11111111
#define GRH_LEN	40

static struct ibv_qp *ud_qp(struct ibv_cq *cq)
{
	struct ibv_qp_init_attr init = {
		.send_cq = cq,
		.recv_cq = cq,
		.cap = { .max_send_wr = 4, .max_recv_wr = 4, .max_send_sge = 4,
			 .max_recv_sge = 4 },
		.qp_type = IBV_QPT_UD,
		.sq_sig_all = 1,
	};
	struct ibv_qp_attr attr = { .qp_state = IBV_QPS_INIT, .port_num = 1, .qkey = QKEY };
	struct ibv_qp_attr rtr = { .qp_state = IBV_QPS_RTR };
	struct ibv_qp_attr rts = { .qp_state = IBV_QPS_RTS };
	struct ibv_qp *qp = ibv_create_qp(dev.pd, &init);

	if (!qp || ibv_modify_qp(qp, &attr, IBV_QP_STATE | IBV_QP_PKEY_INDEX | IBV_QP_PORT |
				 IBV_QP_QKEY) ||
	    ibv_modify_qp(qp, &rtr, IBV_QP_STATE) ||
	    ibv_modify_qp(qp, &rts, IBV_QP_STATE | IBV_QP_SQ_PSN))
		fail("cannot bring up a UD QP: %m");
	return qp;
}

/* In the receive buffer, a datagram begins with a header of 40 bytes. The data follows it. */
static int test_datagram(const void *arg)
{
	enum backing_kind backing = (enum backing_kind)(uintptr_t)arg;
	struct ibv_ah_attr ah_attr = {
		.is_global = 1,
		.port_num = 1,
		.grh = { .dgid = dev.gid, .sgid_index = dev.gid_index, .hop_limit = 1 },
	};
	size_t len = 1000, loff = SZ_2M - 333, roff = SZ_2M - 500;
	struct region l = {}, r = {};
	struct ibv_ah *ah = NULL;
	struct ibv_qp *qp = NULL;
	struct ibv_cq *cq;
	struct ibv_sge from, to;
	struct ibv_send_wr wr = { .opcode = IBV_WR_SEND, .sg_list = &from, .num_sge = 1 };
	struct ibv_wc wc[2];
	int err = FAILED, i;

	if (!dev.attr.orig_attr.max_ah)
		return lacks("datagrams");
	cq = ibv_create_cq(dev.ctx, 8, NULL, NULL, 0);
	if (!cq)
		return fail("ibv_create_cq: %m");
	qp = ud_qp(cq);
	ah = ibv_create_ah(dev.pd, &ah_attr);
	if (!qp || !ah) {
		fail("ibv_create_ah: %m");
		goto out;
	}
	err = region_open(&l, local_buf(backing), 1, 1, 0) ?:
	      region_open(&r, remote_buf(backing), 1, 1, IBV_ACCESS_LOCAL_WRITE);
	if (err)
		goto out;
	from = sge(l.buf->addr + loff, len, l.mr);
	to = sge(r.buf->addr + roff - GRH_LEN, len + GRH_LEN, r.mr);
	wr.wr.ud.ah = ah;
	wr.wr.ud.remote_qpn = qp->qp_num;
	wr.wr.ud.remote_qkey = QKEY;
	err = post_recv(qp, &to, 1) ?: post_send(qp, &wr);
	for (i = 0; i < 2 && !err; i++)
		err = wait_wc(cq, IBV_WC_SUCCESS, &wc[i]);
	if (err)
		goto out;
	i = wc[0].opcode == IBV_WC_RECV ? 0 : 1;
	if (wc[i].opcode != IBV_WC_RECV || wc[i].byte_len != len + GRH_LEN)
		err = fail("received %u bytes of %zu", wc[i].byte_len, len + GRH_LEN);
	pattern_fill(r.buf->addr + roff - GRH_LEN, r.buf->seed, roff - GRH_LEN, GRH_LEN);
	err = err ?: moved(r.buf, roff, l.buf, loff, len) ?: buf_check(r.buf);
out:
	err = mr_dereg(&l.mr) ?: err;
	err = mr_dereg(&r.mr) ?: err;
	if (ah)
		ibv_destroy_ah(ah);
	if (qp)
		ibv_destroy_qp(qp);
	ibv_destroy_cq(cq);
	return err;
}

void add_data_tests(void)
{
	static struct between all[OP_COUNT * BACKING_COUNT * BACKING_COUNT];
	struct between *b = all;
	unsigned int op, l, r;

	for (op = 0; op < OP_COUNT; op++) {
		for (l = 0; l < BACKING_COUNT; l++) {
			for (r = 0; r < BACKING_COUNT; r++) {
				*b = (struct between){ .op = op, .local = l, .remote = r };
				test_add(test_transfer, b++, "%s local %s remote %s", op_name[op],
					 backing_name(l), backing_name(r));
			}
		}
	}
	for (r = 0; r < BACKING_COUNT; r++) {
		const void *arg = (void *)(uintptr_t)r;

		test_add(test_whole, arg, "whole region on %s", backing_name(r));
		test_add(test_gather_write, arg, "write gathered to %s", backing_name(r));
		test_add(test_scatter_read, arg, "read scattered from %s", backing_name(r));
		test_add(test_inline, arg, "inline to %s", backing_name(r));
		test_add(test_datagram, arg, "datagram on %s", backing_name(r));
	}
	test_add(test_gather_send_scatter, NULL, "send gathered, received scattered");
}
