// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * The command line of ib_reg_mr.
 *
 * Sizes and backings are lists: these options may be repeated, and each may have several values,
 * which are separated by commas.
 */
#define _GNU_SOURCE
#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "ib_reg_mr.h"

/* The default size, which is perftest's; the largest size of -a by default, and its smallest. */
#define DEFAULT_SIZE ((size_t)64 << 10)
#define DEFAULT_ALL ((size_t)4 << 30)
#define SMALLEST_ALL ((size_t)4 << 10)

static const char help[] =
"Usage: " PROGRAM " [options]\n"
"Measure how long it takes to register memory with an RDMA device, and to release it.\n"
"\n"
"  -d, --ib-dev=DEV       use the device DEV (default: the first one found)\n"
"  -s, --size=SIZE,...    bytes to register, with an optional suffix K, M, G or T (default: 64K)\n"
"  -a, --all              all powers of two from 4 KiB to SIZE (default: 4G), as far as memory goes\n"
"      --backing=KIND,... memory to register (default: 4k): 4k, malloc, mthp16k to mthp1m, thp,\n"
"                         thp-pte, huge2m, huge1g, huge2m-shared, frag, mixed; 4k-forked,\n"
"                         mthp64k-forked, thp-forked; file-shared, file-private;\n"
"                         tmpfs4k-shared, tmpfs64k-shared, tmpfs2m-shared; tmpfs4k-private,\n"
"                         tmpfs64k-private\n"
"  -n, --iters=N          measure N times (default: for about a second, 5 to 1000 times)\n"
"  -W, --warmup=N         register N times before that (default: up to 3)\n"
"      --access=rw|ro     local and remote access, or remote read only (default: rw)\n"
"      --offset=BYTES     start BYTES behind the beginning of the first page (default: 0)\n"
"      --aliased          map one huge page over and over (huge2m and huge1g)\n"
"      --untouched        register fresh memory, never touched before, every time\n"
"      --shuffle          touch the pages in random order, so that few neighbours are contiguous\n"
"  -k, --keep-going       a row that fails does not make the exit status 1\n"
"      --json[=FILE]      write all results as JSON to FILE; without FILE, or if it is -, to\n"
"                         standard output in place of the table\n"
"  -h, --help             show this help\n"
"  -V, --version          show the version\n"
"\n"
"Exit status: 0 success, 1 failure, 2 wrong usage.\n";

enum {
	OPT_BACKING = 256,
	OPT_ACCESS,
	OPT_OFFSET,
	OPT_ALIASED,
	OPT_UNTOUCHED,
	OPT_SHUFFLE,
	OPT_JSON,
};

static const struct option long_options[] = {
	{ "ib-dev",	required_argument, NULL, 'd' },
	{ "size",	required_argument, NULL, 's' },
	{ "all",	no_argument,	   NULL, 'a' },
	{ "iters",	required_argument, NULL, 'n' },
	{ "warmup",	required_argument, NULL, 'W' },
	{ "keep-going",	no_argument,	   NULL, 'k' },
	{ "help",	no_argument,	   NULL, 'h' },
	{ "version",	no_argument,	   NULL, 'V' },
	{ "backing",	required_argument, NULL, OPT_BACKING },
	{ "access",	required_argument, NULL, OPT_ACCESS },
	{ "offset",	required_argument, NULL, OPT_OFFSET },
	{ "aliased",	no_argument,	   NULL, OPT_ALIASED },
	{ "untouched",	no_argument,	   NULL, OPT_UNTOUCHED },
	{ "shuffle",	no_argument,	   NULL, OPT_SHUFFLE },
	{ "json",	optional_argument, NULL, OPT_JSON },
	{ 0 }
};

__printf(1, 2)
static bool usage_error(const char *format, ...)
{
	va_list args;

	fputs(PROGRAM ": ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputs("\nTry '" PROGRAM " --help'.\n", stderr);
	return false;
}

/* Digits and nothing else, up to @end. */
static bool parse_digits(const char *text, char **end, unsigned long long *value)
{
	if (!isdigit((unsigned char)*text))
		return false;
	errno = 0;
	*value = strtoull(text, end, 10);
	return !errno;
}

/* 4095, 64K, 64k, 64KiB, 1g, 1T: a number of bytes. */
static bool parse_size(const char *text, size_t *size)
{
	static const char units[] = "kmgt";
	unsigned long long value;
	const char *unit;
	int shift = 0;
	char *end;

	if (!parse_digits(text, &end, &value))
		return false;
	if (*end) {
		unit = strchr(units, tolower((unsigned char)*end));
		if (!unit)
			return false;
		shift = 10 * (unit - units + 1);
		end++;
		if (!strcasecmp(end, "ib"))
			end += 2;
	}
	if (*end || value > SIZE_MAX >> shift)
		return false;
	*size = (size_t)value << shift;
	return true;
}

static bool parse_count(const char *text, size_t max, size_t *count)
{
	unsigned long long value;
	char *end;

	if (!parse_digits(text, &end, &value) || *end || value > max)
		return false;
	*count = value;
	return true;
}

static bool add_size(struct options *opts, const char *text)
{
	size_t *sizes, size;

	if (!parse_size(text, &size) || !size)
		return usage_error("'%s' is no size: give bytes, at least 1, or 4K, 2M, 1G, 1T",
				   text);
	sizes = reallocarray(opts->sizes, opts->nr_sizes + 1, sizeof(*sizes));
	if (!sizes)
		return usage_error("no memory for another size");
	sizes[opts->nr_sizes++] = size;
	opts->sizes = sizes;
	return true;
}

static bool add_backing(struct options *opts, const char *text)
{
	enum backing_kind kind = backing_find(text), *backings;

	if (kind == BACKING_NR_KINDS)
		return usage_error("no backing '%s'; see --help for what there is", text);
	backings = reallocarray(opts->backings, opts->nr_backings + 1, sizeof(*backings));
	if (!backings)
		return usage_error("no memory for another backing");
	backings[opts->nr_backings++] = kind;
	opts->backings = backings;
	return true;
}

static bool add_list(struct options *opts, bool (*add)(struct options *, const char *), char *list)
{
	const char *item;

	while ((item = strsep(&list, ",")))
		if (!add(opts, item))
			return false;
	return true;
}

static bool set_access(struct options *opts, const char *text)
{
	if (strcmp(text, "ro") && strcmp(text, "rw"))
		return usage_error("'%s' is no access: choose ro or rw", text);
	opts->read_only = !strcmp(text, "ro");
	return true;
}

static bool set_warmup(struct options *opts, const char *text)
{
	size_t count;

	if (!parse_count(text, INT_MAX, &count))
		return usage_error("'%s' is no number of warm-up iterations", text);
	opts->warmup = count;
	return true;
}

/* The file may be an argument of its own, since this program takes no other operands. */
static bool set_json(struct options *opts, int argc, char **argv)
{
	const char *file = optarg;

	if (!file && optind < argc && (argv[optind][0] != '-' || !strcmp(argv[optind], "-")))
		file = argv[optind++];
	opts->json = true;
	opts->json_file = file && strcmp(file, "-") ? file : NULL;
	return true;
}

static bool parse_one(struct options *opts, int option, int argc, char **argv)
{
	switch (option) {
	case 'd':
		opts->device = optarg;
		return true;
	case 's':
		opts->size_given = true;
		return add_list(opts, add_size, optarg);
	case 'a':
		opts->all = true;
		return true;
	case 'n':
		if (!parse_count(optarg, SIZE_MAX, &opts->iters) || !opts->iters)
			return usage_error("'%s' is no number of iterations", optarg);
		return true;
	case 'W':
		return set_warmup(opts, optarg);
	case 'k':
		opts->keep_going = true;
		return true;
	case OPT_BACKING:
		return add_list(opts, add_backing, optarg);
	case OPT_ACCESS:
		return set_access(opts, optarg);
	case OPT_OFFSET:
		if (!parse_size(optarg, &opts->offset))
			return usage_error("'%s' is no offset in bytes", optarg);
		return true;
	case OPT_ALIASED:
		opts->aliased = true;
		return true;
	case OPT_UNTOUCHED:
		opts->untouched = true;
		return true;
	case OPT_SHUFFLE:
		opts->shuffled = true;
		return true;
	case OPT_JSON:
		return set_json(opts, argc, argv);
	default:
		/* getopt has said what is wrong. */
		fputs("Try '" PROGRAM " --help'.\n", stderr);
		return false;
	}
}

/* Replace the size of -s, or the default, by all powers of two up to it. */
static bool expand_all(struct options *opts)
{
	size_t largest = opts->size_given ? opts->sizes[0] : DEFAULT_ALL;
	size_t nr = 0, *sizes;

	if (opts->nr_sizes > 1)
		return usage_error("-a takes one -s, the largest size");
	if (largest < SMALLEST_ALL)
		return usage_error("-a begins at 4 KiB, and -s is less");
	sizes = calloc(CHAR_BIT * sizeof(size_t), sizeof(*sizes));
	if (!sizes)
		return usage_error("no memory for a list of sizes");
	for (size_t size = SMALLEST_ALL; size && size <= largest; size <<= 1)
		sizes[nr++] = size;
	free(opts->sizes);
	opts->sizes = sizes;
	opts->nr_sizes = nr;
	return true;
}

static bool add_default_size(struct options *opts)
{
	opts->sizes = malloc(sizeof(*opts->sizes));
	if (!opts->sizes)
		return usage_error("no memory for a size");
	opts->sizes[opts->nr_sizes++] = DEFAULT_SIZE;
	return true;
}

static bool add_defaults(struct options *opts)
{
	if (!opts->nr_backings && !add_backing(opts, backing_name(BACKING_4K)))
		return false;
	if (opts->all)
		return expand_all(opts);
	return opts->nr_sizes || add_default_size(opts);
}

static bool check_aliased(const struct options *opts)
{
	for (size_t i = 0; i < opts->nr_backings; i++)
		if (!backing_can_be_aliased(opts->backings[i]))
			return usage_error("--aliased takes --backing huge2m or huge1g only");
	return true;
}

static bool check_untouched(const struct options *opts)
{
	for (size_t i = 0; i < opts->nr_backings; i++)
		if (!backing_can_be_untouched(opts->backings[i]))
			return usage_error("--backing %s is made by touching it: no --untouched",
					   backing_name(opts->backings[i]));
	return true;
}

static bool check_shuffled(const struct options *opts)
{
	for (size_t i = 0; i < opts->nr_backings; i++)
		if (!backing_can_be_shuffled(opts->backings[i]))
			return usage_error("--backing %s has an order of its own: no --shuffle",
					   backing_name(opts->backings[i]));
	return true;
}

static bool check_combination(const struct options *opts)
{
	if (opts->untouched && !check_untouched(opts))
		return false;
	if (opts->aliased && !check_aliased(opts))
		return false;
	if (opts->shuffled && !check_shuffled(opts))
		return false;
	if (opts->aliased && opts->shuffled)
		return usage_error("--aliased has one page and --shuffle nothing to do");
	if (opts->untouched && opts->shuffled)
		return usage_error("--shuffle touches the pages, --untouched does not: choose one");
	for (size_t i = 0; i < opts->nr_sizes; i++)
		if (opts->offset > SIZE_MAX - opts->sizes[i])
			return usage_error("--offset is too large");
	return true;
}

bool options_parse(struct options *opts, int argc, char **argv, int *status)
{
	int option;

	*opts = (struct options){ .warmup = -1 };
	*status = EXIT_USAGE;
	while ((option = getopt_long(argc, argv, "d:s:an:W:khV", long_options, NULL)) != -1) {
		if (option == 'h' || option == 'V') {
			fputs(option == 'h' ? help : PROGRAM " " PHYR_VERSION "\n", stdout);
			*status = fflush(stdout) ? EXIT_FAILED : EXIT_OK;
			return false;
		}
		if (!parse_one(opts, option, argc, argv))
			return false;
	}
	if (optind < argc)
		return usage_error("unexpected argument '%s'", argv[optind]);
	return add_defaults(opts) && check_combination(opts);
}

void options_free(struct options *opts)
{
	free(opts->sizes);
	free(opts->backings);
}
