// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "text.h"

bool text_open(struct text *text, const char *path)
{
	text->fd = open(path, O_RDONLY | O_CLOEXEC);
	text->at = 0;
	text->end = 0;
	text->skipping = false;
	text->whole = false;
	return text->fd >= 0;
}

/* More of the file, behind what is left of it. False at its end. */
static bool read_more(struct text *text)
{
	ssize_t n;

	memmove(text->buffer, text->buffer + text->at, text->end - text->at);
	text->end -= text->at;
	text->at = 0;
	if (text->end == sizeof(text->buffer)) {
		text->skipping = true;
		text->end = 0;
	}
	n = read(text->fd, text->buffer + text->end, sizeof(text->buffer) - text->end);
	text->whole = !n && !text->end && !text->skipping;
	if (n <= 0)
		return false;
	text->end += n;
	return true;
}

char *text_line(struct text *text)
{
	char *line, *end;
	bool skip;

	for (;;) {
		line = text->buffer + text->at;
		end = memchr(line, '\n', text->end - text->at);
		if (!end) {
			if (!read_more(text))
				return NULL;
			continue;
		}
		*end = '\0';
		text->at = end + 1 - text->buffer;
		skip = text->skipping;
		text->skipping = false;
		if (!skip)
			return line;
	}
}

bool text_close(struct text *text)
{
	close(text->fd);
	return text->whole;
}

bool text_is_missing(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return errno == ENOENT;
	close(fd);
	return false;
}

bool text_read_line(const char *path, char *line, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return false;
	n = read(fd, line, size);
	close(fd);
	if (n <= 0 || (size_t)n == size || line[n - 1] != '\n')
		return false;
	line[n - 1] = '\0';
	return strlen(line) == (size_t)n - 1 && !strchr(line, '\n');
}

const char *text_after(const char *line, const char *key)
{
	size_t length = strlen(key);

	if (strncmp(line, key, length))
		return NULL;
	return line + length + strspn(line + length, " \t");
}

bool text_number(const char *text, int base, uint64_t *number, const char **end)
{
	char *after;

	/* strtoull() takes a sign, too. */
	if (strchr("+-", *text))
		return false;
	errno = 0;
	*number = strtoull(text, &after, base);
	*end = after;
	return after != text && !errno;
}

const char *text_digits(uint64_t number, char buffer[TEXT_DIGITS])
{
	char *digit = buffer + TEXT_DIGITS - 1;

	*digit = '\0';
	do {
		*--digit = '0' + number % 10;
		number /= 10;
	} while (number);
	return digit;
}

bool text_limit(const char *text, const char *word, uint64_t *limit)
{
	const char *end;

	*limit = UINT64_MAX;
	return !strcmp(text, word) || (text_number(text, 10, limit, &end) && !*end);
}

bool text_join(char *text, size_t size, const char *first, const char *second, const char *third)
{
	const char *const part[] = { first, second, third };
	size_t at = 0, length, i;

	for (i = 0; i < 3; i++) {
		length = strlen(part[i]);
		if (length >= size - at)
			return false;
		memcpy(text + at, part[i], length);
		at += length;
	}
	text[at] = '\0';
	return true;
}
