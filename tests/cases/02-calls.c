// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Registration caches intercept libc's memory functions, and take a lock there. They hold that lock
 * when they call ibv_reg_mr(), too: if the registration calls one of these functions, it deadlocks.
 * Some caches define symbols of the same names, as the first tests here do. Others put a jump at
 * the function's beginning, and so intercept libc's own calls, too. The second tests use a
 * breakpoint for that.
 *
 * These tests take no lock. They count the calls.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include "case.h"

/*
 * The functions that are counted. on_trap() can replace those before TRAPPED: they take at most six
 * arguments, and return what the system call returns.
 */
static struct function {
	const char *name;
	long nr;
	atomic_uint calls;
	unsigned char *entry;
} functions[] = {
	{ .name = "mmap", .nr = SYS_mmap },
	{ .name = "munmap", .nr = SYS_munmap },
	{ .name = "mprotect", .nr = SYS_mprotect },
	{ .name = "mremap", .nr = SYS_mremap },
	{ .name = "madvise", .nr = SYS_madvise },
	{ .name = "brk", .nr = SYS_brk },
	{ .name = "sbrk", .nr = -1 },
};

enum { MMAP, MUNMAP, MPROTECT, MREMAP, MADVISE, BRK, SBRK, TRAPPED = BRK };

static atomic_bool watching;

static void note(int function)
{
	if (watching)
		functions[function].calls++;
}

/* --- in front of libc's symbols ----------------------------------------------------------- */

void *mmap(void *addr, size_t len, int prot, int flags, int fd, off_t off)
{
	note(MMAP);
	return (void *)syscall(SYS_mmap, addr, len, prot, flags, fd, off);
}

void *mmap64(void *addr, size_t len, int prot, int flags, int fd, off64_t off)
{
	return mmap(addr, len, prot, flags, fd, off);
}

int munmap(void *addr, size_t len)
{
	note(MUNMAP);
	return syscall(SYS_munmap, addr, len);
}

int mprotect(void *addr, size_t len, int prot)
{
	note(MPROTECT);
	return syscall(SYS_mprotect, addr, len, prot);
}

void *mremap(void *addr, size_t len, size_t new_len, int flags, ...)
{
	/* Nobody here uses the fifth argument. */
	note(MREMAP);
	return (void *)syscall(SYS_mremap, addr, len, new_len, flags, NULL);
}

int madvise(void *addr, size_t len, int advice)
{
	note(MADVISE);
	return syscall(SYS_madvise, addr, len, advice);
}

int brk(void *addr)
{
	int (*next)(void *addr) = dlsym(RTLD_NEXT, "brk");

	note(BRK);
	return next(addr);
}

void *sbrk(intptr_t increment)
{
	void *(*next)(intptr_t increment) = dlsym(RTLD_NEXT, "sbrk");

	note(SBRK);
	return next(increment);
}

/* --- at the beginning of libc's functions ------------------------------------------------- */

/* Make the function's system call in its place, and return to its caller. */
static void on_trap(int sig, siginfo_t *info, void *context)
{
	greg_t *regs = ((ucontext_t *)context)->uc_mcontext.gregs;
	int i;

	(void)sig;
	(void)info;
	for (i = 0; i < TRAPPED; i++)
		if ((unsigned char *)regs[REG_RIP] == functions[i].entry + 1)
			break;
	if (i == TRAPPED)
		abort();
	note(i);
	regs[REG_RAX] = syscall(functions[i].nr, regs[REG_RDI], regs[REG_RSI], regs[REG_RDX],
				regs[REG_RCX], regs[REG_R8], regs[REG_R9]);
	regs[REG_RIP] = *(greg_t *)regs[REG_RSP];
	regs[REG_RSP] += sizeof(greg_t);
}

static int set_traps(void)
{
	struct sigaction action = { .sa_sigaction = on_trap, .sa_flags = SA_SIGINFO };
	unsigned char *page;
	int i;

	if (sigaction(SIGTRAP, &action, NULL))
		return fail("sigaction: %m");
	for (i = 0; i < TRAPPED; i++) {
		functions[i].entry = dlsym(RTLD_NEXT, functions[i].name);
		if (!functions[i].entry)
			return fail("libc has no %s()", functions[i].name);
		page = (unsigned char *)((uintptr_t)functions[i].entry & ~(SZ_4K - 1));
		if (syscall(SYS_mprotect, page, SZ_4K, RW | PROT_EXEC))
			return fail("mprotect: %m");
		*functions[i].entry = 0xcc;
	}
	return PASSED;
}

/* Do the traps work at all? */
static int try_traps(void)
{
	int (*of_libc)(void *addr, size_t len) = dlsym(RTLD_NEXT, "munmap");
	char *p = map_fresh(SZ_4K);

	watching = true;
	if (of_libc(p, SZ_4K))
		fail("munmap: %m");
	watching = false;
	if (functions[MUNMAP].calls != 1)
		return fail("a call of munmap() was seen %u times", functions[MUNMAP].calls);
	functions[MUNMAP].calls = 0;
	return PASSED;
}

/* --- the tests ---------------------------------------------------------------------------- */

struct arg {
	const char *mode;
	size_t len;
	bool traps;
};

static int look_at_calls(void)
{
	size_t i;
	int err = PASSED;

	for (i = 0; i < ARRAY_SIZE(functions); i++)
		if (functions[i].calls)
			err = fail("%s() was called %u times", functions[i].name,
				   functions[i].calls);
	return err;
}

static int test_calls(const void *arg)
{
	const struct arg *a = arg;
	struct ibv_mr *mr;
	char *small, *p;
	int err;

	err = reopen_device();
	if (err)
		return err;
	/* With the first registration, malloc() gets the memory that it needs. */
	small = map_fresh(SZ_4K);
	err = register_once(small, SZ_4K, ACCESS_ALL) ?:
	      (a->traps ? set_traps() ?: try_traps() : PASSED);
	p = map_fresh(a->len);
	if (err)
		return err;
	watching = true;
	mr = ibv_reg_mr(dev.pd, p, a->len, ACCESS_ALL);
	watching = false;
	return mr ? look_at_calls() : fail("ibv_reg_mr: %m");
}

/* A child runs each test, since the traps stay in its copy of libc. */
static int test(const void *arg)
{
	knob_set(&thp, ((const struct arg *)arg)->mode);
	return test_in_child(test_calls, arg);
}

int main(int argc, char **argv)
{
	static struct arg args[ARRAY_SIZE(thp_modes)][2][2];
	size_t i, j;

	case_start("Counts calls of libc's memory functions by a registration.", 60, argc, argv);
	for (i = 0; i < ARRAY_SIZE(thp_modes); i++) {
		for (j = 0; j < 2; j++) {
			struct arg *by = args[i][j];

			by[0] = (struct arg){ thp_modes[i], j ? 64 * MIB : 8 * MIB, false };
			by[1] = (struct arg){ thp_modes[i], j ? 64 * MIB : 8 * MIB, true };
			test_add(test, &by[0], "by symbols, %zu MiB, THP %s", by[0].len / MIB,
				 by[0].mode);
			test_add(test, &by[1], "within libc, too, %zu MiB, THP %s", by[1].len / MIB,
				 by[1].mode);
		}
	}
	return test_run();
}
