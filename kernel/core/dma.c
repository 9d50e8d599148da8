// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * From an array to a DMA list: give a device access to pinned memory.
 *
 * There are three ways to map a region. In the order of preference:
 *
 *  iova   One stretch of the IOMMU's address space is allocated for the whole
 *         region, and the runs are linked into it one behind the other. The device
 *         sees one range. This takes a newer kernel and an IOMMU that translates.
 *  table  dma_map_sgtable() maps a scatterlist that is made for this purpose. The
 *         IOMMU layer of older kernels puts a list into one stretch, and has no
 *         other call that does. The list must be kept for unmapping.
 *  each   Each run is mapped by a call of its own, where there is no IOMMU, or no
 *         stretch that is long enough.
 *
 * All of them map whole pages, as for a scatterlist of ib_umem. Otherwise a device
 * that is not trusted would get copies of the first page and the last.
 *
 * A DMA list is kept as one more array, "ranges", over the same offsets. So it is
 * as compact as the array of the memory, and a look-up is as fast. Its ranges are
 * as long as they are; where the device wants shorter ones, they are cut when a
 * driver asks for them. Two runs can become one range. So the list does not have
 * the runs that were mapped: unmapping takes them from the array of the memory.
 *
 * The device and the CPU use the memory at the same time, for as long as the MR
 * lives. So nobody can sync, and a mapping that needs it (a bounce buffer, or a
 * device that does not snoop caches) is refused. See bounced().
 */
#include <linux/dma-mapping.h>
#include <linux/err.h>
#include <linux/export.h>
#include <linux/log2.h>
#include <linux/minmax.h>
#include <linux/scatterlist.h>
#include <linux/slab.h>
#include <linux/timekeeping.h>

#include "array.h"
#include "builder.h"
#include "compat.h"
#include "pages.h"
#include "sgtable.h"
#include "trace.h"

/* Runs unmapped between two looks at the scheduler, where that costs a flush of the IOTLB. */
#define UNLINK_RUNS 65536

enum way { WAY_IOVA, WAY_TABLE, WAY_EACH };

/**
 * struct mapping - a DMA list and what is needed to undo it
 * @list: what the caller sees
 * @dev: the device
 * @memory: array of the memory that is mapped
 * @dir: direction
 * @attrs: DMA_ATTR_* flags
 * @way: how it is mapped
 * @may_bounce: WAY_EACH: whether the device may be given a copy
 * @gap: WAY_IOVA: addresses of the stretch before the region
 * @iova: WAY_IOVA: the stretch of addresses
 * @table: WAY_TABLE: the scatterlist
 */
struct mapping {
	struct phyr_dma_list list;
	struct device *dev;
	const struct phyr_array *memory;
	enum dma_data_direction dir;
	unsigned long attrs;
	enum way way;
	bool may_bounce;
	size_t gap;
	union {
		struct dma_iova_state iova;
		struct sg_append_table table;
	};
};

/*
 * Whether the device is behind an IOMMU that translates, by pages that are not
 * larger than ours. (Only such an IOMMU has a merge boundary: its page size, less
 * one.) Then runs can be put one behind the other. And the memory itself is
 * mapped: of an IOMMU's pages, only those that are mapped in part may be copied,
 * and we map whole ones.
 */
static bool behind_iommu(struct device *dev)
{
	unsigned long boundary = dma_get_merge_boundary(dev);

	return boundary && !(boundary & PAGE_MASK);
}

/* --- iova --- */

/*
 * Unlink the first bytes, as many as were linked. That is done in parts, so that
 * others can run. A part must have been linked by calls of its own, since the IOMMU
 * may have a single entry for what was linked at once.
 */
static void unmap_iova(struct mapping *mapping, size_t linked)
{
	size_t unlinked = 0, end = 0;
	struct phyr_iter iter = {};
	unsigned int runs = 0;
	struct phyr pages;

	while (end < linked && phyr_array_next_pages(mapping->memory, &iter, &pages)) {
		end += pages.len;
		if (++runs % UNLINK_RUNS && end < linked)
			continue;
		dma_iova_unlink(mapping->dev, &mapping->iova, mapping->gap + unlinked,
				end - unlinked, mapping->dir, mapping->attrs);
		unlinked = end;
		cond_resched();
	}
	dma_iova_free(mapping->dev, &mapping->iova);
}

static int map_iova(struct mapping *mapping, struct phyr_builder *ranges)
{
	struct phyr_iter iter = {};
	unsigned int steps = 0;
	struct phyr pages;
	size_t linked = 0;
	int ret = 0;

	while (!ret && phyr_array_next_pages(mapping->memory, &iter, &pages)) {
		ret = dma_iova_link(mapping->dev, &mapping->iova, pages.addr, mapping->gap + linked,
				    pages.len, mapping->dir, mapping->attrs);
		if (ret)
			break;
		linked += pages.len;
		ret = phyr_breathe_killable(&steps);
	}
	if (!ret)
		ret = dma_iova_sync(mapping->dev, &mapping->iova, mapping->gap, linked);
	if (!ret)
		ret = phyr_builder_add(ranges, mapping->iova.addr + mapping->gap, linked);
	if (ret)
		unmap_iova(mapping, linked);
	return ret;
}

/*
 * Whether there is an IOMMU, with room for the region.
 *
 * A stretch begins at a multiple of its size, if that is a power of two, or of the
 * next such. After a gap, the region's DMA addresses are like those on the wire in
 * all low bits but those of its size: then a few large blocks hold it, whatever
 * the memory; and the IOMMU can use large pages where the process does.
 */
static bool alloc_iova(struct mapping *mapping, u64 iova, size_t bytes)
{
	if (!behind_iommu(mapping->dev))
		return false;
	mapping->gap = iova & (rounddown_pow_of_two(bytes) - 1) & PAGE_MASK;
	if (dma_iova_try_alloc(mapping->dev, &mapping->iova, 0, mapping->gap + bytes))
		return true;
	if (!mapping->gap)
		return false;
	mapping->gap = 0;
	return dma_iova_try_alloc(mapping->dev, &mapping->iova, 0, bytes);
}

/* --- table --- */

static void unmap_table(struct mapping *mapping)
{
	dma_unmap_sgtable(mapping->dev, &mapping->table.sgt, mapping->dir, mapping->attrs);
	sg_free_append_table(&mapping->table);
}

static int map_table(struct mapping *mapping, size_t bytes, struct phyr_builder *ranges)
{
	struct scatterlist *sg;
	unsigned int steps = 0;
	int ret, i;

	/*
	 * Where a segment would cross a boundary, dma_map_sgtable() makes the one
	 * before longer, up to there, and the device gets what lies physically
	 * behind that. So none may.
	 */
	ret = phyr_array_to_sg(mapping->memory, bytes, &mapping->table,
			       mapping->list.max_segment, mapping->list.boundary | ~PAGE_MASK);
	if (ret)
		return ret;
	ret = dma_map_sgtable(mapping->dev, &mapping->table.sgt, mapping->dir, mapping->attrs);
	if (ret) {
		sg_free_append_table(&mapping->table);
		return ret;
	}
	for_each_sgtable_dma_sg(&mapping->table.sgt, sg, i) {
		ret = phyr_builder_add(ranges, sg_dma_address(sg), sg_dma_len(sg));
		if (!ret)
			ret = phyr_breathe_killable(&steps);
		if (ret) {
			unmap_table(mapping);
			return ret;
		}
	}
	return 0;
}

/* --- each --- */

/* Unmap the runs that a range is made of. Where the next one is, iter knows. */
static void unmap_range(struct mapping *mapping, const struct phyr *range, struct phyr_iter *iter,
			unsigned int *steps)
{
	struct phyr pages;
	size_t done;

	for (done = 0; done < range->len; done += pages.len) {
		phyr_array_next_pages(mapping->memory, iter, &pages);
		dma_unmap_phys(mapping->dev, range->addr + done, pages.len, mapping->dir,
			       mapping->attrs);
		phyr_breathe(steps);
	}
}

static void unmap_each(struct mapping *mapping)
{
	struct phyr_iter iter = {}, ranges = {};
	unsigned int steps = 0;
	struct phyr range;

	while (phyr_array_next_pages(&mapping->list.ranges, &ranges, &range))
		unmap_range(mapping, &range, &iter, &steps);
}

/* The same where there are no more ranges than the builder has. */
static void unmap_some(struct mapping *mapping, struct phyr_builder *ranges)
{
	struct phyr_iter iter = {};
	unsigned int steps = 0;
	struct phyr *range;
	unsigned long nr;

	while ((nr = phyr_builder_take(ranges, &range)))
		for (; nr; nr--, range++)
			unmap_range(mapping, range, &iter, &steps);
}

/*
 * Whether the device may be given a copy of memory in place of the memory. A
 * bounce buffer has a largest size, and who has bounce buffers says so by the size
 * of the largest mapping.
 */
static bool may_bounce(struct device *dev)
{
	return !behind_iommu(dev) && dma_max_mapping_size(dev) != SIZE_MAX;
}

/*
 * Whether the device is given a copy. dma_need_sync() looks at the address where
 * the kernel maps directly. Where the device has mapping operations of its own, it
 * knows only whether these can sync: they may do that for caches and never bounce,
 * which may_bounce() tells, but of those that may bounce (Xen's) nobody learns
 * which addresses are bounce buffers. So none of their mappings is trusted.
 */
static bool bounced(struct mapping *mapping, dma_addr_t addr)
{
	return mapping->may_bounce && dma_need_sync(mapping->dev, addr);
}

static int map_run(struct mapping *mapping, const struct phyr *pages, struct phyr_builder *ranges)
{
	struct device *dev = mapping->dev;
	dma_addr_t addr;
	int ret;

	addr = dma_map_phys(dev, pages->addr, pages->len, mapping->dir, mapping->attrs);
	/* As of dma_map_sgtable(): the IOMMU has no room, or the device cannot reach the memory. */
	if (dma_mapping_error(dev, addr))
		return dma_get_merge_boundary(dev) ? -ENOMEM : -EIO;
	ret = bounced(mapping, addr) ? -EIO : phyr_builder_add(ranges, addr, pages->len);
	/* Nothing has been transferred, so a bounce buffer must not be copied to the memory. */
	if (ret)
		dma_unmap_phys(dev, addr, pages->len, mapping->dir,
			       mapping->attrs | DMA_ATTR_SKIP_CPU_SYNC);
	return ret;
}

static int map_each(struct mapping *mapping, struct phyr_builder *ranges)
{
	struct phyr_iter iter = {};
	unsigned int steps = 0;
	struct phyr pages;
	int ret = 0;

	while (!ret && phyr_array_next_pages(mapping->memory, &iter, &pages)) {
		ret = map_run(mapping, &pages, ranges);
		if (!ret)
			ret = phyr_breathe_killable(&steps);
	}
	if (ret)
		unmap_some(mapping, ranges);
	return ret;
}

/* --- all three --- */

static int map_region(struct mapping *mapping, u64 iova, size_t bytes, struct phyr_builder *ranges)
{
	int ret;

	if (alloc_iova(mapping, iova, bytes)) {
		mapping->way = WAY_IOVA;
		return map_iova(mapping, ranges);
	}
	if (PHYR_DMA_TABLE && behind_iommu(mapping->dev) &&
	    mapping->list.max_segment >= PAGE_SIZE) {
		mapping->way = WAY_TABLE;
		ret = map_table(mapping, bytes, ranges);
		/* Perhaps there is no stretch that is long enough. */
		if (!ret || ret == -EINTR || ranges->nr)
			return ret;
	}
	mapping->way = WAY_EACH;
	mapping->may_bounce = may_bounce(mapping->dev);
	return map_each(mapping, ranges);
}

/* Undo a mapping whose ranges are still in the builder, if that is given, or else in the list. */
static void unmap_region(struct mapping *mapping, struct phyr_builder *ranges)
{
	switch (mapping->way) {
	case WAY_IOVA:
		unmap_iova(mapping, dma_iova_size(&mapping->iova) - mapping->gap);
		break;
	case WAY_TABLE:
		unmap_table(mapping);
		break;
	case WAY_EACH:
		if (ranges)
			unmap_some(mapping, ranges);
		else
			unmap_each(mapping);
		break;
	}
}

/* Free what a builder has. */
static void drop_ranges(struct phyr_builder *ranges)
{
	struct phyr *range;

	while (phyr_builder_take(ranges, &range))
		;
}

static unsigned long count_entries(const struct phyr_dma_list *list)
{
	struct phyr_dma_iter iter = {};
	unsigned int steps = 0;
	struct phyr_dma entry;
	unsigned long nr = 0;

	while (phyr_dma_next_entry(list, &iter, &entry)) {
		nr++;
		phyr_breathe(&steps);
	}
	return nr;
}

static struct mapping *new_mapping(struct device *dev, const struct phyr_array *array,
				   enum dma_data_direction dir, unsigned long attrs)
{
	struct mapping *mapping = kzalloc(sizeof(*mapping), GFP_KERNEL);

	if (!mapping)
		return NULL;
	mapping->dev = dev;
	mapping->memory = array;
	mapping->dir = dir;
	mapping->attrs = attrs | DMA_ATTR_REQUIRE_COHERENT;
	mapping->list.max_segment = dma_get_max_seg_size(dev);
	mapping->list.boundary = dma_get_seg_boundary(dev);
	return mapping;
}

/* The array is mapped, or is not. */
static void tell_mapped(struct device *dev, const struct phyr_array *array,
			const struct mapping *mapping, u64 begin)
{
	static const char *const ways[] = {
		[WAY_IOVA] = "iova",
		[WAY_TABLE] = "table",
		[WAY_EACH] = "each",
	};
	u64 ns = ktime_get_ns() - begin;

	if (IS_ERR(mapping))
		trace_phyr_dma_map(dev, array->len, array->nr, 0, 0, "", ns, PTR_ERR(mapping));
	else
		trace_phyr_dma_map(dev, array->len, array->nr, mapping->list.ranges.nr,
				   mapping->list.nr, ways[mapping->way], ns, 0);
}

static struct mapping *make_mapping(struct device *dev, const struct phyr_array *array, u64 iova,
				    enum dma_data_direction dir, unsigned long attrs)
{
	struct phyr_builder ranges;
	struct mapping *mapping;
	size_t frame, bytes;
	int ret;

	if (!array->len)
		return ERR_PTR(-EINVAL);
	if (!phyr_dma_is_coherent(dev))
		return ERR_PTR(-EOPNOTSUPP);

	mapping = new_mapping(dev, array, dir, attrs);
	if (!mapping)
		return ERR_PTR(-ENOMEM);

	/* Where the region begins, as far as blocks of its size are concerned. */
	frame = phyr_array_frame(array);
	bytes = PAGE_ALIGN((frame & ~PAGE_MASK) + array->len);
	phyr_builder_init(&ranges, frame & PAGE_MASK);
	ret = map_region(mapping, iova, bytes, &ranges);
	if (ret)
		goto err_drop;
	ret = phyr_builder_finish(&ranges, &mapping->list.ranges, frame, array->len);
	if (ret)
		goto err_unmap;
	mapping->list.nr = count_entries(&mapping->list);
	return mapping;

err_unmap:
	unmap_region(mapping, &ranges);
err_drop:
	drop_ranges(&ranges);
	kfree(mapping);
	return ERR_PTR(ret);
}

/**
 * phyr_dma_map - give a device access to the memory of an array
 * @dev: the device; its DMA mask and its limits (dma_set_max_seg_size(),
 *	dma_set_seg_boundary()) have been set
 * @array: array from phyr_pin_user()
 * @iova: address of the region's first byte on the wire
 * @dir: which way data goes: DMA_BIDIRECTIONAL if the device may do as it likes
 * @attrs: DMA_ATTR_* flags that ib_umem would give, such as
 *	DMA_ATTR_WEAK_ORDERING; DMA_ATTR_REQUIRE_COHERENT is implied
 *
 * Whole pages are mapped: the device can reach the rest of the first page and of
 * the last. How many ranges there are depends on the machine. There is one if an
 * IOMMU translates and has room for the region in one piece; else there are not
 * more than runs. Where the IOMMU's addresses can be chosen, they are chosen so
 * that phyr_dma_best_block() finds large blocks for @iova. It may be called with
 * other addresses, too.
 *
 * Devices without DMA of their own (ib_uses_virt_dma()) do not need this.
 *
 * Context: May sleep. The caller holds @dev (its driver stays bound) and keeps
 * @array, and the pins of its memory, until after phyr_dma_unmap(). Stops
 * early for a fatal signal.
 * Return: The list, for phyr_dma_unmap(). Otherwise nothing is mapped: ERR_PTR() of -ENOMEM
 * for want of memory or of IOMMU address space, or if the IOMMU's driver fails; -EIO
 * if the device cannot reach the memory without a bounce buffer, or if the kernel cannot
 * tell; -EOPNOTSUPP or -EIO if it does not see what is in the caches of the CPU; -EINTR for
 * a fatal signal; or -EINVAL for an empty array.
 */
struct phyr_dma_list *phyr_dma_map(struct device *dev, const struct phyr_array *array, u64 iova,
				   enum dma_data_direction dir, unsigned long attrs)
{
	u64 begin = trace_phyr_dma_map_enabled() ? ktime_get_ns() : 0;
	struct mapping *mapping = make_mapping(dev, array, iova, dir, attrs);

	if (begin)
		tell_mapped(dev, array, mapping, begin);
	return IS_ERR(mapping) ? ERR_CAST(mapping) : &mapping->list;
}
EXPORT_SYMBOL_GPL(phyr_dma_map);

/**
 * phyr_dma_unmap - undo phyr_dma_map()
 * @list: the list, freed
 *
 * The device must have ended all access. The memory's array and its pins must still
 * be there. Whether the device could reach the memory afterwards depends on the
 * IOMMU. Without one it always can. A strict IOMMU prevents it at once. In Debian's
 * default ("lazy") it can for some milliseconds, unless the region was mapped in one
 * stretch by a newer kernel.
 *
 * Context: May sleep.
 */
void phyr_dma_unmap(struct phyr_dma_list *list)
{
	struct mapping *mapping = container_of(list, struct mapping, list);

	unmap_region(mapping, NULL);
	phyr_array_free(&list->ranges);
	kfree(mapping);
}
EXPORT_SYMBOL_GPL(phyr_dma_unmap);
