// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * phyr_info: the memory regions that there are, as the kernel reports them over RDMA netlink.
 *
 * The kernel reports the thread that has registered a region, as long as there is this thread. It
 * does not report the name of the thread's process. For regions of its own it reports the name of
 * the module. Only phyr's drivers report what a region is made of.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "info.h"

struct search {
	struct mrs *mrs;
	const struct device *device;
	uint32_t pid;			/* 0: all */
};

/* The process of a thread; the thread itself, if that is not known. */
static uint32_t process_of(uint32_t thread)
{
	const char *line;
	char status[256];
	uint32_t process;

	if (!thread || !read_text(status, sizeof(status), "/proc/%u/status", thread))
		return thread;
	line = strstr(status, "\nTgid:");
	return line && sscanf(line, "\nTgid: %u", &process) == 1 ? process : thread;
}

static void name_owner(struct mr *mr, const char *kernel_name)
{
	if (kernel_name)
		snprintf(mr->command, sizeof(mr->command), "[%s]", kernel_name);
	else if (!mr->pid || !read_text(mr->command, sizeof(mr->command), "/proc/%u/comm", mr->pid))
		mr->command[0] = '\0';
	make_printable(mr->command);
}

static void add_mr(const struct nldev_mr *from, void *arg)
{
	const struct search *search = arg;
	uint32_t pid = process_of(from->pid);
	struct mrs *mrs = search->mrs;
	struct mr *mr;

	if (search->pid && pid != search->pid)
		return;
	mrs->mr = more_room(mrs->mr, mrs->nr, sizeof(*mr));
	mr = &mrs->mr[mrs->nr++];
	*mr = (struct mr){
		.number = from->number,
		.pid = pid,
		.lkey_known = from->lkey_known,
		.lkey = from->lkey,
		.length = from->length,
		.described = from->facts.known[MR_PHYRS] ? from->length : 0,
		.facts = from->facts,
	};
	/* A fast MR that maps nothing now has no extents, so it has no largest and no smallest. */
	if (mr->facts.known[MR_PHYRS] && !mr->facts.value[MR_PHYRS]) {
		mr->facts.known[MR_LARGEST] = false;
		mr->facts.known[MR_SMALLEST] = false;
	}
	snprintf(mr->device, sizeof(mr->device), "%s", search->device->name);
	make_printable(mr->device);
	name_owner(mr, from->kernel_name);
}

/* Sort by device and process, the largest first. */
static int compare_mrs(const void *a, const void *b)
{
	const struct mr *x = a, *y = b;
	int device = strverscmp(x->device, y->device);

	if (device)
		return device;
	if (x->pid != y->pid)
		return x->pid < y->pid ? -1 : 1;
	if (x->length != y->length)
		return x->length > y->length ? -1 : 1;
	return (x->number > y->number) - (x->number < y->number);
}

static void add_fact(struct mr_facts *total, const struct mr_facts *facts, enum mr_fact fact)
{
	uint64_t *sum = &total->value[fact], value = facts->value[fact];

	if (!facts->known[fact])
		return;
	if (fact == MR_LARGEST)
		*sum = value > *sum ? value : *sum;
	else if (fact == MR_SMALLEST)
		*sum = total->known[fact] && *sum < value ? *sum : value;
	else
		*sum += value;
	total->known[fact] = true;
}

/*
 * An MR whose facts are not known adds nothing to their sums. The sum of lengths may overflow: an
 * on-demand paging MR may have 2^64 - 1 bytes.
 */
static void add_up(struct mrs *mrs)
{
	mrs->length_known = true;
	for (size_t i = 0; i < mrs->nr; i++) {
		mrs->length_known &= !__builtin_add_overflow(mrs->total.length, mrs->mr[i].length,
							     &mrs->total.length);
		mrs->total.described += mrs->mr[i].described;
		for (int fact = 0; fact < MR_NR_FACTS; fact++)
			add_fact(&mrs->total.facts, &mrs->mr[i].facts, fact);
	}
}

bool mr_mean(const struct mr *mr, uint64_t *bytes)
{
	const struct mr_facts *facts = &mr->facts;

	if (!facts->known[MR_PHYRS] || !facts->value[MR_PHYRS])
		return false;
	*bytes = mr->described / facts->value[MR_PHYRS];
	return true;
}

bool mr_pinned(const struct mr *mr, uint64_t *bytes)
{
	*bytes = mr->facts.value[MR_PINNED_PAGES] * sysconf(_SC_PAGESIZE);
	return mr->facts.known[MR_PINNED_PAGES];
}

static bool is_process(uint32_t pid)
{
	uint32_t process = process_of(pid);

	if (kill(pid, 0) && errno == ESRCH)
		complain("there is no process %u", pid);
	else if (process != pid)
		complain("%u is a thread of the process %u", pid, process);
	else
		return true;
	return false;
}

/* List the MRs of one device. A device that has gone away has none. */
static bool look_at_device(struct search *search, int netlink)
{
	size_t nr = search->mrs->nr;
	int err;

	err = nldev_mrs(netlink, search->device->index, add_mr, search);
	if (!err)
		return true;
	if (!device_is_there(search->device, netlink)) {
		search->mrs->nr = nr;
		return true;
	}
	complain("the kernel does not list the memory regions of %s: %s", search->device->name,
		 strerror(-err));
	return false;
}

bool mrs_look(struct mrs *mrs, const struct devices *devices, int netlink, uint32_t pid)
{
	struct search search = { .mrs = mrs, .pid = pid };

	*mrs = (struct mrs){ 0 };
	if (pid && !is_process(pid))
		return false;
	for (size_t i = 0; i < devices->nr; i++) {
		if (devices->device[i].hidden)
			continue;
		search.device = &devices->device[i];
		if (!look_at_device(&search, netlink))
			return false;
	}
	if (mrs->nr)
		qsort(mrs->mr, mrs->nr, sizeof(*mrs->mr), compare_mrs);
	add_up(mrs);
	return true;
}

void mrs_free(struct mrs *mrs)
{
	free(mrs->mr);
}
