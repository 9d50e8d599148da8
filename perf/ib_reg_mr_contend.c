// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * A second thread that wants the lock of the process's address space (mmap_lock) for writing all
 * the time: it moves memory of its own to and fro. The two places differ in their offset in a page
 * table, so that each entry is moved by itself, and the lock is held for long.
 *
 * How often the thread that registers finds the lock held depends on CPUs and scheduler. With one
 * CPU, Linux 6.12 was not seen to refuse it to who tries without waiting.
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
