/*
 * Allocations that fail because somebody asked for it: debug kernels only (kernel/fail.c, docs/reliability.md). Every way to memory asks
 * fail_here() first. Either one thread's allocations fail from the n-th on, or only the n-th; or each n-th of all that are made. Those of one
 * call site may be all that is counted.
 * Whose allocation it is the stack says that the caller is on.
 */
#ifndef LIB_FAIL_H
#define LIB_FAIL_H

#include <stdbool.h>
#include <stdint.h>

#if defined(CORRAL_DEBUG) && defined(__riscv)
#define FAIL_HERE()	       fail_here((uint64_t)__builtin_return_address(0))
#define FAIL_FORGET(stack_end) fail_forget(stack_end)
#else
#define FAIL_HERE()	       false
#define FAIL_FORGET(stack_end) ((void)0)
#endif

struct fail_when {
	uint64_t nth;  /* 1: the next; 0: none */
	uint64_t site; /* counted are only those called from here, an address of the kernel's text; 0: all */
	bool and_on;   /* all behind it, too */
};

struct fail_seen {
	uint64_t calls;	 /* that were counted of the thread since */
	uint64_t failed; /* of them */
	uint64_t site;	 /* where the first of those was called */
};

bool fail_here(uint64_t site);

/* From now on, for the thread with this stack. */
void fail_thread(uint64_t stack, uint64_t stack_end, const struct fail_when *when);
/* The thread with this stack has ended. */
void fail_forget(uint64_t stack_end);
/* Each nth of all, whatever and_on says. */
void fail_each(const struct fail_when *when);
struct fail_seen fail_seen(void);

#endif
