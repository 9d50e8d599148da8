// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * How GUP is called.
 *
 * All pins are GUP's, for long (FOLL_LONGTERM). For memory that will be written
 * to, one call says it all. Memory that will only be read needs more care, as
 * there is a case in which GUP does not come to an end:
 *
 *  - A longterm pin must not get a page that a write of the process would later
 *    replace by a copy. So in a private mapping, GUP asks for a copy at once: it
 *    "unshares" the page by a fault of its own kind, and looks again.
 *
 *  - In a private mapping of a file, a page table may be missing, or a leaf may
 *    map a huge page of the page cache in its place. The fault then removes the
 *    leaf, and goes on as a read. If the page cache has a huge page there, a read
 *    maps it by a leaf again. GUP looks, sees what it saw before, and tries
 *    again, until the process is killed. (tmpfs with huge pages; file systems
 *    with large folios on newer kernels.)
 *
 * A write fault makes progress there. It allocates a copy, and a table for it.
 * In a private mapping, what it makes is the same page that unsharing would have
 * made: a copy that belongs to the process alone. So there we have GUP ask for
 * writing, and for FOLL_FORCE, as the process may have mapped the file for
 * reading only. FOLL_FORCE is for that: such a mapping stays read-only, and the
 * pin is of the process's own copy.
 *
 * FOLL_FORCE must not hit other kinds of memory. So the mapping is looked at under
 * the mmap_lock, and GUP begins under the same lock. (GUP lets go of the lock where
 * a fault waits for a disk. What another thread maps there in that moment may be
 * pinned as if for writing. It is the process's own memory.)
 *
 * Since the lock costs time, what is mapped already is pinned first, with
 * FOLL_NOFAULT. That call cannot last for ever: GUP returns where it would fault.
 *
 * One gap remains. Where the mapping is not a private one of a file, GUP is called
 * without the lock: the call that begins under a lock does not ask protection
 * keys. If the process replaces the memory by such a mapping in that very moment,
 * the call can last until the process is killed, as the kernel's own does.
 */
#include <linux/hugetlb.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/mmap_lock.h>
#include <linux/mmu_context.h>
#include <linux/sched.h>
#include <linux/userfaultfd_k.h>

#include "compat.h"
#include "gup.h"

/**
 * phyr_gup_write - pin pages for writing
 * @va: user address of the first
 * @nr: how many
 * @pages: where to put them
 *
 * Context: Process context of the memory's owner, may sleep. Takes the mmap_lock for reading
 * where memory must be faulted in.
 * Return: The number of pages pinned, at least one, or an error.
 */
long phyr_gup_write(unsigned long va, unsigned long nr, struct page **pages)
{
	return pin_user_pages_fast(va, nr, phyr_gup_flags(true), pages) ?: -EFAULT;
}

/*
 * A mapping in which GUP may not come to an end. What may not be read, GUP refuses by itself; and
 * hugetlb unshares in its own way (and on older kernels refuses FOLL_FORCE).
 */
static bool is_private_file(struct vm_area_struct *vma)
{
	return vma && vma_is_cow_mapping(vma) && !vma_is_anonymous(vma) &&
	       !is_vm_hugetlb_page(vma) && vma->vm_flags & VM_READ &&
	       arch_vma_access_permitted(vma, false, false, false);
}

/*
 * How many pages of such a mapping to pin as if for writing, given what is mapped
 * at the first. With userfaultfd's write protection, a write fault must not hit a
 * protected page: it would wait for somebody, where reading does not. A protected
 * page has an entry in a table. So only one page is pinned where there is no table,
 * and none where there is one: with a table, unsharing comes to an end.
 */
static unsigned long nr_copies(struct vm_area_struct *vma, unsigned long va,
			       unsigned long most, enum phyr_sight sight)
{
	if (!is_private_file(vma))
		return 0;
	if (userfaultfd_wp(vma))
		return sight == PHYR_SEES_NO_TABLE || sight == PHYR_SEES_LEAF;
	return min(most, (vma->vm_end - va) >> PAGE_SHIFT);
}

/**
 * phyr_gup_read_mapped - pin pages for reading, if they are mapped already
 * @va: user address of the first
 * @nr: how many
 * @pages: where to put them
 *
 * Context: Process context of the memory's owner, may sleep. May take the mmap_lock for reading.
 * Return: The number of pages pinned; or an error: -EFAULT if the first has to be faulted in,
 * or to be unshared.
 */
long phyr_gup_read_mapped(unsigned long va, unsigned long nr, struct page **pages)
{
	return pin_user_pages_fast(va, nr, phyr_gup_flags(false), pages) ?: -EFAULT;
}

/**
 * phyr_gup_read_locked - phyr_gup_read_mapped() for a caller that holds the mmap_lock
 * @va: user address of the first
 * @nr: how many
 * @pages: where to put them
 *
 * If GUP had to move a page, it would do so under the lock. phyr_may_move() says beforehand.
 *
 * Context: Process context of the memory's owner, with the mmap_lock held for reading. May sleep.
 * Return: As phyr_gup_read_mapped().
 */
long phyr_gup_read_locked(unsigned long va, unsigned long nr, struct page **pages)
{
	return pin_user_pages(va, nr, phyr_gup_flags(false), pages) ?: -EFAULT;
}

/**
 * phyr_gup_read - pin pages for reading
 * @va: user address of the first
 * @nr: how many
 * @most: how many to pin at the most, if they are copies of a file's pages
 * @sight: what phyr_look() has seen at @va
 * @pages: where to put them
 *
 * Context: Process context of the memory's owner, may sleep. Takes the mmap_lock for reading.
 * Return: The number of pages pinned, at least one, or an error.
 */
long phyr_gup_read(unsigned long va, unsigned long nr, unsigned long most, enum phyr_sight sight,
		   struct page **pages)
{
	struct mm_struct *mm = current->mm;
	unsigned long copies;
	int locked = 1;
	long ret;

	if (mmap_read_lock_killable(mm))
		return -EINTR;
	copies = nr_copies(vma_lookup(mm, va), va, most, sight);
	if (!copies) {
		mmap_read_unlock(mm);
		return pin_user_pages_fast(va, nr, FOLL_LONGTERM, pages) ?: -EFAULT;
	}
	/* GUP's only way to begin under a lock that it may let go of. */
	ret = pin_user_pages_remote(mm, va, copies, FOLL_LONGTERM | FOLL_WRITE | FOLL_FORCE, pages,
				    &locked);
	if (locked)
		mmap_read_unlock(mm);
	return ret ?: -EFAULT;
}
