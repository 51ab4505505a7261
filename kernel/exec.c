/*
 * execve: a new program in an old process.
 *
 * Everything is made in a new space: image, stack, arguments. Only when all of it is there do the other threads end and
 * the spaces change places, so every error before that finds the old program as it was; after that nothing can fail but
 * by being killed.
 */
#include "kernel/exec.h"

#include <string.h>

#include "firmware/trap.h"
#include "kernel/elf.h"
#include "kernel/file.h"
#include "kernel/fp.h"
#include "kernel/futex.h"
#include "kernel/layout.h"
#include "kernel/memory.h"
#include "kernel/process.h"
#include "kernel/random.h"
#include "kernel/sched.h"
#include "kernel/script.h"
#include "kernel/signal.h"
#include "kernel/sys.h"
#include "kernel/sys_file.h"
#include "lib/errno.h"
#include "mm/object.h"
#include "mm/slab.h"
#include "mm/space.h"

#define ARGUMENTS_MAX (UINT64_C(2) << 20) /* a quarter of the stack, as on Linux */
#define STRING_MAX    (UINT64_C(128) << 10)
#define STRING_SHORT  UINT64_C(256)
#define AUX_WORDS     34U

enum {
	AT_NULL = 0,
	AT_PHDR = 3,
	AT_PHENT = 4,
	AT_PHNUM = 5,
	AT_PAGESZ = 6,
	AT_BASE = 7,
	AT_FLAGS = 8,
	AT_ENTRY = 9,
	AT_UID = 11,
	AT_EUID = 12,
	AT_GID = 13,
	AT_EGID = 14,
	AT_HWCAP = 16,
	AT_CLKTCK = 17,
	AT_SECURE = 23,
	AT_RANDOM = 25,
	AT_EXECFN = 31
};

static uint64_t hwcap;

void exec_init(const char *isa)
{
	/* rv64imafdc_...: single letters up to the first underscore */
	if (strncmp(isa, "rv64", 4) != 0)
		return;
	for (const char *p = isa + 4; *p >= 'a' && *p <= 'z'; p++) {
		if (*p == 'g')
			hwcap |=
				1U << ('i' - 'a') | 1U << ('m' - 'a') | 1U << 0 | 1U << ('f' - 'a') | 1U << ('d' - 'a');
		else if (strchr("imafdcv", *p) != NULL)
			hwcap |= 1U << (*p - 'a');
	}
}

/* Where arguments come from: a program's memory, or, for the first program, the kernel's. */
struct arguments {
	struct space *space; /* NULL: kernel addresses */
	uint64_t argv, envp;
	const char *path; /* in the kernel */
	uint64_t argc, envc;
	struct script_lead lead; /* stands for argv[0], if there is any */
	bool nameless;		 /* argv is empty: the program finds "" in it, as on Linux */
};

/* The stack while it is being filled, downward. */
struct stack {
	struct space *space;
	uint64_t sp;
	uint64_t left; /* of what arguments may take */
	uint64_t *
		vector; /* what begins at the final sp: argc, addresses of the arguments, 0, of the environment, 0, auxv */
	char *buffer; /* for one string of a program's, of `room`; longer ones make it longer */
	uint64_t room;
};

static uint64_t vector_words(const struct arguments *from)
{
	return 1 + from->argc + 1 + from->envc + 1 + AUX_WORDS;
}

static int fetch_pointer(const struct arguments *from, uint64_t array, uint64_t index, uint64_t *out)
{
	uint64_t address = array + index * sizeof(uint64_t);

	if (from->space != NULL)
		return user_read(from->space, out, VADDR(address), sizeof(*out));
	memcpy(out, (const void *)address, sizeof(*out));
	return 0;
}

static int count_pointers(const struct arguments *from, uint64_t array, uint64_t *count)
{
	uint64_t pointer;

	for (*count = 0; array != 0; (*count)++) {
		int error = fetch_pointer(from, array, *count, &pointer);

		if (error != 0)
			return error;
		if (pointer == 0)
			break;
		if (*count > ARGUMENTS_MAX / (sizeof(uint64_t) + 1))
			return -E2BIG;
	}
	return 0;
}

/* Pushes bytes; their address is stack->sp then. */
static int push_bytes(struct stack *stack, const void *bytes, uint64_t n)
{
	if (n > stack->left)
		return -E2BIG;
	stack->left -= n;
	stack->sp -= n;
	return user_write(stack->space, VADDR(stack->sp), bytes, n);
}

/* A script's: they take the place of argv[0] and lie as they are packed. */
static int push_lead(struct stack *stack, const struct script_lead *lead)
{
	const char *string = lead->bytes + lead->start;
	int error = push_bytes(stack, string, lead->end - lead->start);

	for (uint64_t i = 0; i < lead->count; i++) {
		stack->vector[1 + i] = stack->sp + (uint64_t)(string - (lead->bytes + lead->start));
		string += strlen(string) + 1;
	}
	return error;
}

static int push_empty(struct stack *stack, uint64_t *out)
{
	int error = push_bytes(stack, "", 1);

	*out = stack->sp;
	return error;
}

/* What is allocated is cleared, and most are short. */
static int grow_buffer(struct stack *stack)
{
	kfree(stack->buffer);
	stack->room = stack->room == 0 ? STRING_SHORT : MIN(stack->room * 8, STRING_MAX);
	stack->buffer = kalloc(stack->room);
	return stack->buffer == NULL ? -ENOMEM : 0;
}

static int push_string(struct stack *stack, const struct arguments *from, uint64_t address)
{
	const char *string = (const char *)address;
	int64_t length = -ENAMETOOLONG;

	if (from->space == NULL)
		return push_bytes(stack, string, strlen(string) + 1);
	if (stack->room != 0)
		length = user_read_string(from->space, stack->buffer, VADDR(address), stack->room);
	while (length == -ENAMETOOLONG && stack->room != STRING_MAX) {
		length = grow_buffer(stack);
		if (length == 0)
			length = user_read_string(from->space, stack->buffer, VADDR(address), stack->room);
	}
	if (length < 0)
		return length == -ENAMETOOLONG ? -E2BIG : (int)length;
	return push_bytes(stack, stack->buffer, (uint64_t)length + 1);
}

/* Last first, so that they lie in order. */
static int push_strings(struct stack *stack, const struct arguments *from, uint64_t array, uint64_t count,
			uint64_t *out)
{
	for (uint64_t i = count; i-- > 0;) {
		uint64_t pointer;
		int error = fetch_pointer(from, array, i, &pointer);

		if (error == 0)
			error = push_string(stack, from, pointer);
		if (error != 0)
			return error;
		out[i] = stack->sp;
	}
	return 0;
}

/* From the 16-byte aligned stack pointer up. */
static int push_vector(struct stack *stack, const struct arguments *from, const struct elf_image *image,
		       uint64_t random, uint64_t path)
{
	const uint64_t aux[AUX_WORDS] = {
		AT_PHDR,   image->headers,
		AT_PHENT,  ELF_HEADER_BYTES,
		AT_PHNUM,  image->header_count,
		AT_PAGESZ, PAGE_SIZE,
		AT_BASE,   0,
		AT_FLAGS,  0,
		AT_ENTRY,  image->entry,
		AT_UID,	   0,
		AT_EUID,   0,
		AT_GID,	   0,
		AT_EGID,   0,
		AT_HWCAP,  hwcap,
		AT_CLKTCK, 100,
		AT_SECURE, 0,
		AT_RANDOM, random,
		AT_EXECFN, path,
		AT_NULL,   0,
	};
	uint64_t bytes = vector_words(from) * sizeof(uint64_t);

	stack->vector[0] = from->argc;
	memcpy(stack->vector + vector_words(from) - AUX_WORDS, aux, sizeof(aux));
	stack->sp = (stack->sp - bytes) & ~UINT64_C(15);
	return user_write(stack->space, VADDR(stack->sp), stack->vector, bytes);
}

static int fill_stack(struct stack *stack, const struct arguments *from, const struct elf_image *image)
{
	uint64_t *argv = stack->vector + 1, *envp = argv + from->argc + 1;
	uint64_t seed[2];
	uint64_t random, path;
	int error;

	random_bytes(seed, sizeof(seed));
	error = push_bytes(stack, from->path, strlen(from->path) + 1);
	path = stack->sp;
	if (error == 0)
		error = push_strings(stack, from, from->envp, from->envc, envp);
	if (error == 0 && from->nameless)
		error = push_empty(stack, argv);
	else if (error == 0)
		error = push_strings(stack, from, from->argv, from->argc - from->lead.count, argv + from->lead.count);
	if (error == 0 && from->lead.count != 0)
		error = push_lead(stack, &from->lead);
	stack->sp &= ~UINT64_C(15);
	if (error == 0)
		error = push_bytes(stack, seed, sizeof(seed));
	random = stack->sp;
	return error != 0 ? error : push_vector(stack, from, image, random, path);
}

static int make_stack(struct space *space, struct arguments *from, const struct elf_image *image, uint64_t *sp)
{
	struct stack stack = { .space = space, .sp = STACK_TOP, .left = ARGUMENTS_MAX };
	vaddr_t at = VADDR(STACK_TOP - STACK_BEGINS);
	int error = count_pointers(from, from->argv, &from->argc);

	if (error == 0)
		error = count_pointers(from, from->envp, &from->envc);
	if (error == 0)
		error = space_map(space, PLACE_FIXED, &at, STACK_BEGINS, PERM_R | PERM_W,
				  mapping_anon_growing(MAPPING_FORK_COPY));
	if (error != 0)
		return error;
	if (from->lead.count != 0 && from->argc != 0) {
		from->argv += sizeof(uint64_t);
		from->argc--;
	}
	from->argc += from->lead.count;
	from->nameless = from->argc == 0;
	from->argc += from->nameless;
	stack.vector = kalloc(vector_words(from) * sizeof(uint64_t));
	error = stack.vector == NULL ? -ENOMEM : fill_stack(&stack, from, image);
	kfree(stack.buffer);
	kfree(stack.vector);
	*sp = stack.sp;
	return error;
}

struct program {
	struct space *space;
	struct elf_image image;
	uint64_t sp;
	struct file *exe;
	char path[PROCESS_PATH_BYTES]; /* absolute, links followed: /proc/self/exe */
};

static int build(const char *path, struct arguments *from, struct program *out)
{
	struct object *object;
	int error = script_open(path, &from->lead, &object, &out->exe);

	if (error != 0)
		return error;
	if (node_path(out->exe->node, out->path, sizeof(out->path)) < 0)
		strncpy(out->path, path, sizeof(out->path) - 1);
	out->path[sizeof(out->path) - 1] = 0;
	error = space_create(&out->space);
	if (error != 0) {
		object_put(object);
		file_put(out->exe);
		return error;
	}
	if (from->space != NULL)
		memory_inherit(from->space, out->space);
	/* relaxed: a limit */
	if (from->space != NULL)
		atomic_store_explicit(&out->space->grow_limit,
				      __atomic_load_n(&current_process()->limits[RLIMIT_STACK].soft, __ATOMIC_RELAXED),
				      memory_order_relaxed);
	error = elf_load(out->space, object, &out->image);
	if (error == 0)
		error = sigframe_map(out->space);
	if (error == 0)
		error = make_stack(out->space, from, &out->image, &out->sp);
	object_put(object);
	if (error != 0) {
		space_put(out->space);
		file_put(out->exe);
	}
	return error;
}

static void set_names(struct process *process, struct thread *thread, const char *path, const struct program *program)
{
	const char *slash = strrchr(path, '/');

	strncpy(thread->name, slash == NULL ? path : slash + 1, sizeof(thread->name) - 1);
	thread->name[sizeof(thread->name) - 1] = 0;
	spin_lock(&process->lock, RANK_PROCESS);
	memcpy(process->path, program->path, sizeof(process->path));
	process_differs_locked(process);
	spin_unlock(&process->lock, RANK_PROCESS);
}

static void set_registers(struct thread *thread, const struct program *program)
{
	struct trap_frame *frame = thread_frame(thread);

	memset(frame, 0, sizeof(*frame));
	frame->sepc = program->image.entry;
	frame->sp = program->sp;
}

static void set_space(struct process *process, const struct program *program)
{
	spin_lock(&process->lock, RANK_PROCESS);
	process->space = program->space;
	process->brk_start = program->image.end;
	process->brk = program->image.end;
	process->start_sp = program->sp;
	spin_unlock(&process->lock, RANK_PROCESS);
}

/* Past the point of no return: what the old program was goes. */
static void become(struct process *process, struct thread *thread, const struct program *program, const char *path)
{
	struct space *old = process->space;
	struct file *old_exe = process->exe;

	futex_thread_exit(thread);
	thread->clear_child_tid = 0;
	thread->restart_deadline = 0;
	memset(&thread->altstack, 0, sizeof(thread->altstack));
	share_exec(process);
	ptimers_exec(process);
	/* relaxed: it is the only thread */
	atomic_store_explicit(&process->barriers, 0, memory_order_relaxed);
	tree_lock();
	process->execed = true;
	process->undumpable = false;
	tree_unlock();
	fdtable_exec(process->files);
	set_space(process, program);
	process->exe = program->exe;
	set_names(process, thread, path, program);
	space_switch(program->space);
	process_vfork_done(process);
	space_put(old);
	file_put(old_exe);
	set_registers(thread, program);
	fp_clear(thread);
}

static int64_t exec(const char *path, const uint64_t *a)
{
	struct process *process = current_process();
	struct arguments from = { .space = process->space, .argv = a[1], .envp = a[2], .path = path };
	struct program program;
	int error = build(path, &from, &program);

	script_free(&from.lead);
	if (error != 0)
		return error;
	error = process_single_thread();
	if (error == 0)
		error = process_unshare_files();
	if (error != 0) {
		space_put(program.space);
		file_put(program.exe);
		return error;
	}
	become(process, current_thread(), &program, path);
	return 0;
}

int64_t sys_execve(const uint64_t *a)
{
	char *path;
	int64_t result = user_path(a[0], false, &path);

	if (result != 0)
		return result;
	result = exec(path, a);
	kfree(path);
	return result;
}

/* ---- The first program. */

static int first_files(struct process *process)
{
	process->files = fdtable_create();
	if (process->files == NULL)
		return -ENOMEM;
	process->cwd = node_root();
	return fdtable_open_console(process->files);
}

int exec_first(const char *path, char *const *argv, char *const *envp, const char **why)
{
	struct arguments from = { .argv = (uint64_t)argv, .envp = (uint64_t)envp, .path = path };
	struct program program = { .image = { .why = NULL } };
	struct process *process;
	struct thread *thread;
	int error = build(path, &from, &program);

	script_free(&from.lead);
	*why = program.image.why;
	if (error != 0)
		return error;
	error = process_create(&process);
	if (error == 0)
		error = thread_create(&thread);
	if (error == 0)
		error = first_files(process);
	/* The machine does not go on after this, so nothing is given back. */
	if (error != 0)
		return error;
	process_be_first(process);
	set_space(process, &program);
	process->exe = program.exe;
	set_names(process, thread, path, &program);
	set_registers(thread, &program);
	process_publish(process, thread, NULL, false);
	sched_start(thread);
	return 0;
}
