// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Connecting two QPs of this process by rdma_cm; see cm.h for the story.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <poll.h>
#include <rdma/rdma_cma.h>
#include <stdlib.h>
#include <string.h>

#include "cm.h"
#include "rdma.h"

/* An emulated machine may need this long. */
#define TIMEOUT_MS	20000
/* How many ports to try. */
#define PORTS		10

struct cm {
	struct rdma_event_channel *channel;
	struct rdma_cm_id *listener, *active, *passive;
	struct sockaddr_in addr;	/* of the listener */
};

/* The next event must be of this type. */
static int next_event(struct cm *cm, enum rdma_cm_event_type type, struct rdma_cm_id **id)
{
	struct pollfd fd = { .fd = cm->channel->fd, .events = POLLIN };
	struct rdma_cm_event *event;
	int err = PASSED;

	if (poll(&fd, 1, TIMEOUT_MS) != 1)
		return fail("rdma_cm is silent, expected %s", rdma_event_str(type));
	if (rdma_get_cm_event(cm->channel, &event))
		return fail("rdma_get_cm_event: %m");
	if (event->event != type)
		err = fail("rdma_cm says %s (%d), expected %s", rdma_event_str(event->event),
			   event->status, rdma_event_str(type));
	else if (id)
		*id = event->id;
	rdma_ack_cm_event(event);
	return err;
}

/* The IPv4 address of the network device below ours. */
static int find_address(struct sockaddr_in *addr)
{
	char name[IF_NAMESIZE];
	struct ibv_gid_entry gid;
	struct ifaddrs *all, *a;

	if (ibv_query_gid_ex(dev.ctx, 1, dev.gid_index, &gid, 0) ||
	    !if_indextoname(gid.ndev_ifindex, name))
		return fail("%s does not say which network device it is on: %m", dev.name);
	if (getifaddrs(&all))
		return fail("getifaddrs: %m");
	for (a = all; a; a = a->ifa_next)
		if (a->ifa_addr && a->ifa_addr->sa_family == AF_INET && !strcmp(a->ifa_name, name))
			break;
	if (a)
		memcpy(addr, a->ifa_addr, sizeof(*addr));
	freeifaddrs(all);
	return a ? PASSED : fail("%s, below %s, has no IPv4 address", name, dev.name);
}

static int listen_at(struct cm *cm)
{
	int err = find_address(&cm->addr);

	if (err)
		return err;
	cm->addr.sin_port = 0;
	if (rdma_create_id(cm->channel, &cm->listener, NULL, RDMA_PS_TCP) ||
	    rdma_bind_addr(cm->listener, (struct sockaddr *)&cm->addr) ||
	    rdma_listen(cm->listener, 1))
		return fail("cannot listen at %s by rdma_cm: %m", inet_ntoa(cm->addr.sin_addr));
	/* Two devices can be on one network device; rdma_cm takes one for the address. */
	if (strcmp(ibv_get_device_name(cm->listener->verbs->device), dev.name))
		return fail("rdma_cm takes %s for %s, not %s",
			    ibv_get_device_name(cm->listener->verbs->device),
			    inet_ntoa(cm->addr.sin_addr), dev.name);
	cm->addr.sin_port = rdma_get_src_port(cm->listener);
	return PASSED;
}

struct cm *cm_open(void)
{
	struct cm *cm = calloc(1, sizeof(*cm));

	if (!cm)
		die("out of memory");
	cm->channel = rdma_create_event_channel();
	if (!cm->channel)
		fail("rdma_create_event_channel: %m");
	else if (!listen_at(cm))
		return cm;
	cm_close(cm);
	return NULL;
}

static int qp_to_init(struct ibv_qp *qp)
{
	struct ibv_qp_attr attr = {
		.qp_state = IBV_QPS_INIT,
		.qp_access_flags = IBV_ACCESS_REMOTE_WRITE | IBV_ACCESS_REMOTE_READ,
	};

	if (ibv_modify_qp(qp, &attr, IBV_QP_STATE | IBV_QP_ACCESS_FLAGS))
		return fail("QP to INIT: %m");
	return PASSED;
}

static int resolve(struct cm *cm)
{
	if (rdma_create_id(cm->channel, &cm->active, NULL, RDMA_PS_TCP))
		return fail("rdma_create_id: %m");
	if (rdma_resolve_addr(cm->active, NULL, (struct sockaddr *)&cm->addr, TIMEOUT_MS))
		return fail("rdma_resolve_addr: %m");
	if (next_event(cm, RDMA_CM_EVENT_ADDR_RESOLVED, NULL))
		return FAILED;
	if (rdma_resolve_route(cm->active, TIMEOUT_MS))
		return fail("rdma_resolve_route: %m");
	return next_event(cm, RDMA_CM_EVENT_ROUTE_RESOLVED, NULL);
}

/* rdma_cm does not know which ports TCP still uses. Each try takes another port. */
static int connect_active(struct cm *cm, struct rdma_conn_param *param)
{
	int tries;

	for (tries = 0; tries < PORTS; tries++) {
		if (resolve(cm))
			return FAILED;
		if (!rdma_connect(cm->active, param))
			return PASSED;
		if (errno != EADDRINUSE)
			break;
		rdma_destroy_id(cm->active);
		cm->active = NULL;
	}
	return fail("rdma_connect: %m");
}

int cm_connect(struct cm *cm, struct ibv_qp *const qp[2])
{
	/* How many reads may be under way at once. */
	struct rdma_conn_param param = { .responder_resources = 16, .initiator_depth = 16 };

	param.qp_num = qp[0]->qp_num;
	if (qp_to_init(qp[0]) || qp_to_init(qp[1]) || connect_active(cm, &param))
		return FAILED;
	if (next_event(cm, RDMA_CM_EVENT_CONNECT_REQUEST, &cm->passive))
		return FAILED;
	param.qp_num = qp[1]->qp_num;
	if (rdma_accept(cm->passive, &param))
		return fail("rdma_accept: %m");
	/* Each side gets one. */
	return next_event(cm, RDMA_CM_EVENT_ESTABLISHED, NULL) ?:
	       next_event(cm, RDMA_CM_EVENT_ESTABLISHED, NULL);
}

/* Destroying an ID drops its events that were not taken. */
void cm_disconnect(struct cm *cm)
{
	if (cm->active)
		rdma_destroy_id(cm->active);
	if (cm->passive)
		rdma_destroy_id(cm->passive);
	cm->active = NULL;
	cm->passive = NULL;
}

void cm_close(struct cm *cm)
{
	cm_disconnect(cm);
	if (cm->listener)
		rdma_destroy_id(cm->listener);
	if (cm->channel)
		rdma_destroy_event_channel(cm->channel);
	free(cm);
}
