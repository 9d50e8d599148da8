/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * What libphyr.so.1, which programs link with, calls in the provider, libphyr-rdmavN.so.
 *
 * The two may be packaged apart, so one may be of a later release than the other. New operations go
 * to the end. The version changes only if an operation changes or is removed; then both libraries
 * must be new.
 */
#ifndef PHYR_PLUGIN_H
#define PHYR_PLUGIN_H

#include <infiniband/phyrdv.h>

#define PHYR_PLUGIN_VERSION	1
#define PHYR_PLUGIN_OPS		"phyr_plugin_ops"	/* the symbol by which it is found */

struct phyr_plugin_ops {
	uint32_t version;	/* PHYR_PLUGIN_VERSION */
	uint32_t size;		/* of this structure in the provider's release */
	bool (*is_supported)(struct ibv_device *device);
	int (*query_device)(struct ibv_context *context, struct phyrdv_device_attr *attr,
			    uint32_t inlen);
	int (*query_mr)(struct ibv_mr *mr, struct phyrdv_mr_attr *attr, uint32_t inlen);
	int (*mr_extents)(struct ibv_mr *mr, uint64_t start, struct phyrdv_extent *extents,
			  uint32_t max_extents, uint32_t *nr_extents);
	struct ibv_mr *(*reg_mr)(struct ibv_pd *pd, void *addr, size_t length, uint64_t iova,
				 int access, const struct phyrdv_reg_mr_attr *attr, uint32_t inlen);
};

/* The provider has this symbol. */
extern const struct phyr_plugin_ops phyr_plugin_ops;

#endif
