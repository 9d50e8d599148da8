// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * phyr_info: what is missing, and the commands that mend it.
 *
 * A hint is given only if it is true. It is given once, with all the devices that it is about. Its
 * commands are for the machine at hand: they name its devices, and are the next step to take. Some
 * hints have no commands, since nothing helps. If commands remove all Soft-RoCE devices, they also
 * make all of them again, even hidden ones.
 */
#define _GNU_SOURCE
#include <pwd.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "info.h"

#define INSTALL "cmake -B build -DBUILD_TESTING=OFF && cmake --build build && " \
	"cmake --install build && ldconfig && depmod"
#define INSTALL_WITHOUT_MODULES "cmake -B build -DBUILD_TESTING=OFF -DPHYR_KERNELS= && " \
	"cmake --build build && cmake --install build && ldconfig"

static struct hint *hint_find(struct hints *hints, const char *name)
{
	for (size_t i = 0; i < hints->nr; i++)
		if (!strcmp(hints->hint[i].name, name))
			return &hints->hint[i];
	return NULL;
}

/* Add a hint, or return the one of that name, which says the same already. */
__printf(3, 4)
static struct hint *hint_add(struct hints *hints, const char *name, const char *format, ...)
{
	struct hint *hint = hint_find(hints, name);
	va_list args;

	if (hint)
		return hint;
	hints->hint = more_room(hints->hint, hints->nr, sizeof(*hint));
	hint = &hints->hint[hints->nr++];
	*hint = (struct hint){ .name = name };
	va_start(args, format);
	vsnprintf(hint->why, sizeof(hint->why), format, args);
	va_end(args);
	return hint;
}

/* The kernel's side of a device. */

/*
 * This hint comes before the commands that load a module. Otherwise these would remove devices, and
 * then the kernel would refuse the module. The hint is also given if no file is installed yet,
 * since the files must be signed once they are.
 */
static void must_be_signed(struct hints *hints, const struct machine *machine,
			   const struct module *module)
{
	struct hint *hint;

	if (!machine->signed_only || (module->installed && !module->is_unsigned))
		return;
	hint = hint_add(hints, "modules-not-signed",
			"this kernel refuses modules that are not signed by a key that it trusts (%s); sign phyr's when they are installed, before you load them",
			machine->signed_only);
	strings_add(&hint->commands,
		    "for file in /lib/modules/%s/updates/phyr/*.ko; do /lib/modules/%s/build/scripts/sign-file sha256 KEY CERTIFICATE $file; done",
		    machine->kernel, machine->kernel);
}

static struct hint *install(struct hints *hints, const struct machine *machine,
			    const struct module *module)
{
	struct hint *hint;

	if (machine->modules_hidden)
		return hint_add(hints, "modules-hidden",
				"there is no /lib/modules/%s: a container does not see the host's modules; ask phyr_info on the host what is missing",
				machine->kernel);
	must_be_signed(hints, machine, module);
	if (module->unknown_to_modprobe) {
		hint = hint_add(hints, "depmod",
				"phyr's modules are there, but modprobe does not know them");
		strings_add(&hint->commands, "depmod");
	} else {
		hint = hint_add(hints, "not-installed",
				"phyr's modules are not installed for kernel %s; in phyr's source (see README.md)",
				machine->kernel);
		strings_add(&hint->commands, INSTALL);
	}
	return hint;
}

static void make_rxes_again(struct hint *hint, const struct devices *devices)
{
	const struct device *device = devices->device;

	for (size_t i = 0; i < devices->nr; i++, device++)
		if (is_rxe(device))
			strings_add(&hint->commands, "rdma link add %s type rxe netdev %s",
				    device->name,
				    device->netdev[0] ? device->netdev : "INTERFACE");
}

static struct hint *load_rxe(struct hints *hints, const struct machine *machine,
			     const struct devices *devices)
{
	struct hint *hint;

	must_be_signed(hints, machine, &machine->rdma_rxe);
	hint = hint_add(hints, "rxe-not-loaded",
			"phyr's rdma_rxe is installed, but not loaded; unloading the other one removes its devices");
	strings_add(&hint->commands, "modprobe -r rdma_rxe; modprobe rdma_rxe");
	make_rxes_again(hint, devices);
	return hint;
}

/* The hint for a device that the livepatch cannot help; NULL if it can. */
static struct hint *livepatch_impossible(struct hints *hints, const struct device *device,
					 const struct machine *machine)
{
	if (!strcmp(device->driver, "usnic"))
		return hint_add(hints, "driver-pins-itself",
				"this driver does not use the kernel's ib_umem, so phyr cannot serve it");
	if (!machine->can_livepatch)
		return hint_add(hints, "no-livepatches",
				"phyr serves this driver by a livepatch, but this kernel has no livepatches");
	if (machine->foreign_core)
		return hint_add(hints, "foreign-rdma-core",
				"phyr serves this driver by a livepatch, which fits the kernel's own RDMA core, but another one is loaded");
	return NULL;
}

static struct hint *livepatch_changing(struct hints *hints, const struct machine *machine)
{
	struct hint *hint;

	if (machine->livepatch == LIVEPATCH_ENABLING) {
		hint = hint_add(hints, "livepatch-enabling",
				"the livepatch is on its way in; if that takes long, these tasks hold it up");
		strings_add(&hint->commands, "grep -slx 0 /proc/[0-9]*/task/[0-9]*/patch_state");
		return hint;
	}
	hint = hint_add(hints, "livepatch-disabling", "the livepatch is on its way out");
	strings_add(&hint->commands, "echo 1 >/sys/kernel/livepatch/phyr_umem/enabled");
	return hint;
}

/* The hint with the next step to an applied livepatch. */
static struct hint *livepatch_possible(struct hints *hints, const struct machine *machine)
{
	struct hint *hint;

	if (!machine->phyr_umem.installed)
		return install(hints, machine, &machine->phyr_umem);
	must_be_signed(hints, machine, &machine->phyr_umem);
	if (machine->livepatch == LIVEPATCH_OFF) {
		hint = hint_add(hints, "livepatch-off",
				"the livepatch was disabled, and must be loaded again");
		strings_add(&hint->commands, "rmmod phyr_umem; modprobe phyr_umem");
		return hint;
	}
	hint = hint_add(hints, "livepatch-not-loaded",
			"phyr serves this driver by a livepatch, which is not loaded");
	strings_add(&hint->commands, "modprobe phyr_umem");
	return hint;
}

static void kernel_hints(struct hints *hints, const struct device *device,
			 const struct machine *machine, const struct devices *devices)
{
	struct hint *hint;

	if (through_phyr(device))
		return;
	if (device->way == WAY_CHANGING)
		hint = livepatch_changing(hints, machine);
	else if (is_rxe(device))
		hint = machine->rdma_rxe.installed ? load_rxe(hints, machine, devices) :
		       install(hints, machine, &machine->rdma_rxe);
	else
		hint = livepatch_impossible(hints, device, machine);
	if (!hint)
		hint = livepatch_possible(hints, machine);
	strings_add(&hint->devices, "%s", device->name);
}

/* How to make the first device. */
static void first_device_hints(struct hints *hints, const struct machine *machine,
			       const struct devices *devices)
{
	const struct module *rxe = &machine->rdma_rxe;
	struct hint *hint;

	if (!rxe->installed)
		install(hints, machine, rxe);
	else if (rxe->loaded && !rxe->ours)
		load_rxe(hints, machine, devices);
	else if (!rxe->loaded)
		must_be_signed(hints, machine, rxe);
	if (machine->modules_hidden)
		return;
	hint = hint_add(hints, "no-devices", "there are no RDMA devices; for Soft-RoCE%s",
			rxe->installed ? ", with phyr's rdma_rxe" : "");
	strings_add(&hint->commands, "modprobe rdma_rxe");
	strings_add(&hint->commands, "rdma link add rxe0 type rxe netdev INTERFACE");
}

/* How programs find a device and its provider. "not-installed" installs the provider, too. */

static void not_first(struct hint *hint)
{
	if (getenv("RDMAV_DRIVERS"))
		strings_add(&hint->commands, "unset RDMAV_DRIVERS");
	strings_add(&hint->commands, "export IBV_DRIVERS=phyr");
}

/* The variable that libibverbs reads. The old name, RDMAV_DRIVERS, hides the new one. */
static const char *drivers_variable(void)
{
	return getenv("RDMAV_DRIVERS") ? "RDMAV_DRIVERS" :
	       getenv("IBV_DRIVERS") ? "IBV_DRIVERS" : NULL;
}

static struct hint *crash(struct hints *hints, enum crash crash)
{
	const char *variable = crash == CRASH_ENVIRONMENT ? drivers_variable() : NULL;
	struct hint *hint;

	if (crash == CRASH_PHYR)
		return hint_add(hints, "provider-crashes",
				"libphyr crashes when libibverbs loads it; please report this");
	hint = hint_add(hints, "provider-crashes",
			"a provider crashes when libibverbs loads it, and with it any program; %s names it",
			variable ? variable : "a file in /etc/libibverbs.d");
	if (variable)
		strings_add(&hint->commands, "unset %s", variable);
	else /* The last one of which there is word. */
		strings_add(&hint->commands,
			    "LD_DEBUG=files phyr_info 2>&1 >/dev/null | grep 'calling init:.*rdmav' | tail -n 1");
	return hint;
}

/* libibverbs does not list a device without a file in /dev, whatever the providers. */
static struct hint *no_node(struct hints *hints, const struct device *device)
{
	unsigned int major, minor;
	struct hint *hint;
	char numbers[32];

	if (!device->uverbs[0] || exists("/dev/infiniband/%s", device->uverbs))
		return NULL;
	hint = hint_add(hints, "no-device-node",
			"programs do not find the device, as it is not in /dev/infiniband; start a container with --device /dev/infiniband, and elsewhere run");
	if (!read_text(numbers, sizeof(numbers), "/sys/class/infiniband_verbs/%s/dev",
		       device->uverbs) || sscanf(numbers, "%u:%u", &major, &minor) != 2)
		return hint;
	strings_add(&hint->commands, "mkdir -p /dev/infiniband");
	strings_add(&hint->commands, "mknod -m 666 /dev/infiniband/%s c %u %u", device->uverbs,
		    major, minor);
	return hint;
}

static struct hint *not_ours(struct hints *hints, const struct machine *machine,
			     const struct devices *devices)
{
	struct hint *hint;

	if (devices->crash == CRASH_PHYR)
		return crash(hints, devices->crash);
	if (devices->provider_installed) {
		hint = hint_add(hints, "provider-not-first",
				"programs do not get libphyr, which prepares memory for registration");
		not_first(hint);
		return hint;
	}
	if (hint_find(hints, "not-installed"))
		return NULL;
	hint = hint_add(hints, "provider-not-installed",
			"libphyr, which prepares memory for registration, is not installed; in phyr's source");
	strings_add(&hint->commands, machine->modules_hidden ? INSTALL_WITHOUT_MODULES : INSTALL);
	return hint;
}

static void provider_hints(struct hints *hints, const struct device *device,
			   const struct machine *machine, const struct devices *devices)
{
	struct hint *hint = NULL;

	switch (device->provider) {
	case PROVIDER_NOT_ASKED:
		hint = no_node(hints, device);
		break;
	case PROVIDER_UNKNOWN:
		hint = devices->crash ? crash(hints, devices->crash) : no_node(hints, device);
		break;
	case PROVIDER_NONE:
		hint = no_node(hints, device);
		if (!hint)
			hint = not_ours(hints, machine, devices);
		break;
	case PROVIDER_RXE:
	case PROVIDER_OTHER:
		hint = not_ours(hints, machine, devices);
		break;
	default:
		break;
	}
	if (hint)
		strings_add(&hint->devices, "%s", device->name);
}

/* The machine. */

/* All modules are unloaded from the top down, and loaded again. */
static void stale_hint(struct hints *hints, const struct machine *machine,
		       const struct devices *devices)
{
	struct hint *hint;

	if (!machine->phyr.stale && !machine->rdma_rxe.stale && !machine->phyr_umem.stale)
		return;
	must_be_signed(hints, machine, &machine->phyr);
	if (machine->rdma_rxe.ours)
		must_be_signed(hints, machine, &machine->rdma_rxe);
	if (machine->phyr_umem.loaded)
		must_be_signed(hints, machine, &machine->phyr_umem);
	hint = hint_add(hints, "stale-modules",
			"the modules of phyr that are loaded are not those that are installed");
	if (machine->phyr_umem.loaded)
		strings_add(&hint->commands,
			    "echo 0 >/sys/kernel/livepatch/phyr_umem/enabled; until rmmod phyr_umem; do sleep 1; done");
	if (machine->rdma_rxe.ours)
		strings_add(&hint->commands, "modprobe -r rdma_rxe");
	strings_add(&hint->commands, "modprobe -r phyr");
	if (machine->phyr_umem.loaded)
		strings_add(&hint->commands, "modprobe phyr_umem");
	if (machine->rdma_rxe.ours) {
		strings_add(&hint->commands, "modprobe rdma_rxe");
		make_rxes_again(hint, devices);
	}
}

static bool can_be_raised(const struct rlimit *limit)
{
	return limit->rlim_max > limit->rlim_cur;
}

/* Nobody logs in to a container, so its /etc/security is not read. */
static bool in_container(const struct machine *machine)
{
	return machine->modules_hidden || machine->other_user_ns;
}

static const char *memlock_remedy(const struct machine *machine)
{
	if (can_be_raised(&machine->memlock))
		return "";
	if (machine->other_user_ns)
		return ", start the container with --ulimit memlock=-1:-1";
	if (in_container(machine))
		return ", start the container with --ulimit memlock=-1:-1 or --cap-add IPC_LOCK";
	return ", as root, and log in again (a service has LimitMEMLOCK=infinity in its unit)";
}

static void memlock_hint(struct hints *hints, const struct machine *machine)
{
	const struct rlimit *limit = &machine->memlock;
	const struct passwd *user;
	struct hint *hint;

	if (!machine->memlock_limited)
		return;
	hint = hint_add(hints, "memlock",
			"a program started from here may register %s, no more; to change that%s",
			bytes_text(limit->rlim_cur).text, memlock_remedy(machine));
	if (limit->rlim_max == RLIM_INFINITY) {
		strings_add(&hint->commands, "ulimit -l unlimited");
	} else if (can_be_raised(limit)) {
		strings_add(&hint->commands, "ulimit -l %ju", (uintmax_t)limit->rlim_max / 1024);
	} else if (!in_container(machine)) {
		user = getpwuid(getuid());
		strings_add(&hint->commands,
			    "echo '%s - memlock unlimited' >>/etc/security/limits.d/phyr.conf",
			    user ? user->pw_name : "*");
	}
}

/* libphyr makes huge pages if the setting is "madvise". Without it, memory needs "always". */
static const char *thp_wanted(const struct devices *devices)
{
	for (size_t i = 0; i < devices->nr; i++)
		if (!devices->device[i].hidden && devices->device[i].provider != PROVIDER_PHYR)
			return "always";
	return "madvise";
}

static void huge_page_hint(struct hints *hints, const struct machine *machine,
			   const struct devices *devices)
{
	struct hint *hint;

	if (machine->thp_possible)
		return;
	for (size_t i = 0; i < machine->nr_pools; i++)
		if (machine->pools[i].nr || machine->pools[i].overcommit)
			return;
	hint = hint_add(hints, "no-huge-pages",
			"there are no huge pages, neither transparent nor reserved ones%s",
			machine->thp[0] ? "; to get them, run one of" : "");
	if (machine->thp[0])
		strings_add(&hint->commands, "echo %s >%s", thp_wanted(devices),
			    machine->thp_file);
	strings_add(&hint->commands, "sysctl vm.nr_hugepages=NUMBER");
}

void hints_find(struct hints *hints, const struct machine *machine, const struct devices *devices)
{
	*hints = (struct hints){ 0 };
	if (!devices->nr)
		first_device_hints(hints, machine, devices);
	for (size_t i = 0; i < devices->nr; i++)
		if (!devices->device[i].hidden)
			kernel_hints(hints, &devices->device[i], machine, devices);
	for (size_t i = 0; i < devices->nr; i++)
		if (!devices->device[i].hidden)
			provider_hints(hints, &devices->device[i], machine, devices);
	stale_hint(hints, machine, devices);
	memlock_hint(hints, machine);
	huge_page_hint(hints, machine, devices);
}

void hints_free(struct hints *hints)
{
	for (size_t i = 0; i < hints->nr; i++) {
		strings_free(&hints->hint[i].devices);
		strings_free(&hints->hint[i].commands);
	}
	free(hints->hint);
}
