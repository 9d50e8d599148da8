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
 * In a private mapping what it makes is the same page that unsharing would have
 * made: a copy that belongs to the process alone. So there we have GUP ask for
 * writing, and for FOLL_FORCE, as the process may have mapped the file for
 * reading only. GUP documents FOLL_FORCE for just that: such a mapping stays
 * read-only, and the pin is of the process's own copy.
 *
 * FOLL_FORCE must hit no other kind of memory. So the mapping is looked at under
 * the mmap_lock, and GUP begins under the same lock. And since that costs time, what
 * is mapped already is pinned first, with FOLL_NOFAULT: that cannot go on for ever,
 * as GUP then returns where it would have to fault.
 *
 * One gap remains. Where the mapping is not a private one of a file, GUP is
 * called without the lock, as it needs to be able to let go of the lock. If the
 * process replaces the memory by such a mapping in that very moment, the call
 * can last until the process is killed, as with the kernel's own registration.
 */
#include <linux/hugetlb.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/mmap_lock.h>
#include <linux/pagemap.h>
#include <linux/pkeys.h>
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
	return pin_user_pages_fast(va, nr, FOLL_LONGTERM | FOLL_WRITE, pages) ?: -EFAULT;
}

/**
 * phyr_gup_unseen - pin a page without having looked at what is mapped there
 * @va: user address of the page
 * @write: whether to pin it for writing
 * @pages: where to put it
 *
 * For reading, a page that is not mapped yet is not pinned: phyr_gup_read() has to.
 *
 * Context: As phyr_gup_write().
 * Return: 1; else it is not pinned.
 */
long phyr_gup_unseen(unsigned long va, bool write, struct page **pages)
{
	return pin_user_pages_fast(va, 1, FOLL_LONGTERM | (write ? FOLL_WRITE : FOLL_NOFAULT),
				   pages);
}

/* A mapping in which GUP may not come to an end, if it may be read at all. */
static bool is_private_file(struct vm_area_struct *vma)
{
	/* (hugetlb unshares by itself, and on older kernels refuses FOLL_FORCE.) */
	return vma && vma_is_cow_mapping(vma) && !vma_is_anonymous(vma) &&
	       !is_vm_hugetlb_page(vma) && vma->vm_flags & VM_READ;
}

/*
 * How many pages of such a mapping to pin as if for writing, given what is mapped
 * at the first. With userfaultfd's write protection, a write fault must not hit a
 * protected page: it would wait for somebody, where reading does not. Such pages
 * have entries in a table. So only one page is pinned where there is no table, and
 * none where there is one: there, unsharing comes to an end.
 */
static unsigned long nr_copies(struct vm_area_struct *vma, unsigned long va,
			       unsigned long most, enum phyr_sight sight)
{
	if (!is_private_file(vma))
		return 0;
	if (userfaultfd_wp(vma))
		return sight == PHYR_SEES_NOTHING || sight == PHYR_SEES_LEAF;
	return min(most, (vma->vm_end - va) >> PAGE_SHIFT);
}

/*
 * Pin copies, with the mmap_lock held, which is released. pin_user_pages_remote() is
 * GUP's only way to begin under a lock that it may let go of.
 */
static long pin_copies(struct mm_struct *mm, unsigned long va, unsigned long nr,
		       struct page **pages)
{
	int locked = 1;
	long ret;

	ret = pin_user_pages_remote(mm, va, nr, FOLL_LONGTERM | FOLL_WRITE | FOLL_FORCE, pages,
				    &locked);
	if (locked)
		mmap_read_unlock(mm);
	return ret;
}

/* Pages that have to be faulted in, or unshared: nr of them, or up to so many copies. */
static long pin_absent(unsigned long va, unsigned long nr, unsigned long most,
		       enum phyr_sight sight, struct page **pages)
{
	struct mm_struct *mm = current->mm;
	bool may_read = false;

	for (;;) {
		struct vm_area_struct *vma;
		unsigned long copies;

		if (mmap_read_lock_killable(mm))
			return -EINTR;
		vma = vma_lookup(mm, va);
		copies = nr_copies(vma, va, most, sight);
		if (copies && (may_read || !vma_pkey(vma)))
			return pin_copies(mm, va, copies, pages);
		mmap_read_unlock(mm);
		if (!copies)
			return pin_user_pages_fast(va, nr, FOLL_LONGTERM, pages);
		/* pin_user_pages_remote() does not ask protection keys. So ask by reading. */
		if (fault_in_readable((const char __user *)va, 1))
			return -EFAULT;
		may_read = true;
	}
}

/**
 * phyr_gup_read - pin pages for reading only
 * @va: user address of the first
 * @nr: how many
 * @most: how many to pin at the most, if only base pages are to be had
 * @sight: what phyr_look() has seen at @va
 * @pages: where to put them, with room for @most
 *
 * Context: Process context of the memory's owner, may sleep. Takes the mmap_lock for reading
 * where memory must be faulted in or unshared.
 * Return: The number of pages pinned, at least one, or an error.
 */
long phyr_gup_read(unsigned long va, unsigned long nr, unsigned long most, enum phyr_sight sight,
		   struct page **pages)
{
	long ret;

	if (sight != PHYR_SEES_NOTHING) {
		ret = pin_user_pages_fast(va, nr, FOLL_LONGTERM | FOLL_NOFAULT, pages);
		if (ret > 0)
			return ret;
		/* Something is there, but has to be copied: all that follows will be base pages. */
		nr = most;
	}
	return pin_absent(va, nr, most, sight, pages) ?: -EFAULT;
}
