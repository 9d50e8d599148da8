// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * The neighbour: a process that owns no arena and pins nothing, but takes memory and gives it back
 * all the time. If a page is freed while a pin still leads to it, the neighbour soon gets it. Then
 * registrars see the neighbour's tags, and the neighbour sees what they write: nobody else writes
 * to its heads.
 */
#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "race.h"

enum { PIECES = 96 };

static struct {
	atomic_ulong rounds;
	atomic_bool complains;
	char complaint[160];
} *shared;

struct piece {
	char *addr;
	unsigned int pages;
};

static void verify(const struct piece *p, unsigned int number)
{
	struct head *head, want = {};
	unsigned int i;

	for (i = 0; i < p->pages; i++) {
		head = (struct head *)(p->addr + i * SZ_4K);
		want.tag = tag_make(OWNER_NEIGHBOUR, i, number);
		if (!memcmp(head, &want, sizeof(want)))
			continue;
		snprintf(shared->complaint, sizeof(shared->complaint),
			 "a page that belongs to another process was written to: %#lx %#lx %#lx %#lx",
			 head->tag, head->slot[0], head->slot[1], head->spare);
		shared->complains = true;
		_exit(1);
	}
}

static void take(struct piece *p, unsigned int number)
{
	static const unsigned int sizes[] = { 1, 1, 4, 16, 16, 32, 64 };
	unsigned int i;

	/* Two of the pieces are large enough for huge pages. */
	p->pages = number < 2 ? 2 * PAGES_2M : sizes[rng_below(ARRAY_SIZE(sizes))];
	p->addr = mmap(NULL, p->pages * SZ_4K, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
		       -1, 0);
	if (p->addr == MAP_FAILED)
		_exit(2);
	if (p->pages >= PAGES_64K)
		madvise(p->addr, p->pages * SZ_4K, MADV_HUGEPAGE);
	for (i = 0; i < p->pages; i++)
		((struct head *)(p->addr + i * SZ_4K))->tag = tag_make(OWNER_NEIGHBOUR, i, number);
}

static void live(void)
{
	static struct piece pieces[PIECES];
	unsigned int number;

	for (;;) {
		number = rng_below(PIECES);
		if (pieces[number].addr) {
			verify(&pieces[number], number);
			munmap(pieces[number].addr, pieces[number].pages * SZ_4K);
		}
		take(&pieces[number], number);
		/* Leave most of the CPU time to the registrars. */
		if (!(++shared->rounds % 4))
			usleep(2000);
	}
}

void neighbour_start(void)
{
	pid_t parent = getpid();

	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		      0);
	if (shared == MAP_FAILED)
		die("mmap: %m");
	switch (fork()) {
	case -1:
		die("fork: %m");
	case 0:
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != parent)
			_exit(0);
		live();
	}
}

unsigned long neighbour_rounds(void)
{
	return shared->rounds;
}

const char *neighbour_complaint(void)
{
	return shared->complains ? shared->complaint : NULL;
}
