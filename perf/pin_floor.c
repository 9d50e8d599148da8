// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * pin_floor: what does phyr_pin_user() cost, against the least that any pinning by GUP must cost?
 *
 * A region consists of folio mappings, which are base pages or larger folios. Pinning a folio takes
 * at least one call of pin_user_pages_fast() for one of its pages. One such call for each folio
 * mapping is the floor. tests/kernel/phyr_test.ko takes the times of both in the kernel. Both take
 * turns, so that slow changes of the machine affect them alike, and their medians are compared.
 * Unpinning is compared in the same way.
 *
 * Prints JSON, a row for each kind of memory, to stdout.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "phyr_test.h"
#include "samples.h"

#define DEVICE "/dev/phyr_test"
#define DEFAULT_ROUNDS 7

static const char usage[] =
"Usage: pin_floor [-n ROUNDS] KIND:MIB...\n"
"Compare phyr_pin_user() with one pin_user_pages_fast(va, 1) for each folio mapping.\n"
"KIND is a backing of ib_reg_mr. With huge1g, one page is mapped over and over.\n"
"Base pages are in random order. Needs phyr_test.ko loaded, and root.\n";

/* One region, and what is measured of it. */
struct region {
	struct backing memory;
	uint64_t *addresses;		/* one for each folio mapping */
	size_t folios;
	size_t rounds;
	uint64_t *gup_pin, *gup_unpin, *phyr_pin, *phyr_unpin;	/* ns, one for each round */
	uint64_t runs;
	uint64_t table_bytes;
};

static void map_region(struct region *r, enum backing_kind kind, size_t size)
{
	samples_map(&r->memory, kind, size, kind == BACKING_HUGE1G);
	r->folios = r->memory.len / r->memory.page_size;
	r->addresses = samples_alloc(r->folios);
	for (size_t i = 0; i < r->folios; i++)
		r->addresses[i] = (uintptr_t)r->memory.start + i * r->memory.page_size;
}

static void measure_gup(int fd, struct region *r, size_t round)
{
	struct phyr_test_gup gup = {
		.addresses = (uintptr_t)r->addresses,
		.nr = r->folios,
		.writable = 1,
		.batch = 1,
	};

	if (ioctl(fd, PHYR_TEST_GUP, &gup))
		die("pin_user_pages_fast(): %s", strerror(errno));
	r->gup_pin[round] = gup.pin_ns;
	r->gup_unpin[round] = gup.unpin_ns;
}

static void measure_phyr(int fd, struct region *r, size_t round)
{
	struct phyr_test_pin pin = {
		.start = (uintptr_t)r->memory.start,
		.len = r->memory.len,
		.writable = 1,
	};
	/* Not dirty, since GUP's unpin_user_pages() does not look at that either. */
	struct phyr_test_unpin unpin = { .dirty = 0 };

	if (ioctl(fd, PHYR_TEST_PIN, &pin))
		die("phyr_pin_user(): %s", strerror(errno));
	unpin.id = pin.id;
	if (ioctl(fd, PHYR_TEST_UNPIN, &unpin))
		die("phyr_unpin_user(): %s", strerror(errno));
	r->phyr_pin[round] = pin.ns;
	r->phyr_unpin[round] = unpin.ns;
	r->runs = pin.runs;
	r->table_bytes = pin.table_bytes;
}

/* The times are medians. "least" and "most" are the ratios of single rounds. */
static void print_comparison(const char *name, uint64_t *gup, uint64_t *phyr, size_t rounds)
{
	double least = 0, most = 0, ratio;

	for (size_t i = 0; i < rounds; i++) {
		ratio = (double)phyr[i] / gup[i];
		least = !i || ratio < least ? ratio : least;
		most = ratio > most ? ratio : most;
	}
	printf("    \"%s\": { \"gup_ns\": %.0f, \"phyr_ns\": %.0f,", name,
	       samples_median(gup, rounds), samples_median(phyr, rounds));
	printf(" \"ratio\": %.4f, \"least\": %.4f, \"most\": %.4f }",
	       samples_median(phyr, rounds) / samples_median(gup, rounds), least, most);
}

static void print_region(const struct region *r)
{
	printf("  {\n    \"backing\": \"%s\", \"bytes\": %zu, \"folios\": %zu,\n",
	       backing_name(r->memory.kind), r->memory.len, r->folios);
	printf("    \"rounds\": %zu, \"runs\": %ju, \"table_bytes\": %ju,\n", r->rounds,
	       (uintmax_t)r->runs, (uintmax_t)r->table_bytes);
	print_comparison("pin", r->gup_pin, r->phyr_pin, r->rounds);
	puts(",");
	print_comparison("unpin", r->gup_unpin, r->phyr_unpin, r->rounds);
	fputs("\n  }", stdout);
}

static void run(int fd, enum backing_kind kind, size_t size, size_t rounds)
{
	struct region r = { .rounds = rounds };

	r.gup_pin = samples_alloc(rounds);
	r.gup_unpin = samples_alloc(rounds);
	r.phyr_pin = samples_alloc(rounds);
	r.phyr_unpin = samples_alloc(rounds);
	map_region(&r, kind, size);
	/* These times are not kept: the calls warm up caches and the module's allocations. */
	measure_gup(fd, &r, 0);
	measure_phyr(fd, &r, 0);
	for (size_t i = 0; i < rounds; i++) {
		measure_gup(fd, &r, i);
		measure_phyr(fd, &r, i);
	}
	print_region(&r);
	backing_unmap(&r.memory);
	free(r.addresses);
	free(r.gup_pin);
	free(r.gup_unpin);
	free(r.phyr_pin);
	free(r.phyr_unpin);
}

int main(int argc, char **argv)
{
	size_t rounds = samples_options(argc, argv, usage, DEFAULT_ROUNDS, 1, NULL), size;
	enum backing_kind kind;
	int fd;

	fd = open(DEVICE, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		die("cannot open " DEVICE ": %s; load phyr_test.ko", strerror(errno));
	puts("[");
	for (int i = optind; i < argc; i++) {
		samples_parse(argv[i], &kind, &size);
		run(fd, kind, size, rounds);
		puts(i + 1 < argc ? "," : "");
	}
	puts("]");
	close(fd);
	return fflush(stdout) ? 1 : 0;
}
