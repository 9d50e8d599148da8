// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Look at memory: how it is mapped, and what of it is populated.
 *
 * The kernel is asked by ioctls of /proc/self/maps (PROCMAP_QUERY) and /proc/self/pagemap
 * (PAGEMAP_SCAN). These take a look at the range in question only, where the text files that tell
 * the same go over the whole address space, and some of them over all of its page tables. A kernel
 * without them, or a process without /proc, gets nothing prepared.
 *
 * Both files are opened for each look: they belong to the address space in which they were opened,
 * so one that is kept would, in a forked child, tell of its parent.
 *
 * What is seen can change at once, if the program has other threads. Of our range it should not,
 * since it is about to be registered; but prepare.c says why nothing bad comes of it.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "parts.h"

/* Each costs, and memory that is not all there mostly lacks its end, or more than a quarter. */
#define SAMPLES		4

/*
 * The pages are not moved anywhere: without nodes to move them to, move_pages() says where they
 * are. It is one system call, and opens nothing. Containers may forbid it, for moving; then each is
 * asked for by itself.
 */
static bool are_resident(void **at, size_t count, size_t page)
{
	unsigned char resident;
	int node[SAMPLES];
	size_t i;

	if (!syscall(SYS_move_pages, 0, count, at, NULL, node, 0)) {
		for (i = 0; i < count; i++)
			if (node[i] < 0)
				return false;
		return true;
	}
	for (i = 0; i < count; i++)
		if (mincore(at[i], page, &resident) || !(resident & 1))
			return false;
	return true;
}

/* In memory that is all there, which is the common case, this is all that is done. */
bool prepare_is_resident(struct range range)
{
	size_t page = sysconf(_SC_PAGESIZE);
	size_t samples = (range_size(range) + PREPARE_LEAST - 1) / PREPARE_LEAST, i;
	void *at[SAMPLES];

	if (samples > SAMPLES)
		samples = SAMPLES;
	/* At the end of each part, but so that PREPARE_LEAST untouched bytes there are noticed. */
	for (i = 0; i < samples; i++)
		at[i] = (void *)((range.start + range_size(range) / samples * (i + 1) -
				  PREPARE_LEAST / 2) & ~(page - 1));
	return are_resident(at, samples, page);
}

/* --- mappings --- */

static bool query(int maps, uintptr_t addr, struct procmap_query *found)
{
	*found = (struct procmap_query){ .size = sizeof(*found), .query_addr = addr };
	return !ioctl(maps, PROCMAP_QUERY, found);
}

int prepare_open_maps(void)
{
	return open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
}

bool prepare_mapping(int maps, uintptr_t addr, struct range *mapping)
{
	struct procmap_query found;

	if (!query(maps, addr, &found))
		return false;
	*mapping = (struct range){ .start = found.vma_start, .end = found.vma_end };
	return true;
}

/* The first thread's. Those that glibc makes (MAP_STACK) have opted out, says the kernel. */
static bool is_stack(int maps, uintptr_t addr)
{
	char name[sizeof("[stack]")];
	struct procmap_query found = {
		.size = sizeof(found), .query_addr = addr,
		.vma_name_addr = (uintptr_t)name, .vma_name_size = sizeof(name),
	};

	/* An error says that the name is longer. */
	return !ioctl(maps, PROCMAP_QUERY, &found) && found.vma_name_size &&
	       !strcmp(name, "[stack]");
}

static bool is_on(const struct procmap_query *found, dev_t dev)
{
	return found->dev_major == major(dev) && found->dev_minor == minor(dev);
}

/*
 * Shared memory without a file, memfds and System V's are files of a tmpfs that the kernel has
 * mounted for itself; POSIX's are in /dev/shm. Files of other mounts are not asked for their file
 * system: to look at them by name may take as long as a dead server of it does.
 */
static bool is_shared_memory(const struct procmap_query *found)
{
	struct statfs fs;
	struct stat st;
	bool same;
	int fd;

	fd = memfd_create("phyr", MFD_CLOEXEC | MFD_NOEXEC_SEAL);
	if (fd >= 0) {
		same = !fstat(fd, &st) && is_on(found, st.st_dev);
		close(fd);
		if (same)
			return true;
	}
	return !stat("/dev/shm", &st) && is_on(found, st.st_dev) && !statfs("/dev/shm", &fs) &&
	       fs.f_type == TMPFS_MAGIC;
}

enum verdict { PREPARE, LEAVE, REFUSED };

static enum verdict judge(int maps, const struct procmap_query *found, struct part *part)
{
	bool private = !(found->vma_flags & PROCMAP_QUERY_VMA_SHARED);

	if (!(found->vma_flags & PROCMAP_QUERY_VMA_WRITABLE))
		return REFUSED;
	part->page_size = found->vma_page_size;
	part->anonymous = false;
	part->thp_size = 0;
	if (found->vma_page_size > (size_t)sysconf(_SC_PAGESIZE))
		return PREPARE;		/* hugetlb (or a device, with nothing to populate) */
	if (private && !found->inode) {
		part->anonymous = !is_stack(maps, found->vma_start);
		return PREPARE;
	}
	/* A private mapping of a file: what takes long is to read the file. */
	if (private)
		return LEAVE;
	/*
	 * Of files that are on a disk, the kernel refuses to pin pages for writing. Of other ones,
	 * and of devices, we do not know.
	 */
	return is_shared_memory(found) ? PREPARE : REFUSED;
}

static bool find_mappings(int maps, struct range range, struct parts *mappings)
{
	struct procmap_query found;
	unsigned int looks = 0;
	struct part part;
	uintptr_t at;

	for (at = range.start; at < range.end; at = found.vma_end) {
		/* A hole is refused, too. */
		if (++looks > PREPARE_PARTS || !query(maps, at, &found))
			return false;
		part.range.start = at;
		part.range.end = found.vma_end < range.end ? found.vma_end : range.end;
		part.mapping = part.range;
		switch (judge(maps, &found, &part)) {
		case REFUSED:
			return false;
		case LEAVE:
			break;
		case PREPARE:
			mappings->part[mappings->count++] = part;
		}
	}
	return true;
}

bool prepare_find_mappings(struct range range, struct parts *mappings)
{
	int maps = prepare_open_maps();
	bool found;

	mappings->count = 0;
	if (maps < 0)
		return false;
	found = find_mappings(maps, range, mappings);
	close(maps);
	return found;
}

/* --- pages --- */

/* As many ranges of pages as fit, of all those that have the categories, and lack the others. */
struct scan {
	int pagemap;
	struct range range;	/* what is left to scan */
	uint64_t with;
	uint64_t without;
	unsigned int count;
	struct page_region region[128];
};

static bool scan(struct scan *s)
{
	struct pm_scan_arg arg = {
		.size = sizeof(arg), .start = s->range.start, .end = s->range.end,
		.vec = (uintptr_t)s->region, .vec_len = ARRAY_SIZE(s->region),
		.category_mask = s->with | s->without, .category_inverted = s->without,
	};
	int count;

	if (s->range.start >= s->range.end)
		return false;
	count = ioctl(s->pagemap, PAGEMAP_SCAN, &arg);
	if (count <= 0)
		return false;
	s->count = count;
	s->range.start = arg.walk_end;
	return true;
}

static void find_untouched(int pagemap, const struct part *mapping, struct parts *untouched)
{
	/* A page that is swapped out, or a guard page (see MADV_GUARD_INSTALL), is somebody's. */
	struct scan s = {
		.pagemap = pagemap, .range = mapping->range,
		.without = PAGE_IS_PRESENT | PAGE_IS_SWAPPED,
	};
	struct part part = *mapping;
	unsigned int i;

	while (scan(&s)) {
		for (i = 0; i < s.count; i++) {
			part.range.start = s.region[i].start;
			part.range.end = s.region[i].end;
			if (range_size(part.range) < PREPARE_LEAST)
				continue;
			if (untouched->count == PREPARE_PARTS)
				return;
			untouched->part[untouched->count++] = part;
		}
	}
}

void prepare_find_untouched(const struct parts *mappings, struct parts *untouched)
{
	int pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	unsigned int i;

	untouched->count = 0;
	if (pagemap < 0)
		return;
	for (i = 0; i < mappings->count; i++)
		find_untouched(pagemap, &mappings->part[i], untouched);
	close(pagemap);
}

size_t prepare_count_base(struct range range)
{
	struct scan s = {
		.pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC), .range = range,
		.with = PAGE_IS_PRESENT, .without = PAGE_IS_HUGE,
	};
	size_t bytes = 0;
	unsigned int i;

	if (s.pagemap < 0)
		return 0;
	while (scan(&s))
		for (i = 0; i < s.count; i++)
			bytes += s.region[i].end - s.region[i].start;
	close(s.pagemap);
	return bytes;
}

bool prepare_read_line(const char *path, char *line, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return false;
	n = read(fd, line, size - 1);
	close(fd);
	if (n <= 0)
		return false;
	line[n] = '\0';
	line[strcspn(line, "\n")] = '\0';
	return strlen(line) + 1 < size;
}
