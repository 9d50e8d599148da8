// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * ib_reg_mr: how long does it take to register memory with an RDMA device, and to release it?
 *
 * perftest measures what happens once memory is registered; ib_reg_mr measures what comes before
 * and after. It needs only libibverbs and runs on any device. Each backing and size has one row. A
 * registration that the kernel refuses is a result, too, and has a row.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "ib_reg_mr.h"

/*
 * The signal that ends the run (SIGINT or SIGTERM), or 0. A second signal changes nothing:
 * timeout(1) sends its signal twice, and the second must not cut short what the first began.
 * SIGQUIT ends the program at once.
 */
static atomic_int stop;

static void on_signal(int sig)
{
	stop = sig;
}

static void catch_signals(void)
{
	struct sigaction action = { .sa_handler = on_signal, .sa_flags = SA_RESTART };

	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
}

/* The device. */

static void list_devices(struct ibv_device **devices)
{
	fputs(PROGRAM ": there are:", stderr);
	for (; *devices; devices++)
		fprintf(stderr, " %s", ibv_get_device_name(*devices));
	fputc('\n', stderr);
}

static struct ibv_device *find_device(struct ibv_device **devices, const char *name)
{
	if (!devices[0]) {
		fprintf(stderr,
			PROGRAM ": this machine has no RDMA devices\n"
			"For Soft-RoCE: rdma link add rxe0 type rxe netdev INTERFACE\n");
		return NULL;
	}
	if (!name)
		return devices[0];
	for (struct ibv_device **device = devices; *device; device++)
		if (!strcmp(ibv_get_device_name(*device), name))
			return *device;
	fprintf(stderr, PROGRAM ": no RDMA device '%s'\n", name);
	list_devices(devices);
	return NULL;
}

static struct ibv_context *open_device(const char *name)
{
	struct ibv_device **devices = ibv_get_device_list(NULL);
	struct ibv_context *context = NULL;
	struct ibv_device *device;

	if (!devices) {
		fprintf(stderr,
			PROGRAM ": cannot list RDMA devices: %s; is module ib_uverbs loaded?\n",
			strerror(errno));
		return NULL;
	}
	device = find_device(devices, name);
	if (device) {
		context = ibv_open_device(device);
		if (!context)
			fprintf(stderr,
				PROGRAM ": cannot open %s: %s; may you use /dev/infiniband/%s?\n",
				ibv_get_device_name(device), strerror(errno), device->dev_name);
	}
	ibv_free_device_list(devices);
	return context;
}

/* Kernels without RDMA netlink give their devices no index. */
static int open_netlink(int device_index)
{
	int sk = device_index < 0 ? -EOPNOTSUPP : nldev_open();

	if (sk < 0)
		fprintf(stderr,
			PROGRAM ": warning: cannot ask the kernel about memory regions: %s\n",
			strerror(-sk));
	return sk;
}

static bool bench_open(struct bench *bench, const struct options *opts)
{
	struct ibv_context *context = open_device(opts->device);
	int index;

	if (!context)
		return false;
	bench->pd = ibv_alloc_pd(context);
	if (!bench->pd) {
		fprintf(stderr, PROGRAM ": cannot allocate a protection domain: %s\n",
			strerror(errno));
		ibv_close_device(context);
		return false;
	}
	bench->opts = opts;
	bench->device = ibv_get_device_name(context->device);
	bench->access = IBV_ACCESS_REMOTE_READ;
	if (!opts->read_only)
		bench->access |= IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE;
	index = ibv_get_device_index(context->device);
	bench->netlink = open_netlink(index);
	bench->device_index = index;
	bench->stop = &stop;
	return true;
}

static void bench_close(struct bench *bench)
{
	struct ibv_context *context = bench->pd->context;

	if (bench->netlink >= 0)
		close(bench->netlink);
	ibv_dealloc_pd(bench->pd);
	ibv_close_device(context);
}

/* Older kernels do not name the driver over netlink. The device's parent on the bus may have it. */
static void driver_from_sysfs(const struct bench *bench, char *driver, size_t len)
{
	char target[256], path[512];
	const char *name;
	ssize_t got;

	snprintf(path, sizeof(path), "%s/device/driver", bench->pd->context->device->ibdev_path);
	got = readlink(path, target, sizeof(target) - 1);
	if (got < 0)
		return;
	target[got] = '\0';
	name = strrchr(target, '/');
	snprintf(driver, len, "%.*s", (int)len - 1, name ? name + 1 : target);
}

static void describe(const struct bench *bench, struct run_info *info)
{
	struct utsname uts;

	*info = (struct run_info){ .opts = bench->opts, .device = bench->device };
	if (!uname(&uts))
		snprintf(info->kernel, sizeof(info->kernel), "%s", uts.release);
	if (bench->netlink < 0 || nldev_driver(bench->netlink, bench->device_index, info->driver,
					       sizeof(info->driver)))
		driver_from_sysfs(bench, info->driver, sizeof(info->driver));
}

/* The rows. */

struct report {
	struct run_info info;
	FILE *table;			/* NULL: no table */
	FILE *json;			/* NULL: no JSON */
	struct result *results;
	size_t nr_results;
	bool failed;
};

/* With -a, rows end where memory ends. This is a failure only if there is no row at all. */
static bool is_end_of_memory(const struct options *opts, const struct result *r)
{
	return opts->all && r->failed == STAGE_MEMORY && r->bytes > opts->sizes[0];
}

static bool is_failure(const struct options *opts, const struct result *r)
{
	switch (r->failed) {
	case STAGE_NONE:
		return false;
	case STAGE_REGISTRATION:
		return !opts->all && !opts->keep_going;
	case STAGE_MEMORY:
		return !opts->keep_going;
	default:
		return true;
	}
}

static void explain(const struct result *r)
{
	fprintf(stderr, PROGRAM ": %zu bytes on %s: %s failed: %s\n",
		r->bytes, backing_name(r->backing), stage_name(r->failed), r->why);
}

/* True if a larger size of this backing is worth trying. */
static bool report_row(struct report *report, const struct result *r)
{
	const struct options *opts = report->info.opts;

	if (is_end_of_memory(opts, r)) {
		fprintf(stderr, PROGRAM ": %s ends below %zu bytes: %s\n",
			backing_name(r->backing), r->bytes, r->why);
		return false;
	}
	report->nr_results++;
	if (r->failed)
		explain(r);
	if (is_failure(opts, r))
		report->failed = true;
	if (report->table)
		print_table_row(report->table, r);
	return r->failed != STAGE_MEMORY || !opts->all;
}

static void run_backing(const struct bench *bench, struct report *report, enum backing_kind kind)
{
	const struct options *opts = bench->opts;
	struct result *r;

	for (size_t i = 0; i < opts->nr_sizes; i++) {
		r = &report->results[report->nr_results];
		measure(bench, kind, opts->sizes[i], r);
		if (stop && !r->iterations)
			return;
		if (!report_row(report, r))
			return;
		/* The MR still holds the memory, so further rows would be of no value. */
		if (r->failed == STAGE_RELEASE)
			return;
	}
}

static void run_all(const struct bench *bench, struct report *report)
{
	const struct options *opts = bench->opts;

	if (report->table)
		print_table_header(report->table, &report->info);
	for (size_t i = 0; i < opts->nr_backings && !stop; i++)
		run_backing(bench, report, opts->backings[i]);
	if (report->table)
		print_table_end(report->table);
	if (report->json)
		print_json(report->json, &report->info, report->results, report->nr_results, stop);
}

/* The files. They are opened first, before there are results to lose. */

static bool report_open(struct report *report, const struct bench *bench)
{
	const struct options *opts = bench->opts;

	*report = (struct report){ 0 };
	describe(bench, &report->info);
	report->results = calloc(opts->nr_sizes * opts->nr_backings, sizeof(*report->results));
	if (!report->results) {
		fprintf(stderr, PROGRAM ": no memory for the results\n");
		return false;
	}
	if (!opts->json || opts->json_file)
		report->table = stdout;
	if (opts->json)
		report->json = opts->json_file ? fopen(opts->json_file, "we") : stdout;
	if (opts->json && !report->json) {
		fprintf(stderr, PROGRAM ": cannot write %s: %s\n", opts->json_file,
			strerror(errno));
		free(report->results);
		return false;
	}
	return true;
}

static bool flush(FILE *file, const char *name)
{
	if (!fflush(file) && !ferror(file))
		return true;
	fprintf(stderr, PROGRAM ": cannot write %s: %s\n", name, strerror(errno));
	return false;
}

/* True if all that was printed has been written. */
static bool report_close(struct report *report)
{
	const char *file = report->info.opts->json_file;
	bool ok = flush(stdout, "standard output");

	if (report->json && report->json != stdout) {
		ok &= flush(report->json, file);
		fclose(report->json);
	}
	free(report->results);
	return ok;
}

static int run_bench(const struct bench *bench)
{
	struct report report;
	bool failed;

	if (!report_open(&report, bench))
		return EXIT_FAILED;
	run_all(bench, &report);
	failed = report.failed;
	if (!report_close(&report))
		failed = true;
	return failed ? EXIT_FAILED : EXIT_OK;
}

int main(int argc, char **argv)
{
	struct options opts;
	struct bench bench;
	int status;

	if (!options_parse(&opts, argc, argv, &status)) {
		options_free(&opts);
		return status;
	}
	status = EXIT_FAILED;
	if (bench_open(&bench, &opts)) {
		catch_signals();
		status = run_bench(&bench);
		bench_close(&bench);
	}
	options_free(&opts);
	/* Everything is released. Now end as the signal would have ended us. */
	if (stop) {
		signal(stop, SIG_DFL);
		raise(stop);
	}
	return status;
}
