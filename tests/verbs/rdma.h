/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * The RDMA device under test: opening it, memory regions, connected queue pairs, transfers.
 *
 * The device is Soft-RoCE or Soft-iWARP. The functions here hide how iWARP differs from InfiniBand:
 * QPs are connected in another way (cm.h), a write or a send completes before it has arrived, and
 * an error says less. If a test needs what Soft-iWARP does not have, it calls lacks().
 */
#ifndef PHYR_TESTS_VERBS_RDMA_H
#define PHYR_TESTS_VERBS_RDMA_H

#include <infiniband/verbs.h>
#include <stddef.h>
#include <stdint.h>

#include "memory.h"
#include "pattern.h"
#include "test.h"

struct device {
	const char *name;
	int gid_index;
	struct ibv_context *ctx;
	struct ibv_pd *pd;
	struct ibv_device_attr_ex attr;
	struct ibv_port_attr port;
	union ibv_gid gid;
	bool iwarp;
	int max_sge;		/* of the QPs of a pair, at most MAX_SGE */
	size_t max_inline;	/* of the QPs of a pair, at most MAX_INLINE */
};

extern struct device dev;

/* A program with this subject has dev open. Options -d and -g choose the device. */
extern const struct subject rdma_device;

/* The device lacks what a test needs. Over iWARP, the test is skipped, else it fails. */
int lacks(const char *what);

#define ACCESS_ALL	(IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE | \
			 IBV_ACCESS_REMOTE_READ | IBV_ACCESS_REMOTE_ATOMIC)

/* NULL after fail(). */
struct ibv_mr *mr_reg(void *addr, size_t len, int access);
int mr_dereg(struct ibv_mr **mr);
/* Change a region: flags are IBV_REREG_MR_CHANGE_*. Returns 0 or an errno. */
int mr_rereg(struct ibv_mr *mr, int flags, struct ibv_pd *pd, void *addr, size_t len, int access);

/*
 * Two RC QPs in one protection domain, connected to each other: qp[0] requests, qp[1] responds.
 * An error completion leaves both in the error state; pair_recycle() brings them back.
 */
struct pair {
	struct ibv_cq *cq[2];
	struct ibv_qp *qp[2];
	struct ibv_pd *pd;
	/* Only over iWARP: */
	struct cm *cm;
	struct ibv_mr *behind;	/* read behind each write and send, see post_request() */
};

enum { MAX_SGE = 30, MAX_INLINE = 200, MAX_WR = 64 };

int pair_open(struct pair *pair, struct ibv_pd *pd);
int pair_recycle(struct pair *pair);
void pair_close(struct pair *pair);

/* One scatter/gather entry. */
struct ibv_sge sge(const void *addr, size_t len, const struct ibv_mr *mr);

/*
 * Wait for one completion and demand this status. wc may be NULL. Over iWARP, any error will do for
 * another.
 */
int wait_wc(struct ibv_cq *cq, enum ibv_wc_status status, struct ibv_wc *wc);
/* There must be no completion. */
int no_wc(struct ibv_cq *cq);

int post_send(struct ibv_qp *qp, struct ibv_send_wr *wr);
int post_recv(struct ibv_qp *qp, struct ibv_sge *sges, int n);

/*
 * Post one request on qp[0], and wait for it. If the wait succeeds, the data has arrived. No other
 * request may be under way.
 */
int post_request(struct pair *pair, struct ibv_send_wr *wr);
int wait_request(struct pair *pair, const struct ibv_send_wr *wr, enum ibv_wc_status status);

/* One RDMA write or read from qp[0] with a single local buffer; waits and demands the status. */
int rdma(struct pair *pair, enum ibv_wr_opcode opcode, struct ibv_sge local, uint64_t raddr,
	 uint32_t rkey, enum ibv_wc_status status);
/* The same for a request that must fail. Recycles the pair afterwards. */
int rdma_refused(struct pair *pair, enum ibv_wr_opcode opcode, struct ibv_sge local,
		 uint64_t raddr, uint32_t rkey, enum ibv_wc_status status);
/* One send from qp[0] into one receive buffer of qp[1]. */
int send_recv(struct pair *pair, struct ibv_sge from, struct ibv_sge to, unsigned int flags);

#endif
