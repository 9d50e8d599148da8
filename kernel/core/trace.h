/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * Tracepoints: what became of each region that phyr.ko was asked to pin, to unpin
 * or to map. Each call has one event, at its end. A call that had begun before
 * tracing was switched on may have none.
 *
 *  phyr_pin      memory was pinned for an array (Soft-RoCE's MRs) or for a
 *                scatterlist (all drivers, by the livepatch), or could not be
 *  phyr_unpin    memory of an array was unpinned, by the process that held it last.
 *                (The kernel's own ib_umem_release() unpins scatterlists.)
 *  phyr_dma_map  an array was mapped for a device that does DMA, or could not be
 *
 * Events show user addresses, and never physical ones. "nr" is the number of runs, or of
 * a scatterlist's entries. "ns" is how many nanoseconds it took. "ret" is 0 or an error.
 * After an error, all that was counted has been undone, and "nr" of a pin is 0.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM phyr

#if !defined(PHYR_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define PHYR_TRACE_H

#include <linux/device.h>
#include <linux/tracepoint.h>
#include <phyr/phyr.h>

TRACE_EVENT(phyr_pin,
	    TP_PROTO(unsigned long start, size_t len, bool writable, unsigned long nr,
		     const struct phyr_pin_stats *stats, int ret),
	    TP_ARGS(start, len, writable, nr, stats, ret),
	    TP_STRUCT__entry(__field(unsigned long, start)
			     __field(size_t, len)
			     __field(unsigned long, nr)
			     __field(unsigned long, folio_hits)
			     __field(unsigned long, fallbacks)
			     __field(u64, ns)
			     __field(bool, writable)
			     __field(int, ret)),
	    TP_fast_assign(__entry->start = start;
			   __entry->len = len;
			   __entry->nr = nr;
			   __entry->folio_hits = stats->folio_hits;
			   __entry->fallbacks = stats->fallbacks;
			   __entry->ns = stats->ns;
			   __entry->writable = writable;
			   __entry->ret = ret;),
	    TP_printk("start=0x%lx len=%zu writable=%d nr=%lu folio_hits=%lu fallbacks=%lu ns=%llu ret=%d",
		      __entry->start, __entry->len, __entry->writable, __entry->nr,
		      __entry->folio_hits, __entry->fallbacks, __entry->ns, __entry->ret)
);

TRACE_EVENT(phyr_unpin,
	    TP_PROTO(size_t len, unsigned long nr, bool dirty, u64 ns),
	    TP_ARGS(len, nr, dirty, ns),
	    TP_STRUCT__entry(__field(size_t, len)
			     __field(unsigned long, nr)
			     __field(u64, ns)
			     __field(bool, dirty)),
	    TP_fast_assign(__entry->len = len;
			   __entry->nr = nr;
			   __entry->ns = ns;
			   __entry->dirty = dirty;),
	    TP_printk("len=%zu nr=%lu dirty=%d ns=%llu",
		      __entry->len, __entry->nr, __entry->dirty, __entry->ns)
);

TRACE_EVENT(phyr_dma_map,
	    TP_PROTO(struct device *dev, size_t len, unsigned long nr, unsigned long ranges,
		     unsigned long entries, const char *way, u64 ns, int ret),
	    TP_ARGS(dev, len, nr, ranges, entries, way, ns, ret),
	    TP_STRUCT__entry(__string(device, dev_name(dev))
			     __string(way, way)
			     __field(size_t, len)
			     __field(unsigned long, nr)
			     __field(unsigned long, ranges)
			     __field(unsigned long, entries)
			     __field(u64, ns)
			     __field(int, ret)),
	    TP_fast_assign(__assign_str(device);
			   __assign_str(way);
			   __entry->len = len;
			   __entry->nr = nr;
			   __entry->ranges = ranges;
			   __entry->entries = entries;
			   __entry->ns = ns;
			   __entry->ret = ret;),
	    TP_printk("dev=%s len=%zu nr=%lu ranges=%lu entries=%lu way=%s ns=%llu ret=%d",
		      __get_str(device), __entry->len, __entry->nr, __entry->ranges,
		      __entry->entries, __get_str(way), __entry->ns, __entry->ret)
);

#endif

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
