/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * Settings of the kernel, in files of a line. What was set before is restored when the program
 * ends, by the process that opened the knob, not by its children.
 */
#ifndef PHYR_TESTS_COMMON_KNOB_H
#define PHYR_TESTS_COMMON_KNOB_H

#include <stdbool.h>

struct knob {
	char path[96];
	char value[32];		/* as it is now */
	char before[32];	/* as it was when we came; empty: there is no such knob */
};

/* The knob has to last as long as the program does. */
void knob_open(struct knob *knob, const char *path);
bool knob_exists(const struct knob *knob);
/* Does nothing if the knob is so already, or if there is none. */
void knob_set(struct knob *knob, const char *value);

#endif
