/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * The kernel's ib_umem with the livepatch and without it, through /dev/phyr_umem_test.
 *
 *	umem.c		the program; umems
 *	umem_equal.c	umems of the same memory, one by the kernel's own function and one by ours
 *	umem_errors.c	requests that must be refused
 *	umem_held.c	taking the livepatch out while a task is in it
 *	patch.c		the livepatch
 *
 * "stock" is the kernel's own function, "phyr" is ours.
 */
#ifndef PHYR_TESTS_UMEM_UMEM_H
#define PHYR_TESTS_UMEM_UMEM_H

#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>

#include "memory.h"
#include "patch.h"
#include "phyr_umem_test.h"
#include "test.h"

#define RW	(PROT_READ | PROT_WRITE)
#define ANON	(MAP_PRIVATE | MAP_ANONYMOUS)

/* The access flags, from uverbs. */
enum {
	WRITABLE = 1 << 0,		/* local write */
	READABLE = 1 << 2,		/* remote read: no write */
	ON_DEMAND = 1 << 6,
	RELAXED = 1 << 20,		/* ordering */
};

/* The PCI device that umems are for. 0: they are for an RDMA device that does no DMA. */
extern uint32_t pci_device;

/* A request for the program's device. */
struct phyr_umem_test_get umem_request(const void *addr, size_t len, int access);
/* 0 or an errno. */
int umem_get(struct phyr_umem_test_get *get);
/* Make any call. The first returns 0 or an errno, the second PASSED or FAILED. */
int umem_errno(unsigned long cmd, void *args);
int umem_call(unsigned long cmd, void *args);
int umem_release(uint32_t id);

/* Make a file on a real file system, which tracks dirty pages. Its descriptor; -1 after fail(). */
int ext4_file(size_t len);

void equal_add_tests(void);
void errors_add_tests(void);
void held_add_tests(void);

#endif
