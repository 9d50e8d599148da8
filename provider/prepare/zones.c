// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Would the kernel take the memory that we populate from a place where it must not be pinned?
 *
 * Memory that is pinned for long must not lie where the kernel wants to be able to move it away:
 * the zone Movable (memory that may be unplugged, kernelcore=, movablecore=) and CMA. When the
 * kernel pins memory, it populates it from elsewhere. For madvise() it takes these places first.
 * Then it has to move each page to pin it. That takes longer than we save, and fails if there is no
 * memory left elsewhere. So if there is such memory, or if we do not know, we populate nothing.
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
