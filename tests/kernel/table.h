/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * What an open file of a test device owns, by id.
 *
 * A caller enters an object when it is complete, and takes it out before undoing it.
 * So objects in the table can be used. A caller that looks an object up holds the
 * table's mutex while it uses the object. A caller that takes an object out owns it.
 * So making and undoing objects, which may take long, need no lock. Nor does the
 * last close, since nobody else has the file.
 *
 * Callers access user memory while they hold the mutex. Such an access may wait for
 * user space (userfaultfd) without end. So waiting for the mutex is killable.
 */
#ifndef PHYR_TABLE_H
#define PHYR_TABLE_H

#include <linux/err.h>
#include <linux/mutex.h>
#include <linux/slab.h>
#include <linux/xarray.h>

struct table {
	struct xarray objects;
	struct mutex lock;	/* held while an object that was looked up is used */
};

static inline void table_init(struct table *table)
{
	xa_init_flags(&table->objects, XA_FLAGS_ALLOC1);
	mutex_init(&table->lock);
}

/* Allocate a table, for kfree() after table_destroy(). NULL if there is no memory. */
static inline struct table *table_alloc(void)
{
	struct table *table = kzalloc(sizeof(*table), GFP_KERNEL);

	if (table)
		table_init(table);
	return table;
}

/* The caller has undone all objects. */
static inline void table_destroy(struct table *table)
{
	xa_destroy(&table->objects);
	mutex_destroy(&table->lock);
}

/* Reserve an id before the object is made, since table_enter() must not fail. */
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

/* Take an object out. The caller owns it then. */
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
