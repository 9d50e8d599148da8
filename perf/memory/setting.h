/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * The kernel's settings for transparent huge pages.
 *
 * Each size that there is has files "enabled", for anonymous memory, and "shmem_enabled", for
 * tmpfs. Of the sizes that a page fault finds enabled for a mapping, it takes the largest. So for a
 * moment one alone is enabled. The settings are the whole machine's, and restored at once.
 */
#ifndef PERF_MEMORY_SETTING_H
#define PERF_MEMORY_SETTING_H

#include <stdbool.h>

#include "reason.h"

#define THP_DIR "/sys/kernel/mm/transparent_hugepage"

#define MAX_THP_SIZES 32

struct thp_settings {
	size_t nr;
	struct {
		char path[128];
		char was[16];
	} size[MAX_THP_SIZES];
};

/* Linux has had them since 6.8, for tmpfs since 6.11, not all sizes on all machines. */
int check_thp_size(size_t page_size, const char *file, const struct reason *why);

/* Write @value to @file of that size, "never" to all others'. */
int enable_thp_only(struct thp_settings *settings, size_t page_size, const char *file,
		    const char *value, const struct reason *why);
void restore_thp(const struct thp_settings *settings);

/* The first number in a small file of the kernel's. */
int read_number(const char *path, size_t *value);

#endif
