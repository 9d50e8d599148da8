/* SPDX-License-Identifier: ((GPL-2.0 WITH Linux-syscall-note) OR Linux-OpenIB) */
/*
 * What a Soft-RoCE device of phyr's says of its memory regions: driver-private methods of uverbs'
 * ioctl, on a device and on an MR. Programs use infiniband/phyrdv.h instead.
 *
 * The structures for a device and for an MR can grow at their ends. The kernel fills as much as the
 * caller has room for, and zeroes what it does not know. The caller must have room for the fields
 * of the method's first version. The structure for an extent cannot grow, since an answer has many
 * of them in a row. Larger ones would need a method of their own.
 *
 * Errors:
 *
 *  EPROTONOSUPPORT  the driver does not have the method, as the kernel's own Soft-RoCE, or does not
 *                   know an attribute that is not optional
 *  EOPNOTSUPP       the MR is not made of phyrs (on-demand paging)
 *  ENOENT           the handle is none of this context
 *  EINVAL           the handle is that of another kind of object; an attribute is missing, is there
 *                   twice, is too short, is longer than its only length, or is not a whole number
 *                   of extents; or the device has another driver, which has other numbers
 *  EFAULT           a pointer is bad
 *  EPERM            MR_EXTENTS needs CAP_SYS_ADMIN in the initial user namespace, whatever the MR
 *  EBUSY            another thread is destroying the MR or registering it anew
 *  EIO              the device has gone
 *  EINTR            the process is being killed
 *
 * MR_EXTENTS shows which pages are contiguous in physical memory. The kernel hides this as it hides
 * the frame numbers in /proc/PID/pagemap. All other methods are for every process.
 *
 * While a method uses an MR, nobody can destroy the MR or register it anew. So ibv_dereg_mr() fails
 * with EBUSY in one thread if another thread queries the MR at that moment.
 *
 * An MR of no bytes has no extents, though a page is pinned for it.
 */
#ifndef PHYR_ABI_H
#define PHYR_ABI_H

#include <linux/types.h>
#include <rdma/ib_user_ioctl_cmds.h>

/*
 * A driver has 8 method numbers for each object. Only we use those of Soft-RoCE. We use the last
 * ones, since the kernel's own driver would begin with the first if it came to need some.
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
 * @caps: PHYR_IB_DEVICE_CAP_*: methods that MRs of this device have. The caller may lack the right
 *	to use one.
 * @max_extents: the most extents that one call of PHYR_IB_METHOD_MR_EXTENTS returns
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
 * @phyrs: number of extents, that is, of physically contiguous ranges that no neighbour continues
 * @dma_entries: number of ranges in which the device finds the memory
 * @largest: length of the largest extent, in bytes
 * @smallest: length of the smallest extent, in bytes
 * @block_size: size in bytes, a power of 2, of the equal blocks that describe the memory; 0 if
 *	extents describe it, or if it is a single extent. In the process's address space, each
 *	block begins at a multiple of this size, and each extent but the first begins with a block.
 *	A block may be larger than the MR. The size says nothing about alignment in physical memory.
 * @metadata: bytes of kernel memory that describe the memory
 * @pinned_pages: base pages pinned, and charged to RLIMIT_MEMLOCK
 * @pin_ns: nanoseconds spent on pinning the memory and describing it
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
 * START is a __u64, an offset into the MR. RESP_EXTENTS is room for an array of struct
 * phyr_ib_extent. RESP_NR is a __u32 that says how many the kernel has written. The first extent
 * begins at START, even if START is within an extent. Each other extent begins where the one before
 * it ends. The last extent ends where the MR ends. If START is the end of the MR, NR is 0. If START
 * is behind the end, the call fails with EINVAL.
 */
enum phyr_ib_mr_extents_attrs {
	PHYR_IB_ATTR_MR_EXTENTS_HANDLE = (1U << UVERBS_ID_NS_SHIFT),
	PHYR_IB_ATTR_MR_EXTENTS_START,
	PHYR_IB_ATTR_MR_EXTENTS_RESP_EXTENTS,
	PHYR_IB_ATTR_MR_EXTENTS_RESP_NR,
};

/**
 * struct phyr_ib_extent - bytes of an MR that are physically contiguous
 * @offset: offset of the first byte into the MR
 * @length: number of bytes
 */
struct phyr_ib_extent {
	__aligned_u64 offset;
	__aligned_u64 length;
};

#endif
