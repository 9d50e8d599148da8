// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Mapping operations of the device's own. Xen has such operations, and so have buses
 * with an IOMMU that the kernel's IOMMU layer does not know.
 *
 * For a device with such operations, dma_need_sync() is always true. There are two
 * kinds. "direct" leaves memory where it is. "bounce" gives the device another page
 * in place of the memory, and so has to say how much it can map at a time.
 */
#include <linux/dma-direct.h>
#include <linux/dma-map-ops.h>
#include <linux/dma-mapping.h>
#include <linux/pci.h>

#include "edu.h"

static struct edu *edu_of(struct device *dev)
{
	return pci_get_drvdata(to_pci_dev(dev));
}

static dma_addr_t direct_map(struct device *dev, phys_addr_t phys, size_t size,
			     enum dma_data_direction dir, unsigned long attrs)
{
	atomic_inc(&edu_of(dev)->ops_mapped);
	return phys_to_dma(dev, phys);
}

static dma_addr_t bounce_map(struct device *dev, phys_addr_t phys, size_t size,
			     enum dma_data_direction dir, unsigned long attrs)
{
	if (size > EDU_BUFFER_SIZE)
		return DMA_MAPPING_ERROR;
	atomic_inc(&edu_of(dev)->ops_mapped);
	return edu_of(dev)->bounce_addr;
}

static void direct_unmap(struct device *dev, dma_addr_t addr, size_t size,
			 enum dma_data_direction dir, unsigned long attrs)
{
	atomic_dec(&edu_of(dev)->ops_mapped);
}

/* An unmap that syncs would overwrite the memory with the buffer. */
static void bounce_unmap(struct device *dev, dma_addr_t addr, size_t size,
			 enum dma_data_direction dir, unsigned long attrs)
{
	WARN_ON_ONCE(!(attrs & DMA_ATTR_SKIP_CPU_SYNC));
	atomic_dec(&edu_of(dev)->ops_mapped);
}

/* The kernel only checks whether there are operations that sync. */
static void no_sync(struct device *dev, dma_addr_t addr, size_t size, enum dma_data_direction dir)
{
}

static size_t bounce_max(struct device *dev)
{
	return EDU_BUFFER_SIZE;
}

#ifdef HAVE_DMA_OPS_MAP_PHYS
#define MAP_OPS(kind)				\
	.map_phys = kind ## _map,		\
	.unmap_phys = kind ## _unmap
#else
static dma_addr_t direct_map_page(struct device *dev, struct page *page, unsigned long offset,
				  size_t size, enum dma_data_direction dir, unsigned long attrs)
{
	return direct_map(dev, page_to_phys(page) + offset, size, dir, attrs);
}

static dma_addr_t bounce_map_page(struct device *dev, struct page *page, unsigned long offset,
				  size_t size, enum dma_data_direction dir, unsigned long attrs)
{
	return bounce_map(dev, page_to_phys(page) + offset, size, dir, attrs);
}

#define MAP_OPS(kind)				\
	.map_page = kind ## _map_page,		\
	.unmap_page = kind ## _unmap
#endif

static const struct dma_map_ops direct_ops = {
	MAP_OPS(direct),
	.sync_single_for_cpu = no_sync,
	.sync_single_for_device = no_sync,
};

static const struct dma_map_ops bounce_ops = {
	MAP_OPS(bounce),
	.sync_single_for_cpu = no_sync,
	.sync_single_for_device = no_sync,
	.max_mapping_size = bounce_max,
};

/* PHYR_EDU_OPS */
int edu_set_ops(struct edu *edu, struct phyr_edu_ops *args)
{
	static const struct dma_map_ops *const ops[] = {
		[PHYR_EDU_OPS_NONE] = NULL,
		[PHYR_EDU_OPS_DIRECT] = &direct_ops,
		[PHYR_EDU_OPS_BOUNCE] = &bounce_ops,
	};
	struct device *dev = edu->dev;
	int ret;

	if (args->ops >= ARRAY_SIZE(ops))
		return -EINVAL;
	if (!IS_ENABLED(CONFIG_ARCH_HAS_DMA_OPS) || dma_get_merge_boundary(dev))
		return -EOPNOTSUPP;
	ret = down_write_killable(&edu->limits);
	if (ret)
		return ret;
	set_dma_ops(dev, ops[args->ops]);
	/* This makes the kernel check whether the operations can sync. */
	ret = dma_set_mask_and_coherent(dev, dma_get_mask(dev));
	args->mapped = atomic_read(&edu->ops_mapped);
	up_write(&edu->limits);
	return ret;
}

/* Called when nobody uses the device any more. */
void edu_reset_ops(struct edu *edu)
{
	set_dma_ops(edu->dev, NULL);
}
