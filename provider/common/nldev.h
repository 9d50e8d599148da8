/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * What the kernel says of devices and of memory regions, over RDMA netlink.
 *
 * This is what `rdma dev` and `rdma resource show mr -dd` print. A driver may report numbers of its
 * own for each MR, each under a name. phyr's drivers report the facts below; other drivers may
 * report none of them.
 */
#ifndef PHYR_NLDEV_H
#define PHYR_NLDEV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum mr_fact {
	MR_PHYRS,		/* physically contiguous ranges */
	MR_DMA_ENTRIES,		/* ranges as the device sees them */
	MR_LARGEST,		/* the largest range, in bytes */
	MR_SMALLEST,		/* the smallest range, in bytes */
	MR_METADATA,		/* bytes of kernel memory that describe the MR */
	MR_PINNED_PAGES,	/* base pages pinned */
	MR_NR_FACTS
};

struct mr_facts {
	bool known[MR_NR_FACTS];
	uint64_t value[MR_NR_FACTS];
};

/* The driver's name for a fact, as it is in netlink and in our JSON. */
const char *mr_fact_name(enum mr_fact fact);

/* A socket to RDMA netlink, or -errno. */
int nldev_open(void);

/*
 * Call @fn for each device, or for each MR of a device. The arguments of @fn are valid until it
 * returns. @fn must not use @sk. Returns 0, or -errno, perhaps after some calls of @fn.
 */
typedef void (*nldev_device_fn)(uint32_t device, const char *name, void *arg);
int nldev_devices(int sk, nldev_device_fn fn, void *arg);

struct nldev_mr {
	uint32_t number;		/* among the device's MRs */
	bool lkey_known;		/* the kernel shows keys only with CAP_NET_ADMIN */
	uint32_t lkey;
	uint64_t length;
	uint32_t pid;			/* the thread that registered it; 0: none that we can see */
	const char *kernel_name;	/* the part of the kernel that registered it, or NULL */
	struct mr_facts facts;		/* as many as the driver reports, often none */
};

typedef void (*nldev_mr_fn)(const struct nldev_mr *mr, void *arg);
int nldev_mrs(int sk, uint32_t device, nldev_mr_fn fn, void *arg);

/*
 * Get the name of the driver behind a device, such as "rxe". 0 or -errno; -ENOENT if the kernel
 * does not say.
 */
int nldev_driver(int sk, uint32_t device, char *name, size_t len);

/*
 * Get the facts about this process's MR with @lkey and @length on @device. If the kernel shows no
 * keys, this looks for length and process only, so the process should have one such MR. 0 or
 * -errno;
 * -ENOENT if there is no such MR.
 */
int nldev_mr_facts(int sk, uint32_t device, uint32_t lkey, uint64_t length, struct mr_facts *facts);

#endif
