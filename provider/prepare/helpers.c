// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Threads that help, for the time of one call.
 *
 * We make them by clone(). pthread_create() calls malloc() for a thread, and so may call hooks of
 * the program's. Its stack has to hold the thread-local variables of all libraries, which may be of
 * any size. And a thread that pthread_join() has seen end may be in /proc/self/task a moment
 * longer: then unshare(CLONE_NEWUSER) fails in a program that has no other thread.
 *
 * libc does not know of such a thread. So:
 *
 *  - It runs nothing of libc, only raw system calls (syscall.h). It has the thread-local storage
 *    of the thread that made it. It may read this (the stack protector does), but not write.
 *  - Its stack is ours, and small. All signals are blocked, so no handler runs on it, and its
 *    function calls few others. A child that is forked meanwhile has neither the thread nor the
 *    stack (MADV_DONTFORK).
 *  - It does not do what libc has all threads do (setuid()). But libc asks the threads by a
 *    signal, and the thread that made it answers when it is gone.
 *  - It ends by exit(), with the process, and with exec(), as the kernel has it for all threads.
 *
 * No handler of the program's runs on a thread that has helpers: it might leave by siglongjmp(),
 * and they would go on. So we hold back the signals for which there is a handler, as the kernel
 * does while it registers memory. When one waits, the helpers end, the handler runs, and we make
 * new helpers. We hold back no other signal: one that ends the process does so at once.
 *
 * __clone() is libc's other name for clone(). Sanitizers stand in front of clone(), and take every
 * call for a fork().
 */
#define _GNU_SOURCE
#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <time.h>

#include "parts.h"

#define FLAGS	(CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | \
		 CLONE_SYSVSEM | CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID)

/* Libc's functions leave out two signals of its own. */
static long set_mask(const signal_mask *mask, signal_mask *before)
{
	return raw_syscall(SYS_rt_sigprocmask, SIG_SETMASK, (long)mask, (long)before,
			   sizeof(*mask), 0, 0);
}

static bool has_handler(int signal)
{
	uintptr_t action[8];	/* the kernel's struct sigaction: it begins with the handler */

	return !raw_syscall(SYS_rt_sigaction, signal, 0, (long)action, sizeof(signal_mask), 0,
			    0) &&
	       action[0] != (uintptr_t)SIG_DFL && action[0] != (uintptr_t)SIG_IGN;
}

static signal_mask bit(int signal)
{
	return (signal_mask)1 << (signal - 1);
}

bool prepare_hold_signals(struct held_signals *held)
{
	signal_mask mask = 0;
	int signal;

	for (signal = 1; signal <= 64; signal++)
		if (has_handler(signal))
			mask |= bit(signal);
	/* What a thread raises itself would kill it: libc's functions may have breakpoints. */
	mask &= ~(bit(SIGSEGV) | bit(SIGBUS) | bit(SIGILL) | bit(SIGFPE) | bit(SIGTRAP) |
		  bit(SIGSYS));
	if (raw_syscall(SYS_rt_sigprocmask, SIG_BLOCK, (long)&mask, (long)&held->before,
			sizeof(mask), 0, 0))
		return false;
	held->held = mask & ~held->before;
	return true;
}

void prepare_let_signals(const struct held_signals *held)
{
	set_mask(&held->before, NULL);
}

bool prepare_signal_waits(const struct held_signals *held)
{
	signal_mask pending;

	return !raw_syscall(SYS_rt_sigpending, (long)&pending, sizeof(pending), 0, 0, 0, 0) &&
	       pending & held->held;
}

#if PREPARE_CAN_HELP

int libc_clone(int (*fn)(void *), void *stack, int flags, void *arg, ...) __asm__("__clone");

static bool start(struct helper *helper, char *stack, int (*run)(void *), void *arg)
{
	helper->id = libc_clone(run, stack + PREPARE_STACK, FLAGS, arg, &helper->alive, NULL,
				&helper->alive);
	return helper->id > 0;
}

#else

static bool start(struct helper *helper, char *stack, int (*run)(void *), void *arg)
{
	(void)helper;
	(void)stack;
	(void)run;
	(void)arg;
	return false;
}

#endif

unsigned int prepare_start_helpers(struct room *room, struct helper *helpers, unsigned int wanted,
				   int (*run)(void *), void *arg)
{
	const signal_mask all = -1;
	signal_mask before;
	unsigned int count = 0;

	if (set_mask(&all, &before))
		return 0;
	while (count < wanted && start(&helpers[count], room->stack[count], run, arg))
		count++;
	set_mask(&before, NULL);
	return count;
}

/* It no longer runs our code. The kernel wakes one who waits. */
static void await_end(struct helper *helper)
{
	uint32_t id;

	while ((id = atomic_load(&helper->alive)))
		raw_syscall(SYS_futex, (long)&helper->alive, FUTEX_WAIT, id, 0, 0, 0);
}

/*
 * The kernel forgets it a moment later: then it is gone from /proc, and from the list that
 * unshare() looks at. A debugger that has not yet taken notice of its end may hold that up. We
 * wait some seconds for it, and no longer.
 */
static void await_oblivion(struct helper *helper, pid_t process)
{
	struct timespec pause = { .tv_nsec = 20000 };
	unsigned int looks;

	for (looks = 0; looks < 5000; looks++) {
		if (raw_syscall(SYS_tgkill, process, helper->id, 0, 0, 0, 0) == -ESRCH)
			return;
		if (looks < 4) {
			raw_syscall(SYS_sched_yield, 0, 0, 0, 0, 0, 0);
		} else {
			raw_syscall(SYS_nanosleep, (long)&pause, 0, 0, 0, 0, 0);
			pause.tv_nsec = pause.tv_nsec < 1000000 ? 2 * pause.tv_nsec : 1000000;
		}
	}
}

void prepare_await_helpers(struct helper *helpers, unsigned int count)
{
	pid_t process = raw_syscall(SYS_getpid, 0, 0, 0, 0, 0, 0);
	siginfo_t nobody;
	unsigned int i;

	for (i = 0; i < count; i++)
		await_end(&helpers[i]);
	for (i = 0; i < count; i++)
		await_oblivion(&helpers[i], process);
	/*
	 * The kernel drops the number of a thread a few instructions before its place in the list
	 * of threads, and holds its lock of all tasks meanwhile. This call takes that lock. It asks
	 * for children, does not wait, and takes notice of none.
	 */
	raw_syscall(SYS_waitid, P_ALL, 0, (long)&nobody, WEXITED | WNOHANG | WNOWAIT, 0, 0);
}
