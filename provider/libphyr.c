// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * libphyr.so.1: what programs link with. It finds the provider, and passes calls on to it.
 *
 * The provider, libphyr-rdmavN.so, uses libibverbs' private interface, and works only with version
 * N of it. This library uses nothing of libibverbs, so a program that is linked with it starts with
 * any libibverbs. It asks the libibverbs at hand for N, and opens the provider of that name.
 *
 * libibverbs gives a device to the first provider that it has loaded and that takes it. So the
 * constructor opens the provider, before the program can ask for devices: a program that is linked
 * with libphyr has phyr as its provider. libibverbs may open the provider, too, before us or after
 * us. The dynamic linker still loads it once, since it knows it by its SONAME and by its file.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>

#include "plugin.h"

enum { MAX_INTERFACE = 999 };

/* Where to look for the provider. */
static const char *const places[] = {
	/* Beside this library, as in a build directory. */
	"$ORIGIN/libphyr-rdmav%d.so",
	/* Where libibverbs looks. */
	PHYR_PROVIDER_DIR "libphyr-rdmav%d.so",
};

/* Only the constructor sets these. */
static const struct phyr_plugin_ops *ops;	/* NULL: there is no provider, ... */
static int why_not = ELIBACC;			/* ... and calls fail with this errno */

/* The version of libibverbs' private interface, or 0 if the library does not say. */
static int private_interface(void *libibverbs)
{
	char symbol[40], version[40];

	for (int n = 1; n <= MAX_INTERFACE; n++) {
		snprintf(symbol, sizeof(symbol), "verbs_register_driver_%d", n);
		snprintf(version, sizeof(version), "IBVERBS_PRIVATE_%d", n);
		if (dlvsym(libibverbs, symbol, version))
			return n;
	}
	return 0;
}

/* The provider's handle, or NULL; then dlerror() says why. */
static void *open_provider(int interface)
{
	char name[sizeof(PHYR_PROVIDER_DIR) + 40];
	void *provider;

	/* Take the one that libibverbs has opened, wherever it found it. */
	snprintf(name, sizeof(name), "libphyr-rdmav%d.so", interface);
	provider = dlopen(name, RTLD_NOW | RTLD_NOLOAD);
	for (size_t i = 0; i < sizeof(places) / sizeof(*places) && !provider; i++) {
		snprintf(name, sizeof(name), places[i], interface);
		provider = dlopen(name, RTLD_NOW);
	}
	return provider;
}

static void find_provider(void)
{
	const struct phyr_plugin_ops *found = NULL;
	void *libibverbs = dlopen("libibverbs.so.1", RTLD_NOW);
	int interface = libibverbs ? private_interface(libibverbs) : 0;
	void *provider = interface ? open_provider(interface) : NULL;

	if (libibverbs && !interface) {
		fputs("libphyr: libibverbs.so.1 does not say which providers it takes\n", stderr);
		return;
	}
	if (provider)
		found = dlsym(provider, PHYR_PLUGIN_OPS);
	if (!found) {
		fprintf(stderr, "libphyr: no provider, so devices are left to others: %s\n",
			dlerror());
		return;
	}
	if (found->version != PHYR_PLUGIN_VERSION || found->size < sizeof(*found)) {
		fprintf(stderr,
			"libphyr: libphyr-rdmav%d.so is of a release that does not fit libphyr.so.1\n",
			interface);
		why_not = ELIBBAD;
		return;
	}
	ops = found;
}

static __attribute__((constructor)) void start(void)
{
	int error = errno;

	find_provider();
	/* The program must not see the errors of what we tried. */
	dlerror();
	errno = error;
}

bool phyrdv_is_supported(struct ibv_device *device)
{
	if (ops)
		return ops->is_supported(device);
	errno = why_not;
	return false;
}

int phyrdv_query_device(struct ibv_context *context, struct phyrdv_device_attr *attr,
			uint32_t inlen)
{
	return ops ? ops->query_device(context, attr, inlen) : why_not;
}

int phyrdv_query_mr(struct ibv_mr *mr, struct phyrdv_mr_attr *attr, uint32_t inlen)
{
	return ops ? ops->query_mr(mr, attr, inlen) : why_not;
}

int phyrdv_mr_extents(struct ibv_mr *mr, uint64_t start, struct phyrdv_extent *extents,
		      uint32_t max_extents, uint32_t *nr_extents)
{
	return ops ? ops->mr_extents(mr, start, extents, max_extents, nr_extents) : why_not;
}

struct ibv_mr *phyrdv_reg_mr(struct ibv_pd *pd, void *addr, size_t length, uint64_t iova,
			     int access, const struct phyrdv_reg_mr_attr *attr, uint32_t inlen)
{
	if (ops)
		return ops->reg_mr(pd, addr, length, iova, access, attr, inlen);
	errno = why_not;
	return NULL;
}
