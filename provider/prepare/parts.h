/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * What the parts of prepare share; prepare.c says how they work together.
 */
#ifndef PHYR_PREPARE_PARTS_H
#define PHYR_PREPARE_PARTS_H

#include <linux/fs.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>

#include "cgroup.h"
#include "prepare.h"
#include "syscall.h"
#include "text.h"

#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))
#define PREPARE_MIB	((size_t)1 << 20)

/* Smaller memory is not worth a system call; prepare.c says why. */
#define PREPARE_LEAST	(4 * PREPARE_MIB)

/* In less memory, there is nothing for a second thread; populate.c says why. */
#define PREPARE_SHARED_LEAST	(16 * PREPARE_MIB)

/* Whole pages, [start, end). */
struct range {
	uintptr_t start;
	uintptr_t end;
};

static inline size_t range_size(struct range range)
{
	return range.end - range.start;
}

/* The whole units in it; a unit is a power of two. */
static inline struct range range_inside(struct range range, size_t unit)
{
	struct range inside = {
		.start = (range.start + unit - 1) & ~(unit - 1),
		.end = range.end & ~(unit - 1),
	};

	if (inside.start > inside.end)
		inside.end = inside.start;
	return inside;
}

static inline unsigned int least(unsigned int a, unsigned int b)
{
	return a < b ? a : b;
}

static inline bool advise(uintptr_t start, size_t size, int advice)
{
	return !raw_madvise(start, size, advice);
}

/* A range that lies in one mapping. */
struct part {
	struct range range;
	struct range mapping;	/* the part of that mapping that is to be registered */
	size_t page_size;
	bool anonymous;		/* private, and not a stack: may have transparent huge pages */
	size_t thp_size;	/* of its transparent huge pages; 0: we know of none */
	bool to_collapse;	/* it gets them by MADV_COLLAPSE */
	size_t populated;	/* bytes of it that we have populated */
	bool done;		/* too little is left for helpers */
};

/* We leave memory in more pieces to the kernel. */
enum { PREPARE_PARTS = 64 };

struct parts {
	unsigned int count;
	struct part part[PREPARE_PARTS];
};

/* What the system's settings say of transparent huge pages. */
struct huge_plan {
	size_t size;		/* 0: there are to be none */
	bool asks;		/* for those who ask, as we do; else the kernel makes them */
	enum left_out why;	/* there are to be none */
};

/* What /proc says of this process and thread. What we do not know is 0, or SIZE_MAX. */
struct process {
	uint32_t tgid;
	size_t pinned;		/* bytes, that count against RLIMIT_MEMLOCK */
	bool thp;		/* has not opted out of transparent huge pages */
	bool ipc_lock;		/* has CAP_IPC_LOCK, in its own user namespace */
	bool unfiltered;	/* runs under no seccomp filter */
};

enum { PREPARE_HELPERS = 15, PREPARE_STACK = 4096 };

/*
 * What a preparation needs to remember. We map it for as long as that takes: the caller may have
 * a small stack, and malloc() may call hooks of the program's.
 */
struct room {
	/* First, as a mapping is aligned for a stack. */
	char stack[PREPARE_HELPERS][PREPARE_STACK];
	const struct prepare_device *device;
	struct process process;
	uint64_t lock_limit;	/* bytes that may be pinned; UINT64_MAX: any number */
	struct cgroup group;
	struct huge_plan huge;
	struct text text;
	struct parts mappings, untouched;
	struct page_region region[128];
};

/* process.c: @text is for reading files. */

void prepare_look_at_process(struct text *text, struct process *process);
/*
 * Nanoseconds, in steps of some milliseconds. The vDSO has this clock without a system call. A
 * filter may not know that call, so if there is a filter and no vDSO, this is 0.
 */
uint64_t prepare_coarse_now(const struct process *process);
/*
 * A soft limit, by its name in /proc/PID/limits; UINT64_MAX if there is none. False if we do not
 * know.
 */
bool prepare_resource_limit(struct text *text, const char *name, uint64_t *limit);
/* Is the namespace behind that file for sure the one with this inode number? */
bool prepare_in_first_namespace(struct text *text, const char *path, uint64_t first);

/* limits.c */

/* Why the kernel will, or might, refuse to register so many bytes; LEFT_NOTHING if it will not. */
enum left_out prepare_refused(struct room *room, size_t bytes, struct prepare_report *report);
/* Is there still room below the limit of locked memory? */
bool prepare_still_fits(struct room *room);

/* look.c */

/* Are a few samples of it all populated? True if we cannot look. */
bool prepare_is_resident(struct range range);
/* Remember the answer. */
void prepare_remember(struct range range, bool resident);
/* A file for prepare_mapping(), or -1. */
int prepare_open_maps(void);
/* The mapping that an address is in. */
bool prepare_mapping(int maps, uintptr_t addr, struct range *mapping);
/*
 * Find the mappings that we can prepare. False if we must leave the range alone: the kernel would
 * refuse to register it, or might, or there are too many mappings to know.
 */
bool prepare_find_mappings(struct room *room, struct range range);
/*
 * Find the ranges of them, of PREPARE_LEAST or more, in which no page is populated. False if the
 * kernel would refuse to register them: there is a guard page (MADV_GUARD_INSTALL).
 */
bool prepare_find_untouched(struct room *room);
/* Bytes that are populated with base pages, or with huge ones. */
size_t prepare_count_base(struct room *room, struct range range);
size_t prepare_count_huge(struct room *room, struct range range);

/* huge.c */

/* Ask the system's settings. */
struct huge_plan prepare_ask_huge(uint32_t steps);
/*
 * Decide by these which untouched memory gets huge pages: set thp_size, and to_collapse unless the
 * kernel makes them by itself. If @by_advice, advise it to.
 */
void prepare_plan_huge(struct room *room, bool by_advice, struct prepare_report *report);
/*
 * Populate the parts that are to_collapse with huge pages. False after an error that the kernel
 * would meet, too.
 */
bool prepare_make_huge(struct room *room, struct prepare_report *report);
/* For tests: forget that MADV_COLLAPSE has made us wait, and the size of huge pages. */
void prepare_forget_huge(void);
/* Make huge pages of base pages. Returns how many bytes. */
size_t prepare_collapse(struct room *room, struct prepare_report *report);

/* realtime.c */

/* False if there is a sign that a real-time thread keeps a CPU from the kernel's threads. */
bool prepare_cpus_answer(void);
/* For tests: forget how the machine was booted. */
void prepare_forget_boot(void);

/* ends.c */

/*
 * Populate the base pages before the first huge page and behind the last one side by side, where
 * that pays. False after an error that the kernel would meet, too.
 */
bool prepare_ends(struct room *room);

/* populate.c */

void prepare_populate(struct room *room, uint32_t max_threads, struct prepare_report *report);

/* helpers.c */

/* Where system calls touch no thread-local storage, and libc has __clone(). */
#if RAW_SYSCALLS && defined(__GLIBC__)
#define PREPARE_CAN_HELP 1
#else
#define PREPARE_CAN_HELP 0
#endif

struct helper {
	int id;
	atomic_uint alive;	/* 0, by the kernel, once it no longer runs our code */
};

/* The kernel's set of signals. */
typedef uint64_t signal_mask;

/* Signals for which the program has a handler. */
struct held_signals {
	signal_mask before;	/* the thread's mask */
	signal_mask held;	/* those that we block */
};

/* Hold them back while there are helpers. False if that cannot be done. */
bool prepare_hold_signals(struct held_signals *held);
/* Does one of them wait? */
bool prepare_signal_waits(const struct held_signals *held);
/* Let them come. A handler may never return. */
void prepare_let_signals(const struct held_signals *held);
/* Start so many threads at most, each of which calls @run. Returns how many there are. */
unsigned int prepare_start_helpers(struct room *room, struct helper *helpers, unsigned int wanted,
				   int (*run)(void *), void *arg);
/* Wait until they are gone. */
void prepare_await_helpers(struct helper *helpers, unsigned int count);

/* zones.c */

/* Would the kernel have to move what we populate in order to pin it, or might it? */
bool prepare_may_be_moved(struct text *text);

/* cpus.c */

/*
 * How many helpers may populate besides us. They are for memory on @node, where we run. If there
 * are none, @why says why.
 */
unsigned int prepare_find_helpers(struct room *room, unsigned int *node, enum left_out *why);

#endif
