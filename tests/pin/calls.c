// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * How often phyr.ko calls GUP. If GUP has to make copies, asking for one page at a time
 * gains nothing. So there may be only a few calls for each page table, whatever the
 * folios are. Memory that is mapped writable must be pinned even while another thread
 * holds the mmap_lock.
 *
 * Pages of a file that are mapped for reading only are pinned under the mmap_lock. If
 * other threads want the lock often, each time that we take it is a wait. So we take it
 * once for a page table as well, and call GUP under it. Those calls (pin_user_pages())
 * are not counted.
 *
 * Kprobes count the calls, and a histogram of a trace event counts the locks.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cases.h"
#include "device.h"
#include "kinds.h"
#include "test.h"

#define TRACEFS "/sys/kernel/tracing/"
#define LEN (4 * SZ_2M)

/* For each table: a page that has to be copied, the rest of the table, and one to spare. */
#define CALLS_A_TABLE 3

/* For each table in a shared mapping: pin.c. In a private one: gup.c, and GUP. */
#define LOCKS_A_TABLE 2
/* Before a mapping is known to be shared: gup.c, GUP, and pin.c. */
#define MORE_LOCKS 3

#define LOCK_EVENT TRACEFS "events/mmap_lock/mmap_lock_start_locking/"

static int write_to(const char *path, int flags, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC | flags), err = 0;

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		err = fail("cannot write '%s' to %s: %m", text, path);
	if (fd >= 0)
		close(fd);
	return err;
}

static int begin_count(void)
{
	if (access(TRACEFS "kprobe_events", W_OK) &&
	    mount("tracefs", TRACEFS, "tracefs", 0, NULL))
		return fail("cannot mount tracefs: %m");
	return write_to(TRACEFS "kprobe_events", O_APPEND,
			"p:phyr_calls/fast pin_user_pages_fast") ?:
	       write_to(TRACEFS "kprobe_events", O_APPEND,
			"p:phyr_calls/remote pin_user_pages_remote") ?:
	       write_to(TRACEFS "events/phyr_calls/enable", 0, "1");
}

/* End the count. Returns the number of calls since begin_count(), or -1 if it is not known. */
static long end_count(void)
{
	FILE *profile = fopen(TRACEFS "kprobe_profile", "re");
	unsigned long hits, calls = 0;
	unsigned int seen = 0;
	char name[64];

	while (profile && fscanf(profile, "%63s %lu %*u", name, &hits) == 2)
		if (!strcmp(name, "fast") || !strcmp(name, "remote")) {
			calls += hits;
			seen++;
		}
	if (profile)
		fclose(profile);
	if (write_to(TRACEFS "events/phyr_calls/enable", 0, "0") ||
	    write_to(TRACEFS "kprobe_events", O_APPEND, "-:phyr_calls/fast") ||
	    write_to(TRACEFS "kprobe_events", O_APPEND, "-:phyr_calls/remote"))
		return -1;
	return seen == 2 ? (long)calls : -1;
}

/* Begin ("") or end ("!") to count how often this thread takes an mmap_lock. */
static int count_locks(const char *prefix)
{
	char text[64];

	snprintf(text, sizeof(text), "%shist:keys=common_pid if common_pid == %ld", prefix,
		 syscall(SYS_gettid));
	return write_to(LOCK_EVENT "trigger", 0, text);
}

static int begin_locks(void)
{
	return count_locks("");
}

/* End the count. Returns the number of locks since begin_locks(), or -1 if it is not known. */
static long end_locks(void)
{
	FILE *hist = fopen(LOCK_EVENT "hist", "re");
	long locks = -1;
	char line[256];

	while (hist && fgets(line, sizeof(line), hist))
		sscanf(line, " Hits: %ld", &locks);
	if (hist)
		fclose(hist);
	return count_locks("!") ? -1 : locks;
}

struct calls_case {
	const char *kind;
	enum fault_state state;
	bool contended;		/* another thread has the mmap_lock all the time */
	bool few_locks;		/* at most so many for each table */
};

static const struct calls_case cases[] = {
	{ .kind = "anon-4k", .state = FORKED },
	{ .kind = "anon-16k", .state = FORKED },
	{ .kind = "anon-64k", .state = FORKED },
	{ .kind = "anon-2048k", .state = FORKED },
	{ .kind = "thp-pte", .state = FORKED },
	{ .kind = "memfd-private", .state = UNTOUCHED },
	{ .kind = "memfd-2m-private", .state = UNTOUCHED },
	{ .kind = "memfd-2m-private-ro", .state = READ },
	{ .kind = "file-private", .state = READ },
	{ .kind = "file-2m-private-ro", .state = UNTOUCHED },
	{ .kind = "file-2m-private-ro", .state = READ },
	{ .kind = "file", .state = READ, .few_locks = true },
	{ .kind = "memfd-64k-neighbours-ro", .state = UNTOUCHED, .few_locks = true },
	{ .kind = "memfd-64k-neighbours-ro", .state = READ, .few_locks = true },
	{ .kind = "anon-4k", .state = TOUCHED, .contended = true },
	{ .kind = "memfd-4k", .state = TOUCHED, .contended = true },
	/* The mapping ends in the middle of a folio. */
	{ .kind = "memfd-2m-neighbours", .state = TOUCHED, .contended = true },
};

static const struct kind *find_kind(const char *name)
{
	const struct kind *all;
	size_t nr, i;

	all = kinds(&nr);
	for (i = 0; i < nr; i++)
		if (!strcmp(all[i].name, name))
			return &all[i];
	return NULL;
}

static void *hold_lock(void *arg)
{
	return (void *)(intptr_t)device_hold_mmap_lock(arg);
}

/* Pin while another thread holds the lock for writing. Memory that is mapped does not need it. */
static int pin_contended(const struct layout *l, struct phyr_test_pin *pin)
{
	struct phyr_test_hold hold = { .state = PHYR_TEST_HOLD_WANTED };
	pthread_t holder;
	void *held;
	int err;

	if (pthread_create(&holder, NULL, hold_lock, &hold))
		die("pthread_create: %m");
	while (__atomic_load_n(&hold.state, __ATOMIC_ACQUIRE) == PHYR_TEST_HOLD_WANTED)
		usleep(1000);
	err = device_pin(l->addr, l->size, false, pin);
	__atomic_store_n(&hold.state, PHYR_TEST_HOLD_OVER, __ATOMIC_RELEASE);
	pthread_join(holder, &held);
	return err ?: (int)(intptr_t)held;
}

static int count_calls(const struct calls_case *c, const struct layout *l)
{
	const long tables = LEN / SZ_2M;
	long most = CALLS_A_TABLE * tables + 1, calls, locks;
	struct phyr_test_pin pin;
	int err;

	if (begin_count())
		return FAILED;
	if (begin_locks()) {
		end_count();
		return FAILED;
	}
	if (c->contended)
		err = pin_contended(l, &pin);
	else
		err = device_pin(l->addr, l->size, false, &pin);
	locks = end_locks();
	calls = end_count();
	if (err)
		return fail("pin: %s", errno_name(err));
	err = device_unpin(pin.id, false);
	if (err)
		return fail("unpin: %s", errno_name(err));
	if (calls < 0 || locks < 0)
		return FAILED;
	if (!calls || calls > most)
		return fail("GUP was called %ld times, %ld at most are needed", calls, most);
	if (c->few_locks && locks > LOCKS_A_TABLE * tables + MORE_LOCKS)
		return fail("the mmap_lock was taken %ld times", locks);
	remark("%ld calls, %ld locks", calls, locks);
	return PASSED;
}

static int test_calls(const void *arg)
{
	const struct calls_case *c = arg;
	const struct kind *found = find_kind(c->kind);
	struct child child = { .pid = 0 };
	struct kind kind;
	struct layout l;
	int err;

	if (!found)
		return skip("this kernel has no folios of that size");
	kind = *found;
	kind.len = LEN;
	err = kind_open(&kind, &l) ?: kind_enter(&kind, &l, c->state, &child);
	if (!err)
		err = count_calls(c, &l);
	layout_pinned(&l, l.begin, l.size);
	if (child.pid)
		err = child_join(&child) ?: err;
	layout_close(&l);
	return err;
}

void add_calls(void)
{
	const struct calls_case *c;

	for (c = cases; c < cases + ARRAY_SIZE(cases); c++)
		test_add(test_calls, c, "calls/%s/%s%s", c->kind, state_name[c->state],
			 c->contended ? "/contended" : "");
}
