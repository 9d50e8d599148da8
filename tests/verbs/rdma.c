// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * The RDMA device and how to move data through it; see rdma.h for the story.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <rdma/ib_user_verbs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cm.h"
#include "rdma.h"

#define WC_TIMEOUT_MS	20000.0

struct device dev = { .name = "rxe0", .gid_index = -1 };

static void device_open(void)
{
	struct ibv_device **list, *found = NULL;
	int n, i;

	list = ibv_get_device_list(&n);
	if (!list)
		die("cannot list RDMA devices: %m");
	for (i = 0; i < n; i++)
		if (!strcmp(ibv_get_device_name(list[i]), dev.name))
			found = list[i];
	if (!found)
		die("there is no RDMA device %s among %d; see `rdma link` and option -d",
		    dev.name, n);
	dev.ctx = ibv_open_device(found);
	if (!dev.ctx)
		die("cannot open %s: %m", dev.name);
	dev.iwarp = found->transport_type == IBV_TRANSPORT_IWARP;
	ibv_free_device_list(list);
	if (ibv_query_device_ex(dev.ctx, NULL, &dev.attr))
		die("cannot query %s: %m", dev.name);
	if (ibv_query_port(dev.ctx, 1, &dev.port))
		die("cannot query port 1 of %s: %m", dev.name);
	if (dev.port.state != IBV_PORT_ACTIVE)
		die("port 1 of %s is not active", dev.name);
	/* Over Ethernet the first GID is the link-local address; an iWARP device has only one. */
	if (dev.gid_index < 0)
		dev.gid_index = !dev.iwarp;
	if (ibv_query_gid(dev.ctx, 1, dev.gid_index, &dev.gid))
		die("%s has no GID %d: %m; see option -g", dev.name, dev.gid_index);
	dev.pd = ibv_alloc_pd(dev.ctx);
	if (!dev.pd)
		die("cannot allocate a protection domain on %s: %m", dev.name);
	dev.max_sge = dev.attr.orig_attr.max_sge < MAX_SGE ? dev.attr.orig_attr.max_sge : MAX_SGE;
	/* Soft-iWARP takes 80 bytes, but has no attribute to say so. */
	dev.max_inline = dev.iwarp ? 64 : MAX_INLINE;
}

static void device_option(int c, const char *arg)
{
	char *end;

	switch (c) {
	case 'd':
		dev.name = arg;
		break;
	case 'g':
		dev.gid_index = strtol(arg, &end, 10);
		if (*end || end == arg || dev.gid_index < 0)
			die("-g wants a GID index, not \"%s\"", arg);
		break;
	}
}

static const struct option device_options[] = {
	{ "device", required_argument, NULL, 'd' },
	{ "gid", required_argument, NULL, 'g' },
	{}
};

const struct subject rdma_device = {
	.options_help =
		"  -d, --device DEV   RDMA device (default rxe0)\n"
		"  -g, --gid INDEX    GID index (default 1, over iWARP 0)\n",
	.short_options = "d:g:",
	.options = device_options,
	.option = device_option,
	.open = device_open,
};

int lacks(const char *what)
{
	if (dev.iwarp)
		return skip("%s, an iWARP device, has no %s", dev.name, what);
	return fail("%s has no %s, which Soft-RoCE has", dev.name, what);
}

struct ibv_mr *mr_reg(void *addr, size_t len, int access)
{
	struct ibv_mr *mr = ibv_reg_mr(dev.pd, addr, len, access);

	if (!mr)
		fail("ibv_reg_mr of %zu bytes, access 0x%x: %s", len, access, errno_name(errno));
	return mr;
}

static long pinned_kb(const struct ibv_mr *mr)
{
	uintptr_t start = (uintptr_t)mr->addr;

	return ((start + mr->length - 1) / SZ_4K - start / SZ_4K + 1) * (SZ_4K / KIB);
}

#define RELEASE_TIMEOUT_MS	2000.0

/* Safe to call for a region that was never registered. */
int mr_dereg(struct ibv_mr **mr)
{
	double deadline = now_ms() + RELEASE_TIMEOUT_MS;
	long left_kb = dev.iwarp && *mr ? vmpin_kb() - pinned_kb(*mr) : 0;
	int err = *mr ? ibv_dereg_mr(*mr) : 0;

	/*
	 * A region of Soft-iWARP lives until another CPU is done with the last message from it.
	 * Wait for that, or the runner counts its pins. If the pins stay, the runner must count
	 * them.
	 */
	while (dev.iwarp && *mr && !err && vmpin_kb() > left_kb && now_ms() < deadline)
		usleep(1000);
	*mr = NULL;
	return err ? fail("ibv_dereg_mr: %s", errno_name(err)) : PASSED;
}

/* Calls the kernel as libibverbs would, since its plug-in for rxe has no ibv_rereg_mr(). */
int mr_rereg(struct ibv_mr *mr, int flags, struct ibv_pd *pd, void *addr, size_t len, int access)
{
	struct ib_uverbs_rereg_mr_resp resp;
	struct {
		struct ib_uverbs_cmd_hdr hdr;
		struct ib_uverbs_rereg_mr cmd;
	} req = {
		.hdr = {
			.command = IB_USER_VERBS_CMD_REREG_MR,
			.in_words = sizeof(req) / 4,
			.out_words = sizeof(resp) / 4,
		},
		.cmd = {
			.response = (uintptr_t)&resp,
			.mr_handle = mr->handle,
			.flags = flags,
			.start = (uintptr_t)addr,
			.length = len,
			.hca_va = (uintptr_t)addr,
			.pd_handle = pd ? pd->handle : 0,
			.access_flags = access,
		},
	};

	if (write(mr->context->cmd_fd, &req, sizeof(req)) != sizeof(req))
		return errno;
	mr->lkey = resp.lkey;
	mr->rkey = resp.rkey;
	return 0;
}

static struct ibv_qp *qp_create(struct ibv_pd *pd, struct ibv_cq *cq)
{
	struct ibv_qp_init_attr_ex attr = {
		.send_cq = cq,
		.recv_cq = cq,
		.cap = {
			.max_send_wr = MAX_WR,
			.max_recv_wr = MAX_WR,
			.max_send_sge = dev.max_sge,
			.max_recv_sge = dev.max_sge,
			.max_inline_data = dev.max_inline,
		},
		.qp_type = IBV_QPT_RC,
		.sq_sig_all = 1,
		.comp_mask = IBV_QP_INIT_ATTR_PD | IBV_QP_INIT_ATTR_SEND_OPS_FLAGS,
		.pd = pd,
		.send_ops_flags = IBV_QP_EX_WITH_RDMA_WRITE | IBV_QP_EX_WITH_RDMA_READ |
				  IBV_QP_EX_WITH_ATOMIC_FETCH_AND_ADD |
				  IBV_QP_EX_WITH_ATOMIC_WRITE | IBV_QP_EX_WITH_FLUSH,
	};

	/* libibverbs' plug-in for siw has no ibv_wr_*(). */
	if (dev.iwarp)
		attr.comp_mask &= ~IBV_QP_INIT_ATTR_SEND_OPS_FLAGS;
	return ibv_create_qp_ex(dev.ctx, &attr);
}

static int qp_to_rts(struct ibv_qp *qp, uint32_t dest_qpn, uint32_t rq_psn, uint32_t sq_psn)
{
	struct ibv_qp_attr attr = { .qp_state = IBV_QPS_RESET };

	if (ibv_modify_qp(qp, &attr, IBV_QP_STATE))
		return fail("QP to RESET: %m");

	attr = (struct ibv_qp_attr){
		.qp_state = IBV_QPS_INIT,
		.port_num = 1,
		.qp_access_flags = ACCESS_ALL | IBV_ACCESS_FLUSH_GLOBAL |
				   IBV_ACCESS_FLUSH_PERSISTENT,
	};
	if (ibv_modify_qp(qp, &attr, IBV_QP_STATE | IBV_QP_PKEY_INDEX | IBV_QP_PORT |
			  IBV_QP_ACCESS_FLAGS))
		return fail("QP to INIT: %m");

	attr = (struct ibv_qp_attr){
		.qp_state = IBV_QPS_RTR,
		.path_mtu = dev.port.active_mtu,
		.dest_qp_num = dest_qpn,
		.rq_psn = rq_psn,
		.max_dest_rd_atomic = 16,
		.min_rnr_timer = 1,
		.ah_attr = {
			.is_global = 1,
			.port_num = 1,
			.grh = {
				.dgid = dev.gid,
				.sgid_index = dev.gid_index,
				.hop_limit = 1,
			},
		},
	};
	if (ibv_modify_qp(qp, &attr, IBV_QP_STATE | IBV_QP_AV | IBV_QP_PATH_MTU |
			  IBV_QP_DEST_QPN | IBV_QP_RQ_PSN | IBV_QP_MAX_DEST_RD_ATOMIC |
			  IBV_QP_MIN_RNR_TIMER))
		return fail("QP to RTR: %m");

	attr = (struct ibv_qp_attr){
		.qp_state = IBV_QPS_RTS,
		.sq_psn = sq_psn,
		.timeout = 17,		/* half a second: emulated machines are slow */
		.retry_cnt = 7,
		.rnr_retry = 7,
		.max_rd_atomic = 16,
	};
	if (ibv_modify_qp(qp, &attr, IBV_QP_STATE | IBV_QP_SQ_PSN | IBV_QP_TIMEOUT |
			  IBV_QP_RETRY_CNT | IBV_QP_RNR_RETRY | IBV_QP_MAX_QP_RD_ATOMIC))
		return fail("QP to RTS: %m");
	return PASSED;
}

static int qps_open(struct pair *pair)
{
	int i;

	for (i = 0; i < 2; i++) {
		pair->qp[i] = qp_create(pair->pd, pair->cq[i]);
		if (!pair->qp[i])
			return fail("ibv_create_qp_ex: %m");
	}
	return PASSED;
}

static void qps_close(struct pair *pair)
{
	int i;

	for (i = 0; i < 2; i++)
		if (pair->qp[i] && ibv_destroy_qp(pair->qp[i]))
			fail("ibv_destroy_qp: %m");
	memset(pair->qp, 0, sizeof(pair->qp));
}

static void cqs_drain(struct pair *pair)
{
	struct ibv_wc wc;
	int i;

	for (i = 0; i < 2; i++)
		while (ibv_poll_cq(pair->cq[i], 1, &wc) > 0)
			;
}

static int qps_connect(struct pair *pair)
{
	uint32_t psn[2] = { random_u64() & 0xffffff, random_u64() & 0xffffff };
	struct ibv_qp_attr reset = { .qp_state = IBV_QPS_RESET };
	int i, err;

	/* Reset both QPs before either is connected again. */
	for (i = 0; i < 2; i++)
		if (ibv_modify_qp(pair->qp[i], &reset, IBV_QP_STATE))
			return fail("QP to RESET: %m");
	cqs_drain(pair);
	for (i = 0; i < 2; i++) {
		err = qp_to_rts(pair->qp[i], pair->qp[!i]->qp_num, psn[!i], psn[i]);
		if (err)
			return err;
	}
	return PASSED;
}

/* An iWARP QP does not come back from the error state, so make new ones. */
static int qps_renew(struct pair *pair)
{
	cm_disconnect(pair->cm);
	qps_close(pair);
	cqs_drain(pair);
	return qps_open(pair) ?: cm_connect(pair->cm, pair->qp);
}

int pair_recycle(struct pair *pair)
{
	return dev.iwarp ? qps_renew(pair) : qps_connect(pair);
}

/* The word that is read behind writes and sends. Its value does not matter. */
static uint64_t behind[2];

static int iwarp_open(struct pair *pair)
{
	pair->behind = ibv_reg_mr(pair->pd, behind, sizeof(behind),
				  IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_READ);
	if (!pair->behind)
		return fail("ibv_reg_mr: %m");
	pair->cm = cm_open();
	return pair->cm ? PASSED : FAILED;
}

int pair_open(struct pair *pair, struct ibv_pd *pd)
{
	int i, err;

	*pair = (struct pair){ .pd = pd };
	for (i = 0; i < 2; i++) {
		pair->cq[i] = ibv_create_cq(dev.ctx, 4 * MAX_WR, NULL, NULL, 0);
		if (!pair->cq[i])
			return fail("ibv_create_cq: %m");
	}
	err = qps_open(pair);
	if (!err && dev.iwarp)
		return iwarp_open(pair) ?: cm_connect(pair->cm, pair->qp);
	return err ?: qps_connect(pair);
}

void pair_close(struct pair *pair)
{
	int i;

	if (pair->cm)
		cm_close(pair->cm);
	qps_close(pair);
	mr_dereg(&pair->behind);
	for (i = 0; i < 2; i++)
		if (pair->cq[i] && ibv_destroy_cq(pair->cq[i]))
			fail("ibv_destroy_cq: %m");
	*pair = (struct pair){};
}

struct ibv_sge sge(const void *addr, size_t len, const struct ibv_mr *mr)
{
	return (struct ibv_sge){
		.addr = (uintptr_t)addr,
		.length = len,
		.lkey = mr->lkey,
	};
}

static int poll_one(struct ibv_cq *cq, struct ibv_wc *wc)
{
	double deadline = now_ms() + WC_TIMEOUT_MS;
	int n, spins = 0;

	do {
		n = ibv_poll_cq(cq, 1, wc);
		if (n < 0)
			return fail("ibv_poll_cq: %d", n);
		if (n)
			return PASSED;
		/* The kernel does the work on the same few CPUs, so leave it time. */
		if (++spins < 200)
			sched_yield();
		else
			usleep(100);
	} while (now_ms() < deadline);
	return fail("no completion within %.0f s", WC_TIMEOUT_MS / 1000);
}

static int check_status(const struct ibv_wc *wc, enum ibv_wc_status status)
{
	/*
	 * If iWARP refuses a request, the connection ends. Often the requester gets no other error
	 * than that its requests are flushed.
	 */
	bool as_good = dev.iwarp && wc->status != IBV_WC_SUCCESS && status != IBV_WC_SUCCESS;

	if (wc->status != status && !as_good)
		return fail("completion says \"%s\", expected \"%s\"",
			    ibv_wc_status_str(wc->status), ibv_wc_status_str(status));
	return PASSED;
}

int wait_wc(struct ibv_cq *cq, enum ibv_wc_status status, struct ibv_wc *wc)
{
	struct ibv_wc local;

	wc = wc ?: &local;
	return poll_one(cq, wc) ?: check_status(wc, status);
}

int no_wc(struct ibv_cq *cq)
{
	struct ibv_wc wc;

	if (!ibv_poll_cq(cq, 1, &wc))
		return PASSED;
	return fail("a completion too many, \"%s\"", ibv_wc_status_str(wc.status));
}

int post_send(struct ibv_qp *qp, struct ibv_send_wr *wr)
{
	struct ibv_send_wr *bad;
	int err = ibv_post_send(qp, wr, &bad);

	return err ? fail("ibv_post_send: %s", errno_name(err)) : PASSED;
}

int post_recv(struct ibv_qp *qp, struct ibv_sge *sges, int n)
{
	struct ibv_recv_wr wr = { .sg_list = sges, .num_sge = n }, *bad;
	int err = ibv_post_recv(qp, &wr, &bad);

	return err ? fail("ibv_post_recv: %s", errno_name(err)) : PASSED;
}

/*
 * Over InfiniBand, a request is complete when the other side has acknowledged it. Over iWARP, a
 * write or a send is complete as soon as TCP has taken it. But the other side sees requests in
 * order. So we let a read follow: it is answered when the data has arrived, and flushed if the data
 * was refused.
 */
static bool needs_read_behind(const struct ibv_send_wr *wr)
{
	return dev.iwarp && wr->opcode != IBV_WR_RDMA_READ;
}

int post_request(struct pair *pair, struct ibv_send_wr *wr)
{
	struct ibv_sge sink;
	struct ibv_send_wr read = { .opcode = IBV_WR_RDMA_READ, .sg_list = &sink, .num_sge = 1 };
	int err;

	if (!needs_read_behind(wr))
		return post_send(pair->qp[0], wr);
	/* Do not read zero bytes: a busy siw answers that with what it has sent before. */
	sink = sge(&behind[1], sizeof(behind[1]), pair->behind);
	read.wr.rdma.remote_addr = (uintptr_t)&behind[0];
	read.wr.rdma.rkey = pair->behind->rkey;
	/* Post both together, as siw does not flush requests that come after the error. */
	wr->next = &read;
	err = post_send(pair->qp[0], wr);
	wr->next = NULL;
	return err;
}

int wait_request(struct pair *pair, const struct ibv_send_wr *wr, enum ibv_wc_status status)
{
	struct ibv_wc wc;
	int err = poll_one(pair->cq[0], &wc);

	if (!err && needs_read_behind(wr) && wc.status == IBV_WC_SUCCESS)
		err = poll_one(pair->cq[0], &wc);
	return err ?: check_status(&wc, status);
}

int rdma(struct pair *pair, enum ibv_wr_opcode opcode, struct ibv_sge local, uint64_t raddr,
	 uint32_t rkey, enum ibv_wc_status status)
{
	struct ibv_send_wr wr = {
		.opcode = opcode,
		.sg_list = &local,
		.num_sge = 1,
		.wr.rdma = { .remote_addr = raddr, .rkey = rkey },
	};

	return post_request(pair, &wr) ?: wait_request(pair, &wr, status);
}

int rdma_refused(struct pair *pair, enum ibv_wr_opcode opcode, struct ibv_sge local,
		 uint64_t raddr, uint32_t rkey, enum ibv_wc_status status)
{
	int err = rdma(pair, opcode, local, raddr, rkey, status);

	return pair_recycle(pair) ?: err;
}

int send_recv(struct pair *pair, struct ibv_sge from, struct ibv_sge to, unsigned int flags)
{
	struct ibv_send_wr wr = {
		.opcode = IBV_WR_SEND,
		.sg_list = &from,
		.num_sge = 1,
		.send_flags = flags,
	};
	struct ibv_wc wc;
	int err;

	err = post_recv(pair->qp[1], &to, 1) ?:
	      post_send(pair->qp[0], &wr) ?:
	      wait_wc(pair->cq[0], IBV_WC_SUCCESS, NULL) ?:
	      wait_wc(pair->cq[1], IBV_WC_SUCCESS, &wc);
	if (!err && wc.byte_len != from.length)
		err = fail("received %u bytes, %u were sent", wc.byte_len, from.length);
	return err;
}
