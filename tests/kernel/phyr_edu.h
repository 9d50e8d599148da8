/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * What phyr_edu.ko offers at /dev/phyr_edu: phyr.ko's DMA lists on a device that
 * really does DMA, QEMU's edu.
 *
 * Only root can open it, as it reports addresses, and lets the device reach any of
 * them. Mappings belong to the open file: closing it unmaps and unpins those that are
 * left. All calls return 0, or -1 with errno. An unknown id is ENOENT, an offset that
 * is not inside the region ERANGE, a wrong argument EINVAL.
 */
#ifndef PHYR_EDU_H
#define PHYR_EDU_H

#include <linux/ioctl.h>
#include <linux/types.h>

/**
 * struct phyr_edu_limits - the limits that the device states
 * @mask_bits: in: bits of a DMA address
 * @max_segment: in: most bytes of an entry
 * @boundary: in: a power of two, less one; no entry crosses a multiple of that power
 *
 * At first, they are 64 bits, UINT_MAX (as RDMA drivers set it) and 4 GiB - 1 (as
 * for each PCI device). They hold for all open files, and stay until they are set
 * again. EIO if so few bits reach no memory of the machine.
 */
struct phyr_edu_limits {
	__u32 mask_bits;
	__u32 max_segment;
	__u64 boundary;
};

/* Mapping operations of the device's own, in place of the kernel's. */
#define PHYR_EDU_OPS_NONE	0	/* the kernel's */
#define PHYR_EDU_OPS_DIRECT	1	/* they can sync, but never bounce */
#define PHYR_EDU_OPS_BOUNCE	2	/* they always bounce */

/**
 * struct phyr_edu_ops - change the device's mapping operations
 * @ops: in: PHYR_EDU_OPS_*
 * @mapped: out: mappings that operations of its own had made, and not undone
 *
 * Like limits, they hold for all open files, and stay until they are set again. The
 * caller should first unmap what they have mapped. EOPNOTSUPP behind an IOMMU, and
 * on kernels where devices cannot have operations of their own.
 */
struct phyr_edu_ops {
	__u32 ops;
	__u32 mapped;
};

/* Which way data goes, as in the kernel's enum dma_data_direction. */
#define PHYR_EDU_BOTH_WAYS	0
#define PHYR_EDU_TO_DEVICE	1
#define PHYR_EDU_FROM_DEVICE	2

/**
 * struct phyr_edu_map - pin a region of the caller's memory and map it for the device
 * @start: in: user address of its first byte
 * @len: in: bytes
 * @writable: in: 1 to pin for writing
 * @dir: in: PHYR_EDU_*
 * @id: out: names the mapping in the other calls
 * @pad: unused
 * @runs: out: number of runs of the memory
 * @ranges: out: number of ranges
 * @entries: out: number of entries
 * @ns: out: time that phyr_dma_map() took
 *
 * The address on the wire is the user's. Fails as phyr_pin_user() and
 * phyr_dma_map() do.
 */
struct phyr_edu_map {
	__u64 start;
	__u64 len;
	__u32 writable;
	__u32 dir;
	__u32 id;
	__u32 pad;
	__u64 runs;
	__u64 ranges;
	__u64 entries;
	__u64 ns;
};

/**
 * struct phyr_edu_unmap - undo a mapping, and the pin
 * @id: in: the mapping
 * @pad: unused
 * @ns: out: time that phyr_dma_unmap() took
 */
struct phyr_edu_unmap {
	__u32 id;
	__u32 pad;
	__u64 ns;
};

/**
 * struct phyr_edu_entry - one entry, as phyr_dma_next_entry() has it
 * @offset: of its first byte in the region
 * @addr: DMA address
 * @len: bytes
 */
struct phyr_edu_entry {
	__u64 offset;
	__u64 addr;
	__u64 len;
};

/**
 * struct phyr_edu_entries - list the entries of a mapping
 * @id: in: the mapping
 * @pad: unused
 * @nr: in: room at @entries; out: how many were written there, all if there is room
 * @entries: in: struct phyr_edu_entry *
 */
struct phyr_edu_entries {
	__u32 id;
	__u32 pad;
	__u64 nr;
	__u64 entries;
};

/**
 * struct phyr_edu_find - look an offset up, with phyr_dma_find()
 * @id: in: the mapping
 * @pad: unused
 * @offset: in: in the region
 * @addr: out: DMA address of that byte
 * @len: out: bytes that follow it at the following addresses
 */
struct phyr_edu_find {
	__u32 id;
	__u32 pad;
	__u64 offset;
	__u64 addr;
	__u64 len;
};

/**
 * struct phyr_edu_blocks - the region in blocks of equal size
 * @id: in: the mapping
 * @pad: unused
 * @sizes: in: sizes to choose from, or-ed
 * @iova: in: address of the region's first byte on the wire
 * @best: out: what phyr_dma_best_block() says; if 0, there are no blocks
 * @count: out: what phyr_dma_nr_blocks() says for that size
 * @nr: in: room at @blocks; out: how many were written there, all if there is room
 * @blocks: in: __u64 *, for the DMA address of each
 */
struct phyr_edu_blocks {
	__u32 id;
	__u32 pad;
	__u64 sizes;
	__u64 iova;
	__u64 best;
	__u64 count;
	__u64 nr;
	__u64 blocks;
};

/**
 * struct phyr_edu_dma - let the device read or write memory
 * @addr: in: DMA address, mapped or not
 * @len: in: bytes, at most 4096
 * @write: in: 1 for the device to write there, 0 for it to read there
 * @data: in: user address of what is written, or of the place for what was read
 *
 * The device does not report failures: after one, a read gives zeros, or what the
 * device has transferred before. A call takes a fifth of a second. Without an IOMMU,
 * the device reaches all of the machine's memory.
 */
struct phyr_edu_dma {
	__u64 addr;
	__u32 len;
	__u32 write;
	__u64 data;
};

#define PHYR_EDU_LIMITS	 _IOW('p', 16, struct phyr_edu_limits)
#define PHYR_EDU_MAP	 _IOWR('p', 17, struct phyr_edu_map)
#define PHYR_EDU_UNMAP	 _IOWR('p', 18, struct phyr_edu_unmap)
#define PHYR_EDU_ENTRIES _IOWR('p', 19, struct phyr_edu_entries)
#define PHYR_EDU_FIND	 _IOWR('p', 20, struct phyr_edu_find)
#define PHYR_EDU_BLOCKS	 _IOWR('p', 21, struct phyr_edu_blocks)
#define PHYR_EDU_DMA	 _IOW('p', 22, struct phyr_edu_dma)
#define PHYR_EDU_OPS	 _IOWR('p', 23, struct phyr_edu_ops)

#endif
