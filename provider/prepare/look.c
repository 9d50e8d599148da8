// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Look at memory: how it is mapped, and what of it is populated.
 *
 * We ask the kernel by ioctls of /proc/self/maps (PROCMAP_QUERY) and /proc/self/pagemap
 * (PAGEMAP_SCAN). These look at the range in question only. The text files with the same content
 * go over the whole address space, and some of them over all of its page tables. Without these
 * ioctls, or without /proc, we prepare nothing.
 *
 * We open both files for each look. A file that we kept would show a forked child the address
 * space of its parent.
 *
 * Other threads may change at once what we have seen. prepare.c says why that does no harm.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "parts.h"

/* Each has its cost. Memory that is populated in part mostly lacks its end, or over a quarter. */
#define SAMPLES		4

/*
 * Ranges that we found populated, each at a place that follows from its address. A look costs as
 * much as the registration of 4 MiB of huge pages, and most programs register the same memory over
 * and over. So after a look we take a range to be populated some times more. Fresh memory that has
 * taken its place meanwhile is then registered as it is, which is slow and does no harm. It does no
 * harm either if two threads mix up an entry.
 */
static struct {
	_Atomic uintptr_t start, end;
	_Atomic unsigned int trust;	/* registrations that we do not look at */
} remembered[8];
#define TRUST	7

static unsigned int place_of(struct range range)
{
	return range.start / PREPARE_LEAST % ARRAY_SIZE(remembered);
}

static bool is_remembered(struct range range)
{
	unsigned int i = place_of(range);
	unsigned int trust = atomic_load(&remembered[i].trust);

	if (!trust || atomic_load(&remembered[i].start) != range.start ||
	    atomic_load(&remembered[i].end) != range.end)
		return false;
	atomic_store(&remembered[i].trust, trust - 1);
	return true;
}

void prepare_remember(struct range range, bool resident)
{
	unsigned int i = place_of(range);

	atomic_store(&remembered[i].trust, 0);
	atomic_store(&remembered[i].start, range.start);
	atomic_store(&remembered[i].end, range.end);
	atomic_store(&remembered[i].trust, resident ? TRUST : 0);
}

/* True if we cannot look, too. (pread() would do, but malloc() does not call it.) */
static bool is_present(int pagemap, uintptr_t page, size_t size)
{
	struct page_region region;
	struct pm_scan_arg arg = {
		.size = sizeof(arg), .start = page, .end = page + size,
		.vec = (uintptr_t)&region, .vec_len = 1, .category_mask = PAGE_IS_PRESENT,
	};

	return ioctl(pagemap, PAGEMAP_SCAN, &arg);
}

/* True if we cannot look. */
static bool look_at_samples(struct range range)
{
	size_t page = sysconf(_SC_PAGESIZE);
	size_t samples = (range_size(range) + PREPARE_LEAST - 1) / PREPARE_LEAST, i;
	int pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	bool present = true;
	uintptr_t at;

	if (pagemap < 0)
		return true;
	if (samples > SAMPLES)
		samples = SAMPLES;
	/* Near the end of each part, so that we notice PREPARE_LEAST untouched bytes there. */
	for (i = 0; i < samples && present; i++) {
		at = range.start + range_size(range) / samples * (i + 1) - PREPARE_LEAST / 2;
		present = is_present(pagemap, at & ~(page - 1), page);
	}
	close(pagemap);
	return present;
}

/*
 * For populated memory, which is the common case, this is all that we do. move_pages() and
 * mincore() would do it in a single system call each. But seccomp filters deny them, and some kill
 * for them. To find out that there is no filter costs no less than this.
 */
bool prepare_is_resident(struct range range)
{
	bool resident;

	if (is_remembered(range))
		return true;
	resident = look_at_samples(range);
	prepare_remember(range, resident);
	return resident;
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

/* The first thread's. Those that glibc makes (MAP_STACK) have opted out, as the kernel sees it. */
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

/* --- shared memory --- */

struct device {
	unsigned int major, minor;
};

static bool is_on(const struct procmap_query *found, struct device device)
{
	return found->dev_major == device.major && found->dev_minor == device.minor;
}

/* The tmpfs that the kernel has mounted for itself. A mapping of ours shows which one it is. */
static bool find_own_tmpfs(int maps, struct device *device)
{
	size_t page = sysconf(_SC_PAGESIZE);
	void *map = raw_mmap(page, MAP_SHARED);
	struct procmap_query found;
	bool good;

	if (!map)
		return false;
	good = query(maps, (uintptr_t)map, &found) && found.inode;
	raw_munmap(map, page);
	*device = (struct device){ found.dev_major, found.dev_minor };
	return good;
}

/* The rest of a line behind so many blanks. */
static const char *skip_words(const char *line, unsigned int count)
{
	while (count-- && line) {
		line = strchr(line, ' ');
		line = line ? line + 1 : NULL;
	}
	return line;
}

/*
 * The tmpfs at /dev/shm, by a line such as "29 22 0:25 / /dev/shm rw,nosuid - tmpfs none rw". If
 * there are several, the last one counts.
 */
static bool find_dev_shm(struct text *text, struct device *device)
{
	const char *place, *type, *end;
	uint64_t major, minor;
	bool found = false;
	char *line;

	if (!text_open(text, "/proc/thread-self/mountinfo"))
		return false;
	while ((line = text_line(text))) {
		place = skip_words(line, 4);
		if (!place || !text_after(place, "/dev/shm "))
			continue;
		type = strstr(place, " - ");
		found = type && text_after(type, " - tmpfs ") &&
			text_number(skip_words(line, 2), 10, &major, &end) && *end == ':' &&
			text_number(end + 1, 10, &minor, &end) && *end == ' ';
		if (found)
			*device = (struct device){ major, minor };
	}
	return text_close(text) && found;
}

/*
 * Shared memory without a file, memfds and System V's are files of a tmpfs that the kernel has
 * mounted for itself. POSIX's are in /dev/shm. We do not ask files of other mounts for their file
 * system: a look by name may wait for a server that is dead.
 */
static bool is_shared_memory(int maps, struct text *text, const struct procmap_query *found)
{
	struct device device;

	if (find_own_tmpfs(maps, &device) && is_on(found, device))
		return true;
	return find_dev_shm(text, &device) && is_on(found, device);
}

/* --- all mappings --- */

enum verdict { PREPARE, LEAVE, REFUSED };

static enum verdict judge(int maps, struct text *text, const struct procmap_query *found,
			  struct part *part)
{
	bool private = !(found->vma_flags & PROCMAP_QUERY_VMA_SHARED);

	if (!(found->vma_flags & PROCMAP_QUERY_VMA_WRITABLE))
		return REFUSED;
	part->page_size = found->vma_page_size;
	if (found->vma_page_size > (size_t)sysconf(_SC_PAGESIZE))
		return PREPARE;		/* hugetlb (or a device, with nothing to populate) */
	if (private && !found->inode) {
		part->anonymous = !is_stack(maps, found->vma_start);
		return PREPARE;
	}
	/* A private mapping of a file: to read the file takes most of the time. */
	if (private)
		return LEAVE;
	/*
	 * The kernel refuses to pin pages of files on a disk for writing. We do not know about
	 * other files, and devices.
	 */
	return is_shared_memory(maps, text, found) ? PREPARE : REFUSED;
}

static bool find_mappings(int maps, struct room *room, struct range range)
{
	struct parts *mappings = &room->mappings;
	struct procmap_query found;
	unsigned int looks = 0;
	struct part part;
	uintptr_t at;

	for (at = range.start; at < range.end; at = found.vma_end) {
		/* A hole is refused, too. */
		if (++looks > PREPARE_PARTS || !query(maps, at, &found))
			return false;
		part = (struct part){ .range.start = at };
		part.range.end = found.vma_end < range.end ? found.vma_end : range.end;
		part.mapping = part.range;
		switch (judge(maps, &room->text, &found, &part)) {
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

bool prepare_find_mappings(struct room *room, struct range range)
{
	int maps = prepare_open_maps();
	bool found;

	room->mappings.count = 0;
	if (maps < 0)
		return false;
	found = find_mappings(maps, room, range);
	close(maps);
	return found;
}

/* --- pages --- */

/* The headers may be older than the kernel. */
#ifndef PAGE_IS_GUARD
#define PAGE_IS_GUARD (1 << 8)
#endif

/* Ranges of pages that have some categories and lack others, as many at a time as fit. */
struct scan {
	int pagemap;
	struct range range;	/* what is left to scan */
	uint64_t with;
	uint64_t without;
};

/* Returns how many ranges it has found. */
static unsigned int scan(struct room *room, struct scan *s)
{
	struct pm_scan_arg arg = {
		.size = sizeof(arg), .start = s->range.start, .end = s->range.end,
		.vec = (uintptr_t)room->region, .vec_len = ARRAY_SIZE(room->region),
		.category_mask = s->with | s->without, .category_inverted = s->without,
	};
	int count;

	if (s->range.start >= s->range.end)
		return 0;
	count = ioctl(s->pagemap, PAGEMAP_SCAN, &arg);
	s->range.start = arg.walk_end;
	return count > 0 ? count : 0;
}

static void find_untouched(struct room *room, int pagemap, const struct part *mapping)
{
	/* A page that is swapped out is somebody's. A guard page counts as such. */
	struct scan s = {
		.pagemap = pagemap, .range = mapping->range,
		.without = PAGE_IS_PRESENT | PAGE_IS_SWAPPED,
	};
	struct parts *untouched = &room->untouched;
	struct part part = *mapping;
	unsigned int count, i;

	while ((count = scan(room, &s))) {
		for (i = 0; i < count; i++) {
			part.range.start = room->region[i].start;
			part.range.end = room->region[i].end;
			if (range_size(part.range) < PREPARE_LEAST)
				continue;
			if (untouched->count == PREPARE_PARTS)
				return;
			untouched->part[untouched->count++] = part;
		}
	}
}

/* Kernels that do not know this category refuse to look for it: then nothing is found. */
static bool has_guard_page(struct room *room, int pagemap, struct range range)
{
	struct scan s = { .pagemap = pagemap, .range = range, .with = PAGE_IS_GUARD };

	return scan(room, &s);
}

bool prepare_find_untouched(struct room *room)
{
	int pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	bool good = true;
	unsigned int i;

	room->untouched.count = 0;
	if (pagemap < 0)
		return true;
	for (i = 0; i < room->mappings.count; i++)
		find_untouched(room, pagemap, &room->mappings.part[i]);
	for (i = 0; i < room->mappings.count && good && room->untouched.count; i++)
		good = !has_guard_page(room, pagemap, room->mappings.part[i].range);
	close(pagemap);
	return good;
}

static size_t count_bytes(struct room *room, struct range range, uint64_t with, uint64_t without)
{
	struct scan s = {
		.pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC), .range = range,
		.with = with, .without = without,
	};
	unsigned int count, i;
	size_t bytes = 0;

	if (s.pagemap < 0)
		return 0;
	while ((count = scan(room, &s)))
		for (i = 0; i < count; i++)
			bytes += room->region[i].end - room->region[i].start;
	close(s.pagemap);
	return bytes;
}

size_t prepare_count_base(struct room *room, struct range range)
{
	return count_bytes(room, range, PAGE_IS_PRESENT, PAGE_IS_HUGE);
}

size_t prepare_count_huge(struct room *room, struct range range)
{
	return count_bytes(room, range, PAGE_IS_PRESENT | PAGE_IS_HUGE, 0);
}
