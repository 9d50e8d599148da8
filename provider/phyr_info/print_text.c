// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * phyr_info: prints for people. "-" stands for what is not known, never 0.
 */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "info.h"

/* Devices, the machine, and what to do. */

__printf(2, 3)
static void print_item(const char *name, const char *format, ...)
{
	va_list args;

	printf("    %-15s ", name);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	putchar('\n');
}

static const char *verdict(const struct device *device)
{
	if (through_phyr(device))
		return "registers memory through phyr";
	if (device->way == WAY_CHANGING)
		return "registers memory through phyr for some tasks only";
	return "does not register memory through phyr";
}

static const char *way_text(const struct device *device, const struct machine *machine)
{
	switch (device->way) {
	case WAY_RXE:
		return "phyr's rdma_rxe";
	case WAY_LIVEPATCH:
		return "the kernel's driver, with the livepatch phyr_umem";
	case WAY_CHANGING:
		return machine->livepatch == LIVEPATCH_ENABLING ?
		       "the kernel's driver; the livepatch phyr_umem is on its way in" :
		       "the kernel's driver; the livepatch phyr_umem is on its way out";
	default:
		return "the kernel's driver";
	}
}

static void print_counters(const struct device *device)
{
	const struct counter *counter = device->counters;

	if (!device->nr_counters)
		return;
	printf("    %-15s ", "so far:");
	for (size_t i = 0; i < device->nr_counters; i++, counter++) {
		printf("%s%s ", i ? ", " : "", counter->name);
		if (!strcmp(counter->name, "bytes"))
			fputs(bytes_text(counter->value).text, stdout);
		else
			printf("%ju", (uintmax_t)counter->value);
	}
	putchar('\n');
}

static void print_device(const struct device *device, const struct machine *machine)
{
	const char *provider = provider_name(device->provider);

	printf("%s %s\n", device->name, verdict(device));
	print_item("driver:", "%s%s%s", device->driver[0] ? device->driver : "-",
		   device->netdev[0] ? ", on " : "", device->netdev);
	print_item("kernel:", "%s", way_text(device, machine));
	if (is_rxe(device))
		print_item("provider:", "%s%s%s", provider ? provider : "-",
			   device->provider_file[0] ? ", " : "", device->provider_file);
	print_counters(device);
}

static void print_pools(const struct machine *machine)
{
	const struct pool *pool = machine->pools;
	bool any = false;

	printf("reserved: ");
	for (size_t i = 0; i < machine->nr_pools; i++, pool++) {
		if (!pool->nr && !pool->overcommit)
			continue;
		printf("%s%ju of %s (%ju free", any ? ", " : "", (uintmax_t)pool->nr,
		       bytes_text(pool->size).text, (uintmax_t)pool->free);
		if (pool->overcommit)
			printf(", %ju more when needed", (uintmax_t)pool->overcommit);
		putchar(')');
		any = true;
	}
	puts(any ? "" : "none");
}

static void print_machine(const struct machine *machine)
{
	printf("this machine\n");
	print_item("kernel:", "%s", machine->kernel);
	print_item("locked memory:", "%s", machine->memlock_limited ?
		   bytes_text(machine->memlock.rlim_cur).text : "no limit");
	printf("    %-15s transparent: %s, ", "huge pages:",
	       machine->thp[0] ? machine->thp : "none");
	print_pools(machine);
}

static void print_hint(const struct hint *hint)
{
	putchar('\n');
	for (size_t i = 0; i < hint->devices.nr; i++)
		printf("%s%s", hint->devices.item[i], i + 1 < hint->devices.nr ? ", " : ": ");
	printf("%s%s\n", hint->why, hint->commands.nr ? ":" : "");
	for (size_t i = 0; i < hint->commands.nr; i++)
		printf("    %s\n", hint->commands.item[i]);
}

void print_devices(const struct machine *machine, const struct devices *devices,
		   const struct hints *hints)
{
	for (size_t i = 0; i < devices->nr; i++)
		if (!devices->device[i].hidden)
			print_device(&devices->device[i], machine);
	print_machine(machine);
	for (size_t i = 0; i < hints->nr; i++)
		print_hint(&hints->hint[i]);
}

/* Memory regions. */

enum {
	DEVICE, PID, COMMAND, LKEY, LENGTH, EXTENTS, MEAN, LARGEST, SMALLEST, METADATA, PINNED,
	NR_COLUMNS
};

static const char *const column_names[NR_COLUMNS] = {
	[DEVICE]	= "device",
	[PID]		= "pid",
	[COMMAND]	= "command",
	[LKEY]		= "lkey",
	[LENGTH]	= "length",
	[EXTENTS]	= "extents",
	[MEAN]		= "mean",
	[LARGEST]	= "largest",
	[SMALLEST]	= "smallest",
	[METADATA]	= "metadata",
	[PINNED]	= "pinned",
};

struct row {
	char cell[NR_COLUMNS][80];
};

__printf(3, 4)
static void fill(struct row *row, int column, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(row->cell[column], sizeof(row->cell[column]), format, args);
	va_end(args);
}

static void fill_bytes(struct row *row, int column, bool known, uint64_t bytes)
{
	fill(row, column, "%s", known ? bytes_text(bytes).text : "-");
}

static void fill_facts(struct row *row, const struct mr *mr)
{
	const struct mr_facts *facts = &mr->facts;
	uint64_t bytes = 0;
	bool known;

	fill(row, EXTENTS, "-");
	if (facts->known[MR_PHYRS])
		fill(row, EXTENTS, "%ju", (uintmax_t)facts->value[MR_PHYRS]);
	known = mr_mean(mr, &bytes);
	fill_bytes(row, MEAN, known, bytes);
	fill_bytes(row, LARGEST, facts->known[MR_LARGEST], facts->value[MR_LARGEST]);
	fill_bytes(row, SMALLEST, facts->known[MR_SMALLEST], facts->value[MR_SMALLEST]);
	fill_bytes(row, METADATA, facts->known[MR_METADATA], facts->value[MR_METADATA]);
	known = mr_pinned(mr, &bytes);
	fill_bytes(row, PINNED, known, bytes);
}

static void fill_mr(struct row *row, const struct mr *mr)
{
	fill(row, DEVICE, "%s", mr->device);
	fill(row, PID, "-");
	if (mr->pid)
		fill(row, PID, "%u", mr->pid);
	fill(row, COMMAND, "%s", mr->command[0] ? mr->command : "-");
	fill(row, LKEY, "-");
	if (mr->lkey_known)
		fill(row, LKEY, "0x%x", mr->lkey);
	fill_bytes(row, LENGTH, true, mr->length);
	fill_facts(row, mr);
}

static void fill_total(struct row *row, const struct mrs *mrs)
{
	fill(row, DEVICE, "total");
	fill(row, COMMAND, "%zu region%s", mrs->nr, mrs->nr == 1 ? "" : "s");
	fill_bytes(row, LENGTH, mrs->length_known, mrs->total.length);
	fill_facts(row, &mrs->total);
}

static void print_row(const struct row *row, const int *widths)
{
	for (size_t i = 0; i < NR_COLUMNS; i++) {
		if (i == DEVICE || i == COMMAND)
			printf("%-*s", widths[i], row->cell[i]);
		else
			printf("%*s", widths[i], row->cell[i]);
		fputs(i + 1 < NR_COLUMNS ? "  " : "\n", stdout);
	}
}

void print_mrs(const struct mrs *mrs)
{
	size_t nr = mrs->nr + 2, i, column;
	int widths[NR_COLUMNS] = { 0 };
	struct row *rows;

	if (!mrs->nr) {
		puts("no memory regions");
		return;
	}
	rows = calloc(nr, sizeof(*rows));
	if (!rows)
		die("no memory");
	for (column = 0; column < NR_COLUMNS; column++)
		fill(&rows[0], column, "%s", column_names[column]);
	for (i = 0; i < mrs->nr; i++)
		fill_mr(&rows[i + 1], &mrs->mr[i]);
	fill_total(&rows[nr - 1], mrs);
	for (i = 0; i < nr; i++)
		for (column = 0; column < NR_COLUMNS; column++)
			if (widths[column] < (int)strlen(rows[i].cell[column]))
				widths[column] = strlen(rows[i].cell[column]);
	for (i = 0; i < nr; i++)
		print_row(&rows[i], widths);
	free(rows);
}
