/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * The parts of the program phyrdv.
 */
#ifndef PHYR_TESTS_PROVIDER_PHYRDV_H
#define PHYR_TESTS_PROVIDER_PHYRDV_H

#include <infiniband/phyrdv.h>

#include "rdma.h"

/* The kernel's driver is stock: it has not heard of queries. */
extern bool on_stock;

/* A call returned that errno, or 0. */
int expect(const char *what, int result, int want);
/* A call returned NULL and that errno; if it returned an MR, that is released. */
int refused(const char *what, struct ibv_mr *mr, int want);

/* Extents, wherever they are from. */
struct extents {
	struct phyrdv_extent *list;
	size_t nr, room;
};

void extents_free(struct extents *extents);
/* Of [addr, addr + len), which is present, by /proc/self/pagemap. */
void extents_of_memory(struct extents *extents, const char *addr, size_t len);
/* Of an MR from an offset on, got so many at a time. */
int extents_of_mr(struct extents *extents, struct ibv_mr *mr, uint64_t start, uint32_t at_a_time);
int extents_equal(const struct extents *one, const struct extents *other);
/* All that a query says, and the extents, against the page map. On stock: that it says nothing. */
int mr_as_memory(struct ibv_mr *mr);

/* What each file tests. */
void add_extents_tests(void);
void add_reg_mr_tests(void);

#endif
