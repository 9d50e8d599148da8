// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Two umems of the same memory, one by stock and one by phyr, must look equal to every user.
 *
 * A test takes umems of several parts of memory of each kind under one function, changes to the
 * other, takes the same again, and compares. It holds all umems at once, so that no page can move
 * in between. It releases each umem under the function that has not made it. There are two such
 * tests, which begin with different functions. Each goes through all kinds, as a change of
 * functions takes seconds.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "pattern.h"
#include "umem.h"

#define LEN		(8 * MIB)
#define COPY_MAX	(64 * KIB)
#define KPF_DIRTY	4

/* --- memory ------------------------------------------------------------------------------- */

struct kind {
	const char *name;
	int (*open)(struct buf *buf, enum backing_kind backing);
	enum backing_kind backing;
	bool read_only;
};

static int open_backing(struct buf *buf, enum backing_kind backing)
{
	return buf_open(buf, backing, LEN);
}

static int open_at(struct buf *buf, int prot, int flags, int fd)
{
	int err;

	*buf = (struct buf){ .len = LEN };
	buf->addr = map_reserve(LEN, SZ_2M, &buf->map, &buf->map_len);
	err = map_fixed(buf->addr, LEN, prot, flags, fd, 0);
	if (err)
		buf_close(buf);
	return err;
}

/* Pinning is the first to touch these pages. */
static int open_untouched(struct buf *buf, enum backing_kind backing)
{
	(void)backing;
	return open_at(buf, RW, ANON, -1);
}

/* The file's pages are mapped; pinning, for reading too, has to copy them. */
static int open_private(struct buf *buf, enum backing_kind backing)
{
	int fd = memfd_create("umem", MFD_CLOEXEC), err;

	(void)backing;
	if (fd < 0 || ftruncate(fd, LEN))
		return fail("memfd: %m");
	err = open_at(buf, RW, MAP_PRIVATE, fd);
	close(fd);
	if (!err && madvise(buf->addr, LEN, MADV_POPULATE_READ))
		err = fail("MADV_POPULATE_READ: %m");
	return err;
}

static int open_file(struct buf *buf, enum backing_kind backing)
{
	int fd = ext4_file(LEN), err;

	(void)backing;
	if (fd < 0)
		return FAILED;
	err = open_at(buf, PROT_READ, MAP_SHARED, fd);
	close(fd);
	return err;
}

static const struct kind kinds[] = {
	{ "4k", open_backing, BACKING_4K, false },
	{ "fragmented", open_backing, BACKING_FRAG, false },
	{ "thp", open_backing, BACKING_THP, false },
	{ "thp by base pages", open_backing, BACKING_THP_PTE, false },
	{ "2M", open_backing, BACKING_HUGE2M_SHARED, false },
	{ "1G", open_backing, BACKING_HUGE1G, false },
	{ "mixed", open_backing, BACKING_MIXED, false },
	{ "untouched", open_untouched, 0, false },
	{ "private file", open_private, 0, false },
	{ "read-only file", open_file, 0, true },
};

/* --- parts of it -------------------------------------------------------------------------- */

struct part {
	const char *name;
	size_t start, len;
	int access;
	uint32_t max_segment;	/* 0 for any; another value applies to PCI devices only */
};

static const struct part parts[] = {
	{ "all", 0, LEN, WRITABLE, 0 },
	{ "all for reading", 0, LEN, READABLE, 0 },
	{ "all but the ends", 1, LEN - 2, WRITABLE, 0 },
	{ "the end of a page and the next", SZ_4K - 1, 2, WRITABLE, 0 },
	{ "one byte", 5 * SZ_4K + 77, 1, READABLE | RELAXED, 0 },
	{ "no byte", 6 * SZ_4K + 1, 0, READABLE, 0 },
	{ "across 2 MiB", SZ_2M - SZ_4K - 3, SZ_2M + 2 * SZ_4K, WRITABLE | RELAXED, 0 },
	{ "the seam", LEN / 2 - SZ_4K, 2 * SZ_4K, READABLE, 0 },
	{ "the last page", LEN - SZ_4K, SZ_4K, WRITABLE, 0 },
	{ "segments of a page", 7, LEN - 7, WRITABLE, SZ_4K },
	{ "segments of a page and a bit", 0, LEN, WRITABLE, 5000 },
	{ "segments of 64 KiB", 0, LEN - 9, WRITABLE, 64 * KIB },
	{ "segments of 1 MiB and a page", SZ_4K, LEN - SZ_4K, READABLE, MIB + SZ_4K },
};

static bool applies(const struct kind *kind, const struct part *part)
{
	return !(kind->read_only && part->access & WRITABLE) && !(part->max_segment && !pci_device);
}

/* --- one umem ----------------------------------------------------------------------------- */

/* A umem, and what a user can see of it. */
struct taken {
	bool phyr;
	struct phyr_umem_test_get get;
	size_t pages;
	uint32_t max_segment;
	struct phyr_umem_test_entry *entries;
	struct phyr_umem_test_block *blocks;	/* of base pages */
};

static void *array(size_t n, size_t size)
{
	void *p = calloc(n ?: 1, size);

	if (!p)
		die("out of memory");
	return p;
}

static const char *who(bool phyr)
{
	return phyr ? "phyr" : "stock";
}

static size_t pages_of(const void *addr, size_t len)
{
	return ((uintptr_t)addr % SZ_4K + len + SZ_4K - 1) / SZ_4K;
}

static int take(struct taken *t, char *addr, const struct part *part, bool phyr)
{
	int err;

	*t = (struct taken){ .phyr = phyr, .pages = pages_of(addr, part->len) };
	t->get = umem_request(addr, part->len, part->access);
	if (part->max_segment)
		t->get.max_segment = part->max_segment;
	/* An entry has whole pages, and its length fits into 32 bits. */
	t->max_segment = t->get.max_segment & ~(SZ_4K - 1);
	err = umem_get(&t->get);
	if (err)
		return fail("%s: refused with %s", who(phyr), errno_name(err));
	if (!t->get.appended != phyr)
		return fail("the umem is not made by %s", who(phyr));
	return PASSED;
}

static int drop(struct taken *t)
{
	free(t->entries);
	free(t->blocks);
	return t->get.id ? umem_release(t->get.id) : PASSED;
}

static int check_facts(const struct taken *t)
{
	const struct phyr_umem_test_get *get = &t->get;
	bool writable = get->access & WRITABLE;

	if (get->address != get->addr || get->iova != get->addr || get->length != get->len)
		return fail("address %#llx, iova %#llx, length %llu", get->address, get->iova,
			    get->length);
	if (get->writable != writable || get->dmabuf || !get->owned)
		return fail("writable %u, of a dma-buf %u, of this process %u", get->writable,
			    get->dmabuf, get->owned);
	return PASSED;
}

/* The scatterlist and its DMA side must have exactly the pages that are mapped, in this order. */
static int check_entries(struct taken *t, const uint64_t *pfn)
{
	struct phyr_umem_test_entries list = { .id = t->get.id, .nr = t->get.entries };
	size_t i, j, page = 0, dma = 0;

	t->entries = array(list.nr, sizeof(*t->entries));
	list.entries = (uintptr_t)t->entries;
	if (umem_call(PHYR_UMEM_TEST_ENTRIES, &list))
		return FAILED;
	if (list.nr != t->get.entries || t->get.total_entries < t->get.entries)
		return fail("%u entries, the end marker is after %u, allocated are %u",
			    t->get.entries, list.nr, t->get.total_entries);
	/* Ours may have at most one unused entry for each cut. Stock allocates as it appends. */
	if (t->phyr && t->get.total_entries > t->get.entries + t->pages * SZ_4K / t->max_segment)
		return fail("%u entries, allocated are %u", t->get.entries, t->get.total_entries);
	for (i = 0; i < list.nr; i++) {
		const struct phyr_umem_test_entry *e = &t->entries[i];

		if (e->offset || e->length % SZ_4K || !e->length || e->length > t->max_segment)
			return fail("entry %zu has offset %u, length %u", i, e->offset, e->length);
		for (j = 0; j < e->length / SZ_4K; j++, page++)
			if (page >= t->pages || e->pfn + j != pfn[page])
				return fail("entry %zu, page %zu of it, is not page %zu", i, j,
					    page);
		dma += e->dma_length;
		if (i < t->get.dma_entries ? !e->dma_length : e->dma_length)
			return fail("DMA side of entry %zu has %llu bytes", i, e->dma_length);
	}
	if (page != t->pages || dma != t->pages * SZ_4K)
		return fail("%zu pages and %zu bytes for DMA, mapped are %zu pages", page, dma,
			    t->pages);
	return PASSED;
}

static int list_blocks(const struct taken *t, uint64_t size, struct phyr_umem_test_block **blocks,
		       struct phyr_umem_test_blocks *list)
{
	*list = (struct phyr_umem_test_blocks){ .id = t->get.id, .size = size };
	if (umem_call(PHYR_UMEM_TEST_BLOCKS, list))
		return FAILED;
	*blocks = array(list->num, sizeof(**blocks));
	list->nr = list->num;
	list->blocks = (uintptr_t)*blocks;
	if (umem_call(PHYR_UMEM_TEST_BLOCKS, list))
		return FAILED;
	if (list->nr != list->num)
		return fail("%llu blocks of %llu bytes, counted were %llu", list->nr, list->size,
			    list->num);
	return PASSED;
}

/* Check which memory the device sees at its addresses. */
static int check_blocks(struct taken *t, const uint64_t *pfn)
{
	struct phyr_umem_test_blocks list;
	size_t i;

	if (list_blocks(t, SZ_4K, &t->blocks, &list))
		return FAILED;
	if (list.num != t->pages)
		return fail("%llu blocks of a page for %zu pages", list.num, t->pages);
	for (i = 0; i < list.num; i++)
		if (t->blocks[i].phys != pfn[i] * SZ_4K)
			return fail("block %zu is at %#llx, not %#lx", i, t->blocks[i].phys,
				    pfn[i] * SZ_4K);
	return PASSED;
}

static int copy_errno(const struct taken *t, uint64_t off, uint64_t len, void *to)
{
	struct phyr_umem_test_copy args = {
		.id = t->get.id,
		.offset = off,
		.len = len,
		.data = (uintptr_t)to,
	};

	return umem_errno(PHYR_UMEM_TEST_COPY, &args);
}

static int check_copies(const struct taken *t)
{
	static char bytes[COPY_MAX];
	const char *memory = (const char *)(uintptr_t)t->get.addr;
	size_t off, len;
	int i;

	for (i = 0; i < 40; i++) {
		/* Copy at both ends first, then at random places. */
		off = i < 2 ? 0 : random_u64() % (t->get.len + 1);
		len = random_u64() % (COPY_MAX + 1);
		if (i % 2 && t->get.len > len)
			off = i == 1 ? t->get.len - len : off / SZ_4K * SZ_4K;
		if (len > t->get.len - off)
			len = t->get.len - off;
		if (copy_errno(t, off, len, bytes))
			return fail("cannot copy %zu bytes at %zu", len, off);
		if (memcmp(bytes, memory + off, len))
			return fail("%zu bytes at %zu are not those in memory", len, off);
	}
	return PASSED;
}

static int check_refused_copies(const struct taken *t)
{
	const uint64_t len = t->get.len, bad[][2] = {
		{ 0, len + 1 }, { len, 1 }, { len + 1, 0 }, { len / 2, len - len / 2 + 1 },
		{ UINT64_MAX, 2 }, { 1, UINT64_MAX }, { 0, UINT64_MAX },
	};
	static char bytes[COPY_MAX];
	size_t i;

	for (i = 0; i < ARRAY_SIZE(bad); i++)
		if (copy_errno(t, bad[i][0], bad[i][1], bytes) != EINVAL)
			return fail("%#lx bytes at %#lx of %lu are not refused with EINVAL",
				    bad[i][1], bad[i][0], len);
	return PASSED;
}

static int check_alone(struct taken *t)
{
	const char *first = (const char *)(uintptr_t)t->get.addr;
	uint64_t *pfn = array(t->pages, sizeof(*pfn));
	int err;

	phys_pfns(first, t->pages, pfn);
	err = check_facts(t) ?: check_entries(t, pfn) ?: check_blocks(t, pfn) ?:
	      check_copies(t) ?: check_refused_copies(t);
	free(pfn);
	return err ? fail("of %s", who(t->phyr)) : PASSED;
}

/* --- two umems of the same memory --------------------------------------------------------- */

/* Does the device see memory at its physical addresses? Then both umems have the same ones. */
static bool same_addresses(const struct taken *t)
{
	return !pci_device || t->blocks[0].dma == t->blocks[0].phys;
}

/* The smallest number of entries that is possible. */
static size_t fewest(const struct taken *t)
{
	const struct phyr_umem_test_entry *e = t->entries;
	size_t n = 0, run = 0;
	uint32_t i;

	for (i = 0; i < t->get.entries; i++) {
		if (i && e[i].pfn != e[i - 1].pfn + e[i - 1].length / SZ_4K) {
			n += (run + t->max_segment - 1) / t->max_segment;
			run = 0;
		}
		run += e[i].length;
	}
	return n + (run + t->max_segment - 1) / t->max_segment;
}

static int compare_facts(const struct taken *stock, const struct taken *phyr)
{
	if (stock->get.dma_attrs != phyr->get.dma_attrs)
		return fail("DMA attributes %#llx, stock's %#llx", phyr->get.dma_attrs,
			    stock->get.dma_attrs);
	if (phyr->get.entries != fewest(phyr) || phyr->get.entries > stock->get.entries)
		return fail("%u entries, stock has %u, the fewest are %zu", phyr->get.entries,
			    stock->get.entries, fewest(phyr));
	if (phyr->get.dma_entries > stock->get.dma_entries)
		return fail("%u entries for DMA, stock has %u", phyr->get.dma_entries,
			    stock->get.dma_entries);
	return PASSED;
}

/* Both umems must have the same number of blocks of that size, with the same memory. */
static int compare_blocks(const struct taken *stock, const struct taken *phyr, uint64_t size)
{
	struct phyr_umem_test_block *of_stock, *of_phyr = NULL;
	struct phyr_umem_test_blocks list, list_phyr;
	size_t i;
	int err;

	err = list_blocks(stock, size, &of_stock, &list) ?:
	      list_blocks(phyr, size, &of_phyr, &list_phyr);
	if (!err && list.num != list_phyr.num)
		err = fail("%llu blocks of %#lx, stock's %llu", list_phyr.num, size, list.num);
	for (i = 0; i < list.num && !err; i++) {
		/* The first may begin, and the last may end, outside of the memory. */
		bool inside = size == SZ_4K || (i && i + 1 < list.num);

		if ((same_addresses(stock) && of_stock[i].dma != of_phyr[i].dma) ||
		    (inside && of_stock[i].phys != of_phyr[i].phys))
			err = fail("block %zu of %#lx at %#llx is %#llx, stock's at %#llx is %#llx",
				   i, size, of_phyr[i].dma, of_phyr[i].phys, of_stock[i].dma,
				   of_stock[i].phys);
	}
	free(of_stock);
	free(of_phyr);
	return err;
}

static int find_best(const struct taken *t, uint64_t sizes, uint64_t virt, uint64_t *best)
{
	struct phyr_umem_test_best args = { .id = t->get.id, .sizes = sizes, .virt = virt };

	if (umem_call(PHYR_UMEM_TEST_BEST, &args))
		return FAILED;
	*best = args.best;
	return PASSED;
}

static int compare_numbers(const struct taken *stock, const struct taken *phyr)
{
	struct phyr_umem_test_blocks a = { .id = stock->get.id }, b = { .id = phyr->get.id };
	unsigned int shift;

	for (shift = 12; shift < 48; shift++) {
		a.size = 1UL << shift;
		b.size = a.size;
		if (umem_call(PHYR_UMEM_TEST_BLOCKS, &a) || umem_call(PHYR_UMEM_TEST_BLOCKS, &b))
			return FAILED;
		if (a.num != b.num)
			return fail("%llu blocks of %#llx, stock's %llu", b.num, b.size, a.num);
	}
	return PASSED;
}

/* Do what a driver does: choose a page size for an IOVA, then fill a table. */
static int compare_best(const struct taken *stock, const struct taken *phyr, uint64_t sizes,
			uint64_t virt)
{
	uint64_t best, best_phyr;

	if (find_best(stock, sizes, virt, &best) || find_best(phyr, sizes, virt, &best_phyr))
		return FAILED;
	/* Behind an IOMMU, either umem may have got a DMA address that is aligned better. */
	if (best_phyr < best && same_addresses(stock))
		return fail("the best page size of %#lx is %#lx, stock's %#lx", sizes, best_phyr,
			    best);
	best = best < best_phyr ? best : best_phyr;
	/* Lists of base pages were compared with memory. */
	return best > SZ_4K ? compare_blocks(stock, phyr, best) : PASSED;
}

static int compare(const struct taken *stock, const struct taken *phyr)
{
	static const uint64_t sizes[] = {
		UINT64_MAX, SZ_4K | SZ_2M | GIB, SZ_4K, 64 * KIB | SZ_4K, SZ_2M, 1, 0,
	};
	uint64_t addr = stock->get.addr, phys = stock->blocks[0].phys + addr % SZ_4K;
	/* The region's own address is the last: the release uncharges pages by this IOVA. */
	uint64_t virt[] = { 0, phys, phys + SZ_2M, addr + SZ_4K, addr + 1, UINT64_MAX, addr };
	size_t i, j;

	if (compare_facts(stock, phyr) || compare_blocks(stock, phyr, SZ_4K))
		return FAILED;
	for (i = 0; i < ARRAY_SIZE(virt); i++) {
		for (j = 0; j < ARRAY_SIZE(sizes); j++)
			if (compare_best(stock, phyr, sizes[j], virt[i]))
				return fail("sizes %#lx, address %#lx for the device", sizes[j],
					    virt[i]);
		if (compare_numbers(stock, phyr))
			return fail("address %#lx for the device", virt[i]);
	}
	return PASSED;
}

/* --- the tests ---------------------------------------------------------------------------- */

/* Memory of a kind, and the umems of its parts, by each function. */
struct set {
	const struct kind *kind;
	struct buf buf;
	struct taken taken[2][ARRAY_SIZE(parts)];
};

static int take_set(struct set *set, bool phyr)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(parts); i++)
		if (applies(set->kind, &parts[i]) &&
		    take(&set->taken[phyr][i], set->buf.addr + parts[i].start, &parts[i], phyr))
			return fail("%s, %s", set->kind->name, parts[i].name);
	return PASSED;
}

static int drop_set(struct set *set, bool phyr)
{
	int err = PASSED;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(parts); i++)
		if (drop(&set->taken[phyr][i]))
			err = fail("%s, %s", set->kind->name, parts[i].name);
	return err;
}

static int compare_set(struct set *set)
{
	struct taken *stock = set->taken[false], *phyr = set->taken[true];
	size_t i;

	for (i = 0; i < ARRAY_SIZE(parts); i++)
		if (applies(set->kind, &parts[i]) &&
		    (check_alone(&stock[i]) || check_alone(&phyr[i]) ||
		     compare(&stock[i], &phyr[i])))
			return fail("%s, %s", set->kind->name, parts[i].name);
	diag("%s: %u entries by stock, %u by phyr", set->kind->name, stock[1].get.entries,
	     phyr[1].get.entries);
	return PASSED;
}

static int take_all(struct set *set, bool phyr)
{
	int err = patch_set(phyr);
	size_t i;

	for (i = 0; i < ARRAY_SIZE(kinds) && !err; i++)
		err = take_set(&set[i], phyr);
	return err;
}

static int drop_all(struct set *set, bool phyr)
{
	int err = PASSED;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(kinds); i++)
		err = drop_set(&set[i], phyr) ?: err;
	return err;
}

static int test_equal(const void *arg)
{
	static struct set set[ARRAY_SIZE(kinds)];
	bool first = arg;
	int err = PASSED;
	size_t i;

	memset(set, 0, sizeof(set));
	for (i = 0; i < ARRAY_SIZE(kinds) && !err; i++) {
		set[i].kind = &kinds[i];
		err = kinds[i].open(&set[i].buf, kinds[i].backing);
	}
	err = err ?: take_all(set, first);
	/* Not before, as pinning should be the first to touch some of the memory. */
	for (i = 0; i < ARRAY_SIZE(kinds) && !err; i++)
		if (!kinds[i].read_only)
			buf_fill(&set[i].buf, i);
	err = err ?: take_all(set, !first);
	for (i = 0; i < ARRAY_SIZE(kinds) && !err; i++)
		err = compare_set(&set[i]);
	err = drop_all(set, first) ?: err;
	err = patch_set(first) ?: err;
	err = drop_all(set, !first) ?: err;
	for (i = 0; i < ARRAY_SIZE(kinds); i++)
		buf_close(&set[i].buf);
	return err;
}

/* A whole 1 GiB page must be one entry, also on the DMA side. */
static int test_one_entry(const void *arg)
{
	static const struct part all = { "all", 0, GIB, WRITABLE, 0 };
	struct taken phyr;
	struct buf buf;
	int err;

	(void)arg;
	if (patch_set(true) || buf_open(&buf, BACKING_HUGE1G, LEN))
		return FAILED;
	/* This is the start of the page in which the buffer begins. */
	err = take(&phyr, buf.addr + LEN / 2 - GIB, &all, true);
	if (!err && (phyr.get.entries != 1 || phyr.get.dma_entries != 1))
		err = fail("%u entries, %u for DMA", phyr.get.entries, phyr.get.dma_entries);
	err = drop(&phyr) ?: err;
	buf_close(&buf);
	return err;
}

static int count_dirty(const char *addr, size_t step, size_t *dirty)
{
	uint64_t pfn, flags;
	size_t off;

	*dirty = 0;
	for (off = 0; off < SZ_2M; off += step) {
		pfn = phys_pfn(addr + off);
		if (!pfn)
			return fail("a page is gone");
		phys_flags(&pfn, 1, &flags);
		*dirty += flags >> KPF_DIRTY & 1;
	}
	return PASSED;
}

/* The release must mark folios dirty that a device may have written to, and no others. */
static int test_dirty(const void *arg)
{
	static const struct {
		enum backing_kind backing;
		size_t step;
	} kind[] = { { BACKING_4K, SZ_4K }, { BACKING_THP, SZ_2M } };
	bool phyr = arg, writable;
	struct part part = { "all", 0, SZ_2M, 0, 0 };
	struct taken t;
	struct buf buf;
	size_t dirty, i;
	int err = patch_set(phyr);

	for (i = 0; i < 2 * ARRAY_SIZE(kind) && !err; i++) {
		writable = i % 2;
		part.access = writable ? WRITABLE : READABLE;
		if (buf_open(&buf, kind[i / 2].backing, SZ_2M))
			return FAILED;
		err = count_dirty(buf.addr, kind[i / 2].step, &dirty);
		if (!err && dirty)
			err = fail("%zu folios of new memory are dirty", dirty);
		err = err ?: take(&t, buf.addr, &part, phyr) ?: drop(&t) ?:
		      count_dirty(buf.addr, kind[i / 2].step, &dirty);
		if (!err && dirty != (writable ? SZ_2M / kind[i / 2].step : 0))
			err = fail("%zu folios are dirty, %s for writing", dirty,
				   writable ? "pinned" : "not pinned");
		buf_close(&buf);
	}
	return err;
}

void equal_add_tests(void)
{
	test_add(test_equal, NULL, "equal, stock first");
	test_add(test_equal, "phyr", "equal, phyr first");
	test_add(test_one_entry, NULL, "1 GiB is one entry");
	test_add(test_dirty, "phyr", "dirty folios, phyr");
	test_add(test_dirty, NULL, "dirty folios, stock");
}
