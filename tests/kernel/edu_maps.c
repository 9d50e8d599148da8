// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * /dev/phyr_edu: phyr_edu.h says what it does.
 *
 * Lifetimes: a mapping belongs to the open file, and is found there by its id; see
 * table.h. It contains the array of pinned memory, to which its DMA list refers.
 * The device stays while a file is open; see edu.c.
 *
 * PHYR_EDU_DMA knows nothing of mappings: the caller must not unmap memory that the
 * device is using. The kernel does not release a file during a call on it. So a
 * process that closes the file, or dies, leaves no transfer behind.
 */
#include <linux/dma-mapping.h>
#include <linux/kernel.h>
#include <linux/ktime.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include <phyr/phyr.h>

#include "device.h"
#include "edu.h"
#include "table.h"

static_assert(PHYR_EDU_BOTH_WAYS == DMA_BIDIRECTIONAL);
static_assert(PHYR_EDU_TO_DEVICE == DMA_TO_DEVICE);
static_assert(PHYR_EDU_FROM_DEVICE == DMA_FROM_DEVICE);

/* An open file. */
struct maps {
	struct edu *edu;
	struct table table;
};

struct map {
	struct phyr_array array;
	struct phyr_dma_list *list;
	bool writable;
};

static int set_limits(struct edu *edu, const struct phyr_edu_limits *args)
{
	int ret;

	if (!args->mask_bits || args->mask_bits > 64 || !args->max_segment || !args->boundary ||
	    (args->boundary & (args->boundary + 1)))
		return -EINVAL;
	ret = down_write_killable(&edu->limits);
	if (ret)
		return ret;
	ret = dma_set_mask_and_coherent(edu->dev, DMA_BIT_MASK(args->mask_bits));
	if (!ret) {
		dma_set_max_seg_size(edu->dev, args->max_segment);
		dma_set_seg_boundary(edu->dev, args->boundary);
	}
	up_write(&edu->limits);
	return ret;
}

static void undo_map(struct map *map)
{
	phyr_dma_unmap(map->list);
	phyr_unpin_user(&map->array, map->writable);
	kfree(map);
}

/* Map the pinned memory, and make its list. */
static int map_array(struct edu *edu, struct map *map, struct phyr_edu_map *args)
{
	u64 began;
	int ret;

	ret = down_read_killable(&edu->limits);
	if (ret)
		return ret;
	began = ktime_get_ns();
	map->list = phyr_dma_map(edu->dev, &map->array, args->start, args->dir, 0);
	args->ns = ktime_get_ns() - began;
	up_read(&edu->limits);
	if (IS_ERR(map->list))
		return PTR_ERR(map->list);
	args->runs = map->array.nr;
	args->ranges = map->list->ranges.nr;
	args->entries = map->list->nr;
	return 0;
}

static struct map *make_map(struct edu *edu, struct phyr_edu_map *args)
{
	struct map *map = kzalloc(sizeof(*map), GFP_KERNEL);
	int ret;

	if (!map)
		return ERR_PTR(-ENOMEM);
	map->writable = args->writable;
	ret = phyr_pin_user(&map->array, args->start, args->len, map->writable, NULL);
	if (ret)
		goto err_free;
	ret = map_array(edu, map, args);
	if (ret)
		goto err_unpin;
	return map;

err_unpin:
	phyr_unpin_user(&map->array, false);
err_free:
	kfree(map);
	return ERR_PTR(ret);
}

static int edu_map(struct maps *maps, struct phyr_edu_map __user *user)
{
	struct phyr_edu_map args;
	struct map *map;
	int ret;

	if (copy_from_user(&args, user, sizeof(args)))
		return -EFAULT;
	if (args.dir > PHYR_EDU_FROM_DEVICE)
		return -EINVAL;
	ret = table_reserve(&maps->table, &args.id);
	if (ret)
		return ret;
	map = make_map(maps->edu, &args);
	if (IS_ERR(map)) {
		table_cancel(&maps->table, args.id);
		return PTR_ERR(map);
	}
	if (copy_to_user(user, &args, sizeof(args))) {
		table_cancel(&maps->table, args.id);
		undo_map(map);
		return -EFAULT;
	}
	table_enter(&maps->table, args.id, map);
	return 0;
}

static int edu_unmap(struct maps *maps, struct phyr_edu_unmap *args)
{
	struct map *map = table_take(&maps->table, args->id);
	u64 began;

	if (IS_ERR(map))
		return PTR_ERR(map);
	began = ktime_get_ns();
	phyr_dma_unmap(map->list);
	args->ns = ktime_get_ns() - began;
	phyr_unpin_user(&map->array, map->writable);
	kfree(map);
	return 0;
}

static int breathe(void)
{
	cond_resched();
	return fatal_signal_pending(current) ? -EINTR : 0;
}

static int list_entries(const struct phyr_dma_list *list, struct phyr_edu_entries *args)
{
	struct phyr_edu_entry __user *to = u64_to_user_ptr(args->entries);
	struct phyr_dma_iter iter = {};
	struct phyr_dma entry;
	u64 nr, offset = 0;
	int ret;

	for (nr = 0; nr < args->nr; nr++) {
		struct phyr_edu_entry out = { .offset = offset };

		if (!phyr_dma_next_entry(list, &iter, &entry))
			break;
		out.addr = entry.addr;
		out.len = entry.len;
		if (copy_to_user(to + nr, &out, sizeof(out)))
			return -EFAULT;
		ret = breathe();
		if (ret)
			return ret;
		offset += entry.len;
	}
	args->nr = nr;
	return 0;
}

static int find(const struct phyr_dma_list *list, struct phyr_edu_find *args)
{
	struct phyr_dma found = phyr_dma_find(list, args->offset);

	args->addr = found.addr;
	args->len = found.len;
	return found.len ? 0 : -ERANGE;
}

static int list_blocks(const struct phyr_dma_list *list, struct phyr_edu_blocks *args)
{
	u64 __user *to = u64_to_user_ptr(args->blocks);
	size_t offset = 0;
	u64 nr, out;
	int ret;

	for (nr = 0; nr < args->nr; nr++) {
		dma_addr_t block;

		if (!phyr_dma_next_block(list, &offset, args->best, &block))
			break;
		out = block;
		if (copy_to_user(to + nr, &out, sizeof(out)))
			return -EFAULT;
		ret = breathe();
		if (ret)
			return ret;
	}
	args->nr = nr;
	return 0;
}

static int blocks(const struct phyr_dma_list *list, struct phyr_edu_blocks *args)
{
	args->best = phyr_dma_best_block(list, args->sizes, args->iova);
	if (args->best) {
		args->count = phyr_dma_nr_blocks(list, args->best, args->iova);
		return list_blocks(list, args);
	}
	args->count = 0;
	args->nr = 0;
	return 0;
}

union args {
	u32 id;	/* the first member of all that name a mapping */
	struct phyr_edu_limits limits;
	struct phyr_edu_unmap unmap;
	struct phyr_edu_entries entries;
	struct phyr_edu_find find;
	struct phyr_edu_blocks blocks;
	struct phyr_edu_dma dma;
	struct phyr_edu_ops ops;
};

/* Calls that look at a mapping. */
static int look_at_map(struct maps *maps, unsigned int cmd, union args *args)
{
	struct map *map = table_get(&maps->table, args->id);
	int ret;

	if (IS_ERR(map))
		return PTR_ERR(map);
	switch (cmd) {
	case PHYR_EDU_ENTRIES:
		ret = list_entries(map->list, &args->entries);
		break;
	case PHYR_EDU_FIND:
		ret = find(map->list, &args->find);
		break;
	case PHYR_EDU_BLOCKS:
		ret = blocks(map->list, &args->blocks);
		break;
	default:
		ret = -ENOTTY;
	}
	table_put(&maps->table);
	return ret;
}

static int ioctl_args(void *owner, unsigned int cmd, void *args)
{
	struct maps *maps = owner;

	switch (cmd) {
	case PHYR_EDU_LIMITS:
		return set_limits(maps->edu, args);
	case PHYR_EDU_UNMAP:
		return edu_unmap(maps, args);
	case PHYR_EDU_DMA:
		return edu_dma(maps->edu, args);
	case PHYR_EDU_OPS:
		return edu_set_ops(maps->edu, args);
	default:
		return look_at_map(maps, cmd, args);
	}
}

static long edu_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	void __user *user = (void __user *)arg;
	union args args = {};

	if (cmd == PHYR_EDU_MAP)
		return edu_map(file->private_data, user);
	return ioctl_with_args(cmd, user, &args, sizeof(args), ioctl_args, file->private_data);
}

static struct maps *alloc_maps(struct edu *edu)
{
	struct maps *maps = kzalloc(sizeof(*maps), GFP_KERNEL);

	if (!maps)
		return NULL;
	refcount_inc(&edu->users);
	maps->edu = edu;
	table_init(&maps->table);
	return maps;
}

static int edu_open(struct inode *inode, struct file *file)
{
	struct edu *edu = container_of(file->private_data, struct edu, misc);

	if (!may_open())
		return -EPERM;
	file->private_data = alloc_maps(edu);
	return file->private_data ? 0 : -ENOMEM;
}

static int edu_release(struct inode *inode, struct file *file)
{
	struct maps *maps = file->private_data;
	unsigned long id;
	struct map *map;

	xa_for_each(&maps->table.objects, id, map) {
		undo_map(map);
		cond_resched();
	}
	table_destroy(&maps->table);
	edu_put(maps->edu);
	kfree(maps);
	return 0;
}

const struct file_operations edu_fops = {
	.owner = THIS_MODULE,
	.open = edu_open,
	.release = edu_release,
	.unlocked_ioctl = edu_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
};
