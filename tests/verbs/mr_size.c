// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * mr_size: regions from one byte to 1 TiB, over every kind of memory.
 *
 * A test registers a region, reads and writes it at both ends, in the middle and across a physical
 * boundary, and releases it. Accesses outside the region must be refused. The runner compares the
 * kernel's pin counters.
 *
 * For more memory than the machine has, we map a few huge pages again and again, in another order
 * than the file's. We check the bytes through a second mapping, in which each page is mapped once.
 *
 * Our rxe reports what a region is made of. We compare that with /proc/self/pagemap, which shows
 * the physically contiguous runs.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "rdma.h"
#include "nldev.h"

static bool on_stock;
static double max_1tib_ms;	/* 0: no limit */

static struct pair pair;

/* The other side of every transfer. */
#define LOCAL_LEN	(256 * KIB)
static struct buf local;

/* --- memory ------------------------------------------------------------------------------- */

enum memory { MEM_4K, MEM_THP, MEM_HUGE2M, MEM_HUGE1G };

static const char *const memory_name[] = { "4k", "thp", "huge2m", "huge1g" };

/* A few huge pages, present, mapped once in the order of the file. */
struct pages {
	size_t size;			/* of one page */
	size_t count;
	int fd;
	char *addr;
};

struct area {
	char *addr;
	size_t len;
	void *map;
	size_t map_len;
	/* Page i is page order[i % order_len] of these; NULL if the memory is its own. */
	const struct pages *pages;
	const unsigned int *order;
	size_t order_len;
};

/* Makes the pages when they are first needed, and keeps them: it takes seconds to clear 1 GiB. */
static int pages_get(struct pages *p)
{
	size_t len = p->size * p->count;

	if (p->addr)
		return PASSED;
	p->fd = hugetlb_memfd(p->size, len);
	if (p->fd < 0)
		return FAILED;
	p->addr = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, p->fd, 0);
	if (p->addr != MAP_FAILED && !madvise(p->addr, len, MADV_POPULATE_WRITE))
		return PASSED;
	if (p->addr != MAP_FAILED)
		munmap(p->addr, len);
	close(p->fd);
	p->addr = NULL;
	return fail("no %zu free huge pages of %zu MiB: %m", p->count, p->size / MIB);
}

static int area_anon(struct area *a, enum memory kind, size_t len)
{
	struct buf buf;
	int err;

	err = buf_open(&buf, kind == MEM_4K ? BACKING_4K : BACKING_THP,
		       (len + SZ_2M - 1) & ~(SZ_2M - 1));
	if (!err)
		*a = (struct area){ .addr = buf.addr, .len = buf.len, .map = buf.map,
				    .map_len = buf.map_len };
	return err;
}

static int area_huge(struct area *a, struct pages *p, size_t len, const unsigned int *order,
		     size_t order_len)
{
	size_t i, n = (len + p->size - 1) / p->size;
	int err;

	err = pages_get(p);
	if (err)
		return err;
	a->pages = p;
	a->order = order;
	a->order_len = order_len;
	a->len = n * p->size;
	a->addr = map_reserve(a->len, p->size, &a->map, &a->map_len);
	for (i = 0; i < n && !err; i++)
		err = map_fixed(a->addr + i * p->size, p->size, PROT_READ | PROT_WRITE, MAP_SHARED,
				p->fd, order[i % order_len] * p->size);
	/* The memory must be present when it is registered. */
	if (!err && madvise(a->addr, a->len, MADV_POPULATE_WRITE))
		err = fail("MADV_POPULATE_WRITE: %m");
	return err;
}

static void area_close(struct area *a)
{
	if (a->map)
		munmap(a->map, a->map_len);
	*a = (struct area){};
}

static int area_open(struct area *a, enum memory kind, size_t len)
{
	static struct pages pages2m = { .size = SZ_2M, .count = 4 };
	static struct pages pages1g = { .size = GIB, .count = 2 };
	/* Neighbours are one, two or three pages apart, forwards and backwards. */
	static const unsigned int order2m[] = { 0, 2, 1, 3, 0, 1, 3, 2, 0, 3, 1, 2 };
	static const unsigned int order1g[] = { 1, 0, 0, 1, 1 };
	/* A 1 GiB page is mapped 1024 times. */
	static const unsigned int order1t[] = { 0 };
	int err;

	*a = (struct area){};
	if (kind <= MEM_THP)
		err = area_anon(a, kind, len);
	else if (kind == MEM_HUGE2M)
		err = area_huge(a, &pages2m, len, order2m, ARRAY_SIZE(order2m));
	else if (len < TIB)
		err = area_huge(a, &pages1g, len, order1g, ARRAY_SIZE(order1g));
	else
		err = area_huge(a, &pages1g, len, order1t, ARRAY_SIZE(order1t));
	if (err)
		area_close(a);
	return err;
}

/* How many of len bytes at off are in one page of the file; *alias is their other address. */
static size_t area_alias(const struct area *a, size_t off, size_t len, char **alias)
{
	size_t size, left;

	if (!a->pages) {
		*alias = a->addr + off;
		return len;
	}
	size = a->pages->size;
	left = size - off % size;
	*alias = a->pages->addr + a->order[off / size % a->order_len] * size + off % size;
	return len < left ? len : left;
}

static void area_fill(struct area *a, uint16_t seed, size_t off, size_t len)
{
	char *alias;
	size_t n;

	for (; len; off += n, len -= n) {
		n = area_alias(a, off, len, &alias);
		pattern_fill(alias, seed, off, n);
	}
}

/* The pattern of `seed` that starts at `from` must be at off. */
static int area_check(struct area *a, const char *what, uint16_t seed, size_t from, size_t off,
		      size_t len)
{
	char *alias;
	size_t n;
	int err = PASSED;

	for (; len && !err; off += n, from += n, len -= n) {
		n = area_alias(a, off, len, &alias);
		err = pattern_check(what, alias, seed, from, n);
	}
	return err;
}

/* --- transfers ---------------------------------------------------------------------------- */

/* A region over a part of an area. */
struct region {
	struct area *area;
	size_t start, len;
	struct ibv_mr *mr, *lmr;
};

enum { SEED_AREA = 11, SEED_LOCAL = 22 };

/* Bytes around a transfer that must stay as they are, inside the region or not. */
#define AROUND	SZ_4K

/*
 * Read and write len bytes at an offset in the region. Even if pages are mapped more than once, the
 * bytes and their neighbours are different memory: together they are far smaller than a huge page.
 */
static int at(struct region *r, size_t in_region, size_t len)
{
	struct area *a = r->area;
	size_t off = r->start + in_region;
	size_t below = off < AROUND ? off : AROUND;
	size_t above = a->len - off - len < AROUND ? a->len - off - len : AROUND;
	size_t loff = 4099;
	struct ibv_sge l = sge(local.addr + loff, len, r->lmr);
	uint64_t raddr = (uintptr_t)a->addr + off;
	int err;

	area_fill(a, SEED_AREA, off - below, below + len + above);
	buf_fill(&local, SEED_LOCAL);

	err = rdma(&pair, IBV_WR_RDMA_READ, l, raddr, r->mr->rkey, IBV_WC_SUCCESS) ?:
	      pattern_check("what was read", local.addr + loff, SEED_AREA, off, len) ?:
	      area_check(a, "the source", SEED_AREA, off - below, off - below,
			 below + len + above);
	pattern_fill(local.addr + loff, SEED_LOCAL, loff, len);
	err = err ?: buf_check(&local) ?:
	      rdma(&pair, IBV_WR_RDMA_WRITE, l, raddr, r->mr->rkey, IBV_WC_SUCCESS) ?:
	      area_check(a, "what was written", SEED_LOCAL, loff, off, len) ?:
	      pattern_check("what was written, as mapped", a->addr + off, SEED_LOCAL, loff, len) ?:
	      area_check(a, "bytes below", SEED_AREA, off - below, off - below, below) ?:
	      area_check(a, "bytes above", SEED_AREA, off + len, off + len, above) ?:
	      buf_check(&local);
	if (err)
		fail("transfer of %zu bytes, %zu into the region", len, in_region);
	return err;
}

static int outside(struct region *r, uint64_t raddr)
{
	struct ibv_sge l = sge(local.addr, 1, r->lmr);

	return rdma_refused(&pair, IBV_WR_RDMA_READ, l, raddr, r->mr->rkey,
			    IBV_WC_REM_ACCESS_ERR) ?:
	       rdma_refused(&pair, IBV_WR_RDMA_WRITE, l, raddr, r->mr->rkey,
			    IBV_WC_REM_ACCESS_ERR);
}

/* Test both ends, the middle, just outside, and each boundary of 1 GiB, or some of many. */
static int everywhere(struct region *r)
{
	uint64_t start = (uintptr_t)r->area->addr + r->start;
	size_t n = r->len < 64 * KIB + 5 ? r->len : 64 * KIB + 5;
	size_t boundaries = (r->len - 1) / GIB, i, off, above;
	int err;

	err = at(r, 0, n) ?:
	      at(r, r->len - n, n) ?:
	      at(r, (r->len - n) / 2, n) ?:
	      outside(r, start - 1) ?:
	      outside(r, start + r->len);
	for (i = 1; i <= boundaries && !err; i++) {
		if (i > 3 && i != boundaries / 2 && i != boundaries)
			continue;
		off = i * GIB;
		above = r->len - off < n / 2 ? r->len - off : n / 2;
		err = at(r, off - n / 3, n / 3 + above);
	}
	return err;
}

/* --- what the kernel says about the region ------------------------------------------------ */

static int facts_get(struct ibv_mr *mr, struct mr_facts *facts)
{
	int sk = nldev_open(), err;

	if (sk < 0)
		return fail("cannot open RDMA netlink: %s", strerror(-sk));
	err = nldev_mr_facts(sk, ibv_get_device_index(dev.ctx->device), mr->lkey, mr->length,
			     facts);
	close(sk);
	return err ? fail("RDMA netlink knows nothing of the region: %s", strerror(-err)) : PASSED;
}

static int at_most(const struct mr_facts *facts, enum mr_fact fact, uint64_t limit)
{
	if (!facts->known[fact])
		return fail("the kernel reports phyrs, but not %s", mr_fact_name(fact));
	if (facts->value[fact] > limit)
		return fail("%s is %lu, may be %lu", mr_fact_name(fact),
			    (unsigned long)facts->value[fact], (unsigned long)limit);
	return PASSED;
}

static int exactly(const struct mr_facts *facts, enum mr_fact fact, uint64_t value)
{
	if (!facts->known[fact])
		return fail("the kernel reports phyrs, but not %s", mr_fact_name(fact));
	if (facts->value[fact] != value)
		return fail("%s is %lu, should be %lu", mr_fact_name(fact),
			    (unsigned long)facts->value[fact], (unsigned long)value);
	return PASSED;
}

static void facts_print(const struct mr_facts *facts)
{
	char text[256] = "";
	size_t n = 0;
	int i;

	for (i = 0; i < MR_NR_FACTS; i++)
		if (facts->known[i])
			n += snprintf(text + n, sizeof(text) - n, " %s %lu", mr_fact_name(i),
				      (unsigned long)facts->value[i]);
	diag(" %s", text);
}

static int facts_check(const struct region *r, enum memory kind, const struct mr_facts *facts)
{
	uintptr_t addr = (uintptr_t)r->area->addr + r->start;
	size_t pages = (addr + r->len - 1) / SZ_4K - addr / SZ_4K + 1;
	struct runs runs;
	int err;

	err = exactly(facts, MR_PINNED_PAGES, pages) ?:
	      at_most(facts, MR_SMALLEST, facts->value[MR_LARGEST]);
	if (!err && facts->value[MR_SMALLEST] < 1)
		err = fail("smallest is 0");
	/* Reading the page map of 1 TiB would take longer than everything else. */
	if (!err && r->len <= 4 * GIB)
		err = phys_runs((void *)addr, r->len, &runs) ?:
		      exactly(facts, MR_PHYRS, runs.count) ?:
		      at_most(facts, MR_LARGEST, runs.largest);
	err = err ?: at_most(facts, MR_DMA_ENTRIES, facts->value[MR_PHYRS]);
	if (!err && kind != MEM_4K && r->len == GIB)
		err = at_most(facts, MR_PHYRS, 512) ?: at_most(facts, MR_METADATA, 16 * KIB);
	if (!err && r->len == TIB)
		err = at_most(facts, MR_METADATA, 64 * KIB);
	/* Even if no two pages are adjacent, each takes 8 bytes, and a region a little more. */
	if (!err && kind == MEM_4K)
		err = at_most(facts, MR_METADATA, pages * 8 + SZ_4K);
	return err;
}

/* --- one size ----------------------------------------------------------------------------- */

struct size_case {
	enum memory kind;
	size_t len;
};

/* Stock keeps 16 bytes for each page in one kmalloc(), which is limited to 4 MiB. */
static bool stock_refuses(size_t len)
{
	return len > GIB;
}

static bool too_slow(size_t len, double ms)
{
	return len == TIB && max_1tib_ms && ms > max_1tib_ms;
}

/* There are three tries, as a busy host can stall an emulated machine. */
static struct ibv_mr *reg_timed(char *addr, size_t len, double *ms)
{
	struct ibv_mr *mr = NULL;
	int tries;

	for (tries = 0; tries < 3; tries++) {
		if (mr_dereg(&mr))
			break;
		*ms = now_ms();
		mr = ibv_reg_mr(dev.pd, addr, len, ACCESS_ALL);
		*ms = now_ms() - *ms;
		if (!mr || !too_slow(len, *ms))
			break;
	}
	return mr;
}

/* Register, use and release a region. */
static int use_region(struct area *area, size_t start, size_t len, enum memory kind)
{
	struct region r = { .area = area, .start = start, .len = len };
	struct mr_facts facts = {};
	double reg_ms = 0, dereg_ms;
	int err = FAILED;

	r.lmr = mr_reg(local.addr, local.len, IBV_ACCESS_LOCAL_WRITE);
	if (!r.lmr)
		return FAILED;
	r.mr = reg_timed(area->addr + start, len, &reg_ms);
	if (on_stock && stock_refuses(len)) {
		if (!r.mr && errno == ENOMEM) {
			remark("stock refuses: ENOMEM");
			err = PASSED;
		} else {
			fail("stock should refuse this with ENOMEM, but says %s; is it stock?",
			     r.mr ? "ok" : errno_name(errno));
		}
		goto out;
	}
	if (!r.mr) {
		fail("ibv_reg_mr: %s", errno_name(errno));
		goto out;
	}
	err = everywhere(&r) ?: facts_get(r.mr, &facts);
	if (!err && !on_stock && !dev.iwarp)
		err = facts_check(&r, kind, &facts);
	if (!err && too_slow(len, reg_ms))
		err = fail("registration took %.3f ms, may take %.3f", reg_ms, max_1tib_ms);
	dereg_ms = now_ms();
	err = mr_dereg(&r.mr) ?: err;
	dereg_ms = now_ms() - dereg_ms;
	diag("%s, %zu bytes: registered in %.3f ms, released in %.3f ms", memory_name[kind], len,
	     reg_ms, dereg_ms);
	if (facts.known[MR_PHYRS])
		facts_print(&facts);
out:
	err = mr_dereg(&r.mr) ?: err;
	return mr_dereg(&r.lmr) ?: err;
}

/*
 * An emulated machine takes long to make gigabytes of small pages. So we keep the largest area, and
 * test smaller sizes on its first part. There is memory for one such area only.
 */
static int keep(struct area **area, enum memory kind, size_t len)
{
	static struct area kept;
	static enum memory kept_kind;

	*area = &kept;
	if (kept.map && kept_kind == kind && kept.len >= len)
		return PASSED;
	area_close(&kept);
	kept_kind = kind;
	return area_open(&kept, kind, len);
}

static int test_size(const void *arg)
{
	const struct size_case *c = arg;
	struct area own, *a = &own;
	bool share = c->kind <= MEM_THP && c->len >= GIB;
	int err;

	/*
	 * Soft-iWARP keeps a pointer for each page, and another for each 512 of these. For 1 TiB
	 * that is 2 GiB, and a kmalloc() above 4 MiB, at which the kernel warns.
	 */
	if (dev.iwarp && c->len >= TIB)
		return lacks("tables for so much memory");
	err = share ? keep(&a, c->kind, c->len) : area_open(&own, c->kind, c->len);
	if (err)
		return err;
	err = use_region(a, 0, c->len, c->kind);
	if (!share)
		area_close(&own);
	return err;
}

/* The same size at an odd address, with bytes on both sides that do not belong to the region. */
static int test_odd(const void *arg)
{
	const struct size_case *c = arg;
	struct area a;
	int err;

	err = area_open(&a, c->kind, c->len + 2 * SZ_4K);
	if (err)
		return err;
	err = use_region(&a, 4001, c->len, c->kind);
	area_close(&a);
	return err;
}

static int recover(void)
{
	pair_close(&pair);
	return pair_open(&pair, dev.pd);
}

enum { OPT_STOCK = 1000, OPT_MAX_1TIB };

static void option(int c, const char *arg)
{
	char *end;

	if (c == OPT_STOCK) {
		on_stock = true;
		return;
	}
	max_1tib_ms = strtod(arg, &end);
	if (*end || end == arg || max_1tib_ms <= 0)
		die("--max-1tib-ms wants milliseconds, not \"%s\"", arg);
}

static const char *size_name(size_t len)
{
	static const struct {
		size_t len;
		const char *name;
	} names[] = {
		{ MIB - 1, "1 MiB - 1" }, { GIB, "1 GiB" }, { GIB + SZ_4K, "1 GiB + 4 KiB" },
		{ 4 * GIB, "4 GiB" }, { TIB, "1 TiB" },
	};
	static char plain[32];
	size_t i;

	for (i = 0; i < ARRAY_SIZE(names); i++)
		if (names[i].len == len)
			return names[i].name;
	snprintf(plain, sizeof(plain), "%zu byte%s", len, len == 1 ? "" : "s");
	return plain;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "stock", no_argument, NULL, OPT_STOCK },
		{ "max-1tib-ms", required_argument, NULL, OPT_MAX_1TIB },
		{},
	};
	static const struct program prog = {
		.about = "Registers and uses regions of 1 byte to 1 TiB.",
		.subject = &rdma_device,
		.options_help =
			"      --stock        the driver is stock rxe: above 1 GiB expect ENOMEM\n"
			"      --max-1tib-ms MS\n"
			"                     fail if registering 1 TiB takes longer\n",
		.options = options,
		.option = option,
		.watchdog_s = 300,
		.recover = recover,
	};
	static const size_t small[] = { 1, 4095, 4096, 4097, MIB - 1 };
	static const size_t large[] = { 4 * GIB, GIB + SZ_4K, GIB };
	static struct size_case cases[64];
	struct size_case *c = cases;
	unsigned int m, i;

	program_start(&prog, argc, argv);
	for (m = 0; m < ARRAY_SIZE(memory_name); m++) {
		for (i = 0; i < ARRAY_SIZE(small); i++) {
			*c = (struct size_case){ m, small[i] };
			test_add(test_size, c++, "%s, %s", memory_name[m], size_name(small[i]));
		}
		for (i = 0; i < ARRAY_SIZE(small); i++) {
			*c = (struct size_case){ m, small[i] };
			test_add(test_odd, c++, "%s, %s, at an odd address", memory_name[m],
				 size_name(small[i]));
		}
		/* The largest comes first, since the others are parts of it. */
		for (i = 0; i < ARRAY_SIZE(large); i++) {
			*c = (struct size_case){ m, large[i] };
			test_add(test_size, c++, "%s, %s", memory_name[m], size_name(large[i]));
		}
	}
	*c = (struct size_case){ MEM_HUGE1G, TIB };
	test_add(test_size, c++, "%s, %s", memory_name[MEM_HUGE1G], size_name(TIB));

	if (dev.ctx) {
		if (buf_open(&local, BACKING_4K, SZ_2M) || pair_open(&pair, dev.pd))
			die("cannot connect two QPs on %s, GID %d", dev.name, dev.gid_index);
		local.len = LOCAL_LEN;
	}
	return test_run();
}
