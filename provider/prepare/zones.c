// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Where does memory come from that is populated before it is pinned?
 *
 * Memory that is pinned for long must not lie where the kernel wants to be able to move it away:
 * the zone Movable (memory that may be unplugged, kernelcore=, movablecore=) and CMA. What the
 * kernel populates in order to pin it, it takes from elsewhere. What madvise() populates or
 * collapses, it takes from there first, to move it, page by page, when it is pinned, which takes
 * longer than we save, and fails where there is nothing left to move it to. So where there is such
 * memory, or where we cannot find out, nothing is populated.
 */
#define _GNU_SOURCE
#include <string.h>

#include "parts.h"

/* A line for each zone that has memory: "Node 0, zone   Normal      1      0 ..." */
static bool no_zone(struct text *text, const char *unwanted)
{
	bool good = true, any = false;
	size_t length = strlen(unwanted);
	const char *zone;
	char *line;

	if (!text_open(text, "/proc/buddyinfo"))
		return false;
	while ((line = text_line(text))) {
		zone = strstr(line, ", zone ");
		zone = zone ? text_after(zone, ", zone ") : "";
		good &= *zone && (strncmp(zone, unwanted, length) || zone[length] != ' ');
		any = true;
	}
	return text_close(text) && good && any;
}

/* A kernel that can have none does not say how much there is. */
static bool no_cma(struct text *text)
{
	bool good = true, any = false;
	const char *value;
	char *line;

	if (!text_open(text, "/proc/meminfo"))
		return false;
	while ((line = text_line(text))) {
		any |= !!text_after(line, "MemTotal:");
		value = text_after(line, "CmaTotal:");
		if (value)
			good = !strcmp(value, "0 kB");
	}
	return text_close(text) && good && any;
}

bool prepare_may_be_moved(struct text *text)
{
	return !no_zone(text, "Movable") || !no_cma(text);
}
