// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Is the function that the livepatch replaces the one that is called?
 *
 * A patch finds its function by a symbol. On newer kernels, that function is static, and
 * the compiler may have put a copy of it into its callers. Then drivers would go on calling
 * the copy. So before anything is patched, we call the functions that drivers call. ftrace,
 * by which a patch is called, too, says whether they reached the function.
 *
 * These calls are for a region that wraps around: they return an error before they look at,
 * pin or charge anything. And they are for a device of ours, which nobody else knows.
 */
#include <linux/err.h>
#include <linux/ftrace.h>
#include <linux/limits.h>
#include <linux/sched.h>
#include <linux/string.h>
#include <rdma/ib_umem.h>
#include <rdma/ib_verbs.h>

#include "compat.h"
#include "reach.h"

/* By address, as nearly all drivers. */
static struct ib_umem *get_by_address(struct ib_device *device)
{
	return ib_umem_get_va(device, ULONG_MAX, ULONG_MAX, 0);
}

#ifdef HAVE_IB_UMEM_GET_DESC
static struct ib_umem *get_by_descriptor(struct ib_device *device)
{
	const struct ib_uverbs_buffer_desc desc = {
		.type = IB_UVERBS_BUFFER_TYPE_VA,
		.addr = ULONG_MAX,
		.length = ULONG_MAX,
	};

	return ib_umem_get_desc(device, &desc, 0);
}
#else
#define get_by_descriptor get_by_address
#endif

/**
 * struct watch - a function under watch
 * @ops: for ftrace
 * @task: whose calls count: others may call it as well
 * @calls: how many there were
 */
struct watch {
	struct ftrace_ops ops;
	struct task_struct *task;
	unsigned int calls;
};

static void notrace note_call(unsigned long ip, unsigned long parent_ip, struct ftrace_ops *ops,
			      struct ftrace_regs *fregs)
{
	struct watch *watch = container_of(ops, struct watch, ops);

	if (current == watch->task)
		watch->calls++;
}

static bool reaches(struct watch *watch, struct ib_umem *(*get)(struct ib_device *device),
		    struct ib_device *device)
{
	unsigned int before = watch->calls;
	struct ib_umem *umem = get(device);

	if (WARN_ON_ONCE(!IS_ERR_OR_NULL(umem)))
		ib_umem_release(umem);
	return watch->calls == before + 1;
}

static int watch_calls(struct watch *watch, struct ib_device *device)
{
	int ret = register_ftrace_function(&watch->ops);

	if (ret)
		return ret;
	if (!reaches(watch, get_by_address, device) || !reaches(watch, get_by_descriptor, device))
		ret = -EOPNOTSUPP;
	unregister_ftrace_function(&watch->ops);
	return ret;
}

/* As ib_alloc_device() wants it. */
struct our_device {
	struct ib_device ib;
};

/**
 * phyr_umem_check_reach - do drivers reach UMEM_FUNCTION()?
 *
 * Context: May sleep.
 * Return: 0; -EOPNOTSUPP if they do not, or if there is no such function; -EBUSY if
 * ftrace is disabled; or -ENOMEM.
 */
int phyr_umem_check_reach(void)
{
	/* It must not be disabled meanwhile, like a livepatch's. */
	static struct watch watch = {
		.ops = {
			.func = note_call,
			.flags = FTRACE_OPS_FL_PERMANENT | FTRACE_OPS_FL_RECURSION,
		},
	};
	static char name[] = UMEM_FUNCTION;
	struct our_device *ours;
	int ret;

	ours = ib_alloc_device(our_device, ib);
	if (!ours)
		return -ENOMEM;
	watch.task = current;
	ret = ftrace_set_filter(&watch.ops, name, strlen(name), 1);
	/* It says so of a function that does not exist. */
	if (ret == -EINVAL)
		ret = -EOPNOTSUPP;
	if (!ret)
		ret = watch_calls(&watch, &ours->ib);
	ftrace_free_filter(&watch.ops);
	ib_dealloc_device(&ours->ib);
	return ret;
}
