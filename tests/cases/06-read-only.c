// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * A program registers memory for reading only, without IBV_ACCESS_LOCAL_WRITE. If such memory is
 * shared copy-on-write, the kernel first makes a copy for this process, which later writes of
 * others do not reach. Whatever folios the memory is in, the registration must end, and the bytes
 * must be right. The number of calls of the kernel's pinning function (GUP) must follow the number
 * of page tables.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "case.h"

#define LEN		(4 * SZ_2M)
#define SEED		6
#define PATIENCE_S	30
#define TRACING		"/sys/kernel/tracing/"

/* --- the kinds of memory ------------------------------------------------------------------ */

enum source { MEMFD, DISK, ANONYMOUS };

static const struct kind {
	const char *name;
	enum source source;
	size_t folio;		/* the largest size that is allowed */
	bool shared;
	bool forked;		/* shared with a child */
} kinds[] = {
	{ "a memfd", MEMFD, SZ_4K, true, false },
	{ "a memfd in huge pages", MEMFD, SZ_2M, true, false },
	{ "a memfd, private", MEMFD, SZ_4K, false, false },
	{ "a memfd in folios of 64 KiB, private", MEMFD, 64 * KIB, false, false },
	{ "a memfd in huge pages, private", MEMFD, SZ_2M, false, false },
	{ "a disk file", DISK, SZ_2M, true, false },
	{ "a disk file, private", DISK, SZ_2M, false, false },
	{ "a disk file written in pages, private", DISK, SZ_4K, false, false },
	{ "base pages after fork()", ANONYMOUS, SZ_4K, false, true },
	{ "folios of 64 KiB after fork()", ANONYMOUS, 64 * KIB, false, true },
	{ "huge pages after fork()", ANONYMOUS, SZ_2M, false, true },
	{ "huge pages", ANONYMOUS, SZ_2M, false, false },
};

/* Allow huge pages of this size only. If it is a base page's, allow none. */
static void set_sizes(const char *file, size_t folio)
{
	static struct knob knobs[2][3];
	static const size_t sizes[] = { 64 * KIB, MIB, SZ_2M };
	struct knob *of = knobs[!strcmp(file, "shmem_enabled")];
	char path[96];
	size_t i;

	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		snprintf(path, sizeof(path),
			 "/sys/kernel/mm/transparent_hugepage/hugepages-%lukB/%s", sizes[i] / KIB,
			 file);
		if (!of[i].path[0])
			knob_open(&of[i], path);
		knob_set(&of[i], sizes[i] == folio ? "always" : "never");
	}
}

static char *reserve(void)
{
	size_t map_len;
	void *map;

	/* Nobody unmaps it, as this process is a child that ends soon. */
	return map_reserve(LEN, SZ_2M, &map, &map_len);
}

/* Each write() to a disk file makes a folio, if the file system has large ones. */
static int fill_disk(int fd, size_t folio)
{
	char *bytes = malloc(folio);
	size_t at;
	int err = PASSED;

	if (!bytes)
		die("out of memory");
	for (at = 0; at < LEN && !err; at += folio) {
		pattern_fill(bytes, SEED, at, folio);
		if (write(fd, bytes, folio) != (ssize_t)folio)
			err = fail("write: %m");
	}
	free(bytes);
	return err;
}

/* Each page fault in a memfd makes a folio. */
static int fill_memfd(int fd, char *p)
{
	if (ftruncate(fd, LEN))
		return fail("ftruncate: %m");
	if (map_fixed(p, LEN, RW, MAP_SHARED, fd, 0))
		return FAILED;
	pattern_fill(p, SEED, 0, LEN);
	return PASSED;
}

static int map_file(const struct kind *kind, char *p)
{
	int fd = kind->source == MEMFD ? memfd_create("case", MFD_CLOEXEC) :
		 open("/var/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	int err;

	if (fd < 0)
		return fail("no file: %m");
	err = kind->source == MEMFD ? fill_memfd(fd, p) : fill_disk(fd, kind->folio);
	err = err ?: map_fixed(p, LEN, PROT_READ, kind->shared ? MAP_SHARED : MAP_PRIVATE, fd, 0);
	close(fd);
	if (!err && madvise(p, LEN, MADV_POPULATE_READ))
		err = fail("MADV_POPULATE_READ: %m");
	return err;
}

static int start_sharer(void)
{
	pid_t parent = getpid(), pid = fork();

	if (pid < 0)
		return fail("fork: %m");
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		while (getppid() == parent)
			pause();
		_exit(0);
	}
	return PASSED;
}

static int map_anon(const struct kind *kind, char *p)
{
	int err = map_fixed(p, LEN, RW, ANON, -1, 0);

	if (err)
		return err;
	pattern_fill(p, SEED, 0, LEN);
	return kind->forked ? start_sharer() : PASSED;
}

static int map_kind(const struct kind *kind, char *p)
{
	return kind->source == ANONYMOUS ? map_anon(kind, p) : map_file(kind, p);
}

/* --- what is registered ------------------------------------------------------------------- */

/* RDMA must read the bytes of the pattern. */
static int read_by_rdma(const char *p, const struct ibv_mr *mr)
{
	char *to = map_fresh(LEN);
	struct ibv_mr *local = mr_reg(to, LEN, ACCESS_ALL);
	struct pair pair;
	int err;

	if (!local || pair_open(&pair, dev.pd))
		return FAILED;
	err = rdma(&pair, IBV_WR_RDMA_READ, sge(to, LEN, local), (uintptr_t)p, mr->rkey,
		   IBV_WC_SUCCESS) ?:
	      pattern_check("what was read", to, SEED, 0, LEN);
	pair_close(&pair);
	return mr_dereg(&local) ?: err;
}

static int register_kind(const void *arg)
{
	char *p = reserve();
	struct ibv_mr *mr;
	int err;

	err = reopen_device() ?: map_kind(arg, p);
	if (err)
		return err;
	mr = mr_reg(p, LEN, IBV_ACCESS_REMOTE_READ);
	if (!mr)
		return FAILED;
	err = read_by_rdma(p, mr) ?: pattern_check("the memory", p, SEED, 0, LEN);
	return mr_dereg(&mr) ?: err;
}

static void set_knobs(const struct kind *kind)
{
	set_sizes("enabled", kind->folio);
	set_sizes("shmem_enabled", kind->folio);
}

static int test_ends(const void *arg)
{
	set_knobs(arg);
	return test_in_child_for(register_kind, arg, PATIENCE_S);
}

/* --- calls of GUP ------------------------------------------------------------------------- */

static int write_trace(const char *file, const char *text)
{
	char path[96];
	int fd, err = PASSED;

	snprintf(path, sizeof(path), TRACING "%s", file);
	fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		err = fail("cannot write '%s' to %s: %m", text, path);
	if (fd >= 0)
		close(fd);
	return err;
}

/* How often the probe was hit. */
static long hits(void)
{
	FILE *f = fopen(TRACING "kprobe_profile", "re");
	char name[64];
	long n = -1, count;

	while (f && fscanf(f, "%63s %ld %*d", name, &count) == 2)
		if (!strcmp(name, "case_gup"))
			n = count;
	if (f)
		fclose(f);
	return n;
}

static int register_counted(const void *arg)
{
	/* One call for the pages of each page table, and at most one more to look at it first. */
	const long most = 2 * (LEN / SZ_2M);
	char *p = reserve();
	struct ibv_mr *mr;
	long calls;
	int err;

	err = reopen_device() ?: map_kind(arg, p);
	if (err)
		return err;
	calls = hits();
	mr = mr_reg(p, LEN, IBV_ACCESS_REMOTE_READ);
	if (!mr)
		return FAILED;
	calls = hits() - calls;
	err = mr_dereg(&mr);
	if (!err && (calls < 1 || calls > most))
		err = fail("%ld calls, should be 1 to %ld", calls, most);
	return err;
}

static int test_calls(const void *arg)
{
	int err;

	set_knobs(arg);
	err = write_trace("kprobe_events", "p:case_gup pin_user_pages_fast\n");
	if (err)
		return err;
	err = write_trace("events/kprobes/case_gup/enable", "1") ?:
	      test_in_child_for(register_counted, arg, PATIENCE_S);
	write_trace("events/kprobes/case_gup/enable", "0");
	return write_trace("kprobe_events", "-:case_gup\n") ?: err;
}

/* --- refusals ----------------------------------------------------------------------------- */

static int test_writable_refused(const void *unused)
{
	char *p = map_fresh(LEN);
	struct ibv_mr *mr;
	int err = PASSED;

	(void)unused;
	pattern_fill(p, SEED, 0, LEN);
	if (mprotect(p, LEN, PROT_READ))
		err = fail("mprotect: %m");
	errno = 0;
	mr = ibv_reg_mr(dev.pd, p, LEN, ACCESS_ALL);
	if (mr || errno != EFAULT)
		err = fail("%s in place of EFAULT", mr ? "registered" : errno_name(errno));
	if (mr)
		mr_dereg(&mr);
	err = err ?: register_once(p, LEN, IBV_ACCESS_REMOTE_READ);
	munmap(p, LEN);
	return err;
}

int main(int argc, char **argv)
{
	size_t i;

	case_start("Memory is registered to be read only.", 4 * PATIENCE_S, argc, argv);
	test_add(test_writable_refused, NULL, "writable access to it is refused");
	for (i = 0; i < ARRAY_SIZE(kinds); i++)
		test_add(test_ends, &kinds[i], "comes to its end, with its bytes: %s",
			 kinds[i].name);
	for (i = 0; i < ARRAY_SIZE(kinds); i++)
		test_add(test_calls, &kinds[i], "calls of GUP: %s", kinds[i].name);
	return test_run();
}
