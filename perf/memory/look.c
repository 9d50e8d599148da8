// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * What the kernel says of mapped memory, in files of /proc.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <linux/kernel-page-flags.h>

#include "look.h"

#define ENTRIES 512	/* a page of entries, which is read at a time */

size_t look_page_size(void)
{
	return sysconf(_SC_PAGESIZE);
}

/* Read @nr entries of 64 bits, from the number @first on. 0 or -errno. */
static int read_entries(int fd, uint64_t *entry, size_t nr, uint64_t first)
{
	ssize_t got = pread(fd, entry, nr * sizeof(*entry), first * sizeof(*entry));

	if (got < 0)
		return -errno;
	return got == (ssize_t)(nr * sizeof(*entry)) ? 0 : -EIO;
}

int look_pfns(const void *start, size_t pages, uint64_t *pfn)
{
	const uint64_t present = 1ull << 63, pfn_mask = (1ull << 55) - 1;
	/* Open it anew: a descriptor from before a fork() would show the parent's memory. */
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC), err;

	if (fd < 0)
		return -errno;
	err = read_entries(fd, pfn, pages, (uintptr_t)start / look_page_size());
	close(fd);
	for (size_t i = 0; i < pages && !err; i++)
		pfn[i] = pfn[i] & present ? pfn[i] & pfn_mask : 0;
	return err;
}

int look_flags(const uint64_t *pfn, size_t pages, uint64_t *flags)
{
	int fd = open("/proc/kpageflags", O_RDONLY | O_CLOEXEC), err = 0;
	size_t i, n;

	if (fd < 0)
		return -errno;
	for (i = 0; i < pages && !err; i += n) {
		for (n = 1; i + n < pages && pfn[i + n] == pfn[i] + n; n++)
			;
		err = read_entries(fd, flags + i, n, pfn[i]);
	}
	close(fd);
	return err;
}

int look_runs(const void *start, size_t len, struct runs *runs)
{
	size_t base = look_page_size(), run = 0, n, i;
	const char *page = (const char *)((uintptr_t)start & ~(base - 1));
	size_t left = ((uintptr_t)start % base + len + base - 1) / base;
	uint64_t pfn[ENTRIES], last = 0;
	int err;

	*runs = (struct runs){};
	for (; left; left -= n, page += n * base) {
		n = left < ENTRIES ? left : ENTRIES;
		err = look_pfns(page, n, pfn);
		if (err)
			return err;
		for (i = 0; i < n; i++) {
			if (!pfn[i])
				return -ENODATA;
			if (!run || pfn[i] != last + 1) {
				runs->count++;
				run = 0;
			}
			run += base;
			last = pfn[i];
			if (run > runs->largest)
				runs->largest = run;
		}
	}
	return 0;
}

/*
 * /proc/self/smaps is a series of mappings: a line "start-end perms ...", then lines "Key: value".
 * A key may begin like a hexadecimal number ("Anonymous"), but no key has a "-" behind that.
 */
static bool is_mapping(const char *line, uintptr_t *from, uintptr_t *to)
{
	return sscanf(line, "%" SCNxPTR "-%" SCNxPTR " ", from, to) == 2;
}

long look_smaps_kib(const void *start, size_t len, const char *field)
{
	uintptr_t first = (uintptr_t)start, end = first + len, from = 0, to = 0;
	FILE *file = fopen("/proc/self/smaps", "re");
	size_t n = strlen(field);
	bool inside = false;
	char line[512];
	long kib = 0;

	if (!file)
		return -errno;
	while (fgets(line, sizeof(line), file)) {
		if (is_mapping(line, &from, &to))
			inside = from >= first && to <= end;
		else if (inside && !strncmp(line, field, n) && line[n] == ':')
			kib += strtol(line + n + 1, NULL, 10);
	}
	fclose(file);
	return kib;
}

int look_smaps_flag(const void *start, const char *flag)
{
	FILE *file = fopen("/proc/self/smaps", "re");
	uintptr_t at = (uintptr_t)start, from, to;
	bool inside = false, has = false;
	char line[512], word[8];

	if (!file)
		return -errno;
	snprintf(word, sizeof(word), " %s ", flag);
	while (fgets(line, sizeof(line), file)) {
		if (is_mapping(line, &from, &to))
			inside = at >= from && at < to;
		else if (inside && !strncmp(line, "VmFlags:", 8))
			has = strstr(line, word);
	}
	fclose(file);
	return has;
}

/* True if the page frames from @pfn on are a folio of exactly @pages: a head, and its tails. */
static bool is_folio(int fd, uint64_t pfn, size_t pages)
{
	const uint64_t head = 1ull << KPF_COMPOUND_HEAD, tail = 1ull << KPF_COMPOUND_TAIL;
	uint64_t flags[ENTRIES];

	if (read_entries(fd, flags, pages, pfn) || !(flags[0] & head))
		return false;
	for (size_t i = 1; i < pages; i++)
		if (!(flags[i] & tail))
			return false;
	/* The page behind the folio must not be its tail. At the end of memory there is none. */
	return read_entries(fd, flags, 1, pfn + pages) || !(flags[0] & tail);
}

/* True if the memory at @start is one folio, mapped from its beginning to its end. */
static bool is_mapped_folio(int flags_fd, const char *start, size_t pages)
{
	uint64_t pfn[ENTRIES];

	if (look_pfns(start, pages, pfn) || !pfn[0])
		return false;
	for (size_t i = 1; i < pages; i++)
		if (pfn[i] != pfn[0] + i)
			return false;
	return is_folio(flags_fd, pfn[0], pages);
}

int look_folio_percent(const void *start, size_t len, size_t folio_size)
{
	int fd = open("/proc/kpageflags", O_RDONLY | O_CLOEXEC);
	size_t pages = folio_size / look_page_size(), folios = 0;

	if (fd < 0)
		return -errno;
	if (pages > ENTRIES) {
		close(fd);
		return -EOPNOTSUPP;
	}
	for (size_t at = 0; at < len; at += folio_size)
		folios += is_mapped_folio(fd, (const char *)start + at, pages);
	close(fd);
	return folios * 100 / (len / folio_size);
}
