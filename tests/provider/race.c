// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Threads query MRs while other threads register, change and deregister them.
 *
 * Each owner registers one of a few shapes, publishes the MR's handle, and deregisters the MR
 * again. The askers query a published handle. If the owner has not published anything else
 * meanwhile, the answer must be that of the shape, or EBUSY while the owner changes the MR.
 * Otherwise there may be no such MR (ENOENT), or another MR. The answer is never half of one: it
 * must be that of some shape. An owner may get EBUSY, too, while somebody asks.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "fuzz.h"

enum { OWNERS = 2, ASKERS = 2, SHAPES = 3, ROOM = 64 };

/* What owners register. It is a part of one of the regions, so its extents are known. */
struct shape {
	char *addr;
	size_t len;
	uint64_t nr;
	uint64_t last;		/* length of the last extent */
};

static struct shape shapes[SHAPES];
static atomic_bool stop;

/* What an owner has published. The number changes each time. */
struct told {
	uint32_t handle;
	uint16_t number;
	int16_t shape;		/* -1: there may be no MR of this handle */
};

static _Atomic struct told tolds[OWNERS];

/* A thread's report. Only the main thread may call fail(). */
struct report {
	pthread_t thread;
	unsigned int number;
	unsigned long done, sure, missing, busy;
	char wrong[160];
};

#define WRONG(report, ...)	snprintf((report)->wrong, sizeof((report)->wrong), __VA_ARGS__)

static bool own_once(struct report *report)
{
	struct told told = {
		.number = report->done,
		.shape = (report->done + report->number) % SHAPES,
	};
	const struct shape *shape = &shapes[told.shape];
	struct ibv_mr *mr = ibv_reg_mr(dev.pd, shape->addr, shape->len, ACCESS_ALL);
	int err;

	if (!mr) {
		WRONG(report, "ibv_reg_mr: %s", errno_name(errno));
		return false;
	}
	told.handle = mr->handle;
	tolds[report->number] = told;
	/* This fails with EBUSY while an asker uses the MR. */
	while ((err = mr_rereg(mr, IBV_REREG_MR_CHANGE_ACCESS, NULL, NULL, 0, 0)) == EBUSY)
		report->busy++;
	if (err) {
		WRONG(report, "changing the access: %s", errno_name(err));
		return false;
	}
	if (report->done % 4 == 0)
		usleep(100);
	told.shape = -1;
	tolds[report->number] = told;
	while ((err = ibv_dereg_mr(mr)) == EBUSY)
		report->busy++;
	if (err) {
		WRONG(report, "ibv_dereg_mr: %s", errno_name(err));
		return false;
	}
	/* Give the askers time to find a handle of nothing. */
	if (report->done % 4 == 1)
		usleep(100);
	report->done++;
	return true;
}

static void *own(void *arg)
{
	struct report *report = arg;

	while (!stop && own_once(report))
		;
	return NULL;
}

static bool is_info(const struct phyr_ib_mr_info *info, const struct shape *shape)
{
	return info->phyrs == shape->nr && info->dma_entries == shape->nr &&
	       info->pinned_pages == (shape->len + SZ_4K - 1) / SZ_4K &&
	       info->smallest <= info->largest && info->largest <= shape->len;
}

static bool is_extents(const struct phyr_ib_extent *extents, uint32_t nr, const struct shape *shape)
{
	uint64_t offset = 0;
	uint32_t i;

	for (i = 0; i < nr && i < ROOM; i++) {
		if (extents[i].offset != offset)
			return false;
		offset += extents[i].length;
	}
	return nr == shape->nr && offset == shape->len && extents[nr - 1].length == shape->last;
}

struct answer {
	int err;
	bool is[SHAPES];	/* is it the answer for this shape? */
};

static struct answer ask_about(uint32_t handle)
{
	/* The answers go to this thread's own memory and not to the arena. */
	struct phyr_ib_extent extents[ROOM] = {};
	struct phyr_ib_mr_info info = {};
	struct answer answer = {};
	uint32_t nr = 0;
	struct call call;
	int i;

	if (random() % 2) {
		call_good(&call, MR_QUERY, &regions[0]);
		call.bytes.attrs[1].data = (uintptr_t)&info;
	} else {
		call_extents(&call, &regions[0], 0, ROOM);
		call.bytes.attrs[2].data = (uintptr_t)extents;
		call.bytes.attrs[3].data = (uintptr_t)&nr;
	}
	call.bytes.attrs[0].data = handle;
	if (ioctl(dev.ctx->cmd_fd, call.cmd, &call.bytes))
		answer.err = errno;
	for (i = 0; i < SHAPES; i++)
		answer.is[i] = !answer.err && (call.method == MR_QUERY ?
			       is_info(&info, &shapes[i]) : is_extents(extents, nr, &shapes[i]));
	return answer;
}

static bool ask_once(struct report *report)
{
	unsigned int owner = random() % OWNERS;
	struct told before = tolds[owner];
	struct answer answer = ask_about(before.handle);
	struct told after = tolds[owner];
	bool sure = before.shape >= 0 && !memcmp(&before, &after, sizeof(before));

	switch (answer.err) {
	case 0:
		report->done++;
		report->sure += sure;
		if (sure ? answer.is[before.shape] : answer.is[0] || answer.is[1] || answer.is[2])
			return true;
		WRONG(report, "the answer is not that of %s", sure ? "the MR" : "any MR");
		return false;
	case EBUSY:
		report->busy++;
		return true;
	case ENOENT:
		report->missing++;
		if (!sure)
			return true;
		break;
	}
	WRONG(report, "%s, though the MR was %s", strerrorname_np(answer.err),
	      sure ? "there" : "being registered or deregistered");
	return false;
}

static void *ask(void *arg)
{
	struct report *report = arg;

	while (!stop && ask_once(report))
		;
	return NULL;
}

static void choose_shapes(void)
{
	static const size_t lens[SHAPES] = { 64 * SZ_4K, 5 * SZ_4K + 77, SZ_2M };
	static const char *const names[SHAPES] = { "frag", "frag", "huge2m-shared" };
	int i;

	for (i = 0; i < SHAPES; i++) {
		const struct region *region = region_named(names[i]);

		shapes[i].addr = region->mr->addr;
		shapes[i].len = lens[i];
		for (shapes[i].nr = 1; region->extents[shapes[i].nr].offset &&
		     region->extents[shapes[i].nr].offset < lens[i]; shapes[i].nr++)
			;
		shapes[i].last = lens[i] - region->extents[shapes[i].nr - 1].offset;
	}
}

int race(unsigned int seconds)
{
	struct report reports[OWNERS + ASKERS] = {}, all = {};
	int i, err = PASSED;

	choose_shapes();
	stop = false;
	for (i = 0; i < OWNERS + ASKERS; i++) {
		reports[i].number = i;
		if (i < OWNERS)
			tolds[i] = (struct told){ .handle = strangers.freed, .shape = -1 };
		errno = pthread_create(&reports[i].thread, NULL, i < OWNERS ? own : ask,
				       &reports[i]);
		if (errno)
			die("pthread_create: %m");
	}
	sleep(seconds);
	stop = true;
	for (i = 0; i < OWNERS + ASKERS; i++) {
		pthread_join(reports[i].thread, NULL);
		if (reports[i].wrong[0])
			err = fail("%s", reports[i].wrong);
		if (i < OWNERS)
			continue;
		all.done += reports[i].done;
		all.sure += reports[i].sure;
		all.missing += reports[i].missing;
		all.busy += reports[i].busy;
	}
	if (!err && (!all.sure || !all.missing))
		err = fail("none met: %lu answers, %lu times no such MR", all.sure, all.missing);
	remark("%lu registrations; %lu answers (%lu of them sure), ENOENT %lu, EBUSY %lu",
	       reports[0].done + reports[1].done, all.done, all.sure, all.missing, all.busy);
	return err;
}
