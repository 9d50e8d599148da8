// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * What the kernel says of devices and of memory regions, over RDMA netlink.
 *
 * A request is one message with a few flat attributes. The answer to a dump is a series of
 * messages. A dump of devices has a message for each device. A dump of MRs has as many messages as
 * the kernel needs, and each of these nests:
 *
 *	RES_MR
 *	  RES_MR_ENTRY			one for each MR
 *	    RES_LKEY, RES_RKEY		only with CAP_NET_ADMIN
 *	    RES_MRLEN, RES_MRN, ...
 *	    RES_PID or RES_KERN_NAME	whose it is
 *	    DRIVER			what the driver adds
 *	      DRIVER_STRING "phyrs"	a name ...
 *	      DRIVER_PRINT_TYPE		maybe how to print the value
 *	      DRIVER_U64 512		... and its value
 *	      DRIVER_STRING ...
 */
#include <errno.h>
#include <linux/netlink.h>
#include <rdma/ib_user_ioctl_verbs.h>
#include <rdma/rdma_netlink.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "nldev.h"

/* The kernel never builds a dump message larger than 32 KiB. */
#define ANSWER_LEN 32768

static const char *const fact_names[MR_NR_FACTS] = {
	[MR_PHYRS]		= "phyrs",
	[MR_DMA_ENTRIES]	= "dma_entries",
	[MR_LARGEST]		= "largest",
	[MR_SMALLEST]		= "smallest",
	[MR_METADATA]		= "metadata",
	[MR_PINNED_PAGES]	= "pinned_pages",
};

const char *mr_fact_name(enum mr_fact fact)
{
	return fact_names[fact];
}

/* Attributes: a walk over a run of them, and their values. */

struct attr_walk {
	const char *at;
	size_t left;
};

static const struct nlattr *attr_next(struct attr_walk *walk)
{
	const struct nlattr *attr = (const struct nlattr *)walk->at;
	size_t step;

	if (walk->left < NLA_HDRLEN || attr->nla_len < NLA_HDRLEN || attr->nla_len > walk->left)
		return NULL;
	step = NLA_ALIGN(attr->nla_len);
	if (step > walk->left)
		step = walk->left;
	walk->at += step;
	walk->left -= step;
	return attr;
}

static int attr_type(const struct nlattr *attr)
{
	return attr->nla_type & NLA_TYPE_MASK;
}

static const char *attr_data(const struct nlattr *attr)
{
	return (const char *)attr + NLA_HDRLEN;
}

static size_t attr_len(const struct nlattr *attr)
{
	return attr->nla_len - NLA_HDRLEN;
}

static struct attr_walk attr_nested(const struct nlattr *attr)
{
	return (struct attr_walk){ attr_data(attr), attr_len(attr) };
}

/* Attributes are aligned to 4 bytes only: a u64 must be copied out. */
static uint64_t attr_uint(const struct nlattr *attr)
{
	uint64_t wide = 0;
	uint32_t narrow = 0;

	if (attr_len(attr) == sizeof(wide)) {
		memcpy(&wide, attr_data(attr), sizeof(wide));
		return wide;
	}
	if (attr_len(attr) == sizeof(narrow))
		memcpy(&narrow, attr_data(attr), sizeof(narrow));
	return narrow;
}

/* The string, or NULL if it is not terminated within the attribute. */
static const char *attr_string(const struct nlattr *attr)
{
	return memchr(attr_data(attr), '\0', attr_len(attr)) ? attr_data(attr) : NULL;
}

/* Requests and answers. */

struct request {
	struct nlmsghdr hdr;
	char attrs[64];
};

static void request_init(struct request *req, unsigned int command, unsigned int flags)
{
	memset(req, 0, sizeof(*req));
	req->hdr.nlmsg_type = RDMA_NL_GET_TYPE(RDMA_NL_NLDEV, command);
	req->hdr.nlmsg_flags = NLM_F_REQUEST | flags;
	req->hdr.nlmsg_len = NLMSG_HDRLEN;
}

static void request_put(struct request *req, int type, const void *value, size_t len)
{
	struct nlattr *attr = (struct nlattr *)((char *)req + req->hdr.nlmsg_len);

	attr->nla_type = type;
	attr->nla_len = NLA_HDRLEN + len;
	memcpy((char *)attr + NLA_HDRLEN, value, len);
	req->hdr.nlmsg_len += NLA_ALIGN(attr->nla_len);
}

typedef void (*answer_fn)(struct attr_walk attrs, void *arg);

static ssize_t receive(int sk, char *buf, size_t len)
{
	struct iovec iov = { .iov_base = buf, .iov_len = len };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	ssize_t got;

	do {
		got = recvmsg(sk, &msg, 0);
	} while (got < 0 && errno == EINTR);
	if (got < 0)
		return -errno;
	return msg.msg_flags & MSG_TRUNC ? -EMSGSIZE : got;
}

/* DONE, at the end of a dump, and ERROR both begin with an error number, which is 0 for success. */
static int final_status(const struct nlmsghdr *hdr)
{
	int status = 0;

	if (hdr->nlmsg_len >= NLMSG_LENGTH(sizeof(status)))
		memcpy(&status, NLMSG_DATA(hdr), sizeof(status));
	return status;
}

/* Send @req and hand each message of the answer to @fn, up to the final one. */
static int transact(int sk, const struct request *req, answer_fn fn, void *arg)
{
	union {
		struct nlmsghdr hdr;
		char bytes[ANSWER_LEN];
	} answer;
	const struct nlmsghdr *hdr;
	ssize_t left;

	if (send(sk, req, req->hdr.nlmsg_len, 0) < 0)
		return -errno;
	for (;;) {
		left = receive(sk, answer.bytes, sizeof(answer.bytes));
		if (left < 0)
			return left;
		for (hdr = &answer.hdr; NLMSG_OK(hdr, left); hdr = NLMSG_NEXT(hdr, left)) {
			if (hdr->nlmsg_type == NLMSG_DONE || hdr->nlmsg_type == NLMSG_ERROR)
				return final_status(hdr);
			fn((struct attr_walk){ NLMSG_DATA(hdr), NLMSG_PAYLOAD(hdr, 0) }, arg);
		}
	}
}

int nldev_open(void)
{
	/* The kernel answers at once. The limit makes an error of an answer that got lost. */
	const struct timeval limit = { .tv_sec = 5 };
	int sk = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_RDMA);
	int err;

	if (sk < 0)
		return -errno;
	if (setsockopt(sk, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit))) {
		err = -errno;
		close(sk);
		return err;
	}
	return sk;
}

/* The devices. */

struct device_walk {
	nldev_device_fn fn;
	void *arg;
};

static void read_device(struct attr_walk attrs, void *arg)
{
	const struct nlattr *attr, *index = NULL;
	const struct device_walk *walk = arg;
	const char *name = NULL;

	while ((attr = attr_next(&attrs))) {
		if (attr_type(attr) == RDMA_NLDEV_ATTR_DEV_INDEX)
			index = attr;
		else if (attr_type(attr) == RDMA_NLDEV_ATTR_DEV_NAME)
			name = attr_string(attr);
	}
	if (index && name)
		walk->fn(attr_uint(index), name, walk->arg);
}

int nldev_devices(int sk, nldev_device_fn fn, void *arg)
{
	struct device_walk walk = { fn, arg };
	struct request req;

	request_init(&req, RDMA_NLDEV_CMD_GET, NLM_F_DUMP);
	return transact(sk, &req, read_device, &walk);
}

/* The driver of a device. */

/* RDMA_DRIVER_IONIC, which the header of older kernels lacks. */
#define DRIVER_IONIC	21
#define NR_DRIVERS	(DRIVER_IONIC + 1)

static const char *const driver_names[NR_DRIVERS] = {
	[RDMA_DRIVER_MLX5]		= "mlx5",
	[RDMA_DRIVER_MLX4]		= "mlx4",
	[RDMA_DRIVER_CXGB3]		= "cxgb3",
	[RDMA_DRIVER_CXGB4]		= "cxgb4",
	[RDMA_DRIVER_MTHCA]		= "mthca",
	[RDMA_DRIVER_BNXT_RE]		= "bnxt_re",
	[RDMA_DRIVER_OCRDMA]		= "ocrdma",
	[RDMA_DRIVER_NES]		= "nes",
	[RDMA_DRIVER_IRDMA]		= "irdma",
	[RDMA_DRIVER_VMW_PVRDMA]	= "vmw_pvrdma",
	[RDMA_DRIVER_QEDR]		= "qedr",
	[RDMA_DRIVER_HNS]		= "hns",
	[RDMA_DRIVER_USNIC]		= "usnic",
	[RDMA_DRIVER_RXE]		= "rxe",
	[RDMA_DRIVER_HFI1]		= "hfi1",
	[RDMA_DRIVER_QIB]		= "qib",
	[RDMA_DRIVER_EFA]		= "efa",
	[RDMA_DRIVER_SIW]		= "siw",
	[RDMA_DRIVER_ERDMA]		= "erdma",
	[RDMA_DRIVER_MANA]		= "mana",
	[DRIVER_IONIC]			= "ionic",
};

struct driver_id {
	bool known;
	uint64_t id;
};

static void read_driver_id(struct attr_walk attrs, void *arg)
{
	struct driver_id *driver = arg;
	const struct nlattr *attr;

	while ((attr = attr_next(&attrs))) {
		if (attr_type(attr) == RDMA_NLDEV_ATTR_UVERBS_DRIVER_ID) {
			driver->known = true;
			driver->id = attr_uint(attr);
		}
	}
}

int nldev_driver(int sk, uint32_t device, char *name, size_t len)
{
	static const char type[] = "uverbs";
	struct driver_id driver = { 0 };
	struct request req;
	int err;

	request_init(&req, RDMA_NLDEV_CMD_GET_CHARDEV, NLM_F_ACK);
	request_put(&req, RDMA_NLDEV_ATTR_DEV_INDEX, &device, sizeof(device));
	request_put(&req, RDMA_NLDEV_ATTR_CHARDEV_TYPE, type, sizeof(type));
	err = transact(sk, &req, read_driver_id, &driver);
	if (err)
		return err;
	if (!driver.known)
		return -ENOENT;
	if (driver.id < NR_DRIVERS && driver_names[driver.id])
		snprintf(name, len, "%s", driver_names[driver.id]);
	else
		snprintf(name, len, "id %llu", (unsigned long long)driver.id);
	return 0;
}

/* The MRs of a device. */

struct mr_walk {
	nldev_mr_fn fn;
	void *arg;
};

static void set_fact(struct mr_facts *facts, const char *name, uint64_t value)
{
	for (int i = 0; i < MR_NR_FACTS; i++) {
		if (!strcmp(name, fact_names[i])) {
			facts->known[i] = true;
			facts->value[i] = value;
		}
	}
}

/* Names and values take turns. A value may be a string, too, but none of our facts is one. */
static void read_driver_facts(struct mr_facts *facts, struct attr_walk pairs)
{
	const struct nlattr *attr;
	const char *name = NULL;

	while ((attr = attr_next(&pairs))) {
		switch (attr_type(attr)) {
		case RDMA_NLDEV_ATTR_DRIVER_STRING:
			name = name ? NULL : attr_string(attr);
			break;
		case RDMA_NLDEV_ATTR_DRIVER_S32:
		case RDMA_NLDEV_ATTR_DRIVER_U32:
		case RDMA_NLDEV_ATTR_DRIVER_S64:
		case RDMA_NLDEV_ATTR_DRIVER_U64:
			if (name)
				set_fact(facts, name, attr_uint(attr));
			name = NULL;
			break;
		}
	}
}

static void read_mr_entry(const struct mr_walk *walk, struct attr_walk entry)
{
	struct nldev_mr mr = { 0 };
	const struct nlattr *attr;

	while ((attr = attr_next(&entry))) {
		switch (attr_type(attr)) {
		case RDMA_NLDEV_ATTR_RES_LKEY:
			mr.lkey_known = true;
			mr.lkey = attr_uint(attr);
			break;
		case RDMA_NLDEV_ATTR_RES_MRN:
			mr.number = attr_uint(attr);
			break;
		case RDMA_NLDEV_ATTR_RES_MRLEN:
			mr.length = attr_uint(attr);
			break;
		case RDMA_NLDEV_ATTR_RES_PID:
			mr.pid = attr_uint(attr);
			break;
		case RDMA_NLDEV_ATTR_RES_KERN_NAME:
			mr.kernel_name = attr_string(attr);
			break;
		case RDMA_NLDEV_ATTR_DRIVER:
			read_driver_facts(&mr.facts, attr_nested(attr));
			break;
		}
	}
	walk->fn(&mr, walk->arg);
}

static void read_mr_message(struct attr_walk attrs, void *arg)
{
	const struct nlattr *table, *entry;
	struct attr_walk entries;

	while ((table = attr_next(&attrs))) {
		if (attr_type(table) != RDMA_NLDEV_ATTR_RES_MR)
			continue;
		entries = attr_nested(table);
		while ((entry = attr_next(&entries)))
			if (attr_type(entry) == RDMA_NLDEV_ATTR_RES_MR_ENTRY)
				read_mr_entry(arg, attr_nested(entry));
	}
}

int nldev_mrs(int sk, uint32_t device, nldev_mr_fn fn, void *arg)
{
	struct mr_walk walk = { fn, arg };
	const uint8_t details = 1;
	struct request req;

	request_init(&req, RDMA_NLDEV_CMD_RES_MR_GET, NLM_F_DUMP);
	request_put(&req, RDMA_NLDEV_ATTR_DEV_INDEX, &device, sizeof(device));
	request_put(&req, RDMA_NLDEV_ATTR_DRIVER_DETAILS, &details, sizeof(details));
	return transact(sk, &req, read_mr_message, &walk);
}

/* One of them. */

struct mr_search {
	uint32_t lkey;
	uint64_t length;
	uint32_t pid;
	bool found;
	struct mr_facts *facts;
};

static void search_mr(const struct nldev_mr *mr, void *arg)
{
	struct mr_search *search = arg;

	if (mr->lkey_known ? mr->lkey != search->lkey :
	    mr->length != search->length || mr->pid != search->pid)
		return;
	search->found = true;
	*search->facts = mr->facts;
}

int nldev_mr_facts(int sk, uint32_t device, uint32_t lkey, uint64_t length, struct mr_facts *facts)
{
	struct mr_search search = {
		.lkey = lkey, .length = length, .pid = getpid(), .facts = facts,
	};
	int err;

	memset(facts, 0, sizeof(*facts));
	err = nldev_mrs(sk, device, search_mr, &search);
	if (err)
		return err;
	return search.found ? 0 : -ENOENT;
}
