/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * What the parts of `prepare` share: memory to prepare, and a look at it afterwards.
 *
 *	prepare.c		the program, and these
 *	prepare_kinds.c		every kind of memory, and the states it can be in
 *	prepare_ends.c		base pages around the huge ones, which must lie side by side
 *	prepare_refused.c	what must be left alone, in part or altogether
 *	prepare_limits.c	registrations that the kernel will refuse
 *	prepare_calls.c		the system calls and functions that it uses
 *	prepare_process.c	around it: threads, signals, fork
 *	prepare_system.c	what it may see of the system: /proc, /sys, cgroups
 *	prepare_nodes.c		a machine with several memory nodes
 */
#ifndef PHYR_TESTS_PROVIDER_PREPARE_CASE_H
#define PHYR_TESTS_PROVIDER_PREPARE_CASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>

#include <infiniband/phyrdv.h>

#include "knob.h"
#include "memory.h"
#include "pattern.h"
#include "prepare.h"
#include "test.h"

#define RW		(PROT_READ | PROT_WRITE)
#define ANON		(MAP_PRIVATE | MAP_ANONYMOUS)

/* Enough for two threads, each of which must have 8 MiB. */
#define LEN		(32 * MIB)
/* Neither at the start of a huge page nor at its end. */
#define ODD		(5 * SZ_4K)

#define HUGEPAGE	PHYRDV_PREPARE_HUGEPAGE
#define POPULATE	PHYRDV_PREPARE_POPULATE
#define COLLAPSE	PHYRDV_PREPARE_COLLAPSE
#define AUTO		(HUGEPAGE | POPULATE)
#define ADVISE		(AUTO | PHYRDV_PREPARE_ADVISE)

/* Address space of our own, with some more on either side that nothing is mapped to. */
struct area {
	char *addr;		/* a multiple of 2 MiB, plus a shift */
	size_t len;
	void *map;
	size_t map_len;
};

int area_open(struct area *area, size_t len, size_t shift);
/* The same with private anonymous memory in it. */
int area_open_anon(struct area *area, size_t len, size_t shift);
void area_close(struct area *area);

/* Bytes of it in whole huge pages. */
size_t huge_inside(const char *addr, size_t len) __attribute__((access(none, 1)));
size_t present(const char *addr, size_t len);
/* The same without /proc, and without rights. */
size_t resident(const char *addr, size_t len);

/* Forget that this memory was found populated. */
void forget(const void *addr, size_t len) __attribute__((access(none, 1)));

/* prepare() for a device that takes all, as ibv_reg_mr() has it: the address is the IOVA, too. */
extern const struct prepare_device any_device;

static inline void prepare_mr(void *addr, size_t len, int access,
			      const struct prepare_policy *policy, struct prepare_report *report)
{
	/* Another test may have had other memory at this address. */
	forget(addr, len);
	prepare(&any_device, addr, len, (uintptr_t)addr, access, policy, report);
	prepare_release(report);
}

/* How many entries a directory has: threads, open files. */
unsigned int entries(const char *path);
/* Wait for threads that were joined to be gone from /proc, too; returns how many there are. */
unsigned int await_threads(unsigned int most);

/*
 * prepare_mr(), for local writing. Afterwards errno must be what it was, and the process must have
 * the threads, the files and the state of cancellation that it had.
 */
int ask(char *addr, size_t len, uint32_t steps, uint32_t max_threads,
	struct prepare_report *report);

/* What the report must say, and what must be true of the memory. */
struct outcome {
	size_t huge;		/* bytes populated with huge pages, or advised to be */
	size_t populated;	/* bytes */
	size_t present;		/* bytes that are there afterwards, however they came there */
	unsigned int threads;	/* that populate; 0: one for huge pages, two for others */
};

int check(const char *addr, size_t len, const struct prepare_report *report,
	  const struct outcome *expect);
/* Both. */
int ask_and_check(char *addr, size_t len, uint32_t steps, const struct outcome *expect);
/* Asked for AUTO, nothing is done with any of it. */
int check_left_alone(char *addr, size_t len);

/* From now on, run on the CPUs from 0 on. All tests begin with two. */
bool run_on(unsigned int count);

/* The system's settings for transparent huge pages. */
extern struct knob thp, thp_2m;

/* Writes a line to a file that is there. */
int write_line(const char *path, const char *line);

/* From here on, a child has mounts of its own. */
int unshare_mounts(void);
/* Among these, a file has this content; NULL: nobody can open it. */
int cover_file(const char *path, const char *content);

void kinds_add_tests(void);
void ends_add_tests(void);
void refused_add_tests(void);
void limits_add_tests(void);
void calls_add_tests(void);
void process_add_tests(void);
void system_add_tests(void);
void nodes_add_tests(void);

/* A test starts the program with more rights than it has itself. Then the program does this. */
void secure_main(void);

#endif
