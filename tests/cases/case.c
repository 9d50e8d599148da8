// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * What the cases share; case.h lists it.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "case.h"

struct knob thp;
const char *const thp_modes[3] = { "always", "madvise", "never" };

void case_start(const char *about, unsigned int watchdog_s, int argc, char **argv)
{
	static struct program prog;

	prog = (struct program){
		.about = about,
		.subject = &rdma_device,
		.watchdog_s = watchdog_s,
	};
	program_start(&prog, argc, argv);
	knob_open(&thp, "/sys/kernel/mm/transparent_hugepage/enabled");
	if (!knob_exists(&thp))
		die("this kernel has no transparent huge pages");
}

char *map_fresh(size_t len)
{
	char *p = mmap(NULL, len, RW, ANON, -1, 0);

	if (p == MAP_FAILED)
		die("cannot map %zu MiB: %m", len / MIB);
	return p;
}

size_t present(const char *addr, size_t len)
{
	size_t bytes = 0, off, i;
	uint64_t pfn[512];

	for (off = 0; off < len; off += sizeof(pfn) / 8 * SZ_4K) {
		size_t pages = (len - off) / SZ_4K;

		pages = pages < ARRAY_SIZE(pfn) ? pages : ARRAY_SIZE(pfn);
		phys_pfns(addr + off, pages, pfn);
		for (i = 0; i < pages; i++)
			bytes += pfn[i] ? SZ_4K : 0;
	}
	return bytes;
}

int register_once(char *addr, size_t len, int access)
{
	struct ibv_mr *mr = mr_reg(addr, len, access);

	return mr ? mr_dereg(&mr) : FAILED;
}

int reopen_device(void)
{
	dev.ctx = ibv_open_device(dev.ctx->device);
	dev.pd = dev.ctx ? ibv_alloc_pd(dev.ctx) : NULL;
	return dev.pd ? PASSED : fail("cannot open the device: %m");
}

/* --- control groups ----------------------------------------------------------------------- */

/* Where libphyr looks. What is there already is covered meanwhile. */
#define GROUPS "/sys/fs/cgroup"

static const char *group_path(const char *file)
{
	static char path[128];

	snprintf(path, sizeof(path), GROUPS "/case/%s", file);
	return path;
}

static int write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC), err = PASSED;

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		err = fail("cannot write '%s' to %s: %m", text, path);
	if (fd >= 0)
		close(fd);
	return err;
}

int group_write(const char *file, const char *text)
{
	return write_text(group_path(file), text);
}

int group_join(void)
{
	return group_write("cgroup.procs", "0");
}

int group_open(const char *controllers)
{
	if (mount("phyr-case", GROUPS, "cgroup2", 0, NULL))
		return fail("cannot mount cgroup2: %m");
	if (!write_text(GROUPS "/cgroup.subtree_control", controllers) &&
	    !mkdir(group_path(""), 0755))
		return PASSED;
	fail("no control group with %s: %m", controllers);
	umount(GROUPS);
	return FAILED;
}

long group_read(const char *file, const char *key)
{
	FILE *f = fopen(group_path(file), "re");
	size_t len = strlen(key);
	char line[256];
	long number = -1;

	while (f && number < 0 && fgets(line, sizeof(line), f))
		if (!strncmp(line, key, len))
			number = strtol(line + len, NULL, 10);
	if (f)
		fclose(f);
	return number;
}

int group_close(void)
{
	double deadline = now_ms() + 5000;
	int err = PASSED;

	/* The group has the last process for a moment after that has ended. */
	while (rmdir(group_path("")) && !err) {
		if (now_ms() > deadline)
			err = fail("the control group cannot go: %m");
		usleep(20000);
	}
	if (umount(GROUPS))
		err = fail("cannot unmount cgroup2: %m");
	return err;
}
