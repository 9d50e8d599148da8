// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Regions that must be refused, and tests that do not fit the table of pin.c. Each
 * refusal comes after a part of the region was pinned, which must be unpinned.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cases.h"
#include "check.h"
#include "device.h"
#include "knobs.h"
#include "memory.h"
#include "test.h"

#define RW (PROT_READ | PROT_WRITE)

/* A part of a region is spoilt as the name says. */
struct refusal {
	const char *name;
	int (*spoil)(struct layout *l, size_t at, size_t len);
	bool readable;		/* a read-only pin must succeed */
};

static int spoil_hole(struct layout *l, size_t at, size_t len)
{
	size_t off;

	for (off = at; off < at + len; off += SZ_4K)
		l->page[off / SZ_4K] = (struct page){};
	return munmap(l->addr + at, len) ? fail("munmap: %m") : PASSED;
}

static int spoil_none(struct layout *l, size_t at, size_t len)
{
	size_t off;

	for (off = at; off < at + len; off += SZ_4K)
		l->page[off / SZ_4K] = (struct page){};
	return mprotect(l->addr + at, len, PROT_NONE) ? fail("mprotect: %m") : PASSED;
}

static int spoil_readonly(struct layout *l, size_t at, size_t len)
{
	return layout_protect(l, at, len, false);
}

static int spoil_secret(struct layout *l, size_t at, size_t len)
{
	int fd = syscall(SYS_memfd_secret, O_CLOEXEC), err;

	if (fd < 0)
		return skip("memfd_secret: %s", errno_name(errno));
	if (ftruncate(fd, len))
		die("ftruncate of secret memory: %m");
	err = layout_map(l, at, len, layout_memfd(l, len, false), 0, true, RW) ?:
	      map_fixed(l->addr + at, len, RW, MAP_SHARED, fd, 0);
	close(fd);
	return err;
}

static const struct refusal refusals[] = {
	{ "hole", spoil_hole, false },
	{ "prot-none", spoil_none, false },
	{ "read-only", spoil_readonly, true },
	{ "secret", spoil_secret, false },
};

struct refusal_case {
	const struct refusal *refusal;
	unsigned int order;
	bool writable;
};

static int test_refusal(const void *arg)
{
	const struct refusal_case *c = arg;
	size_t folio = SZ_4K << c->order, at, len = 3 * folio;
	bool refused = c->writable || !c->refusal->readable;
	struct layout l;
	int err;

	/* A page in the middle of a folio, its last page, and all of the next folio. */
	const struct {
		size_t at, len;
	} where[] = {
		{ folio + folio / 2, SZ_4K }, { 2 * folio - SZ_4K, SZ_4K }, { 2 * folio, folio },
	};

	knobs_set(1UL << c->order, 0);
	for (at = c->order ? 0 : 1, err = PASSED; at < ARRAY_SIZE(where) && !err; at++) {
		layout_open(&l, (len + SZ_2M - 1) & ~(SZ_2M - 1));
		err = layout_map_anon(&l, 0, len) ?:
		      layout_write(&l, 0, len) ?:
		      layout_prove_order(&l, 0, len, c->order) ?:
		      c->refusal->spoil(&l, where[at].at, where[at].len) ?:
		      check_region(&l, 0, len, c->writable, refused ? EFAULT : 0);
		layout_close(&l);
	}
	return err;
}

/*
 * Pages of a file are faulted in under the mmap_lock. Behind them is memory of a driver, of which
 * the first page is mapped, and writable: GUP-fast pins that without a look at the mapping. GUP
 * refuses the rest, and none of it may be faulted in.
 */
static int test_io(const void *arg)
{
	const unsigned int order = 4;
	const size_t file = 2 * (SZ_4K << order), io = 64 * KIB;
	uint64_t pfn[16], mapped = 0, i;
	struct phyr_test_pin pin;
	struct layout l;
	int err;

	(void)arg;
	knobs_set(0, 1UL << order);
	layout_open(&l, SZ_2M);
	err = layout_map(&l, 0, file, layout_memfd(&l, file, true), 0, true, PROT_READ);
	if (!err && device_map_io(l.addr + file, io))
		err = fail("cannot map the device's memory: %m");
	if (!err) {
		layout_read(&l, 0, file);
		err = layout_prove_order(&l, 0, file, order);
	}
	if (!err) {
		(void)*(volatile char *)(l.addr + file);
		err = device_pin(l.addr, file + io, false, &pin);
		if (!err)
			device_unpin(pin.id, false);
		phys_pfns(l.addr + file, ARRAY_SIZE(pfn), pfn);
		for (i = 0; i < ARRAY_SIZE(pfn); i++)
			mapped += pfn[i] != 0;
		err = err == EFAULT ? PASSED : fail("pin: %s", errno_name(err));
		if (mapped != 1)
			err = fail("%lu pages of the device are mapped now", mapped);
	}
	layout_close(&l);
	return err;
}

/* Arguments that are no region. */
static int test_arguments(const void *arg)
{
	static const struct {
		uintptr_t start;
		size_t len;
		int err;
	} bad[] = {
		{ 0x10000, 0, EINVAL },
		{ ~0UL - 100, 200, EINVAL },
		{ ~0UL - 100, 100, EINVAL },
		{ 0x10000, SIZE_MAX, EINVAL },
		{ 0x10000, (UINT_MAX + 1UL) * SZ_4K, EINVAL },
		{ 0x10000, SZ_4K, EFAULT },
		{ 1UL << 63, SZ_4K, EFAULT },
	};
	struct phyr_test_pin pin;
	size_t i;
	int err;

	(void)arg;
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		err = device_pin((void *)bad[i].start, bad[i].len, true, &pin);
		if (err != bad[i].err)
			return fail("%#lx, +%#lx: %s, should be %s", bad[i].start, bad[i].len,
				    errno_name(err), errno_name(bad[i].err));
	}
	return PASSED;
}

/* Several pins of the same memory: each one counts, and can be undone by itself. */
static int test_overlap(const void *arg)
{
	struct phyr_test_pin pin[3];
	struct phyr_test_folio folio;
	struct layout l;
	unsigned int i;
	int err;

	(void)arg;
	knobs_set(1UL << ORDER_2M, 0);
	layout_open(&l, SZ_2M);
	err = layout_map_anon(&l, 0, SZ_2M) ?:
	      layout_write(&l, 0, SZ_2M) ?:
	      layout_prove_order(&l, 0, SZ_2M, ORDER_2M);
	for (i = 0; i < 3 && !err; i++)
		if (device_pin(l.addr + i * SZ_4K, MIB, i & 1, &pin[i]))
			err = fail("pin %u: %m", i);
	for (i = 0; i < 3 && !err; i++) {
		if (device_folio(pin[2].id, 0, &folio) || folio.pins != (3 - i) * MIB / SZ_4K)
			err = fail("with %u of 3 pins gone the folio has %lu", i, (long)folio.pins);
		if (i < 2 && device_unpin(pin[i].id, false))
			err = fail("unpin %u: %m", i);
	}
	if (!err && device_unpin(pin[2].id, false))
		err = fail("unpin: %m");
	layout_close(&l);
	return err;
}

/* A pin holds its pages after the memory was unmapped. Undoing the pin frees them. */
static int test_munmap(const void *arg)
{
	struct phyr_test_pin pin;
	struct layout l;
	char *data = malloc(SZ_2M);
	int err;

	(void)arg;
	knobs_set(1UL << ORDER_2M, 0);
	layout_open(&l, 2 * SZ_2M);
	err = layout_map_anon(&l, 0, 2 * SZ_2M) ?: layout_write(&l, 0, 2 * SZ_2M);
	if (!err && device_pin(l.addr + MIB, SZ_2M, true, &pin))
		err = fail("pin: %m");
	if (!err) {
		munmap(l.addr, l.len);
		if (device_read(pin.id, 0, data, SZ_2M))
			err = fail("read: %m");
		err = err ?: layout_compare(&l, "the device, after munmap", MIB, SZ_2M, data);
		if (device_unpin(pin.id, true))
			err = fail("unpin: %m");
	}
	free(data);
	layout_close(&l);
	return err;
}

void add_special(void)
{
	static const unsigned int orders[] = { 0, 4, ORDER_2M };
	size_t i, j;
	int writable;

	test_add(test_arguments, NULL, "refused/arguments");
	test_add(test_io, NULL, "refused/io");
	for (i = 0; i < ARRAY_SIZE(refusals); i++)
		for (j = 0; j < ARRAY_SIZE(orders); j++)
			for (writable = 0; writable < 2; writable++) {
				struct refusal_case *c = malloc(sizeof(*c));

				if (!c)
					die("out of memory");
				*c = (struct refusal_case){ &refusals[i], orders[j], writable };
				test_add(test_refusal, c, "refused/%s/%luk/%s", refusals[i].name,
					 4UL << orders[j], writable ? "write" : "read");
			}
	test_add(test_overlap, NULL, "overlapping-pins");
	test_add(test_munmap, NULL, "unmapped-while-pinned");
}

/* --- memory --- */

static long mem_free_kb(void)
{
	char line[128];
	long kb = -1;
	FILE *f = fopen("/proc/meminfo", "r");

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "MemFree: %ld", &kb) == 1)
			break;
	if (kb < 0)
		die("cannot read MemFree from /proc/meminfo");
	fclose(f);
	return kb;
}

/* Pin once with success, and once with a hole behind folios of 64 KiB. */
static int pin_both_ways(void)
{
	struct phyr_test_pin pin;
	struct layout l;
	int err;

	layout_open(&l, SZ_2M);
	err = layout_map_anon(&l, 0, MIB);
	if (device_pin(l.addr + 5, MIB, true, &pin) != EFAULT)
		err = fail("a region with a hole was not refused");
	if (device_pin(l.addr + 5, MIB - 5, true, &pin) || device_unpin(pin.id, true))
		err = fail("pin and unpin: %m");
	layout_close(&l);
	return err;
}

/*
 * If a page is lost in each round, MemFree shows it. Whatever else the machine does
 * shows there, too, but not in each try.
 */
static int test_memory(const void *arg)
{
	enum { TRIES = 4, ROUNDS = 100 };
	int try, round, err = PASSED;
	long lost = 0;

	(void)arg;
	knobs_set(1UL << 4, 0);
	for (try = 0; try < TRIES; try++) {
		lost = mem_free_kb();
		for (round = 0; round < ROUNDS && !err; round++)
			err = pin_both_ways();
		lost -= mem_free_kb();
		if (err || lost < ROUNDS * (long)(SZ_4K / KIB) / 2)
			return err;
	}
	return fail("%ld kB less memory is free after %d rounds, at the last of %d tries", lost,
		    ROUNDS, TRIES);
}

void add_memory(void)
{
	test_add(test_memory, NULL, "memory-comes-back");
}
