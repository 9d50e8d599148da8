/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * Tests, and the programs made of them.
 *
 * A test is a function that returns 0 (passed), FAILED (after fail() said why) or SKIPPED (after
 * skip() said why). The runner prints TAP, sets a watchdog, and adds one check to every test: when
 * the test returns, the kernel must hold exactly as many page pins as before, machine-wide
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

/* Both return the value that the test should return. Another call adds its text to the first. */
int fail(const char *fmt, ...) PRINTF(1, 2);
int skip(const char *fmt, ...) PRINTF(1, 2);
void diag(const char *fmt, ...) PRINTF(1, 2);
/* Sets a text that follows the "#" of an "ok" line. */
void remark(const char *fmt, ...) PRINTF(1, 2);

/*
 * Call @fn in a thread that has been cancelled, so that its next cancellation point would end it.
 * PASSED if @fn returns, and the thread ends at a cancellation point behind it.
 */
int test_cancelled(void (*fn)(void *arg), void *arg);

/*
 * Ends the program, which cannot go on, with exit status 2. Prints what
 * fail() or skip() has said, too.
 */
void die(const char *fmt, ...) PRINTF(1, 2) __attribute__((noreturn));

/* What a program has to open before it tests, such as a device, and the options that choose it. */
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

/* Calls a test in a child: for tests that limit their process, or may kill it. */
int test_in_child(test_fn fn, const void *arg);

/*
 * The same for tests that may never end. If the child still runs after so many seconds, the test
 * fails and the child is killed, or left behind if it cannot be killed.
 */
int test_in_child_for(test_fn fn, const void *arg, unsigned int seconds);

/* Parse the command line and, unless tests are only to be listed, open the subject. */
void program_start(const struct program *prog, int argc, char **argv);

struct pins {
	long machine;		/* nr_foll_pin_acquired - nr_foll_pin_released */
	long vmpin_kb;
};

/* What the machine counts, by its name in /proc/vmstat. */
long vmstat_count(const char *name);
struct pins pins_read(void);	/* for root only */
long vmpin_kb(void);

double now_ms(void);
const char *errno_name(int err);

#endif
