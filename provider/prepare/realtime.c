// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Could a real-time thread keep a CPU to itself?
 *
 * MADV_COLLAPSE waits until each CPU that has pages in hand has put them on the LRU lists. It has
 * an ordinary thread of the kernel do so (lru_add_drain_all()), and nothing interrupts the wait.
 * If a thread of the policy SCHED_FIFO occupies such a CPU, that thread of the kernel gets what is
 * kept for ordinary ones:
 *
 *  - since Linux 6.12, a twentieth of each second (the fair server);
 *  - before, what sched_rt_runtime_us leaves of sched_rt_period_us.
 *
 * Only root can see whether a CPU has a fair server (debugfs). In emulated machines, Linux 6.12.118
 * and 7.3.4 had it on the first CPU alone, so the wait was as long as the thread. We cannot rule
 * that out, short of making no huge pages at all. So we look for signs that a machine has such
 * threads: the limit of real-time threads is lifted, or CPUs are isolated (isolcpus=, nohz_full=,
 * a cpuset). We take it as a sign, too, if we cannot read or understand one of these.
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

/* No CPU was isolated at boot, and the kernel knows the fair server. Neither changes. */
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
