// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * phyr_info: what all devices of the machine have in common.
 *
 * sysfs says which modules are loaded. An rdma_rxe that holds phyr.ko is ours, since the kernel's
 * own does not need phyr.ko. modprobe's list (modules.dep) says which modules would be loaded; in
 * it, too, ours are those that need phyr.ko. A module is stale if the installed file does not
 * contain its build id, which sysfs has.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "info.h"
#include "memlock.h"

#define THP "/sys/kernel/mm/transparent_hugepage"
#define HUGETLB "/sys/kernel/mm/hugepages"
#define PATCH "/sys/kernel/livepatch/phyr_umem"

/* Modules. */

/* A line of modules.dep: "DIRECTORY/NAME.ko: NEEDED NEEDED ...". */
static bool is_about(const char *line, const char *name)
{
	const char *end = strstr(line, ".ko");
	size_t len = strlen(name);

	return end && end - line > (ptrdiff_t)len && end[-(ptrdiff_t)len - 1] == '/' &&
	       !strncmp(end - len, name, len);
}

/* Get modprobe's file for a module of ours, below @dir; "" if there is none. */
static void find_installed(const char *dir, const char *name, bool needs_phyr, char *file,
			   size_t len)
{
	char path[PATH_MAX], *line = NULL;
	size_t room = 0;
	FILE *list;

	file[0] = '\0';
	snprintf(path, sizeof(path), "%s/modules.dep", dir);
	list = fopen(path, "re");
	if (!list)
		return;
	while (getline(&line, &room, list) > 0)
		if (is_about(line, name) && (!needs_phyr || strstr(line, "/phyr.ko")))
			snprintf(file, len, "%s/%.*s", dir, (int)strcspn(line, ":"), line);
	free(line);
	fclose(list);
}

static bool holds(const char *path, const void *what, size_t len)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	bool found = true; /* a file that we cannot read may hold it */
	struct stat st;
	void *map;

	if (fd < 0)
		return true;
	if (!fstat(fd, &st) && st.st_size) {
		map = mmap(NULL, st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
		if (map != MAP_FAILED) {
			found = memmem(map, st.st_size, what, len);
			munmap(map, st.st_size);
		}
	}
	close(fd);
	return found;
}

/* We cannot look into compressed files. */
static bool is_plain(const char *file)
{
	size_t len = strlen(file);

	return len > 3 && !strcmp(file + len - 3, ".ko");
}

static bool is_stale(const char *name, const char *file)
{
	char path[PATH_MAX], note[256];
	ssize_t got;
	int fd;

	if (!is_plain(file))
		return false;
	snprintf(path, sizeof(path), "/sys/module/%s/notes/.note.gnu.build-id", name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	got = read(fd, note, sizeof(note));
	close(fd);
	return got > 0 && !holds(file, note, got);
}

/* Look for the signature at the very end of the file, as the kernel does. */
static bool is_unsigned(const char *path)
{
	static const char magic[] = "~Module signature appended~\n";
	char end[sizeof(magic) - 1];
	FILE *file;
	bool known;

	if (!is_plain(path))
		return false;
	file = fopen(path, "re");
	if (!file)
		return false;
	known = !fseek(file, -(long)sizeof(end), SEEK_END) && fread(end, sizeof(end), 1, file);
	fclose(file);
	return known && memcmp(end, magic, sizeof(end));
}

static void look_at_module(struct module *module, const char *dir, const char *name,
			   bool needs_phyr)
{
	char file[PATH_MAX];

	find_installed(dir, name, needs_phyr, file, sizeof(file));
	module->loaded = exists("/sys/module/%s", name);
	module->ours = module->loaded &&
		       (!needs_phyr || exists("/sys/module/phyr/holders/%s", name));
	module->installed = file[0];
	module->unknown_to_modprobe = !file[0] && exists("%s/updates/phyr/%s.ko", dir, name);
	module->is_unsigned = is_unsigned(file);
	module->stale = module->ours && file[0] && is_stale(name, file);
}

static void look_at_modules(struct machine *machine)
{
	char dir[128];

	snprintf(dir, sizeof(dir), "/lib/modules/%s", machine->kernel);
	machine->modules_hidden = !exists("%s", dir);
	look_at_module(&machine->phyr, dir, "phyr", false);
	look_at_module(&machine->rdma_rxe, dir, "rdma_rxe", true);
	look_at_module(&machine->phyr_umem, dir, "phyr_umem", true);
}

static enum livepatch look_at_livepatch(const struct module *phyr_umem)
{
	uint64_t enabled, transition;

	if (!read_number(&enabled, PATCH "/enabled") ||
	    !read_number(&transition, PATCH "/transition"))
		return phyr_umem->loaded ? LIVEPATCH_OFF : LIVEPATCH_NONE;
	if (transition)
		return enabled ? LIVEPATCH_ENABLING : LIVEPATCH_DISABLING;
	return enabled ? LIVEPATCH_ENABLED : LIVEPATCH_OFF;
}

const char *livepatch_name(enum livepatch livepatch)
{
	static const char *const names[] = {
		[LIVEPATCH_NONE]	= "none",
		[LIVEPATCH_OFF]		= "off",
		[LIVEPATCH_ENABLING]	= "enabling",
		[LIVEPATCH_ENABLED]	= "enabled",
		[LIVEPATCH_DISABLING]	= "disabling",
	};

	return names[livepatch];
}

/* A module that was not built with the kernel has the taint O. */
static bool has_foreign_core(void)
{
	char taint[32];

	return read_text(taint, sizeof(taint), "/sys/module/ib_core/taint") && strchr(taint, 'O');
}

/* Get the word in brackets of "always [madvise] never"; "" if there is no such file. */
__printf(3, 4)
static void read_choice(char *choice, size_t len, const char *format, ...)
{
	char path[PATH_MAX], line[128];
	const char *word;
	va_list args;

	va_start(args, format);
	vsnprintf(path, sizeof(path), format, args);
	va_end(args);
	choice[0] = '\0';
	if (!read_text(line, sizeof(line), "%s", path))
		return;
	word = strchr(line, '[');
	if (word)
		snprintf(choice, len, "%.*s", (int)strcspn(word + 1, "]"), word + 1);
}

/* Secure Boot by itself asks for no signatures, but many kernels lock themselves down with it. */
static const char *why_signed_only(void)
{
	char text[32];

	if (read_text(text, sizeof(text), "/sys/module/module/parameters/sig_enforce") &&
	    !strcmp(text, "Y"))
		return "module.sig_enforce";
	read_choice(text, sizeof(text), "/sys/kernel/security/lockdown");
	return text[0] && strcmp(text, "none") ? "its lockdown, as with Secure Boot" : NULL;
}

/* Memory. */

/* Newer kernels have a setting for each size; "inherit" stands for the setting for all sizes. */
static void look_at_thp(struct machine *machine)
{
	bool any = false, inherits, largest_inherits = true;
	uintmax_t kib, largest = 0;
	DIR *dir = opendir(THP);
	struct dirent *entry;
	char choice[16];

	read_choice(machine->thp, sizeof(machine->thp), THP "/enabled");
	while (dir && (entry = readdir(dir))) {
		if (sscanf(entry->d_name, "hugepages-%ju", &kib) != 1)
			continue;
		read_choice(choice, sizeof(choice), THP "/%s/enabled", entry->d_name);
		if (!choice[0])
			continue;
		inherits = !strcmp(choice, "inherit");
		any |= strcmp(inherits ? machine->thp : choice, "never");
		if (kib > largest) {
			largest = kib;
			largest_inherits = inherits;
		}
	}
	if (dir)
		closedir(dir);
	machine->thp_possible = largest ? any : machine->thp[0] && strcmp(machine->thp, "never");
	if (largest_inherits)
		snprintf(machine->thp_file, sizeof(machine->thp_file), THP "/enabled");
	else
		snprintf(machine->thp_file, sizeof(machine->thp_file),
			 THP "/hugepages-%jukB/enabled", largest);
}

static int compare_pools(const void *a, const void *b)
{
	const struct pool *x = a, *y = b;

	return (x->size > y->size) - (x->size < y->size);
}

static void look_at_pools(struct machine *machine)
{
	DIR *dir = opendir(HUGETLB);
	struct dirent *entry;
	struct pool pool;
	uintmax_t kib;

	while (dir && (entry = readdir(dir)) && machine->nr_pools < MAX_POOLS) {
		if (sscanf(entry->d_name, "hugepages-%ju", &kib) != 1)
			continue;
		pool = (struct pool){ .size = kib * 1024 };
		read_number(&pool.overcommit, HUGETLB "/%s/nr_overcommit_hugepages",
			    entry->d_name);
		if (read_number(&pool.nr, HUGETLB "/%s/nr_hugepages", entry->d_name) &&
		    read_number(&pool.free, HUGETLB "/%s/free_hugepages", entry->d_name))
			machine->pools[machine->nr_pools++] = pool;
	}
	if (dir)
		closedir(dir);
	qsort(machine->pools, machine->nr_pools, sizeof(*machine->pools), compare_pools);
}

void machine_look(struct machine *machine)
{
	struct utsname uts;

	*machine = (struct machine){ 0 };
	if (!uname(&uts))
		snprintf(machine->kernel, sizeof(machine->kernel), "%s", uts.release);
	look_at_modules(machine);
	machine->signed_only = why_signed_only();
	machine->livepatch = look_at_livepatch(&machine->phyr_umem);
	machine->can_livepatch = exists("/sys/kernel/livepatch");
	machine->foreign_core = has_foreign_core();
	machine->other_user_ns = memlock_in_other_user_ns();
	machine->memlock_limited = memlock_limited(&machine->memlock);
	look_at_thp(machine);
	look_at_pools(machine);
}
