// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * phyr_info: which user-space provider a program that is started from here gets.
 *
 * libibverbs knows when it has listed the devices: it loads the providers that the environment and
 * /etc/libibverbs.d name, and the first one that takes a device has it. The object that has the
 * provider's operations is its file. If that has phyr's symbol, it is libphyr. (We are not linked
 * with libphyr.so.1, which would load it always.) Any other is known by the file's name.
 *
 * Providers are loaded once in the life of a process. So every question is put by a process of its
 * own: what does the environment give, and if not libphyr, what would IBV_DRIVERS=phyr? Providers
 * may end that process as they are loaded: then it did not get so far as to say that it is done.
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
#include "plugin.h"

/* With a version after it, librxe is never linked with: it is a provider only. */
#define LIBRXE "librxe-rdmav"

struct answer {
	enum provider provider;
	char file[PATH_MAX];
};

struct answers {
	bool done;
	struct answer of[];	/* each device */
};

/* NULL: not known. */
const char *provider_name(enum provider provider)
{
	static const char *const names[] = {
		[PROVIDER_PHYR]		= "libphyr",
		[PROVIDER_RXE]		= "librxe",
		[PROVIDER_OTHER]	= "other",
		[PROVIDER_NONE]		= "none",
		[PROVIDER_UNKNOWN]	= NULL,
	};

	return names[provider];
}

/* In the process that asks. */

/*
 * The object with the provider's operations, as libibverbs tells providers to keep it: a pointer,
 * next after what programs see of a device. dladdr looks it up without following it.
 */
static const void *operations(const struct ibv_device *device)
{
	const void *operations;

	memcpy(&operations, device + 1, sizeof(operations));
	return operations;
}

static bool is_libphyr(const char *file)
{
	void *provider = dlopen(file, RTLD_NOLOAD | RTLD_LAZY);
	bool is = provider && dlsym(provider, PHYR_PLUGIN_OPS);

	if (provider)
		dlclose(provider);
	return is;
}

static void answer(struct answer *answer, const struct ibv_device *device)
{
	Dl_info info;

	answer->provider = PROVIDER_OTHER;
	if (!dladdr(operations(device), &info))
		return;
	snprintf(answer->file, sizeof(answer->file), "%s", info.dli_fname);
	if (is_libphyr(info.dli_fname))
		answer->provider = PROVIDER_PHYR;
	else if (!strncmp(basename(answer->file), LIBRXE, strlen(LIBRXE)))
		answer->provider = PROVIDER_RXE;
}

static void answer_all(struct answers *answers, const struct devices *devices)
{
	struct ibv_device **list = ibv_get_device_list(NULL);

	if (!list) {
		complain("libibverbs does not list devices: %s", strerror(errno));
		return;
	}
	for (size_t i = 0; i < devices->nr; i++) {
		answers->of[i].provider = PROVIDER_NONE;
		for (struct ibv_device **one = list; *one; one++)
			if (!strcmp(ibv_get_device_name(*one), devices->device[i].name))
				answer(&answers->of[i], *one);
	}
	ibv_free_device_list(list);
}

/* RDMAV_DRIVERS is IBV_DRIVERS' old name, and goes before it. "": those of /etc/libibverbs.d. */
static void pretend(const char *drivers)
{
	int null = open("/dev/null", O_WRONLY | O_CLOEXEC);

	unsetenv("RDMAV_DRIVERS");
	if (*drivers)
		setenv("IBV_DRIVERS", drivers, 1);
	else
		unsetenv("IBV_DRIVERS");
	/* If it is not there, libibverbs complains of it. */
	if (null >= 0)
		dup2(null, STDERR_FILENO);
}

/* In the process that wants to know. */

static void forget(struct answers *answers, const struct devices *devices)
{
	answers->done = false;
	for (size_t i = 0; i < devices->nr; i++)
		answers->of[i] = (struct answer){ .provider = PROVIDER_UNKNOWN };
}

/* In an environment of @drivers, or as it is if that is NULL. False if a provider crashes. */
static bool ask(struct answers *answers, const struct devices *devices, const char *drivers)
{
	pid_t pid;

	forget(answers, devices);
	fflush(stdout);
	pid = fork();
	if (pid < 0)
		die("cannot start a process: %s", strerror(errno));
	if (!pid) {
		if (drivers)
			pretend(drivers);
		answer_all(answers, devices);
		answers->done = true;
		_exit(0);
	}
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	if (!answers->done)
		forget(answers, devices);
	return answers->done;
}

static bool any_rxe(const struct devices *devices, const struct answers *answers,
		    enum provider provider)
{
	for (size_t i = 0; i < devices->nr; i++)
		if (is_rxe(&devices->device[i]) && answers->of[i].provider == provider)
			return true;
	return false;
}

static void take_answers(struct devices *devices, const struct answers *answers)
{
	struct device *device = devices->device;

	for (size_t i = 0; i < devices->nr; i++, device++) {
		if (!is_rxe(device))
			continue;
		device->provider = answers->of[i].provider;
		snprintf(device->provider_file, sizeof(device->provider_file), "%s",
			 answers->of[i].file);
	}
}

/* Of all that the environment may give, and what it would if told. */
static void ask_all(struct devices *devices, struct answers *answers)
{
	if (!ask(answers, devices, NULL)) {
		take_answers(devices, answers);
		devices->crash = ask(answers, devices, "") ? CRASH_ENVIRONMENT : CRASH_CONFIGURED;
		return;
	}
	take_answers(devices, answers);
	devices->provider_installed = any_rxe(devices, answers, PROVIDER_PHYR);
	if (!any_rxe(devices, answers, PROVIDER_RXE) &&
	    !any_rxe(devices, answers, PROVIDER_OTHER) && !any_rxe(devices, answers, PROVIDER_NONE))
		return;
	if (!ask(answers, devices, "phyr"))
		devices->crash = CRASH_PHYR;
	devices->provider_installed |= any_rxe(devices, answers, PROVIDER_PHYR);
}

void providers_look(struct devices *devices)
{
	size_t room = sizeof(struct answers) + devices->nr * sizeof(struct answer);
	struct answers *answers;

	if (!devices->nr)
		return;
	answers = mmap(NULL, room, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (answers == MAP_FAILED)
		die("no memory");
	ask_all(devices, answers);
	munmap(answers, room);
}
