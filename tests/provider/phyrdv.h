/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * The parts of the program phyrdv.
 */
#ifndef PHYR_TESTS_PROVIDER_PHYRDV_H
#define PHYR_TESTS_PROVIDER_PHYRDV_H

#include <infiniband/phyrdv.h>

#include "rdma.h"

/* The kernel's driver is stock, so it does not know queries. */
extern bool on_stock;

/* Check that a call returned this errno, or 0. */
int expect(const char *what, int result, int want);
/* Check that a call returned NULL and this errno. If it returned an MR, that is released. */
int refused(const char *what, struct ibv_mr *mr, int want);

/* A list of extents. */
struct extents {
	struct phyrdv_extent *list;
	size_t nr, room;
};

void extents_free(struct extents *extents);
/* The extents of [addr, addr + len), which is present, from /proc/self/pagemap. */
void extents_of_memory(struct extents *extents, const char *addr, size_t len);
/* The extents of an MR from an offset on. Each call asks for so many of them. */
int extents_of_mr(struct extents *extents, struct ibv_mr *mr, uint64_t start, uint32_t at_a_time);
int extents_equal(const struct extents *one, const struct extents *other);
/* Compare the answers of a query, and the extents, with the page map. Stock must not answer. */
int mr_as_memory(struct ibv_mr *mr);

/* Each file adds its tests. */
void add_extents_tests(void);
void add_reg_mr_tests(void);

#endif
