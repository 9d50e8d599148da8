/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
#ifndef PHYR_RXE_MR_H
#define PHYR_RXE_MR_H

#include "rxe.h"
#include "rxe_loc.h"

#include "compat.h"
#include "umem/umem.h"

/* The memory of a user MR or a fast MR. */
static inline struct phyr_array *mr_phyrs(const struct rxe_mr *mr)
{
	return &to_phyr_umem(mr->umem)->phyrs;
}

/* The same for any MR: NULL if it does not stand on phyrs. */
static inline struct phyr_umem *mr_phyr_umem(struct rxe_mr *mr)
{
	return mr->umem && !is_odp_mr(mr) ? to_phyr_umem(mr->umem) : NULL;
}

#endif
