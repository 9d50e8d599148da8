// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * A program registers and releases parts of one large mapping, one after the other. It must stay
 * one mapping. Advice for a part would split it: mremap() would refuse to move it as a whole, and
 * the pieces would count against vm.max_map_count.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <sys/mman.h>

#include "case.h"

#define PIECES	8
#define PIECE	(6 * MIB)
#define STEP	(2 * PIECE)
#define LEN	(PIECES * STEP)

static unsigned int mappings(const char *addr, size_t len)
{
	unsigned long from, to, start = (unsigned long)addr;
	FILE *maps = fopen("/proc/self/maps", "re");
	unsigned int count = 0;
	char line[512];

	if (!maps)
		die("cannot read /proc/self/maps: %m");
	while (fgets(line, sizeof(line), maps))
		if (sscanf(line, "%lx-%lx ", &from, &to) == 2 && from < start + len && to > start)
			count++;
	fclose(maps);
	return count;
}

/* No piece begins or ends at the border of a huge page. */
static int register_pieces(char *p)
{
	size_t off;
	int err = PASSED;

	for (off = 3 * SZ_4K; off < LEN && !err; off += STEP)
		err = register_once(p + off, PIECE, ACCESS_ALL);
	return err;
}

static int test_count(const void *mode)
{
	char *p = map_fresh(LEN);
	/* The kernel may have merged it with a neighbour. */
	unsigned int before = mappings(p, LEN), after;
	int err;

	knob_set(&thp, mode);
	err = register_pieces(p);
	after = mappings(p, LEN);
	if (!err && after != before)
		err = fail("there were %u mappings, and now there are %u", before, after);
	munmap(p, LEN);
	return err;
}

static int test_mremap(const void *mode)
{
	char *p = map_fresh(LEN), *moved;
	int err;

	knob_set(&thp, mode);
	err = register_once(p + STEP, PIECE, ACCESS_ALL);
	moved = mremap(p, LEN, LEN + STEP, MREMAP_MAYMOVE);
	if (moved == MAP_FAILED) {
		err = fail("mremap: %m");
		munmap(p, LEN);
	} else {
		munmap(moved, LEN + STEP);
	}
	return err;
}

static int test_limit(const void *mode)
{
	static struct knob limit;
	char *p = map_fresh(LEN), value[16];
	void *own[10];
	size_t i;
	int err;

	knob_set(&thp, mode);
	if (!limit.path[0])
		knob_open(&limit, "/proc/sys/vm/max_map_count");
	/* A process that has lived for long comes as near to the limit as this. */
	snprintf(value, sizeof(value), "%u", mappings(NULL, -1UL) + 20);
	knob_set(&limit, value);
	err = register_pieces(p);
	/* Each differs from its neighbours, so that the kernel does not merge them. */
	for (i = 0; i < ARRAY_SIZE(own); i++) {
		own[i] = mmap(NULL, SZ_4K, i & 1 ? PROT_READ : PROT_NONE, ANON, -1, 0);
		if (own[i] == MAP_FAILED)
			err = fail("mmap %zu of %zu: %m", i + 1, ARRAY_SIZE(own));
	}
	knob_set(&limit, limit.before);
	for (i = 0; i < ARRAY_SIZE(own); i++)
		if (own[i] != MAP_FAILED)
			munmap(own[i], SZ_4K);
	munmap(p, LEN);
	return err;
}

int main(int argc, char **argv)
{
	size_t i;

	case_start("Parts of a mapping are registered; it stays one mapping.", 60, argc, argv);
	for (i = 0; i < ARRAY_SIZE(thp_modes); i++)
		test_add(test_count, thp_modes[i], "the number of mappings, THP %s", thp_modes[i]);
	test_add(test_mremap, "madvise", "mremap() of a mapping that was registered in part");
	test_add(test_limit, "madvise", "mmap() by a process near vm.max_map_count");
	return test_run();
}
