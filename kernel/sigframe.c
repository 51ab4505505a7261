/*
 * Signal frames: what a handler finds on its stack, laid out as Linux/riscv64 does, and the way back.
 *
 * rt_sigreturn takes the program's word for its own registers and its mask only: sstatus is never the program's, the FP
 * state is data, and the program counter is checked by the hardware when it is used.
 *
 * Linux returns from handlers through its vdso. There is none here: one page with the same two instructions, which
 * unwinders know by sight, is mapped at SIGRETURN_PAGE in every program.
 */
#include <string.h>

#include "kernel/fp.h"
#include "kernel/layout.h"
#include "kernel/process.h"
#include "kernel/sched.h"
#include "kernel/signal.h"
#include "kernel/sys.h"
#include "lib/errno.h"
#include "mm/coremap.h"
#include "mm/object.h"
#include "mm/space.h"

#define SA_SIGINFO    4U
#define SA_ONSTACK    0x08000000U
#define SS_ONSTACK    1
#define SS_DISABLE    2
#define SS_AUTODISARM (INT32_C(1) << 31)

struct stack_user {
	uint64_t sp;
	int32_t flags;
	uint32_t pad;
	uint64_t size;
};

struct sigcontext {
	uint64_t pc;
	uint64_t x[31]; /* x1 .. x31 */
	uint64_t f[32];
	uint32_t fcsr;
	uint32_t pad;
	uint64_t f_rest[33]; /* the union's size is that of the Q extension's state; its last words are 0 */
};

struct ucontext {
	uint64_t flags;
	uint64_t link;
	struct stack_user stack;
	uint64_t mask;
	uint8_t unused[120];
	uint64_t pad; /* the context is aligned to 16 */
	struct sigcontext context;
};

struct rt_sigframe {
	struct siginfo info;
	struct ucontext uc;
};

_Static_assert(offsetof(struct ucontext, context) == 176, "Linux's layout");
_Static_assert(sizeof(struct sigcontext) == 784, "Linux's layout");
_Static_assert(sizeof(struct rt_sigframe) == 1088, "Linux's layout");

/* li a7, 139; ecall */
static const uint32_t trampoline[2] = { 0x08b00893, 0x00000073 };
static struct object *trampoline_object;

int sigframe_init(void)
{
	pfn_t frame;
	int error = object_create(PAGE_SIZE, trampoline, sizeof(trampoline), &trampoline_object);

	if (error == 0)
		object_set_fixed(trampoline_object);
	/* Filled now, so that the count of free frames does not change later. */
	if (error == 0)
		error = object_frame(trampoline_object, 0, &frame);
	if (error == 0)
		frame_put(frame);
	return error;
}

int sigframe_map(struct space *space)
{
	vaddr_t at = VADDR(SIGRETURN_PAGE);

	return space_map_object(space, PLACE_FIXED, &at, PAGE_SIZE, PERM_R | PERM_X, PERM_R | PERM_X, trampoline_object,
				0, true);
}

static bool on_altstack(const struct sigaltstack *stack, uint64_t sp)
{
	/* One that disarms itself is left as soon as it is entered. */
	return stack->size != 0 && (stack->flags & SS_AUTODISARM) == 0 && sp > stack->sp &&
	       sp - stack->sp <= stack->size;
}

static int32_t altstack_flags(const struct sigaltstack *stack, uint64_t sp)
{
	if (stack->size == 0)
		return SS_DISABLE;
	return (on_altstack(stack, sp) ? SS_ONSTACK : 0) | (stack->flags & SS_AUTODISARM);
}

/* Where the frame goes, or 0. */
static uint64_t choose_stack(const struct thread *thread, const struct trap_frame *frame, uint64_t flags)
{
	const struct sigaltstack *alt = &thread->altstack;
	uint64_t sp = frame->sp;
	uint64_t at;

	if ((flags & SA_ONSTACK) != 0 && alt->size != 0 && !on_altstack(alt, sp))
		sp = alt->sp + alt->size;
	at = (sp - sizeof(struct rt_sigframe)) & ~UINT64_C(15);
	/* A handler on the alternate stack that runs out of it must not go on below. */
	if (on_altstack(alt, sp) && !on_altstack(alt, at))
		return 0;
	return at;
}

static void fill_context(struct rt_sigframe *out, const struct thread *thread, const struct trap_frame *frame)
{
	struct sigcontext *context = &out->uc.context;

	context->pc = frame->sepc;
	memcpy(context->x, &frame->x[1], sizeof(context->x));
	memcpy(context->f, thread->fp.f, sizeof(context->f));
	context->fcsr = (uint32_t)thread->fp.fcsr;
}

int sigframe_push(struct trap_frame *frame, const struct siginfo *info, const struct sigaction_kernel *action,
		  uint64_t mask)
{
	struct thread *thread = current_thread();
	struct rt_sigframe out;
	uint64_t at = choose_stack(thread, frame, action->flags);

	if (at == 0)
		return -EFAULT;
	memset(&out, 0, sizeof(out));
	fp_store(thread);
	out.info = *info;
	out.uc.stack.sp = thread->altstack.sp;
	out.uc.stack.flags = altstack_flags(&thread->altstack, frame->sp);
	out.uc.stack.size = thread->altstack.size;
	out.uc.mask = mask;
	fill_context(&out, thread, frame);
	if (user_write(current_space(), VADDR(at), &out, sizeof(out)) != 0)
		return -EFAULT;
	if ((thread->altstack.flags & SS_AUTODISARM) != 0)
		memset(&thread->altstack, 0, sizeof(thread->altstack));
	frame->ra = SIGRETURN_PAGE;
	frame->sp = at;
	frame->a0 = (uint64_t)info->signo;
	frame->a1 = at + offsetof(struct rt_sigframe, info);
	frame->a2 = at + offsetof(struct rt_sigframe, uc);
	frame->sepc = action->handler;
	return 0;
}

static int set_altstack(struct thread *thread, const struct stack_user *stack, uint64_t sp)
{
	int32_t mode = stack->flags & ~SS_AUTODISARM;

	if (on_altstack(&thread->altstack, sp))
		return -EPERM;
	if (mode != 0 && mode != SS_ONSTACK && mode != SS_DISABLE)
		return -EINVAL;
	if (mode == SS_DISABLE) {
		memset(&thread->altstack, 0, sizeof(thread->altstack));
		return 0;
	}
	if (stack->size < 2048)
		return -ENOMEM;
	thread->altstack.sp = stack->sp;
	thread->altstack.size = stack->size;
	thread->altstack.flags = stack->flags & SS_AUTODISARM;
	return 0;
}

int64_t sys_sigaltstack(const uint64_t *a)
{
	struct thread *thread = current_thread();
	uint64_t sp = thread_frame(thread)->sp;
	struct stack_user old = {
		.sp = thread->altstack.sp,
		.flags = altstack_flags(&thread->altstack, sp),
		.size = thread->altstack.size,
	};
	struct stack_user new;
	int error = 0;

	if (a[0] != 0) {
		if (user_read(current_space(), &new, VADDR(a[0]), sizeof(new)) != 0)
			return -EFAULT;
		error = set_altstack(thread, &new, sp);
	}
	if (error == 0 && a[1] != 0 && user_write(current_space(), VADDR(a[1]), &old, sizeof(old)) != 0)
		error = -EFAULT;
	return error;
}

int64_t sys_rt_sigreturn(const uint64_t *a)
{
	struct thread *thread = current_thread();
	struct trap_frame *frame = thread_frame(thread);
	struct rt_sigframe in;

	(void)a;
	if (user_read(current_space(), &in, VADDR(frame->sp), sizeof(in)) != 0) {
		signal_fault(SIGSEGV, SEGV_MAPERR, frame->sp);
		return 0;
	}
	frame->sepc = in.uc.context.pc & ~UINT64_C(1);
	memcpy(&frame->x[1], in.uc.context.x, sizeof(in.uc.context.x));
	memcpy(thread->fp.f, in.uc.context.f, sizeof(thread->fp.f));
	thread->fp.fcsr = in.uc.context.fcsr & 0xff;
	fp_load(thread);
	(void)set_altstack(thread, &in.uc.stack, frame->sp);
	signal_set_mask(in.uc.mask);
	/* The trap is no longer a call that could be restarted. */
	frame->scause = UINT64_MAX;
	return (int64_t)frame->a0;
}
