// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Settings of the kernel; see knob.h for the story.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "knob.h"
#include "test.h"

static struct knob *opened[64];
static unsigned int count;
static pid_t owner;

/* Read the knob's value. A knob that lists several has the current one in brackets. */
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

void knob_set(struct knob *knob, const char *value)
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

bool knob_exists(const struct knob *knob)
{
	return knob->before[0];
}

/* In reverse order, as a knob's value may depend on those that were opened before. */
static void restore(void)
{
	while (getpid() == owner && count--)
		knob_set(opened[count], opened[count]->before);
}

void knob_open(struct knob *knob, const char *path)
{
	if (!owner) {
		owner = getpid();
		atexit(restore);
	}
	if (count == ARRAY_SIZE(opened))
		die("more than %zu knobs", ARRAY_SIZE(opened));
	opened[count++] = knob;
	snprintf(knob->path, sizeof(knob->path), "%s", path);
	read_knob(knob);
}
