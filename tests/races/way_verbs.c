// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Pins that are MRs.
 *
 * The MR under test is the local side of each transfer, with a scatter/gather entry for each page.
 * So the heads of 30 pages go in one packet. An RDMA write gathers from the MR, an RDMA read
 * scatters into it. The remote side is a buffer of ours.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "race.h"
#include "rdma.h"

struct pins_of {
	struct pair pair;
	struct ibv_mr *mr;		/* under test */
	char *addr;
	struct ibv_mr *heads_mr, *values_mr;
	struct head heads[MAX_SAMPLE];
	uint64_t values[MAX_SAMPLE];
};

static bool verbs_available(void)
{
	return true;
}

static void verbs_close(struct pins_of *p)
{
	pair_close(&p->pair);
	mr_dereg(&p->mr);
	mr_dereg(&p->heads_mr);
	mr_dereg(&p->values_mr);
	free(p);
}

static struct pins_of *verbs_open(unsigned int id)
{
	struct pins_of *p = aligned_alloc(SZ_4K, 2 * SZ_4K);

	(void)id;
	if (!p)
		die("out of memory");
	memset(p, 0, sizeof(*p));
	p->heads_mr = mr_reg(p->heads, sizeof(p->heads), ACCESS_ALL);
	p->values_mr = mr_reg(p->values, sizeof(p->values), ACCESS_ALL);
	if (p->heads_mr && p->values_mr && !pair_open(&p->pair, dev.pd))
		return p;
	verbs_close(p);
	fault("cannot connect two QPs");
	return NULL;
}

static int verbs_pin(struct pins_of *p, char *addr, size_t len, bool writable)
{
	p->mr = ibv_reg_mr(dev.pd, addr, len, writable ? ACCESS_ALL : IBV_ACCESS_REMOTE_READ);
	p->addr = addr;
	return p->mr ? 0 : errno;
}

static int verbs_unpin(struct pins_of *p)
{
	int err = ibv_dereg_mr(p->mr);

	p->mr = NULL;
	return err ? fault("ibv_dereg_mr: %s", errno_name(err)) : 0;
}

/* Transfer size bytes at offset off of each page from or to successive places at raddr. */
static int transfer(struct pins_of *p, enum ibv_wr_opcode opcode, const unsigned int *page,
		    unsigned int n, size_t off, size_t size, const void *raddr,
		    const struct ibv_mr *remote)
{
	struct ibv_sge sges[MAX_SGE];
	struct ibv_send_wr wr = { .opcode = opcode, .sg_list = sges };
	struct ibv_wc wc;
	unsigned int i, j;

	for (i = 0; i < n; i += j) {
		for (j = 0; j < MAX_SGE && i + j < n; j++)
			sges[j] = sge(p->addr + page[i + j] * SZ_4K + off, size, p->mr);
		wr.num_sge = j;
		wr.wr.rdma.remote_addr = (uintptr_t)raddr + i * size;
		wr.wr.rdma.rkey = remote->rkey;
		if (post_send(p->pair.qp[0], &wr) ||
		    wait_wc(p->pair.cq[0], IBV_WC_SUCCESS, &wc))
			return fault("an RDMA operation failed");
	}
	return 0;
}

static int verbs_read(struct pins_of *p, const unsigned int *page, unsigned int n,
		      struct head *head)
{
	int err = transfer(p, IBV_WR_RDMA_WRITE, page, n, 0, sizeof(*head), p->heads, p->heads_mr);

	memcpy(head, p->heads, n * sizeof(*head));
	return err;
}

static int verbs_write(struct pins_of *p, const unsigned int *page, unsigned int n,
		       unsigned int slot, const uint64_t *value)
{
	memcpy(p->values, value, n * sizeof(*value));
	return transfer(p, IBV_WR_RDMA_READ, page, n, offsetof(struct head, slot[slot]),
			sizeof(*value), p->values, p->values_mr);
}

const struct way way_verbs = {
	.name = "verbs",
	.available = verbs_available,
	.open = verbs_open,
	.close = verbs_close,
	.pin = verbs_pin,
	.unpin = verbs_unpin,
	.read = verbs_read,
	.write = verbs_write,
};
