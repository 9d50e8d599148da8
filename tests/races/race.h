/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * Registering memory while its mapping changes.
 *
 * An arena is a piece of address space of one process. One thread, the mutator, changes what is
 * mapped there, one change at a time. Other threads, the registrars, pin parts of the arena, read
 * the pages and write to them through their pins, and unpin. Another process, the neighbour, takes
 * memory and gives it back all the time, to get pages that were freed too early.
 *
 * Every page begins with a head, which has the page's owner, its index in the arena, and its
 * generation: the number of the change that put it there. A registrar notes how many changes have
 * ended before it pins, and how many have begun afterwards. So it knows which generations of a page
 * were mapped at some moment in between, and checks by the head that it got one of them.
 *
 * It is quiet while no change is going on. A page that is pinned when it is quiet must be the page
 * that is mapped: a write through the pin must be seen in memory, and the reverse. Changes that
 * nobody should notice (migration, fork, swapping, ...) do not count, so with these it is always
 * quiet.
 */
#ifndef PHYR_TESTS_RACES_RACE_H
#define PHYR_TESTS_RACES_RACE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "test.h"

enum { REGISTRARS = 2, MAX_PAGES = 1024, PAGES_2M = 512, PAGES_64K = 16 };

/* --- heads of pages ------------------------------------------------------------------------ */

struct head {
	uint64_t tag;			/* zero in a page that has none yet */
	uint64_t slot[REGISTRARS];	/* for each registrar to write to */
	uint64_t spare;
};

/* A pin must never show a page of another owner than OWNER_ARENA. */
enum owner { OWNER_ARENA = 1, OWNER_AWAY, OWNER_NEIGHBOUR, OWNER_CHILD };

/* In a tag, in place of a page's index: this is one of many equal pages (for KSM). */
#define TWIN 0xffff

static inline uint64_t tag_make(enum owner owner, unsigned int page, uint32_t gen)
{
	return 0xa5UL << 56 | (uint64_t)owner << 48 | (uint64_t)page << 32 | gen;
}

/* What a registrar writes into its slot. */
static inline uint64_t nonce_make(unsigned int registrar, unsigned int page, uint32_t seq)
{
	return 0x5aUL << 56 | (uint64_t)registrar << 48 | (uint64_t)page << 32 | seq;
}

/* --- arenas -------------------------------------------------------------------------------- */

enum kind {
	KIND_4K,		/* anonymous base pages */
	KIND_64K,		/* anonymous 64 KiB folios */
	KIND_THP,		/* anonymous 2 MiB folios */
	KIND_SHMEM,		/* base pages of a memfd */
	KIND_SHMEM_64K,		/* 64 KiB folios of a memfd */
	KIND_SHMEM_2M,		/* 2 MiB folios of a memfd */
	KIND_HUGETLB,		/* 2 MiB pages of a memfd */
	KIND_HUGETLB_PRIVATE,	/* anonymous 2 MiB pages of hugetlb */
	KIND_COUNT,
};

extern const char *const kind_name[KIND_COUNT];

/* Bits of arena.deny. */
enum { DENY_WRITE = 1, DENY_READ = 2 };

struct arena {
	enum kind kind;
	char *addr;
	char *away;			/* empty address space elsewhere, of the same size */
	char *alias;			/* a second mapping of all of the file, or NULL */
	unsigned int pages;
	int fd;
	bool twins;			/* all pages get the tag of twins */
	atomic_uint started;		/* changes that have begun */
	atomic_uint done;		/* changes that have ended */
	atomic_uint gen[MAX_PAGES];	/* of the page that is mapped there */
	atomic_uchar deny[MAX_PAGES];	/* accesses that the mapping refuses */
};

int arena_open(struct arena *a, enum kind kind);
void arena_close(struct arena *a);
/* How many pages can only be changed together. */
unsigned int arena_unit(const struct arena *a);
/* May pages that were taken away come back, with other heads? */
bool arena_reuses(const struct arena *a);
struct head *arena_head(const struct arena *a, unsigned int page);

/* A change: between these calls, others may see it half done. Returns its number. */
unsigned int change_begin(struct arena *a);
void change_end(struct arena *a);
/* Within a change: map new memory, whatever is there now; give it heads. */
int arena_map(struct arena *a, unsigned int first, unsigned int n);
void arena_tag(struct arena *a, unsigned int first, unsigned int n, unsigned int gen);
/* Map memory of the arena's kind anywhere. */
int arena_map_at(const struct arena *a, char *addr, size_t len, off_t off);
/* A change of its own: map all of the arena anew, in folios of the kind's size. */
int arena_renew(struct arena *a);

/* --- races --------------------------------------------------------------------------------- */

struct range {
	unsigned int first, n;
};

/* What a mutator does. All may be NULL but name and step. */
struct change {
	const char *name;
	/* Returns what a test returns. close() is called in any case. */
	int (*open)(struct arena *a);
	/* Make a change: 1 if it was made, 0 if the kernel refused it, < 0 after fault(). */
	int (*step)(struct arena *a, unsigned int round);
	void (*close)(struct arena *a);
	/* A registration may fail with this while the mapping changes, or forbids access. */
	int errno_changing;
};

extern const struct change change_unmap, change_mremap, change_replace, change_mprotect;
extern const struct change change_neighbours;
extern const struct change change_dontneed, change_free, change_remove, change_cold, change_pageout;
extern const struct change change_fork;
extern const struct change change_collapse, change_khugepaged, change_move_pages, change_compact;
extern const struct change change_ksm, change_reclaim;
extern const struct change change_missing, change_wp, change_minor;

/* Is the time over, or has something gone wrong? */
bool race_over(void);
/* The time between two looks at the work of another thread. */
#define PAUSE_US 100
/* Ends the race, since something is wrong. The test prints the first message. Returns FAILED. */
int fault(const char *fmt, ...) PRINTF(1, 2);
/* Sometimes let registrars finish a round, so that there are quiet times. */
void mutator_pause(void);
/* How many registrations and changes there were. */
unsigned long race_rounds(void);
unsigned long race_changes(void);

uint32_t rng_next(void);	/* a sequence of its own in each thread */
uint32_t rng_below(uint32_t n);
struct range rng_range(const struct arena *a, unsigned int max);
int write_file(const char *path, const char *fmt, ...) PRINTF(2, 3);

int race_run(enum kind kind, const struct change *change, double seconds);

/* --- the neighbour ------------------------------------------------------------------------- */

void neighbour_start(void);
unsigned long neighbour_rounds(void);
/* NULL, or what the neighbour has found in its memory. */
const char *neighbour_complaint(void);

/* --- registrars ---------------------------------------------------------------------------- */

struct registrar_count {
	atomic_ulong pinned;
	atomic_ulong failed;
	atomic_ulong quiet;		/* pinned while it was quiet */
	atomic_ulong compared;		/* memory and pin were compared both ways */
};

/* The state of a registrar's thread. */
struct registrar {
	unsigned int id;
	struct arena *arena;
	const struct change *change;
	struct registrar_count count;
	atomic_ulong rounds;
};

void *registrar_run(void *arg);

/* --- ways to pin, and to copy through a pin ------------------------------------------------- */

enum { MAX_SAMPLE = 60 };

struct pins_of;

/* Each thread opens one. The functions return 0, or an errno (pin), or FAILED after fault(). */
struct way {
	const char *name;
	bool (*available)(void);
	struct pins_of *(*open)(unsigned int id);
	void (*close)(struct pins_of *p);
	int (*pin)(struct pins_of *p, char *addr, size_t len, bool writable);
	int (*unpin)(struct pins_of *p);
	/* Copy heads, or slots of heads. Pages are counted from the pin's first. */
	int (*read)(struct pins_of *p, const unsigned int *page, unsigned int n, struct head *head);
	int (*write)(struct pins_of *p, const unsigned int *page, unsigned int n, unsigned int slot,
		     const uint64_t *value);
};

extern const struct way way_verbs, way_module;

#endif
