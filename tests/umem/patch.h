/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * The livepatch phyr_umem.ko: tests put it in and take it out while they run.
 *
 * The kernel does not enable a patch again that was disabled. So putting it in loads the module,
 * and taking it out unloads it. Both wait until every task has changed over.
 */
#ifndef PHYR_TESTS_UMEM_PATCH_H
#define PHYR_TESTS_UMEM_PATCH_H

#include <stdbool.h>

/* Load a module of this clone. Returns 0 or an errno. */
int patch_load(const char *module);
/* Load phyr.ko, which the livepatch needs. Exits if it cannot. */
void patch_prepare(void);
bool patch_is_in(void);
/* Begin to take the patch out. patch_set(false) finishes that. */
int patch_disable(void);
/* Put the patch in or take it out, if it is not in that state already. */
int patch_set(bool in);

#endif
