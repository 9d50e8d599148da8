/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
#ifndef PHYR_SGTABLE_H
#define PHYR_SGTABLE_H

#include <linux/scatterlist.h>
#include <phyr/phyr.h>

struct phyr_builder;

int phyr_builder_finish_sg(struct phyr_builder *builder, struct sg_append_table *table,
			   size_t bytes, size_t max_segment);
int phyr_array_to_sg(const struct phyr_array *array, size_t bytes, struct sg_append_table *table,
		     size_t max_segment, u64 boundary);

#endif
