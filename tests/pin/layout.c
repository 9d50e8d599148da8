// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Memory made of pieces; see layout.h for the story.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/kernel-page-flags.h>

#include "layout.h"
#include "memory.h"
#include "pattern.h"
#include "test.h"

#define STAMP 64
#define MAX_ORDER 9	/* of all folios but hugetlb pages of 1 GiB */

static uint16_t next_seed(void)
{
	static uint16_t seed;

	return ++seed ?: ++seed;
}

static struct content *content_of(struct page *page)
{
	return page->object && !page->owned ? &page->object->content[page->index] : &page->own;
}

int layout_open(struct layout *l, size_t len)
{
	*l = (struct layout){ .len = len, .size = len, .unit = SZ_4K };
	l->addr = map_reserve(len, SZ_2M, &l->map, &l->map_len);
	l->page = calloc(len / SZ_4K, sizeof(*l->page));
	if (!l->page)
		die("out of memory");
	return PASSED;
}

void layout_close(struct layout *l)
{
	int i;

	munmap(l->map, l->map_len);
	for (i = 0; i < l->objects; i++) {
		struct object *o = l->object[i];

		if (o->fd >= 0)
			close(o->fd);
		munmap(o->content, o->pages * sizeof(*o->content));
		free(o);
	}
	free(l->page);
}

struct object *object_new(int fd, size_t len)
{
	struct object *o = calloc(1, sizeof(*o));

	if (!o)
		die("out of memory");
	o->fd = fd;
	o->pages = len / SZ_4K;
	o->content = mmap(NULL, o->pages * sizeof(*o->content), PROT_READ | PROT_WRITE,
			  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (o->content == MAP_FAILED)
		die("out of memory");
	return o;
}

static struct object *new_object(struct layout *l, int fd, size_t len)
{
	if (l->objects == MAX_OBJECTS)
		die("no room for another object");
	return l->object[l->objects++] = object_new(fd, len);
}

/* Writes through a mapping, as the size of a memfd's folios depends on how it is mapped. */
static void write_memfd(struct object *o)
{
	size_t len = o->pages * SZ_4K, map_len, i;
	void *map;
	char *data = map_reserve(len, SZ_2M, &map, &map_len);

	if (map_fixed(data, len, PROT_READ | PROT_WRITE, MAP_SHARED, o->fd, 0))
		die("cannot map a memfd");
	for (i = 0; i < o->pages; i++) {
		o->content[i] = (struct content){ .where = i * SZ_4K, .seed = next_seed() };
		stamp(data + i * SZ_4K, o->content[i], 0, SZ_4K);
	}
	munmap(map, map_len);
}

/* Makes large writes, as file systems choose the size of folios by the size of the write. */
static void write_file(struct object *o)
{
	size_t len = o->pages * SZ_4K, i, done = 0;
	char *data = calloc(1, len);
	ssize_t n;

	if (!data)
		die("out of memory");
	for (i = 0; i < o->pages; i++) {
		o->content[i] = (struct content){ .where = i * SZ_4K, .seed = next_seed() };
		stamp(data + i * SZ_4K, o->content[i], 0, SZ_4K);
	}
	while (done < len) {
		n = pwrite(o->fd, data + done, len - done, done);
		if (n <= 0)
			die("cannot write a file: %m");
		done += n;
	}
	free(data);
}

struct object *layout_memfd(struct layout *l, size_t len, bool written)
{
	struct object *o;
	int fd = memfd_create("phyr-test", MFD_CLOEXEC);

	if (fd < 0 || ftruncate(fd, len))
		die("memfd: %m");
	o = new_object(l, fd, len);
	if (written)
		write_memfd(o);
	return o;
}

struct object *layout_hugetlb(struct layout *l, size_t page_size, size_t len)
{
	int fd = hugetlb_memfd(page_size, len);

	if (fd < 0)
		die("there is no hugetlb memory");
	return new_object(l, fd, len);
}

/* /var/tmp is on disk (/tmp is not), so that a file system has the file's pages. */
struct object *layout_file(struct layout *l, size_t len)
{
	struct object *o;
	int fd = open("/var/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	if (fd < 0)
		die("cannot make a file in /var/tmp: %m");
	o = new_object(l, fd, len);
	write_file(o);
	return o;
}

struct object *layout_anon_object(struct layout *l, size_t len)
{
	return new_object(l, -1, len);
}

static struct page *page_at(const struct layout *l, size_t off)
{
	return &l->page[off / SZ_4K];
}

int layout_map_anon(struct layout *l, size_t off, size_t len)
{
	size_t at;

	for (at = off; at < off + len; at += SZ_4K)
		*page_at(l, at) = (struct page){ .mapped = true, .writable = true };
	return map_fixed(l->addr + off, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			 -1, 0);
}

int layout_adopt(struct layout *l, size_t off, size_t len, struct object *o, size_t index)
{
	size_t at;

	for (at = 0; at < len; at += SZ_4K)
		*page_at(l, off + at) = (struct page){
			.object = o, .index = index + at / SZ_4K, .mapped = true,
			.writable = true, .shared = true,
		};
	return PASSED;
}

int layout_map(struct layout *l, size_t off, size_t len, struct object *o, size_t index,
	       bool shared, int prot)
{
	int flags = (shared ? MAP_SHARED : MAP_PRIVATE) | (o->fd < 0 ? MAP_ANONYMOUS : 0);
	size_t at;

	layout_adopt(l, off, len, o, index);
	for (at = off; at < off + len; at += SZ_4K) {
		page_at(l, at)->shared = shared;
		page_at(l, at)->writable = prot & PROT_WRITE;
	}
	return map_fixed(l->addr + off, len, prot, flags, o->fd, index * SZ_4K);
}

static bool clip(size_t *begin, size_t *end, size_t from, size_t to)
{
	if (*begin < from)
		*begin = from;
	if (*end > to)
		*end = to;
	return *begin < *end;
}

void stamp(char *data, struct content content, size_t from, size_t to)
{
	size_t at, begin, end;

	for (at = 0; at < SZ_4K; at += SZ_4K - STAMP) {
		begin = at;
		end = at + STAMP;
		if (clip(&begin, &end, from, to))
			pattern_fill(data + begin - from, content.seed, content.where + begin,
				     end - begin);
	}
}

/* Compare a page's bytes [from, to); the first is at data. */
static int compare_page(const char *what, struct content content, const char *data, size_t from,
			size_t to)
{
	size_t at, begin, end;
	int err = PASSED;

	for (at = 0; at < SZ_4K && !err; at += SZ_4K - STAMP) {
		begin = at;
		end = at + STAMP;
		if (!clip(&begin, &end, from, to))
			continue;
		if (content.seed)
			err = pattern_check(what, data + begin - from, content.seed,
					    content.where + begin, end - begin);
		else
			err = zero_check(what, data + begin - from, end - begin);
	}
	return err;
}

int layout_compare(const struct layout *l, const char *what, size_t off, size_t len,
		   const char *data)
{
	size_t end = off + len, at, from, to;

	for (at = off & ~(SZ_4K - 1); at < end; at += SZ_4K) {
		struct page *page = page_at(l, at);

		if (!page->mapped)
			continue;
		from = at < off ? off - at : 0;
		to = end - at < SZ_4K ? end - at : SZ_4K;
		if (compare_page(what, *content_of(page), data + at + from - off, from, to))
			return fail("in the page at %zu KiB", at / KIB);
	}
	return PASSED;
}

int layout_verify(const struct layout *l, const char *what)
{
	return layout_compare(l, what, 0, l->len, l->addr);
}

int layout_write(struct layout *l, size_t off, size_t len)
{
	uint16_t seed = next_seed();
	size_t at;

	for (at = off; at < off + len; at += SZ_4K) {
		struct page *page = page_at(l, at);
		struct content content = { .where = at, .seed = seed };

		if (!page->mapped || !page->writable)
			continue;
		page->owned = !page->shared;
		*content_of(page) = content;
		stamp(l->addr + at, content, 0, SZ_4K);
	}
	return PASSED;
}

void layout_read(const struct layout *l, size_t off, size_t len)
{
	size_t at;

	/* The asm keeps the compiler from dropping the read. */
	for (at = off; at < off + len; at += SZ_4K)
		if (page_at(l, at)->mapped)
			asm volatile("" : : "r" (l->addr[at]));
}

/* Changing one page's permission splits the PMD, and leaves the folio whole. */
int layout_split_pmds(struct layout *l, size_t off, size_t len)
{
	size_t at;

	for (at = off; at < off + len; at += SZ_2M)
		if (layout_protect(l, at + 7 * SZ_4K, SZ_4K, false) ||
		    layout_protect(l, at + 7 * SZ_4K, SZ_4K, true))
			return FAILED;
	return PASSED;
}

int layout_pageout(struct layout *l, size_t off, size_t len)
{
	if (madvise(l->addr + off, len, MADV_PAGEOUT))
		return fail("MADV_PAGEOUT: %m");
	return PASSED;
}

int layout_dontneed(struct layout *l, size_t off, size_t len)
{
	size_t at;

	if (madvise(l->addr + off, len, MADV_DONTNEED))
		return fail("MADV_DONTNEED: %m");
	for (at = off; at < off + len; at += SZ_4K) {
		page_at(l, at)->owned = false;
		page_at(l, at)->own = (struct content){};
	}
	return PASSED;
}

int layout_protect(struct layout *l, size_t off, size_t len, bool writable)
{
	size_t at;

	if (mprotect(l->addr + off, len, PROT_READ | (writable ? PROT_WRITE : 0)))
		return fail("mprotect: %m");
	for (at = off; at < off + len; at += SZ_4K)
		page_at(l, at)->writable = writable;
	return PASSED;
}

/* Reserve the hole instead of unmapping it, or the next malloc() might use it. */
static int make_hole(struct layout *l, size_t off, size_t len)
{
	memset(page_at(l, off), 0, len / SZ_4K * sizeof(*l->page));
	return map_fixed(l->addr + off, len, PROT_NONE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
}

int layout_try_move(struct layout *l, size_t from, size_t to, size_t len)
{
	if (mremap(l->addr + from, len, len, MREMAP_MAYMOVE | MREMAP_FIXED, l->addr + to) ==
	    MAP_FAILED)
		return errno == EFAULT ? make_hole(l, to, len) : fail("mremap: %m");
	memcpy(page_at(l, to), page_at(l, from), len / SZ_4K * sizeof(*l->page));
	return make_hole(l, from, len);
}

int layout_move(struct layout *l, size_t from, size_t to, size_t len)
{
	int err = layout_try_move(l, from, to, len);

	return err ?: l->page[from / SZ_4K].mapped ? fail("mremap: %m") : PASSED;
}

int layout_alias(struct layout *l, size_t from, size_t to, size_t len)
{
	size_t at;

	/* An old length of zero asks for a second mapping. */
	if (mremap(l->addr + from, 0, len, MREMAP_MAYMOVE | MREMAP_FIXED, l->addr + to) ==
	    MAP_FAILED)
		return fail("mremap of shared memory to a second place: %m");
	for (at = 0; at < len; at += SZ_4K)
		*page_at(l, to + at) = *page_at(l, from + at);
	return PASSED;
}

void layout_pinned(struct layout *l, size_t off, size_t len)
{
	size_t at;

	for (at = off & ~(SZ_4K - 1); at < off + len; at += SZ_4K) {
		struct page *page = page_at(l, at);

		if (page->shared || page->owned)
			continue;
		page->own = *content_of(page);
		page->owned = true;
	}
}

/* Is the page with that PFN in a folio of that order? */
static bool in_folio(uint64_t pfn, unsigned int order)
{
	const uint64_t large = 1 << KPF_COMPOUND_HEAD | 1 << KPF_COMPOUND_TAIL;
	uint64_t pfns[(1 << MAX_ORDER) + 1], flags[ARRAY_SIZE(pfns)];
	size_t n = 1UL << order, i;

	for (i = 0; i <= n; i++)
		pfns[i] = (pfn & ~(n - 1)) + i;
	phys_flags(pfns, n + 1, flags);
	if (!order)
		return !(flags[0] & large);
	for (i = 1; i < n; i++)
		if (!(flags[i] & 1 << KPF_COMPOUND_TAIL))
			return false;
	return flags[0] & 1 << KPF_COMPOUND_HEAD && !(flags[n] & 1 << KPF_COMPOUND_TAIL);
}

int layout_prove_order(const struct layout *l, size_t off, size_t len, unsigned int order)
{
	size_t pages = (off % SZ_4K + len + SZ_4K - 1) / SZ_4K, i;
	uint64_t *pfn = calloc(pages, sizeof(*pfn));
	int err = PASSED;

	if (!pfn)
		die("out of memory");
	phys_pfns(l->addr + off, pages, pfn);
	for (i = 0; i < pages && !err; i++) {
		/* What follows in the same folio needs no proof. */
		if (i && pfn[i] == pfn[i - 1] + 1 && pfn[i] % (1UL << order))
			continue;
		if (!pfn[i] || !in_folio(pfn[i], order))
			err = fail("page %zu is not in a folio of %lu KiB", off / SZ_4K + i,
				   4UL << order);
	}
	free(pfn);
	return err;
}

static void child_main(const struct layout *l, int ready, int go)
{
	char byte = 0;

	/* The parent's handler would print into the parent's results. */
	signal(SIGALRM, SIG_DFL);
	alarm(60);
	if (l)
		layout_read(l, 0, l->len);
	if (write(ready, &byte, 1) != 1)
		_exit(2);
	/* The end of the file is the signal: it comes even if the parent dies. */
	if (read(go, &byte, 1) != 0)
		_exit(2);
	_exit(!l || layout_verify(l, "the child's memory") == PASSED ? 0 : 1);
}

int child_start(struct child *child, const struct layout *l)
{
	int ready[2], go[2], err = PASSED;
	char byte;

	if (pipe2(ready, O_CLOEXEC) || pipe2(go, O_CLOEXEC))
		die("pipe: %m");
	child->pid = fork();
	if (child->pid < 0)
		die("fork: %m");
	if (!child->pid) {
		close(go[1]);
		child_main(l, ready[1], go[0]);
	}
	close(ready[1]);
	close(go[0]);
	if (read(ready[0], &byte, 1) != 1)
		err = fail("a child died");
	close(ready[0]);
	child->go = go[1];
	return err;
}

int child_join(struct child *child)
{
	int status;

	close(child->go);
	if (waitpid(child->pid, &status, 0) < 0)
		die("waitpid: %m");
	if (!WIFEXITED(status) || WEXITSTATUS(status))
		return fail("a forked child has died, or its memory has changed");
	return PASSED;
}
