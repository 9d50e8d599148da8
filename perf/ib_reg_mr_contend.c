// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * A second thread that holds the lock of the process's address space (mmap_lock) for writing most
 * of the time: it changes the permissions of its own memory, again and again. One change goes
 * through so many page table entries that it takes several ticks of the clock. So the scheduler
 * interrupts it in the middle, and the thread that registers finds the lock held, also where both
 * have one CPU.
 *
 * That memory has only been read, so it is the zero page over and over, and takes none.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>

#include "ib_reg_mr.h"

#define LEN ((size_t)1 << 30)

static char *memory;
static pthread_t thread;
static atomic_bool ended;

static void *contend(void *unused)
{
	while (!ended) {
		mprotect(memory, LEN, PROT_READ);
		mprotect(memory, LEN, PROT_READ | PROT_WRITE);
	}
	return unused;
}

static bool map_memory(void)
{
	memory = mmap(NULL, LEN, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (memory == MAP_FAILED)
		return false;
	/* A kernel without transparent huge pages rejects the first, and needs none. */
	madvise(memory, LEN, MADV_NOHUGEPAGE);
	return !madvise(memory, LEN, MADV_POPULATE_READ);
}

bool contender_start(void)
{
	int err;

	if (!map_memory()) {
		fprintf(stderr, PROGRAM ": no memory for --contend: %s\n", strerror(errno));
		return false;
	}
	err = pthread_create(&thread, NULL, contend, NULL);
	if (err)
		fprintf(stderr, PROGRAM ": no thread for --contend: %s\n", strerror(err));
	return !err;
}

void contender_end(void)
{
	ended = true;
	pthread_join(thread, NULL);
	munmap(memory, LEN);
}
