// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Changes the settings for transparent huge pages for a moment; setting.h says why.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "setting.h"

#define SIZE_FILE THP_DIR "/hugepages-%zukB/%s"
#define SMALLEST ((size_t)8 << 10)

int read_number(const char *path, size_t *value)
{
	FILE *file = fopen(path, "re");
	int err = 0;

	if (!file)
		return -errno;
	if (fscanf(file, "%zu", value) != 1)
		err = -EIO;
	fclose(file);
	return err;
}

int check_thp_size(size_t page_size, const char *file, const struct reason *why)
{
	char path[128];

	snprintf(path, sizeof(path), SIZE_FILE, page_size / 1024, file);
	if (access(path, F_OK))
		return refuse(why, -EOPNOTSUPP,
			      "this kernel has no transparent huge pages of %zu KiB (%s is missing)",
			      page_size / 1024, path);
	return 0;
}

/* Such a file reads "always inherit [madvise] never"; the setting is in brackets. */
static int read_setting(const char *path, char was[16])
{
	FILE *file = fopen(path, "re");
	int err = -ENOENT;
	char word[16];

	if (!file)
		return -errno;
	while (err && fscanf(file, "%15s", word) == 1)
		if (sscanf(word, "[%15[a-z_]", was) == 1)
			err = 0;
	fclose(file);
	return err;
}

static int write_setting(const char *path, const char *value)
{
	FILE *file = fopen(path, "we");
	int err = 0;

	if (!file)
		return -errno;
	fputs(value, file);
	if (fclose(file))
		err = -errno;
	return err;
}

void restore_thp(const struct thp_settings *settings)
{
	for (size_t i = settings->nr; i--;)
		if (write_setting(settings->size[i].path, settings->size[i].was))
			fprintf(stderr, "cannot restore %s; it was %s\n", settings->size[i].path,
				settings->size[i].was);
}

int enable_thp_only(struct thp_settings *settings, size_t page_size, const char *file,
		    const char *value, const struct reason *why)
{
	size_t size;
	int err;

	settings->nr = 0;
	for (size = SMALLEST; size && settings->nr < MAX_THP_SIZES; size *= 2) {
		char *path = settings->size[settings->nr].path;

		snprintf(path, sizeof(settings->size[0].path), SIZE_FILE, size / 1024, file);
		if (access(path, F_OK))
			continue;
		err = read_setting(path, settings->size[settings->nr].was);
		if (!err)
			err = write_setting(path, size == page_size ? value : "never");
		if (err) {
			restore_thp(settings);
			return refuse(why, err,
				      "cannot set which transparent huge pages there are, in %s: %s; run as root",
				      path, strerror(-err));
		}
		settings->nr++;
	}
	return 0;
}
