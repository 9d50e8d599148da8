/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * fuzz_uverbs calls the methods of rdma/phyr-abi.h as libibverbs never would, and knows what must
 * come of it.
 *
 *  call    an ioctl: a header and attributes
 *  arena   the memory that calls are in and answers are written to. It is filled before each call
 *          and compared after it, byte by byte: what was not to be written was not.
 *  change  something done to a good call (changes.c). The tests make each alone, and each has its
 *          errno; the fuzzer makes several at a time.
 *  model   tells of any call which errno the kernel must return, and what it must have written
 *          (model.c). It looks at a call in the order in which uverbs does.
 *  region  an MR that calls are about (regions.c); the page tables say what its extents are
 */
#ifndef PHYR_TESTS_PROVIDER_FUZZ_H
#define PHYR_TESTS_PROVIDER_FUZZ_H

#include <rdma/phyr-abi.h>
#include <rdma/rdma_user_ioctl_cmds.h>

#include "rdma.h"

extern bool stock;	/* the driver is not ours, and has no such methods */
extern bool unprivileged;	/* this process may not ask for extents */

/* --- calls and the arena: call.c -------------------------------------------------------------- */

enum method { DEVICE_QUERY, MR_QUERY, MR_EXTENTS, METHODS };

enum {
	ARENA_BYTES = 24 * SZ_4K,
	MAX_ATTRS = 254,	/* with the header less than a page, which is what uverbs takes */
};

struct call {
	enum method method;
	unsigned long cmd;
	uint64_t at;		/* where the kernel is told that it is */
	struct {
		struct ib_uverbs_ioctl_hdr hdr;
		struct ib_uverbs_attr attrs[MAX_ATTRS + 1];
	} bytes;
	unsigned int n;		/* attributes that are there, whatever the header says */
};

/* Behind the arena is a page that cannot be touched, and behind that one that cannot be written. */
extern char *arena, *nowhere, *read_only;

void arena_open(void);

/* What the arena must look like after a call. */
struct image {
	char bytes[ARENA_BYTES];
	size_t any_from, any_to;	/* the kernel failed while it wrote there */
};

/* The bytes there, or NULL if not all can be read. */
const void *image_read(const struct image *image, uint64_t addr, size_t len);
/* As copy_to_user(), or clear_user() if src is NULL: false if not all can be written. */
bool image_write(struct image *image, uint64_t addr, const void *src, size_t len);

/* Make the call; it must do what the model says. *err is the errno that it came to, or 0. */
int call_try(const struct call *call, int *err);
void call_print(const struct call *call);

/* --- model.c ---------------------------------------------------------------------------------- */

/* The errno of a call, or 0. The image is that of the arena before the call. */
int model(const struct call *call, struct image *image);

/* --- regions.c -------------------------------------------------------------------------------- */

struct region {
	const char *name;
	struct ibv_mr *mr;
	bool on_demand;			/* so it is not made of phyrs */
	struct phyr_ib_extent *extents;
	size_t nr;
	struct phyr_ib_mr_info info;	/* the kernel's first answer */
	uint64_t reg_ns;		/* time that the registration took */
};

enum { MAX_REGIONS = 16 };

extern struct region regions[MAX_REGIONS];
extern size_t regions_count;
extern struct phyr_ib_device_info device_info;	/* the kernel's first answer */

/* Handles that are not a region's. */
struct strangers {
	uint32_t pd, cq, qp, mw;
	uint32_t freed;			/* has been an MR's */
	uint32_t elsewhere;		/* is an MR's, in another context */
};

extern struct strangers strangers;

void regions_open(void);
struct region *region_named(const char *name);
const struct region *region_of(uint64_t handle);
/* What the kernel said first, against the page tables. */
int region_check_info(const struct region *region);
int device_check_info(void);

/* --- changes.c -------------------------------------------------------------------------------- */

/* A call that succeeds; of MR_EXTENTS there is room for 8. */
void call_good(struct call *call, enum method method, const struct region *region);
void call_extents(struct call *call, const struct region *region, uint64_t start, uint16_t room);

struct change {
	const char *name;
	unsigned int methods;		/* those that it can be made to, as bits */
	int err;			/* what a good call comes to by it, ... */
	int stock_err;			/* ... and where the driver is stock's */
	void (*apply)(struct call *call, uint64_t value);
	uint64_t value;
};

extern const struct change changes[];
extern const size_t changes_count;

/* Something at random, that no test could tell the errno of. */
void change_wildly(struct call *call);

/* --- race.c ----------------------------------------------------------------------------------- */

/* Regions that are registered, changed and deregistered while other threads ask about them. */
int race(unsigned int seconds);

#endif
