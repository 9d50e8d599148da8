// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * phyr_umem_wrong.ko: a livepatch that must not load. ib_umem has a function of the name
 * that it replaces, but drivers do not reach it. The same would happen to phyr_umem.ko if
 * the compiler had inlined its function into the callers.
 */
#define UMEM_FUNCTION "ib_umem_copy_from"

#include "../../kernel/umem/reach.c"
#include "../../kernel/umem/livepatch.c"
