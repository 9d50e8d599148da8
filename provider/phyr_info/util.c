// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * phyr_info: short files, lists of strings, numbers for people.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "info.h"

/* Print one line, even if a name in it has newlines. */
static void vcomplain(const char *format, va_list args)
{
	char text[1024];

	vsnprintf(text, sizeof(text), format, args);
	make_printable(text);
	/* Output comes before this complaint, even if both go to one file. */
	fflush(stdout);
	fprintf(stderr, PROGRAM ": %s\n", text);
}

void complain(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vcomplain(format, args);
	va_end(args);
}

void die(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vcomplain(format, args);
	va_end(args);
	exit(EXIT_UNKNOWN);
}

/* An array of @nr items, grown by one. */
void *more_room(void *array, size_t nr, size_t size)
{
	array = reallocarray(array, nr + 1, size);
	if (!array)
		die("no memory");
	return array;
}

static bool vread_text(char *text, size_t len, const char *format, va_list args)
{
	char path[PATH_MAX];
	FILE *file;
	size_t got;

	vsnprintf(path, sizeof(path), format, args);
	file = fopen(path, "re");
	if (!file)
		return false;
	got = fread(text, 1, len - 1, file);
	fclose(file);
	if (!got)
		return false;
	if (text[got - 1] == '\n')
		got--;
	text[got] = '\0';
	return true;
}

bool read_text(char *text, size_t len, const char *path, ...)
{
	va_list args;
	bool ok;

	va_start(args, path);
	ok = vread_text(text, len, path, args);
	va_end(args);
	return ok;
}

bool read_number(uint64_t *number, const char *path, ...)
{
	char text[32], *end;
	va_list args;
	bool ok;

	va_start(args, path);
	ok = vread_text(text, sizeof(text), path, args);
	va_end(args);
	if (!ok)
		return false;
	errno = 0;
	*number = strtoull(text, &end, 10);
	return !errno && end != text && !*end;
}

bool exists(const char *path, ...)
{
	char buf[PATH_MAX];
	va_list args;

	va_start(args, path);
	vsnprintf(buf, sizeof(buf), path, args);
	va_end(args);
	return !access(buf, F_OK);
}

void strings_add(struct strings *strings, const char *format, ...)
{
	va_list args;
	char *text;
	int err;

	va_start(args, format);
	err = vasprintf(&text, format, args);
	va_end(args);
	if (err < 0)
		die("no memory");
	make_printable(text);
	for (size_t i = 0; i < strings->nr; i++) {
		if (!strcmp(strings->item[i], text)) {
			free(text);
			return;
		}
	}
	strings->item = more_room(strings->item, strings->nr, sizeof(*strings->item));
	strings->item[strings->nr++] = text;
}

void strings_free(struct strings *strings)
{
	for (size_t i = 0; i < strings->nr; i++)
		free(strings->item[i]);
	free(strings->item);
}

struct text bytes_text(uint64_t bytes)
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
	uint64_t exact = bytes;
	double value = bytes;
	struct text text;
	size_t unit = 0;
	bool whole = true;

	/* Take the next unit if the number would be printed as 1024.0. */
	while (value >= 1023.95 && unit + 1 < sizeof(units) / sizeof(*units)) {
		whole &= !(exact % 1024);
		exact /= 1024;
		value /= 1024;
		unit++;
	}
	if (whole)
		snprintf(text.text, sizeof(text.text), "%ju %s", (uintmax_t)exact, units[unit]);
	else
		snprintf(text.text, sizeof(text.text), "%.1f %s", value, units[unit]);
	return text;
}

void make_printable(char *text)
{
	for (; *text; text++)
		if (*text < ' ' || *text > '~')
			*text = '?';
}
