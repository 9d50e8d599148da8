/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * For files of kernel/core that go through an array run by run, in whole pages.
 */
#ifndef PHYR_PAGES_H
#define PHYR_PAGES_H

#include <linux/mm.h>
#include <linux/sched/signal.h>
#include <phyr/phyr.h>

/*
 * phyr_array_next_run() in whole pages, which is what is pinned: only the
 * region's first byte and its last can lie within a page.
 */
static inline bool phyr_array_next_pages(const struct phyr_array *array, struct phyr_iter *iter,
					 struct phyr *pages)
{
	size_t head;

	if (!phyr_array_next_run(array, iter, pages))
		return false;
	head = pages->addr & ~PAGE_MASK;
	pages->addr -= head;
	pages->len = PAGE_ALIGN(head + pages->len);
	return true;
}

/*
 * For loops over runs, of which there may be as many as pages: every now and
 * then, let others run. True then.
 */
static inline bool phyr_breathe(unsigned int *steps)
{
	if (++*steps % 4096)
		return false;
	cond_resched();
	return true;
}

/* The same for loops that can be given up: -EINTR if that is due. */
static inline int phyr_breathe_killable(unsigned int *steps)
{
	return phyr_breathe(steps) && fatal_signal_pending(current) ? -EINTR : 0;
}

#endif
