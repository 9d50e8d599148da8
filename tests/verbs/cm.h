/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * Connecting two QPs of this process by rdma_cm, through the device's IP address.
 *
 * iWARP has no other way: below each QP there is a TCP connection, which only the kernel's
 * connection manager can make. The QPs are the caller's own, on the caller's own context. rdma_cm
 * gets their numbers.
 */
#ifndef PHYR_TESTS_VERBS_CM_H
#define PHYR_TESTS_VERBS_CM_H

#include <infiniband/verbs.h>

struct cm;

/* Listen at the device's address. NULL after fail(). */
struct cm *cm_open(void);
void cm_close(struct cm *cm);

/*
 * Connect qp[0] to qp[1]. Both become ready to send. qp[0] is the active side, and has to send
 * first (RFC 5044, 7.1.1). There is one connection at a time. cm_disconnect() ends it, and leaves
 * the QPs in the error state, for the caller to destroy.
 */
int cm_connect(struct cm *cm, struct ibv_qp *const qp[2]);
void cm_disconnect(struct cm *cm);

#endif
