// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Could a real-time thread keep a CPU to itself?
 *
 * MADV_COLLAPSE waits until each CPU that has pages in hand has put them on the LRU lists. It has
 * an ordinary thread of the kernel do so (lru_add_drain_all()), and nothing interrupts the wait. If
 * a thread of the policy SCHED_FIFO occupies such a CPU, that thread gets what the kernel keeps
 * for ordinary ones:
 *
 *  - since Linux 6.12, a twentieth of each second (the fair server);
 *  - before, what sched_rt_runtime_us leaves of sched_rt_period_us.
 *
 * An administrator may switch off the fair server, and only root can see that (debugfs). Those who
 * do so want a CPU for one thread alone. So they also lift the limit of real-time threads, or they
 * isolate CPUs (isolcpus=, nohz_full=, or a cpuset). We take either as a sign, as we take what we
 * cannot read or understand.
 */
#define _GNU_SOURCE
#include <stdatomic.h>
#include <string.h>

#include "parts.h"

#define SYSCTL	"/proc/sys/kernel/"
#define CPUS	"/sys/devices/system/cpu/"

/*
 * A list of CPUs that has none. Where there is no such file, the kernel has no such CPUs, or they
 * are not for us to see. A kernel may print a list that it does not have as "(null)".
 */
static bool is_empty_list(const char *path)
{
	char line[16];

	if (text_read_line(path, line, sizeof(line)))
		return !*line || !strcmp(line, "(null)");
	return text_is_missing(path);
}

/* From Linux 6.12 on. The line is such as "6.12.118+deb13-amd64". */
static bool has_fair_server(void)
{
	uint64_t major, minor;
	const char *rest;
	char line[128];

	return text_read_line(SYSCTL "osrelease", line, sizeof(line)) &&
	       text_number(line, 10, &major, &rest) && *rest == '.' &&
	       text_number(rest + 1, 10, &minor, &rest) &&
	       (major > 6 || (major == 6 && minor >= 12));
}

/* A number from 0 on: -1 stands for all of the time. */
static bool read_sysctl(const char *path, uint64_t *us)
{
	const char *end;
	char line[32];

	return text_read_line(path, line, sizeof(line)) && text_number(line, 10, us, &end) && !*end;
}

static bool leaves_time(bool fair_server)
{
	uint64_t runtime, period;

	return read_sysctl(SYSCTL "sched_rt_runtime_us", &runtime) &&
	       (fair_server ||
		(read_sysctl(SYSCTL "sched_rt_period_us", &period) && runtime < period));
}

/* No CPU was isolated at boot, and the kernel has a fair server. Neither changes. */
static atomic_bool booted_fair;

void prepare_forget_boot(void)
{
	atomic_store(&booted_fair, false);
}

bool prepare_cpus_answer(void)
{
	bool fair = atomic_load(&booted_fair);

	if (!fair) {
		if (!is_empty_list(CPUS "isolated") || !is_empty_list(CPUS "nohz_full"))
			return false;
		fair = has_fair_server();
		atomic_store(&booted_fair, fair);
	}
	return leaves_time(fair) && is_empty_list("/sys/fs/cgroup/cpuset.cpus.isolated");
}
