/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * Memory made of pieces, and a model of what is in it.
 *
 * A layout is a range of address space into which pieces are mapped: anonymous
 * memory, and parts of objects (files, memfds, shared anonymous memory), shared
 * or private. For each page the model knows what the process must read there,
 * whatever was done to the memory. A private page that was never written has what
 * the object has, or zeros. A shared page of an object has the same contents
 * wherever, and however often, it is mapped.
 *
 * Contents are stamps: the pattern of pattern.h at both ends of a page, where errors
 * in offsets show. Writing every byte would take long under emulation. Each write
 * stamps with a new seed.
 *
 * Offsets and lengths are multiples of the page size, unless said otherwise.
 * Functions return PASSED, or FAILED after fail().
 */
#ifndef PHYR_TESTS_PIN_LAYOUT_H
#define PHYR_TESTS_PIN_LAYOUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct content {
	uint64_t where;		/* offset in the pattern */
	uint16_t seed;		/* 0: zeros */
};

struct object {
	int fd;			/* -1: shared anonymous memory */
	size_t pages;
	struct content *content;	/* seen by forked children as well */
};

struct page {
	struct object *object;	/* NULL: anonymous */
	size_t index;		/* page of the object */
	bool mapped;
	bool writable;		/* by the process */
	bool shared;
	bool owned;		/* private, and no longer the object's page */
	struct content own;
};

#define MAX_OBJECTS 32

struct layout {
	char *addr;
	size_t len;
	struct page *page;
	/* The part that is to be pinned, and the size of the folios in there. */
	size_t begin;
	size_t size;
	size_t unit;
	struct object *object[MAX_OBJECTS];
	int objects;
	void *map;
	size_t map_len;
};

int layout_open(struct layout *l, size_t len);
void layout_close(struct layout *l);

/* Objects that live as long as the layout. A file has contents at once, a memfd if @written. */
struct object *layout_memfd(struct layout *l, size_t len, bool written);
struct object *layout_hugetlb(struct layout *l, size_t page_size, size_t len);
struct object *layout_file(struct layout *l, size_t len);
struct object *layout_anon_object(struct layout *l, size_t len);

int layout_map_anon(struct layout *l, size_t off, size_t len);
int layout_map(struct layout *l, size_t off, size_t len, struct object *o, size_t index,
	       bool shared, int prot);
/* Enter memory into the model that the caller has mapped, shared and writable. */
int layout_adopt(struct layout *l, size_t off, size_t len, struct object *o, size_t index);
/* Make an object that no layout owns. */
struct object *object_new(int fd, size_t len);

int layout_write(struct layout *l, size_t off, size_t len);
void layout_read(const struct layout *l, size_t off, size_t len);
int layout_split_pmds(struct layout *l, size_t off, size_t len);
int layout_pageout(struct layout *l, size_t off, size_t len);
int layout_dontneed(struct layout *l, size_t off, size_t len);
int layout_protect(struct layout *l, size_t off, size_t len, bool writable);
/*
 * Move mapped pages, or map shared ones a second time (layout_alias()). Older kernels
 * cannot move more than one mapping (VMA). layout_try_move() then makes a hole at the
 * destination, and does not fail.
 */
int layout_try_move(struct layout *l, size_t from, size_t to, size_t len);
int layout_move(struct layout *l, size_t from, size_t to, size_t len);
int layout_alias(struct layout *l, size_t from, size_t to, size_t len);
/* Note in the model that a pin has given private mappings pages of their own. */
void layout_pinned(struct layout *l, size_t off, size_t len);

/* Compare with the model what was found there (data). off and len may be odd. */
int layout_compare(const struct layout *l, const char *what, size_t off, size_t len,
		   const char *data);
int layout_verify(const struct layout *l, const char *what);
/* By /proc/kpageflags, each page must be in a folio of that order. off and len may be odd. */
int layout_prove_order(const struct layout *l, size_t off, size_t len, unsigned int order);

/* Write a page's stamps, as far as they are in its bytes [from, to); the first is at data. */
void stamp(char *data, struct content content, size_t from, size_t to);

/*
 * A child that has read the memory, and shares it. At child_join(), it checks that its
 * private memory is what it was at the fork. Without a layout (NULL), it reads nothing
 * and checks nothing.
 */
struct child {
	pid_t pid;
	int go;
};

int child_start(struct child *child, const struct layout *l);
int child_join(struct child *child);

#endif
