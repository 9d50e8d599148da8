/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * fuzz_uverbs calls the methods of rdma/phyr-abi.h as libibverbs never would, and compares the
 * kernel's answer with a model. Its words:
 *
 *  call    an ioctl: a header and attributes
 *  arena   the memory that holds calls, and that answers are written to. It is filled before each
 *          call and compared after it byte by byte, so writes to a wrong place are seen.
 *  change  a change to a good call (changes.c). The tests make each change alone, and each has its
 *          errno. The fuzzer makes several at a time.
 *  model   says for any call which errno the kernel must return, and what it must write (model.c).
 *          It looks at a call in the order in which uverbs does.
 *  region  an MR that calls are about (regions.c). The page tables say which extents it has.
 */
#ifndef PHYR_TESTS_PROVIDER_FUZZ_H
#define PHYR_TESTS_PROVIDER_FUZZ_H

#include <rdma/phyr-abi.h>
#include <rdma/rdma_user_ioctl_cmds.h>

#include "rdma.h"

extern bool stock;	/* the driver is not ours, and does not have the methods */
extern bool unprivileged;	/* this process may not ask for extents */

/* --- calls and the arena: call.c -------------------------------------------------------------- */

enum method { DEVICE_QUERY, MR_QUERY, MR_EXTENTS, METHODS };

enum {
	ARENA_BYTES = 24 * SZ_4K,
	MAX_ATTRS = 254,	/* uverbs takes at most a page, with the header */
};

struct call {
	enum method method;
	unsigned long cmd;
	uint64_t at;		/* the address that the kernel gets */
	struct {
		struct ib_uverbs_ioctl_hdr hdr;
		struct ib_uverbs_attr attrs[MAX_ATTRS + 1];
	} bytes;
	unsigned int n;		/* number of attributes; the header may say another */
};

/* nowhere is a page behind the arena that cannot be touched. read_only, behind it, can be read. */
extern char *arena, *nowhere, *read_only;

void arena_open(void);

/* What the arena must look like after a call. */
struct image {
	char bytes[ARENA_BYTES];
	size_t any_from, any_to;	/* a write failed there, so these bytes may be anything */
};

/* The bytes at @addr, or NULL if not all of them can be read. */
const void *image_read(const struct image *image, uint64_t addr, size_t len);
/* As copy_to_user(), or clear_user() if @src is NULL: false if not all bytes can be written. */
bool image_write(struct image *image, uint64_t addr, const void *src, size_t len);

/* Make the call. It must do what the model says. *err is its errno, or 0. */
int call_try(const struct call *call, int *err);
void call_print(const struct call *call);

/* --- model.c ---------------------------------------------------------------------------------- */

/*
 * The errno that a call must return, or 0. @image is that of the arena before the call, and becomes
 * that of the arena after it.
 */
int model(const struct call *call, struct image *image);

/* --- regions.c -------------------------------------------------------------------------------- */

struct region {
	const char *name;
	struct ibv_mr *mr;
	bool on_demand;			/* it is paged on demand, so it is not made of phyrs */
	struct phyr_ib_extent *extents;
	size_t nr;
	struct phyr_ib_mr_info info;	/* the kernel's first answer */
	uint64_t reg_ns;		/* time that the registration took */
};

enum { MAX_REGIONS = 16 };

extern struct region regions[MAX_REGIONS];
extern size_t regions_count;
extern struct phyr_ib_device_info device_info;	/* the kernel's first answer */

/* Handles that belong to no region. */
struct strangers {
	uint32_t pd, cq, qp, mw;
	uint32_t freed;			/* of an MR that is gone */
	uint32_t elsewhere;		/* of an MR in another context */
};

extern struct strangers strangers;

void regions_open(void);
struct region *region_named(const char *name);
const struct region *region_of(uint64_t handle);
/* Compare the kernel's first answer with the page tables. */
int region_check_info(const struct region *region);
int device_check_info(void);

/* --- changes.c -------------------------------------------------------------------------------- */

/* Make a call that succeeds. One of MR_EXTENTS has room for 8 extents. */
void call_good(struct call *call, enum method method, const struct region *region);
void call_extents(struct call *call, const struct region *region, uint64_t start, uint16_t room);

struct change {
	const char *name;
	unsigned int methods;		/* the methods that it can be made to, as bits */
	int err;			/* the errno of a good call with this change, ... */
	int stock_err;			/* ... and its errno with stock's driver */
	void (*apply)(struct call *call, uint64_t value);
	uint64_t value;
};

extern const struct change changes[];
extern const size_t changes_count;

/* A random change, whose errno only the model knows. */
void change_wildly(struct call *call);

/* --- race.c ----------------------------------------------------------------------------------- */

/* Register, change and deregister regions while other threads ask about them. */
int race(unsigned int seconds);

#endif
