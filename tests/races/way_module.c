// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Pins by the test module, if it is loaded. Without RDMA, there are many more pins in a second.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "../kernel/phyr_test.h"
#include "race.h"

#define DEVICE "/dev/phyr_test"

struct pins_of {
	int fd;
	uint32_t id;
	bool writable;
};

static bool module_available(void)
{
	return !access(DEVICE, R_OK | W_OK);
}

static struct pins_of *module_open(unsigned int id)
{
	struct pins_of *p = calloc(1, sizeof(*p));

	(void)id;
	if (!p)
		die("out of memory");
	p->fd = open(DEVICE, O_RDWR | O_CLOEXEC);
	if (p->fd >= 0)
		return p;
	free(p);
	fault("cannot open %s: %m", DEVICE);
	return NULL;
}

static void module_close(struct pins_of *p)
{
	close(p->fd);
	free(p);
}

static int module_pin(struct pins_of *p, char *addr, size_t len, bool writable)
{
	struct phyr_test_pin pin = {
		.start = (uintptr_t)addr,
		.len = len,
		.writable = writable,
	};

	if (ioctl(p->fd, PHYR_TEST_PIN, &pin))
		return errno;
	p->id = pin.id;
	p->writable = writable;
	return 0;
}

static int module_unpin(struct pins_of *p)
{
	struct phyr_test_unpin unpin = { .id = p->id, .dirty = p->writable };

	return ioctl(p->fd, PHYR_TEST_UNPIN, &unpin) ? fault("PHYR_TEST_UNPIN: %m") : 0;
}

static int copy(struct pins_of *p, bool to_region, size_t offset, const void *data, size_t len)
{
	struct phyr_test_copy copy = {
		.id = p->id,
		.to_region = to_region,
		.offset = offset,
		.len = len,
		.data = (uintptr_t)data,
	};

	return ioctl(p->fd, PHYR_TEST_COPY, &copy) ? fault("PHYR_TEST_COPY: %m") : 0;
}

static int module_read(struct pins_of *p, const unsigned int *page, unsigned int n,
		       struct head *head)
{
	unsigned int i;
	int err = 0;

	for (i = 0; i < n && !err; i++)
		err = copy(p, false, page[i] * SZ_4K, &head[i], sizeof(*head));
	return err;
}

static int module_write(struct pins_of *p, const unsigned int *page, unsigned int n,
			unsigned int slot, const uint64_t *value)
{
	size_t off = offsetof(struct head, slot) + slot * sizeof(*value);
	unsigned int i;
	int err = 0;

	for (i = 0; i < n && !err; i++)
		err = copy(p, true, page[i] * SZ_4K + off, &value[i], sizeof(*value));
	return err;
}

const struct way way_module = {
	.name = "module",
	.available = module_available,
	.open = module_open,
	.close = module_close,
	.pin = module_pin,
	.unpin = module_unpin,
	.read = module_read,
	.write = module_write,
};
