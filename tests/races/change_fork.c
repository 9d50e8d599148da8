// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * fork(): parent and child share all pages copy-on-write, except those that are pinned.
 *
 * The parent must not notice. Pages that it pins before, during or after the fork are its own, and
 * stay its own when either process writes. Registrars compare pins with memory all the time. The
 * child must not notice either. Nothing that the parent's registrars write, to memory or through
 * pins, may appear in the child's memory.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "race.h"

/* The child's exit status. */
enum { UNTOUCHED, SNAPSHOT_CHANGED, WRITTEN_CHANGED };

/* Runs in the child. Nobody else may change its memory. It has not inherited the hole. */
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
	/* A child of hugetlb memory dies if the pool has no pages left for its copies. */
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
 * In most rounds, the child does not get some pages. They stay the parent's alone, while their
 * neighbours, which may be in the same folio, are shared.
 */
static int fork_step(struct arena *a, unsigned int round)
{
	struct range hole = {};
	pid_t child;
	int made;

	if (round % 3 == 0 && arena_renew(a))
		return FAILED;
	/* Some kernels refuse MADV_DOFORK for hugetlb. */
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
