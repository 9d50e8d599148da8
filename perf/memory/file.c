// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Pages of files: of memfds, which are files on the kernel's own tmpfs, and of files on a disk. All
 * kinds but "frag" are mapped for reading only.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fault.h"
#include "look.h"
#include "makers.h"
#include "setting.h"

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

/* Map each page of the file on its own, in random order. */
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
	/*
	 * The first faults go in file order. If they came in the shuffled mapping, adjacent pages
	 * of the region would be contiguous.
	 */
	err = map_here(b->start, b->len, RW, MAP_SHARED, fd, 0, why) ?:
	      fault_in(b->start, b->len, why) ?:
	      map_shuffled(b, fd, why) ?:
	      fault_in(b->start, b->len, why) ?:
	      check_scattered(b, why);
	close(fd);
	return err;
}

/* The pages are in the page cache already. Untouched, they are not mapped yet. */
static int map_to_read(struct backing *b, int fd, int flags, bool untouched,
		       const struct reason *why)
{
	int err = map_here(b->start, b->len, PROT_READ, flags, fd, 0, why);

	if (err || untouched)
		return err;
	return fault_in_to_read(b->start, b->len, why);
}

/* For base pages, all sizes of huge pages are disabled. */
static int make_tmpfs(struct backing *b, int flags, const struct backing_spec *spec,
		      const struct reason *why)
{
	int fd = new_memfd(b->len, why), err;
	struct thp_settings settings;

	if (fd < 0)
		return fd;
	err = enable_thp_only(&settings, b->page_size, "shmem_enabled", "always", why);
	if (!err) {
		err = map_here(b->start, b->len, RW, MAP_SHARED, fd, 0, why) ?:
		      fault_in_all(b, spec->shuffled, why);
		restore_thp(&settings);
	}
	err = err ?: map_to_read(b, fd, flags, spec->untouched, why);
	close(fd);
	return err;
}

int make_tmpfs_shared(struct backing *b, const struct backing_spec *spec, const struct reason *why)
{
	return make_tmpfs(b, MAP_SHARED, spec, why);
}

int make_tmpfs_private(struct backing *b, const struct backing_spec *spec,
		       const struct reason *why)
{
	return make_tmpfs(b, MAP_PRIVATE, spec, why);
}

/* A file without a name. */
static int new_disk_file(const struct reason *why)
{
	const char *directory = getenv("TMPDIR") ?: "/var/tmp";
	int fd = open(directory, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	if (fd < 0)
		return refuse(why, -errno, "cannot make a file in %s: %s", directory,
			      strerror(errno));
	return fd;
}

static int write_pieces(int fd, size_t len, size_t piece, const struct reason *why)
{
	char *bytes = malloc(piece);
	size_t at, n;
	int err = 0;

	if (!bytes)
		return refuse(why, -ENOMEM, "no memory for a piece of a file");
	memset(bytes, 1, piece);
	for (at = 0; at < len && !err; at += n) {
		n = len - at < piece ? len - at : piece;
		if (write(fd, bytes, n) != (ssize_t)n)
			err = refuse(why, -EIO, "cannot write %zu MiB to a file", len / MIB);
	}
	free(bytes);
	return err;
}

/* If the file system has large folios, each write() makes one of its own size in the page cache. */
static int make_file(struct backing *b, size_t folio, int flags, bool untouched,
		     const struct reason *why)
{
	int fd = new_disk_file(why), err;

	if (fd < 0)
		return fd;
	err = write_pieces(fd, b->len, folio, why) ?: map_to_read(b, fd, flags, untouched, why);
	close(fd);
	return err;
}

int make_file_shared(struct backing *b, const struct backing_spec *spec, const struct reason *why)
{
	return make_file(b, 2 * MIB, MAP_SHARED, spec->untouched, why);
}

/*
 * Folios are not larger than 64 KiB: some kernels never finish pinning a private mapping of 2 MiB
 * folios for reading only.
 */
int make_file_private(struct backing *b, const struct backing_spec *spec, const struct reason *why)
{
	return make_file(b, 64 * KIB, MAP_PRIVATE, spec->untouched, why);
}
