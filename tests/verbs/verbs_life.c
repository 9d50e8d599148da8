// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Regions that come and go, overlap, and outlive the mapping that they were made from.
 *
 * A pin must keep exactly the page that was there when the region was registered, whatever the
 * process does to its address space afterwards. It must be undone exactly once: the runner compares
 * the kernel's pin counters around each test.
 */
#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "verbs.h"

/* A region over all of a local buffer, to read into and write from. */
static struct ibv_mr *reg_local(struct buf *l)
{
	return l ? mr_reg(l->addr, l->len, IBV_ACCESS_LOCAL_WRITE) : NULL;
}

/* Read len bytes at raddr; they must be the pattern of seed from off. */
static int read_back(struct buf *l, struct ibv_mr *lmr, uint64_t raddr, uint32_t rkey,
		     uint16_t seed, size_t off, size_t len)
{
	struct buf expected = { .seed = seed };

	return rdma(&pair, IBV_WR_RDMA_READ, sge(l->addr, len, lmr), raddr, rkey,
		    IBV_WC_SUCCESS) ?:
	       moved(l, 0, &expected, off, len);
}

/* --- many regions ------------------------------------------------------------------------- */

enum { MANY = 128 };

/*
 * Many regions of one buffer overlap. They are released in another order, and those that are left
 * must go on working.
 */
static int test_overlap(const void *arg)
{
	enum backing_kind backing = (enum backing_kind)(uintptr_t)arg;
	struct buf *l = local_buf(BACKING_4K), *r = remote_buf(backing);
	struct ibv_mr *mr[MANY] = {}, *lmr = reg_local(l);
	size_t off[MANY], len[MANY], n;
	int i, j, k, err = FAILED;

	if (!lmr || !r)
		goto out;
	for (i = 0; i < MANY; i++) {
		off[i] = random_u64() % (r->len - SZ_4K);
		len[i] = 1 + random_u64() % (r->len - off[i]);
		mr[i] = mr_reg(r->addr + off[i], len[i], ACCESS_ALL);
		if (!mr[i])
			goto out;
	}
	for (i = 0; i < MANY; i++) {
		j = i * 37 % MANY;
		err = mr_dereg(&mr[j]);
		if (err)
			goto out;
		k = (i + 1) * 37 % MANY;
		if (i == MANY - 1)
			break;
		/* Read the last bytes of the region that goes next, and send its first. */
		n = len[k] < 3000 ? len[k] : 3000;
		err = read_back(l, lmr, (uintptr_t)r->addr + off[k] + len[k] - n, mr[k]->rkey,
				r->seed, off[k] + len[k] - n, n) ?:
		      send_recv(&pair, sge(r->addr + off[k], n, mr[k]), sge(l->addr, n, lmr), 0) ?:
		      moved(l, 0, r, off[k], n);
		if (err)
			goto out;
	}
	err = buf_check(r) ?: buf_check(l);
out:
	for (i = 0; i < MANY; i++)
		err = mr_dereg(&mr[i]) ?: err;
	return mr_dereg(&lmr) ?: err;
}

/* For each offset in a huge page that matters, there is a region, all at once. */
static int test_same_folio(const void *arg)
{
	static const size_t offs[] = {
		0, 1, 4095, 4096, 4097, 65536 - 1, SZ_2M / 2 + 5, SZ_2M - 4097, SZ_2M - 4096,
		SZ_2M - 4095, SZ_2M - 1, SZ_2M, SZ_2M + 1, SZ_2M + 4095,
	};
	enum backing_kind backing = (enum backing_kind)(uintptr_t)arg;
	struct buf *l = local_buf(BACKING_4K), *r = remote_buf(backing);
	struct ibv_mr *mr[ARRAY_SIZE(offs)] = {}, *lmr = reg_local(l);
	size_t i, len = 9001;
	int err = FAILED;

	if (!lmr || !r)
		goto out;
	for (i = 0; i < ARRAY_SIZE(offs); i++) {
		mr[i] = mr_reg(r->addr + offs[i], len, ACCESS_ALL);
		if (!mr[i])
			goto out;
	}
	for (i = 0; i < ARRAY_SIZE(offs); i++) {
		err = read_back(l, lmr, (uintptr_t)r->addr + offs[i], mr[i]->rkey, r->seed, offs[i],
				len) ?:
		      rdma(&pair, IBV_WR_RDMA_WRITE, sge(l->addr + 5, len, lmr),
			   (uintptr_t)r->addr + offs[i], mr[i]->rkey, IBV_WC_SUCCESS) ?:
		      moved(r, offs[i], l, 5, len) ?:
		      mr_dereg(&mr[i]);
		if (err)
			goto out;
	}
	err = buf_check(r);
out:
	for (i = 0; i < ARRAY_SIZE(offs); i++)
		err = mr_dereg(&mr[i]) ?: err;
	return mr_dereg(&lmr) ?: err;
}

enum { LOOPS = 100 };

static int test_loop(const void *arg)
{
	enum backing_kind backing = (enum backing_kind)(uintptr_t)arg;
	struct buf *l = local_buf(BACKING_4K), *r = remote_buf(backing);
	struct ibv_mr *mr = NULL, *lmr = reg_local(l);
	size_t off, len, at, n;
	int i, err = FAILED;

	if (!lmr || !r)
		goto out;
	for (i = 0; i < LOOPS; i++) {
		off = random_u64() % (r->len - SZ_4K);
		len = 1 + random_u64() % (r->len - off);
		n = 1 + random_u64() % (len < 5000 ? len : 5000);
		at = off + random_u64() % (len - n + 1);
		mr = mr_reg(r->addr + off, len, ACCESS_ALL);
		if (!mr) {
			err = FAILED;
			goto out;
		}
		err = read_back(l, lmr, (uintptr_t)r->addr + at, mr->rkey, r->seed, at, n) ?:
		      rdma(&pair, IBV_WR_RDMA_WRITE, sge(l->addr + 5, n, lmr),
			   (uintptr_t)r->addr + at, mr->rkey, IBV_WC_SUCCESS) ?:
		      moved(r, at, l, 5, n) ?:
		      mr_dereg(&mr);
		if (err)
			goto out;
	}
	err = buf_check(r) ?: buf_check(l);
out:
	err = mr_dereg(&mr) ?: err;
	return mr_dereg(&lmr) ?: err;
}

/* --- fork --------------------------------------------------------------------------------- */

/* Private memory, so that fork() shares it copy-on-write. */
static int open_private(struct buf *buf, enum backing_kind backing)
{
	int err;

	if (backing != BACKING_HUGE2M_SHARED)
		return buf_open(buf, backing, 2 * SZ_2M);
	/* BACKING_HUGE2M_SHARED is shared memory; here it has to be private. */
	*buf = (struct buf){ .backing = backing, .len = 2 * SZ_2M };
	buf->addr = map_reserve(buf->len, SZ_2M, &buf->map, &buf->map_len);
	err = map_fixed(buf->addr, buf->len, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);
	if (!err && madvise(buf->addr, buf->len, MADV_POPULATE_WRITE))
		err = fail("no free huge pages of 2 MiB: %m");
	if (err)
		buf_close(buf);
	return err;
}

enum child { CHILD_EXITS, CHILD_WRITES, CHILD_STAYS };

struct fork_case {
	enum backing_kind backing;
	enum child child;
};

/* Runs in the child, which must see what the parent had, and may change its copy. */
static void in_child(const struct buf *buf, enum child what, int go)
{
	char c;

	if (what != CHILD_EXITS) {
		if (pattern_check("child", buf->addr, buf->seed, 0, buf->len))
			_exit(1);
		if (what == CHILD_WRITES)
			pattern_fill(buf->addr, 99, 0, buf->len);
		if (what == CHILD_STAYS && read(go, &c, 1) != 1)
			_exit(2);
		/* Meanwhile, the parent has changed its copy. */
		if (what == CHILD_STAYS &&
		    pattern_check("child", buf->addr, buf->seed, 0, buf->len))
			_exit(3);
	}
	_exit(0);
}

/* Fork a child that runs in_child() with the reading end of go. Negative after fail(). */
static pid_t start_child(const struct buf *buf, enum child what, int go[2])
{
	pid_t child;

	if (pipe(go))
		return fail("pipe: %m");
	child = fork();
	if (child < 0)
		return fail("fork: %m");
	if (!child)
		in_child(buf, what, go[0]);
	return child;
}

static int reap(pid_t child)
{
	int status;

	if (waitpid(child, &status, 0) != child)
		return fail("waitpid: %m");
	if (status)
		return fail("the child saw other bytes (wait status 0x%x)", status);
	return PASSED;
}

/* The parent's region and the parent's memory must stay the same pages across fork(). */
static int test_fork(const void *arg)
{
	const struct fork_case *c = arg;
	struct buf *l = local_buf(BACKING_4K), buf;
	struct ibv_mr *mr = NULL, *lmr = NULL;
	size_t off = SZ_2M - 100001, len = 200002;
	int go[2], err;
	pid_t child;

	if (!l)
		return FAILED;
	err = open_private(&buf, c->backing);
	if (err)
		return err;
	err = FAILED;
	buf_fill(&buf, 50);
	lmr = reg_local(l);
	mr = mr_reg(buf.addr + 100, buf.len - 200, ACCESS_ALL);
	if (!lmr || !mr)
		goto out;
	child = start_child(&buf, c->child, go);
	if (child < 0) {
		err = FAILED;
		goto out;
	}
	if (c->child != CHILD_STAYS) {
		err = reap(child);
		if (err)
			goto out;
	}

	/* The device must read what the parent writes, and the parent what the device writes. */
	err = read_back(l, lmr, (uintptr_t)buf.addr + off, mr->rkey, buf.seed, off, len);
	if (err)
		goto out;
	buf_fill(&buf, 51);
	err = read_back(l, lmr, (uintptr_t)buf.addr + off, mr->rkey, buf.seed, off, len) ?:
	      rdma(&pair, IBV_WR_RDMA_WRITE, sge(l->addr, len, lmr), (uintptr_t)buf.addr + off,
		   mr->rkey, IBV_WC_SUCCESS) ?:
	      moved(&buf, off, l, 0, len) ?:
	      buf_check(&buf);
	if (err)
		goto out;
	if (c->child == CHILD_STAYS) {
		if (write(go[1], "", 1) != 1)
			err = fail("write: %m");
		err = reap(child) ?: err;
	}
	close(go[0]);
	close(go[1]);
out:
	err = mr_dereg(&mr) ?: err;
	err = mr_dereg(&lmr) ?: err;
	buf_close(&buf);
	return err;
}

/* Register after fork(), while the child still shares every page. The pin must unshare. */
static int test_reg_after_fork(const void *arg)
{
	const struct fork_case *c = arg;
	struct buf *l = local_buf(BACKING_4K), buf;
	struct ibv_mr *mr = NULL, *ro = NULL, *lmr = NULL;
	size_t off = SZ_2M - 100001, len = 200002;
	int go[2], err;
	pid_t child;

	if (!l)
		return FAILED;
	err = open_private(&buf, c->backing);
	if (err)
		return err;
	buf_fill(&buf, 52);
	child = start_child(&buf, CHILD_STAYS, go);
	if (child < 0) {
		err = FAILED;
		goto out;
	}
	lmr = reg_local(l);
	/* First register for reading only. Even that needs pages that are the parent's alone. */
	ro = mr_reg(buf.addr + 100, buf.len - 200, IBV_ACCESS_REMOTE_READ);
	mr = mr_reg(buf.addr + 100, buf.len - 200, ACCESS_ALL);
	err = lmr && ro && mr ? PASSED : FAILED;
	if (!err) {
		buf_fill(&buf, 53);
		err = read_back(l, lmr, (uintptr_t)buf.addr + off, ro->rkey, 53, off, len) ?:
		      read_back(l, lmr, (uintptr_t)buf.addr + off, mr->rkey, 53, off, len) ?:
		      rdma(&pair, IBV_WR_RDMA_WRITE, sge(l->addr, len, lmr),
			   (uintptr_t)buf.addr + off, mr->rkey, IBV_WC_SUCCESS) ?:
		      moved(&buf, off, l, 0, len) ?:
		      buf_check(&buf);
	}
	if (write(go[1], "", 1) != 1)
		err = fail("write: %m");
	err = reap(child) ?: err;
	close(go[0]);
	close(go[1]);
out:
	err = mr_dereg(&mr) ?: err;
	err = mr_dereg(&ro) ?: err;
	err = mr_dereg(&lmr) ?: err;
	buf_close(&buf);
	return err;
}

/* --- the mapping goes away ----------------------------------------------------------------- */

enum going { UNMAPPED, UNMAPPED_IN_PART, DONTNEED, MOVED, PROTECTED };

static const char *const going_name[] = {
	"unmapped", "unmapped in part", "given up", "moved", "protected",
};

struct going_case {
	enum backing_kind backing;
	enum going going;
};

static int go_away(struct buf *buf, enum going going)
{
	void *to;
	int err;

	switch (going) {
	case UNMAPPED:
		err = munmap(buf->addr, buf->len);
		break;
	case UNMAPPED_IN_PART:
		/* This cuts huge pages in two. */
		err = munmap(buf->addr + SZ_2M / 2, SZ_2M);
		break;
	case DONTNEED:
		err = madvise(buf->addr, buf->len, MADV_DONTNEED);
		break;
	case MOVED:
		to = mmap(NULL, buf->len, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		err = to == MAP_FAILED ||
		      mremap(buf->addr, buf->len, buf->len, MREMAP_MAYMOVE | MREMAP_FIXED, to) !=
		      to;
		if (!err)
			err = munmap(to, buf->len);
		break;
	default:
		err = mprotect(buf->addr, buf->len, PROT_NONE);
		break;
	}
	return err ? fail("%s: %m", going_name[going]) : PASSED;
}

/* The region must keep the pages that it had. */
static int test_going(const void *arg)
{
	const struct going_case *c = arg;
	struct buf *l = local_buf(BACKING_4K), buf;
	struct ibv_mr *mr = NULL, *lmr = NULL;
	/* These lie across the two ends of the part that UNMAPPED_IN_PART takes away. */
	static const size_t off[] = { SZ_2M / 2 - 50001, SZ_2M * 3 / 2 - 50001 };
	size_t len = 100002, i;
	struct ibv_sge local;
	int err;

	if (!l)
		return FAILED;
	err = buf_open(&buf, c->backing, 2 * SZ_2M);
	if (err)
		return err;
	buf_fill(&buf, 60);
	local = (struct ibv_sge){ .addr = (uintptr_t)l->addr, .length = 5000 };
	lmr = reg_local(l);
	mr = mr_reg(buf.addr + 100, buf.len - 200, ACCESS_ALL);
	if (!lmr || !mr) {
		err = FAILED;
		goto out;
	}
	local.lkey = lmr->lkey;
	err = go_away(&buf, c->going);
	if (err)
		goto out;
	for (i = 0; i < ARRAY_SIZE(off); i++) {
		err = read_back(l, lmr, (uintptr_t)buf.addr + off[i], mr->rkey, 60, off[i], len);
		if (err)
			goto out;
	}
	/* The region must also have what is written to it. */
	err = rdma(&pair, IBV_WR_RDMA_WRITE, local, (uintptr_t)buf.addr + SZ_2M, mr->rkey,
		   IBV_WC_SUCCESS) ?:
	      read_back(l, lmr, (uintptr_t)buf.addr + SZ_2M, mr->rkey, l->seed, 0, 5000);
	if (err)
		goto out;
	if (c->going == DONTNEED)
		err = zero_check("memory given up", buf.addr, buf.len);
out:
	err = mr_dereg(&mr) ?: err;
	err = mr_dereg(&lmr) ?: err;
	buf_close(&buf);
	return err;
}

void add_life_tests(void)
{
	static const struct fork_case forks[] = {
		{ BACKING_4K, CHILD_EXITS }, { BACKING_4K, CHILD_WRITES },
		{ BACKING_4K, CHILD_STAYS },
		{ BACKING_THP, CHILD_EXITS }, { BACKING_THP, CHILD_WRITES },
		{ BACKING_THP, CHILD_STAYS },
		{ BACKING_THP_PTE, CHILD_WRITES }, { BACKING_THP_PTE, CHILD_STAYS },
		{ BACKING_HUGE2M_SHARED, CHILD_EXITS }, { BACKING_HUGE2M_SHARED, CHILD_WRITES },
		{ BACKING_HUGE2M_SHARED, CHILD_STAYS },
	};
	static const char *const child_does[] = { "exits", "writes", "stays" };
	static const enum backing_kind fork_backing[] = { BACKING_4K, BACKING_THP, BACKING_THP_PTE,
							  BACKING_HUGE2M_SHARED };
	static const enum backing_kind going_backing[] = { BACKING_4K, BACKING_THP,
							   BACKING_THP_PTE };
	static struct fork_case after[ARRAY_SIZE(fork_backing)];
	static struct going_case going[ARRAY_SIZE(going_backing) * ARRAY_SIZE(going_name)];
	unsigned int i, j, n = 0;

	for (i = 0; i < BACKING_COUNT; i++) {
		const void *arg = (void *)(uintptr_t)i;

		test_add(test_overlap, arg, "%d regions overlap on %s", MANY, backing_name(i));
		test_add(test_same_folio, arg, "regions in the same folio on %s", backing_name(i));
		test_add(test_loop, arg, "registered %d times on %s", LOOPS, backing_name(i));
	}
	for (i = 0; i < ARRAY_SIZE(forks); i++)
		test_add(test_fork, &forks[i], "fork, child %s, %s", child_does[forks[i].child],
			 backing_name(forks[i].backing));
	for (i = 0; i < ARRAY_SIZE(fork_backing); i++) {
		after[i].backing = fork_backing[i];
		test_add(test_reg_after_fork, &after[i], "registered after fork, %s",
			 backing_name(fork_backing[i]));
	}
	for (i = 0; i < ARRAY_SIZE(going_backing); i++) {
		for (j = 0; j < ARRAY_SIZE(going_name); j++, n++) {
			going[n] = (struct going_case){ going_backing[i], j };
			test_add(test_going, &going[n], "memory %s, %s", going_name[j],
				 backing_name(going_backing[i]));
		}
	}
}
