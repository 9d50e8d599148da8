// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Calls each function of libphyr.so.1 once, for objects that no provider owns, and prints what it
 * returned.
 *
 * tests/provider/stubs runs it with one libibverbs and one provider after another. So it uses only
 * libibverbs' structures, and calls none of its functions.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <infiniband/phyrdv.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Behind a provider's struct ibv_device is the address of its operations. Here that is NULL. */
static struct {
	struct ibv_device device;
	void *operations[16];
} device;

static struct ibv_context context = { .device = &device.device };
static struct ibv_pd pd = { .context = &context };
static struct ibv_mr mr = { .context = &context, .pd = &pd };

int main(void)
{
	struct phyrdv_reg_mr_attr reg_mr_attr = {};
	struct phyrdv_device_attr device_attr;
	struct phyrdv_mr_attr mr_attr;
	struct phyrdv_extent extent;
	uint32_t nr;
	int error = errno;

	/*
	 * The library's constructor must leave errno and dlerror() alone. Other libraries that are
	 * preloaded may set errno.
	 */
	if ((error && !getenv("LD_PRELOAD")) || dlerror())
		puts("errno and dlerror() are not as they were");

	errno = 0;
	printf("is_supported %d", phyrdv_is_supported(&device.device));
	printf(" %s", strerrorname_np(errno));
	error = phyrdv_query_device(&context, &device_attr, sizeof(device_attr));
	printf(", query_device %s", strerrorname_np(error));
	error = phyrdv_query_mr(&mr, &mr_attr, sizeof(mr_attr));
	printf(", query_mr %s", strerrorname_np(error));
	error = phyrdv_mr_extents(&mr, 0, &extent, 1, &nr);
	printf(", mr_extents %s", strerrorname_np(error));
	errno = 0;
	printf(", reg_mr %d", !!phyrdv_reg_mr(&pd, NULL, 0, 0, 0, &reg_mr_attr,
					      sizeof(reg_mr_attr)));
	printf(" %s\n", strerrorname_np(errno));
	return 0;
}
