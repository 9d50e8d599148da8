/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * Memory made of pieces, and a model of what is in it.
 *
 * A layout is a range of address space into which pieces are mapped: anonymous
 * memory, and parts of objects (files, memfds, shared anonymous memory), shared
 * or private. For each page the model knows what the process must read there,
 * whatever was done to the memory: a private page that was never written has
 * what the object has, or zeros; shared pages of an object have the same
 * contents wherever, and however often, they are mapped.
 *
 * Contents are stamps: the pattern of pattern.h at both ends of a page, where
 * off-by-anything errors show, since writing every byte takes its time under
 * emulation. Each write stamps with a new seed.
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
	bool owned;		/* private, and has become a page of its own */
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

/* An object that lives as long as the layout; of a file, the contents are written first. */
struct object *layout_memfd(struct layout *l, size_t len, bool written);
struct object *layout_hugetlb(struct layout *l, size_t page_size, size_t len);
struct object *layout_file(struct layout *l, size_t len);
struct object *layout_anon_object(struct layout *l, size_t len);

int layout_map_anon(struct layout *l, size_t off, size_t len);
int layout_map(struct layout *l, size_t off, size_t len, struct object *o, size_t index,
	       bool shared, int prot);
/* The same for memory that the caller has mapped, shared and writable: into the model. */
int layout_adopt(struct layout *l, size_t off, size_t len, struct object *o, size_t index);
/* An object of the caller's own. */
struct object *object_new(int fd, size_t len);

int layout_write(struct layout *l, size_t off, size_t len);
void layout_read(const struct layout *l, size_t off, size_t len);
int layout_split_pmds(struct layout *l, size_t off, size_t len);
int layout_pageout(struct layout *l, size_t off, size_t len);
int layout_dontneed(struct layout *l, size_t off, size_t len);
int layout_protect(struct layout *l, size_t off, size_t len, bool writable);
/*
 * Move mapped pages; or map shared ones a second time. A move of more than one
 * mapping (VMA) is impossible in older kernels, and with layout_try_move() no
 * failure: it only makes a hole at the destination then.
 */
int layout_try_move(struct layout *l, size_t from, size_t to, size_t len);
int layout_move(struct layout *l, size_t from, size_t to, size_t len);
int layout_alias(struct layout *l, size_t from, size_t to, size_t len);
/* A pin has given private pages their own. */
void layout_pinned(struct layout *l, size_t off, size_t len);

/* Is this what the model says? off and len may be odd; data is what was found there. */
int layout_compare(const struct layout *l, const char *what, size_t off, size_t len,
		   const char *data);
int layout_verify(const struct layout *l, const char *what);
/* Every page is in a folio of that order, says /proc/kpageflags. off and len may be odd. */
int layout_prove_order(const struct layout *l, size_t off, size_t len, unsigned int order);

/* A page's stamps, clipped to its bytes [from, to), of which data has the first. */
void stamp(char *data, struct content content, size_t from, size_t to);

/*
 * A child that holds the memory too, having read it. With join, it looks whether
 * its memory is what it was at the fork (but for what is shared). Of no layout
 * (NULL), it looks at nothing.
 */
struct child {
	pid_t pid;
	int go;
};

int child_start(struct child *child, const struct layout *l);
int child_join(struct child *child);

#endif
