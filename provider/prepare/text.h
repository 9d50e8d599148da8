/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * Read files of /proc and /sys, by open(), read() and close() alone.
 *
 * stdio would take memory from malloc(), which may call hooks of the program's (syscall.h).
 */
#ifndef PHYR_PREPARE_TEXT_H
#define PHYR_PREPARE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { TEXT_SIZE = 4096 };

/* A file that is read line by line. */
struct text {
	int fd;
	size_t at, end;		/* read and not yet returned */
	bool skipping;		/* in a line that is too long */
	bool whole;		/* we have read all of the file, and its last line has an end */
	char buffer[TEXT_SIZE];
};

/* False if the file cannot be opened. */
bool text_open(struct text *text, const char *path);
/* The next line, without its end; NULL if there is none. This skips lines that do not fit. */
char *text_line(struct text *text);
/* True if we have read the whole file. */
bool text_close(struct text *text);

/* There is no such file, for sure. */
bool text_is_missing(const char *path);
/* A file of one line. False if it is anything else, or does not fit. */
bool text_read_line(const char *path, char *line, size_t size);

/* The text behind the key, and behind blanks, if the line begins with the key; else NULL. */
const char *text_after(const char *line, const char *key);
/* A number at the beginning of a text, in that base, and where it ends; false if there is none. */
bool text_number(const char *text, int base, uint64_t *number, const char **end);
/* The digits of a number, which are somewhere in the buffer. */
enum { TEXT_DIGITS = 24 };
const char *text_digits(uint64_t number, char buffer[TEXT_DIGITS]);
/* The whole text is a number, or this word, which stands for the largest number. */
bool text_limit(const char *text, const char *word, uint64_t *limit);

/* One text behind the other. False if there is no room for all. */
bool text_join(char *text, size_t size, const char *first, const char *second, const char *third);

#endif
