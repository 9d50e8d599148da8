/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * The parts of the program `verbs`: what they share, and how each adds its tests.
 */
#ifndef PHYR_TESTS_VERBS_VERBS_H
#define PHYR_TESTS_VERBS_VERBS_H

#include "rdma.h"

/* One connected pair for all tests, in dev.pd. */
extern struct pair pair;

/*
 * Two buffers of every backing, filled with different patterns; NULL after fail(). They live as
 * long as the program. Every test leaves them as it found them, which buf_check() proves.
 */
struct buf *local_buf(enum backing_kind backing);
struct buf *remote_buf(enum backing_kind backing);

/* Messages keep away from the ends of a buffer, so that bytes beyond a region can be checked. */
#define MARGIN		(4 * SZ_4K)
/* How many neighbouring bytes are checked after each message. */
#define GUARD		SZ_4K

/*
 * Check that dst[doff, doff + len) has src's pattern from soff, and that its neighbours have dst's.
 * Then put dst's own pattern back.
 */
int moved(struct buf *dst, size_t doff, const struct buf *src, size_t soff, size_t len);

void add_data_tests(void);	/* verbs_data.c: operations that move data */
void add_sync_tests(void);	/* verbs_sync.c: atomics, atomic write, flush */
void add_access_tests(void);	/* verbs_access.c: accesses that must be refused */
void add_window_tests(void);	/* verbs_window.c: memory windows */
void add_life_tests(void);	/* verbs_life.c: regions that come, go, overlap, fork */

#endif /* PHYR_TESTS_VERBS_VERBS_H */
