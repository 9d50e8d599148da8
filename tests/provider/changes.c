// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Makes good calls, and changes to them; fuzz.h explains the words.
 */
#include <errno.h>
#include <rdma/ib_user_ioctl_verbs.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"

/* --- good calls --------------------------------------------------------------------------- */

/* The arena has the call in its first page, short answers in its second, others at its end. */
#define CALL_AT		((uintptr_t)arena)
#define SHORT_AT	((uintptr_t)arena + SZ_4K + 64)
#define ARENA_END	((uintptr_t)nowhere)

static void add_attr(struct call *call, uint16_t id, uint16_t len, uint64_t data)
{
	if (call->n > MAX_ATTRS)
		return;
	call->bytes.attrs[call->n++] = (struct ib_uverbs_attr){
		.attr_id = id,
		.len = len,
		.flags = UVERBS_ATTR_F_MANDATORY,
		.data = data,
	};
}

/* Make the header say how many attributes there are. */
static void count_attrs(struct call *call)
{
	call->bytes.hdr.num_attrs = call->n;
	call->bytes.hdr.length = sizeof(call->bytes.hdr) + call->n * sizeof(*call->bytes.attrs);
}

static void call_begin(struct call *call, enum method method, uint16_t object, uint16_t id)
{
	memset(call, 0, offsetof(struct call, bytes.attrs));
	call->method = method;
	call->cmd = RDMA_VERBS_IOCTL;
	call->at = CALL_AT;
	call->n = 0;
	call->bytes.hdr.object_id = object;
	call->bytes.hdr.method_id = id;
	call->bytes.hdr.driver_id = RDMA_DRIVER_RXE;
}

void call_extents(struct call *call, const struct region *region, uint64_t start, uint16_t room)
{
	uint16_t len = room * sizeof(struct phyr_ib_extent);

	call_begin(call, MR_EXTENTS, UVERBS_OBJECT_MR, PHYR_IB_METHOD_MR_EXTENTS);
	add_attr(call, PHYR_IB_ATTR_MR_EXTENTS_HANDLE, 0, region->mr->handle);
	add_attr(call, PHYR_IB_ATTR_MR_EXTENTS_START, sizeof(start), start);
	add_attr(call, PHYR_IB_ATTR_MR_EXTENTS_RESP_EXTENTS, len, ARENA_END - len);
	add_attr(call, PHYR_IB_ATTR_MR_EXTENTS_RESP_NR, sizeof(uint32_t), SHORT_AT);
	count_attrs(call);
}

void call_good(struct call *call, enum method method, const struct region *region)
{
	uint16_t len;

	switch (method) {
	case DEVICE_QUERY:
		len = sizeof(struct phyr_ib_device_info);
		call_begin(call, method, UVERBS_OBJECT_DEVICE, PHYR_IB_METHOD_DEVICE_QUERY);
		add_attr(call, PHYR_IB_ATTR_DEVICE_QUERY_RESP, len, ARENA_END - len);
		count_attrs(call);
		break;
	case MR_QUERY:
		len = sizeof(struct phyr_ib_mr_info);
		call_begin(call, method, UVERBS_OBJECT_MR, PHYR_IB_METHOD_MR_QUERY);
		add_attr(call, PHYR_IB_ATTR_MR_QUERY_HANDLE, 0, region->mr->handle);
		add_attr(call, PHYR_IB_ATTR_MR_QUERY_RESP, len, ARENA_END - len);
		count_attrs(call);
		break;
	default:
		call_extents(call, region, 0, 8);
	}
}

/* --- the attributes, whatever the method --------------------------------------------------- */

enum role { REGION, START, ANSWER, NR };

static uint16_t id_of(const struct call *call, enum role role)
{
	static const uint16_t ids[METHODS][4] = {
		[DEVICE_QUERY] = { [ANSWER] = PHYR_IB_ATTR_DEVICE_QUERY_RESP },
		[MR_QUERY] = {
			[REGION] = PHYR_IB_ATTR_MR_QUERY_HANDLE,
			[ANSWER] = PHYR_IB_ATTR_MR_QUERY_RESP,
		},
		[MR_EXTENTS] = {
			[REGION] = PHYR_IB_ATTR_MR_EXTENTS_HANDLE,
			[START] = PHYR_IB_ATTR_MR_EXTENTS_START,
			[ANSWER] = PHYR_IB_ATTR_MR_EXTENTS_RESP_EXTENTS,
			[NR] = PHYR_IB_ATTR_MR_EXTENTS_RESP_NR,
		},
	};

	return ids[call->method][role];
}

/* Find an attribute. If another change has removed it, the last one has to do. */
static struct ib_uverbs_attr *attr_with(struct call *call, enum role role)
{
	unsigned int i;

	for (i = 0; i + 1 < call->n && call->bytes.attrs[i].attr_id != id_of(call, role); i++)
		;
	return &call->bytes.attrs[i];
}

/* --- changes to the header ---------------------------------------------------------------- */

static void add_length(struct call *call, uint64_t value)
{
	call->bytes.hdr.length += value;
}

static void set_length(struct call *call, uint64_t value)
{
	call->bytes.hdr.length = value;
}

static void add_num_attrs(struct call *call, uint64_t value)
{
	call->bytes.hdr.num_attrs += value;
}

static void set_reserved1(struct call *call, uint64_t value)
{
	call->bytes.hdr.reserved1 = value;
}

static void set_reserved2(struct call *call, uint64_t value)
{
	call->bytes.hdr.reserved2 = value;
}

static void set_driver(struct call *call, uint64_t value)
{
	call->bytes.hdr.driver_id = value;
}

static void set_object(struct call *call, uint64_t value)
{
	call->bytes.hdr.object_id = value;
}

static void set_method(struct call *call, uint64_t value)
{
	call->bytes.hdr.method_id = value;
}

static void set_cmd(struct call *call, uint64_t value)
{
	call->cmd = value;
}

static void set_at(struct call *call, uint64_t value)
{
	call->at = value;
}

static void move_into_arena(struct call *call, uint64_t offset)
{
	call->at = (uintptr_t)arena + offset;
}

static void move_to_nowhere(struct call *call, uint64_t offset)
{
	call->at = (uintptr_t)nowhere + offset;
}

static void move_to_read_only(struct call *call, uint64_t offset)
{
	call->at = (uintptr_t)read_only + offset;
}

/* --- changes to the attributes ------------------------------------------------------------ */

static void drop_all(struct call *call, uint64_t value)
{
	(void)value;
	call->n = 0;
	count_attrs(call);
}

static void drop(struct call *call, uint64_t role)
{
	struct ib_uverbs_attr *attr = attr_with(call, role);

	if (!call->n)
		return;
	call->n--;
	memmove(attr, attr + 1, (call->bytes.attrs + call->n - attr) * sizeof(*attr));
	count_attrs(call);
}

static void repeat(struct call *call, uint64_t role)
{
	struct ib_uverbs_attr attr = *attr_with(call, role);

	add_attr(call, attr.attr_id, attr.len, attr.data);
	count_attrs(call);
}

static void reverse(struct call *call, uint64_t value)
{
	unsigned int i;

	(void)value;
	for (i = 0; i < call->n / 2; i++) {
		struct ib_uverbs_attr attr = call->bytes.attrs[i];

		call->bytes.attrs[i] = call->bytes.attrs[call->n - 1 - i];
		call->bytes.attrs[call->n - 1 - i] = attr;
	}
}

static void add_unknown(struct call *call, uint64_t id)
{
	add_attr(call, id, 8, 1);
	count_attrs(call);
}

static void add_optional(struct call *call, uint64_t id)
{
	add_unknown(call, id);
	call->bytes.attrs[call->n - 1].flags &= ~UVERBS_ATTR_F_MANDATORY;
}

static void fill_up(struct call *call, uint64_t n)
{
	while (call->n < n)
		add_optional(call, 0xffff);
}

static void set_attr_reserved(struct call *call, uint64_t role)
{
	attr_with(call, role)->attr_data.reserved = 1;
}

static void set_attr_reserved_high(struct call *call, uint64_t role)
{
	attr_with(call, role)->attr_data.reserved = 0x8000;
}

static void set_all_flags(struct call *call, uint64_t flags)
{
	unsigned int i;

	for (i = 0; i < call->n; i++)
		call->bytes.attrs[i].flags = flags;
}

static void set_region(struct call *call, uint64_t handle)
{
	attr_with(call, REGION)->data = handle;
}

/* The handles are known only at run time, so the value is an offset into struct strangers. */
static void set_stranger(struct call *call, uint64_t offset)
{
	uint32_t handle;

	memcpy(&handle, (char *)&strangers + offset, sizeof(handle));
	set_region(call, handle);
}

static void add_to_region(struct call *call, uint64_t value)
{
	attr_with(call, REGION)->data += value;
}

static void set_region_len(struct call *call, uint64_t len)
{
	attr_with(call, REGION)->len = len;
}

static void set_start(struct call *call, uint64_t start)
{
	attr_with(call, START)->data = start;
}

static void set_start_from_end(struct call *call, uint64_t distance)
{
	const struct region *region = region_of(attr_with(call, REGION)->data);

	set_start(call, region ? region->mr->length + distance : distance);
}

static void set_start_len(struct call *call, uint64_t len)
{
	attr_with(call, START)->len = len;
}

/* Set the answer's length, and move it so that it ends where the arena ends. */
static void set_answer_len(struct call *call, uint64_t len)
{
	struct ib_uverbs_attr *attr = attr_with(call, ANSWER);

	attr->len = len;
	attr->data = ARENA_END - len;
}

static void add_answer_len(struct call *call, uint64_t len)
{
	set_answer_len(call, attr_with(call, ANSWER)->len + len);
}

static void set_answer_at(struct call *call, uint64_t at)
{
	attr_with(call, ANSWER)->data = at;
}

static void add_answer_at(struct call *call, uint64_t offset)
{
	attr_with(call, ANSWER)->data += offset;
}

static void set_answer_read_only(struct call *call, uint64_t value)
{
	set_answer_at(call, (uintptr_t)read_only + value);
}

/* The answer overwrites the call itself. */
static void set_answer_at_call(struct call *call, uint64_t offset)
{
	set_answer_at(call, call->at + offset);
}

static void set_nr_len(struct call *call, uint64_t len)
{
	attr_with(call, NR)->len = len;
}

static void set_nr_at(struct call *call, uint64_t at)
{
	attr_with(call, NR)->data = at;
}

static void set_nr_nowhere(struct call *call, uint64_t offset)
{
	set_nr_at(call, (uintptr_t)nowhere + offset);
}

static void set_nr_read_only(struct call *call, uint64_t offset)
{
	set_nr_at(call, (uintptr_t)read_only + offset);
}

static void set_nr_at_answer(struct call *call, uint64_t offset)
{
	set_nr_at(call, attr_with(call, ANSWER)->data + offset);
}

#define BIT(n)		(1U << (n))
#define ALL		(BIT(DEVICE_QUERY) | BIT(MR_QUERY) | BIT(MR_EXTENTS))
#define STRUCTS		(BIT(DEVICE_QUERY) | BIT(MR_QUERY))
#define OF_MR		(BIT(MR_QUERY) | BIT(MR_EXTENTS))
#define EXTENTS		BIT(MR_EXTENTS)

#define NOT_SUPPORTED	EPROTONOSUPPORT
#define KERNEL		0xffff888000000000	/* where all memory is mapped */
#define KERNEL_CODE	0xffffffff81000000
#define NOT_CANONICAL	0x0100000000000000
#define OBJECT(name)	offsetof(struct strangers, name)

const struct change changes[] = {
	{ "nothing", ALL, 0, NOT_SUPPORTED, add_length, 0 },

	{ "length is one attribute more", ALL, EINVAL, EINVAL, add_length, 16 },
	{ "length is one attribute less", ALL, EINVAL, EINVAL, add_length, -16 },
	{ "length is a byte more", ALL, EINVAL, EINVAL, add_length, 1 },
	{ "length 0", ALL, EINVAL, EINVAL, set_length, 0 },
	{ "length of the header", ALL, EINVAL, EINVAL, set_length, 24 },
	{ "length 65535", ALL, EINVAL, EINVAL, set_length, UINT16_MAX },
	{ "one attribute more is counted", ALL, EINVAL, EINVAL, add_num_attrs, 1 },
	{ "one attribute less is counted", ALL, EINVAL, EINVAL, add_num_attrs, -1 },
	/* The 16 bits of the length would be the same. */
	{ "4096 attributes more are counted", ALL, EINVAL, EINVAL, add_num_attrs, 4096 },
	{ "reserved1", ALL, NOT_SUPPORTED, NOT_SUPPORTED, set_reserved1, 1 },
	{ "reserved1, high", ALL, NOT_SUPPORTED, NOT_SUPPORTED, set_reserved1, 1ULL << 63 },
	{ "reserved2", ALL, NOT_SUPPORTED, NOT_SUPPORTED, set_reserved2, 1 },
	{ "driver unknown", ALL, EINVAL, EINVAL, set_driver, RDMA_DRIVER_UNKNOWN },
	{ "another driver", ALL, EINVAL, EINVAL, set_driver, RDMA_DRIVER_EFA },
	{ "driver 0xffffffff", ALL, EINVAL, EINVAL, set_driver, UINT32_MAX },
	{ "object PD", ALL, NOT_SUPPORTED, NOT_SUPPORTED, set_object, UVERBS_OBJECT_PD },
	{ "object of the driver's", ALL, NOT_SUPPORTED, NOT_SUPPORTED, set_object, 0x1000 },
	{ "object 0xfff", ALL, NOT_SUPPORTED, NOT_SUPPORTED, set_object, 0xfff },
	{ "object 0xffff", ALL, NOT_SUPPORTED, NOT_SUPPORTED, set_object, UINT16_MAX },
	{ "another method of the driver's", ALL, NOT_SUPPORTED, NOT_SUPPORTED, set_method, 0x1000 },
	{ "method after the last", ALL, NOT_SUPPORTED, NOT_SUPPORTED, set_method,
	  PHYR_IB_METHOD_MR_EXTENTS + 1 },
	{ "method 0xfff", ALL, NOT_SUPPORTED, NOT_SUPPORTED, set_method, 0xfff },
	{ "method 0xffff", ALL, NOT_SUPPORTED, NOT_SUPPORTED, set_method, UINT16_MAX },
	{ "ioctl of another size", ALL, ENOTTY, ENOTTY, set_cmd, RDMA_VERBS_IOCTL + (8 << 16) },
	{ "ioctl of another number", ALL, ENOTTY, ENOTTY, set_cmd, RDMA_VERBS_IOCTL + 1 },
	{ "ioctl 0", ALL, ENOTTY, ENOTTY, set_cmd, 0 },

	{ "call at NULL", ALL, EFAULT, EFAULT, set_at, 0 },
	{ "call in the kernel", ALL, EFAULT, EFAULT, set_at, KERNEL },
	{ "call not canonical", ALL, EFAULT, EFAULT, set_at, NOT_CANONICAL },
	{ "call not mapped", ALL, EFAULT, EFAULT, move_to_nowhere, 0 },
	{ "header half mapped", ALL, EFAULT, EFAULT, move_to_nowhere, -8 },
	{ "attributes not mapped", ALL, EFAULT, NOT_SUPPORTED, move_to_nowhere, -24 },
	{ "attributes half mapped", ALL, EFAULT, NOT_SUPPORTED, move_to_nowhere, -28 },
	{ "call cannot be written", ALL, EFAULT, NOT_SUPPORTED, move_to_read_only, 0 },
	{ "call at an odd address", ALL, 0, NOT_SUPPORTED, move_into_arena, 1 },

	{ "no attributes", ALL, EINVAL, NOT_SUPPORTED, drop_all, 0 },
	{ "no handle", OF_MR, EINVAL, NOT_SUPPORTED, drop, REGION },
	{ "no start", EXTENTS, EINVAL, NOT_SUPPORTED, drop, START },
	{ "no answer", ALL, EINVAL, NOT_SUPPORTED, drop, ANSWER },
	{ "no number", EXTENTS, EINVAL, NOT_SUPPORTED, drop, NR },
	{ "two handles", OF_MR, EINVAL, NOT_SUPPORTED, repeat, REGION },
	{ "two starts", EXTENTS, EINVAL, NOT_SUPPORTED, repeat, START },
	{ "two answers", ALL, EINVAL, NOT_SUPPORTED, repeat, ANSWER },
	{ "two numbers", EXTENTS, EINVAL, NOT_SUPPORTED, repeat, NR },
	{ "order reversed", ALL, 0, NOT_SUPPORTED, reverse, 0 },
	{ "unknown attribute 0", ALL, NOT_SUPPORTED, NOT_SUPPORTED, add_unknown, 0 },
	{ "unknown attribute 1", ALL, NOT_SUPPORTED, NOT_SUPPORTED, add_unknown, 1 },
	{ "unknown attribute of the driver's", ALL, NOT_SUPPORTED, NOT_SUPPORTED, add_unknown,
	  PHYR_IB_ATTR_MR_EXTENTS_RESP_NR + 1 },
	{ "unknown attribute, the driver's last", ALL, NOT_SUPPORTED, NOT_SUPPORTED, add_unknown,
	  0x101e },
	{ "unknown attribute, behind it", ALL, NOT_SUPPORTED, NOT_SUPPORTED, add_unknown, 0x101f },
	{ "unknown attribute 0xffff", ALL, NOT_SUPPORTED, NOT_SUPPORTED, add_unknown, UINT16_MAX },
	{ "unknown attribute, not mandatory", ALL, 0, NOT_SUPPORTED, add_optional, 0x1010 },
	{ "as many attributes as can be", ALL, 0, NOT_SUPPORTED, fill_up, MAX_ATTRS },
	{ "one attribute more than can be", ALL, EINVAL, EINVAL, fill_up, MAX_ATTRS + 1 },
	{ "flags 0", ALL, 0, NOT_SUPPORTED, set_all_flags, 0 },
	{ "flags 0xffff", ALL, 0, NOT_SUPPORTED, set_all_flags, UINT16_MAX },
	{ "handle's reserved", OF_MR, EINVAL, NOT_SUPPORTED, set_attr_reserved, REGION },
	{ "start's reserved", EXTENTS, EINVAL, NOT_SUPPORTED, set_attr_reserved, START },
	{ "answer's reserved", ALL, EINVAL, NOT_SUPPORTED, set_attr_reserved_high, ANSWER },
	{ "number's reserved", EXTENTS, EINVAL, NOT_SUPPORTED, set_attr_reserved, NR },

	{ "handle's length", OF_MR, EINVAL, NOT_SUPPORTED, set_region_len, 4 },
	{ "handle of a PD", OF_MR, EINVAL, NOT_SUPPORTED, set_stranger, OBJECT(pd) },
	{ "handle of a CQ", OF_MR, EINVAL, NOT_SUPPORTED, set_stranger, OBJECT(cq) },
	{ "handle of a QP", OF_MR, EINVAL, NOT_SUPPORTED, set_stranger, OBJECT(qp) },
	{ "handle of a memory window", OF_MR, EINVAL, NOT_SUPPORTED, set_stranger, OBJECT(mw) },
	{ "handle of a freed MR", OF_MR, ENOENT, NOT_SUPPORTED, set_stranger, OBJECT(freed) },
	{ "handle in another context", OF_MR, ENOENT, NOT_SUPPORTED, set_stranger,
	  OBJECT(elsewhere) },
	{ "handle 0xffffffff", OF_MR, ENOENT, NOT_SUPPORTED, set_region, UINT32_MAX },
	{ "handle and high bits", OF_MR, ENOENT, NOT_SUPPORTED, add_to_region, 1ULL << 32 },
	{ "handle negative", OF_MR, EINVAL, NOT_SUPPORTED, set_region, -1 },
	{ "handle most negative", OF_MR, EINVAL, NOT_SUPPORTED, set_region, 1ULL << 63 },

	{ "start's length 0", EXTENTS, EINVAL, NOT_SUPPORTED, set_start_len, 0 },
	{ "start's length 4", EXTENTS, EINVAL, NOT_SUPPORTED, set_start_len, 4 },
	{ "start's length 16", EXTENTS, EINVAL, NOT_SUPPORTED, set_start_len, 16 },
	{ "start 1", EXTENTS, 0, NOT_SUPPORTED, set_start, 1 },
	{ "start before a page's end", EXTENTS, 0, NOT_SUPPORTED, set_start, SZ_4K - 1 },
	{ "start at a page", EXTENTS, 0, NOT_SUPPORTED, set_start, SZ_4K },
	{ "start at the last byte", EXTENTS, 0, NOT_SUPPORTED, set_start_from_end, -1 },
	{ "start at the end", EXTENTS, 0, NOT_SUPPORTED, set_start_from_end, 0 },
	{ "start behind the end", EXTENTS, EINVAL, NOT_SUPPORTED, set_start_from_end, 1 },
	{ "start 2^32 behind", EXTENTS, EINVAL, NOT_SUPPORTED, set_start_from_end, 1ULL << 32 },
	{ "start 2^63", EXTENTS, EINVAL, NOT_SUPPORTED, set_start, 1ULL << 63 },
	{ "start 2^64 - 1", EXTENTS, EINVAL, NOT_SUPPORTED, set_start, UINT64_MAX },

	{ "answer's length 0", ALL, EINVAL, NOT_SUPPORTED, set_answer_len, 0 },
	{ "answer's length 1", ALL, EINVAL, NOT_SUPPORTED, set_answer_len, 1 },
	{ "answer's length 15", ALL, EINVAL, NOT_SUPPORTED, set_answer_len, 15 },
	{ "answer one byte short", ALL, EINVAL, NOT_SUPPORTED, add_answer_len, -1 },
	{ "answer's last field missing", BIT(MR_QUERY), EINVAL, NOT_SUPPORTED, add_answer_len, -8 },
	{ "answer one byte long", STRUCTS, 0, NOT_SUPPORTED, add_answer_len, 1 },
	{ "answer longer than known", STRUCTS, 0, NOT_SUPPORTED, add_answer_len, 64 },
	{ "answer's length 65535", STRUCTS, 0, NOT_SUPPORTED, set_answer_len, UINT16_MAX },
	{ "room for one", EXTENTS, 0, NOT_SUPPORTED, set_answer_len, 16 },
	{ "room for one and a half", EXTENTS, EINVAL, NOT_SUPPORTED, set_answer_len, 24 },
	{ "room for as many as can be", EXTENTS, 0, NOT_SUPPORTED, set_answer_len,
	  UINT16_MAX / 16 * 16 },
	{ "extents' length 65535", EXTENTS, EINVAL, NOT_SUPPORTED, set_answer_len, UINT16_MAX },
	{ "answer at NULL", ALL, EFAULT, NOT_SUPPORTED, set_answer_at, 0 },
	{ "answer in the kernel", ALL, EFAULT, NOT_SUPPORTED, set_answer_at, KERNEL },
	{ "answer in the kernel's code", ALL, EFAULT, NOT_SUPPORTED, set_answer_at, KERNEL_CODE },
	{ "answer not canonical", ALL, EFAULT, NOT_SUPPORTED, set_answer_at, NOT_CANONICAL },
	{ "answer at the last byte", ALL, EFAULT, NOT_SUPPORTED, set_answer_at, -1 },
	{ "answer cannot be written", ALL, EFAULT, NOT_SUPPORTED, set_answer_read_only, 0 },
	{ "answer's last byte not mapped", ALL, EFAULT, NOT_SUPPORTED, add_answer_at, 1 },
	{ "answer not mapped", ALL, EFAULT, NOT_SUPPORTED, add_answer_at, SZ_4K },
	{ "answer at an odd address", ALL, 0, NOT_SUPPORTED, add_answer_at, -3 },
	{ "answer over the call", ALL, 0, NOT_SUPPORTED, set_answer_at_call, 0 },
	{ "answer over the attributes", ALL, 0, NOT_SUPPORTED, set_answer_at_call, 28 },

	{ "number's length 0", EXTENTS, EINVAL, NOT_SUPPORTED, set_nr_len, 0 },
	{ "number's length 3", EXTENTS, EINVAL, NOT_SUPPORTED, set_nr_len, 3 },
	{ "number's length 8", EXTENTS, EINVAL, NOT_SUPPORTED, set_nr_len, 8 },
	{ "number at NULL", EXTENTS, EFAULT, NOT_SUPPORTED, set_nr_at, 0 },
	{ "number in the kernel", EXTENTS, EFAULT, NOT_SUPPORTED, set_nr_at, KERNEL },
	{ "number not mapped", EXTENTS, EFAULT, NOT_SUPPORTED, set_nr_nowhere, 0 },
	{ "number half mapped", EXTENTS, EFAULT, NOT_SUPPORTED, set_nr_nowhere, -2 },
	{ "number cannot be written", EXTENTS, EFAULT, NOT_SUPPORTED, set_nr_read_only, 0 },
	{ "number over the answer", EXTENTS, 0, NOT_SUPPORTED, set_nr_at_answer, 2 },
};

const size_t changes_count = ARRAY_SIZE(changes);

/* --- wild changes ------------------------------------------------------------------------- */

/* A random number or its negative. Small numbers are more frequent. */
static uint64_t any_number(void)
{
	uint64_t number = random_u64() >> (random_u64() % 64);

	return random_u64() % 8 ? number : -number;
}

static struct ib_uverbs_attr *any_attr(struct call *call)
{
	return &call->bytes.attrs[call->n ? random_u64() % call->n : 0];
}

/* A random address. In this process, it is never outside of the arena and the pages behind it. */
static uint64_t any_address(void)
{
	switch (random_u64() % 8) {
	case 0:
		return KERNEL + any_number() % (1ULL << 40);
	case 1:
		return (uintptr_t)read_only + random_u64() % SZ_4K;
	case 2:
		return (uintptr_t)nowhere + random_u64() % SZ_4K;
	case 3:
		return (uintptr_t)nowhere - random_u64() % 256;
	default:
		return (uintptr_t)arena + random_u64() % ARENA_BYTES;
	}
}

void change_wildly(struct call *call)
{
	struct ib_uverbs_attr *attr;

	switch (random_u64() % 10) {
	case 0:
		attr_with(call, REGION)->data = random_u64() % 32;
		break;
	case 1:
		set_start(call, any_number());
		break;
	case 2:
		set_start_from_end(call, -(random_u64() % (64 * SZ_4K)));
		break;
	case 3:
		set_answer_len(call, random_u64() % (UINT16_MAX / 16) * 16);
		break;
	case 4:
		any_attr(call)->len = any_number();
		break;
	case 5:
		/* Only answers and numbers of extents have an address in an attribute. */
		attr = attr_with(call, ANSWER);
		if (call->method == MR_EXTENTS && random_u64() % 2)
			attr = attr_with(call, NR);
		attr->data = any_address();
		break;
	case 6:
		call->at = any_address();
		break;
	case 7:
		/* No ID of a known attribute, whose data may have to be an address. */
		any_attr(call)->attr_id = random_u64() % 2 ? any_number() % 0x1000 :
							     0x1008 + any_number() % 0xe000;
		break;
	case 8:
		any_attr(call)->flags = any_number();
		break;
	default:
		any_attr(call)->attr_data.reserved = any_number();
	}
}
