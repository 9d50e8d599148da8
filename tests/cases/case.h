/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * What the cases share. A case is a program that works with librxe on the distribution's driver. It
 * tests one way in which our ibv_reg_mr() could harm it:
 *
 *	01-mappings.c		mappings stay what they were
 *	02-calls.c		libc's memory functions are not called
 *	04-afterwards.c		what memory costs later, once it was registered
 *	06-read-only.c		registrations for reading only come to an end
 *	10-limits.c		a container's limits of memory and of threads
 *	16-filters.c		system calls that a filter forbids
 *	17-one-thread.c		a program with one thread has one thread
 *	18-thread-local.c	a program with many thread-local variables
 *	19-no-proc.c		a program that does not see /proc
 *	20-refused.c		a registration that is refused leaves memory untouched
 *	21-served-faults.c	a program that serves the page faults of its memory
 *	22-little-stack.c	a coroutine, whose stack is small
 *
 * Up to 20, a case has the number of the report that it goes back to.
 */
#ifndef PHYR_TESTS_CASES_CASE_H
#define PHYR_TESTS_CASES_CASE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/mman.h>

#include "knob.h"
#include "memory.h"
#include "rdma.h"
#include "test.h"

#define RW	(PROT_READ | PROT_WRITE)
#define ANON	(MAP_PRIVATE | MAP_ANONYMOUS)

/* The system's setting for transparent huge pages, and all its values. */
extern struct knob thp;
extern const char *const thp_modes[3];

/* Opens the device and the setting. The program adds its tests after that. */
void case_start(const char *about, unsigned int watchdog_s, int argc, char **argv);

/* Memory that nobody has touched yet, as malloc() gets it from the kernel. */
char *map_fresh(size_t len);

/* How many bytes of the memory are present. */
size_t present(const char *addr, size_t len);

/* Register and release. */
int register_once(char *addr, size_t len, int access);

/* A context belongs to the process that opened it, so a child opens the device again. */
int reopen_device(void);

/* A control group of its own for a test; @controllers as in "+memory". */
int group_open(const char *controllers);
int group_write(const char *file, const char *text);
int group_join(void);
/* The number behind a key of a file, or the file's only number if the key is empty. */
long group_read(const char *file, const char *key);
/* The group must be empty, and nothing may be charged to it any more. */
int group_close(void);

#endif
