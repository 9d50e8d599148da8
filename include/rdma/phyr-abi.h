/* SPDX-License-Identifier: ((GPL-2.0 WITH Linux-syscall-note) OR Linux-OpenIB) */
/*
 * What a Soft-RoCE device of phyr's says of its memory regions: driver-private methods of uverbs'
 * ioctl, on a device and on an MR. Programs have infiniband/phyrdv.h instead.
 *
 * The structures of device and MR can grow at their ends: the kernel fills what the caller has room
 * for, at least what there was when a method was new, and zeroes what it does not know. That of an
 * extent cannot, as there are many in a row; larger ones would have a method of their own.
 *
 * The kernel's own Soft-RoCE answers EPROTONOSUPPORT, as uverbs does for every method that a driver
 * does not have, and for attributes that it does not know, unless these are optional; other
 * drivers, which have other numbers, EINVAL. An MR that is not made of phyrs (on-demand paging):
 * EOPNOTSUPP. A handle that is nothing in this context: ENOENT; one of another kind of object:
 * EINVAL. A device that has gone: EIO. Attributes that are missing, there twice, too short, longer
 * than what has one length, or not a whole number of extents: EINVAL; pointers to nowhere: EFAULT;
 * and a process that is being killed: EINTR.
 *
 * Extents say which pages are neighbours in physical memory. MR_EXTENTS needs CAP_SYS_ADMIN in the
 * initial user namespace, as the frame numbers of /proc/PID/pagemap do: else EPERM, whatever the
 * MR. All other methods are for every process.
 *
 * While a method has an MR, others can't destroy it or register it anew, and the other way round:
 * EBUSY. So ibv_dereg_mr() fails with that in a thread if another one queries the MR just then.
 *
 * An MR of no bytes has no extents, though a page is pinned for it.
 */
#ifndef PHYR_ABI_H
#define PHYR_ABI_H

#include <linux/types.h>
#include <rdma/ib_user_ioctl_cmds.h>

/*
 * Drivers have 8 numbers of methods for each object. Soft-RoCE's are in use by us alone; if the
 * kernel's own driver needs some one day, it will begin at the lower end.
 */

/* UVERBS_OBJECT_DEVICE */
enum phyr_ib_device_methods {
	PHYR_IB_METHOD_DEVICE_QUERY = (1U << UVERBS_ID_NS_SHIFT) + 7,
};

enum phyr_ib_device_query_attrs {
	PHYR_IB_ATTR_DEVICE_QUERY_RESP = (1U << UVERBS_ID_NS_SHIFT),
};

enum {
	PHYR_IB_DEVICE_CAP_MR_QUERY = 1 << 0,
	PHYR_IB_DEVICE_CAP_MR_EXTENTS = 1 << 1,
};

/**
 * struct phyr_ib_device_info - what PHYR_IB_METHOD_DEVICE_QUERY returns
 * @caps: PHYR_IB_DEVICE_CAP_*: methods that MRs of this device have, whether or not the caller has
 *	the right to each
 * @max_extents: how many extents PHYR_IB_METHOD_MR_EXTENTS returns at most at a time
 * @reserved: 0
 */
struct phyr_ib_device_info {
	__aligned_u64 caps;
	__u32 max_extents;
	__u32 reserved;
};

/* UVERBS_OBJECT_MR */
enum phyr_ib_mr_methods {
	PHYR_IB_METHOD_MR_QUERY = (1U << UVERBS_ID_NS_SHIFT) + 6,
	PHYR_IB_METHOD_MR_EXTENTS,
};

enum phyr_ib_mr_query_attrs {
	PHYR_IB_ATTR_MR_QUERY_HANDLE = (1U << UVERBS_ID_NS_SHIFT),
	PHYR_IB_ATTR_MR_QUERY_RESP,
};

/**
 * struct phyr_ib_mr_info - what PHYR_IB_METHOD_MR_QUERY returns
 * @phyrs: number of extents: physically contiguous ranges, as long as they go on
 * @dma_entries: number of ranges in which the device finds the memory
 * @largest: length of the largest extent, in bytes
 * @smallest: length of the smallest extent, in bytes
 * @block_size: size in bytes, a power of 2, of the equal blocks that the memory is described by;
 *	0 if it is described by extents, or is one. Blocks are counted from a multiple of their size
 *	in the process's address space, where each extent but the first begins with one, and may be
 *	larger than the MR. Of alignment in physical memory this says nothing.
 * @metadata: bytes of kernel memory that describe the memory
 * @pinned_pages: base pages pinned, and charged to RLIMIT_MEMLOCK
 * @pin_ns: nanoseconds it took to pin the memory and to describe it
 */
struct phyr_ib_mr_info {
	__aligned_u64 phyrs;
	__aligned_u64 dma_entries;
	__aligned_u64 largest;
	__aligned_u64 smallest;
	__aligned_u64 block_size;
	__aligned_u64 metadata;
	__aligned_u64 pinned_pages;
	__aligned_u64 pin_ns;
};

/*
 * START: __u64, an offset into the MR. RESP_EXTENTS: room for some struct phyr_ib_extent. RESP_NR:
 * __u32, how many have been written. The first begins at START, be it within an extent; each of
 * the others where the one before ends. None follow the one that ends where the MR does: with
 * START there, NR is 0, and behind, the call fails with EINVAL.
 */
enum phyr_ib_mr_extents_attrs {
	PHYR_IB_ATTR_MR_EXTENTS_HANDLE = (1U << UVERBS_ID_NS_SHIFT),
	PHYR_IB_ATTR_MR_EXTENTS_START,
	PHYR_IB_ATTR_MR_EXTENTS_RESP_EXTENTS,
	PHYR_IB_ATTR_MR_EXTENTS_RESP_NR,
};

/**
 * struct phyr_ib_extent - bytes of an MR that are physically contiguous
 * @offset: offset of the first into the MR
 * @length: how many
 */
struct phyr_ib_extent {
	__aligned_u64 offset;
	__aligned_u64 length;
};

#endif
