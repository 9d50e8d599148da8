// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Registration of memory: prepare it, let the engine register it, and log it with PHYR_DEBUG.
 *
 * The environment says how memory is prepared, unless phyrdv_reg_mr() does. phyrdv_reg_mr() calls
 * libibverbs like every program, since libibverbs has work of its own to do (see ibv_fork_init(3)).
 * libibverbs then calls us. Meanwhile, a thread-local variable holds what phyrdv_reg_mr() asks for.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "provider.h"

/* With this TLS model, the first access of a thread does not call malloc(). */
static _Thread_local const struct prepare_policy *asked __attribute__((tls_model("initial-exec")));

static pthread_once_t environment_read = PTHREAD_ONCE_INIT;
static struct prepare_policy environment;
static bool debug;

static void read_environment(void)
{
	const char *value = secure_getenv("PHYR_DEBUG");

	debug = value && *value && strcmp(value, "0");
	environment = prepare_policy_from_env();
}

/* --- preparing and registering --- */

struct registration {
	struct prepare_device device;
	struct ibv_pd *pd;
	void *addr;
	size_t length;
	uint64_t iova;
	int access;
	struct prepare_report report;
};

static uint64_t largest(const struct prepare_device *device)
{
	const struct registration *reg = (const struct registration *)device;

	return phyr_largest_region(reg->pd->context);
}

static void prepare_registration(struct registration *reg)
{
	prepare(&reg->device, reg->addr, reg->length, reg->iova, reg->access,
		asked ? asked : &environment, &reg->report);
}

static struct ibv_mr *register_prepared(struct registration *reg)
{
	struct ibv_mr *mr = engine_reg_mr(reg->pd, reg->addr, reg->length, reg->iova, reg->access);

	prepare_release(&reg->report);
	return mr;
}

/* --- the log --- */

/* Write " left_out=WHAT:WHY,WHAT:WHY" to @list, or nothing if nothing was left out. */
static void list_left_out(const struct prepare_report *report, char *list, size_t size)
{
	const char *before = " left_out=";
	unsigned int what, at = 0;

	*list = '\0';
	for (what = 0; what < NR_LEFT_OUT && at < size; what++) {
		if (!(report->left_out & 1 << what))
			continue;
		at += snprintf(list + at, size - at, "%s%s", before, prepare_left_out(what));
		before = ",";
	}
}

/* Log one line by one write(). Programs can read it: blanks separate its fields. */
static void say(const struct registration *reg, struct ibv_mr *mr, uint64_t prepare_ns,
		uint64_t register_ns)
{
	const struct prepare_report *report = &reg->report;
	char prepared[160], result[128] = "", left_out[160], line[640];
	struct phyr_ib_mr_info info;
	int error = errno, length;

	if (!mr)
		snprintf(result, sizeof(result), " errno=%d", error);
	else if (!phyr_query_mr(mr, &info))
		snprintf(result, sizeof(result),
			 " extents=%" PRIu64 " largest=%" PRIu64 " smallest=%" PRIu64,
			 (uint64_t)info.phyrs, (uint64_t)info.largest, (uint64_t)info.smallest);
	list_left_out(report, left_out, sizeof(left_out));
	snprintf(prepared, sizeof(prepared),
		 "huge=%zu populated=%zu collapsed=%zu threads=%u prepare_ms=%.3f",
		 report->huge_bytes, report->populated_bytes, report->collapsed_bytes,
		 report->threads, prepare_ns / 1e6);
	length = snprintf(line, sizeof(line),
			  "libphyr: %s addr=%p length=%zu %s register_ms=%.3f%s%s\n",
			  reg->device.name, reg->addr, reg->length, prepared, register_ns / 1e6,
			  result, left_out);
	if (length >= (int)sizeof(line))
		length = sizeof(line) - 1;
	if (write(STDERR_FILENO, line, length) < 0)
		errno = error;	/* nobody would read a complaint */
	errno = error;
}

/* Cancellation is off: if it came while we print, nobody would know of the MR. */
static struct ibv_mr *reg_mr_and_say(struct registration *reg)
{
	uint64_t begin, prepared;
	struct ibv_mr *mr;
	int cancel;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
	begin = now_ns();
	prepare_registration(reg);
	prepared = now_ns();
	mr = register_prepared(reg);
	say(reg, mr, prepared - begin, now_ns() - prepared);
	pthread_setcancelstate(cancel, NULL);
	return mr;
}

/* --- registration --- */

struct ibv_mr *phyr_reg_mr(struct ibv_pd *pd, void *addr, size_t length, uint64_t iova, int access)
{
	struct registration reg = {
		.device = { .name = ibv_get_device_name(pd->context->device), .largest = largest },
		.pd = pd, .addr = addr, .length = length, .iova = iova, .access = access,
	};

	pthread_once(&environment_read, read_environment);
	if (debug)
		return reg_mr_and_say(&reg);
	prepare_registration(&reg);
	return register_prepared(&reg);
}

struct ibv_mr *phyr_reg_mr_with(const struct prepare_policy *policy, struct ibv_pd *pd, void *addr,
				size_t length, uint64_t iova, int access)
{
	struct ibv_mr *mr;
	int cancel;

	/* Cancellation is off: the thread-local variable must be reset when this call ends. */
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
	asked = policy;
	mr = ibv_reg_mr_iova2(pd, addr, length, iova, access);
	asked = NULL;
	pthread_setcancelstate(cancel, NULL);
	return mr;
}
