/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
#ifndef PHYR_UMEM_REACH_H
#define PHYR_UMEM_REACH_H

int phyr_umem_check_reach(void);

#endif
