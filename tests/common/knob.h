/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * Settings of the kernel, in files of one line each. When the program ends, each knob gets back the
 * value that it had before. The process that opened it does that, not its children.
 */
#ifndef PHYR_TESTS_COMMON_KNOB_H
#define PHYR_TESTS_COMMON_KNOB_H

#include <stdbool.h>

struct knob {
	char path[96];
	char value[32];		/* what it is now */
	char before[32];	/* what it was at knob_open(); empty if there is no such knob */
};

/* @knob must stay valid until the program ends. */
void knob_open(struct knob *knob, const char *path);
bool knob_exists(const struct knob *knob);
/* Does nothing if the knob has this value already, or if there is no such knob. */
void knob_set(struct knob *knob, const char *value);

#endif
