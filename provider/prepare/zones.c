// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Where does memory come from that is populated before it is pinned?
 *
 * Memory that is pinned for long must not lie where the kernel wants to be able to move it away:
 * the zone Movable (memory that may be unplugged, kernelcore=, movablecore=) and CMA. What the
 * kernel populates in order to pin it, it takes from elsewhere. What madvise() populates or
 * collapses, it takes from there first, to move it, page by page, when it is pinned, which takes
 * longer than we save, and fails where there is nothing left to move it to. So where there is such
 * memory, only advice is given.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <string.h>

#include "parts.h"

/* A line for each zone that has memory: "Node 0, zone   Normal      1      0 ..." */
static bool has_zone(const char *wanted)
{
	FILE *zones = fopen("/proc/buddyinfo", "re");
	char line[512], name[16];
	bool found = false;

	while (zones && !found && fgets(line, sizeof(line), zones))
		found = sscanf(line, "Node %*d, zone %15s", name) == 1 && !strcmp(name, wanted);
	if (zones)
		fclose(zones);
	return found;
}

static bool has_cma(void)
{
	FILE *info = fopen("/proc/meminfo", "re");
	unsigned long kib = 0;
	char line[128];

	while (info && fgets(line, sizeof(line), info))
		if (sscanf(line, "CmaTotal: %lu kB", &kib) == 1)
			break;
	if (info)
		fclose(info);
	return kib;
}

bool prepare_may_be_moved(void)
{
	return has_zone("Movable") || has_cma();
}
