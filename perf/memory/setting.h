/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * The kernel's settings for transparent huge pages.
 *
 * Each size has files "enabled", for anonymous memory, and "shmem_enabled", for tmpfs. A page fault
 * takes the largest size that is enabled for a mapping, so we enable a single size for a moment.
 * The settings are those of the whole machine, so we restore them at once.
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

/*
 * Is there this size? Linux has such sizes since 6.8, for tmpfs since 6.11, but not all of them on
 * all machines. 0, or -errno after refuse().
 */
int check_thp_size(size_t page_size, const char *file, const struct reason *why);

/* Write @value to @file of that size, and "never" to @file of all other sizes. */
int enable_thp_only(struct thp_settings *settings, size_t page_size, const char *file,
		    const char *value, const struct reason *why);
void restore_thp(const struct thp_settings *settings);

/* The first number in a small file of the kernel's. */
int read_number(const char *path, size_t *value);

#endif
