/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * phyr_info: what its parts share.
 *
 *	phyr_info.c	the command line, and the order of the work
 *	machine.c	looks at what all devices have in common: modules, livepatch, memory
 *	device.c	looks at the devices: driver, the way by which they register
 *	provider.c	asks which user-space provider a program gets for them
 *	hints.c		finds out what is missing, and the commands that mend it
 *	mr.c		looks at memory regions
 *	print_text.c	prints for people
 *	print_json.c	prints for programs
 *	util.c		short files, lists of strings, numbers for people
 *
 * Two parts are in ../common: nldev.c, RDMA netlink, and memlock.c, how much may be registered.
 *
 * phyr_info changes nothing and needs no privileges. But the kernel may load ib_core and ib_uverbs
 * when it is asked about RDMA.
 */
#ifndef PHYR_INFO_H
#define PHYR_INFO_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/resource.h>

#include "nldev.h"

#define PROGRAM "phyr_info"
#define __printf(format, args) __attribute__((__format__(printf, format, args)))

/* The build defines it. This is for a compilation by hand. */
#ifndef PHYR_VERSION
#define PHYR_VERSION "0"
#endif

enum {
	EXIT_OK = 0,
	EXIT_NO = 1,		/* a device does not register through phyr, or there is none */
	EXIT_USAGE = 2,
	EXIT_UNKNOWN = 3,	/* the answer was not found out, or not printed */
};

/* Utilities */

__printf(1, 2) void complain(const char *format, ...);
/* Complain, and end the program: something failed that we cannot do without, such as memory. */
__printf(1, 2) void die(const char *format, ...) __attribute__((noreturn));
void *more_room(void *array, size_t nr, size_t size);

/* Read a short file, without the newline at its end. False if that fails. */
__printf(3, 4) bool read_text(char *text, size_t len, const char *path, ...);
__printf(2, 3) bool read_number(uint64_t *number, const char *path, ...);
__printf(1, 2) bool exists(const char *path, ...);

struct strings {
	char **item;
	size_t nr;
};

/* Add a string, made printable, unless the list has it. */
__printf(2, 3) void strings_add(struct strings *strings, const char *format, ...);
void strings_free(struct strings *strings);

struct text {
	char text[24];
};

/* "348 B", "25.6 MiB", "1 GiB" */
struct text bytes_text(uint64_t bytes);
/* Names may hold anything. Each character that is not printable ASCII becomes "?". */
void make_printable(char *text);

/* The machine */

enum livepatch {
	LIVEPATCH_NONE,		/* not loaded */
	LIVEPATCH_OFF,		/* loaded, but disabled; it must be loaded again */
	LIVEPATCH_ENABLING,	/* some tasks have changed over */
	LIVEPATCH_ENABLED,
	LIVEPATCH_DISABLING,	/* some tasks have changed back */
};

/* A module, and what modprobe would load under its name. */
struct module {
	bool loaded;
	bool ours;		/* the loaded module is ours */
	bool installed;		/* modprobe would load ours */
	bool unknown_to_modprobe;	/* our file is there, but depmod has not been run */
	bool is_unsigned;	/* the installed file has no signature */
	bool stale;		/* ours is loaded, but not the one that is installed */
};

#define MAX_POOLS 8

struct pool {			/* reserved huge pages of one size */
	uint64_t size;
	uint64_t nr;
	uint64_t free;
	uint64_t overcommit;	/* how many more the kernel makes on demand */
};

struct machine {
	char kernel[65];
	struct module phyr;
	struct module rdma_rxe;
	struct module phyr_umem;
	bool modules_hidden;	/* there is no /lib/modules of this kernel, as in a container */
	const char *signed_only;	/* why modules must be signed; NULL: they need not */
	enum livepatch livepatch;
	bool can_livepatch;	/* the kernel has livepatches, ... */
	bool foreign_core;	/* ... but the RDMA core is not its own */
	bool other_user_ns;	/* this is not the first user namespace, as in a container */
	bool memlock_limited;
	struct rlimit memlock;
	char thp[16];		/* always, madvise, never; "" if the kernel has none */
	bool thp_possible;	/* some size is enabled, whatever @thp says */
	char thp_file[96];	/* the file that enables the largest size */
	struct pool pools[MAX_POOLS];
	size_t nr_pools;
};

void machine_look(struct machine *machine);
const char *livepatch_name(enum livepatch livepatch);

/* The devices */

enum way {
	WAY_NONE,		/* registration is the driver's and the kernel's own */
	WAY_RXE,		/* rdma_rxe is phyr's */
	WAY_LIVEPATCH,
	WAY_CHANGING,		/* a livepatch that some tasks use and others do not */
};

enum provider {
	PROVIDER_NOT_ASKED,	/* the device is not Soft-RoCE */
	PROVIDER_PHYR,
	PROVIDER_RXE,		/* rdma-core's */
	PROVIDER_OTHER,
	PROVIDER_NONE,		/* libibverbs does not list the device, or no provider knows it */
	PROVIDER_UNKNOWN,	/* libibverbs gave no answer */
};

/* In which environment loading the providers ends the process. */
enum crash {
	CRASH_NONE,
	CRASH_ENVIRONMENT,	/* in ours, but not without the providers that it names */
	CRASH_CONFIGURED,	/* also without these */
	CRASH_PHYR,		/* only if it asks for libphyr */
};

#define MAX_COUNTERS 16

struct counter {
	char name[32];
	uint64_t value;
};

struct device {
	uint32_t index;
	char name[64];
	char driver[64];	/* "" if the kernel does not say */
	char netdev[64];	/* the interface under Soft-RoCE; "" for other devices */
	bool hidden;		/* the user asked for another device only */
	char uverbs[256];	/* the file in /dev/infiniband that programs open; "" if none */
	enum way way;
	enum provider provider;
	char provider_file[PATH_MAX];
	struct counter counters[MAX_COUNTERS];	/* phyr's */
	size_t nr_counters;
};

/*
 * All devices of the machine, hidden ones, too: the commands that mend one device may remove
 * others, which must be made again.
 */
struct devices {
	struct device *device;
	size_t nr;
	bool provider_installed;	/* a program gets libphyr if it asks for it */
	enum crash crash;
};

/*
 * List all devices. If @name is not NULL, devices with another name are hidden. Complains and
 * returns false if the devices cannot be listed, or if none has that name. Complains if there are
 * no devices, and then returns false only if @name is given. There are none without the RDMA core,
 * which is when @netlink is -EPROTONOSUPPORT.
 */
bool devices_list(struct devices *devices, int netlink, const char *name);
/* Is the device still there, or has it gone away since the devices were listed? */
bool device_is_there(const struct device *device, int netlink);
void devices_look(struct devices *devices, int netlink, const struct machine *machine);
/* Make the names in it printable. After that, they cannot be used to look things up. */
void devices_make_printable(struct devices *devices);
void devices_free(struct devices *devices);

bool is_rxe(const struct device *device);
bool through_phyr(const struct device *device);
const char *way_name(enum way way);

/* Fill in what struct devices and struct device have about providers. */
void providers_look(struct devices *devices);
const char *provider_name(enum provider provider);

/* What to do */

struct hint {
	const char *name;		/* for programs */
	char why[320];
	struct strings devices;		/* none: it is about the machine */
	struct strings commands;	/* none: nothing helps */
};

struct hints {
	struct hint *hint;
	size_t nr;
};

void hints_find(struct hints *hints, const struct machine *machine, const struct devices *devices);
void hints_free(struct hints *hints);

/* Memory regions */

struct mr {
	char device[64];
	uint32_t number;
	uint32_t pid;			/* the process; 0: none that we can see */
	char command[64];		/* "[name]": a part of the kernel; "" if not known */
	bool lkey_known;
	uint32_t lkey;
	uint64_t length;
	uint64_t described;		/* how much the facts are about: @length, or 0 */
	struct mr_facts facts;
};

struct mrs {
	struct mr *mr;
	size_t nr;
	struct mr total;		/* sums, and the extremes of the extents */
	bool length_known;		/* the sum of lengths did not overflow */
};

/* List the MRs of all visible devices, of all processes or of @pid. False after a complaint. */
bool mrs_look(struct mrs *mrs, const struct devices *devices, int netlink, uint32_t pid);
void mrs_free(struct mrs *mrs);
/* Facts that follow from others. */
bool mr_mean(const struct mr *mr, uint64_t *bytes);
bool mr_pinned(const struct mr *mr, uint64_t *bytes);

/* Printing */

void print_devices(const struct machine *machine, const struct devices *devices,
		   const struct hints *hints);
void print_devices_json(const struct machine *machine, const struct devices *devices,
			const struct hints *hints);
void print_mrs(const struct mrs *mrs);
void print_mrs_json(const struct mrs *mrs);

#endif
