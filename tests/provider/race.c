// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Queries of MRs that are registered, changed and deregistered at that moment.
 *
 * Each owner registers one of a few shapes, tells its handle, and takes it away again; the askers ask
 * about any of the handles. They may be told that there is no such MR (ENOENT) or that it is being
 * changed (EBUSY). An answer must be that of one of the shapes, and whole: a handle may belong to
 * another MR by then, but never to half of one. An owner may be told EBUSY too, while somebody asks.
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

/* What is registered: a part of one of the regions, so that its extents are known. */
struct shape {
	char *addr;
	size_t len;
	uint64_t nr;
	uint64_t last;		/* length of the last extent */
};

static struct shape shapes[SHAPES];
static _Atomic uint32_t handles[OWNERS];
static atomic_bool stop;

/* A thread's report: fail() is for one thread. */
struct report {
	pthread_t thread;
	unsigned int number;
	unsigned long done, missing, busy;
	char wrong[160];
};

#define WRONG(report, ...)	snprintf((report)->wrong, sizeof((report)->wrong), __VA_ARGS__)

static bool own_once(struct report *report, const struct shape *shape)
{
	struct ibv_mr *mr = ibv_reg_mr(dev.pd, shape->addr, shape->len, ACCESS_ALL);
	int err;

	if (!mr) {
		WRONG(report, "ibv_reg_mr: %s", errno_name(errno));
		return false;
	}
	handles[report->number] = mr->handle;
	/* The handle may be in use by an asker at any time. */
	while ((err = mr_rereg(mr, IBV_REREG_MR_CHANGE_ACCESS, NULL, NULL, 0, 0)) == EBUSY)
		report->busy++;
	if (err) {
		WRONG(report, "changing the access: %s", errno_name(err));
		return false;
	}
	if (report->done % 4 == 0)
		usleep(100);
	while ((err = ibv_dereg_mr(mr)) == EBUSY)
		report->busy++;
	if (err) {
		WRONG(report, "ibv_dereg_mr: %s", errno_name(err));
		return false;
	}
	/* Let the askers meet a handle of nothing. */
	if (report->done % 4 == 1)
		usleep(100);
	report->done++;
	return true;
}

static void *own(void *arg)
{
	struct report *report = arg;

	while (!stop && own_once(report, &shapes[(report->done + report->number) % SHAPES]))
		;
	return NULL;
}

/* Is this the answer for one of the shapes? */
static bool is_info(const struct phyr_ib_mr_info *info)
{
	int i;

	for (i = 0; i < SHAPES; i++)
		if (info->phyrs == shapes[i].nr && info->dma_entries == shapes[i].nr &&
		    info->pinned_pages == (shapes[i].len + SZ_4K - 1) / SZ_4K &&
		    info->smallest <= info->largest && info->largest <= shapes[i].len)
			return true;
	return false;
}

static bool is_extents(const struct phyr_ib_extent *extents, uint32_t nr)
{
	uint64_t offset = 0;
	uint32_t i;
	int s;

	for (i = 0; i < nr && i < ROOM; i++) {
		if (extents[i].offset != offset)
			return false;
		offset += extents[i].length;
	}
	for (s = 0; s < SHAPES; s++)
		if (nr == shapes[s].nr && offset == shapes[s].len &&
		    extents[nr - 1].length == shapes[s].last)
			return true;
	return false;
}

static bool ask_once(struct report *report)
{
	/* As in call_good(), but with answers of this thread's own. */
	const struct region *region = &regions[0];
	struct phyr_ib_extent extents[ROOM] = {};
	struct phyr_ib_mr_info info = {};
	uint32_t nr = 0;
	struct call call;

	if (random() % 2) {
		call_good(&call, MR_QUERY, region);
		call.bytes.attrs[1].data = (uintptr_t)&info;
	} else {
		call_extents(&call, region, 0, ROOM);
		call.bytes.attrs[2].data = (uintptr_t)extents;
		call.bytes.attrs[3].data = (uintptr_t)&nr;
	}
	call.bytes.attrs[0].data = handles[random() % OWNERS];
	if (!ioctl(dev.ctx->cmd_fd, call.cmd, &call.bytes)) {
		report->done++;
		if (call.method == MR_QUERY ? is_info(&info) : is_extents(extents, nr))
			return true;
		WRONG(report, "an answer that is no region's: %llu phyrs, %llu pages; %u extents",
		      info.phyrs, info.pinned_pages, nr);
		return false;
	}
	if (errno == ENOENT) {
		report->missing++;
	} else if (errno == EBUSY) {
		report->busy++;
	} else {
		WRONG(report, "%s failed: %s", call.method == MR_QUERY ? "MR_QUERY" : "MR_EXTENTS",
		      strerrorname_np(errno));
		return false;
	}
	return true;
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
	static const char *const names[SHAPES] = { "frag", "frag", "huge2m" };
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
			handles[i] = strangers.freed;
		errno = pthread_create(&reports[i].thread, NULL, i < OWNERS ? own : ask, &reports[i]);
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
		all.missing += reports[i].missing;
		all.busy += reports[i].busy;
	}
	if (!err && (!all.done || !all.missing))
		err = fail("no race: %lu answers, %lu times no such MR", all.done, all.missing);
	remark("%lu and %lu registrations; %lu answers, %lu times no such MR, %lu times busy",
	       reports[0].done, reports[1].done, all.done, all.missing, all.busy);
	return err;
}
