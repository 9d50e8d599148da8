// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * umem: does ib_umem with the livepatch do what it did without? See umem.h for the parts.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "pattern.h"
#include "umem.h"

uint32_t pci_device;

static const char *netdev = "veth0";
static int device_fd;

struct phyr_umem_test_get umem_request(const void *addr, size_t len, int access)
{
	return (struct phyr_umem_test_get){
		.addr = (uintptr_t)addr,
		.len = len,
		.access = access,
		.netdev = pci_device ? 0 : if_nametoindex(netdev),
		.pci = pci_device,
		.max_segment = UINT_MAX,
	};
}

int umem_errno(unsigned long cmd, void *args)
{
	return ioctl(device_fd, cmd, args) ? errno : 0;
}

int umem_call(unsigned long cmd, void *args)
{
	int err = umem_errno(cmd, args);

	return err ? fail("/dev/phyr_umem_test, call %lu: %s", _IOC_NR(cmd), errno_name(err)) :
		     PASSED;
}

int umem_get(struct phyr_umem_test_get *get)
{
	return umem_errno(PHYR_UMEM_TEST_GET, get);
}

int umem_release(uint32_t id)
{
	struct phyr_umem_test_release release = { .id = id };

	if (umem_call(PHYR_UMEM_TEST_RELEASE, &release))
		return FAILED;
	if (release.mapped)
		return fail("the IOMMU still translates addresses of a umem that was released");
	return PASSED;
}

int ext4_file(size_t len)
{
	char path[] = "/var/tmp/umem-XXXXXX", block[SZ_4K];
	int fd = mkostemp(path, O_CLOEXEC);
	size_t off;

	if (fd < 0) {
		fail("cannot make a file in /var/tmp: %m");
		return -1;
	}
	unlink(path);
	for (off = 0; off < len; off += sizeof(block)) {
		pattern_fill(block, 3, off, sizeof(block));
		if (write(fd, block, sizeof(block)) != sizeof(block)) {
			fail("cannot write a file in /var/tmp: %m");
			close(fd);
			return -1;
		}
	}
	return fd;
}

enum { OPT_NETDEV = 1000, OPT_PCI };

static void option(int c, const char *arg)
{
	unsigned int vendor, device;

	if (c == OPT_NETDEV) {
		netdev = arg;
		return;
	}
	if (sscanf(arg, "%x:%x", &vendor, &device) != 2 || !vendor || (vendor | device) >> 16)
		die("--pci wants VENDOR:DEVICE, both hexadecimal, not \"%s\"", arg);
	pci_device = vendor << 16 | device;
}

/* Without a device, all tests would compare ENODEV with ENODEV. */
static void check_device(void)
{
	static char page[SZ_4K] __attribute__((aligned(SZ_4K)));
	struct phyr_umem_test_get get = umem_request(page, sizeof(page), READABLE);
	int err = umem_get(&get);

	if (err)
		die("no umem for the %s: %s", pci_device ? "PCI device" : netdev, errno_name(err));
	if (umem_release(get.id))
		die("cannot release a umem");
}

static void device_open(void)
{
	device_fd = open("/dev/phyr_umem_test", O_RDWR | O_CLOEXEC);
	if (device_fd < 0)
		die("cannot open /dev/phyr_umem_test: %m; load phyr_umem_test.ko");
	patch_prepare();
	check_device();
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "netdev", required_argument, NULL, OPT_NETDEV },
		{ "pci", required_argument, NULL, OPT_PCI },
		{},
	};
	static const struct option none[] = { {} };
	static const struct subject subject = {
		.options_help = "",
		.short_options = "",
		.options = none,
		.open = device_open,
	};
	static const struct program prog = {
		.about = "Compares the kernel's ib_umem with the livepatch's.",
		.subject = &subject,
		.options_help =
			"      --netdev NAME  umems for the RDMA device there (default veth0)\n"
			"      --pci V:D      umems for DMA by this PCI device instead\n",
		.options = options,
		.option = option,
		.watchdog_s = 300,
	};

	program_start(&prog, argc, argv);
	equal_add_tests();
	errors_add_tests();
	held_add_tests();
	return test_run();
}
