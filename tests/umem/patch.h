/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * The livepatch phyr_umem.ko: taken out and put in while we run.
 *
 * Once out, the kernel does not enable a patch again: it is another module then. So putting it in
 * loads the module, and taking it out unloads it. Both take as long as it takes until every task
 * has changed over.
 */
#ifndef PHYR_TESTS_UMEM_PATCH_H
#define PHYR_TESTS_UMEM_PATCH_H

#include <stdbool.h>

/* Load a module that was built here: 0 or an errno. */
int patch_load(const char *module);
/* Load what it needs: phyr.ko. Exits if it cannot. */
void patch_prepare(void);
bool patch_is_in(void);
/* Begin to take it out; patch_set(false) ends it. */
int patch_disable(void);
/* Put it in or take it out, unless it is so already. */
int patch_set(bool in);

#endif
