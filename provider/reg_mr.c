// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Registration of memory: prepare it, let the engine register it, and say so if asked to.
 *
 * How it is prepared, the environment says, unless phyrdv_reg_mr() does: that calls libibverbs
 * like every program, which has things to do of its own (fork, see ibv_fork_init(3)), and
 * libibverbs calls us. What it asks for lies in a variable of the thread meanwhile.
 */
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "provider.h"

static _Thread_local const struct prepare_policy *asked;

static pthread_once_t environment_read = PTHREAD_ONCE_INIT;
static struct prepare_policy environment;
static bool debug;

static void read_environment(void)
{
	const char *value = getenv("PHYR_DEBUG");

	debug = value && *value && strcmp(value, "0");
	environment = prepare_policy_from_env();
}

/* One line, in one write, that programs can read: blanks between, no blanks within. */
static void say(struct ibv_pd *pd, void *addr, size_t length, const struct prepare_report *report,
		struct ibv_mr *mr, uint64_t ns)
{
	struct phyr_ib_mr_info info;
	char prepared[160], result[160] = "";
	int error = errno;

	if (!mr)
		snprintf(result, sizeof(result), " errno=%d", error);
	else if (!phyr_query_mr(mr, &info))
		snprintf(result, sizeof(result),
			 " extents=%" PRIu64 " largest=%" PRIu64 " smallest=%" PRIu64,
			 (uint64_t)info.phyrs, (uint64_t)info.largest, (uint64_t)info.smallest);
	snprintf(prepared, sizeof(prepared),
		 "huge=%zu populated=%zu collapsed=%zu threads=%u prepare_ms=%.3f",
		 report->huge_bytes, report->populated_bytes, report->collapsed_bytes,
		 report->threads, report->ns / 1e6);
	fprintf(stderr, "libphyr: %s addr=%p length=%zu %s register_ms=%.3f%s\n",
		ibv_get_device_name(pd->context->device), addr, length, prepared, ns / 1e6, result);
	errno = error;
}

/* No cancellation: with an MR that nobody knows of, printing would be a bad place for it. */
static struct ibv_mr *reg_mr_and_say(const struct prepare_policy *policy, struct ibv_pd *pd,
				     void *addr, size_t length, uint64_t iova, int access)
{
	struct prepare_report report;
	struct ibv_mr *mr;
	uint64_t begin;
	int cancel;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
	prepare(addr, length, iova, access, policy, &report);
	begin = now_ns();
	mr = engine_reg_mr(pd, addr, length, iova, access);
	say(pd, addr, length, &report, mr, now_ns() - begin);
	pthread_setcancelstate(cancel, NULL);
	return mr;
}

struct ibv_mr *phyr_reg_mr(struct ibv_pd *pd, void *addr, size_t length, uint64_t iova, int access)
{
	const struct prepare_policy *policy;
	struct prepare_report report;

	pthread_once(&environment_read, read_environment);
	policy = asked ? asked : &environment;
	if (debug)
		return reg_mr_and_say(policy, pd, addr, length, iova, access);
	prepare(addr, length, iova, access, policy, &report);
	return engine_reg_mr(pd, addr, length, iova, access);
}

struct ibv_mr *phyr_reg_mr_with(const struct prepare_policy *policy, struct ibv_pd *pd, void *addr,
				size_t length, uint64_t iova, int access)
{
	struct ibv_mr *mr;
	int cancel;

	/* No cancellation: what is asked for must be gone with this call. */
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
	asked = policy;
	mr = ibv_reg_mr_iova2(pd, addr, length, iova, access);
	asked = NULL;
	pthread_setcancelstate(cancel, NULL);
	return mr;
}
