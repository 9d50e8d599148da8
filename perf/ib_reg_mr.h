/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * ib_reg_mr: what its parts share.
 *
 *	ib_reg_mr.c		opens the device, goes through backings and sizes
 *	ib_reg_mr_options.c	the command line
 *	ib_reg_mr_measure.c	one row: registers and releases, takes the times
 *	ib_reg_mr_print.c	table and JSON
 *
 * memory/ makes the memory to register. Two parts are in provider/common/: nldev.c, which asks the
 * kernel about an MR, and memlock.c, which knows the limit of locked memory.
 */
#ifndef PERF_IB_REG_MR_H
#define PERF_IB_REG_MR_H

#include <infiniband/verbs.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "backing.h"
#include "nldev.h"

#define PROGRAM "ib_reg_mr"
#define __printf(format, args) __attribute__((__format__(printf, format, args)))

/* The build defines it. This is for a compilation by hand. */
#ifndef PHYR_VERSION
#define PHYR_VERSION "0"
#endif

enum {
	EXIT_OK = 0,
	EXIT_FAILED = 1,
	EXIT_USAGE = 2,
};

/* Options */

struct options {
	const char *device;		/* NULL: the first there is */
	size_t *sizes;
	size_t nr_sizes;
	enum backing_kind *backings;
	size_t nr_backings;
	bool all;			/* sizes are powers of two up to the only one in sizes[] */
	bool size_given;
	bool keep_going;
	bool read_only;
	bool aliased;
	bool untouched;
	bool shuffled;
	size_t offset;
	size_t iters;			/* 0: as many as fit into about a second */
	int warmup;			/* negative: up to three */
	bool json;
	const char *json_file;		/* NULL: stdout, in place of the table */
};

/*
 * True if there is something to run. Otherwise the program ends with *status: -h or -V was
 * answered, or a mistake was explained.
 */
bool options_parse(struct options *opts, int argc, char **argv, int *status);
void options_free(struct options *opts);

/* Measuring */

struct bench {
	const struct options *opts;
	const char *device;
	uint32_t device_index;
	struct ibv_pd *pd;
	int access;
	int netlink;			/* negative: the kernel cannot be asked about MRs */
	const atomic_int *stop;		/* not 0: end soon */
};

/* Microseconds. */
struct timing {
	double min;
	double median;
	double p99;
	double max;
};

enum stage {
	STAGE_NONE,
	STAGE_MEMORY,			/* no memory of the kind: nothing was registered */
	STAGE_REGISTRATION,
	STAGE_RELEASE,
};

struct result {
	size_t bytes;
	enum backing_kind backing;
	size_t iterations;
	struct timing reg;
	struct timing dereg;
	size_t waits;			/* how often ibv_reg_mr() slept, in all iterations */
	struct mr_facts facts;
	enum stage failed;
	int error;			/* errno, if something failed */
	char why[512];			/* and in words */
};

/*
 * Fill in a row, including what went wrong. If the program is stopped before the first iteration is
 * complete, the row has neither iterations nor a failure.
 */
void measure(const struct bench *bench, enum backing_kind kind, size_t size, struct result *result);

const char *stage_name(enum stage stage);

/* Printing */

struct run_info {
	const struct options *opts;
	const char *device;
	char driver[64];
	char kernel[128];
};

/* How many entries describe the MR to the device. False if the kernel does not say. */
bool result_entries(const struct result *r, uint64_t *entries);

void print_table_header(FILE *out, const struct run_info *info);
void print_table_row(FILE *out, const struct result *r);
void print_table_end(FILE *out);
void print_json(FILE *out, const struct run_info *info, const struct result *results, size_t nr,
		bool interrupted);

#endif
