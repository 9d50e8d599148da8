// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * bad_input: registrations that must fail, or that look as if they should.
 *
 * Each case prints its result, "# result CASE: ERRNO" ("ok" if it registered). The suite runs the
 * program under stock rxe and under ours in one boot and demands the same lines. Besides, each case
 * says which results are allowed. Nothing may stay pinned, which the runner checks, and a good
 * registration must work afterwards.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "rdma.h"

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL	102
#endif

/* The first address that no process can have (with four levels of page tables). */
#define TASK_END	((1UL << 47) - SZ_4K)

#define RW		(PROT_READ | PROT_WRITE)
#define ANON		(MAP_PRIVATE | MAP_ANONYMOUS)
#define PAGES		16

static const char *file_dir;	/* where to make a file on ext4 */

/* --- the outcomes of a case --------------------------------------------------------------- */

/* The outcomes that are allowed: 0 (it registers) or an errno. A single one is there twice. */
struct may {
	int one, other;
};

static bool may_be(struct may may, int err)
{
	return err == may.one || err == may.other;
}

/*
 * Make one attempt. Returns 0 or the errno. Releases the region at once, so that nothing stays
 * behind.
 */
static int attempt_iova(struct ibv_pd *pd, void *addr, size_t len, uint64_t iova, int access)
{
	struct ibv_mr *mr;
	int err;

	errno = 0;
	mr = ibv_reg_mr_iova(pd, addr, len, iova, access);
	if (!mr)
		return errno ?: ENODATA;	/* it failed, but has set no errno */
	err = ibv_dereg_mr(mr);
	if (err)
		fail("ibv_dereg_mr: %s", errno_name(err));
	return err;
}

static int attempt(void *addr, size_t len, int access)
{
	return attempt_iova(dev.pd, addr, len, (uintptr_t)addr, access);
}

/* A good registration must work. */
static int good_one(void)
{
	static char page[2 * SZ_4K] __attribute__((aligned(SZ_4K)));
	int err = attempt(page + 11, SZ_4K, ACCESS_ALL);

	return err ? fail("afterwards a good registration fails: %s", errno_name(err)) : PASSED;
}

static int outcome(const char *name, int err, struct may may)
{
	diag("result %s: %s", name, errno_name(err));
	if (!may_be(may, err)) {
		fail("%s", errno_name(err));
		fail("expected %s", errno_name(may.one));
		if (may.other != may.one)
			fail("or %s", errno_name(may.other));
		return FAILED;
	}
	return good_one();
}

/* Repeat the attempt so often that a leak of one page each time would show. */
enum { TIMES = 64 };

static int same_again(void *addr, size_t len, int access, int expect)
{
	struct pins before = pins_read(), after;
	int i, err;

	for (i = 0; i < TIMES; i++) {
		err = attempt(addr, len, access);
		if (err != expect)
			return fail("attempt %d: %s, the first was %s", i, errno_name(err),
				    expect ? "refused otherwise" : "accepted");
	}
	after = pins_read();
	if (before.machine != after.machine || before.vmpin_kb != after.vmpin_kb)
		return fail("%d attempts leave %+ld pins, VmPin %+ld kB", TIMES,
			    after.machine - before.machine, after.vmpin_kb - before.vmpin_kb);
	return PASSED;
}

static int try(const char *name, void *addr, size_t len, int access, struct may may)
{
	int err = attempt(addr, len, access);

	return outcome(name, err, may) ?: same_again(addr, len, access, err);
}

/* --- memory for the cases ----------------------------------------------------------------- */

static char *get_pages(size_t pages, int prot, int flags, int fd)
{
	char *p = mmap(NULL, pages * SZ_4K, prot, flags, fd, 0);

	if (p == MAP_FAILED) {
		fail("mmap: %m");
		return NULL;
	}
	return p;
}

static char *get_rw(void)
{
	char *p = get_pages(PAGES, RW, ANON, -1);

	if (p)
		memset(p, 1, PAGES * SZ_4K);
	return p;
}

/* --- lengths and addresses ---------------------------------------------------------------- */

struct plain_case {
	const char *name;
	uint64_t addr;		/* if "relative", an offset in good memory of PAGES pages */
	bool relative;
	uint64_t len;
	int access;
	struct may may;
};

#define RELATIVE	true
#define ABSOLUTE	false
#define WRITABLE	IBV_ACCESS_LOCAL_WRITE
#define READABLE	IBV_ACCESS_REMOTE_READ

static const struct plain_case plain_cases[] = {
	{ "zero-length", 0, RELATIVE, 0, WRITABLE, { EINVAL, EINVAL } },
	/* The kernel counts pages, not bytes. That is odd, but it has always done so. */
	{ "zero-length-odd", 5, RELATIVE, 0, WRITABLE, { 0, 0 } },
	{ "zero-length-at-null", 0, ABSOLUTE, 0, WRITABLE, { EINVAL, EINVAL } },
	{ "length-overflows", 0, RELATIVE, -4096UL, WRITABLE, { EINVAL, EINVAL } },
	{ "length-overflows-on-rounding", 0, ABSOLUTE, -1UL, WRITABLE, { EINVAL, EINVAL } },
	{ "length-ulong-max", 0, RELATIVE, ULONG_MAX, WRITABLE, { EINVAL, EINVAL } },
	{ "length-2^63", 0, RELATIVE, 1UL << 63, WRITABLE, { EINVAL, EINVAL } },
	{ "length-beyond-uint-max-pages", 0, RELATIVE, 1UL << 44, WRITABLE, { EINVAL, EINVAL } },
	{ "length-uint-max-pages", 0, RELATIVE, (1UL << 44) - SZ_4K, WRITABLE, { EFAULT, EFAULT } },
	{ "address-null", 0, ABSOLUTE, SZ_4K, WRITABLE, { EFAULT, EFAULT } },
	{ "address-null-read-only", 0, ABSOLUTE, SZ_4K, READABLE, { EFAULT, EFAULT } },
	{ "address-kernel", 0xffff888000000000, ABSOLUTE, SZ_4K, WRITABLE, { EFAULT, EFAULT } },
	{ "address-kernel-read-only", 0xffffffff81000000, ABSOLUTE, SZ_4K, READABLE,
	  { EFAULT, EFAULT } },
	{ "address-not-canonical", 1UL << 56, ABSOLUTE, SZ_4K, WRITABLE, { EFAULT, EFAULT } },
	{ "address-last-page", -4096UL, ABSOLUTE, SZ_4K - 1, WRITABLE, { EINVAL, EINVAL } },
	{ "address-crosses-task-end", TASK_END - SZ_4K, ABSOLUTE, 2 * SZ_4K, WRITABLE,
	  { EFAULT, EFAULT } },
	{ "address-at-task-end", TASK_END, ABSOLUTE, SZ_4K, WRITABLE, { EFAULT, EFAULT } },
	{ "good", 100, RELATIVE, 3 * SZ_4K, WRITABLE, { 0, 0 } },

	/* Rights that contradict each other, or that do not exist. */
	{ "remote-write-only", 0, RELATIVE, SZ_4K, IBV_ACCESS_REMOTE_WRITE, { EINVAL, EINVAL } },
	{ "remote-atomic-only", 0, RELATIVE, SZ_4K, IBV_ACCESS_REMOTE_ATOMIC, { EINVAL, EINVAL } },
	{ "bind-only", 0, RELATIVE, SZ_4K, IBV_ACCESS_MW_BIND, { 0, 0 } },
	{ "unknown-right-15", 0, RELATIVE, SZ_4K, WRITABLE | 1 << 15, { EINVAL, EINVAL } },
	{ "unknown-right-19", 0, RELATIVE, SZ_4K, WRITABLE | 1 << 19, { EINVAL, EINVAL } },
	{ "unknown-right-31", 0, RELATIVE, SZ_4K, WRITABLE | INT_MIN, { EINVAL, EINVAL } },
	{ "optional-right", 0, RELATIVE, SZ_4K, WRITABLE | IBV_ACCESS_RELAXED_ORDERING, { 0, 0 } },
	{ "unknown-optional-right", 0, RELATIVE, SZ_4K, WRITABLE | 1 << 25, { 0, 0 } },
	{ "zero-based", 0, RELATIVE, SZ_4K, WRITABLE | IBV_ACCESS_ZERO_BASED,
	  { EOPNOTSUPP, EOPNOTSUPP } },
	{ "huge-pages-promised", 0, RELATIVE, SZ_4K, WRITABLE | IBV_ACCESS_HUGETLB,
	  { EOPNOTSUPP, EOPNOTSUPP } },
	/* The stable kernel refuses on-demand paging; later ones have it. */
	{ "on-demand", 0, RELATIVE, SZ_4K, WRITABLE | IBV_ACCESS_ON_DEMAND, { EOPNOTSUPP, 0 } },
	{ "on-demand-unmapped", 0, ABSOLUTE, SZ_4K, WRITABLE | IBV_ACCESS_ON_DEMAND,
	  { EOPNOTSUPP, 0 } },
	{ "on-demand-zero-length", 0, RELATIVE, 0, WRITABLE | IBV_ACCESS_ON_DEMAND,
	  { EOPNOTSUPP, EINVAL } },
	{ "flush-global", 0, RELATIVE, SZ_4K, WRITABLE | IBV_ACCESS_FLUSH_GLOBAL, { 0, 0 } },
	{ "flush-persistent-on-ram", 0, RELATIVE, 3 * SZ_4K, WRITABLE | IBV_ACCESS_FLUSH_PERSISTENT,
	  { EINVAL, EINVAL } },
};

/* The outcomes that are different on Soft-iWARP. */
static const struct {
	const char *name;
	int err;
} on_siw[] = {
	{ "zero-length-odd", EINVAL },
	{ "zero-based", 0 },
	{ "huge-pages-promised", 0 },
	{ "flush-global", EOPNOTSUPP },
	{ "flush-persistent-on-ram", EOPNOTSUPP },
};

static struct may plain_may(const struct plain_case *c)
{
	size_t i;

	for (i = 0; dev.iwarp && i < ARRAY_SIZE(on_siw); i++)
		if (!strcmp(on_siw[i].name, c->name))
			return (struct may){ on_siw[i].err, on_siw[i].err };
	return c->may;
}

static int test_plain(const void *arg)
{
	const struct plain_case *c = arg;
	char *good;
	int err;

	/* Soft-iWARP may allocate its tables before it checks; see mr_size.c. */
	if (dev.iwarp && c->len >= TIB)
		return lacks("tables for so much memory");
	good = get_rw();
	if (!good)
		return FAILED;
	err = try(c->name, (c->relative ? good : NULL) + c->addr, c->len, c->access, plain_may(c));
	munmap(good, PAGES * SZ_4K);
	return err;
}

/* The I/O address must have the same offset in a page. */
static int test_iova(const void *arg)
{
	char *good = get_rw();
	int err;

	(void)arg;
	if (!good)
		return FAILED;
	err = outcome("iova-other-offset",
		      attempt_iova(dev.pd, good, SZ_4K, (uintptr_t)good + 8, WRITABLE),
		      (struct may){ EINVAL, EINVAL }) ?:
	      outcome("iova-same-offset", attempt_iova(dev.pd, good + 8, SZ_4K, 8, WRITABLE),
		      (struct may){ 0, 0 }) ?:
	      outcome("iova-wraps", attempt_iova(dev.pd, good, 2 * SZ_4K, -SZ_4K, WRITABLE),
		      (struct may){ 0, 0 });
	munmap(good, PAGES * SZ_4K);
	return err;
}

static int test_dmabuf(const void *arg)
{
	int fd = memfd_create("not-a-dmabuf", MFD_CLOEXEC), err;
	const int fds[] = { -1, 9999, fd };
	static const char *const names[] = { "dmabuf-fd-negative", "dmabuf-fd-closed",
					     "dmabuf-fd-of-a-memfd" };
	struct ibv_mr *mr;
	unsigned int i;

	(void)arg;
	if (fd < 0 || ftruncate(fd, SZ_4K))
		return fail("memfd: %m");
	err = PASSED;
	for (i = 0; i < ARRAY_SIZE(fds) && !err; i++) {
		errno = 0;
		mr = ibv_reg_dmabuf_mr(dev.pd, 0, SZ_4K, 0, fds[i], WRITABLE);
		err = mr ? fail("%s: accepted", names[i]) :
			   outcome(names[i], errno, (struct may){ EOPNOTSUPP, EBADF });
	}
	close(fd);
	return err;
}

/* --- mappings that are not all there ------------------------------------------------------ */

enum hole { HOLE_MUNMAP, HOLE_NONE, HOLE_GUARD };

struct hole_case {
	const char *name;
	enum hole hole;
	size_t first, count;	/* of the hole, in pages; in 1/16 of 2 MiB if thp */
	bool thp;		/* in 2 huge pages instead of PAGES small ones */
	int access;
};

static const struct hole_case hole_cases[] = {
	{ "unmapped", HOLE_MUNMAP, 0, PAGES, false, WRITABLE },
	{ "unmapped-read-only", HOLE_MUNMAP, 0, PAGES, false, READABLE },
	{ "unmapped-start", HOLE_MUNMAP, 0, 1, false, WRITABLE },
	{ "unmapped-middle", HOLE_MUNMAP, 7, 1, false, WRITABLE },
	{ "unmapped-end", HOLE_MUNMAP, PAGES - 1, 1, false, WRITABLE },
	{ "unmapped-end-read-only", HOLE_MUNMAP, PAGES - 1, 1, false, READABLE },
	{ "prot-none", HOLE_NONE, 0, PAGES, false, WRITABLE },
	{ "prot-none-read-only", HOLE_NONE, 0, PAGES, false, READABLE },
	{ "prot-none-start", HOLE_NONE, 0, 1, false, WRITABLE },
	{ "prot-none-middle", HOLE_NONE, 7, 2, false, WRITABLE },
	{ "prot-none-end", HOLE_NONE, PAGES - 1, 1, false, READABLE },
	{ "thp-unmapped-middle", HOLE_MUNMAP, 7, 1, true, WRITABLE },
	{ "thp-unmapped-second", HOLE_MUNMAP, 16, 16, true, WRITABLE },
	{ "thp-prot-none-end", HOLE_NONE, 31, 1, true, WRITABLE },
	{ "thp-prot-none", HOLE_NONE, 0, 32, true, READABLE },
	{ "guard-page", HOLE_GUARD, 7, 1, false, WRITABLE },
};

static int test_hole(const void *arg)
{
	const struct hole_case *c = arg;
	size_t unit = c->thp ? SZ_2M / 16 : SZ_4K;
	size_t len = c->thp ? 2 * SZ_2M : PAGES * SZ_4K;
	struct buf buf;
	char *hole;
	int err;

	err = buf_open(&buf, c->thp ? BACKING_THP : BACKING_4K, c->thp ? len : SZ_2M);
	if (err)
		return err;
	hole = buf.addr + c->first * unit;
	switch (c->hole) {
	case HOLE_MUNMAP:
		err = munmap(hole, c->count * unit);
		break;
	case HOLE_NONE:
		err = mprotect(hole, c->count * unit, PROT_NONE);
		break;
	case HOLE_GUARD:
		err = madvise(hole, c->count * unit, MADV_GUARD_INSTALL);
		break;
	}
	if (err && c->hole == HOLE_GUARD && errno == EINVAL)
		err = skip("this kernel has no MADV_GUARD_INSTALL");
	else if (err)
		err = fail("cannot make the hole: %m");
	else
		err = try(c->name, buf.addr + 3, len - 6, c->access,
			  (struct may){ EFAULT, EFAULT });
	buf_close(&buf);
	return err;
}

/* --- memory that may only be read --------------------------------------------------------- */

static int ext4_file(void)
{
	char path[PATH_MAX];
	struct statfs fs;
	int fd;

	snprintf(path, sizeof(path), "%s/phyr-bad-input-XXXXXX", file_dir);
	fd = mkstemp(path);
	if (fd < 0) {
		fail("cannot make a file in %s: %m; see option --dir", file_dir);
		return -1;
	}
	unlink(path);
	if (fstatfs(fd, &fs) || fs.f_type != EXT4_SUPER_MAGIC) {
		fail("%s is not on ext4; name a directory that is with --dir", file_dir);
		close(fd);
		return -1;
	}
	if (ftruncate(fd, PAGES * SZ_4K)) {
		fail("ftruncate: %m");
		close(fd);
		return -1;
	}
	return fd;
}

static int shmem_file(void)
{
	int fd = memfd_create("phyr-bad-input", MFD_CLOEXEC);

	if (fd < 0 || ftruncate(fd, PAGES * SZ_4K)) {
		fail("memfd: %m");
		return -1;
	}
	return fd;
}

struct map_case {
	const char *name;
	int (*open)(void);	/* NULL: anonymous */
	int prot, flags, access;
	struct may may;
};

static const struct map_case map_cases[] = {
	{ "anon-read-only-writable", NULL, PROT_READ, ANON, WRITABLE, { EFAULT, EFAULT } },
	{ "anon-read-only-bind", NULL, PROT_READ, ANON, IBV_ACCESS_MW_BIND, { EFAULT, EFAULT } },
	{ "anon-read-only-readable", NULL, PROT_READ, ANON, READABLE, { 0, 0 } },
	{ "anon-write-only-readable", NULL, PROT_WRITE, ANON, READABLE, { EFAULT, EFAULT } },
	{ "anon-exec-only-readable", NULL, PROT_EXEC, ANON, READABLE, { EFAULT, EFAULT } },
	{ "shmem-read-only-writable", shmem_file, PROT_READ, MAP_SHARED, WRITABLE,
	  { EFAULT, EFAULT } },
	{ "shmem-read-only-readable", shmem_file, PROT_READ, MAP_SHARED, READABLE, { 0, 0 } },
	{ "shmem-shared-writable", shmem_file, RW, MAP_SHARED, WRITABLE, { 0, 0 } },
	{ "file-read-only-writable", ext4_file, PROT_READ, MAP_SHARED, WRITABLE,
	  { EFAULT, EFAULT } },
	{ "file-read-only-readable", ext4_file, PROT_READ, MAP_SHARED, READABLE, { 0, 0 } },
	/* The file system does not see a device's writes, so a longterm pin is refused. */
	{ "file-shared-writable", ext4_file, RW, MAP_SHARED, WRITABLE, { EFAULT, EFAULT } },
	{ "file-shared-readable", ext4_file, RW, MAP_SHARED, READABLE, { 0, 0 } },
	{ "file-private-writable", ext4_file, RW, MAP_PRIVATE, WRITABLE, { 0, 0 } },
	{ "file-private-readable", ext4_file, RW, MAP_PRIVATE, READABLE, { 0, 0 } },
	{ "file-private-read-only-writable", ext4_file, PROT_READ, MAP_PRIVATE, WRITABLE,
	  { EFAULT, EFAULT } },
	{ "file-private-read-only-readable", ext4_file, PROT_READ, MAP_PRIVATE, READABLE,
	  { 0, 0 } },
};

static int test_map(const void *arg)
{
	const struct map_case *c = arg;
	int fd = c->open ? c->open() : -1, err;
	char *p;

	if (c->open && fd < 0)
		return FAILED;
	p = get_pages(PAGES, c->prot, c->flags, fd);
	if (fd >= 0)
		close(fd);
	if (!p)
		return FAILED;
	err = try(c->name, p + 1, PAGES * SZ_4K - 2, c->access, c->may);
	munmap(p, PAGES * SZ_4K);
	return err;
}

/* --- the file ends before the mapping ----------------------------------------------------- */

static int test_truncated(const void *arg)
{
	bool huge = arg;
	size_t page = huge ? SZ_2M : SZ_4K;
	int fd = huge ? hugetlb_memfd(page, 4 * page) : shmem_file(), err;
	char *p;

	if (fd < 0)
		return FAILED;
	p = mmap(NULL, 4 * page, RW, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED) {
		close(fd);
		return fail("mmap: %m");
	}
	memset(p, 1, 4 * page);
	if (ftruncate(fd, 2 * page))
		err = fail("ftruncate: %m");
	else
		err = try(huge ? "hugetlb-truncated-half" : "shmem-truncated-half", p, 4 * page,
			  WRITABLE, (struct may){ EFAULT, EFAULT });
	if (!err && ftruncate(fd, 0))
		err = fail("ftruncate: %m");
	if (!err)
		err = try(huge ? "hugetlb-truncated" : "shmem-truncated", p, 4 * page, WRITABLE,
			  (struct may){ EFAULT, EFAULT });
	if (!err)
		err = try(huge ? "hugetlb-truncated-readable" : "shmem-truncated-readable", p,
			  4 * page, READABLE, (struct may){ EFAULT, EFAULT });
	munmap(p, 4 * page);
	close(fd);
	return err;
}

/* --- memory that cannot be pinned --------------------------------------------------------- */

static int test_secret(const void *arg)
{
	int fd = syscall(SYS_memfd_secret, O_CLOEXEC), err;
	char *p;

	(void)arg;
	if (fd < 0 || ftruncate(fd, PAGES * SZ_4K))
		return fail("memfd_secret: %m; boot with secretmem.enable=1");
	p = get_pages(PAGES, RW, MAP_SHARED, fd);
	close(fd);
	if (!p)
		return FAILED;
	memset(p, 1, PAGES * SZ_4K);
	err = try("secret-memory", p, PAGES * SZ_4K, WRITABLE, (struct may){ EFAULT, EFAULT }) ?:
	      try("secret-memory-readable", p, SZ_4K, READABLE, (struct may){ EFAULT, EFAULT });
	munmap(p, PAGES * SZ_4K);
	return err;
}

/* The registers of a PCI device: the first memory BAR that can be mapped. */
static char *map_bar(char *path, size_t path_len, size_t *len)
{
	static const char pci[] = "/sys/bus/pci/devices";
	DIR *dir = opendir(pci);
	struct dirent *d;
	char *p = MAP_FAILED;
	size_t size;
	int fd, i;

	while (dir && p == MAP_FAILED && (d = readdir(dir))) {
		for (i = 0; i < 6 && p == MAP_FAILED && d->d_name[0] != '.'; i++) {
			snprintf(path, path_len, "%s/%s/resource%d", pci, d->d_name, i);
			fd = open(path, O_RDWR | O_CLOEXEC);
			if (fd < 0)
				continue;
			size = lseek(fd, 0, SEEK_END);
			*len = size > SZ_2M ? SZ_2M : size;
			if (size >= SZ_4K)
				p = mmap(NULL, *len, RW, MAP_SHARED, fd, 0);
			close(fd);
		}
	}
	/* path names the last file that was tried, which is the one that is mapped. */
	if (dir)
		closedir(dir);
	return p == MAP_FAILED ? NULL : p;
}

static int test_io_memory(const void *arg)
{
	char path[PATH_MAX];
	size_t len;
	char *bar = map_bar(path, sizeof(path), &len);
	int err;

	(void)arg;
	if (!bar)
		return fail("no PCI device has a memory BAR that can be mapped: boot with one");
	diag("I/O memory: %s, %zu bytes", path, len);
	err = try("io-memory", bar, len, WRITABLE, (struct may){ EFAULT, EFAULT }) ?:
	      try("io-memory-readable", bar, SZ_4K, READABLE, (struct may){ EFAULT, EFAULT });
	munmap(bar, len);
	return err;
}

/* I/O memory lies behind ordinary memory, which is pinned first and must be unpinned. */
static int test_io_memory_behind(const void *arg)
{
	char path[PATH_MAX];
	size_t len, map_len;
	char *bar = map_bar(path, sizeof(path), &len), *p;
	void *map;
	int err;

	(void)arg;
	if (!bar)
		return fail("no PCI device has a memory BAR that can be mapped: boot with one");
	p = map_reserve(2 * SZ_2M, SZ_2M, &map, &map_len);
	err = map_fixed(p, SZ_2M, RW, ANON, -1, 0);
	if (!err && mremap(bar, SZ_4K, SZ_4K, MREMAP_MAYMOVE | MREMAP_FIXED, p + SZ_2M) !=
	    p + SZ_2M)
		err = fail("mremap of a BAR: %m");
	err = err ?: try("io-memory-behind-ram", p, SZ_2M + SZ_4K, WRITABLE,
			 (struct may){ EFAULT, EFAULT });
	munmap(map, map_len);
	munmap(bar, len);
	return err;
}

/* Memory of the RDMA driver itself: the queues that it shares with this process. */
static int test_queue_memory(const void *arg)
{
	struct ibv_cq *cq = ibv_create_cq(dev.ctx, 255, NULL, NULL, 0);
	char line[512];
	uintptr_t a = 0, b = 0;
	bool found = false;
	FILE *maps;
	int err;

	(void)arg;
	if (!cq)
		return fail("ibv_create_cq: %m");
	maps = fopen("/proc/self/maps", "r");
	while (maps && !found && fgets(line, sizeof(line), maps))
		found = strstr(line, "/dev/infiniband/uverbs") &&
			sscanf(line, "%lx-%lx", &a, &b) == 2;
	if (maps)
		fclose(maps);
	if (found)
		err = try("queue-memory", (void *)a, b - a, WRITABLE, (struct may){ 0, EFAULT });
	else
		err = fail("no mapping of /dev/infiniband/uverbs* in /proc/self/maps");
	if (ibv_destroy_cq(cq))
		err = fail("ibv_destroy_cq: %m");
	return err;
}

/* --- many at once ------------------------------------------------------------------------- */

/* A large registration that fails at its very end must give back everything. */
static int test_late_failure(const void *arg)
{
	enum backing_kind backing = (enum backing_kind)(uintptr_t)arg;
	struct buf buf;
	char name[64];
	int err;

	err = buf_open(&buf, backing, 8 * MIB);
	if (err)
		return err;
	snprintf(name, sizeof(name), "late-failure-%s", backing_name(backing));
	/* The reservation, with PROT_NONE, goes on behind the memory. */
	err = try(name, buf.addr, buf.len + 1, WRITABLE, (struct may){ EFAULT, EFAULT });
	if (!err)
		err = try(name, buf.addr - 1, buf.len, READABLE, (struct may){ EFAULT, EFAULT });
	buf_close(&buf);
	return err;
}

enum { OPT_DIR = 1000 };

static void option(int c, const char *arg)
{
	(void)c;
	file_dir = arg;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "dir", required_argument, NULL, OPT_DIR },
		{},
	};
	static const struct program prog = {
		.about = "Makes registrations that must fail.",
		.subject = &rdma_device,
		.options_help =
			"      --dir DIR      where to make a file on ext4 (default /var/tmp)\n",
		.options = options,
		.option = option,
		.watchdog_s = 120,
	};
	static const enum backing_kind late[] = {
		BACKING_4K, BACKING_FRAG, BACKING_THP, BACKING_THP_PTE, BACKING_HUGE2M_SHARED,
		BACKING_MIXED,
	};
	unsigned int i;

	file_dir = "/var/tmp";
	program_start(&prog, argc, argv);
	for (i = 0; i < ARRAY_SIZE(plain_cases); i++)
		test_add(test_plain, &plain_cases[i], "%s", plain_cases[i].name);
	test_add(test_iova, NULL, "iova");
	test_add(test_dmabuf, NULL, "dmabuf");
	for (i = 0; i < ARRAY_SIZE(hole_cases); i++)
		test_add(test_hole, &hole_cases[i], "%s", hole_cases[i].name);
	for (i = 0; i < ARRAY_SIZE(map_cases); i++)
		test_add(test_map, &map_cases[i], "%s", map_cases[i].name);
	test_add(test_truncated, NULL, "shmem-truncated");
	test_add(test_truncated, "huge", "hugetlb-truncated");
	test_add(test_secret, NULL, "secret-memory");
	test_add(test_io_memory, NULL, "io-memory");
	test_add(test_io_memory_behind, NULL, "io-memory-behind-ram");
	test_add(test_queue_memory, NULL, "queue-memory");
	for (i = 0; i < ARRAY_SIZE(late); i++)
		test_add(test_late_failure, (void *)(uintptr_t)late[i], "late-failure-%s",
			 backing_name(late[i]));
	return test_run();
}
