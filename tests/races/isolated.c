// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * isolated: pages of a file are pinned while another thread has isolated one of them and needs the
 * mmap_lock.
 *
 * The pages are in ZONE_MOVABLE. GUP moves them before it pins them, and tries until it succeeds.
 * The other thread is in move_pages(). It takes the mmap_lock again for the next page of its list.
 * That part of the list is memory that userfaultfd keeps missing, so we decide when.
 *
 * Meanwhile the process maps memory, so it wants the mmap_lock for writing. If pinning held the
 * lock while GUP tries, none of the three threads would go on.
 *
 * Pages of a file that are new come from other zones, so none of them is moved.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/mempolicy.h>
#include <linux/userfaultfd.h>

#include "../kernel/phyr_test.h"
#include "knob.h"
#include "memory.h"
#include "test.h"

#define SIZE_64K (64 * KIB)
/* Seconds until a test must have ended. */
#define PATIENCE_S 20
/* Time for another thread to get to where it waits. */
#define A_WHILE_US 300000

struct isolated_case {
	const char *name;
	size_t folio;		/* size of the file's folios */
	size_t len;
	size_t isolated;	/* which page */
};

static const struct isolated_case cases[] = {
	{ "the first folio", SIZE_64K, SZ_2M, 0 },
	{ "the second folio", SIZE_64K, SZ_2M, SIZE_64K },
	{ "a later folio", SIZE_64K, SZ_2M, 20 * SIZE_64K },
	{ "a base page", SZ_4K, SZ_2M, 300 * SZ_4K },
	{ "a huge page", SZ_2M, 8 * SZ_2M, 5 * SZ_2M },
};

static const struct isolated_case new_pages[] = {
	{ .name = "64 KiB", .folio = SIZE_64K, .len = 2 * SZ_2M },
	{ .name = "2 MiB", .folio = SZ_2M, .len = 8 * SZ_2M },
};

struct scene {
	const struct isolated_case *c;
	char *addr;		/* the file, mapped for reading only */
	void **list;		/* move_pages()'s list of two pages; the second is missing */
	int node[2], status[2];
	int device, uffd;
	int pin_errno;
	atomic_bool pinned;	/* or refused */
};

static struct knob shmem_2m, shmem_64k;

static char *map_file(int fd, size_t len, int prot)
{
	size_t map_len;
	void *map;
	char *addr = map_reserve(len, SZ_2M, &map, &map_len);

	return map_fixed(addr, len, prot, MAP_SHARED, fd, 0) ? NULL : addr;
}

/* The folios are made through another mapping. So all entries of this one permit reading only. */
static int open_file(struct scene *s)
{
	int fd = memfd_create("isolated", MFD_CLOEXEC);
	size_t len = s->c->len;
	char *writable;

	if (fd < 0 || ftruncate(fd, len))
		return fail("no memfd of %zu bytes: %m", len);
	writable = map_file(fd, len, PROT_READ | PROT_WRITE);
	s->addr = map_file(fd, len, PROT_READ);
	if (!writable || !s->addr)
		return FAILED;
	if (madvise(writable, len, MADV_HUGEPAGE))
		return fail("MADV_HUGEPAGE: %m");
	memset(writable, 1, len);
	munmap(writable, len);
	if (madvise(s->addr, len, MADV_POPULATE_READ))
		return fail("MADV_POPULATE_READ: %m");
	close(fd);
	return PASSED;
}

/* The first entry is the last of a page that is present. */
static int open_list(struct scene *s)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg = { .mode = UFFDIO_REGISTER_MODE_MISSING };
	char *addr = mmap(NULL, 2 * SZ_4K, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			  -1, 0);

	if (addr == MAP_FAILED)
		return fail("mmap: %m");
	s->list = (void **)(addr + SZ_4K) - 1;
	s->list[0] = s->addr + s->c->isolated;
	reg.range = (struct uffdio_range){ (uintptr_t)addr + SZ_4K, SZ_4K };
	s->uffd = syscall(SYS_userfaultfd, O_CLOEXEC);
	if (s->uffd < 0 || ioctl(s->uffd, UFFDIO_API, &api) ||
	    ioctl(s->uffd, UFFDIO_REGISTER, &reg))
		return fail("userfaultfd: %m");
	return PASSED;
}

/* Let move_pages() go on. */
static int complete_list(struct scene *s)
{
	static char page[SZ_4K] __attribute__((aligned(SZ_4K)));
	struct uffdio_copy copy = {
		.dst = (uintptr_t)(s->list + 1),
		.src = (uintptr_t)page,
		.len = SZ_4K,
	};

	*(void **)page = s->list[0];
	return ioctl(s->uffd, UFFDIO_COPY, &copy) ? fail("UFFDIO_COPY: %m") : PASSED;
}

static void *move_run(void *arg)
{
	struct scene *s = arg;

	return (void *)syscall(SYS_move_pages, 0, 2L, s->list, s->node, s->status, MPOL_MF_MOVE);
}

static void *pin_run(void *arg)
{
	struct scene *s = arg;
	struct phyr_test_pin pin = { .start = (uintptr_t)s->addr, .len = s->c->len };

	s->pin_errno = ioctl(s->device, PHYR_TEST_PIN, &pin) ? errno : 0;
	atomic_store(&s->pinned, true);
	return NULL;
}

static int play(struct scene *s)
{
	pthread_t mover, pinner;
	void *moved, *map;
	bool waits;

	if (pthread_create(&mover, NULL, move_run, s))
		die("pthread_create: %m");
	usleep(A_WHILE_US);
	if (pthread_create(&pinner, NULL, pin_run, s))
		die("pthread_create: %m");
	usleep(A_WHILE_US);
	waits = !atomic_load(&s->pinned);
	/* This needs the mmap_lock for writing, and the next call needs it for reading. */
	map = mmap(NULL, SZ_4K, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (complete_list(s))
		return FAILED;
	pthread_join(mover, &moved);
	pthread_join(pinner, NULL);
	if (map == MAP_FAILED)
		return fail("mmap failed");
	/* It may leave a page where it is: each of GUP's tries has a reference for a moment. */
	if ((long)moved < 0)
		return fail("move_pages returned %ld", (long)moved);
	if (s->pin_errno)
		return fail("pin: %s", errno_name(s->pin_errno));
	return waits ? PASSED : fail("GUP did not wait for the page; boot with movablecore=1G");
}

/*
 * Pages that pinning itself allocates must come from where they can stay. Otherwise they come from
 * ZONE_MOVABLE, which is asked first, and are moved.
 */
static int new_in_child(const void *arg)
{
	struct scene s = { .c = arg };
	int fd = memfd_create("new", MFD_CLOEXEC);
	long moved;

	s.device = open("/dev/phyr_test", O_RDWR | O_CLOEXEC);
	if (s.device < 0)
		die("cannot open /dev/phyr_test: %m");
	if (fd < 0 || ftruncate(fd, s.c->len))
		return fail("no memfd of %zu bytes: %m", s.c->len);
	s.addr = map_file(fd, s.c->len, PROT_READ);
	if (!s.addr || madvise(s.addr, s.c->len, MADV_HUGEPAGE))
		return fail("MADV_HUGEPAGE: %m");
	moved = vmstat_count("pgmigrate_success");
	pin_run(&s);
	moved = vmstat_count("pgmigrate_success") - moved;
	if (s.pin_errno)
		return fail("pin: %s", errno_name(s.pin_errno));
	return moved ? fail("%ld pages were moved", moved) : PASSED;
}

/* Memory, devices and threads go with the process. */
static int in_child(const void *arg)
{
	struct scene s = { .c = arg };
	int node;

	s.device = open("/dev/phyr_test", O_RDWR | O_CLOEXEC);
	if (s.device < 0)
		die("cannot open /dev/phyr_test: %m");
	if (open_file(&s) || open_list(&s))
		return FAILED;
	if (syscall(SYS_get_mempolicy, &node, NULL, 0L, s.list[0], MPOL_F_NODE | MPOL_F_ADDR))
		return fail("get_mempolicy: %m");
	s.node[0] = !node;
	s.node[1] = !node;
	return play(&s);
}

static void allow_folios_of(size_t size)
{
	knob_set(&shmem_2m, size == SZ_2M ? "advise" : "never");
	knob_set(&shmem_64k, size == SIZE_64K ? "advise" : "never");
}

static int test_isolated(const void *arg)
{
	const struct isolated_case *c = arg;

	if (access("/sys/devices/system/node/node1", F_OK))
		return fail("one node only; boot with numa=fake=2");
	allow_folios_of(c->folio);
	return test_in_child_for(in_child, arg, PATIENCE_S);
}

static int test_new(const void *arg)
{
	const struct isolated_case *c = arg;

	allow_folios_of(c->folio);
	return test_in_child_for(new_in_child, arg, PATIENCE_S);
}

int main(int argc, char **argv)
{
	static const struct program program = {
		.about = "Pinning while somebody has isolated a page and needs the mmap_lock.",
		.watchdog_s = 120,
	};
	const struct isolated_case *c;

	program_start(&program, argc, argv);
	knob_open(&shmem_2m, "/sys/kernel/mm/transparent_hugepage/shmem_enabled");
	knob_open(&shmem_64k, "/sys/kernel/mm/transparent_hugepage/hugepages-64kB/shmem_enabled");
	for (c = cases; c < cases + ARRAY_SIZE(cases); c++)
		test_add(test_isolated, c, "isolated: %s", c->name);
	for (c = new_pages; c < new_pages + ARRAY_SIZE(new_pages); c++)
		test_add(test_new, c, "new pages in folios of %s", c->name);
	return test_run();
}
