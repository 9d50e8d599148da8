// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * phyr_info: the RDMA devices, and the way by which memory is registered with them.
 *
 * A Soft-RoCE device registers through phyr if the loaded rdma_rxe is phyr's, since one module
 * makes all these devices. Any other device registers through phyr if the livepatch is applied.
 * usnic is an exception, since it does not use the kernel's ib_umem.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "info.h"

#define VERBS "/sys/class/infiniband_verbs"

bool is_rxe(const struct device *device)
{
	return !strcmp(device->driver, "rxe");
}

bool through_phyr(const struct device *device)
{
	return device->way == WAY_RXE || device->way == WAY_LIVEPATCH;
}

const char *way_name(enum way way)
{
	static const char *const names[] = {
		[WAY_NONE]	= "none",
		[WAY_RXE]	= "rxe",
		[WAY_LIVEPATCH]	= "livepatch",
		[WAY_CHANGING]	= "changing",
	};

	return names[way];
}

/* The list. */

static void add_device(uint32_t index, const char *name, void *arg)
{
	struct devices *devices = arg;
	struct device *device;

	devices->device = more_room(devices->device, devices->nr, sizeof(*device));
	device = &devices->device[devices->nr++];
	*device = (struct device){ .index = index };
	snprintf(device->name, sizeof(device->name), "%s", name);
}

static int compare_devices(const void *a, const void *b)
{
	const struct device *x = a, *y = b;

	return strverscmp(x->name, y->name);
}

static void complain_of_name(const struct devices *devices, const char *name)
{
	char list[512] = "";
	size_t len = 0;

	for (size_t i = 0; i < devices->nr && len < sizeof(list); i++)
		len += snprintf(list + len, sizeof(list) - len, " %s", devices->device[i].name);
	complain("no RDMA device '%s'; there are:%s", name, list);
}

static bool choose_device(struct devices *devices, const char *name)
{
	bool found = false;

	for (size_t i = 0; i < devices->nr; i++) {
		devices->device[i].hidden = strcmp(devices->device[i].name, name);
		found |= !devices->device[i].hidden;
	}
	if (!found)
		complain_of_name(devices, name);
	return found;
}

bool devices_list(struct devices *devices, int netlink, const char *name)
{
	bool core = netlink != -EPROTONOSUPPORT;
	int err = 0;

	*devices = (struct devices){ 0 };
	if (core)
		err = netlink < 0 ? netlink : nldev_devices(netlink, add_device, devices);
	if (err) {
		complain("the kernel does not list RDMA devices: %s", strerror(-err));
		return false;
	}
	if (!devices->nr) {
		complain("this machine has no RDMA devices%s",
			 core ? "" : ", and ib_core is not loaded");
		return !name;
	}
	qsort(devices->device, devices->nr, sizeof(*devices->device), compare_devices);
	return !name || choose_device(devices, name);
}

bool device_is_there(const struct device *device, int netlink)
{
	struct devices now = { 0 };
	bool there = nldev_devices(netlink, add_device, &now); /* an error is no answer */

	for (size_t i = 0; i < now.nr; i++)
		there |= now.device[i].index == device->index;
	devices_free(&now);
	return there;
}

void devices_make_printable(struct devices *devices)
{
	struct device *device = devices->device;

	for (size_t i = 0; i < devices->nr; i++, device++) {
		make_printable(device->name);
		make_printable(device->netdev);
		make_printable(device->provider_file);
	}
}

void devices_free(struct devices *devices)
{
	free(devices->device);
}

/* One of them. */

static enum way find_way(const struct device *device, const struct machine *machine)
{
	if (is_rxe(device) && machine->rdma_rxe.ours)
		return WAY_RXE;
	if (!strcmp(device->driver, "usnic"))
		return WAY_NONE;
	switch (machine->livepatch) {
	case LIVEPATCH_ENABLED:
		return WAY_LIVEPATCH;
	case LIVEPATCH_ENABLING:
	case LIVEPATCH_DISABLING:
		return WAY_CHANGING;
	default:
		return WAY_NONE;
	}
}

/* Find the uverbs device of this RDMA device. */
static void find_uverbs(struct device *device)
{
	DIR *dir = opendir(VERBS);
	struct dirent *entry;
	char name[64];

	while (dir && (entry = readdir(dir)))
		if (read_text(name, sizeof(name), VERBS "/%s/ibdev", entry->d_name) &&
		    !strcmp(name, device->name))
			snprintf(device->uverbs, sizeof(device->uverbs), "%s", entry->d_name);
	if (dir)
		closedir(dir);
}

static int is_ours(const struct dirent *entry)
{
	return !strncmp(entry->d_name, "phyr_", 5);
}

/* Read the counters that "rdma statistic" shows, of port 1: our devices have no other port. */
static void read_counters(struct device *device)
{
	struct counter *counter = device->counters;
	struct dirent **entries;
	char path[PATH_MAX];
	int nr;

	snprintf(path, sizeof(path), "/sys/class/infiniband/%s/ports/1/hw_counters", device->name);
	nr = scandir(path, &entries, is_ours, alphasort);
	for (int i = 0; i < nr; i++) {
		if (device->nr_counters < MAX_COUNTERS &&
		    read_number(&counter->value, "%s/%s", path, entries[i]->d_name)) {
			snprintf(counter->name, sizeof(counter->name), "%s",
				 entries[i]->d_name + strlen("phyr_"));
			device->nr_counters++;
			counter++;
		}
		free(entries[i]);
	}
	if (nr >= 0)
		free(entries);
}

void devices_look(struct devices *devices, int netlink, const struct machine *machine)
{
	struct device *device = devices->device;

	for (size_t i = 0; i < devices->nr; i++, device++) {
		if (nldev_driver(netlink, device->index, device->driver, sizeof(device->driver)))
			device->driver[0] = '\0';
		if (is_rxe(device) && !read_text(device->netdev, sizeof(device->netdev),
						 "/sys/class/infiniband/%s/parent", device->name))
			device->netdev[0] = '\0';
		device->way = find_way(device, machine);
		find_uverbs(device);
		read_counters(device);
	}
}
