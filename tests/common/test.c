// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Tests, and the programs made of them; see test.h for the story.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "test.h"

struct test {
	test_fn fn;
	const void *arg;
	char *name;
};

static struct test *tests;
static int test_count;
static char **filters;
static int filter_count;
static bool list_only;
static const struct program *program;
static const char *current = "(start)";
static char detail[1024];	/* why the running test failed or was skipped */
static char note[256];

static int record(const char *fmt, va_list ap, int result)
{
	size_t n = strlen(detail);

	if (n)
		n += snprintf(detail + n, sizeof(detail) - n, "; ");
	if (n < sizeof(detail))
		vsnprintf(detail + n, sizeof(detail) - n, fmt, ap);
	return result;
}

int fail(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	record(fmt, ap, FAILED);
	va_end(ap);
	return FAILED;
}

int skip(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	record(fmt, ap, SKIPPED);
	va_end(ap);
	return SKIPPED;
}

void remark(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(note, sizeof(note), fmt, ap);
	va_end(ap);
}

void diag(const char *fmt, ...)
{
	va_list ap;

	fputs("# ", stdout);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
}

void die(const char *fmt, ...)
{
	va_list ap;

	fprintf(stderr, "%s: ", program_invocation_short_name);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	if (detail[0])
		fprintf(stderr, " (%s)", detail);
	fputc('\n', stderr);
	exit(2);
}

static bool selected(const char *name)
{
	int i;

	for (i = 0; i < filter_count; i++)
		if (strstr(name, filters[i]))
			return true;
	return !filter_count;
}

void test_add(test_fn fn, const void *arg, const char *fmt, ...)
{
	struct test t = { .fn = fn, .arg = arg };
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&t.name, fmt, ap) < 0)
		die("out of memory");
	va_end(ap);
	if (!selected(t.name)) {
		free(t.name);
		return;
	}
	tests = reallocarray(tests, test_count + 1, sizeof(*tests));
	if (!tests)
		die("out of memory");
	tests[test_count++] = t;
}

static void watchdog(int sig)
{
	static const char text[] = "\nBail out! a test hung: ";

	(void)sig;
	if (write(STDOUT_FILENO, text, sizeof(text) - 1) < 0 ||
	    write(STDOUT_FILENO, current, strlen(current)) < 0 ||
	    write(STDOUT_FILENO, "\n", 1) < 0)
		_exit(3);
	_exit(1);
}

static int check_pins(const struct pins *before)
{
	struct pins after = pins_read();

	if (after.machine != before->machine)
		return fail("page pins not balanced: %+ld (nr_foll_pin_acquired - _released)",
			    after.machine - before->machine);
	if (after.vmpin_kb != before->vmpin_kb)
		return fail("VmPin was %ld kB and is %ld kB", before->vmpin_kb, after.vmpin_kb);
	return PASSED;
}

static int run_one(int number, const struct test *t)
{
	struct pins before = pins_read();
	double start = now_ms();
	int result, balanced;

	current = t->name;
	detail[0] = '\0';
	note[0] = '\0';
	alarm(program->watchdog_s);
	result = t->fn(t->arg);
	balanced = check_pins(&before);
	alarm(0);

	if (result == FAILED || balanced == FAILED) {
		printf("not ok %d %s - %s\n", number, t->name, detail);
		result = FAILED;
		if (program->recover && program->recover())
			die("cannot recover from the failure of %s", t->name);
	} else if (result == SKIPPED) {
		printf("ok %d %s # SKIP %s\n", number, t->name, detail);
	} else if (note[0]) {
		printf("ok %d %s # %s\n", number, t->name, note);
	} else {
		printf("ok %d %s\n", number, t->name);
	}
	if (now_ms() - start > 5000)
		diag("%s took %.1f s", t->name, (now_ms() - start) / 1000);
	return result;
}

/* Wait for a child's status. False if it still runs after so many seconds; 0 is no limit. */
static bool wait_for(pid_t pid, unsigned int seconds, int *status)
{
	double deadline = now_ms() + seconds * 1000.0;
	pid_t ended;

	do {
		ended = waitpid(pid, status, seconds ? WNOHANG : 0);
		if (ended == pid)
			return true;
		if (ended < 0)
			die("waitpid: %m");
		usleep(10000);
	} while (now_ms() < deadline);
	return false;
}

int test_in_child(test_fn fn, const void *arg)
{
	return test_in_child_for(fn, arg, 0);
}

int test_in_child_for(test_fn fn, const void *arg, unsigned int seconds)
{
	struct said {
		int result;
		char detail[sizeof(detail)];
	} *said;
	int result, status;
	pid_t pid;

	said = mmap(NULL, sizeof(*said), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid = said == MAP_FAILED ? -1 : fork();
	if (pid < 0)
		return fail("no child: %m");
	if (!pid) {
		/* If the watchdog ends this program, the child must end, too. */
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		said->result = fn(arg);
		memcpy(said->detail, detail, sizeof(detail));
		_exit(0);
	}
	if (!wait_for(pid, seconds, &status)) {
		/* A child that is stuck in the kernel ignores this, and is left behind. */
		kill(pid, SIGKILL);
		return fail("has not come to its end in %u s", seconds);
	}
	if (status)
		result = fail("the child ended with wait status 0x%x", status);
	else if (said->result == FAILED)
		result = fail("%s", said->detail);
	else
		result = said->result == SKIPPED ? skip("%s", said->detail) : PASSED;
	munmap(said, sizeof(*said));
	return result;
}

struct cancelled {
	void (*fn)(void *arg);
	void *arg;
	bool came_back;
};

static void *call_cancelled(void *arg)
{
	struct cancelled *c = arg;

	/* The next cancellation point would end this thread. */
	pthread_cancel(pthread_self());
	c->fn(c->arg);
	c->came_back = true;
	pthread_testcancel();
	return NULL;
}

int test_cancelled(void (*fn)(void *arg), void *arg)
{
	struct cancelled c = { .fn = fn, .arg = arg };
	pthread_t thread;
	void *result;

	if (pthread_create(&thread, NULL, call_cancelled, &c))
		die("no thread");
	pthread_join(thread, &result);
	if (!c.came_back)
		return fail("the thread was cancelled before the call came back");
	if (result != PTHREAD_CANCELED)
		return fail("the thread was not cancelled afterwards");
	return PASSED;
}

/* Exit status: 0 if no test failed. */
int test_run(void)
{
	int i, failed = 0;

	if (!test_count)
		die("no test matches; -l lists them");
	if (list_only) {
		for (i = 0; i < test_count; i++)
			puts(tests[i].name);
		return 0;
	}
	signal(SIGALRM, watchdog);
	printf("1..%d\n", test_count);
	for (i = 0; i < test_count; i++)
		failed += run_one(i + 1, &tests[i]) == FAILED;
	if (failed)
		diag("%d of %d failed", failed, test_count);
	return failed != 0;
}

double now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1e3 + ts.tv_nsec / 1e6;
}

const char *errno_name(int err)
{
	static char unknown[24];
	const char *name = strerrorname_np(err);

	if (!err)
		return "ok";
	/* ENOTSUP has the same value. We use the name that the kernel's sources use. */
	if (err == EOPNOTSUPP)
		return "EOPNOTSUPP";
	if (name)
		return name;
	snprintf(unknown, sizeof(unknown), "errno-%d", err);
	return unknown;
}

static long field_of(const char *path, const char *key)
{
	char line[256];
	size_t n = strlen(key);
	long value = -1;
	FILE *f = fopen(path, "r");

	if (!f)
		die("cannot read %s: %m", path);
	while (fgets(line, sizeof(line), f)) {
		if (!strncmp(line, key, n) && (line[n] == ' ' || line[n] == ':')) {
			value = strtol(line + n + 1, NULL, 10);
			break;
		}
	}
	fclose(f);
	if (value < 0)
		die("%s has no %s: this kernel does not count that", path, key);
	return value;
}

long vmstat_count(const char *name)
{
	return field_of("/proc/vmstat", name);
}

long vmpin_kb(void)
{
	return field_of("/proc/self/status", "VmPin");
}

struct pins pins_read(void)
{
	struct pins pins;
	int fd;

	/* Each CPU keeps a part of the counters. This adds these parts to the sums. */
	fd = open("/proc/sys/vm/stat_refresh", O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, "1", 1) != 1)
		die("cannot write /proc/sys/vm/stat_refresh: %m; run as root");
	close(fd);
	pins.machine = vmstat_count("nr_foll_pin_acquired") - vmstat_count("nr_foll_pin_released");
	pins.vmpin_kb = vmpin_kb();
	return pins;
}

static void usage(const struct program *prog)
{
	printf("Usage: %s [options] [NAME...]\n"
	       "%s\n\n"
	       "Runs the tests whose names contain one of the NAMEs (default: all); prints TAP.\n\n"
	       "%s  -l, --list         list the tests\n"
	       "  -h, --help         this text\n%s",
	       program_invocation_short_name, prog->about,
	       prog->subject ? prog->subject->options_help : "", prog->options_help ?: "");
}

void program_start(const struct program *prog, int argc, char **argv)
{
	static const struct option common[] = {
		{ "list", no_argument, NULL, 'l' },
		{ "help", no_argument, NULL, 'h' },
	};
	const struct subject *subject = prog->subject;
	struct option all[16] = {};
	char short_options[16] = "lh";
	size_t n = ARRAY_SIZE(common), i;
	int c;

	memcpy(all, common, sizeof(common));
	for (i = 0; prog->options && prog->options[i].name; i++)
		all[n++] = prog->options[i];
	for (i = 0; subject && subject->options[i].name; i++)
		all[n++] = subject->options[i];
	if (subject)
		strcat(short_options, subject->short_options);

	while ((c = getopt_long(argc, argv, short_options, all, NULL)) != -1) {
		switch (c) {
		case 'l':
			list_only = true;
			break;
		case 'h':
			usage(prog);
			exit(0);
		case '?':
			fprintf(stderr, "see %s -h\n", program_invocation_short_name);
			exit(2);
		default:
			if (subject && strchr(subject->short_options, c))
				subject->option(c, optarg);
			else
				prog->option(c, optarg);
		}
	}
	filters = argv + optind;
	filter_count = argc - optind;
	program = prog;
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (subject && !list_only)
		subject->open();
}
