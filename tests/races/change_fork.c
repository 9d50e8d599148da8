// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * fork(): parent and child share all pages copy-on-write, but those that are pinned.
 *
 * The parent must not notice: what it pins, before, during or after the fork, is its own, and
 * stays so when either of them writes. (That it is the same page as in memory, registrars compare
 * all the time.) The child must not notice either: of what the parent's registrars write through
 * memory and pins, nothing may appear in its memory.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "race.h"

/* How the child ends. */
enum { UNTOUCHED, SNAPSHOT_CHANGED, WRITTEN_CHANGED };

/* In the child. Nobody else may change its memory; the hole is what it did not inherit. */
static int live(struct arena *a, struct range hole, bool writes)
{
	static struct head snapshot[MAX_PAGES];
	unsigned int i, look;

	for (i = 0; i < a->pages; i++) {
		if (i - hole.first < hole.n)
			continue;
		if (writes && i % 3 == 0)
			arena_head(a, i)->tag = tag_make(OWNER_CHILD, i, 0);
		snapshot[i] = *arena_head(a, i);
	}
	for (look = 0; look < 4; look++) {
		for (i = 0; i < a->pages; i++)
			if (i - hole.first >= hole.n &&
			    memcmp(&snapshot[i], arena_head(a, i), sizeof(snapshot[i])))
				return writes && i % 3 == 0 ? WRITTEN_CHANGED : SNAPSHOT_CHANGED;
		usleep(2000);
	}
	return UNTOUCHED;
}

static int reap(pid_t child)
{
	int status;

	if (waitpid(child, &status, 0) != child)
		return fault("waitpid: %m");
	/* Of hugetlb, the child has what the pool has left. */
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGBUS)
		return 0;
	if (WIFSIGNALED(status))
		return fault("the child died of signal %d", WTERMSIG(status));
	switch (WEXITSTATUS(status)) {
	case UNTOUCHED:
		return 1;
	case SNAPSHOT_CHANGED:
		return fault("memory of a child was changed by somebody else");
	default:
		return fault("memory that a child had written was changed by somebody else");
	}
}

/*
 * Mostly, a part is not given to the child. Its pages stay the parent's alone while their
 * neighbours, in the same folio maybe, are shared.
 */
static int fork_step(struct arena *a, unsigned int round)
{
	struct range hole = {};
	pid_t child;
	int made;

	if (round % 3 == 0 && arena_renew(a))
		return FAILED;
	/* (hugetlb does not take MADV_DOFORK on all kernels.) */
	if (arena_unit(a) == 1 && rng_below(4))
		hole = rng_range(a, 64);
	if (hole.n && madvise(a->addr + hole.first * SZ_4K, hole.n * SZ_4K, MADV_DONTFORK))
		return fault("MADV_DONTFORK: %m");
	child = fork();
	if (child < 0)
		return fault("fork: %m");
	if (!child)
		_exit(live(a, hole, rng_below(2)));
	made = reap(child);
	if (hole.n && madvise(a->addr + hole.first * SZ_4K, hole.n * SZ_4K, MADV_DOFORK))
		return fault("MADV_DOFORK: %m");
	return made;
}

const struct change change_fork = {
	.name = "fork",
	.step = fork_step,
};
