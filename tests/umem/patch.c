// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * The livepatch: see patch.h for the story.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "patch.h"
#include "test.h"

#define SYSFS		"/sys/kernel/livepatch/phyr_umem"
/* The kernel wakes tasks that sleep in a patched function, but only after 15 s. */
#define PATIENCE_MS	60000.0

int patch_load(const char *module)
{
	char path[256];
	struct utsname name;
	int fd, err = 0;

	uname(&name);
	snprintf(path, sizeof(path), "/phyr/kernel/%s/%s.ko", name.release, module);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || syscall(SYS_finit_module, fd, "", 0))
		err = errno;
	if (fd >= 0)
		close(fd);
	return err;
}

void patch_prepare(void)
{
	int err = patch_load("phyr");

	if (err && err != EEXIST)
		die("cannot load phyr.ko: %s; is this the lab, and are you root?", errno_name(err));
}

/* 0, 1, or -1 if there is no such file. */
static int read_flag(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), flag = -1;
	char c;

	if (fd >= 0) {
		if (read(fd, &c, 1) == 1)
			flag = c == '1';
		close(fd);
	}
	return flag;
}

bool patch_is_in(void)
{
	return read_flag(SYSFS "/enabled") == 1;
}

static bool changed_over(void)
{
	return read_flag(SYSFS "/transition") == 0;
}

static bool gone(void)
{
	return access(SYSFS, F_OK) != 0;
}

static bool unloaded(void)
{
	return !syscall(SYS_delete_module, "phyr_umem", O_NONBLOCK) || errno == ENOENT;
}

static int wait_until(bool (*done)(void), const char *what)
{
	double deadline = now_ms() + PATIENCE_MS;

	while (!done()) {
		if (now_ms() > deadline)
			return fail("not within %.0f s: %s", PATIENCE_MS / 1000, what);
		usleep(5000);
	}
	return PASSED;
}

static int put_in(void)
{
	int err = patch_load("phyr_umem");

	if (err)
		return fail("cannot load phyr_umem.ko: %s", errno_name(err));
	return wait_until(changed_over, "all tasks call our function");
}

int patch_disable(void)
{
	int fd = open(SYSFS "/enabled", O_WRONLY | O_CLOEXEC), err;

	if (fd < 0)
		return fail("cannot open " SYSFS "/enabled: %m");
	err = write(fd, "0", 1) == 1 ? 0 : errno;
	close(fd);
	return err ? fail("cannot disable the livepatch: %s", errno_name(err)) : PASSED;
}

static int take_out(void)
{
	return wait_until(gone, "all tasks call the kernel's own function") ?:
	       wait_until(unloaded, "phyr_umem.ko unloads");
}

int patch_set(bool in)
{
	if (in)
		return patch_is_in() ? PASSED : put_in();
	/* The patch may be disabled already, but not yet gone. */
	return (patch_is_in() ? patch_disable() : PASSED) ?: take_out();
}
