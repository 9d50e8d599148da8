// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Makes calls in the arena, and compares the arena with the model; fuzz.h explains the words.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "fuzz.h"

#define FILLING	0xa5	/* 0xa5a5 is no attribute's ID */

char *arena, *nowhere, *read_only;

void arena_open(void)
{
	size_t whole = SZ_4K + ARENA_BYTES + 3 * SZ_4K;
	char *map = mmap(NULL, whole, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (map == MAP_FAILED)
		die("mmap of the arena: %m");
	arena = map + SZ_4K;
	nowhere = arena + ARENA_BYTES;
	read_only = nowhere + SZ_4K;
	if (mprotect(arena, ARENA_BYTES, PROT_READ | PROT_WRITE) ||
	    mprotect(read_only, SZ_4K, PROT_READ))
		die("mprotect of the arena: %m");
}

static bool within(uint64_t addr, size_t len, const char *start, size_t size)
{
	return addr >= (uintptr_t)start && addr <= (uintptr_t)start + size &&
	       len <= (uintptr_t)start + size - addr;
}

const void *image_read(const struct image *image, uint64_t addr, size_t len)
{
	if (within(addr, len, arena, ARENA_BYTES))
		return image->bytes + (addr - (uintptr_t)arena);
	if (within(addr, len, read_only, SZ_4K))
		return (const char *)(uintptr_t)addr;
	return NULL;
}

bool image_write(struct image *image, uint64_t addr, const void *src, size_t len)
{
	char *dst;

	if (!len)
		return true;
	if (!within(addr, len, arena, ARENA_BYTES)) {
		if (within(addr, 1, arena, ARENA_BYTES)) {
			image->any_from = addr - (uintptr_t)arena;
			image->any_to = ARENA_BYTES;
		}
		return false;
	}
	dst = image->bytes + (addr - (uintptr_t)arena);
	if (src)
		memcpy(dst, src, len);
	else
		memset(dst, 0, len);
	return true;
}

/* Write the call to its address, as much of it as fits into the arena. */
static int place(const struct call *call)
{
	size_t len = sizeof(call->bytes.hdr) + call->n * sizeof(*call->bytes.attrs);
	char *at = (char *)(uintptr_t)call->at;
	size_t room = nowhere - at;

	if (within(call->at, 0, arena, ARENA_BYTES)) {
		memcpy(at, &call->bytes, len < room ? len : room);
	} else if (within(call->at, len, read_only, SZ_4K)) {
		if (mprotect(read_only, SZ_4K, PROT_READ | PROT_WRITE))
			return fail("mprotect: %m");
		memset(read_only, FILLING, SZ_4K);
		memcpy(at, &call->bytes, len);
		if (mprotect(read_only, SZ_4K, PROT_READ))
			return fail("mprotect: %m");
	}
	return PASSED;
}

static int compare(struct image *image)
{
	size_t i;

	memcpy(image->bytes + image->any_from, arena + image->any_from,
	       image->any_to - image->any_from);
	if (!memcmp(image->bytes, arena, ARENA_BYTES))
		return PASSED;
	for (i = 0; image->bytes[i] == arena[i]; i++)
		;
	return fail("byte %zu of the arena (at %p) is 0x%02x, should be 0x%02x", i, arena + i,
		    (unsigned char)arena[i], (unsigned char)image->bytes[i]);
}

int call_try(const struct call *call, int *err)
{
	static struct image image;
	int should;

	memset(arena, FILLING, ARENA_BYTES);
	if (place(call))
		return FAILED;
	memcpy(image.bytes, arena, ARENA_BYTES);
	image.any_from = 0;
	image.any_to = 0;
	should = model(call, &image);
	*err = ioctl(dev.ctx->cmd_fd, call->cmd, call->at) ? errno : 0;
	if (*err != should)
		return fail("%s, should be %s",
			    *err ? strerrorname_np(*err) : "success", errno_name(should));
	return compare(&image);
}

void call_print(const struct call *call)
{
	const struct ib_uverbs_ioctl_hdr *hdr = &call->bytes.hdr;
	unsigned int i;

	diag("arena %p, nowhere %p, read-only %p", arena, nowhere, read_only);
	diag("ioctl 0x%lx at 0x%" PRIx64 ": length %u, object 0x%x, method 0x%x, %u attributes",
	     call->cmd, call->at, hdr->length, hdr->object_id, hdr->method_id, hdr->num_attrs);
	diag("  reserved 0x%llx 0x%x, driver %u", hdr->reserved1, hdr->reserved2, hdr->driver_id);
	for (i = 0; i < call->n && i < 12; i++) {
		const struct ib_uverbs_attr *attr = &call->bytes.attrs[i];

		diag("  attribute 0x%x, length %u, flags 0x%x, reserved 0x%x, data 0x%llx",
		     attr->attr_id, attr->len, attr->flags, attr->attr_data.reserved, attr->data);
	}
	if (i < call->n)
		diag("  and %u more", call->n - i);
}
