// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * A registrar pins a part of the arena, checks what it got, and unpins.
 *
 * A round checks, in this order:
 *
 *  - Pinning may succeed or fail like this. It may fail only if there was a change, or if the
 *    mapping forbids the access. It may not succeed if the mapping forbade it all the time.
 *  - The heads that the pin shows are those of pages of this arena, at this index, of a generation
 *    that was mapped at some moment while we pinned.
 *  - If it is quiet, memory and pin are the same page: we write to both.
 *  - After some more changes, the pin still has the same pages.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "race.h"

#define LINGER_MS 15
#define QUICK_SAMPLE 8

/* One round. */
struct pinned {
	struct registrar *reg;
	const struct way *way;
	struct pins_of *pins;
	struct range range;		/* of the arena */
	bool writable;
	unsigned int done;		/* changes that had ended before we pinned */
	unsigned int started;		/* changes that had begun afterwards */
	bool quiet;			/* the two were equal: no change while we pinned */
	unsigned int gen[MAX_PAGES];	/* before we pinned, by index in the range */
	unsigned char deny[MAX_PAGES];
	int still_denied;		/* a page that was forbidden all the time, or -1 */
	unsigned int sample[MAX_SAMPLE];	/* pages to look at, by index in the range */
	unsigned int samples;
	uint64_t slot[MAX_SAMPLE];	/* what our slot must have; 0: anything */
	uint64_t tag[MAX_SAMPLE];	/* what we have seen, or 0 */
};

/* Are the pages mapped still those that were mapped when we pinned? */
static bool still_quiet(const struct pinned *p)
{
	return p->quiet && atomic_load(&p->reg->arena->started) == p->started;
}

static void choose(struct pinned *p)
{
	const struct arena *a = p->reg->arena;
	unsigned int i, want, max = rng_below(4) ? 48 : a->pages;

	p->range.n = 1 + rng_below(max);
	p->range.first = rng_below(a->pages - p->range.n + 1);
	p->writable = rng_below(2);
	/* Small samples find errors that last only shortly, large ones those in few pages. */
	want = rng_below(4) ? QUICK_SAMPLE : MAX_SAMPLE;
	p->samples = p->range.n < want ? p->range.n : want;
	/* Take all pages, or some with both ends. None may come twice, as each is written to. */
	for (i = 0; i < p->samples; i++)
		p->sample[i] = p->range.n <= want ? i : i * (p->range.n - 1) / (want - 1);
	memset(p->slot, 0, sizeof(p->slot));
	memset(p->tag, 0, sizeof(p->tag));
}

static const char *access_name(const struct pinned *p)
{
	return p->writable ? "writing" : "reading";
}

/* The first page whose mapping forbade the access before we pinned, or -1. */
static int denied_page(const struct pinned *p)
{
	unsigned char mask = DENY_READ | (p->writable ? DENY_WRITE : 0);
	unsigned int i;

	for (i = 0; i < p->range.n; i++)
		if (p->deny[i] & mask)
			return p->range.first + i;
	return -1;
}

/* The same for the whole time: a handler of page faults may permit the access meanwhile. */
static int still_denied_page(const struct pinned *p)
{
	unsigned char mask = DENY_READ | (p->writable ? DENY_WRITE : 0);
	unsigned int i;

	for (i = 0; i < p->range.n; i++)
		if (p->deny[i] & atomic_load(&p->reg->arena->deny[p->range.first + i]) & mask)
			return p->range.first + i;
	return -1;
}

/* May pinning have ended like this? */
static int judge_result(struct pinned *p, int err)
{
	const struct change *change = p->reg->change;

	if (!err && p->quiet && p->still_denied >= 0)
		return fault("pinned for %s, although page %d was protected all the time",
			     access_name(p), p->still_denied);
	if (err && p->quiet && denied_page(p) < 0)
		return fault("pinning pages %u+%u for %s failed (%s), although nothing changed",
			     p->range.first, p->range.n, access_name(p), errno_name(err));
	if (err && err != change->errno_changing)
		return fault("pinning pages %u+%u failed with %s", p->range.first, p->range.n,
			     errno_name(err));
	return 0;
}

/* Returns 0 or an errno, or FAILED after fault(). */
static int pin(struct pinned *p)
{
	struct arena *a = p->reg->arena;
	unsigned int i;
	int err;

	p->done = atomic_load(&a->done);
	for (i = 0; i < p->range.n; i++) {
		p->gen[i] = atomic_load(&a->gen[p->range.first + i]);
		p->deny[i] = atomic_load(&a->deny[p->range.first + i]);
	}
	err = p->way->pin(p->pins, a->addr + p->range.first * SZ_4K, p->range.n * SZ_4K,
			  p->writable);
	/* Read this before the number of changes: if a change alters it, it is not quiet. */
	p->still_denied = still_denied_page(p);
	p->started = atomic_load(&a->started);
	p->quiet = p->started == p->done;
	if (err < 0)
		return err;
	if (judge_result(p, err)) {
		if (!err)
			p->way->unpin(p->pins);
		return FAILED;
	}
	return err;
}

/* May somebody have emptied pages that we have pinned? */
static bool may_be_reused(const struct pinned *p)
{
	return arena_reuses(p->reg->arena) && !still_quiet(p);
}

static int judge_slot(struct pinned *p, unsigned int i, const struct head *head)
{
	unsigned int page = p->range.first + p->sample[i], id;
	uint64_t is;

	for (id = 0; id < REGISTRARS; id++) {
		is = head->slot[id];
		if (!is && may_be_reused(p))
			continue;
		if (id == p->reg->id && p->slot[i] && is != p->slot[i])
			return fault("page %u has lost what was written to it: %#lx is %#lx", page,
				     p->slot[i], is);
		if (is && is >> 32 != nonce_make(id, page, 0) >> 32)
			return fault("page %u has what was written to another: %#lx", page, is);
	}
	return 0;
}

static int judge_tag(struct pinned *p, unsigned int i, uint64_t tag)
{
	struct arena *a = p->reg->arena;
	unsigned int page = p->range.first + p->sample[i];
	uint32_t gen = tag, latest = p->started;

	if (may_be_reused(p)) {
		latest = atomic_load(&a->started);
		if (!tag)
			return 0;
	} else if (p->tag[i] && tag != p->tag[i]) {
		return fault("page %u was %#lx, and is %#lx now, in the same pin", page, p->tag[i],
			     tag);
	}
	p->tag[i] = tag;
	/* New memory has no head yet while a change goes on, and only then. */
	if (!tag && !p->quiet)
		return 0;
	if (a->twins && tag == tag_make(OWNER_ARENA, TWIN, 0))
		return 0;
	if (tag >> 32 != tag_make(OWNER_ARENA, page, 0) >> 32)
		return fault("page %u shows a page of somebody else: %#lx", page, tag);
	if (gen == p->gen[p->sample[i]] || (gen > p->done && gen <= latest))
		return 0;
	return fault("page %u is of generation %u; mapped were %u and %u to %u%s", page, gen,
		     p->gen[p->sample[i]], p->done + 1, latest, p->quiet ? " (quiet)" : "");
}

static int look(struct pinned *p)
{
	struct head head[MAX_SAMPLE];
	unsigned int i;

	if (p->way->read(p->pins, p->sample, p->samples, head))
		return FAILED;
	for (i = 0; i < p->samples; i++)
		if (judge_tag(p, i, head[i].tag) || judge_slot(p, i, &head[i]))
			return FAILED;
	return 0;
}

static void new_nonces(struct pinned *p)
{
	static atomic_uint seq;
	uint32_t now = atomic_fetch_add(&seq, 1) + 1;
	unsigned int i;

	for (i = 0; i < p->samples; i++)
		p->slot[i] = nonce_make(p->reg->id, p->range.first + p->sample[i], now);
}

static int write_pin(struct pinned *p)
{
	new_nonces(p);
	return p->way->write(p->pins, p->sample, p->samples, p->reg->id, p->slot);
}

/*
 * Read or write our slots in memory, as the process sees it. False if the memory has been unmapped
 * or protected meanwhile: system calls then fail where an access would raise a signal.
 */
static bool memory_access(struct pinned *p, uint64_t *value, bool write)
{
	struct iovec local = { .iov_base = value, .iov_len = p->samples * 8 }, remote[MAX_SAMPLE];
	unsigned int i;
	ssize_t done;

	for (i = 0; i < p->samples; i++) {
		remote[i].iov_base = &arena_head(p->reg->arena, p->range.first + p->sample[i])
					      ->slot[p->reg->id];
		remote[i].iov_len = 8;
	}
	done = write ? process_vm_writev(getpid(), &local, 1, remote, p->samples, 0) :
		       process_vm_readv(getpid(), &local, 1, remote, p->samples, 0);
	return done == (ssize_t)local.iov_len;
}

/* While it is quiet, memory and pin must show what is written to the other. */
static int compare(struct pinned *p)
{
	uint64_t seen[MAX_SAMPLE];
	unsigned int i;
	bool ok;

	if (p->writable) {
		ok = memory_access(p, seen, false);
		for (i = 0; ok && i < p->samples; i++)
			if (seen[i] != p->slot[i] && still_quiet(p))
				return fault("page %u: memory lacks what the pin wrote: %#lx %#lx",
					     p->range.first + p->sample[i], p->slot[i], seen[i]);
	}
	if (!still_quiet(p))
		return 0;
	new_nonces(p);
	ok = memory_access(p, p->slot, true);
	if (!ok || !still_quiet(p)) {
		/* We do not know which pages got that. */
		memset(p->slot, 0, sizeof(p->slot));
		return 0;
	}
	p->reg->count.compared++;
	return look(p);
}

static void linger(void)
{
	double deadline = now_ms() + LINGER_MS;
	unsigned long changes = race_changes();

	while (race_changes() < changes + 1 && now_ms() < deadline && !race_over())
		usleep(PAUSE_US);
}

static int judge(struct pinned *p)
{
	if (look(p))
		return FAILED;
	/* If it was not quiet, there is less to check. More rounds are worth more. */
	if (!p->quiet && rng_below(2))
		return 0;
	if (p->writable && (write_pin(p) || look(p)))
		return FAILED;
	if (still_quiet(p) && compare(p))
		return FAILED;
	if (rng_below(4))
		return 0;
	linger();
	return p->writable ? write_pin(p) ?: look(p) : look(p);
}

static int registrar_round(struct pinned *p)
{
	struct registrar_count *count = &p->reg->count;
	int err;

	choose(p);
	err = pin(p);
	if (err < 0)
		return err;
	if (err) {
		count->failed++;
		return 0;
	}
	count->pinned++;
	count->quiet += p->quiet;
	err = judge(p);
	return p->way->unpin(p->pins) ?: err;
}

void *registrar_run(void *arg)
{
	struct registrar *reg = arg;
	struct pinned p = {
		.reg = reg,
		/* If both ways are available, each has a registrar. */
		.way = reg->id && way_module.available() ? &way_module : &way_verbs,
	};

	p.pins = p.way->open(reg->id);
	while (p.pins && !race_over() && !registrar_round(&p))
		atomic_fetch_add(&reg->rounds, 1);
	if (p.pins)
		p.way->close(p.pins);
	return NULL;
}
