// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * What a process can ask of its own MRs: the methods of rdma/phyr-abi.h.
 *
 * An MR cannot go, or be registered anew, while a method has it: the method holds
 * its handle (UVERBS_ACCESS_READ). A call that destroys or changes the MR meanwhile gets
 * EBUSY, and so does a method that comes during such a call. The removal of a device
 * waits for methods. An MR's memory does not change as long as the MR lives.
 *
 * The numbers of an MR are for every process: "rdma resource" shows them, too. Its extents
 * are not. They name no physical address, but they say which pages are neighbours in
 * physical memory, and an attack by Rowhammer begins with that. The kernel hides the frame
 * numbers of /proc/PID/pagemap from a process without CAP_SYS_ADMIN in the initial user
 * namespace for the same reason, so extents have the same rule. (The number of extents of
 * an MR of two pages still says whether these two are neighbours. That takes a registration
 * for each pair.)
 */
#include <linux/capability.h>
#include <linux/minmax.h>
#include <linux/overflow.h>
#include <linux/sched/signal.h>
#include <rdma/phyr-abi.h>

#include "info.h"
#include "mr.h"
#include "uverbs.h"

#define UVERBS_MODULE_NAME phyr_rxe
#include <rdma/uverbs_named_ioctl.h>

/* The length of an attribute is 16 bits. */
#define MAX_EXTENTS (U16_MAX / sizeof(struct phyr_ib_extent))

static int UVERBS_HANDLER(PHYR_IB_METHOD_DEVICE_QUERY)(struct uverbs_attr_bundle *attrs)
{
	static const struct phyr_ib_device_info info = {
		.caps = PHYR_IB_DEVICE_CAP_MR_QUERY | PHYR_IB_DEVICE_CAP_MR_EXTENTS,
		.max_extents = MAX_EXTENTS,
	};

	return uverbs_copy_to_struct_or_zero(attrs, PHYR_IB_ATTR_DEVICE_QUERY_RESP, &info,
					     sizeof(info));
}

/* The memory of an MR, if it stands on phyrs. */
static struct phyr_umem *umem_of_attr(struct uverbs_attr_bundle *attrs, u16 idx)
{
	struct phyr_umem *phyr_umem = mr_phyr_umem(to_rmr(uverbs_attr_get_obj(attrs, idx)));

	return phyr_umem ?: ERR_PTR(-EOPNOTSUPP);
}

static int UVERBS_HANDLER(PHYR_IB_METHOD_MR_QUERY)(struct uverbs_attr_bundle *attrs)
{
	struct phyr_umem *phyr_umem = umem_of_attr(attrs, PHYR_IB_ATTR_MR_QUERY_HANDLE);
	struct phyr_ib_mr_info info;

	if (IS_ERR(phyr_umem))
		return PTR_ERR(phyr_umem);
	info = phyr_rxe_mr_info(phyr_umem);
	return uverbs_copy_to_struct_or_zero(attrs, PHYR_IB_ATTR_MR_QUERY_RESP, &info,
					     sizeof(info));
}

/*
 * The extents from an offset on, as many as there are or there is room for: how many,
 * or -EINTR. (A run of memory that is stored as small blocks takes a look at each of
 * them, but there are at most twice as many as runs.)
 */
static int list_extents(const struct phyr_array *phyrs, size_t start,
			struct phyr_ib_extent *extents, u32 room)
{
	struct phyr_iter iter = phyr_array_seek(phyrs, start);
	struct phyr run;
	u32 nr = 0;

	while (nr < room && phyr_array_next_run(phyrs, &iter, &run)) {
		extents[nr].offset = iter.offset - run.len;
		extents[nr].length = run.len;
		nr++;
		if (fatal_signal_pending(current))
			return -EINTR;
		cond_resched();
	}
	return nr;
}

static int UVERBS_HANDLER(PHYR_IB_METHOD_MR_EXTENTS)(struct uverbs_attr_bundle *attrs)
{
	struct phyr_umem *phyr_umem = umem_of_attr(attrs, PHYR_IB_ATTR_MR_EXTENTS_HANDLE);
	int room = uverbs_attr_ptr_get_array_size(attrs, PHYR_IB_ATTR_MR_EXTENTS_RESP_EXTENTS,
						  sizeof(struct phyr_ib_extent));
	struct phyr_ib_extent *extents;
	const struct phyr_array *phyrs;
	u64 start;
	int ret;
	u32 nr;

	if (!capable(CAP_SYS_ADMIN))
		return -EPERM;
	if (room < 0)
		return room;
	ret = uverbs_copy_from(&start, attrs, PHYR_IB_ATTR_MR_EXTENTS_START);
	if (ret)
		return ret;
	if (IS_ERR(phyr_umem))
		return PTR_ERR(phyr_umem);
	phyrs = phyr_umem_extents(phyr_umem);
	if (start > phyrs->len)
		return -EINVAL;

	/* (It is freed with the bundle.) */
	room = min_t(unsigned long, room, phyrs->nr);
	extents = uverbs_zalloc(attrs, array_size(room, sizeof(*extents)));
	if (IS_ERR(extents))
		return PTR_ERR(extents);
	ret = list_extents(phyrs, start, extents, room);
	if (ret < 0)
		return ret;
	nr = ret;
	ret = uverbs_copy_to(attrs, PHYR_IB_ATTR_MR_EXTENTS_RESP_EXTENTS, extents,
			     nr * sizeof(*extents));
	if (ret)
		return ret;
	return uverbs_copy_to(attrs, PHYR_IB_ATTR_MR_EXTENTS_RESP_NR, &nr, sizeof(nr));
}

DECLARE_UVERBS_NAMED_METHOD(PHYR_IB_METHOD_DEVICE_QUERY,
			    UVERBS_ATTR_PTR_OUT(PHYR_IB_ATTR_DEVICE_QUERY_RESP,
						UVERBS_ATTR_STRUCT(struct phyr_ib_device_info,
								   reserved),
						UA_MANDATORY));

DECLARE_UVERBS_NAMED_METHOD(PHYR_IB_METHOD_MR_QUERY,
			    UVERBS_ATTR_IDR(PHYR_IB_ATTR_MR_QUERY_HANDLE, UVERBS_OBJECT_MR,
					    UVERBS_ACCESS_READ, UA_MANDATORY),
			    UVERBS_ATTR_PTR_OUT(PHYR_IB_ATTR_MR_QUERY_RESP,
						UVERBS_ATTR_STRUCT(struct phyr_ib_mr_info, pin_ns),
						UA_MANDATORY));

DECLARE_UVERBS_NAMED_METHOD(PHYR_IB_METHOD_MR_EXTENTS,
			    UVERBS_ATTR_IDR(PHYR_IB_ATTR_MR_EXTENTS_HANDLE, UVERBS_OBJECT_MR,
					    UVERBS_ACCESS_READ, UA_MANDATORY),
			    UVERBS_ATTR_PTR_IN(PHYR_IB_ATTR_MR_EXTENTS_START,
					       UVERBS_ATTR_TYPE(u64), UA_MANDATORY),
			    UVERBS_ATTR_PTR_OUT(PHYR_IB_ATTR_MR_EXTENTS_RESP_EXTENTS,
						UVERBS_ATTR_MIN_SIZE(sizeof(struct phyr_ib_extent)),
						UA_MANDATORY),
			    UVERBS_ATTR_PTR_OUT(PHYR_IB_ATTR_MR_EXTENTS_RESP_NR,
						UVERBS_ATTR_TYPE(u32), UA_MANDATORY));

ADD_UVERBS_METHODS(phyr_rxe_device, UVERBS_OBJECT_DEVICE,
		   &UVERBS_METHOD(PHYR_IB_METHOD_DEVICE_QUERY));

ADD_UVERBS_METHODS(phyr_rxe_mr, UVERBS_OBJECT_MR,
		   &UVERBS_METHOD(PHYR_IB_METHOD_MR_QUERY),
		   &UVERBS_METHOD(PHYR_IB_METHOD_MR_EXTENTS));

const struct uapi_definition phyr_rxe_uapi_defs[] = {
	UAPI_DEF_CHAIN_OBJ_TREE(UVERBS_OBJECT_DEVICE, &phyr_rxe_device),
	UAPI_DEF_CHAIN_OBJ_TREE(UVERBS_OBJECT_MR, &phyr_rxe_mr),
	{}
};
