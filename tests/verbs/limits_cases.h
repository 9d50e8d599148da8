/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * What the parts of `limits` share: how to run a case in a process of its own.
 *
 *	limits.c		the program; children
 *	limits_memlock.c	RLIMIT_MEMLOCK, CAP_IPC_LOCK and VmPin
 *	limits_pages.c		how many pages a region can have
 *	limits_memcg.c		memory cgroups
 *
 * Cases print their results as "# result CASE: ...". The suite compares these lines of stock rxe
 * with ours; see tests/guest/stock-and-phyr.
 */
#ifndef PHYR_TESTS_VERBS_LIMITS_CASES_H
#define PHYR_TESTS_VERBS_LIMITS_CASES_H

#include <stdatomic.h>
#include <sys/types.h>

#include "rdma.h"

#define RW		(PROT_READ | PROT_WRITE)
#define ANON		(MAP_PRIVATE | MAP_ANONYMOUS)
#define WRITABLE	IBV_ACCESS_LOCAL_WRITE
#define READABLE	IBV_ACCESS_REMOTE_READ

extern bool on_stock;

enum { MAX_STEPS = 24 };

/*
 * A child, and the memory that it shares with us. The child sets its limits, opens the device for
 * itself, and notes the result of each step.
 */
struct child {
	pid_t pid;
	struct ibv_context *ctx;	/* the child's own */
	struct ibv_pd *pd;
	atomic_int *meeting;		/* where children wait for each other, or NULL */
	int met;			/* how many meetings it has had */
	char why[200];			/* why it could not do its work */
	unsigned int steps;
	struct step_result {
		int err;
		long vmpin_kb;
		long charged_kb;	/* to its memory cgroup, if the case has one */
	} step[MAX_STEPS];
};

typedef void (*child_fn)(struct child *c, const void *arg);

/* NULL after fail(). */
struct child *child_start(child_fn work, const void *arg, atomic_int *meeting);
/* Wait for the child's end. Returns its wait status. */
int child_reap(struct child *c);
/* The same for a child that must have done its work. PASSED, or FAILED after fail(). */
int child_wait(struct child *c);
void child_free(struct child *c);

/* In the child: give up. */
void child_die(struct child *c, const char *fmt, ...) PRINTF(2, 3) __attribute__((noreturn));
/* In the child: open the device, which closes when the process ends. */
void child_open_device(struct child *c);
/* In the child: note the result of a step, and VmPin. */
void child_note(struct child *c, int err);

void memlock_add_tests(void);
void pages_add_tests(void);
void memcg_add_tests(void);

#endif
