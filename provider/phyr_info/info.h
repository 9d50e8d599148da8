/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * phyr_info: what its parts tell each other.
 *
 *	phyr_info.c	the command line, and what it asks for
 *	machine.c	looks at what all devices have in common: modules, livepatch, memory
 *	device.c	looks at the devices: driver, the way by which they register
 *	provider.c	asks which user-space provider a program gets for them
 *	hints.c		from all that: what is missing, and the commands that mend it
 *	mr.c		looks at memory regions
 *	print_text.c	prints for people,
 *	print_json.c	and for programs
 *	util.c		short files, lists of strings, numbers for people
 *
 * and of the directory above: nldev.c, RDMA netlink; memlock.c, how much may be registered.
 *
 * Nothing is changed, and no privileges are needed. (When asked, the kernel may load ib_core and
 * ib_uverbs.)
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

/* The build gives it; this is for who compiles by hand. */
#ifndef PHYR_VERSION
#define PHYR_VERSION "0"
#endif

enum {
	EXIT_OK = 0,
	EXIT_NO = 1,		/* a device does not register through phyr, or there is none */
	EXIT_USAGE = 2,
	EXIT_UNKNOWN = 3,	/* it could not be found out, or not be printed */
};

/* Utilities */

__printf(1, 2) void complain(const char *format, ...);
/* For what must not fail: memory, and a pipe to ourselves. */
__printf(1, 2) void die(const char *format, ...) __attribute__((noreturn));
void *more_room(void *array, size_t nr, size_t size);

/* What is in a short file, without the end of its last line. */
__printf(3, 4) bool read_text(char *text, size_t len, const char *path, ...);
__printf(2, 3) bool read_number(uint64_t *number, const char *path, ...);
__printf(1, 2) bool exists(const char *path, ...);

struct strings {
	char **item;
	size_t nr;
};

/* Each string once, and printable. */
__printf(2, 3) void strings_add(struct strings *strings, const char *format, ...);
void strings_free(struct strings *strings);

struct text {
	char text[24];
};

/* "348 B", "25.6 MiB", "1 GiB" */
struct text bytes_text(uint64_t bytes);
/* Others' names may hold anything: what is no printable ASCII becomes "?". */
void make_printable(char *text);

/* The machine */

enum livepatch {
	LIVEPATCH_NONE,		/* not loaded */
	LIVEPATCH_OFF,		/* loaded, but disabled, which is for good */
	LIVEPATCH_ENABLING,	/* some tasks have changed over */
	LIVEPATCH_ENABLED,
	LIVEPATCH_DISABLING,	/* some tasks have changed back */
};

/* A module, and what modprobe would load under its name. */
struct module {
	bool loaded;
	bool ours;		/* what is loaded */
	bool installed;		/* modprobe would load ours */
	bool unknown_to_modprobe;	/* ours is there, but depmod has not been run */
	bool is_unsigned;	/* what is installed */
	bool stale;		/* ours is loaded, but not the one that is installed */
};

#define MAX_POOLS 8

struct pool {			/* reserved huge pages of one size */
	uint64_t size;
	uint64_t nr;
	uint64_t free;
	uint64_t overcommit;	/* as many more the kernel makes when they are asked for */
};

struct machine {
	char kernel[65];
	struct module phyr;
	struct module rdma_rxe;
	struct module phyr_umem;
	bool modules_hidden;	/* a container has not the kernel's /lib/modules */
	const char *signed_only;	/* why modules must be signed; NULL: they need not */
	enum livepatch livepatch;
	bool can_livepatch;	/* the kernel has livepatches, ... */
	bool foreign_core;	/* ... but the RDMA core is not its own */
	bool other_user_ns;	/* not the first one; a container may have its own */
	bool memlock_limited;
	struct rlimit memlock;
	char thp[16];		/* always, madvise, never; "" if the kernel has none */
	bool thp_possible;	/* of some size, whatever the line above says of all */
	char thp_file[96];	/* says it of the largest size, by itself or for all */
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
	PROVIDER_NOT_ASKED,	/* no Soft-RoCE */
	PROVIDER_PHYR,
	PROVIDER_RXE,		/* rdma-core's */
	PROVIDER_OTHER,
	PROVIDER_NONE,		/* libibverbs does not list the device, or no provider knows it */
	PROVIDER_UNKNOWN,	/* libibverbs did not get so far */
};

/* When loading providers ends the process. */
enum crash {
	CRASH_NONE,
	CRASH_ENVIRONMENT,	/* with the environment as it is, but not without its providers */
	CRASH_CONFIGURED,	/* also without them */
	CRASH_PHYR,		/* if libphyr is asked for */
};

#define MAX_COUNTERS 16

struct counter {
	char name[32];
	uint64_t value;
};

struct device {
	uint32_t index;
	char name[64];
	char driver[64];	/* "" if the kernel does not tell */
	char netdev[64];	/* on which Soft-RoCE is; "" for others */
	bool hidden;		/* another one was asked for */
	char uverbs[256];	/* what programs open, in /dev/infiniband; "" if there is none */
	enum way way;
	enum provider provider;
	char provider_file[PATH_MAX];
	struct counter counters[MAX_COUNTERS];	/* phyr's */
	size_t nr_counters;
};

/* All of the machine: what mends one may take others away, which must be made again. */
struct devices {
	struct device *device;
	size_t nr;
	bool provider_installed;	/* programs find ours if they ask for it */
	enum crash crash;
};

/*
 * All devices; if there is a name, those of another are hidden. False after a complaint if they
 * cannot be listed, or there is none of that name; also, but true, if there are none at all. So it
 * is without the RDMA core, of which @netlink tells, an error then.
 */
bool devices_list(struct devices *devices, int netlink, const char *name);
/* Or has it gone away since they were listed? */
bool device_is_there(const struct device *device, int netlink);
void devices_look(struct devices *devices, int netlink, const struct machine *machine);
/* The names in it, by which nothing can be found any more. */
void devices_make_printable(struct devices *devices);
void devices_free(struct devices *devices);

bool is_rxe(const struct device *device);
bool through_phyr(const struct device *device);
const char *way_name(enum way way);

/* Fills in what the devices' structures have about providers. */
void providers_look(struct devices *devices);
const char *provider_name(enum provider provider);

/* What to do */

struct hint {
	const char *name;		/* for programs */
	char why[320];
	struct strings devices;		/* none: the machine's */
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
	uint64_t described;		/* as much of it as the facts are about: all, or nothing */
	struct mr_facts facts;
};

struct mrs {
	struct mr *mr;
	size_t nr;
	struct mr total;		/* sums, and the extremes of the extents */
	bool length_known;		/* the sum of lengths is a number that we have */
};

/* All MRs of the devices, or those of a process. False after a complaint. */
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
