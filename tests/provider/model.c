// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * What a call must return and write, by the rules of uverbs' ioctl
 * (drivers/infiniband/core/uverbs_ioctl.c) and of the methods. uverbs takes the rules for each
 * method from tables; ours are below.
 *
 * The order of the checks matters: if a call has two mistakes, uverbs reports the one that it finds
 * first. uverbs checks all attributes of a call before it calls the method. So nothing is written
 * if an attribute is wrong.
 */
#include <errno.h>
#include <rdma/ib_user_ioctl_verbs.h>
#include <string.h>

#include "fuzz.h"

enum kind { HANDLE, IN, OUT };

struct attr_rule {
	uint16_t id;
	enum kind kind;
	uint16_t min_len, max_len;
};

enum { MAX_RULES = 4 };

/* A call while the model looks at it, with the index of the attribute for each rule. */
struct asked {
	const struct call *call;
	struct image *image;
	unsigned int n;
	struct ib_uverbs_attr attrs[MAX_ATTRS];
	bool present[MAX_RULES];
	unsigned int index[MAX_RULES];
};

struct method_rule {
	uint16_t object_id, method_id;
	int (*answer)(struct asked *asked);
	unsigned int n;
	struct attr_rule attrs[MAX_RULES];
};

static const struct ib_uverbs_attr *attr_of(const struct asked *asked, unsigned int rule)
{
	return &asked->attrs[asked->index[rule]];
}

/* Write the answer, and then a flag of the attribute that says that there is one. */
static int answer_copy(struct asked *asked, unsigned int rule, const void *src, size_t size)
{
	const struct ib_uverbs_attr *attr = attr_of(asked, rule);
	uint16_t flags = attr->flags | UVERBS_ATTR_F_VALID_OUTPUT;
	uint64_t flags_at = asked->call->at + sizeof(struct ib_uverbs_ioctl_hdr) +
			    asked->index[rule] * sizeof(*attr) +
			    offsetof(struct ib_uverbs_attr, flags);

	if (!image_write(asked->image, attr->data, src, size < attr->len ? size : attr->len) ||
	    !image_write(asked->image, flags_at, &flags, sizeof(flags)))
		return EFAULT;
	return 0;
}

/* The kernel zeroes the end of a structure that is longer than it knows, and does this first. */
static int answer_struct(struct asked *asked, unsigned int rule, const void *src, size_t size)
{
	const struct ib_uverbs_attr *attr = attr_of(asked, rule);

	if (attr->len > size &&
	    !image_write(asked->image, attr->data + size, NULL, attr->len - size))
		return EFAULT;
	return answer_copy(asked, rule, src, size);
}

static int answer_device_query(struct asked *asked)
{
	return answer_struct(asked, 0, &device_info, sizeof(device_info));
}

static int answer_mr_query(struct asked *asked)
{
	const struct region *region = region_of(attr_of(asked, 0)->data);

	if (region->on_demand)
		return EOPNOTSUPP;
	return answer_struct(asked, 1, &region->info, sizeof(region->info));
}

static int answer_mr_extents(struct asked *asked)
{
	const struct region *region = region_of(attr_of(asked, 0)->data);
	uint64_t start = attr_of(asked, 1)->data;
	static struct phyr_ib_extent answer[UINT16_MAX / sizeof(struct phyr_ib_extent)];
	size_t room = attr_of(asked, 2)->len / sizeof(*answer), i;
	uint32_t nr = 0;
	int err;

	if (unprivileged)
		return EPERM;
	if (attr_of(asked, 2)->len % sizeof(*answer))
		return EINVAL;
	if (region->on_demand)
		return EOPNOTSUPP;
	if (start > region->mr->length)
		return EINVAL;
	for (i = 0; i < region->nr && nr < room; i++) {
		struct phyr_ib_extent extent = region->extents[i];

		if (extent.offset + extent.length <= start)
			continue;
		if (extent.offset < start) {
			extent.length -= start - extent.offset;
			extent.offset = start;
		}
		answer[nr++] = extent;
	}
	err = answer_copy(asked, 2, answer, nr * sizeof(*answer));
	return err ?: answer_copy(asked, 3, &nr, sizeof(nr));
}

static const struct method_rule method_rules[METHODS] = {
	[DEVICE_QUERY] = {
		UVERBS_OBJECT_DEVICE, PHYR_IB_METHOD_DEVICE_QUERY, answer_device_query, 1, {
			{ PHYR_IB_ATTR_DEVICE_QUERY_RESP, OUT, sizeof(struct phyr_ib_device_info),
			  UINT16_MAX },
		},
	},
	[MR_QUERY] = {
		UVERBS_OBJECT_MR, PHYR_IB_METHOD_MR_QUERY, answer_mr_query, 2, {
			{ PHYR_IB_ATTR_MR_QUERY_HANDLE, HANDLE, 0, 0 },
			{ PHYR_IB_ATTR_MR_QUERY_RESP, OUT, sizeof(struct phyr_ib_mr_info),
			  UINT16_MAX },
		},
	},
	[MR_EXTENTS] = {
		UVERBS_OBJECT_MR, PHYR_IB_METHOD_MR_EXTENTS, answer_mr_extents, 4, {
			{ PHYR_IB_ATTR_MR_EXTENTS_HANDLE, HANDLE, 0, 0 },
			{ PHYR_IB_ATTR_MR_EXTENTS_START, IN, 8, 8 },
			{ PHYR_IB_ATTR_MR_EXTENTS_RESP_EXTENTS, OUT, sizeof(struct phyr_ib_extent),
			  UINT16_MAX },
			{ PHYR_IB_ATTR_MR_EXTENTS_RESP_NR, OUT, 4, 4 },
		},
	},
};

static const struct method_rule *method_rule_of(const struct ib_uverbs_ioctl_hdr *hdr)
{
	unsigned int i;

	for (i = 0; i < METHODS && !stock; i++)
		if (method_rules[i].object_id == hdr->object_id &&
		    method_rules[i].method_id == hdr->method_id)
			return &method_rules[i];
	return NULL;
}

static int check_handle(uint64_t handle)
{
	if ((int64_t)handle < 0)
		return EINVAL;
	if (region_of(handle))
		return 0;
	/* This is an object, but not an MR. */
	if (handle == strangers.pd || handle == strangers.cq || handle == strangers.qp ||
	    handle == strangers.mw)
		return EINVAL;
	return ENOENT;
}

static int check_attr(struct asked *asked, const struct method_rule *method, unsigned int index)
{
	const struct ib_uverbs_attr *attr = &asked->attrs[index];
	const struct attr_rule *rule;
	unsigned int i;

	for (i = 0; i < method->n && method->attrs[i].id != attr->attr_id; i++)
		;
	if (i == method->n)
		return attr->flags & UVERBS_ATTR_F_MANDATORY ? EPROTONOSUPPORT : 0;
	if (asked->present[i])
		return EINVAL;
	rule = &method->attrs[i];
	if (attr->len < rule->min_len || attr->len > rule->max_len || attr->attr_data.reserved)
		return EINVAL;
	if (rule->kind == HANDLE && check_handle(attr->data))
		return check_handle(attr->data);
	asked->present[i] = true;
	asked->index[i] = index;
	return 0;
}

int model(const struct call *call, struct image *image)
{
	static struct asked asked;
	const struct method_rule *method;
	struct ib_uverbs_ioctl_hdr hdr;
	const void *seen;
	unsigned int i;
	int err;

	if (call->cmd != RDMA_VERBS_IOCTL)
		return ENOTTY;
	seen = image_read(image, call->at, sizeof(hdr));
	if (!seen)
		return EFAULT;
	memcpy(&hdr, seen, sizeof(hdr));
	if (hdr.length > SZ_4K ||
	    hdr.length != sizeof(hdr) + hdr.num_attrs * sizeof(struct ib_uverbs_attr))
		return EINVAL;
	if (hdr.reserved1 || hdr.reserved2)
		return EPROTONOSUPPORT;
	if (hdr.driver_id != RDMA_DRIVER_RXE)
		return EINVAL;
	method = method_rule_of(&hdr);
	if (!method)
		return EPROTONOSUPPORT;

	asked = (struct asked){ .call = call, .image = image, .n = hdr.num_attrs };
	seen = image_read(image, call->at + sizeof(hdr), asked.n * sizeof(*asked.attrs));
	if (!seen)
		return EFAULT;
	memcpy(asked.attrs, seen, asked.n * sizeof(*asked.attrs));
	for (i = 0; i < asked.n; i++) {
		err = check_attr(&asked, method, i);
		if (err)
			return err;
	}
	for (i = 0; i < method->n; i++)
		if (!asked.present[i])
			return EINVAL;
	return method->answer(&asked);
}
