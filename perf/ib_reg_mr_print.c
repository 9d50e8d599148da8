// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * The results of ib_reg_mr: a table in perftest's manner, which grows with each row, and JSON.
 *
 * A value that is not known is "-" in the table and null in JSON, never 0.
 */
#define _GNU_SOURCE
#include <stdarg.h>
#include <string.h>

#include "ib_reg_mr.h"

enum {
	BYTES, BACKING, ITERATIONS,
	REG_MIN, REG_MEDIAN, REG_P99,
	DEREG_MIN, DEREG_MEDIAN, DEREG_P99,
	ENTRIES, METADATA, PINNED,
	NR_COLUMNS
};

/* Each column is wide enough for its longest value: 1 TiB in bytes, minutes in usec. */
static const struct column {
	const char *name;
	int width;
} columns[NR_COLUMNS] = {
	[BYTES]		= { "#bytes", 14 },
	[BACKING]	= { "backing", 18 },
	[ITERATIONS]	= { "#iterations", 12 },
	[REG_MIN]	= { "reg_min", 13 },
	[REG_MEDIAN]	= { "reg_median", 13 },
	[REG_P99]	= { "reg_p99", 13 },
	[DEREG_MIN]	= { "dereg_min", 13 },
	[DEREG_MEDIAN]	= { "dereg_median", 13 },
	[DEREG_P99]	= { "dereg_p99", 13 },
	[ENTRIES]	= { "entries", 11 },
	[METADATA]	= { "metadata", 12 },
	[PINNED]	= { "pinned", 11 },
};

struct cell {
	char text[32];
};

bool result_entries(const struct result *r, uint64_t *entries)
{
	enum mr_fact fact = MR_PHYRS;

	/* A device that uses the kernel's own addresses has no DMA entries. */
	if (r->facts.known[MR_DMA_ENTRIES] && r->facts.value[MR_DMA_ENTRIES])
		fact = MR_DMA_ENTRIES;
	*entries = r->facts.value[fact];
	return r->facts.known[fact];
}

/* Table */

static void print_rule(FILE *out)
{
	int width = 0;

	for (size_t i = 0; i < NR_COLUMNS; i++)
		width += columns[i].width;
	while (width--)
		fputc('-', out);
	fputc('\n', out);
}

static void print_cells(FILE *out, const struct cell *cells)
{
	for (size_t i = 0; i < NR_COLUMNS; i++)
		fprintf(out, "%*s", columns[i].width, cells[i].text);
	fputc('\n', out);
	fflush(out);
}

static const char *memory_state(const struct options *opts)
{
	if (opts->untouched)
		return opts->aliased ? "aliased, untouched" : "untouched";
	if (opts->aliased)
		return "aliased, touched before";
	return opts->shuffled ? "touched before, in random order" : "touched before";
}

void print_table_header(FILE *out, const struct run_info *info)
{
	print_rule(out);
	fprintf(out, "%*s\n", 91, "Memory Registration Test");
	fprintf(out, " Device  : %-32s Access : %s\n", info->device,
		info->opts->read_only ? "ro" : "rw");
	fprintf(out, " Driver  : %-32s Offset : %zu\n", info->driver[0] ? info->driver : "-",
		info->opts->offset);
	fprintf(out, " Kernel  : %-32s Memory : %s\n", info->kernel, memory_state(info->opts));
	fprintf(out, " Times in usec, metadata in bytes, pinned in pages\n");
	print_rule(out);
	for (size_t i = 0; i < NR_COLUMNS; i++)
		fprintf(out, "%*s", columns[i].width, columns[i].name);
	fputc('\n', out);
	fflush(out);
}

void print_table_end(FILE *out)
{
	print_rule(out);
	fflush(out);
}

__printf(2, 3)
static void fill(struct cell *cell, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(cell->text, sizeof(cell->text), format, args);
	va_end(args);
}

static void fill_timing(struct cell *cells, const struct timing *t)
{
	fill(&cells[0], "%.2f", t->min);
	fill(&cells[1], "%.2f", t->median);
	fill(&cells[2], "%.2f", t->p99);
}

static void fill_number(struct cell *cell, bool known, uint64_t value)
{
	if (known)
		fill(cell, "%ju", (uintmax_t)value);
}

/* The name of the error replaces the median of the call that failed. */
static void fill_error(struct cell *cells, const struct result *r)
{
	const char *name = strerrorname_np(r->error);

	if (r->failed == STAGE_MEMORY)
		name = "no memory";
	fill(&cells[r->failed == STAGE_RELEASE ? DEREG_MEDIAN : REG_MEDIAN], "%s",
	     name ? name : "error");
}

void print_table_row(FILE *out, const struct result *r)
{
	const struct mr_facts *facts = &r->facts;
	struct cell cells[NR_COLUMNS];
	uint64_t entries;
	bool known;

	for (size_t i = 0; i < NR_COLUMNS; i++)
		fill(&cells[i], "-");
	fill(&cells[BYTES], "%zu", r->bytes);
	fill(&cells[BACKING], "%s", backing_name(r->backing));
	if (r->failed) {
		fill_error(cells, r);
	} else {
		fill(&cells[ITERATIONS], "%zu", r->iterations);
		fill_timing(&cells[REG_MIN], &r->reg);
		fill_timing(&cells[DEREG_MIN], &r->dereg);
		known = result_entries(r, &entries);
		fill_number(&cells[ENTRIES], known, entries);
		fill_number(&cells[METADATA], facts->known[MR_METADATA], facts->value[MR_METADATA]);
		fill_number(&cells[PINNED], facts->known[MR_PINNED_PAGES],
			    facts->value[MR_PINNED_PAGES]);
	}
	print_cells(out, cells);
}

/* JSON */

static void print_string(FILE *out, const char *text)
{
	fputc('"', out);
	for (; *text; text++) {
		if ((unsigned char)*text < ' ')
			fprintf(out, "\\u%04x", *text);
		else if (*text == '"' || *text == '\\')
			fprintf(out, "\\%c", *text);
		else
			fputc(*text, out);
	}
	fputc('"', out);
}

static void print_string_or_null(FILE *out, const char *text)
{
	if (text && *text)
		print_string(out, text);
	else
		fputs("null", out);
}

static void print_timing(FILE *out, const char *name, const struct result *r,
			 const struct timing *t)
{
	fprintf(out, "      \"%s\": ", name);
	if (r->failed)
		fputs("null,\n", out);
	else
		fprintf(out,
			"{ \"min\": %.3f, \"median\": %.3f, \"p99\": %.3f, \"max\": %.3f },\n",
			t->min, t->median, t->p99, t->max);
}

static void print_number(FILE *out, const char *name, bool known, uint64_t value)
{
	fprintf(out, "      \"%s\": ", name);
	if (known)
		fprintf(out, "%ju,\n", (uintmax_t)value);
	else
		fputs("null,\n", out);
}

static void print_error(FILE *out, const struct result *r)
{
	fputs("      \"failed\": ", out);
	print_string_or_null(out, stage_name(r->failed));
	fputs(",\n      \"error\": ", out);
	print_string_or_null(out, r->failed ? strerrorname_np(r->error) : NULL);
	fputs(",\n      \"reason\": ", out);
	print_string_or_null(out, r->failed ? r->why : NULL);
	fputc('\n', out);
}

static void print_json_result(FILE *out, const struct result *r)
{
	uint64_t entries;
	bool known;

	fputs("    {\n", out);
	print_number(out, "bytes", true, r->bytes);
	fprintf(out, "      \"backing\": \"%s\",\n", backing_name(r->backing));
	print_number(out, "iterations", true, r->iterations);
	print_timing(out, "reg_usec", r, &r->reg);
	print_timing(out, "dereg_usec", r, &r->dereg);
	print_number(out, "waits", !r->failed, r->waits);
	known = result_entries(r, &entries);
	print_number(out, "entries", known, entries);
	for (int i = 0; i < MR_NR_FACTS; i++)
		print_number(out, mr_fact_name(i), r->facts.known[i], r->facts.value[i]);
	print_error(out, r);
	fputs("    }", out);
}

static const char *json_bool(bool value)
{
	return value ? "true" : "false";
}

void print_json(FILE *out, const struct run_info *info, const struct result *results, size_t nr,
		bool interrupted)
{
	const struct options *opts = info->opts;

	fprintf(out, "{\n  \"program\": \"%s\",\n  \"version\": ", PROGRAM);
	print_string(out, PHYR_VERSION);
	fputs(",\n  \"kernel\": ", out);
	print_string(out, info->kernel);
	fputs(",\n  \"device\": ", out);
	print_string(out, info->device);
	fputs(",\n  \"driver\": ", out);
	print_string_or_null(out, info->driver);
	fprintf(out, ",\n  \"access\": \"%s\",\n  \"offset\": %zu,\n",
		opts->read_only ? "ro" : "rw", opts->offset);
	fprintf(out, "  \"aliased\": %s,\n  \"untouched\": %s,\n  \"shuffled\": %s,\n",
		json_bool(opts->aliased), json_bool(opts->untouched), json_bool(opts->shuffled));
	fprintf(out, "  \"interrupted\": %s,\n  \"results\": [", json_bool(interrupted));
	for (size_t i = 0; i < nr; i++) {
		fputs(i ? ",\n" : "\n", out);
		print_json_result(out, &results[i]);
	}
	fputs(nr ? "\n  ]\n}\n" : "]\n}\n", out);
}
