// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * A second thread that holds the lock of the process's address space (mmap_lock) for writing most
 * of the time: it moves memory of its own to and fro. The two places differ in their offset in a
 * page table, so that each entry is moved by itself; that takes several ticks of the clock, and
 * the kernel offers to be interrupted in between. So the thread that registers finds the lock
 * held, also where both have one CPU.
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

#define PLACE(i) (memory + (i) * (LEN + 4096))

static char *memory;
static pthread_t thread;
static atomic_bool ended;

/* Where the memory was stays mapped, so that nobody else gets it. */
static void *contend(void *unused)
{
	const int flags = MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP;

	for (int at = 0; !ended; at = !at)
		if (mremap(PLACE(at), LEN, LEN, flags, PLACE(!at)) == MAP_FAILED) {
			fprintf(stderr, PROGRAM ": warning: nothing contends: mremap(): %s\n",
				strerror(errno));
			break;
		}
	return unused;
}

static bool map_memory(void)
{
	memory = mmap(NULL, 2 * (LEN + 4096), PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (memory == MAP_FAILED)
		return false;
	/* A kernel without transparent huge pages rejects the first, and needs none. */
	madvise(memory, 2 * (LEN + 4096), MADV_NOHUGEPAGE);
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
	munmap(memory, 2 * (LEN + 4096));
}
