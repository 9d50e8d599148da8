/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * Tests, and the programs made of them.
 *
 * A test is a function that returns 0 (passed), FAILED (after fail() said why) or SKIPPED (after
 * skip() said why).  The runner prints TAP, looks after a watchdog, and adds one check to every
 * test: when it returns, the kernel must hold exactly as many page pins as before, machine-wide
 * (nr_foll_pin_* in /proc/vmstat) and for this process (VmPin in /proc/self/status).
 */
#ifndef PHYR_TESTS_COMMON_TEST_H
#define PHYR_TESTS_COMMON_TEST_H

#include <getopt.h>
#include <stdbool.h>
#include <stddef.h>

#define KIB		(1UL << 10)
#define MIB		(1UL << 20)
#define GIB		(1UL << 30)
#define TIB		(1UL << 40)
#define SZ_4K		(4 * KIB)
#define SZ_2M		(2 * MIB)

#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))
#define PRINTF(f, a)	__attribute__((format(printf, f, a)))

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

/*
 * Call @fn in a thread that its next cancellation point would end. @fn must come back, and the
 * thread ends behind it: PASSED, or a failure.
 */
int test_cancelled(void (*fn)(void *arg), void *arg);

/*
 * Not a test's failure: the program cannot go on. What fail() or skip() has said is shown, too.
 * Exit status 2.
 */
void die(const char *fmt, ...) PRINTF(1, 2) __attribute__((noreturn));

/* What a program tests, where it has to open something first, with options that say what. */
struct subject {
	const char *options_help;
	const char *short_options;
	const struct option *options;
	void (*option)(int c, const char *arg);
	void (*open)(void);
};

struct program {
	const char *about;		/* one line for -h */
	const struct subject *subject;	/* or NULL; see rdma_device in rdma.h */
	const char *options_help;	/* further lines for -h, or NULL */
	const struct option *options;	/* long options beyond the common ones, or NULL */
	void (*option)(int c, const char *arg);
	unsigned int watchdog_s;	/* no single test may take longer */
	int (*recover)(void);		/* after a failed test, so that the next starts clean */
};

/* For tests that limit their process, or may lose it: the same in a child. */
int test_in_child(test_fn fn, const void *arg);

/*
 * The same for tests that may never end: a child that has not after so many seconds is a failure.
 * It is killed, and left behind if that is of no use.
 */
int test_in_child_for(test_fn fn, const void *arg, unsigned int seconds);

/* Parse the command line and, unless tests are only to be listed, open the subject. */
void program_start(const struct program *prog, int argc, char **argv);

struct pins {
	long machine;		/* nr_foll_pin_acquired - nr_foll_pin_released */
	long vmpin_kb;
};

struct pins pins_read(void);	/* for root only */
long vmpin_kb(void);

double now_ms(void);
const char *errno_name(int err);

#endif
