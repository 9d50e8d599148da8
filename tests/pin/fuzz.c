// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Random layouts. A test maps pieces of random kinds, does random things to random
 * parts of them, and pins random regions. layout.h has the model of what must be in
 * memory, check.h the checks of each pin.
 *
 * Each test has one seed, and does the same in each run, as far as the kernel does.
 * PHYR_PIN_SEED=N repeats it with the suite, --seed N with the program.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <sys/mman.h>

#include "cases.h"
#include "check.h"
#include "knobs.h"
#include "pattern.h"
#include "test.h"

#define RW (PROT_READ | PROT_WRITE)

enum { TESTS = 8, LAYOUTS = 3, PIECES = 8, DEEDS = 8, PINS = 3 };

#define LEN (3 * SZ_2M)

static size_t below(size_t n)
{
	return random_u64() % n;
}

/* A random part of the layout: some pages, anywhere, or about as large as a folio. */
static void some_pages(size_t *off, size_t *len)
{
	size_t pages = LEN / SZ_4K;
	size_t n = below(2) ? below(40) + 1 : 1UL << below(11);

	n = n > pages / 2 ? pages / 2 : n;
	*off = below(pages - n) * SZ_4K;
	*len = n * SZ_4K;
}

/* Map a piece at a random place, over what is there. */
static int add_piece(struct layout *l)
{
	unsigned int order = below(3) ? 2 + below(ORDER_2M - 1) : 0;
	size_t align = SZ_4K << order, off, len;
	bool shared = below(2);
	struct object *o;

	some_pages(&off, &len);
	/* Most pieces are aligned so that large folios are possible. */
	if (below(4)) {
		off &= ~(align - 1);
		len = (len + align - 1) & ~(align - 1);
		if (off + len > LEN)
			len = LEN - off;
	}
	knobs_set(1UL << order, 1UL << order);
	switch (below(4)) {
	case 0:
		/* The piece begins at a random page of the object, which may be unaligned. */
		o = layout_memfd(l, len + 8 * SZ_4K, below(2));
		return layout_map(l, off, len, o, below(8), shared, RW);
	case 1:
		o = layout_file(l, len);
		return layout_map(l, off, len, o, 0, false, RW);
	default:
		return layout_map_anon(l, off, len) ?:
		       (below(3) ? layout_write(l, off, len) : PASSED);
	}
}

static bool all_mapped(const struct layout *l, size_t off, size_t len)
{
	size_t at;

	for (at = off; at < off + len; at += SZ_4K)
		if (!l->page[at / SZ_4K].mapped)
			return false;
	return true;
}

static int fork_and_exit(struct layout *l)
{
	struct child child;

	return child_start(&child, l) ?: child_join(&child);
}

/* Do a random thing to a random part. Most need mapped memory, and do nothing over a hole. */
static int do_deed(struct layout *l)
{
	size_t off, len, to;
	unsigned int deed = below(8);

	some_pages(&off, &len);
	if (deed == 0)
		return fork_and_exit(l);
	if (!all_mapped(l, off, len))
		return PASSED;
	switch (deed) {
	case 1:
		return layout_write(l, off, len);
	case 2:
		return layout_dontneed(l, off, len);
	case 3:
		return layout_pageout(l, off, len);
	case 4:
		return layout_protect(l, off, len, below(2));
	case 5:
		/* A move may need a single mapping. Else it leaves the pages in place. */
		to = below((LEN - len) / SZ_4K) * SZ_4K;
		return to + len <= off || off + len <= to ? layout_try_move(l, off, to, len) :
							    PASSED;
	case 6:
		layout_read(l, off, len);
		return PASSED;
	default:
		/* Some kinds cannot be collapsed, and need not be. */
		(void)madvise(l->addr + off, len, MADV_COLLAPSE);
		return PASSED;
	}
}

static int pin_somewhere(struct layout *l)
{
	bool writable = below(2);
	size_t off, len, at, cut;
	int expected = 0;

	some_pages(&off, &len);
	cut = below(2) * below(SZ_4K);
	off += cut;
	len -= cut;
	len -= below(2) * below(len < SZ_4K ? len : SZ_4K);
	for (at = off & ~(SZ_4K - 1); at < off + len; at += SZ_4K) {
		const struct page *page = &l->page[at / SZ_4K];

		if (!page->mapped || (writable && !page->writable))
			expected = EFAULT;
	}
	if (check_region(l, off, len, writable, expected))
		return fail("pinning [%#zx, +%#zx) to %s", off, len, writable ? "write" : "read");
	return PASSED;
}

static int fuzz_layout(void)
{
	struct child child = { .pid = 0 };
	struct layout l;
	int err = PASSED, i;

	layout_open(&l, LEN);
	for (i = 0; i < PIECES && !err; i++)
		err = add_piece(&l);
	for (i = 0; i < DEEDS && !err; i++)
		err = do_deed(&l);
	if (!err && below(2))
		err = child_start(&child, &l);
	for (i = 0; i < PINS && !err; i++)
		err = pin_somewhere(&l);
	if (child.pid)
		err = child_join(&child) ?: err;
	layout_close(&l);
	return err;
}

static int test_fuzz(const void *arg)
{
	unsigned long seed = (uintptr_t)arg;
	int i;

	random_seed(seed);
	for (i = 0; i < LAYOUTS; i++)
		if (fuzz_layout())
			return fail("layout %d of --seed %lu", i, seed);
	return PASSED;
}

void add_fuzz(uint64_t seed)
{
	unsigned long i;

	for (i = 0; i < TESTS; i++)
		test_add(test_fuzz, (void *)(seed + i), "fuzz/seed-%lu", (long)seed + i);
}
