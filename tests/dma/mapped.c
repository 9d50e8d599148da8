// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * A region that is mapped for the device; see mapped.h.
 */
#include <stdlib.h>
#include <string.h>

#include "edu.h"
#include "mapped.h"
#include "pattern.h"
#include "test.h"

bool behind_iommu, has_iova_calls;

int mapped_open(struct mapped *m, enum backing_kind kind, size_t len, const struct region *region)
{
	int err;

	*m = (struct mapped){};
	err = buf_open(&m->buf, kind, len);
	if (err)
		return err;
	m->start = m->buf.addr + region->before;
	m->len = len - region->before - region->behind;
	m->shadow = malloc(len);
	if (!m->shadow)
		die("out of memory");
	mapped_fill(m, 1);
	return PASSED;
}

int mapped_map(struct mapped *m)
{
	int result = edu_map(m->start, m->len, true, PHYR_EDU_BOTH_WAYS, &m->map);

	if (result) {
		m->map.id = 0;
		return fail("cannot be mapped: %s", errno_name(result));
	}
	m->runs = model_runs(m->start, m->len);
	if (m->map.runs != m->runs.nr)
		return fail("pinned in %lu runs, pagemap has %zu", (long)m->map.runs, m->runs.nr);
	return model_ranges(m->map.id, m->len, &m->ranges);
}

int mapped_unmap(struct mapped *m)
{
	int result = m->map.id ? edu_unmap(m->map.id) : 0;

	m->map.id = 0;
	pieces_free(&m->runs);
	pieces_free(&m->ranges);
	return result ? fail("cannot be unmapped: %s", errno_name(result)) : PASSED;
}

void mapped_close(struct mapped *m)
{
	mapped_unmap(m);
	free(m->shadow);
	buf_close(&m->buf);
}

int mapped_check_ranges(const struct mapped *m)
{
	int err;

	if (m->map.ranges != m->ranges.nr)
		err = fail("%lu ranges counted, %zu found", (long)m->map.ranges, m->ranges.nr);
	else if (!behind_iommu)
		err = model_compare("ranges", &m->ranges, &m->runs);
	else if (m->ranges.nr != 1)
		err = fail("%zu ranges behind an IOMMU (%zu runs)", m->ranges.nr, m->runs.nr);
	else
		err = PASSED;
	return err;
}

int mapped_check_entries(const struct mapped *m, uint32_t max_segment, uint64_t boundary)
{
	struct pieces should_be = model_cut(&m->ranges, max_segment, boundary);
	struct pieces is = { .nr = should_be.nr + 1 };
	int err;

	is.piece = calloc(is.nr, sizeof(*is.piece));
	if (!is.piece)
		die("out of memory");
	if (edu_entries(m->map.id, is.piece, &is.nr))
		err = fail("the entries cannot be listed: %m");
	else
		err = model_compare("entries", &is, &should_be);
	if (!err && m->map.entries != should_be.nr)
		err = fail("%lu entries counted, %zu listed", (long)m->map.entries, is.nr);
	pieces_free(&is);
	pieces_free(&should_be);
	return err;
}

/* A byte must be at the same DMA address by its block and by a look-up. */
static int check_block(const struct mapped *m, uint64_t block, uint64_t size, uint64_t iova,
		       size_t off)
{
	uint64_t addr;
	size_t len;

	if (edu_find(m->map.id, off, &addr, &len))
		return fail("offset %#zx is not found: %m", off);
	if (block % size || addr != block + (iova + off) % size)
		return fail("blocks of %#lx: offset %#zx is at %#lx, its block at %#lx", (long)size,
			    off, (long)addr, (long)block);
	return PASSED;
}

static int check_blocks(const struct mapped *m, uint64_t sizes, uint64_t iova)
{
	uint64_t best = model_best(&m->ranges, m->len, sizes, iova), nr, i;
	struct phyr_edu_blocks args = { .id = m->map.id, .sizes = sizes, .iova = iova };
	uint64_t *blocks;
	int err = PASSED;

	nr = best ? (iova % best + m->len - 1) / best + 1 : 0;
	args.nr = nr + 1;
	blocks = calloc(args.nr, sizeof(*blocks));
	if (!blocks)
		die("out of memory");
	args.blocks = (uintptr_t)blocks;
	if (edu_blocks(&args))
		err = fail("PHYR_EDU_BLOCKS: %m");
	else if (args.best != best)
		err = fail("the best of sizes %#lx for IOVA %#lx is %#lx, should be %#lx",
			   (long)sizes, (long)iova, (long)args.best, (long)best);
	else if (args.nr != args.count || args.nr != nr)
		err = fail("%lu blocks of %#lx, %lu counted, should be %lu", (long)args.nr,
			   (long)best, (long)args.count, (long)nr);
	for (i = 0; i < args.nr && !err; i++) {
		size_t first = i ? i * best - iova % best : 0;
		size_t last = (i + 1) * best - iova % best;

		last = last < m->len ? last : m->len;
		err = check_block(m, blocks[i], best, iova, first) ?:
		      check_block(m, blocks[i], best, iova, last - 1);
	}
	free(blocks);
	return err;
}

int mapped_check_blocks(const struct mapped *m)
{
	static const uint64_t sizes[] = {
		~(SZ_4K - 1),		/* any */
		SZ_4K | SZ_2M | GIB,	/* as of a CPU */
		SZ_4K,
		SZ_2M,
	};
	uint64_t user = (uintptr_t)m->start;
	int err = PASSED;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(sizes) && !err; i++)
		err = check_blocks(m, sizes[i], user) ?:
		      check_blocks(m, sizes[i], user % SZ_4K) ?:
		      check_blocks(m, sizes[i], user % SZ_2M) ?:
		      check_blocks(m, sizes[i], user + SZ_4K);
	return err;
}

void mapped_fill(struct mapped *m, uint16_t seed)
{
	buf_fill(&m->buf, seed);
	pattern_fill(m->shadow, seed, 0, m->buf.len);
}

/* Each transfer is of one piece that the device sees, as far as its buffer has room. */
static int transfer(const struct mapped *m, size_t off, size_t len, char *data, bool write)
{
	size_t done, n;
	uint64_t addr;
	int result;

	for (done = 0; done < len; done += n) {
		result = edu_find(m->map.id, off + done, &addr, &n);
		if (result)
			return fail("offset %#zx is not found: %s", off + done, errno_name(result));
		n = n < len - done ? n : len - done;
		n = n < SZ_4K ? n : SZ_4K;
		result = edu_dma(addr, data + done, n, write);
		if (result)
			return fail("DMA at %#lx: %s", (long)addr, errno_name(result));
	}
	return PASSED;
}

int mapped_device_reads(const struct mapped *m, size_t off, size_t len)
{
	char *data = malloc(len);
	int err;

	if (!data)
		die("out of memory");
	err = transfer(m, off, len, data, false);
	if (!err)
		err = pattern_check("what the device reads", data, m->buf.seed,
				    m->start - m->buf.addr + off, len);
	free(data);
	return err;
}

int mapped_device_writes(struct mapped *m, size_t off, size_t len, uint16_t seed)
{
	size_t at = m->start - m->buf.addr + off;

	pattern_fill(m->shadow + at, seed, at, len);
	return transfer(m, off, len, m->shadow + at, true);
}

int mapped_check_memory(const struct mapped *m, const char *when)
{
	size_t i;

	if (!memcmp(m->buf.addr, m->shadow, m->buf.len))
		return PASSED;
	for (i = 0; m->buf.addr[i] == m->shadow[i]; i++)
		;
	return fail("%s: byte %#zx of the buffer (region: %#zx + %#zx) is not what it should be",
		    when, i, (size_t)(m->start - m->buf.addr), m->len);
}
