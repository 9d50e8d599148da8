/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * What phyr_test.ko offers at /dev/phyr_test: phyr.ko's pins without RDMA.
 *
 * Only root can open it, as it reports physical addresses. Pins belong to the open
 * file: closing it undoes those that are left. All calls return 0, or -1 with errno;
 * those that pin fail as phyr_pin_user() does. An unknown id is ENOENT, a range that
 * is not inside the region ERANGE.
 */
#ifndef PHYR_TEST_H
#define PHYR_TEST_H

#include <linux/ioctl.h>
#include <linux/types.h>

/**
 * struct phyr_test_pin - pin a region of the caller's memory
 * @start: in: user address of its first byte
 * @len: in: bytes
 * @writable: in: 1 to pin for writing
 * @id: out: names the pin in the other calls
 * @runs: out: number of runs
 * @largest: out: longest run in bytes
 * @smallest: out: shortest run in bytes
 * @table_bytes: out: kernel memory of the array's tables
 * @ns: out: time that phyr_pin_user() took
 */
struct phyr_test_pin {
	__u64 start;
	__u64 len;
	__u32 writable;
	__u32 id;
	__u64 runs;
	__u64 largest;
	__u64 smallest;
	__u64 table_bytes;
	__u64 ns;
};

/**
 * struct phyr_test_unpin - undo a pin
 * @id: in: the pin
 * @dirty: in: 1 if the memory may have been written to
 * @ns: out: time that phyr_unpin_user() took
 */
struct phyr_test_unpin {
	__u32 id;
	__u32 dirty;
	__u64 ns;
};

/**
 * struct phyr_test_run - one run, as phyr_array_next_run() has it
 * @offset: of its first byte in the region
 * @addr: physical address
 * @len: bytes
 */
struct phyr_test_run {
	__u64 offset;
	__u64 addr;
	__u64 len;
};

/**
 * struct phyr_test_runs - list the runs of a pin
 * @id: in: the pin
 * @pad: unused
 * @nr: in: room at @runs; out: how many were written there, all if there is room
 * @runs: in: struct phyr_test_run *
 */
struct phyr_test_runs {
	__u32 id;
	__u32 pad;
	__u64 nr;
	__u64 runs;
};

/**
 * struct phyr_test_copy - copy through the kernel's linear map of the pinned pages
 * @id: in: the pin
 * @to_region: in: 1 to write to the region, 0 to read from it
 * @offset: in: in the region
 * @len: in: bytes
 * @data: in: user address of the other side
 *
 * phyr_array_find() finds each page, so this tests look-ups, too. Writing through a
 * pin that is not writable is EACCES.
 */
struct phyr_test_copy {
	__u32 id;
	__u32 to_region;
	__u64 offset;
	__u64 len;
	__u64 data;
};

/**
 * struct phyr_test_folio - the folio behind a byte of the region
 * @id: in: the pin
 * @order: out: log2 of its pages
 * @offset: in: of the byte in the region
 * @pfn: out: first page of the folio
 * @pins: out: pins on it; of a folio of one page, an estimate from its references
 * @refs: out: references to it
 * @anon: out: 1 if it is anonymous
 * @pad: unused
 */
struct phyr_test_folio {
	__u32 id;
	__u32 order;
	__u64 offset;
	__u64 pfn;
	__u64 pins;
	__u64 refs;
	__u32 anon;
	__u32 pad;
};

/**
 * struct phyr_test_gup - measure GUP itself, as a yardstick
 * @start: in: user address of the first page, if @addresses is 0
 * @addresses: in: 0, or a user array of @nr addresses
 * @nr: in: pages
 * @writable: in: 1 to pin for writing
 * @batch: in: pages that each call of pin_user_pages_fast() asks for; 1 with @addresses;
 *	at most 512
 * @pin_ns: out: time for the calls of pin_user_pages_fast(), and nothing else
 * @unpin_ns: out: time for unpinning, with one call of unpin_user_pages() a batch
 *
 * Pins and unpins the pages. Pins with FOLL_LONGTERM, as phyr_pin_user() does.
 */
struct phyr_test_gup {
	__u64 start;
	__u64 addresses;
	__u64 nr;
	__u32 writable;
	__u32 batch;
	__u64 pin_ns;
	__u64 unpin_ns;
};

/* States of a struct phyr_test_hold. */
enum {
	PHYR_TEST_HOLD_WANTED,	/* the caller wants the lock */
	PHYR_TEST_HOLD_TAKEN,	/* it is held */
	PHYR_TEST_HOLD_OVER,	/* another thread wants it to be released */
};

/**
 * struct phyr_test_hold - hold the caller's mmap_lock for writing
 * @state: PHYR_TEST_HOLD_WANTED at first; both sides write to it then
 *
 * Returns when another thread writes PHYR_TEST_HOLD_OVER; with ETIMEDOUT after ten
 * seconds.
 */
struct phyr_test_hold {
	__u32 state;
};

#define PHYR_TEST_PIN	_IOWR('p', 1, struct phyr_test_pin)
#define PHYR_TEST_UNPIN	_IOWR('p', 2, struct phyr_test_unpin)
#define PHYR_TEST_RUNS	_IOWR('p', 3, struct phyr_test_runs)
#define PHYR_TEST_COPY	_IOW('p', 4, struct phyr_test_copy)
#define PHYR_TEST_FOLIO	_IOWR('p', 5, struct phyr_test_folio)
#define PHYR_TEST_GUP	_IOWR('p', 6, struct phyr_test_gup)
#define PHYR_TEST_HOLD	_IOWR('p', 7, struct phyr_test_hold)

#endif
