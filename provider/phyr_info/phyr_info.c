// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * phyr_info: does memory registration go through phyr on this machine? If not, why not, and what
 * can be done? And which memory is registered?
 */
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "info.h"

static const char help[] =
"Usage: " PROGRAM " [options]\n"
"       " PROGRAM " mr [options]\n"
"Show for each RDMA device whether memory registration goes through phyr, and what to do if not.\n"
"With \"mr\", list the memory regions that are registered, and what they are made of.\n"
"\n"
"  -d, --ib-dev=DEV       show the device DEV only\n"
"  -p, --pid=PID          with \"mr\": list regions of the process PID only\n"
"  -j, --json             print JSON\n"
"  -h, --help             show this help\n"
"  -V, --version          show the version\n"
"\n"
"Exit status: 0 if there are devices and all register through phyr, or if the regions are listed;\n"
"1 if a device does not register through phyr, or there is none; 2 for wrong usage; 3 if the\n"
"answer could not be found out.\n";

static const struct option long_options[] = {
	{ "ib-dev",	required_argument, NULL, 'd' },
	{ "pid",	required_argument, NULL, 'p' },
	{ "json",	no_argument,	   NULL, 'j' },
	{ "help",	no_argument,	   NULL, 'h' },
	{ "version",	no_argument,	   NULL, 'V' },
	{ 0 }
};

struct options {
	bool mr;
	const char *device;		/* NULL: all */
	uint32_t pid;			/* 0: all */
	bool json;
};

/* The command line. */

static void parse_pid(struct options *opts, const char *text)
{
	unsigned long pid;
	char *end;

	errno = 0;
	pid = strtoul(text, &end, 10);
	if (*text < '0' || *text > '9' || *end || errno || !pid || pid > INT_MAX) {
		complain("'%s' is no process ID", text);
		exit(EXIT_USAGE);
	}
	opts->pid = pid;
}

static void refer_to_help(void)
{
	fputs("Try '" PROGRAM " --help'.\n", stderr);
	exit(EXIT_USAGE);
}

static void parse_word(struct options *opts, const char *word)
{
	if (opts->mr || strcmp(word, "mr")) {
		complain("unexpected argument '%s'", word);
		refer_to_help();
	}
	opts->mr = true;
}

/* True if what was printed has been written. */
static bool printed(void)
{
	if (!fflush(stdout) && !ferror(stdout))
		return true;
	complain("cannot write: %s", strerror(errno));
	return false;
}

static void show_and_exit(const char *text)
{
	fputs(text, stdout);
	exit(printed() ? EXIT_OK : EXIT_UNKNOWN);
}

/* Returns only if there is something to do. */
static struct options parse(int argc, char **argv)
{
	struct options opts = { 0 };
	int option;

	/* "-": getopt returns words as 1, so options may follow them, even with POSIXLY_CORRECT. */
	while ((option = getopt_long(argc, argv, "-d:p:jhV", long_options, NULL)) != -1) {
		switch (option) {
		case 1:
			parse_word(&opts, optarg);
			break;
		case 'd':
			opts.device = optarg;
			break;
		case 'p':
			parse_pid(&opts, optarg);
			break;
		case 'j':
			opts.json = true;
			break;
		case 'h':
			show_and_exit(help);
			break;
		case 'V':
			show_and_exit(PROGRAM " " PHYR_VERSION "\n");
			break;
		default:
			/* getopt has said what is wrong. */
			refer_to_help();
		}
	}
	/* What comes after "--". */
	while (optind < argc)
		parse_word(&opts, argv[optind++]);
	if (opts.pid && !opts.mr) {
		complain("-p goes with memory regions: " PROGRAM " mr -p %u", opts.pid);
		exit(EXIT_USAGE);
	}
	return opts;
}

/* What the command line asks for. Each function returns the exit status. */

static int show_mrs(const struct options *opts, const struct devices *devices, int netlink)
{
	struct mrs mrs;
	bool ok = mrs_look(&mrs, devices, netlink, opts->pid);

	if (ok && opts->json)
		print_mrs_json(&mrs);
	else if (ok)
		print_mrs(&mrs);
	mrs_free(&mrs);
	return ok ? EXIT_OK : EXIT_UNKNOWN;
}

static int show_devices(const struct options *opts, struct devices *devices, int netlink)
{
	struct machine machine;
	struct hints hints;
	bool all = devices->nr;

	if (!exists("/sys/module")) {
		complain("cannot tell what the kernel does: /sys is not mounted");
		return EXIT_UNKNOWN;
	}
	machine_look(&machine);
	devices_look(devices, netlink, &machine);
	providers_look(devices);
	hints_find(&hints, &machine, devices);
	devices_make_printable(devices);
	if (opts->json)
		print_devices_json(&machine, devices, &hints);
	else
		print_devices(&machine, devices, &hints);
	hints_free(&hints);
	for (size_t i = 0; i < devices->nr; i++)
		all &= devices->device[i].hidden || through_phyr(&devices->device[i]);
	return all ? EXIT_OK : EXIT_NO;
}

static int show(const struct options *opts, int netlink)
{
	int status = EXIT_UNKNOWN;
	struct devices devices;

	if (devices_list(&devices, netlink, opts->device))
		status = opts->mr ? show_mrs(opts, &devices, netlink) :
			 show_devices(opts, &devices, netlink);
	devices_free(&devices);
	return status;
}

int main(int argc, char **argv)
{
	struct options opts = parse(argc, argv);
	int netlink = nldev_open();
	int status = show(&opts, netlink);

	if (netlink >= 0)
		close(netlink);
	return printed() ? status : EXIT_UNKNOWN;
}
