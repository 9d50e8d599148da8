// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * ends: processes, devices and modules that end in the middle of their work.
 *
 * Processes are killed while they register or release, or exit with regions and traffic. Somebody
 * tries to remove a device and modules while they are used. Everything happens in child processes,
 * which open the device themselves. After each test the runner checks that all pins are gone.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "rdma.h"

/* A process must be gone within a second. Tests say where an emulated machine needs more. */
#define GONE_MS 1000.0

/* --- children ------------------------------------------------------------------------------ */

/* The messages from a child to its parent, a byte each. */
enum { READY = 'r', DONE = 'd' };

struct child {
	pid_t pid;
	int from;		/* the pipe with its messages */
};

static int tell_fd;

static void tell(char what)
{
	if (write(tell_fd, &what, 1) != 1)
		_exit(2);
}

static int child_start(struct child *c, void (*run)(const void *arg), const void *arg)
{
	int fds[2];

	fflush(NULL);
	if (pipe(fds))
		return fail("pipe: %m");
	c->from = fds[0];
	c->pid = fork();
	if (c->pid < 0)
		return fail("fork: %m");
	if (c->pid) {
		close(fds[1]);
		return PASSED;
	}
	close(fds[0]);
	tell_fd = fds[1];
	rdma_device.open();
	run(arg);
	_exit(0);
}

/* Did this message come within so many milliseconds? */
static bool child_told(const struct child *c, char what, int ms)
{
	struct pollfd poll_fd = { .fd = c->from, .events = POLLIN };
	char is;

	return poll(&poll_fd, 1, ms) == 1 && read(c->from, &is, 1) == 1 && is == what;
}

static int child_wait(struct child *c)
{
	int status;

	if (waitpid(c->pid, &status, 0) != c->pid)
		die("waitpid: %m");
	close(c->from);
	return status;
}

/* Kill the child. Returns how many milliseconds it took to go, or a negative value after fail(). */
static double child_kill(struct child *c)
{
	double start = now_ms();
	int status;

	kill(c->pid, SIGKILL);
	status = child_wait(c);
	if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL)
		return fail("the child was not killed, but ended by itself (wait status 0x%x)",
			    status);
	return now_ms() - start;
}

/* --- large regions ------------------------------------------------------------------------- */

/* A region of total bytes: a file of size bytes, mapped again and again, side by side. */
struct large {
	const char *name;
	size_t page;		/* of the file */
	size_t size;
	size_t total;
	bool slow;		/* registration takes seconds */
};

static const struct large larges[] = {
	{ "1 TiB of 1 GiB pages", GIB, GIB, TIB, false },
	{ "1 TiB of 2 MiB pages", SZ_2M, 64 * SZ_2M, TIB, true },
	{ "256 GiB of 4 KiB pages", SZ_4K, 64 * MIB, 256 * GIB, true },
};

/* These are small enough to be registered, and large enough for their release to take a while. */
static const struct large complete[] = {
	{ "1 TiB of 2 MiB pages", SZ_2M, 64 * SZ_2M, TIB, true },
	{ "1 GiB of 4 KiB pages", SZ_4K, 64 * MIB, GIB, true },
};

static char *large_map(const struct large *l)
{
	char *addr = mmap(NULL, l->total + GIB, PROT_NONE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	size_t off;
	int fd;

	if (addr == MAP_FAILED)
		die("mmap: %m");
	addr = (char *)(((uintptr_t)addr + GIB - 1) & ~(GIB - 1));
	fd = l->page == SZ_4K ? memfd_create("phyr-ends", MFD_CLOEXEC) :
				hugetlb_memfd(l->page, l->size);
	if (fd < 0 || ftruncate(fd, l->size))
		die("memfd: %m");
	for (off = 0; off < l->total; off += l->size)
		if (map_fixed(addr + off, l->size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0))
			die("mmap: %m");
	close(fd);
	/* Huge pages are cleared when they are first touched, and nothing can interrupt that. */
	if (madvise(addr, l->size, MADV_POPULATE_WRITE))
		die("cannot get %zu MiB: %m", l->size / MIB);
	return addr;
}

static void register_large(const void *arg)
{
	const struct large *l = arg;
	char *addr = large_map(l);

	tell(READY);
	if (mr_reg(addr, l->total, ACCESS_ALL))
		tell(DONE);
	pause();
}

/* The same without a registration. */
static void populate_large(const void *arg)
{
	const struct large *l = arg;
	char *addr = large_map(l);

	tell(READY);
	if (!madvise(addr, l->total, MADV_POPULATE_WRITE))
		tell(DONE);
	pause();
}

static int kill_at_work(void (*work)(const void *arg), const struct large *l, int delay_ms,
			bool *done, double *gone)
{
	struct child c;

	if (child_start(&c, work, l))
		return FAILED;
	if (!child_told(&c, READY, 120000)) {
		child_kill(&c);
		return fail("the child is not ready");
	}
	*done = child_told(&c, DONE, delay_ms);
	*gone = child_kill(&c);
	return *gone < 0 ? FAILED : PASSED;
}

/*
 * A busy host can stall an emulated machine, but hardly three times. If all processes take long to
 * go, count only how much longer one takes that registers.
 */
static int kill_registering(const struct large *l, int delay_ms, bool *done, double *gone)
{
	bool populated;
	double idle;
	int tries;

	for (tries = 0, *gone = GONE_MS + 1; tries < 3 && *gone > GONE_MS; tries++) {
		if (kill_at_work(register_large, l, delay_ms, done, gone))
			return FAILED;
		if (*gone <= GONE_MS)
			break;
		if (kill_at_work(populate_large, l, delay_ms, &populated, &idle))
			return FAILED;
		diag("gone after %.0f ms, without us after %.0f ms", *gone, idle);
		*gone -= idle;
	}
	return PASSED;
}

/* If a fast host has finished all registrations, kill so many more as soon as they begin. */
#define MORE_TRIES 40

static int test_kill_registering(const void *arg)
{
	const struct large *l = arg;
	/* It takes luck to kill a quick registration in the middle, so try more often. */
	int tries = l->slow ? 3 : 8, i, delay_ms, unfinished = 0;
	double gone = 0, worst = 0;
	bool done = false;

	for (i = 0; i < tries || (!unfinished && i < tries + MORE_TRIES); i++) {
		delay_ms = i >= tries ? 0 : l->slow ? 200 + 500 * i : i % 6;
		if (kill_registering(l, delay_ms, &done, &gone))
			return FAILED;
		unfinished += !done;
		worst = gone > worst ? gone : worst;
	}
	remark("%d of %d in the middle, at most %.0f ms", unfinished, i, worst);
	if (!unfinished)
		return fail("every registration was done before it could be killed");
	if (worst > GONE_MS)
		return fail("gone only after %.0f ms", worst);
	return PASSED;
}

static void release_large(const void *arg)
{
	const struct large *l = arg;
	char *addr = large_map(l);
	struct ibv_mr *mr = mr_reg(addr, l->total, ACCESS_ALL);

	if (!mr)
		_exit(1);
	tell(READY);
	mr_dereg(&mr);
	tell(DONE);
	pause();
}

/* How long does a child live that is killed in its release, or after it (delay_ms < 0)? */
static double kill_releasing(const struct large *l, int delay_ms, double *release)
{
	struct child c;
	double start;
	bool done;

	if (child_start(&c, release_large, l))
		return FAILED;
	if (!child_told(&c, READY, 300000)) {
		child_kill(&c);
		return fail("the child has no region");
	}
	start = now_ms();
	done = child_told(&c, DONE, delay_ms < 0 ? 300000 : delay_ms);
	*release = now_ms() - start;
	if (delay_ms < 0 && !done) {
		child_kill(&c);
		return fail("the release does not end");
	}
	return child_kill(&c);
}

/*
 * A kill does not break a release off. The release must end, and then the process must go at once.
 * Taking down such an address space takes time without us, too: we measure that with a child that
 * is killed after its release. There is more than one try, as a busy host can stall an emulated
 * machine for seconds.
 */
static int test_kill_releasing(const void *arg)
{
	const struct large *l = arg;
	double release, part, idle, gone = 0, limit;
	int i;

	idle = kill_releasing(l, -1, &release);
	if (idle < 0)
		return FAILED;
	limit = GONE_MS + release + idle;
	for (i = 0; i < 3; i++) {
		gone = kill_releasing(l, release / 4, &part);
		if (gone < 0)
			return FAILED;
		if (gone <= limit)
			break;
	}
	remark("release takes %.0f ms, exit %.0f ms; gone after %.0f ms", release, idle, gone);
	if (gone > limit)
		return fail("gone after %.0f ms, where the release takes %.0f ms and exit %.0f ms",
			    gone, release, idle);
	return PASSED;
}

/* --- exit with regions and traffic --------------------------------------------------------- */

enum { TRAFFIC_LEN = 4 * MIB, TRAFFIC_WRS = 16 };

struct exit_case {
	const char *name;
	bool traffic;		/* writes are under way */
	bool unmap;		/* the memory goes before the regions */
	bool killed;
};

static const struct exit_case exit_cases[] = {
	{ "exit with regions", false, false, false },
	{ "exit with regions whose memory is gone", false, true, false },
	{ "exit with traffic", true, false, false },
	{ "exit with traffic to memory that is gone", true, true, false },
	{ "SIGKILL with regions", false, false, true },
	{ "SIGKILL with traffic", true, false, true },
};

struct traffic {
	struct pair pair;
	struct buf from, to;
	struct ibv_mr *from_mr, *to_mr;
};

static void traffic_open(struct traffic *t)
{
	if (buf_open(&t->from, BACKING_4K, TRAFFIC_LEN) ||
	    buf_open(&t->to, BACKING_THP, TRAFFIC_LEN))
		_exit(1);
	t->from_mr = mr_reg(t->from.addr, t->from.len, ACCESS_ALL);
	t->to_mr = mr_reg(t->to.addr, t->to.len, ACCESS_ALL);
	if (!t->from_mr || !t->to_mr || pair_open(&t->pair, dev.pd))
		_exit(1);
}

static int traffic_post(struct traffic *t)
{
	struct ibv_sge local = sge(t->from.addr, t->from.len, t->from_mr);
	struct ibv_send_wr wr = {
		.opcode = IBV_WR_RDMA_WRITE,
		.sg_list = &local,
		.num_sge = 1,
		.wr.rdma = { .remote_addr = (uintptr_t)t->to.addr, .rkey = t->to_mr->rkey },
	}, *bad;

	return ibv_post_send(t->pair.qp[0], &wr, &bad);
}

static void exit_somehow(const void *arg)
{
	const struct exit_case *c = arg;
	struct traffic t;
	int i;

	traffic_open(&t);
	for (i = 0; c->traffic && i < TRAFFIC_WRS; i++)
		if (traffic_post(&t))
			_exit(1);
	if (c->unmap) {
		buf_close(&t.from);
		buf_close(&t.to);
	}
	tell(READY);
	if (c->killed)
		pause();
}

static int test_exit(const void *arg)
{
	const struct exit_case *e = arg;
	struct child c;
	int i, status;

	for (i = 0; i < 3; i++) {
		if (child_start(&c, exit_somehow, e))
			return FAILED;
		if (!child_told(&c, READY, 60000)) {
			child_kill(&c);
			return fail("the child is not ready");
		}
		if (e->killed) {
			if (child_kill(&c) < 0)
				return FAILED;
			continue;
		}
		status = child_wait(&c);
		if (status)
			return fail("the child ended with wait status 0x%x", status);
	}
	return PASSED;
}

/* --- devices and modules that are used ------------------------------------------------------ */

static const char *rxe;		/* "stock" or "phyr", for phyr-rxe */

/* Start a command without its output. */
static pid_t command_start(char *const *argv)
{
	pid_t pid;

	fflush(NULL);
	pid = fork();
	if (pid < 0)
		die("fork: %m");
	if (pid)
		return pid;
	if (!freopen("/dev/null", "w", stdout) || !freopen("/dev/null", "w", stderr))
		_exit(127);
	execvp(argv[0], argv);
	_exit(127);
}

/*
 * Returns the command's exit status, or -1 if it has not ended by then. We count looks, not time:
 * a command gets more time on a busy host, and a stall of the machine counts as one look.
 */
static int command_wait(pid_t pid, int ms)
{
	enum { LOOK_MS = 10 };
	int status, looks;

	for (looks = 0; looks <= ms / LOOK_MS; looks++) {
		if (waitpid(pid, &status, WNOHANG) == pid)
			return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
		usleep(LOOK_MS * 1000);
	}
	return -1;
}

static int rxe_again(void)
{
	char *const argv[] = { "phyr-rxe", (char *)rxe, NULL };
	int status = command_wait(command_start(argv), 120000);

	return status ? fail("phyr-rxe %s ended with status %d", rxe, status) : PASSED;
}

/* Keep traffic going until it fails, as it does when the device goes. Then wait to be killed. */
static void use_device(const void *arg)
{
	struct traffic t;
	struct ibv_wc wc;
	int i;

	(void)arg;
	traffic_open(&t);
	for (i = 0; i < TRAFFIC_WRS; i++)
		if (traffic_post(&t))
			_exit(1);
	tell(READY);
	for (;;) {
		if (ibv_poll_cq(t.pair.cq[0], 1, &wc) <= 0)
			usleep(100);
		else if (wc.status != IBV_WC_SUCCESS || traffic_post(&t))
			break;
	}
	tell(DONE);
	pause();
}

struct removal {
	const char *name;
	char *argv[6];
};

static const struct removal removals[] = {
	{ "rdma link delete", { "rdma", "link", "delete", "rxe0", NULL } },
	{ "rmmod rdma_rxe", { "rmmod", "rdma_rxe", NULL } },
	{ "rmmod phyr", { "rmmod", "phyr", NULL } },
};

/*
 * Remove a device or module while a process uses it. The kernel may let the command wait for the
 * process to end, refuse it, or cut the process off. After that, it must be possible to make the
 * device again. tests/guest/races compares the "result" lines: our driver must behave like the
 * in-tree one.
 */
static int test_remove(const void *arg)
{
	const struct removal *r = arg;
	struct child user, next;
	int status, err;
	pid_t command;

	if (child_start(&user, use_device, NULL))
		return FAILED;
	if (!child_told(&user, READY, 60000)) {
		child_kill(&user);
		return fail("the child does not use the device");
	}
	command = command_start(r->argv);
	status = command_wait(command, 3000);
	diag("result %s: %s", r->name, status < 0 ? "waits" : status ? "refused" : "done");
	err = child_kill(&user) < 0 ? FAILED : PASSED;
	if (status < 0)
		status = command_wait(command, 60000);
	if (status < 0)
		die("\"%s\" does not end, though nobody uses the device", r->name);

	err = rxe_again() ?: err;
	if (err || child_start(&next, use_device, NULL))
		return FAILED;
	if (!child_told(&next, READY, 60000))
		err = fail("the device cannot be used afterwards");
	return child_kill(&next) < 0 ? FAILED : err;
}

/* --- a memory cgroup's limit ---------------------------------------------------------------- */

#define GROUP	"/sys/fs/cgroup/phyr-ends"
#define LIMIT	(32 * MIB)

static int write_file(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	if (!f)
		return -1;
	fputs(text, f);
	return fclose(f);
}

/* Pin much more memory than the group may have. */
static void pin_too_much(const void *arg)
{
	char *addr = mmap(NULL, 8 * LIMIT, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
			  0);

	if (addr == MAP_FAILED || madvise(addr, 8 * LIMIT, *(const int *)arg))
		_exit(1);
	if (write_file(GROUP "/cgroup.procs", "0"))
		_exit(1);
	tell(READY);
	_exit(ibv_reg_mr(dev.pd, addr, 8 * LIMIT, ACCESS_ALL) ? 3 : errno == ENOMEM ? 4 : 5);
}

static int test_cgroup(const void *arg)
{
	struct child c;
	int i, status = 0, killed = 0;
	enum { TRIES = 2 };

	if (access("/sys/fs/cgroup/cgroup.subtree_control", W_OK))
		return fail("no cgroup2 at /sys/fs/cgroup; tests/guest/races mounts it");
	write_file("/sys/fs/cgroup/cgroup.subtree_control", "+memory");
	if (mkdir(GROUP, 0755) || write_file(GROUP "/memory.max", "33554432"))
		return fail(GROUP ": %m");
	for (i = 0; i < TRIES; i++) {
		if (child_start(&c, pin_too_much, arg))
			return FAILED;
		status = child_wait(&c);
		killed += WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
		if (!WIFSIGNALED(status) && WEXITSTATUS(status) != 4)
			break;
	}
	if (rmdir(GROUP))
		return fail("rmdir " GROUP ": %m");
	if (i < TRIES)
		return fail("the child ended with wait status 0x%x", status);
	remark("%d of %d killed", killed, TRIES);
	return PASSED;
}

/* ------------------------------------------------------------------------------------------ */

static const struct program program = {
	.about = "Registrations, processes, devices and modules that end in their work.",
	.watchdog_s = 600,
	.recover = rxe_again,
};

int main(int argc, char **argv)
{
	static const int advice[] = { MADV_NOHUGEPAGE, MADV_HUGEPAGE };
	unsigned int i;

	program_start(&program, argc, argv);
	rxe = access("/sys/module/phyr", F_OK) ? "stock" : "phyr";
	for (i = 0; i < ARRAY_SIZE(larges); i++)
		test_add(test_kill_registering, &larges[i], "SIGKILL while registering %s",
			 larges[i].name);
	for (i = 0; i < ARRAY_SIZE(complete); i++)
		test_add(test_kill_releasing, &complete[i], "SIGKILL while releasing %s",
			 complete[i].name);
	for (i = 0; i < ARRAY_SIZE(exit_cases); i++)
		test_add(test_exit, &exit_cases[i], "%s", exit_cases[i].name);
	for (i = 0; i < ARRAY_SIZE(advice); i++)
		test_add(test_cgroup, &advice[i], "more than a memory cgroup has, %s",
			 i ? "thp" : "4k");
	for (i = 0; i < ARRAY_SIZE(removals); i++)
		test_add(test_remove, &removals[i], "%s while it is used", removals[i].name);
	return test_run();
}
