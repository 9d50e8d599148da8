// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * phyr_info: which user-space provider a program that is started from here gets.
 *
 * libibverbs knows when it has listed the devices: it loads the providers that the environment and
 * /etc/libibverbs.d name, and the first one that takes a device has it. If libphyr is among
 * those it has loaded, libphyr says whether the device is its own. We are not linked with it, as it
 * would be there always.
 *
 * Providers are loaded once in the life of a process. So every question is put by a process of its
 * own: what does the environment give, and if not libphyr, what would IBV_DRIVERS=phyr?
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <infiniband/verbs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "info.h"

/* As programs are linked with, whatever name it has as a provider. */
#define LIBPHYR "libphyr.so.1"

struct answer {
	enum provider provider;
	char file[PATH_MAX];
};

const char *provider_name(enum provider provider)
{
	static const char *const names[] = {
		[PROVIDER_PHYR]		= "libphyr",
		[PROVIDER_OTHER]	= "librxe",
		[PROVIDER_NONE]		= "none",
	};

	return names[provider];
}

/* In the process that asks. */

typedef bool (*is_supported_fn)(struct ibv_device *device);

static is_supported_fn find_libphyr(void)
{
	void *libphyr = dlopen(LIBPHYR, RTLD_NOLOAD | RTLD_LAZY);

	return libphyr ? (is_supported_fn)dlsym(libphyr, "phyrdv_is_supported") : NULL;
}

static void answer(struct answer *answer, struct ibv_device *device, is_supported_fn is_supported)
{
	Dl_info info;

	answer->provider = PROVIDER_OTHER;
	if (!is_supported || !is_supported(device))
		return;
	answer->provider = PROVIDER_PHYR;
	if (dladdr((void *)is_supported, &info))
		snprintf(answer->file, sizeof(answer->file), "%s", info.dli_fname);
}

static void answer_all(struct answer *answers, const struct devices *devices)
{
	struct ibv_device **list = ibv_get_device_list(NULL);
	is_supported_fn is_supported;

	if (!list)
		return;
	is_supported = find_libphyr();
	for (size_t i = 0; i < devices->nr; i++) {
		answers[i].provider = PROVIDER_NONE;
		for (struct ibv_device **one = list; *one; one++)
			if (!strcmp(ibv_get_device_name(*one), devices->device[i].name))
				answer(&answers[i], *one, is_supported);
	}
	ibv_free_device_list(list);
}

/* RDMAV_DRIVERS is IBV_DRIVERS' old name, and goes before it. */
static void pretend(const char *drivers)
{
	int null = open("/dev/null", O_WRONLY | O_CLOEXEC);

	unsetenv("RDMAV_DRIVERS");
	setenv("IBV_DRIVERS", drivers, 1);
	/* If it is not there, libibverbs complains of it. */
	if (null >= 0)
		dup2(null, STDERR_FILENO);
}

/* In the process that wants to know. */

/* An environment of @drivers, or as it is if that is NULL. */
static void ask(struct answer *answers, const struct devices *devices, const char *drivers)
{
	int status;
	pid_t pid;

	for (size_t i = 0; i < devices->nr; i++)
		answers[i].provider = PROVIDER_UNKNOWN;
	fflush(stdout);
	pid = fork();
	if (pid < 0)
		die("cannot start a process: %s", strerror(errno));
	if (!pid) {
		if (drivers)
			pretend(drivers);
		answer_all(answers, devices);
		_exit(0);
	}
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (WIFSIGNALED(status) && !drivers)
		complain("a provider of libibverbs crashes (signal %d): see IBV_DRIVERS",
			 WTERMSIG(status));
}

static bool any_rxe(const struct devices *devices, const struct answer *answers,
		    enum provider provider)
{
	for (size_t i = 0; i < devices->nr; i++)
		if (is_rxe(&devices->device[i]) && answers[i].provider == provider)
			return true;
	return false;
}

static void take_answers(struct devices *devices, const struct answer *answers)
{
	struct device *device = devices->device;

	for (size_t i = 0; i < devices->nr; i++, device++) {
		if (!is_rxe(device))
			continue;
		device->provider = answers[i].provider;
		snprintf(device->provider_file, sizeof(device->provider_file), "%s",
			 answers[i].file);
	}
}

void providers_look(struct devices *devices)
{
	size_t room = devices->nr * sizeof(struct answer);
	struct answer *answers;

	if (!devices->nr)
		return;
	answers = mmap(NULL, room, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (answers == MAP_FAILED)
		die("no memory");
	ask(answers, devices, NULL);
	take_answers(devices, answers);
	devices->provider_installed = any_rxe(devices, answers, PROVIDER_PHYR);
	if (any_rxe(devices, answers, PROVIDER_OTHER) || any_rxe(devices, answers, PROVIDER_NONE)) {
		ask(answers, devices, "phyr");
		devices->provider_installed |= any_rxe(devices, answers, PROVIDER_PHYR);
	}
	munmap(answers, room);
}
