/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * What the libibverbs test programs share.
 *
 * A test is a function that returns 0 (passed), FAILED (after fail() said why) or SKIPPED (after
 * skip() said why).  The runner prints TAP, looks after a watchdog, and adds one check to every
 * test: when it returns, the kernel must hold exactly as many page pins as before, machine-wide
 * (nr_foll_pin_* in /proc/vmstat) and for this process (VmPin in /proc/self/status).
 *
 * Data is checked with a pattern in which every 8-byte word encodes its own offset and a seed, so
 * a byte from the wrong place is never equal by chance, and the message says where it came from.
 */
#ifndef PHYR_TESTS_VERBS_COMMON_H
#define PHYR_TESTS_VERBS_COMMON_H

#include <getopt.h>
#include <infiniband/verbs.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KIB		(1UL << 10)
#define MIB		(1UL << 20)
#define GIB		(1UL << 30)
#define TIB		(1UL << 40)
#define SZ_4K		(4 * KIB)
#define SZ_2M		(2 * MIB)

#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))
#define PRINTF(f, a)	__attribute__((format(printf, f, a)))

/* --- tests ------------------------------------------------------------------------------- */

enum { PASSED = 0, FAILED = -1, SKIPPED = 1 };

typedef int (*test_fn)(const void *arg);

void test_add(test_fn fn, const void *arg, const char *name, ...) PRINTF(3, 4);
int test_run(void);

/* Both return the value that the test should return. Callers may add to what was said before. */
int fail(const char *fmt, ...) PRINTF(1, 2);
int skip(const char *fmt, ...) PRINTF(1, 2);
void diag(const char *fmt, ...) PRINTF(1, 2);
/* Something to say behind the "#" of an "ok" line. */
void remark(const char *fmt, ...) PRINTF(1, 2);

/* Not a test's failure: the program cannot go on. Exit status 2. */
void die(const char *fmt, ...) PRINTF(1, 2) __attribute__((noreturn));

struct program {
	const char *about;		/* one line for -h */
	const char *options_help;	/* further lines for -h, or NULL */
	const struct option *options;	/* long options beyond the common ones, or NULL */
	void (*option)(int c, const char *arg);
	unsigned int watchdog_s;	/* no single test may take longer */
	int (*recover)(void);		/* after a failed test, so that the next starts clean */
};

/* Parse the command line and, unless tests are only to be listed, open the device. */
void program_start(const struct program *prog, int argc, char **argv);

/* --- pins -------------------------------------------------------------------------------- */

struct pins {
	long machine;		/* nr_foll_pin_acquired - nr_foll_pin_released */
	long vmpin_kb;
};

struct pins pins_read(void);

/* --- pattern ----------------------------------------------------------------------------- */

/* The bytes [off, off + len) of the pattern with that seed, written to dst or compared with p. */
void pattern_fill(void *dst, uint16_t seed, uint64_t off, size_t len);
int pattern_check(const char *what, const void *p, uint16_t seed, uint64_t off, size_t len);
int zero_check(const char *what, const void *p, size_t len);
uint64_t random_u64(void);	/* the same sequence in every run */

/* --- memory ------------------------------------------------------------------------------ */

enum backing {
	BACKING_4K,		/* anonymous base pages */
	BACKING_FRAG,		/* pages of a memfd in shuffled order: no two neighbours adjacent */
	BACKING_THP,		/* anonymous 2 MiB folios, mapped by a PMD */
	BACKING_THP_PTE,	/* the same folios mapped by PTEs */
	BACKING_HUGE2M,		/* hugetlb 2 MiB, neighbours not adjacent */
	BACKING_HUGE1G,		/* across the end of a 1 GiB page that is mapped twice */
	BACKING_MIXED,		/* 2 MiB each of 4k, thp, huge2m, frag */
	BACKING_COUNT,
};

extern const char *const backing_name[BACKING_COUNT];

struct buf {
	char *addr;		/* the memory under test */
	size_t len;
	enum backing backing;
	uint16_t seed;		/* of the pattern it is filled with */
	void *map;		/* what to unmap */
	size_t map_len;
};

/* len is a multiple of 2 MiB. The memory is present, and proven to be what was asked for. */
int buf_open(struct buf *buf, enum backing backing, size_t len);
void buf_close(struct buf *buf);
void buf_fill(struct buf *buf, uint16_t seed);
int buf_check(const struct buf *buf);

int hugetlb_memfd(size_t page_size, size_t len);
void *map_reserve(size_t len, size_t align, void **map, size_t *map_len);
int map_fixed(void *addr, size_t len, int prot, int flags, int fd, off_t off);

/* Physically contiguous runs behind present memory, from /proc/self/pagemap. */
struct runs {
	size_t count;
	size_t largest;		/* bytes */
};

int phys_runs(const void *addr, size_t len, struct runs *runs);
uint64_t phys_pfn(const void *addr);
/* Sum of one field of /proc/self/smaps ("AnonHugePages") over all mappings inside the range. */
long smaps_kb(const void *addr, size_t len, const char *field);

/* --- device ------------------------------------------------------------------------------ */

struct device {
	const char *name;
	int gid_index;
	struct ibv_context *ctx;
	struct ibv_pd *pd;
	struct ibv_device_attr_ex attr;
	struct ibv_port_attr port;
	union ibv_gid gid;
};

extern struct device dev;

#define ACCESS_ALL	(IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE | \
			 IBV_ACCESS_REMOTE_READ | IBV_ACCESS_REMOTE_ATOMIC)

/* NULL after fail(). */
struct ibv_mr *mr_reg(void *addr, size_t len, int access);
int mr_dereg(struct ibv_mr **mr);

/*
 * Two RC QPs in one protection domain, connected to each other: qp[0] requests, qp[1] responds.
 * An error completion leaves both in the error state; pair_recycle() brings them back.
 */
struct pair {
	struct ibv_cq *cq[2];
	struct ibv_qp *qp[2];
};

enum { MAX_SGE = 30, MAX_INLINE = 200, MAX_WR = 64 };

int pair_open(struct pair *pair, struct ibv_pd *pd);
int pair_recycle(struct pair *pair);
void pair_close(struct pair *pair);

/* One scatter/gather entry. */
struct ibv_sge sge(const void *addr, size_t len, const struct ibv_mr *mr);

/* Wait for one completion and demand this status. wc may be NULL. */
int wait_wc(struct ibv_cq *cq, enum ibv_wc_status status, struct ibv_wc *wc);
/* No completion may be there. */
int no_wc(struct ibv_cq *cq);

int post_send(struct ibv_qp *qp, struct ibv_send_wr *wr);
int post_recv(struct ibv_qp *qp, struct ibv_sge *sges, int n);

/* One RDMA write or read from qp[0] with a single local buffer; waits and demands the status. */
int rdma(struct pair *pair, enum ibv_wr_opcode opcode, struct ibv_sge local, uint64_t raddr,
	 uint32_t rkey, enum ibv_wc_status status);
/* The same where it must fail: afterwards the pair is recycled. */
int rdma_refused(struct pair *pair, enum ibv_wr_opcode opcode, struct ibv_sge local,
		 uint64_t raddr, uint32_t rkey, enum ibv_wc_status status);
/* One send from qp[0] into one receive buffer of qp[1]. */
int send_recv(struct pair *pair, struct ibv_sge from, struct ibv_sge to, unsigned int flags);

double now_ms(void);
const char *errno_name(int err);

#endif /* PHYR_TESTS_VERBS_COMMON_H */
