// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Pages of files.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fault.h"
#include "look.h"
#include "parts.h"

#define RW (PROT_READ | PROT_WRITE)

static int new_memfd(size_t len, const struct reason *why)
{
	int fd = memfd_create("backing", MFD_CLOEXEC), err;

	if (fd >= 0 && !ftruncate(fd, len))
		return fd;
	err = refuse(why, -errno, "cannot make a memfd of %zu MiB: %s", len / MIB, strerror(errno));
	if (fd >= 0)
		close(fd);
	return err;
}

/* Each page of the file on its own, in random order. */
static int map_shuffled(struct backing *b, int fd, const struct reason *why)
{
	size_t pages = b->len / b->page_size, i;
	size_t *order = calloc(pages, sizeof(*order));
	int err = 0;

	if (!order)
		return refuse(why, -ENOMEM, "no memory to shuffle %zu pages", pages);
	shuffle(order, pages);
	for (i = 0; i < pages && !err; i++)
		err = map_here(b->start + i * b->page_size, b->page_size, RW, MAP_SHARED, fd,
			       order[i] * b->page_size, why);
	free(order);
	return err;
}

static int check_scattered(const struct backing *b, const struct reason *why)
{
	size_t pages = b->len / b->page_size;
	struct runs runs;
	int err = look_runs(b->start, b->len, &runs);

	if (err)
		return refuse(why, err, "cannot see where pages are: %s", strerror(-err));
	if (runs.count < pages * 9 / 10)
		return refuse(why, -EIO, "%zu pages are not scattered: there are %zu runs of them",
			      pages, runs.count);
	return 0;
}

int make_frag(struct backing *b, const struct backing_spec *spec, const struct reason *why)
{
	int fd = new_memfd(b->len, why), err;

	(void)spec;
	if (fd < 0)
		return fd;
	/* First in file order, else the order of the faults would be that of the pages. */
	err = map_here(b->start, b->len, RW, MAP_SHARED, fd, 0, why) ?:
	      fault_in(b->start, b->len, why) ?:
	      map_shuffled(b, fd, why) ?:
	      fault_in(b->start, b->len, why) ?:
	      check_scattered(b, why);
	close(fd);
	return err;
}
