// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * witness.so: says which provider a program uses. It is for LD_PRELOAD.
 *
 * It proves little that a provider is loaded, since libibverbs loads all that it knows. So
 * witness.so adds a line to the file $PHYR_WITNESS for each device that a process opens. The line
 * has the process, and the library whose function polls the CQs of the new context.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <infiniband/verbs.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void bear_witness(const struct ibv_context *context)
{
	const char *path = getenv("PHYR_WITNESS");
	Dl_info info = { .dli_fname = "unknown" };
	FILE *f = path ? fopen(path, "ae") : NULL;

	if (!f) {
		fprintf(stderr, "witness: cannot open $PHYR_WITNESS: %m\n");
		_exit(2);
	}
	dladdr((void *)context->ops.poll_cq, &info);
	fprintf(f, "%d %s %s\n", getpid(), program_invocation_short_name, info.dli_fname);
	fclose(f);
}

struct ibv_context *ibv_open_device(struct ibv_device *device)
{
	/* RTLD_NEXT would not see libraries that Python has loaded. */
	struct ibv_context *(*real)(struct ibv_device *device) =
		dlsym(dlopen("libibverbs.so.1", RTLD_LAZY), "ibv_open_device");
	struct ibv_context *context = real(device);
	int err = errno;

	if (context)
		bear_witness(context);
	errno = err;
	return context;
}
