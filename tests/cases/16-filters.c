// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * A filter forbids a service some system calls. It was made for a libibverbs that needs only
 * ioctl() to register memory, and the calls of malloc(). Any other call may fail, or kill the
 * service.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "case.h"

#define LEN	(64 * MIB)
#define KILL	SECCOMP_RET_KILL_PROCESS
#define DENY(e)	(SECCOMP_RET_ERRNO | (e))

/* The calls of systemd's group @resources, and some that are not in @system-service. */
static const int resources[] = {
	SYS_ioprio_set, SYS_mbind, SYS_mincore, SYS_migrate_pages, SYS_move_pages,
	SYS_process_madvise, SYS_sched_setaffinity, SYS_sched_setattr, SYS_sched_setparam,
	SYS_sched_setscheduler, SYS_set_mempolicy, SYS_setpriority, SYS_setrlimit, SYS_userfaultfd,
};

/* Calls that container engines deny to processes without capabilities. */
static const int privileged[] = {
	SYS_bpf, SYS_clone3, SYS_get_mempolicy, SYS_mbind, SYS_mount, SYS_perf_event_open,
	SYS_set_mempolicy, SYS_setns, SYS_unshare, SYS_userfaultfd,
};

static const int threads[] = { SYS_clone, SYS_clone3, SYS_fork, SYS_vfork };

static const int advice[] = { SYS_madvise, SYS_process_madvise };

static const int files[] = { SYS_open, SYS_openat, SYS_openat2 };

/* The calls of malloc(), ioctl(), and those by which the test reports its result. */
static const int malloc_only[] = {
	SYS_brk, SYS_close, SYS_exit_group, SYS_fstat, SYS_futex, SYS_getrandom, SYS_ioctl,
	SYS_madvise, SYS_mmap, SYS_mprotect, SYS_mremap, SYS_munmap, SYS_newfstatat, SYS_openat,
	SYS_read, SYS_write,
};

static const struct filter {
	const char *name;
	const int *calls;
	size_t count;
	uint32_t listed, others;	/* what the filter does to these calls, and to others */
} filters[] = {
	{ "resources denied", resources, ARRAY_SIZE(resources), DENY(EPERM), SECCOMP_RET_ALLOW },
	{ "resources kill", resources, ARRAY_SIZE(resources), KILL, SECCOMP_RET_ALLOW },
	{ "privileged calls denied", privileged, ARRAY_SIZE(privileged), DENY(EPERM),
	  SECCOMP_RET_ALLOW },
	{ "threads denied", threads, ARRAY_SIZE(threads), DENY(EAGAIN), SECCOMP_RET_ALLOW },
	{ "threads kill", threads, ARRAY_SIZE(threads), KILL, SECCOMP_RET_ALLOW },
	{ "advice denied", advice, ARRAY_SIZE(advice), DENY(EPERM), SECCOMP_RET_ALLOW },
	{ "files denied", files, ARRAY_SIZE(files), DENY(ENOENT), SECCOMP_RET_ALLOW },
	{ "all but what malloc() makes denied", malloc_only, ARRAY_SIZE(malloc_only),
	  SECCOMP_RET_ALLOW, DENY(EPERM) },
	{ "all but what malloc() makes kill", malloc_only, ARRAY_SIZE(malloc_only),
	  SECCOMP_RET_ALLOW, KILL },
};

static int filter_calls(const struct filter *filter)
{
	struct sock_filter code[64];
	struct sock_fprog prog = { .filter = code };
	size_t i;

	code[prog.len++] = (struct sock_filter)
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
	for (i = 0; i < filter->count; i++) {
		code[prog.len++] = (struct sock_filter)
			BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, filter->calls[i], 0, 1);
		code[prog.len++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, filter->listed);
	}
	code[prog.len++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, filter->others);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog))
		return fail("cannot install a filter: %m");
	return PASSED;
}

static int register_filtered(const void *filter)
{
	char *p = map_fresh(LEN);

	return reopen_device() ?: filter_calls(filter) ?: register_once(p, LEN, ACCESS_ALL);
}

static int test(const void *filter)
{
	/* With this setting, the provider has most to do. */
	knob_set(&thp, "madvise");
	return test_in_child(register_filtered, filter);
}

int main(int argc, char **argv)
{
	size_t i;

	case_start("Memory is registered under filters of system calls.", 60, argc, argv);
	for (i = 0; i < ARRAY_SIZE(filters); i++)
		test_add(test, &filters[i], "%s", filters[i].name);
	return test_run();
}
