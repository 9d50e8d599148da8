// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * phyr_mmap_lock.ko: holds a process's mmap_lock for writing again and again, as a thread of that
 * process does which maps and unmaps memory all the time.
 *
 *	insmod phyr_mmap_lock.ko hold_us=10 free_us=10
 *	echo PID >/sys/module/phyr_mmap_lock/parameters/pid
 *
 * The lock is held for hold_us, then free for free_us, until the process ends. The holder sleeps
 * while it holds the lock. So a machine with one CPU behaves like one where the holder works on
 * another CPU.
 */
#include <linux/hrtimer.h>
#include <linux/kthread.h>
#include <linux/mmap_lock.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/pid.h>
#include <linux/sched.h>
#include <linux/sched/mm.h>
#include <linux/sched/task.h>

static unsigned int hold_us = 10;
module_param(hold_us, uint, 0444);
MODULE_PARM_DESC(hold_us, "microseconds that the lock is held");

static unsigned int free_us = 10;
module_param(free_us, uint, 0444);
MODULE_PARM_DESC(free_us, "microseconds until it is taken again");

static struct task_struct *held;	/* the process */
static struct task_struct *holder;	/* the kernel thread */

static void sleep_us(unsigned int us)
{
	ktime_t time = ns_to_ktime((u64)us * NSEC_PER_USEC);

	set_current_state(TASK_IDLE);
	schedule_hrtimeout(&time, HRTIMER_MODE_REL);
}

/* exec() gives the process another address space, so each hold asks for it. */
static int hold(void *unused)
{
	struct mm_struct *mm;

	while (!kthread_should_stop()) {
		mm = get_task_mm(held);
		if (mm) {
			mmap_write_lock(mm);
			sleep_us(hold_us);
			mmap_write_unlock(mm);
			mmput(mm);
		}
		sleep_us(free_us);
	}
	return 0;
}

/* Writes to a module's parameters come one at a time. */
static int set_pid(const char *value, const struct kernel_param *param)
{
	struct task_struct *thread;
	int nr, ret;

	ret = kstrtoint(value, 0, &nr);
	if (ret)
		return ret;
	if (holder)
		return -EBUSY;
	rcu_read_lock();
	held = pid_task(find_vpid(nr), PIDTYPE_PID);
	if (held)
		get_task_struct(held);
	rcu_read_unlock();
	if (!held)
		return -ESRCH;
	thread = kthread_create(hold, NULL, "phyr_mmap_lock");
	if (IS_ERR(thread)) {
		put_task_struct(held);
		return PTR_ERR(thread);
	}
	/* It gets a CPU at once when its time has come, as it would where it has its own. */
	sched_set_fifo(thread);
	holder = thread;
	wake_up_process(thread);
	return 0;
}

static const struct kernel_param_ops pid_ops = { .set = set_pid };

module_param_cb(pid, &pid_ops, NULL, 0200);
MODULE_PARM_DESC(pid, "the process; written once, when the module is loaded");

static int __init mmap_lock_init(void)
{
	return 0;
}

static void __exit mmap_lock_exit(void)
{
	if (!holder)
		return;
	/* The thread may never have run, so it does not put the process. */
	kthread_stop(holder);
	put_task_struct(held);
}

module_init(mmap_lock_init);
module_exit(mmap_lock_exit);
MODULE_DESCRIPTION("Test: a process whose mmap_lock is taken for writing often");
MODULE_LICENSE("Dual BSD/GPL");
