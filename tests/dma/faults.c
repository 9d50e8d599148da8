// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Faults of the IOMMU; see faults.h. tests/vm/splats has the same lines of the log.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "faults.h"
#include "test.h"

#define PATIENCE_MS 10000
/* The kernel logs at most ten lines in five seconds, and a fault has up to three lines. */
#define PACE_MS 1700

static int log_fd;

/* Read the log from its beginning, or from the last "dmesg -C". It must have no faults so far. */
void faults_open(void)
{
	log_fd = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (log_fd < 0 || lseek(log_fd, 0, SEEK_DATA) < 0)
		die("cannot read the kernel's log: %m");
}

static bool is_fault(const char *line)
{
	return strstr(line, "DMAR: [DMA ") || strstr(line, "DMAR: [INTR-REMAP") ||
	       (strstr(line, "virtio_iommu") && strstr(line, "fault from EP"));
}

static uint64_t address(const char *line)
{
	const char *at = strstr(line, "fault addr ");

	if (at)
		return strtoull(at + strlen("fault addr "), NULL, 16);
	at = strstr(line, " at ");
	return at ? strtoull(at + strlen(" at "), NULL, 16) : UINT64_MAX;
}

/* The next fault in the log, if there is one. */
static bool next_fault(char *line, size_t room)
{
	ssize_t len;

	for (;;) {
		/* Each read() returns one record. */
		len = read(log_fd, line, room - 1);
		if (len < 0 && errno == EPIPE)
			die("the kernel's log has overflowed");
		if (len < 0 && errno != EAGAIN)
			die("cannot read the kernel's log: %m");
		if (len < 0)
			return false;
		line[len] = '\0';
		line[strcspn(line, "\n")] = '\0';
		if (is_fault(line))
			return true;
	}
}

void faults_pace(void)
{
	static double last = -PACE_MS;
	double left = last + PACE_MS - now_ms();

	if (left > 0)
		usleep(left * 1000);
	last = now_ms();
}

int faults_none(void)
{
	char line[8192];
	int err = PASSED;

	while (next_fault(line, sizeof(line)))
		err = fail("the device has caused a fault: %s", strchr(line, ';') + 1);
	return err;
}

int faults_expect(uint64_t addr, const char *what)
{
	double end = now_ms() + PATIENCE_MS;
	char line[8192];

	while (!next_fault(line, sizeof(line))) {
		if (now_ms() > end)
			return fail("%s: no fault at %#" PRIx64, what, addr);
		usleep(5000);
	}
	if (address(line) / SZ_4K != addr / SZ_4K)
		return fail("%s: the fault is not at %#" PRIx64 ": %s", what, addr,
			    strchr(line, ';') + 1);
	return PASSED;
}
