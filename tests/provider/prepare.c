// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * prepare: what provider/prepare/ does with memory, by what the kernel says of it; see
 * prepare_case.h for the parts.
 *
 * This needs no RDMA: it calls prepare() as ibv_reg_mr() would. It believes the memory's own page
 * tables, and what the kernel says of its mappings. The report has to agree with these.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "prepare_case.h"
#include "parts.h"

struct knob thp, thp_2m;

static uint64_t takes_all(const struct prepare_device *device)
{
	(void)device;
	return UINT64_MAX;
}

const struct prepare_device any_device = { .name = "any0", .largest = takes_all };

/* --- memory ------------------------------------------------------------------------------- */

int area_open(struct area *area, size_t len, size_t shift)
{
	area->addr = (char *)map_reserve(len + shift, SZ_2M, &area->map, &area->map_len) + shift;
	area->len = len;
	return PASSED;
}

int area_open_anon(struct area *area, size_t len, size_t shift)
{
	return area_open(area, len, shift) ?: map_fixed(area->addr, len, RW, ANON, -1, 0);
}

void area_close(struct area *area)
{
	munmap(area->map, area->map_len);
}

size_t huge_inside(const char *addr, size_t len)
{
	uintptr_t start = ((uintptr_t)addr + SZ_2M - 1) & ~(SZ_2M - 1);
	uintptr_t end = ((uintptr_t)addr + len) & ~(SZ_2M - 1);

	return end > start ? end - start : 0;
}

size_t present(const char *addr, size_t len)
{
	size_t pages = (len + SZ_4K - 1) / SZ_4K, bytes = 0, i, n;
	uint64_t pfn[512];

	for (; pages; addr += n * SZ_4K, pages -= n) {
		n = pages < ARRAY_SIZE(pfn) ? pages : ARRAY_SIZE(pfn);
		phys_pfns(addr, n, pfn);
		for (i = 0; i < n; i++)
			bytes += pfn[i] ? SZ_4K : 0;
	}
	return bytes;
}

size_t resident(const char *addr, size_t len)
{
	unsigned char vec[512];
	size_t bytes = 0, i, n;

	for (; len; addr += n * SZ_4K, len -= n * SZ_4K) {
		n = len / SZ_4K < sizeof(vec) ? len / SZ_4K : sizeof(vec);
		if (mincore((void *)addr, n * SZ_4K, vec))
			return -1;
		for (i = 0; i < n; i++)
			bytes += vec[i] & 1 ? SZ_4K : 0;
	}
	return bytes;
}

void forget(const void *addr, size_t len)
{
	uintptr_t start = (uintptr_t)addr & ~(SZ_4K - 1), end = (uintptr_t)addr + len + SZ_4K - 1;

	prepare_remember((struct range){ start, end & ~(SZ_4K - 1) }, false);
	/* On a busy host, anything may seem to take long. Tests cover files that do not change. */
	prepare_forget_huge();
	prepare_forget_boot();
}

/* --- asking ------------------------------------------------------------------------------- */

unsigned int entries(const char *path)
{
	unsigned int count = 0;
	DIR *dir = opendir(path);
	struct dirent *entry;

	if (!dir)
		return 0;
	while ((entry = readdir(dir)))
		count += entry->d_name[0] != '.';
	closedir(dir);
	return count;
}

unsigned int await_threads(unsigned int most)
{
	unsigned int threads = entries("/proc/self/task"), looks;

	/* A thread that was joined may show for longer, the more so with little CPU time. */
	for (looks = 0; threads > most && looks < 100; looks++) {
		usleep(20000);
		threads = entries("/proc/self/task");
	}
	return threads;
}

int ask(char *addr, size_t len, uint32_t steps, uint32_t max_threads,
	struct prepare_report *report)
{
	struct prepare_policy policy = { .steps = steps, .max_threads = max_threads };
	unsigned int files = entries("/proc/self/fd"), threads = entries("/proc/self/task");
	unsigned int files_after, threads_after;
	int error, cancel;

	/* A field that is not filled in must show. */
	memset(report, 0xa5, sizeof(*report));
	errno = EXFULL;
	prepare_mr(addr, len, IBV_ACCESS_LOCAL_WRITE, &policy, report);
	error = errno;
	files_after = entries("/proc/self/fd");
	/* At once: the program may want to be alone (unshare()). */
	threads_after = entries("/proc/self/task");
	pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, &cancel);
	if (error != EXFULL)
		return fail("errno was EXFULL and is %s", errno_name(error));
	if (files != files_after)
		return fail("%u open files were %u", files_after, files);
	if (threads_after > threads)
		return fail("%u threads were %u", threads_after, threads);
	if (cancel != PTHREAD_CANCEL_ENABLE)
		return fail("cancellation stays off");
	return PASSED;
}

int check(const char *addr, size_t len, const struct prepare_report *report,
	  const struct outcome *expect)
{
	unsigned int threads = expect->threads ?: expect->populated ? 1 + !expect->huge : 0;
	size_t there = present(addr, len);
	int err = PASSED;

	if (report->huge_bytes != expect->huge)
		err = fail("%zu KiB were made huge pages, not %zu", report->huge_bytes / KIB,
			   expect->huge / KIB);
	if (report->populated_bytes != expect->populated)
		err = fail("%zu KiB were populated, not %zu", report->populated_bytes / KIB,
			   expect->populated / KIB);
	if (report->threads != threads)
		err = fail("%u threads populated, not %u", report->threads, threads);
	if (err)
		err = fail("left out: %#x", report->left_out);
	if (there != expect->present)
		err = fail("%zu KiB are present, not %zu", there / KIB, expect->present / KIB);
	return err;
}

int ask_and_check(char *addr, size_t len, uint32_t steps, const struct outcome *expect)
{
	struct prepare_report report;

	return ask(addr, len, steps, 0, &report) ?: check(addr, len, &report, expect);
}

int check_left_alone(char *addr, size_t len)
{
	return ask_and_check(addr, len, AUTO, &(struct outcome){});
}

bool run_on(unsigned int count)
{
	cpu_set_t cpus;

	CPU_ZERO(&cpus);
	while (count--)
		CPU_SET(count, &cpus);
	return !sched_setaffinity(0, sizeof(cpus), &cpus);
}

int write_line(const char *path, const char *line)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC), err = PASSED;

	if (fd < 0 || write(fd, line, strlen(line)) < 0)
		err = fail("cannot write '%s' to %s: %m", line, path);
	if (fd >= 0)
		close(fd);
	return err;
}

int unshare_mounts(void)
{
	if (unshare(CLONE_NEWNS) || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL))
		return fail("no mounts of our own: %m");
	return PASSED;
}

int cover_file(const char *path, const char *content)
{
	char cover[] = "/tmp/cover-XXXXXX";
	ssize_t length = content ? strlen(content) : 0;
	int fd = mkstemp(cover), err = PASSED;

	/* A socket can be seen, and not opened. */
	if (fd < 0 || write(fd, content, length) != length ||
	    (!content && (unlink(cover) || mknod(cover, S_IFSOCK | 0600, 0))) ||
	    mount(cover, path, NULL, MS_BIND, NULL))
		err = fail("cannot cover %s: %m", path);
	close(fd);
	unlink(cover);
	return err;
}

int main(int argc, char **argv)
{
	static const struct program prog = {
		.about = "Prepares memory for registration, and looks at what came of it.",
		.watchdog_s = 300,	/* valgrind, in an emulated machine */
	};

	if (!strcmp(argv[0], "privileged"))
		secure_main();
	program_start(&prog, argc, argv);
	if (sysconf(_SC_NPROCESSORS_ONLN) < 3 || !run_on(2))
		die("three CPUs are needed, 0 to 2");
	knob_open(&thp, "/sys/kernel/mm/transparent_hugepage/enabled");
	knob_open(&thp_2m, "/sys/kernel/mm/transparent_hugepage/hugepages-2048kB/enabled");
	if (!knob_exists(&thp))
		die("this kernel has no transparent huge pages");
	/* As each test finds it. */
	knob_set(&thp_2m, "inherit");
	knob_set(&thp, "madvise");
	kinds_add_tests();
	ends_add_tests();
	refused_add_tests();
	limits_add_tests();
	calls_add_tests();
	process_add_tests();
	system_add_tests();
	nodes_add_tests();
	return test_run();
}
