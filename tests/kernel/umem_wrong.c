// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * phyr_umem_wrong.ko: the livepatch as it would be if the compiler had put the function
 * that it replaces into its callers. There is a function of the name in ib_umem, but
 * drivers do not get there. It must not load.
 */
#define UMEM_FUNCTION "ib_umem_copy_from"

#include "../../kernel/umem/reach.c"
#include "../../kernel/umem/livepatch.c"
