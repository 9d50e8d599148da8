// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Memory lies where its policy places it. These tests are there on a machine with four nodes.
 */
#define _GNU_SOURCE
#include <linux/mempolicy.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "prepare_case.h"

/* So many huge pages that each of a few nodes must have its share of them, in one step (huge.c). */
#define NODES_LEN	(64 * MIB)
enum { NODES = 4 };

static bool has_nodes(unsigned int count)
{
	char path[64];

	snprintf(path, sizeof(path), "/sys/devices/system/node/node%u", count - 1);
	return !access(path, F_OK);
}

/* Bytes of it on each node. */
static int count_on_nodes(char *addr, size_t len, size_t bytes[NODES])
{
	void *page[512];
	int node[512];
	size_t at, i;

	for (at = 0; at < len; at += sizeof(page) / sizeof(*page) * SZ_4K) {
		for (i = 0; i < ARRAY_SIZE(page); i++)
			page[i] = addr + at + i * SZ_4K;
		if (syscall(SYS_move_pages, 0, ARRAY_SIZE(page), page, NULL, node, 0))
			return fail("move_pages: %m");
		for (i = 0; i < ARRAY_SIZE(page); i++) {
			if (node[i] < 0 || node[i] >= NODES)
				return fail("a page is on node %d", node[i]);
			bytes[node[i]] += SZ_4K;
		}
	}
	return PASSED;
}

static const struct placed {
	const char *name;
	int policy;
	unsigned long nodes;	/* a bit for each */
	uint32_t steps;
} placed[] = {
	{ "all on one", MPOL_BIND, 1 << 2, AUTO },
	{ "taking turns, two", MPOL_INTERLEAVE, 1 << 0 | 1 << 1, AUTO },
	{ "taking turns, three", MPOL_INTERLEAVE, 1 << 0 | 1 << 1 | 1 << 3, AUTO },
	{ "taking turns, four", MPOL_INTERLEAVE, 0xf, AUTO },
	{ "taking turns, base pages", MPOL_INTERLEAVE, 0xf, POPULATE },
	{ "taking turns, advice", MPOL_INTERLEAVE, 0xf, ADVISE },
};

/* A policy of the mapping's own. */
static int test_placed(const void *arg)
{
	const struct placed *p = arg;
	size_t share = NODES_LEN / __builtin_popcountl(p->nodes), bytes[NODES] = {};
	struct prepare_report report;
	struct area area;
	int err, node;

	err = area_open_anon(&area, NODES_LEN, 0);
	if (!err && syscall(SYS_mbind, area.addr, area.len, p->policy, &p->nodes,
			    8 * sizeof(p->nodes), 0))
		err = fail("mbind: %m");
	err = err ?: ask(area.addr, area.len, p->steps, 0, &report);
	if (!err && (report.populated_bytes != NODES_LEN ||
		     report.huge_bytes != (p->steps & HUGEPAGE ? NODES_LEN : 0)))
		err = fail("%zu bytes were populated, %zu huge", report.populated_bytes,
			   report.huge_bytes);
	err = err ?: count_on_nodes(area.addr, area.len, bytes);
	for (node = 0; node < NODES && !err; node++) {
		size_t expect = p->nodes & 1UL << node ? share : 0;

		if (bytes[node] > expect + expect / 2 || bytes[node] < expect - expect / 2)
			err = fail("node %d has %zu MiB, not %zu", node, bytes[node] / MIB,
				   expect / MIB);
	}
	area_close(&area);
	return err;
}

void nodes_add_tests(void)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(placed) && has_nodes(NODES); i++)
		test_add(test_placed, &placed[i], "nodes, %s", placed[i].name);
}
