// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * What the kernel says of this process and of the thread that registers memory.
 *
 * One file says most of it, /proc/thread-self/status. So we need no system call that a seccomp
 * filter may kill us for: we open, read and close files, and do nothing else. If a file does not
 * say something, or we do not understand it, we assume what makes us do less.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/capability.h>
#include <string.h>
#include <sys/auxv.h>
#include <time.h>
#include <unistd.h>

#include "parts.h"

static bool is_field(const char *line, const char *key, const char **value)
{
	*value = text_after(line, key);
	return *value;
}

static void read_field(const char *line, struct process *process)
{
	const char *value, *end;
	uint64_t n;

	if (is_field(line, "Tgid:", &value)) {
		if (text_number(value, 10, &n, &end))
			process->tgid = n;
	} else if (is_field(line, "VmPin:", &value)) {
		if (text_number(value, 10, &n, &end) && !strcmp(end, " kB"))
			process->pinned = n * 1024;
	} else if (is_field(line, "THP_enabled:", &value)) {
		process->thp = !strcmp(value, "1");
	} else if (is_field(line, "CapEff:", &value)) {
		if (text_number(value, 16, &n, &end))
			process->ipc_lock = n & (UINT64_C(1) << CAP_IPC_LOCK);
	} else if (is_field(line, "Seccomp:", &value)) {
		process->unfiltered = !strcmp(value, "0");
	}
}

void prepare_look_at_process(struct text *text, struct process *process)
{
	char *line;

	*process = (struct process){ .pinned = SIZE_MAX };
	if (!text_open(text, "/proc/thread-self/status"))
		return;
	while ((line = text_line(text)))
		read_field(line, process);
	if (!text_close(text))
		*process = (struct process){ .pinned = SIZE_MAX };
}

bool prepare_resource_limit(struct text *text, const char *name, uint64_t *limit)
{
	bool found = false;
	const char *value;
	char *line;

	if (!text_open(text, "/proc/thread-self/limits"))
		return false;
	while (!found && (line = text_line(text))) {
		value = text_after(line, name);
		if (!value)
			continue;
		/* The soft limit is the first of two. */
		line[value - line + strcspn(value, " ")] = '\0';
		found = text_limit(value, "unlimited", limit);
		break;
	}
	text_close(text);
	return found;
}

uint64_t prepare_coarse_now(const struct process *process)
{
	struct timespec now;

	if (!process->unfiltered && !getauxval(AT_SYSINFO_EHDR))
		return 0;
	clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	return now.tv_sec * UINT64_C(1000000000) + now.tv_nsec;
}

/* The inode number of an open file, from /proc: a filter may not know fstat(). */
static bool find_inode(struct text *text, int fd, uint64_t *inode)
{
	char path[48], digits[TEXT_DIGITS];
	const char *value, *end;
	bool found = false;
	char *line;

	if (!text_join(path, sizeof(path), "/proc/thread-self/fdinfo/", text_digits(fd, digits),
		       "") ||
	    !text_open(text, path))
		return false;
	while (!found && (line = text_line(text)))
		found = (value = text_after(line, "ino:")) && text_number(value, 10, inode, &end) &&
			!*end;
	text_close(text);
	return found;
}

bool prepare_in_first_namespace(struct text *text, const char *path, uint64_t first)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	uint64_t inode;
	bool is_first;

	if (fd < 0)
		return false;
	is_first = find_inode(text, fd, &inode) && inode == first;
	close(fd);
	return is_first;
}
