/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * What phyr_umem_test.ko offers at /dev/phyr_umem_test: it calls the kernel's ib_umem
 * as an RDMA driver does, so that results with and without the livepatch can be
 * compared.
 *
 * Only root can open it, as it reports physical addresses. Umems belong to the open
 * file: closing it releases those that are left. All calls return 0, or -1 with
 * errno; those that get a umem fail as the kernel's function does. An unknown id is
 * ENOENT, a device that is not there ENODEV.
 */
#ifndef PHYR_UMEM_TEST_H
#define PHYR_UMEM_TEST_H

#include <linux/ioctl.h>
#include <linux/types.h>

/**
 * struct phyr_umem_test_get - get a umem
 * @addr: in: user address of its first byte
 * @len: in: bytes
 * @access: in: IB_ACCESS_* flags
 * @netdev: in: index of the network device whose RDMA device it is for, or 0
 * @pci: in: vendor << 16 | device of a PCI device that it is for, if @netdev is 0.
 *	The call sets its DMA mask and segment size, so nobody else should use it. It
 *	must stay while there are umems for it
 * @max_segment: in: the most bytes that this PCI device takes in one piece
 * @dma_bits: in: bits of its DMA addresses, 0 for 64
 * @pad: unused
 * @descriptor: in: 1 to pass a buffer descriptor made of the next three (EOPNOTSUPP on
 *	kernels that have none), 0 to pass an address, as most drivers do
 * @desc_type: in: IB_UVERBS_BUFFER_TYPE_*
 * @desc_flags: in: flags of the descriptor
 * @desc_fd: in: file descriptor, of a dma-buf
 * @id: out: names the umem in the other calls
 * @entries: out: sgt.orig_nents, entries of the scatterlist
 * @dma_entries: out: sgt.nents, those of them that the DMA side needs
 * @total_entries: out: total_nents, entries allocated
 * @appended: out: 1 if the list was made by appending pages, as the kernel's own function does
 * @writable: out: as in struct ib_umem
 * @dmabuf: out: 1 if it is one of a dma-buf
 * @owned: out: 1 if it belongs to the caller's memory
 * @address: out: as in struct ib_umem
 * @length: out: as in struct ib_umem
 * @iova: out: as in struct ib_umem
 * @dma_attrs: out: as in struct ib_umem; 0 where that has none
 * @ns: out: time that the kernel's function took
 */
struct phyr_umem_test_get {
	__u64 addr;
	__u64 len;
	__u32 access;
	__u32 netdev;
	__u32 pci;
	__u32 max_segment;
	__u32 dma_bits;
	__u32 pad;
	__u32 descriptor;
	__u32 desc_type;
	__u32 desc_flags;
	__s32 desc_fd;
	__u32 id;
	__u32 entries;
	__u32 dma_entries;
	__u32 total_entries;
	__u32 appended;
	__u32 writable;
	__u32 dmabuf;
	__u32 owned;
	__u64 address;
	__u64 length;
	__u64 iova;
	__u64 dma_attrs;
	__u64 ns;
};

/**
 * struct phyr_umem_test_release - release a umem
 * @id: in: the umem
 * @mapped: out: how many of two DMA addresses, its first and its last, an IOMMU still
 *	translates afterwards
 * @ns: out: time that ib_umem_release() took
 */
struct phyr_umem_test_release {
	__u32 id;
	__u32 mapped;
	__u64 ns;
};

/**
 * struct phyr_umem_test_entry - an entry of the scatterlist
 * @pfn: of its first page
 * @offset: in this page
 * @length: bytes
 * @dma_address: of this entry of the DMA side
 * @dma_length: bytes there; 0 behind the end of the DMA side
 */
struct phyr_umem_test_entry {
	__u64 pfn;
	__u32 offset;
	__u32 length;
	__u64 dma_address;
	__u64 dma_length;
};

/**
 * struct phyr_umem_test_entries - list the scatterlist, up to its end marker
 * @id: in: the umem
 * @nr: in: room at @entries; out: entries that there are
 * @entries: in: struct phyr_umem_test_entry *
 */
struct phyr_umem_test_entries {
	__u32 id;
	__u32 nr;
	__u64 entries;
};

/**
 * struct phyr_umem_test_best - ib_umem_find_best_pgsz(), which sets the umem's iova to @virt
 * @id: in: the umem
 * @pad: unused
 * @sizes: in: bitmap of page sizes
 * @virt: in: IOVA of the first byte
 * @best: out: what it returns
 */
struct phyr_umem_test_best {
	__u32 id;
	__u32 pad;
	__u64 sizes;
	__u64 virt;
	__u64 best;
};

/**
 * struct phyr_umem_test_block - a block for the device
 * @dma: its DMA address
 * @phys: the physical address to which the IOMMU translates it
 */
struct phyr_umem_test_block {
	__u64 dma;
	__u64 phys;
};

/**
 * struct phyr_umem_test_blocks - list what rdma_umem_for_each_dma_block() finds
 * @id: in: the umem
 * @pad: unused
 * @size: in: of a block, 4 KiB or what ib_umem_find_best_pgsz() allows
 * @num: out: ib_umem_num_dma_blocks()
 * @nr: in: room at @blocks, 0 to get @num only; out: blocks written there
 * @blocks: in: struct phyr_umem_test_block *
 */
struct phyr_umem_test_blocks {
	__u32 id;
	__u32 pad;
	__u64 size;
	__u64 num;
	__u64 nr;
	__u64 blocks;
};

/**
 * struct phyr_umem_test_copy - ib_umem_copy_from()
 * @id: in: the umem
 * @pad: unused
 * @offset: in: as its argument
 * @len: in: as its argument; no more than 1 MiB, unless it is out of range
 * @data: in: user address to copy to
 */
struct phyr_umem_test_copy {
	__u32 id;
	__u32 pad;
	__u64 offset;
	__u64 len;
	__u64 data;
};

#define PHYR_UMEM_TEST_GET	_IOWR('u', 1, struct phyr_umem_test_get)
#define PHYR_UMEM_TEST_RELEASE	_IOWR('u', 2, struct phyr_umem_test_release)
#define PHYR_UMEM_TEST_ENTRIES	_IOWR('u', 3, struct phyr_umem_test_entries)
#define PHYR_UMEM_TEST_BEST	_IOWR('u', 4, struct phyr_umem_test_best)
#define PHYR_UMEM_TEST_BLOCKS	_IOWR('u', 5, struct phyr_umem_test_blocks)
#define PHYR_UMEM_TEST_COPY	_IOW('u', 6, struct phyr_umem_test_copy)

#endif
