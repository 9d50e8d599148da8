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
 * What was done.
 *
 * @huge_bytes: bytes advised to be huge pages
 * @populated_bytes: bytes populated ahead
 * @collapsed_bytes: bytes for which base pages were collapsed
 * @threads: threads that populated; 0 if nothing was
 * @ns: how long all of it took
 */
struct prepare_report {
	size_t huge_bytes;
	size_t populated_bytes;
	size_t collapsed_bytes;
	unsigned int threads;
	uint64_t ns;
};

/* What the environment asks for: PHYR_PREPARE and PHYR_PREPARE_THREADS. */
struct prepare_policy prepare_policy_from_env(void);

/*
 * Prepare the memory [addr, addr + length), which is about to be registered for that IOVA, with
 * these IBV_ACCESS_* flags. Never fails: what cannot be done is left to the kernel. errno stays.
 */
void prepare(void *addr, size_t length, uint64_t iova, int access,
	     const struct prepare_policy *policy, struct prepare_report *report);

#endif
