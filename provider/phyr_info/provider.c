// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * phyr_info: which user-space provider a program that is started from here gets.
 *
 * We let libibverbs list the devices. It loads the providers that the environment and
 * /etc/libibverbs.d name, and gives each device to the first provider that takes it. The file that
 * holds the provider's operations is the provider. If it has phyr's symbol, it is libphyr. Other
 * providers are known by the name of the file. phyr_info is not linked with libphyr.so.1, since
 * that would always load libphyr.
 *
 * A process loads providers only once, so a process of its own asks each question. The first asks
 * which providers the environment gives. If libphyr is not among them, the second asks which ones
 * IBV_DRIVERS=phyr would give. A provider may end the process that loads it: then the process does
 * not say that it is done.
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

/* librxe is only a provider, which nothing links with, so this part of its file name is certain. */
#define LIBRXE "librxe-rdmav"

struct answer {
	enum provider provider;
	char file[PATH_MAX];
};

struct answers {
	bool done;
	struct answer of[];	/* each device */
};

/* NULL if the provider is not known. */
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
 * The provider's operations. libibverbs' struct verbs_device has a pointer to them right behind the
 * part that programs see of a device. dladdr() looks up the pointer without following it.
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

/*
 * Set the environment to ask for these drivers, or, if @drivers is "", only for those of
 * /etc/libibverbs.d. RDMAV_DRIVERS is the old name of IBV_DRIVERS, and hides it.
 */
static void pretend(const char *drivers)
{
	int null = open("/dev/null", O_WRONLY | O_CLOEXEC);

	unsetenv("RDMAV_DRIVERS");
	if (*drivers)
		setenv("IBV_DRIVERS", drivers, 1);
	else
		unsetenv("IBV_DRIVERS");
	/* libibverbs complains on stderr of drivers that do not exist. */
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

/* Ask in an environment with @drivers, or in ours if that is NULL. False if a provider crashes. */
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

/* Ask what the environment gives, and if that is not libphyr, what IBV_DRIVERS=phyr would give. */
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
