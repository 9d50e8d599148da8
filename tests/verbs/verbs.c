// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * verbs: does a memory region give access to exactly its memory, whatever kind of memory that is?
 *
 * One process connects two RC QPs to each other over the device, moves data between memory of every
 * kind, and checks every byte. The tests are in verbs_*.c.
 */
#include "verbs.h"

#define BUF_LEN		(4 * MIB)
#define MIXED_LEN	(8 * MIB)	/* four kinds of memory, 2 MiB each */

/* The first seeds of local and of remote buffers. */
#define SEED_LOCAL	1
#define SEED_REMOTE	101

struct pair pair;

static struct buf locals[BACKING_COUNT], remotes[BACKING_COUNT];

static struct buf *get_buf(struct buf *bufs, enum backing_kind backing, uint16_t seed)
{
	struct buf *buf = &bufs[backing];

	if (!buf->map) {
		if (buf_open(buf, backing, backing == BACKING_MIXED ? MIXED_LEN : BUF_LEN))
			return NULL;
		buf_fill(buf, seed + backing);
	}
	return buf;
}

struct buf *local_buf(enum backing_kind backing)
{
	return get_buf(locals, backing, SEED_LOCAL);
}

struct buf *remote_buf(enum backing_kind backing)
{
	return get_buf(remotes, backing, SEED_REMOTE);
}

int moved(struct buf *dst, size_t doff, const struct buf *src, size_t soff, size_t len)
{
	size_t below = doff < GUARD ? doff : GUARD;
	size_t above = dst->len - doff - len < GUARD ? dst->len - doff - len : GUARD;
	int err;

	err = pattern_check("bytes below the target", dst->addr + doff - below, dst->seed,
			    doff - below, below) ?:
	      pattern_check("the target", dst->addr + doff, src->seed, soff, len) ?:
	      pattern_check("bytes above the target", dst->addr + doff + len, dst->seed,
			    doff + len, above);
	pattern_fill(dst->addr + doff, dst->seed, doff, len);
	return err;
}

/* A failed test may leave dead QPs and foreign bytes behind. */
static int recover(void)
{
	int i;

	for (i = 0; i < BACKING_COUNT; i++) {
		if (locals[i].map)
			buf_fill(&locals[i], locals[i].seed);
		if (remotes[i].map)
			buf_fill(&remotes[i], remotes[i].seed);
	}
	pair_close(&pair);
	return pair_open(&pair, dev.pd);
}

int main(int argc, char **argv)
{
	static const struct program prog = {
		.about = "Checks what RDMA does with registered memory, byte by byte.",
		.subject = &rdma_device,
		.watchdog_s = 120,
		.recover = recover,
	};

	program_start(&prog, argc, argv);
	add_data_tests();
	add_sync_tests();
	add_access_tests();
	add_window_tests();
	add_life_tests();
	if (dev.ctx && pair_open(&pair, dev.pd))
		die("cannot connect two QPs on %s, GID %d", dev.name, dev.gid_index);
	return test_run();
}
