// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * A child process that only sleeps. As long as it lives, it shares our private memory
 * copy-on-write.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "makers.h"

static void share(pid_t parent)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	while (getppid() == parent)
		pause();
	_exit(0);
}

int start_sharer(struct backing *b, const struct reason *why)
{
	pid_t parent = getpid();

	b->sharer = fork();
	if (!b->sharer)
		share(parent);
	if (b->sharer > 0)
		return 0;
	b->sharer = 0;
	return refuse(why, -errno, "cannot fork: %s", strerror(errno));
}

void end_sharer(struct backing *b)
{
	if (!b->sharer)
		return;
	kill(b->sharer, SIGKILL);
	while (waitpid(b->sharer, NULL, 0) < 0 && errno == EINTR)
		;
	b->sharer = 0;
}
