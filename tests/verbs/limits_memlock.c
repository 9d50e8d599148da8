// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * RLIMIT_MEMLOCK limits how many pages a process may have registered, and VmPin says how many it
 * has.
 *
 * Every page that a region touches counts, once for each region, whatever folio the page is in.
 * CAP_IPC_LOCK lifts the limit, but pages still count. A case is a script: a child gives up rights,
 * and carries the script out step by step. Each step must have the result that the script says, and
 * leave the VmPin that follows from the regions.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "limits_cases.h"
#include "rights.h"

#define P		SZ_4K
#define MEM_LEN		(4 * SZ_2M)
#define HOLE		SZ_2M		/* memory of base pages ends here */
#define NOBODY		65534
#define NO_LIMIT	RLIM_INFINITY

enum { SLOTS = 8 };

enum op {
	END,
	DO_REG,		/* register off, len in the slot */
	DO_REG_READ,	/* the same for reading */
	DO_DEREG,
	DO_REREG,	/* make the slot's region cover off, len instead */
	DO_REREG_WRITE,	/* make it writable */
	DO_MEET,	/* wait for the other child */
};

struct step {
	enum op op;
	unsigned int slot;
	size_t off, len;
	int expect;
};

enum confine {
	NO_CAP,		/* without CAP_IPC_LOCK */
	CAP,		/* with it */
	USER_NS,	/* with all capabilities of a user namespace of its own */
	OTHER_UID,	/* nobody */
};

struct script {
	const char *name;
	enum confine confine;
	enum backing_kind backing;
	rlim_t limit;
	struct step step[MAX_STEPS];
};

#define REG_FAILS(s, o, l, e)		{ DO_REG, s, o, l, e }
#define REG(s, o, l)			REG_FAILS(s, o, l, 0)
#define REG_READ_FAILS(s, o, l, e)	{ DO_REG_READ, s, o, l, e }
#define REG_READ(s, o, l)		REG_READ_FAILS(s, o, l, 0)
#define DEREG(s)			{ DO_DEREG, s, 0, 0, 0 }
#define REREG_FAILS(s, o, l, e)		{ DO_REREG, s, o, l, e }
#define REREG_WRITE_FAILS(s, e)		{ DO_REREG_WRITE, s, 0, 0, e }
#define REREG_WRITE(s)			REREG_WRITE_FAILS(s, 0)
#define MEET				{ DO_MEET, 0, 0, 0, 0 }

static const struct script scripts[] = {
	{ "exact", NO_CAP, BACKING_4K, 8 * P,
	  { REG(0, 0, 8 * P), REG_FAILS(1, 0, 1, ENOMEM), DEREG(0), REG(1, 0, 8 * P) } },
	{ "one-page-more", NO_CAP, BACKING_4K, 8 * P,
	  { REG_FAILS(0, 0, 9 * P, ENOMEM), REG(0, 0, 8 * P) } },
	{ "one-byte-more", NO_CAP, BACKING_4K, 8 * P,
	  { REG_FAILS(0, 0, 8 * P + 1, ENOMEM), REG(0, 0, 8 * P) } },
	{ "straddles", NO_CAP, BACKING_4K, 8 * P,
	  { REG_FAILS(0, 1, 8 * P, ENOMEM), REG(0, 1, 8 * P - 1) } },
	{ "straddles-two", NO_CAP, BACKING_4K, P,
	  { REG_FAILS(0, P - 1, 2, ENOMEM), REG(0, P - 1, 1) } },
	{ "limit-rounded-down", NO_CAP, BACKING_4K, 2 * P - 1,
	  { REG_FAILS(0, 0, 2 * P, ENOMEM), REG(0, 0, P) } },
	{ "sum", NO_CAP, BACKING_4K, 8 * P,
	  { REG(0, 0, 5 * P), REG_FAILS(1, 0, 4 * P, ENOMEM), REG(1, 0, 3 * P),
	    REG_FAILS(2, 0, 1, ENOMEM), DEREG(0), REG(0, 0, 5 * P), DEREG(1),
	    REG_FAILS(1, 0, 4 * P, ENOMEM) } },
	{ "same-page-counts-again", NO_CAP, BACKING_4K, 2 * P,
	  { REG(0, 0, 1), REG(1, 1, 1), REG_FAILS(2, 2, 1, ENOMEM) } },
	{ "unaligned", NO_CAP, BACKING_4K, NO_LIMIT,
	  { REG(0, P - 1, 2), REG(1, 1, P), REG(2, 1, P - 1), REG(3, 0, 1),
	    REG(4, P + 5, 3 * P), REG(5, 7, 40 * P), DEREG(1), DEREG(4),
	    DEREG(0), DEREG(5), DEREG(3), DEREG(2) } },
	{ "read-only-counts", NO_CAP, BACKING_4K, 2 * P,
	  { REG_READ(0, 0, 2 * P), REG_READ_FAILS(1, 0, 1, ENOMEM), DEREG(0) } },

	/* A registration that fails half-way must give back every page. */
	{ "hole-at-end", NO_CAP, BACKING_4K, 64 * P,
	  { REG_FAILS(0, HOLE - 40 * P, 41 * P, EFAULT), REG(0, 0, 64 * P), DEREG(0),
	    REG_FAILS(0, HOLE - 40 * P, 41 * P, EFAULT), REG_FAILS(0, 0, 65 * P, ENOMEM),
	    REG(0, 0, 64 * P) } },
	{ "hole-far-beyond", NO_CAP, BACKING_4K, NO_LIMIT,
	  { REG(0, 0, P), REG_FAILS(1, 0, HOLE + 1, EFAULT), REG_FAILS(1, 5, HOLE, EFAULT),
	    REG_READ_FAILS(1, P, HOLE, EFAULT), DEREG(0) } },
	{ "limit-before-hole", NO_CAP, BACKING_4K, P, { REG_FAILS(0, HOLE - P, 2 * P, ENOMEM) } },

	/* If several errors apply, this one comes first. */
	{ "zero", NO_CAP, BACKING_4K, 0, { REG_FAILS(0, 0, 1, EPERM) } },
	{ "zero-wraps", NO_CAP, BACKING_4K, 0, { REG_FAILS(0, 0, -1UL, EINVAL) } },
	{ "zero-too-many-pages", NO_CAP, BACKING_4K, 0, { REG_FAILS(0, 0, 1UL << 44, EPERM) } },
	{ "limit-too-many-pages", NO_CAP, BACKING_4K, P, { REG_FAILS(0, 0, 1UL << 44, EINVAL) } },
	{ "limit-most-pages", NO_CAP, BACKING_4K, P, { REG_FAILS(0, 0, (1UL << 44) - P, ENOMEM) } },
	{ "limit-wraps", NO_CAP, BACKING_4K, P, { REG_FAILS(0, 0, -P, EINVAL), REG(0, 0, P) } },

	/* Which processes have a limit. */
	{ "no-limit", NO_CAP, BACKING_4K, NO_LIMIT, { REG(0, 0, HOLE), REG(1, 0, HOLE) } },
	{ "cap", CAP, BACKING_4K, P, { REG(0, 0, 64 * P), REG(1, 3, 64 * P), DEREG(0) } },
	{ "cap-zero", CAP, BACKING_4K, 0, { REG(0, 0, 64 * P), DEREG(0) } },
	{ "cap-hole-at-end", CAP, BACKING_4K, P, { REG_FAILS(0, HOLE - P, 2 * P, EFAULT) } },
	{ "user-namespace", USER_NS, BACKING_4K, P,
	  { REG_FAILS(0, 0, 2 * P, ENOMEM), REG(0, 0, P) } },
	{ "user-namespace-zero", USER_NS, BACKING_4K, 0, { REG_FAILS(0, 0, 1, EPERM) } },
	{ "other-uid", OTHER_UID, BACKING_4K, 8 * P,
	  { REG_FAILS(0, 0, 9 * P, ENOMEM), REG(0, 0, 8 * P) } },
	{ "other-uid-zero", OTHER_UID, BACKING_4K, 0, { REG_FAILS(0, 0, P, EPERM) } },

	/* Soft-RoCE cannot give a region other memory. Its own memory stays counted. */
	{ "rereg-translation", NO_CAP, BACKING_4K, 8 * P,
	  { REG(0, 0, 4 * P), REREG_FAILS(0, P, 6 * P, EOPNOTSUPP),
	    REREG_FAILS(0, 0, 2 * P, EOPNOTSUPP), REG(1, 0, 4 * P),
	    REREG_FAILS(0, 0, 64 * P, EOPNOTSUPP), DEREG(0), REG(0, 0, 4 * P) } },
	{ "rereg-access", NO_CAP, BACKING_4K, 4 * P,
	  { REG(0, 0, 4 * P), REREG_WRITE(0), REG_FAILS(1, 0, 1, ENOMEM), DEREG(0) } },
	{ "rereg-read-only-to-writable", NO_CAP, BACKING_4K, 4 * P,
	  { REG_READ(0, 0, 4 * P), REREG_WRITE_FAILS(0, EACCES), DEREG(0) } },

	/* Of large pages, the part in the region counts, in base pages. */
	{ "thp-exact", NO_CAP, BACKING_THP, SZ_2M,
	  { REG(0, 0, SZ_2M), REG_FAILS(1, 0, 1, ENOMEM), DEREG(0),
	    REG_FAILS(0, 0, SZ_2M + 1, ENOMEM), REG(0, 5 * P, SZ_2M) } },
	{ "thp-part", NO_CAP, BACKING_THP, 8 * P,
	  { REG(0, SZ_2M - P, 2 * P), REG(1, 3, 5 * P), REG_FAILS(2, 0, P, ENOMEM),
	    DEREG(0), DEREG(1) } },
	{ "thp-hole-at-end", NO_CAP, BACKING_THP, NO_LIMIT, { REG_FAILS(0, 5, MEM_LEN, EFAULT) } },
	{ "thp-pte-part", NO_CAP, BACKING_THP_PTE, 300 * P,
	  { REG(0, SZ_2M - 150 * P + 1, 299 * P), REG_FAILS(1, 0, 1, ENOMEM), DEREG(0) } },
	{ "huge2m-exact", NO_CAP, BACKING_HUGE2M_SHARED, 2 * SZ_2M,
	  { REG(0, 0, 2 * SZ_2M), REG_FAILS(1, 0, 1, ENOMEM), DEREG(0),
	    REG(0, SZ_2M / 2, 2 * SZ_2M), DEREG(0) } },
	{ "huge2m-part", NO_CAP, BACKING_HUGE2M_SHARED, P,
	  { REG(0, SZ_2M + 5 * P + 1, P - 1), REG_FAILS(1, 0, 1, ENOMEM), DEREG(0) } },
	{ "huge2m-hole-at-end", NO_CAP, BACKING_HUGE2M_SHARED, NO_LIMIT,
	  { REG_FAILS(0, 5, MEM_LEN, EFAULT) } },
	{ "mixed", NO_CAP, BACKING_MIXED, MEM_LEN,
	  { REG(0, 3, MEM_LEN - 3), REG_FAILS(1, 0, 1, ENOMEM), DEREG(0),
	    REG(0, SZ_2M - P - 1, SZ_2M), DEREG(0) } },
};

/* Two processes of one user run this at once. Each has all of its limit. */
static const struct script at_once = {
	"at-once", OTHER_UID, BACKING_4K, 8 * P,
	{ REG(0, 0, 8 * P), MEET, REG_FAILS(1, 0, 1, ENOMEM), MEET, DEREG(0) }
};

static long pages(size_t off, size_t len)
{
	return (off + len - 1) / P - off / P + 1;
}

/* --- in the child ------------------------------------------------------------------------- */

/* Comes after memory was mapped, which needs rights, and before the device is opened. */
static void confine(struct child *c, const struct script *s)
{
	struct rlimit limit = { .rlim_cur = s->limit, .rlim_max = s->limit };
	int err = setrlimit(RLIMIT_MEMLOCK, &limit);

	if (!err && s->confine == NO_CAP)
		err = drop_ipc_lock();
	else if (!err && s->confine == USER_NS)
		err = unshare(CLONE_NEWUSER);
	else if (!err && s->confine == OTHER_UID)
		err = setresuid(NOBODY, NOBODY, NOBODY);
	if (err)
		child_die(c, "cannot give up its rights: %m");
}

/* Map MEM_LEN bytes, with nothing behind them. Memory of base pages ends at HOLE. */
static char *get_memory(struct child *c, enum backing_kind backing)
{
	struct buf buf;

	if (buf_open(&buf, backing, MEM_LEN))
		child_die(c, "no memory of kind %s", backing_name(backing));
	if (backing == BACKING_4K && munmap(buf.addr + HOLE, MEM_LEN - HOLE))
		child_die(c, "munmap: %m");
	return buf.addr;
}

/* The n-th meeting ends when both children have come to it. */
static void meet(struct child *c)
{
	int n = ++c->met;

	atomic_fetch_add(c->meeting, 1);
	while (atomic_load(c->meeting) < 2 * n)
		sched_yield();
}

static int do_reg(struct child *c, struct ibv_mr **mr, char *addr, size_t len, int access)
{
	errno = 0;
	*mr = ibv_reg_mr(c->pd, addr, len, access);
	return *mr ? 0 : errno ?: ENODATA;
}

/* False if the step needs a region which an earlier step has failed to register. */
static bool can_do(const struct step *step, const struct ibv_mr *mr)
{
	bool needs_mr = step->op >= DO_DEREG && step->op < DO_MEET;

	return mr || !needs_mr;
}

static int do_step(struct child *c, const struct step *step, char *mem, struct ibv_mr **mr)
{
	struct ibv_mr *old = *mr;

	switch (step->op) {
	case DO_REG:
		return do_reg(c, mr, mem + step->off, step->len, WRITABLE);
	case DO_REG_READ:
		return do_reg(c, mr, mem + step->off, step->len, READABLE);
	case DO_DEREG:
		*mr = NULL;
		return ibv_dereg_mr(old);
	case DO_REREG:
		return mr_rereg(old, IBV_REREG_MR_CHANGE_TRANSLATION, NULL, mem + step->off,
				step->len, 0);
	case DO_REREG_WRITE:
		return mr_rereg(old, IBV_REREG_MR_CHANGE_ACCESS, NULL, NULL, 0,
				WRITABLE | IBV_ACCESS_REMOTE_WRITE);
	case DO_MEET:
		meet(c);
		break;
	case END:
		break;
	}
	return 0;
}

static void follow(struct child *c, const void *arg)
{
	const struct script *s = arg;
	char *mem = get_memory(c, s->backing);
	struct ibv_mr *mr[SLOTS] = {};
	const struct step *step;
	struct ibv_mr **slot;

	confine(c, s);
	child_open_device(c);
	for (step = s->step; step->op != END; step++) {
		slot = &mr[step->slot];
		child_note(c, can_do(step, *slot) ? do_step(c, step, mem, slot) : ENOENT);
	}
	/* The regions that are left go with the process. */
}

/* --- in the parent ------------------------------------------------------------------------ */

/* Note the pages that a slot's region adds to VmPin after the step, if that has succeeded. */
static void count(const struct step *step, int err, long *slot_pages)
{
	if (err)
		return;
	if (step->op == DO_REG || step->op == DO_REG_READ)
		slot_pages[step->slot] = pages(step->off, step->len);
	else if (step->op == DO_DEREG)
		slot_pages[step->slot] = 0;
}

static int judge(const struct script *s, const struct child *c, bool say)
{
	long slot_pages[SLOTS] = {}, expect;
	const struct step_result *is;
	unsigned int i, j;
	int err = PASSED;

	for (i = 0; s->step[i].op != END; i++) {
		is = &c->step[i];
		if (say)
			diag("result memlock-%s-%u: %s, VmPin %ld kB", s->name, i + 1,
			     errno_name(is->err), is->vmpin_kb);
		if (is->err != s->step[i].expect) {
			err = fail("step %u: %s", i + 1, errno_name(is->err));
			fail("expected %s", errno_name(s->step[i].expect));
		}
		count(&s->step[i], is->err, slot_pages);
		for (expect = 0, j = 0; j < SLOTS; j++)
			expect += slot_pages[j] * (long)(P / KIB);
		if (is->vmpin_kb != expect)
			err = fail("step %u: VmPin is %ld kB, should be %ld", i + 1, is->vmpin_kb,
				   expect);
	}
	if (!err && c->steps != i)
		err = fail("%u steps of %u", c->steps, i);
	return err;
}

static int test_script(const void *arg)
{
	struct child *c = child_start(follow, arg, NULL);
	int err;

	if (!c)
		return FAILED;
	err = child_wait(c) ?: judge(arg, c, true);
	child_free(c);
	return err;
}

static int test_at_once(const void *arg)
{
	atomic_int *meeting = mmap(NULL, SZ_4K, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct child *c[2] = {};
	int i, err = PASSED;

	(void)arg;
	if (meeting == MAP_FAILED)
		return fail("mmap: %m");
	for (i = 0; i < 2; i++)
		c[i] = child_start(follow, &at_once, meeting);
	for (i = 0; i < 2; i++) {
		if (!c[i] || child_wait(c[i]) || judge(&at_once, c[i], i == 0))
			err = FAILED;
		if (c[i])
			child_free(c[i]);
	}
	munmap(meeting, SZ_4K);
	return err;
}

/* --- across fork -------------------------------------------------------------------------- */

enum {
	FORK_REGISTERED, FORK_CHILD_STARTS, FORK_CHILD_RELEASED, FORK_AFTER_RELEASE,
	FORK_CHILD_REGISTERED, FORK_CHILD_GONE, FORK_LAST_RELEASED,
	FORK_STEPS
};

static const struct {
	const char *what;
	long pages;
} fork_steps[FORK_STEPS] = {
	[FORK_REGISTERED]	= { "the parent has registered 4 and 6 pages", 10 },
	[FORK_CHILD_STARTS]	= { "its child is charged for nothing", 0 },
	[FORK_CHILD_RELEASED]	= { "the child is charged for nothing after their release", 0 },
	[FORK_AFTER_RELEASE]	= { "the parent is not charged for the 4 pages any more", 6 },
	[FORK_CHILD_REGISTERED]	= { "the child is charged for what it registers", 3 },
	[FORK_CHILD_GONE]	= { "the parent is not charged for it when the child is gone", 6 },
	[FORK_LAST_RELEASED]	= { "the parent has released the 6 pages", 0 },
};

/*
 * Runs in the child's children, which have the context, too. The first releases a region of its
 * parent. The second registers memory of its own, and ends. Its region belongs to the context, so
 * the region stays until the context's last user has gone, and with it what is left of the accounts
 * of the process.
 */
static void fork_again(struct child *c, struct ibv_mr *parents, char *mem, bool release)
{
	struct ibv_mr *own;

	if (release) {
		child_note(c, 0);
		child_note(c, ibv_dereg_mr(parents));
	} else {
		child_note(c, do_reg(c, &own, mem, 3 * P, WRITABLE));
	}
	_exit(0);
}

static void fork_and_wait(struct child *c, struct ibv_mr *parents, char *mem, bool release)
{
	pid_t pid = fork();
	int status;

	if (!pid)
		fork_again(c, parents, mem, release);
	if (pid < 0 || waitpid(pid, &status, 0) != pid || status)
		child_die(c, "the child's child: %m");
}

static void fork_work(struct child *c, const void *arg)
{
	static const struct script unlimited = { "fork", NO_CAP, BACKING_4K, NO_LIMIT, {} };
	char *mem = get_memory(c, BACKING_4K);
	struct ibv_mr *four, *six;
	int err;

	(void)arg;
	confine(c, &unlimited);
	child_open_device(c);
	err = do_reg(c, &four, mem, 4 * P, WRITABLE) ?: do_reg(c, &six, mem, 6 * P, WRITABLE);
	child_note(c, err);
	if (err)
		child_die(c, "cannot register: %s", errno_name(err));
	fork_and_wait(c, four, mem, true);
	child_note(c, 0);
	fork_and_wait(c, NULL, mem, false);
	child_note(c, 0);
	child_note(c, ibv_dereg_mr(six));
}

static int test_fork(const void *arg)
{
	struct child *c = child_start(fork_work, arg, NULL);
	const struct step_result *is;
	int i, err;

	if (!c)
		return FAILED;
	err = child_wait(c);
	for (i = 0; i < FORK_STEPS && !err; i++) {
		is = &c->step[i];
		diag("result memlock-fork-%d: %s, VmPin %ld kB", i + 1, errno_name(is->err),
		     is->vmpin_kb);
		if (is->err || is->vmpin_kb != fork_steps[i].pages * (long)(P / KIB))
			err = fail("%s: %s, VmPin is %ld kB, should be %ld", fork_steps[i].what,
				   errno_name(is->err), is->vmpin_kb,
				   fork_steps[i].pages * (long)(P / KIB));
	}
	child_free(c);
	return err;
}

void memlock_add_tests(void)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(scripts); i++)
		test_add(test_script, &scripts[i], "memlock, %s", scripts[i].name);
	test_add(test_at_once, NULL, "memlock, two processes of one user at once");
	test_add(test_fork, NULL, "memlock, across fork");
}
