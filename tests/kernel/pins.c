// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * /dev/phyr_test: phyr_test.h says what it does.
 *
 * Lifetimes: a pin belongs to the open file, and is found there by its id; see
 * table.h.
 */
#include <linux/delay.h>
#include <linux/fs.h>
#include <linux/highmem.h>
#include <linux/io.h>
#include <linux/kernel.h>
#include <linux/ktime.h>
#include <linux/miscdevice.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include <phyr/phyr.h>

#include "device.h"
#include "gup.h"
#include "phyr_test.h"
#include "table.h"

struct pin {
	struct phyr_array array;
	bool writable;
};

static void undo_pin(struct pin *pin, bool dirty)
{
	phyr_unpin_user(&pin->array, dirty);
	kfree(pin);
}

static struct pin *make_pin(struct phyr_test_pin *args)
{
	struct pin *pin = kzalloc(sizeof(*pin), GFP_KERNEL);
	u64 began;
	int ret;

	if (!pin)
		return ERR_PTR(-ENOMEM);
	pin->writable = args->writable;
	began = ktime_get_ns();
	ret = phyr_pin_user(&pin->array, args->start, args->len, pin->writable, NULL);
	args->ns = ktime_get_ns() - began;
	if (ret) {
		kfree(pin);
		return ERR_PTR(ret);
	}
	args->runs = pin->array.nr;
	args->largest = pin->array.largest;
	args->smallest = pin->array.smallest;
	args->table_bytes = pin->array.table_bytes;
	return pin;
}

static int test_pin(struct table *pins, struct phyr_test_pin __user *user)
{
	struct phyr_test_pin args;
	struct pin *pin;
	int ret;

	if (copy_from_user(&args, user, sizeof(args)))
		return -EFAULT;
	ret = table_reserve(pins, &args.id);
	if (ret)
		return ret;
	pin = make_pin(&args);
	if (IS_ERR(pin)) {
		table_cancel(pins, args.id);
		return PTR_ERR(pin);
	}
	if (copy_to_user(user, &args, sizeof(args))) {
		table_cancel(pins, args.id);
		undo_pin(pin, false);
		return -EFAULT;
	}
	table_enter(pins, args.id, pin);
	return 0;
}

static int test_unpin(struct table *pins, struct phyr_test_unpin *args)
{
	struct pin *pin = table_take(pins, args->id);
	u64 began;

	if (IS_ERR(pin))
		return PTR_ERR(pin);
	began = ktime_get_ns();
	phyr_unpin_user(&pin->array, args->dirty);
	args->ns = ktime_get_ns() - began;
	kfree(pin);
	return 0;
}

static int list_runs(const struct phyr_array *array, struct phyr_test_runs *args)
{
	struct phyr_test_run __user *to = u64_to_user_ptr(args->runs);
	struct phyr_iter iter = {};
	struct phyr run;
	u64 nr;

	for (nr = 0; nr < args->nr; nr++) {
		struct phyr_test_run out = { .offset = iter.offset };

		if (!phyr_array_next_run(array, &iter, &run))
			break;
		out.addr = run.addr;
		out.len = run.len;
		if (copy_to_user(to + nr, &out, sizeof(out)))
			return -EFAULT;
		if (fatal_signal_pending(current))
			return -EINTR;
		cond_resched();
	}
	args->nr = nr;
	return 0;
}

static int test_runs(struct table *pins, struct phyr_test_runs *args)
{
	struct pin *pin = table_get(pins, args->id);
	int ret;

	if (IS_ERR(pin))
		return PTR_ERR(pin);
	ret = list_runs(&pin->array, args);
	table_put(pins);
	return ret;
}

/* Copy within one page. The data go through @bounce, as access to user memory may sleep. */
static int copy_in_page(struct phyr found, bool to_region, void __user *data, void *bounce)
{
	struct page *page = pfn_to_page(PHYS_PFN(found.addr));
	size_t at = offset_in_page(found.addr);

	if (to_region) {
		if (copy_from_user(bounce, data, found.len))
			return -EFAULT;
		memcpy_to_page(page, at, bounce, found.len);
		return 0;
	}
	memcpy_from_page(bounce, page, at, found.len);
	return copy_to_user(data, bounce, found.len) ? -EFAULT : 0;
}

static int copy_all(const struct phyr_array *array, const struct phyr_test_copy *args, void *bounce)
{
	void __user *data = u64_to_user_ptr(args->data);
	u64 done = 0;
	int ret;

	while (done < args->len) {
		struct phyr found = phyr_array_find(array, args->offset + done);
		size_t most = min_t(u64, args->len - done, PAGE_SIZE - offset_in_page(found.addr));

		if (!found.len)
			return -ERANGE;
		if (fatal_signal_pending(current))
			return -EINTR;
		cond_resched();
		found.len = min(found.len, most);
		ret = copy_in_page(found, args->to_region, data + done, bounce);
		if (ret)
			return ret;
		done += found.len;
	}
	return 0;
}

static int test_copy(struct table *pins, const struct phyr_test_copy *args)
{
	struct pin *pin = table_get(pins, args->id);
	void *bounce;
	int ret;

	if (IS_ERR(pin))
		return PTR_ERR(pin);
	bounce = kmalloc(PAGE_SIZE, GFP_KERNEL);
	if (!bounce)
		ret = -ENOMEM;
	else if (args->offset > pin->array.len || args->len > pin->array.len - args->offset)
		ret = -ERANGE;
	else if (args->to_region && !pin->writable)
		ret = -EACCES;
	else
		ret = copy_all(&pin->array, args, bounce);
	kfree(bounce);
	table_put(pins);
	return ret;
}

/* The folio stays what it is, since the pin holds it. */
static void describe_folio(struct folio *folio, struct phyr_test_folio *args)
{
	args->order = folio_order(folio);
	args->pfn = folio_pfn(folio);
	args->refs = folio_ref_count(folio);
	if (folio_has_pincount(folio))
		args->pins = atomic_read(&folio->_pincount);
	else
		args->pins = args->refs / GUP_PIN_COUNTING_BIAS;
	args->anon = folio_test_anon(folio);
}

static int test_folio(struct table *pins, struct phyr_test_folio *args)
{
	struct pin *pin = table_get(pins, args->id);
	struct phyr found;

	if (IS_ERR(pin))
		return PTR_ERR(pin);
	found = phyr_array_find(&pin->array, args->offset);
	if (found.len)
		describe_folio(page_folio(pfn_to_page(PHYS_PFN(found.addr))), args);
	table_put(pins);
	return found.len ? 0 : -ERANGE;
}

/*
 * The state is in user memory, which must not be faulted in while we hold the lock. So we
 * pin its page before.
 */
static int test_hold(struct phyr_test_hold __user *user)
{
	unsigned long end = jiffies + 10 * HZ;
	struct phyr_test_hold *hold;
	struct page *page;
	int ret = 0;

	if (pin_user_pages_fast((unsigned long)user, 1, FOLL_WRITE, &page) != 1)
		return -EFAULT;
	hold = page_address(page) + offset_in_page(user);
	mmap_write_lock(current->mm);
	WRITE_ONCE(hold->state, PHYR_TEST_HOLD_TAKEN);
	while (!ret && READ_ONCE(hold->state) != PHYR_TEST_HOLD_OVER) {
		if (fatal_signal_pending(current))
			ret = -EINTR;
		else if (time_after(jiffies, end))
			ret = -ETIMEDOUT;
		else
			msleep(20);
	}
	mmap_write_unlock(current->mm);
	unpin_user_page(page);
	return ret;
}

static int test_ioctl_args(void *pins, unsigned int cmd, void *args)
{
	switch (cmd) {
	case PHYR_TEST_UNPIN:
		return test_unpin(pins, args);
	case PHYR_TEST_RUNS:
		return test_runs(pins, args);
	case PHYR_TEST_COPY:
		return test_copy(pins, args);
	case PHYR_TEST_FOLIO:
		return test_folio(pins, args);
	case PHYR_TEST_GUP:
		return phyr_test_gup(args);
	default:
		return -ENOTTY;
	}
}

static long test_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	void __user *user = (void __user *)arg;
	union {
		struct phyr_test_unpin unpin;
		struct phyr_test_runs runs;
		struct phyr_test_copy copy;
		struct phyr_test_folio folio;
		struct phyr_test_gup gup;
	} args;

	if (cmd == PHYR_TEST_PIN)
		return test_pin(file->private_data, user);
	if (cmd == PHYR_TEST_HOLD)
		return test_hold(user);
	return ioctl_with_args(cmd, user, &args, sizeof(args), test_ioctl_args,
			       file->private_data);
}

static int test_open(struct inode *inode, struct file *file)
{
	if (!may_open())
		return -EPERM;
	file->private_data = table_alloc();
	return file->private_data ? 0 : -ENOMEM;
}

static int test_release(struct inode *inode, struct file *file)
{
	struct table *pins = file->private_data;
	unsigned long id;
	struct pin *pin;

	xa_for_each(&pins->objects, id, pin) {
		undo_pin(pin, pin->writable);
		cond_resched();
	}
	table_destroy(pins);
	kfree(pins);
	return 0;
}

/*
 * One page, at all addresses. Whoever maps or pins it has the device open, and so holds the
 * module.
 */
static struct page *io_page;

/* GUP-fast pins a base page only if that has a mapping. Which, it does not mind. */
static vm_fault_t io_fault(struct vm_fault *vmf)
{
	io_page->mapping = vmf->vma->vm_file->f_mapping;
	get_page(io_page);
	vmf->page = io_page;
	return 0;
}

static const struct vm_operations_struct io_ops = { .fault = io_fault };

/* Memory such as some drivers map: it has struct pages, but GUP must not touch it. */
static int test_mmap(struct file *file, struct vm_area_struct *vma)
{
	vm_flags_set(vma, VM_IO | VM_DONTEXPAND | VM_DONTDUMP);
	vma->vm_ops = &io_ops;
	return 0;
}

static const struct file_operations test_fops = {
	.owner = THIS_MODULE,
	.mmap = test_mmap,
	.open = test_open,
	.release = test_release,
	.unlocked_ioctl = test_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
};

static struct miscdevice test_device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "phyr_test",
	.mode = 0600,
	.fops = &test_fops,
};

static int __init test_init(void)
{
	int err;

	io_page = alloc_page(GFP_KERNEL | __GFP_ZERO);
	if (!io_page)
		return -ENOMEM;
	err = misc_register(&test_device);
	if (err)
		__free_page(io_page);
	return err;
}
module_init(test_init);

static void __exit test_exit(void)
{
	misc_deregister(&test_device);
	io_page->mapping = NULL;
	__free_page(io_page);
}
module_exit(test_exit);

MODULE_DESCRIPTION("Test phyr.ko without RDMA");
MODULE_LICENSE("Dual BSD/GPL");
