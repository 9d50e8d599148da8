// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * What a DMA list must be; see model.h.
 */
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>

#include "edu.h"
#include "memory.h"
#include "model.h"
#include "test.h"

/* Append a piece. With merge, the last piece grows if the new one follows it. */
static void append(struct pieces *to, uint64_t addr, uint64_t len, bool merge)
{
	struct phyr_edu_entry *last = to->nr ? &to->piece[to->nr - 1] : NULL;
	uint64_t offset = last ? last->offset + last->len : 0;

	if (merge && last && last->addr + last->len == addr) {
		last->len += len;
		return;
	}
	/* Room doubles at each power of two. */
	if (!(to->nr & (to->nr - 1))) {
		to->piece = reallocarray(to->piece, to->nr ? 2 * to->nr : 1, sizeof(*to->piece));
		if (!to->piece)
			die("out of memory");
	}
	to->piece[to->nr++] = (struct phyr_edu_entry){ offset, addr, len };
}

struct pieces model_runs(const char *start, size_t len)
{
	size_t head = (uintptr_t)start % SZ_4K, pages = (head + len + SZ_4K - 1) / SZ_4K, i;
	uint64_t *pfn = calloc(pages, sizeof(*pfn));
	struct pieces runs = {};

	if (!pfn)
		die("out of memory");
	phys_pfns(start - head, pages, pfn);
	for (i = 0; i < pages; i++) {
		size_t from = i ? 0 : head, to = i + 1 < pages ? SZ_4K : head + len - i * SZ_4K;

		append(&runs, pfn[i] * SZ_4K + from, to - from, true);
	}
	free(pfn);
	return runs;
}

int model_ranges(uint32_t id, size_t len, struct pieces *ranges)
{
	size_t off, found;
	uint64_t addr;

	*ranges = (struct pieces){};
	for (off = 0; off < len; off += found) {
		if (edu_find(id, off, &addr, &found))
			return fail("offset %#zx of %#zx is not found: %m", off, len);
		if (!found || found > len - off)
			return fail("%#zx bytes found at offset %#zx of %#zx", found, off, len);
		append(ranges, addr, found, true);
	}
	if (!edu_find(id, len, &addr, &found))
		return fail("an offset behind the region is found");
	return PASSED;
}

struct pieces model_cut(const struct pieces *from, uint32_t max_segment, uint64_t boundary)
{
	struct pieces entries = {};
	size_t i;

	for (i = 0; i < from->nr; i++) {
		uint64_t addr = from->piece[i].addr, end = addr + from->piece[i].len, next;

		for (; addr < end; addr = next) {
			/* The longest entries end with a page, and none crosses a boundary. */
			next = (addr / SZ_4K * SZ_4K) + max_segment / SZ_4K * SZ_4K;
			if (next > (addr | boundary))
				next = (addr | boundary) + 1;
			if (next > end)
				next = end;
			append(&entries, addr, next - addr, false);
		}
	}
	return entries;
}

int model_compare(const char *what, const struct pieces *is, const struct pieces *should_be)
{
	size_t i;

	if (is->nr != should_be->nr)
		return fail("%zu %s, should be %zu", is->nr, what, should_be->nr);
	for (i = 0; i < is->nr; i++) {
		const struct phyr_edu_entry *a = &is->piece[i], *b = &should_be->piece[i];

		if (a->offset != b->offset || a->addr != b->addr || a->len != b->len)
			return fail("%s %zu: is %#lx: %#lx + %#lx, not %#lx: %#lx + %#lx", what, i,
				    (long)a->offset, (long)a->addr, (long)a->len,
				    (long)b->offset, (long)b->addr, (long)b->len);
	}
	return PASSED;
}

/* In a block, IOVA and DMA address must agree. All ranges but the first must begin a block. */
static bool size_will_do(const struct pieces *ranges, uint64_t size, uint64_t iova)
{
	size_t i;

	for (i = 0; i < ranges->nr; i++) {
		uint64_t at = iova + ranges->piece[i].offset;

		if ((at ^ ranges->piece[i].addr) % size || (i && at % size))
			return false;
	}
	return true;
}

uint64_t model_best(const struct pieces *ranges, size_t len, uint64_t sizes, uint64_t iova)
{
	uint64_t best = 0, size;

	for (size = 1; size; size <<= 1) {
		if (!(sizes & size) || !size_will_do(ranges, size, iova))
			continue;
		best = size;
		/* If one block holds all of the region, larger sizes are no better. */
		if (iova / size == (iova + len - 1) / size)
			break;
	}
	return best;
}

void pieces_free(struct pieces *pieces)
{
	free(pieces->piece);
	*pieces = (struct pieces){};
}
