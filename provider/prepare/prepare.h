/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
#ifndef PHYR_PREPARE_H
#define PHYR_PREPARE_H

#include <stddef.h>
#include <stdint.h>

/*
 * What to do with memory before it is registered.
 *
 * @steps: PHYRDV_PREPARE_*, see phyrdv.h
 * @max_threads: threads that populate, the caller's own among them; 0: as many as CPUs
 */
struct prepare_policy {
	uint32_t steps;
	uint32_t max_threads;
};

/*
 * The device that memory is registered with.
 *
 * @name: the kernel's name for it
 * @largest: the largest region that it takes, in bytes
 */
struct prepare_device {
	const char *name;
	uint64_t (*largest)(const struct prepare_device *device);
};

/* What we left out, and why; prepare_left_out() has the words for it. */
enum left_out {
	LEFT_NOTHING,
	LEFT_ALL_NO_ROOM,
	LEFT_ALL_MAPPINGS,
	LEFT_ALL_DEVICE,
	LEFT_ALL_CGROUP,
	LEFT_ALL_MEMLOCK,
	LEFT_ALL_MOVABLE,
	LEFT_HUGE_SETTING,
	LEFT_HUGE_PROCESS,
	LEFT_HUGE_REALTIME,
	LEFT_HUGE_FAILED,
	LEFT_THREADS_SECCOMP,
	LEFT_THREADS_MACHINE,
	LEFT_THREADS_SCHEDULING,
	LEFT_THREADS_CPUS,
	LEFT_THREADS_CGROUP,
	LEFT_THREADS_LIMIT,
	LEFT_THREADS_BUSY,
	LEFT_REST_MEMLOCK,
	NR_LEFT_OUT
};

/*
 * What we did.
 *
 * @huge_bytes: bytes of huge pages, made or advised, where nothing was populated
 * @populated_bytes: bytes that we populated, huge pages among them
 * @collapsed_bytes: bytes of base pages that we collapsed
 * @threads: threads that populated; 0 if we populated nothing
 * @left_out: a bit for each enum left_out
 * @counted_pages, @counted_objects: see prepare_release()
 */
struct prepare_report {
	size_t huge_bytes;
	size_t populated_bytes;
	size_t collapsed_bytes;
	unsigned int threads;
	uint32_t left_out;
	uint64_t counted_pages;
	uint64_t counted_objects;
};

/* What the environment asks for: PHYR_PREPARE and PHYR_PREPARE_THREADS. */
struct prepare_policy prepare_policy_from_env(void);

/*
 * Prepare the memory [addr, addr + length), which is about to be registered for that IOVA, with
 * these IBV_ACCESS_* flags. This never fails: the kernel does what we cannot. errno stays. Call
 * prepare_release() once the kernel has registered the memory, or has refused to.
 */
void prepare(const struct prepare_device *device, void *addr, size_t length, uint64_t iova,
	     int access, const struct prepare_policy *policy, struct prepare_report *report);
void prepare_release(struct prepare_report *report);

/* "WHAT:WHY", for the log. */
const char *prepare_left_out(enum left_out what);

#endif
