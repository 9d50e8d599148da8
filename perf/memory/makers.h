/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * What the makers of memory share. backing.h lists their files.
 *
 * A maker is given b->page_size, b->len and address space from b->start on. It maps memory there
 * and faults it in. It returns 0, or -errno after refuse(); after an error, backing.c unmaps
 * everything.
 */
#ifndef PERF_MEMORY_MAKERS_H
#define PERF_MEMORY_MAKERS_H

#include "backing.h"
#include "reason.h"

typedef int (*maker_fn)(struct backing *b, const struct backing_spec *spec,
			const struct reason *why);

/* anon.c */
int find_thp_size(size_t *size, const struct reason *why);
int make_4k(struct backing *b, const struct backing_spec *spec, const struct reason *why);
int make_malloc(struct backing *b, const struct backing_spec *spec, const struct reason *why);
int make_mthp(struct backing *b, const struct backing_spec *spec, const struct reason *why);
int make_thp(struct backing *b, const struct backing_spec *spec, const struct reason *why);
int make_thp_pte(struct backing *b, const struct backing_spec *spec, const struct reason *why);

/* hugetlb.c */
int check_hugetlb_size(size_t size, const struct reason *why);
int make_hugetlb(struct backing *b, const struct backing_spec *spec, const struct reason *why);
int make_hugetlb_shared(struct backing *b, const struct backing_spec *spec,
			const struct reason *why);

/* file.c */
int make_file_private(struct backing *b, const struct backing_spec *spec,
		      const struct reason *why);
int make_file_shared(struct backing *b, const struct backing_spec *spec, const struct reason *why);
int make_frag(struct backing *b, const struct backing_spec *spec, const struct reason *why);
int make_tmpfs_private(struct backing *b, const struct backing_spec *spec,
		       const struct reason *why);
int make_tmpfs_shared(struct backing *b, const struct backing_spec *spec,
		      const struct reason *why);

/* forked.c: a child process that shares all our memory until end_sharer() ends it. */
int start_sharer(struct backing *b, const struct reason *why);
void end_sharer(struct backing *b);

/* mmap() at exactly this address. Returns 0, or -errno after refuse(). */
int map_here(char *start, size_t len, int prot, int flags, int fd, off_t off,
	     const struct reason *why);

#endif
