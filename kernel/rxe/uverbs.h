/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
#ifndef PHYR_RXE_UVERBS_H
#define PHYR_RXE_UVERBS_H

#include <rdma/uverbs_ioctl.h>

extern const struct uapi_definition phyr_rxe_uapi_defs[];

#endif
