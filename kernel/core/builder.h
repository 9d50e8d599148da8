/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * A phyr builder collects the runs of a region while it is being pinned, when
 * nobody can know yet how many there will be. It grows by chunks of one page
 * and never moves what it has. Runs come out in the order they went in, so
 * that the array can be filled while the chunks are given back, and so that a
 * pinner that fails can take back what it has pinned.
 */
#ifndef PHYR_BUILDER_H
#define PHYR_BUILDER_H

#include <phyr/phyr.h>

struct phyr_chunk;

/**
 * struct phyr_builder - runs of a region that is not complete yet
 * @start: user address of the region
 * @len: bytes so far
 * @nr: runs so far, with @last
 * @largest: longest run of those in the chunks
 * @smallest: shortest run of those in the chunks
 * @boundaries: the user addresses at which a run begins, but for @start, or-ed
 * @last: the run that still grows; empty before the first
 * @head: first chunk
 * @tail: the chunk that has room
 * @taken: runs already taken from @head
 */
struct phyr_builder {
	unsigned long start;
	size_t len;
	unsigned long nr;
	size_t largest;
	size_t smallest;
	unsigned long boundaries;
	struct phyr last;
	struct phyr_chunk *head;
	struct phyr_chunk *tail;
	unsigned int taken;
};

void phyr_builder_init(struct phyr_builder *builder, unsigned long start);
int phyr_builder_add(struct phyr_builder *builder, phys_addr_t addr, size_t len);
bool phyr_builder_take(struct phyr_builder *builder, struct phyr *run);
int phyr_builder_finish(struct phyr_builder *builder, struct phyr_array *array);

#endif
