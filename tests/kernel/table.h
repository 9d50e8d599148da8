/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * What an open file of a test device owns, by id.
 *
 * An object is entered when it is complete and taken out before it is undone,
 * so what is in the table can be used. Whoever has looked an object up holds the
 * table's mutex for as long as it uses it; whoever has taken one out alone
 * has it. Making and undoing, which may take long, need no lock then. At the
 * last close nobody else has the file, and no lock is needed.
 *
 * The mutex is held over accesses to user memory. No page fault handler of
 * ours takes it, but one of user space (userfaultfd) may never come to an end:
 * therefore waiting for the mutex is killable.
 */
#ifndef PHYR_TABLE_H
#define PHYR_TABLE_H

#include <linux/err.h>
#include <linux/mutex.h>
#include <linux/slab.h>
#include <linux/xarray.h>

struct table {
	struct xarray objects;
	struct mutex lock;	/* keeps objects that were looked up in the table */
};

static inline void table_init(struct table *table)
{
	xa_init_flags(&table->objects, XA_FLAGS_ALLOC1);
	mutex_init(&table->lock);
}

/* One of its own, for kfree() after table_destroy(); NULL if there is no memory. */
static inline struct table *table_alloc(void)
{
	struct table *table = kzalloc(sizeof(*table), GFP_KERNEL);

	if (table)
		table_init(table);
	return table;
}

/* The objects have been undone. */
static inline void table_destroy(struct table *table)
{
	xa_destroy(&table->objects);
	mutex_destroy(&table->lock);
}

/* The id comes first, so that nothing can fail once others can find the object. */
static inline int table_reserve(struct table *table, u32 *id)
{
	return xa_alloc(&table->objects, id, NULL, xa_limit_32b, GFP_KERNEL);
}

static inline void table_cancel(struct table *table, u32 id)
{
	xa_release(&table->objects, id);
}

static inline void table_enter(struct table *table, u32 id, void *object)
{
	xa_store(&table->objects, id, object, GFP_KERNEL);
}

/* Look an object up. Unless an error is returned, table_put() must follow. */
static inline void *table_get(struct table *table, u32 id)
{
	void *object;

	if (mutex_lock_killable(&table->lock))
		return ERR_PTR(-EINTR);
	object = xa_load(&table->objects, id);
	if (object)
		return object;
	mutex_unlock(&table->lock);
	return ERR_PTR(-ENOENT);
}

static inline void table_put(struct table *table)
{
	mutex_unlock(&table->lock);
}

/* Take an object out: it is the caller's. */
static inline void *table_take(struct table *table, u32 id)
{
	void *object = table_get(table, id);

	if (IS_ERR(object))
		return object;
	xa_erase(&table->objects, id);
	table_put(table);
	return object;
}

#endif
