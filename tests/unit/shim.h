/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * The few parts of the kernel that kernel/core/{array,builder,dma_list,sgtable}.c use, so that
 * they run in a process. The headers in linux/ all include this one.
 *
 * Memory comes from malloc(); fail_alloc_after makes it run out.
 */
#ifndef SHIM_H
#define SHIM_H

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

typedef uint8_t u8;
typedef uint32_t u32;
typedef uint64_t u64;
typedef uint64_t phys_addr_t;
typedef uint64_t dma_addr_t;

enum dma_data_direction { DMA_BIDIRECTIONAL };

#define PAGE_SHIFT 12
#define PAGE_SIZE (1UL << PAGE_SHIFT)
#define PAGE_MASK (~(PAGE_SIZE - 1))
#define PAGE_ALIGN(n) (((n) + PAGE_SIZE - 1) & PAGE_MASK)
#define PHYS_PFN(addr) ((addr) >> PAGE_SHIFT)

/* A page is its number. */
struct page;
struct mm_struct;
#define pfn_to_page(pfn) ((struct page *)(uintptr_t)(pfn))
#define page_to_pfn(page) ((unsigned long)(uintptr_t)(page))

#define current NULL
#define fatal_signal_pending(task) 0

#define BITS_PER_LONG 64

#define U64_MAX UINT64_MAX
#define ARRAY_SIZE(array) (sizeof(array) / sizeof(*(array)))

#define min(x, y) ((x) < (y) ? (x) : (y))
#define max(x, y) ((x) > (y) ? (x) : (y))
#define min3(x, y, z) min(min(x, y), z)
#define min_t(type, x, y) min((type)(x), (type)(y))
#define DIV_ROUND_UP(n, d) (((n) + (d) - 1) / (d))
#define ALIGN_DOWN(n, to) ((n) / (to) * (to))
#define GENMASK(high, low) (~0UL >> (BITS_PER_LONG - 1 - (high)) & ~0UL << (low))
#define __ffs(word) ((unsigned long)__builtin_ctzl(word))
#define rounddown_pow_of_two(n) (1UL << (BITS_PER_LONG - 1 - __builtin_clzl(n)))
#define bits_per(n) ((n) ? BITS_PER_LONG - __builtin_clzl(n) : 1)
#define check_add_overflow(a, b, sum) __builtin_add_overflow(a, b, sum)

#define EXPORT_SYMBOL_GPL(name) struct shim_semicolon
#define cond_resched() ((void)0)
#define GFP_KERNEL 0

/* If this is not negative, so many more allocations succeed. */
extern long fail_alloc_after;
/* Blocks that are not freed yet, their bytes, and the most bytes that there ever were. */
extern long allocated;
extern size_t allocated_bytes;
extern size_t allocated_peak;

void *shim_alloc(size_t size);
void shim_free(void *block);

/* A repeatable sequence of numbers, so that a failure can be seen again. */
u64 next_random(u64 *state);

#define __GFP_NOWARN 0
#define array_size(nr, size) \
	((size) && (nr) > SIZE_MAX / (size) ? SIZE_MAX : (nr) * (size))

/* For threads, and for the thread sanitizer. */
#define smp_mb() __atomic_thread_fence(__ATOMIC_SEQ_CST)
#define smp_rmb() __atomic_thread_fence(__ATOMIC_ACQUIRE)
#define smp_load_acquire(place) __atomic_load_n(place, __ATOMIC_ACQUIRE)
#define smp_store_release(place, value) __atomic_store_n(place, value, __ATOMIC_RELEASE)
#define READ_ONCE(place) __atomic_load_n(&(place), __ATOMIC_RELAXED)
#define WRITE_ONCE(place, value) __atomic_store_n(&(place), value, __ATOMIC_RELAXED)

#define kmalloc(size, gfp) shim_alloc(size)
#define kvmalloc(size, gfp) shim_alloc(size)
#define __vmalloc(size, gfp) shim_alloc(size)
#define kfree(block) shim_free(block)
#define kvfree(block) shim_free(block)

#endif
