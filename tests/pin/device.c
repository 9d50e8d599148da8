// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Calls of /dev/phyr_test; see device.h.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "device.h"
#include "test.h"

static int fd = -1;

void device_open(void)
{
	fd = open("/dev/phyr_test", O_RDWR | O_CLOEXEC);
	if (fd < 0)
		die("cannot open /dev/phyr_test: %m; in the lab, phyr-rxe test loads it");
}

int device_map_io(void *start, size_t len)
{
	int flags = MAP_SHARED | MAP_FIXED;

	return mmap(start, len, PROT_READ | PROT_WRITE, flags, fd, 0) == MAP_FAILED ? errno : 0;
}

static int call(unsigned long request, void *args)
{
	return ioctl(fd, request, args) ? errno : 0;
}

int device_pin(const void *start, size_t len, bool writable, struct phyr_test_pin *pin)
{
	*pin = (struct phyr_test_pin){
		.start = (uintptr_t)start, .len = len, .writable = writable,
	};
	return call(PHYR_TEST_PIN, pin);
}

int device_unpin(uint32_t id, bool dirty)
{
	struct phyr_test_unpin args = { .id = id, .dirty = dirty };

	return call(PHYR_TEST_UNPIN, &args);
}

int device_runs(uint32_t id, struct phyr_test_run *runs, uint64_t *nr)
{
	struct phyr_test_runs args = { .id = id, .nr = *nr, .runs = (uintptr_t)runs };
	int err = call(PHYR_TEST_RUNS, &args);

	*nr = args.nr;
	return err;
}

static int copy(uint32_t id, bool to_region, size_t off, const void *data, size_t len)
{
	struct phyr_test_copy args = {
		.id = id, .to_region = to_region, .offset = off, .len = len,
		.data = (uintptr_t)data,
	};

	return call(PHYR_TEST_COPY, &args);
}

int device_read(uint32_t id, size_t off, void *to, size_t len)
{
	return copy(id, false, off, to, len);
}

int device_write(uint32_t id, size_t off, const void *from, size_t len)
{
	return copy(id, true, off, from, len);
}

int device_hold_mmap_lock(struct phyr_test_hold *hold)
{
	return call(PHYR_TEST_HOLD, hold);
}

int device_folio(uint32_t id, size_t off, struct phyr_test_folio *folio)
{
	*folio = (struct phyr_test_folio){ .id = id, .offset = off };
	return call(PHYR_TEST_FOLIO, folio);
}
