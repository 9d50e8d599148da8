// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * umem_time: how long does the kernel take for the umem of an MR, without the work of the driver?
 *
 * tests/kernel/phyr_umem_test.ko calls the kernel's ib_umem_get() for a device, as the device's
 * driver does, and takes the time. Our caller turns the livepatch on or off.
 *
 * Prints JSON, a row for each kind of memory, to stdout.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "phyr_umem_test.h"
#include "samples.h"

#define DEVICE "/dev/phyr_umem_test"
#define DEFAULT_ROUNDS 5
#define LOCAL_WRITE 1		/* IB_ACCESS_LOCAL_WRITE */
#define TRACING_ON "/sys/kernel/tracing/tracing_on"

static const char usage[] =
"Usage: umem_time [-t] [-r] [-n ROUNDS] NETDEV KIND:MIB...\n"
"Time the kernel's ib_umem_get() and ib_umem_release() for the RDMA device on NETDEV.\n"
"KIND is a backing of ib_reg_mr. Base pages are in random order. -r: for reading only.\n"
"-t: turn tracing (tracefs) on during one more ib_umem_get() of each, which is not timed.\n"
"Needs phyr_umem_test.ko loaded, and root.\n";

struct times {
	uint64_t *get, *release;
	uint32_t entries;
};

static bool read_only;
static bool traced;

/* Only the first call is traced, since tracing would slow down the calls that are timed. */
static void set_tracing(const char *on)
{
	int fd;

	if (!traced)
		return;
	fd = open(TRACING_ON, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, on, 1) != 1)
		die("cannot write to " TRACING_ON ": %s", strerror(errno));
	close(fd);
}

static void measure(int fd, unsigned int netdev, const struct backing *memory, struct times *times,
		    size_t round)
{
	struct phyr_umem_test_get get = {
		.addr = (uintptr_t)memory->start,
		.len = memory->len,
		.access = read_only ? 0 : LOCAL_WRITE,
		.netdev = netdev,
	};
	struct phyr_umem_test_release release = {};

	set_tracing("1");
	if (ioctl(fd, PHYR_UMEM_TEST_GET, &get))
		die("ib_umem_get(): %s", strerror(errno));
	set_tracing("0");
	release.id = get.id;
	if (ioctl(fd, PHYR_UMEM_TEST_RELEASE, &release))
		die("ib_umem_release(): %s", strerror(errno));
	times->get[round] = get.ns;
	times->release[round] = release.ns;
	times->entries = get.entries;
}

static void run(int fd, unsigned int netdev, enum backing_kind kind, size_t size, size_t rounds)
{
	struct times times = { .get = samples_alloc(rounds), .release = samples_alloc(rounds) };
	struct backing memory;

	samples_map(&memory, kind, size, false);
	/* This time is not kept: the call warms up, and is traced with -t. */
	measure(fd, netdev, &memory, &times, 0);
	traced = false;
	for (size_t i = 0; i < rounds; i++) {
		if (backing_is_copied(kind)) {
			backing_unmap(&memory);
			samples_map(&memory, kind, size, false);
		}
		measure(fd, netdev, &memory, &times, i);
	}
	printf("  { \"backing\": \"%s\", \"bytes\": %zu, \"entries\": %u,", backing_name(kind),
	       memory.len, times.entries);
	printf(" \"get_ns\": %.0f, \"release_ns\": %.0f }", samples_median(times.get, rounds),
	       samples_median(times.release, rounds));
	backing_unmap(&memory);
	free(times.get);
	free(times.release);
}

int main(int argc, char **argv)
{
	enum backing_kind kind;
	unsigned int netdev;
	size_t rounds, size;
	bool trace = false;
	int fd;

	if (argc > 1 && !strcmp(argv[1], "-t")) {
		trace = true;
		argc--;
		argv++;
	}
	rounds = samples_options(argc, argv, usage, DEFAULT_ROUNDS, 2, &read_only);
	netdev = if_nametoindex(argv[optind]);
	if (!netdev)
		die("there is no network device %s", argv[optind]);
	fd = open(DEVICE, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		die("cannot open " DEVICE ": %s; load phyr_umem_test.ko", strerror(errno));
	puts("[");
	for (int i = optind + 1; i < argc; i++) {
		samples_parse(argv[i], &kind, &size);
		traced = trace;
		run(fd, netdev, kind, size, rounds);
		puts(i + 1 < argc ? "," : "");
	}
	puts("]");
	close(fd);
	return fflush(stdout) ? 1 : 0;
}
