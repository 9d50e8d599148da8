// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Calls of /dev/phyr_edu; see edu.h.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "edu.h"
#include "test.h"

static int fd = -1;

void edu_open(void)
{
	if (fd >= 0)
		close(fd);
	fd = open("/dev/phyr_edu", O_RDWR | O_CLOEXEC);
	if (fd < 0)
		die("cannot open /dev/phyr_edu: %m; in the lab, --device edu and phyr-rxe edu");
}

const char *edu_iommu(void)
{
	static char type[32] = "none";
	glob_t found;
	FILE *f;

	/* The device has no such group if there is no IOMMU. */
	if (glob("/sys/bus/pci/drivers/phyr_edu/*:*/iommu_group/type", 0, NULL, &found))
		return type;
	f = fopen(found.gl_pathv[0], "r");
	if (!f || fscanf(f, "%31s", type) != 1)
		die("cannot read %s: %m", found.gl_pathv[0]);
	fclose(f);
	globfree(&found);
	return type;
}

static int call(unsigned long request, void *args)
{
	return ioctl(fd, request, args) ? errno : 0;
}

int edu_limits(unsigned int mask_bits, uint32_t max_segment, uint64_t boundary)
{
	struct phyr_edu_limits args = {
		.mask_bits = mask_bits, .max_segment = max_segment, .boundary = boundary,
	};

	return call(PHYR_EDU_LIMITS, &args);
}

int edu_ops(unsigned int ops, size_t *mapped)
{
	struct phyr_edu_ops args = { .ops = ops };
	int err = call(PHYR_EDU_OPS, &args);

	*mapped = args.mapped;
	return err;
}

int edu_map(const void *start, size_t len, bool writable, unsigned int dir,
	    struct phyr_edu_map *map)
{
	*map = (struct phyr_edu_map){
		.start = (uintptr_t)start, .len = len, .writable = writable, .dir = dir,
	};
	return call(PHYR_EDU_MAP, map);
}

int edu_unmap(uint32_t id)
{
	struct phyr_edu_unmap args = { .id = id };

	return call(PHYR_EDU_UNMAP, &args);
}

int edu_find(uint32_t id, size_t off, uint64_t *addr, size_t *len)
{
	struct phyr_edu_find args = { .id = id, .offset = off };
	int err = call(PHYR_EDU_FIND, &args);

	*addr = args.addr;
	*len = args.len;
	return err;
}

int edu_entries(uint32_t id, struct phyr_edu_entry *entries, size_t *nr)
{
	struct phyr_edu_entries args = { .id = id, .nr = *nr, .entries = (uintptr_t)entries };
	int err = call(PHYR_EDU_ENTRIES, &args);

	*nr = args.nr;
	return err;
}

int edu_blocks(struct phyr_edu_blocks *args)
{
	return call(PHYR_EDU_BLOCKS, args);
}

int edu_dma(uint64_t addr, void *data, size_t len, bool write)
{
	struct phyr_edu_dma args = {
		.addr = addr, .len = len, .write = write, .data = (uintptr_t)data,
	};

	return call(PHYR_EDU_DMA, &args);
}
