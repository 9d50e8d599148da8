// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * limits: what a process is charged for registrations, and its limits; see limits_cases.h for the
 * parts.
 *
 * A process cannot lift its limits again, so most cases run in a child. It shares some memory with
 * us, in which it notes the result of each step, and we judge them. When the child has ended, all
 * its regions must be gone: the runner checks the pins of the whole machine.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "limits_cases.h"

bool on_stock;

void child_die(struct child *c, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(c->why, sizeof(c->why), fmt, ap);
	va_end(ap);
	_exit(1);
}

/* A child opens its own context, since the parent's belongs to the parent's memory. */
void child_open_device(struct child *c)
{
	c->ctx = ibv_open_device(dev.ctx->device);
	c->pd = c->ctx ? ibv_alloc_pd(c->ctx) : NULL;
	if (!c->pd)
		child_die(c, "cannot open the device: %m");
}

void child_note(struct child *c, int err)
{
	if (c->steps == MAX_STEPS)
		child_die(c, "more than %d steps", MAX_STEPS);
	c->step[c->steps].err = err;
	c->step[c->steps++].vmpin_kb = vmpin_kb();
}

struct child *child_start(child_fn work, const void *arg, atomic_int *meeting)
{
	struct child *c = mmap(NULL, sizeof(*c), RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t pid;

	if (c == MAP_FAILED) {
		fail("mmap: %m");
		return NULL;
	}
	c->meeting = meeting;
	pid = fork();
	if (pid < 0) {
		fail("fork: %m");
		child_free(c);
		return NULL;
	}
	if (!pid) {
		/* If the watchdog ends this program, the child must end, too. */
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		work(c, arg);
		_exit(0);
	}
	c->pid = pid;
	return c;
}

int child_reap(struct child *c)
{
	int status;

	if (waitpid(c->pid, &status, 0) != c->pid)
		die("waitpid: %m");
	return status;
}

int child_wait(struct child *c)
{
	int status = child_reap(c);

	if (!status)
		return PASSED;
	if (c->why[0])
		return fail("the child could not do its work: %s", c->why);
	return fail("the child ended with wait status 0x%x", status);
}

void child_free(struct child *c)
{
	munmap(c, sizeof(*c));
}

enum { OPT_STOCK = 1000 };

static void option(int c, const char *arg)
{
	(void)c;
	(void)arg;
	on_stock = true;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "stock", no_argument, NULL, OPT_STOCK },
		{},
	};
	static const struct program prog = {
		.about = "Registers memory up to the limits of a process, and beyond.",
		.subject = &rdma_device,
		.options_help =
			"      --stock        the driver is stock rxe: try nothing above 1 GiB\n",
		.options = options,
		.option = option,
		.watchdog_s = 60,
	};

	program_start(&prog, argc, argv);
	memlock_add_tests();
	pages_add_tests();
	memcg_add_tests();
	return test_run();
}
