/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * What the kernel says of mapped memory. Functions return -errno if it does not say.
 */
#ifndef PERF_MEMORY_LOOK_H
#define PERF_MEMORY_LOOK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes of a base page. */
size_t look_page_size(void);

/* The PFN of each page, from /proc/self/pagemap; 0 if the page is not present or the PFN hidden. */
int look_pfns(const void *start, size_t pages, uint64_t *pfn);

/* Flags of pages, from /proc/kpageflags; bits as in linux/kernel-page-flags.h. */
int look_flags(const uint64_t *pfn, size_t pages, uint64_t *flags);

/* Physically contiguous runs behind present memory. */
struct runs {
	size_t count;
	size_t largest;		/* bytes */
};

/* -ENODATA if a page is not present, or if the kernel hides its PFN. */
int look_runs(const void *start, size_t len, struct runs *runs);

/* Sum of one field of /proc/self/smaps ("AnonHugePages") over all mappings inside the range. */
long look_smaps_kib(const void *start, size_t len, const char *field);

/* Does the mapping of this address have the flag ("hg") in the line VmFlags of /proc/self/smaps? */
int look_smaps_flag(const void *start, const char *flag);

/* How much of the memory is mapped in whole folios of exactly this size, in percent. */
int look_folio_percent(const void *start, size_t len, size_t folio_size);

#endif
