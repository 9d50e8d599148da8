// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * The kernel's knobs for large folios; see knobs.h.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "knobs.h"
#include "test.h"

#define THP "/sys/kernel/mm/transparent_hugepage/"

struct knob {
	char path[96];
	char value[32];		/* as it is now */
	char before[32];	/* as it was when we came; empty: there is no such knob */
};

static struct knob anon[ORDER_2M + 1], shmem[ORDER_2M + 1], shmem_enabled, khugepaged;
static pid_t owner;

/* One word of it; if it offers several, the one in brackets. */
static void read_knob(struct knob *knob)
{
	char text[128] = "", *begin, *end;
	int fd = open(knob->path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return;
	if (read(fd, text, sizeof(text) - 1) <= 0)
		die("cannot read %s: %m", knob->path);
	close(fd);
	begin = strchr(text, '[');
	begin = begin ? begin + 1 : text;
	end = begin + strcspn(begin, "]\n");
	snprintf(knob->before, sizeof(knob->before), "%.*s", (int)(end - begin), begin);
	snprintf(knob->value, sizeof(knob->value), "%s", knob->before);
}

static void write_knob(struct knob *knob, const char *value)
{
	int fd;

	if (!knob->before[0] || !strcmp(knob->value, value))
		return;
	fd = open(knob->path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, value, strlen(value)) < 0)
		die("cannot write '%s' to %s: %m", value, knob->path);
	close(fd);
	snprintf(knob->value, sizeof(knob->value), "%s", value);
}

static void open_knob(struct knob *knob, const char *path)
{
	snprintf(knob->path, sizeof(knob->path), "%s", path);
	read_knob(knob);
}

static void restore(void)
{
	int order;

	if (getpid() != owner)
		return;
	for (order = 0; order <= ORDER_2M; order++) {
		write_knob(&anon[order], anon[order].before);
		write_knob(&shmem[order], shmem[order].before);
	}
	write_knob(&shmem_enabled, shmem_enabled.before);
	write_knob(&khugepaged, khugepaged.before);
}

void knobs_open(void)
{
	char path[96];
	int order;

	for (order = 1; order <= ORDER_2M; order++) {
		snprintf(path, sizeof(path), THP "hugepages-%lukB/enabled", 4UL << order);
		open_knob(&anon[order], path);
		snprintf(path, sizeof(path), THP "hugepages-%lukB/shmem_enabled", 4UL << order);
		open_knob(&shmem[order], path);
	}
	open_knob(&shmem_enabled, THP "shmem_enabled");
	open_knob(&khugepaged, THP "khugepaged/scan_sleep_millisecs");
	owner = getpid();
	atexit(restore);
	/* khugepaged shall rest: it still looks around once whenever 2 MiB are switched on. */
	write_knob(&khugepaged, "4294967295");
	knobs_set(0, 0);
}

unsigned long knobs_orders(void)
{
	unsigned long orders = 0;
	int order;

	for (order = 1; order <= ORDER_2M; order++)
		if (anon[order].before[0])
			orders |= 1UL << order;
	return orders;
}

void knobs_set(unsigned long anon_orders, unsigned long shmem_orders)
{
	int order;

	for (order = 1; order <= ORDER_2M; order++) {
		write_knob(&anon[order], anon_orders >> order & 1 ? "always" : "never");
		write_knob(&shmem[order], shmem_orders >> order & 1 ? "always" : "never");
	}
}

void knobs_inherit(const char *huge)
{
	write_knob(&shmem_enabled, huge);
	write_knob(&shmem[ORDER_2M], "inherit");
}
