/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * Connecting two QPs of this process by rdma_cm, through the device's IP address.
 *
 * iWARP knows no other way: below each QP there is a TCP connection, and only the kernel's
 * connection manager makes one. The QPs are the caller's own, on the caller's own context; rdma_cm
 * hears of them by their numbers.
 */
#ifndef PHYR_TESTS_VERBS_CM_H
#define PHYR_TESTS_VERBS_CM_H

#include <infiniband/verbs.h>

struct cm;

/* Listens at the device's address. NULL after fail(). */
struct cm *cm_open(void);
void cm_close(struct cm *cm);

/*
 * Connect qp[0] to qp[1], which become ready to send; qp[0] is the active side, and has to send
 * first (RFC 5044, 7.1.1). One connection at a time: cm_disconnect() ends it, and leaves the QPs in
 * the error state, for the caller to destroy.
 */
int cm_connect(struct cm *cm, struct ibv_qp *const qp[2]);
void cm_disconnect(struct cm *cm);

#endif
