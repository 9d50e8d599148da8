/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * System calls past libc.
 *
 * Registration caches stand in front of libc's munmap(), madvise() and the like. There they take
 * locks that they hold when they call ibv_reg_mr(). So no call that changes mappings may go through
 * these symbols. Besides, helper threads (helpers.c) have no thread-local storage of their own, so
 * they must not write errno.
 *
 * All of these return the kernel's answer: -errno after an error.
 */
#ifndef PHYR_PREPARE_SYSCALL_H
#define PHYR_PREPARE_SYSCALL_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__x86_64__) && defined(__LP64__)

/* These calls touch no thread-local storage. */
#define RAW_SYSCALLS 1

static inline long raw_syscall(long nr, long a, long b, long c, long d, long e, long f)
{
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	register long r9 __asm__("r9") = f;
	long ret;

	__asm__ volatile("syscall"
			 : "=a"(ret)
			 : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return ret;
}

#elif defined(__aarch64__) && defined(__LP64__)

#define RAW_SYSCALLS 1

static inline long raw_syscall(long nr, long a, long b, long c, long d, long e, long f)
{
	register long x8 __asm__("x8") = nr;
	register long x0 __asm__("x0") = a;
	register long x1 __asm__("x1") = b;
	register long x2 __asm__("x2") = c;
	register long x3 __asm__("x3") = d;
	register long x4 __asm__("x4") = e;
	register long x5 __asm__("x5") = f;

	__asm__ volatile("svc #0"
			 : "+r"(x0)
			 : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5)
			 : "memory");
	return x0;
}

#else

/* Caches do not stand in front of syscall(). But it writes errno, so there are no helpers here. */
#define RAW_SYSCALLS 0

static inline long raw_syscall(long nr, long a, long b, long c, long d, long e, long f)
{
	long ret = syscall(nr, a, b, c, d, e, f);

	return ret == -1 ? -errno : ret;
}

#endif

static inline long raw_madvise(uintptr_t start, size_t size, int advice)
{
	return raw_syscall(SYS_madvise, start, size, advice, 0, 0, 0);
}

/* Memory without a file. NULL if there is none. */
static inline void *raw_mmap(size_t size, int flags)
{
#ifdef SYS_mmap2
	const long nr = SYS_mmap2;
#else
	const long nr = SYS_mmap;
#endif
	long ret = raw_syscall(nr, 0, size, PROT_READ | PROT_WRITE, MAP_ANONYMOUS | flags, -1, 0);

	return (unsigned long)ret > -4096UL ? NULL : (void *)ret;
}

static inline void raw_munmap(void *addr, size_t size)
{
	raw_syscall(SYS_munmap, (long)addr, size, 0, 0, 0, 0);
}

#endif
