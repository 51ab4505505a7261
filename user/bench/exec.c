/*
 * fork_exec_wait: fork, execve of the smallest static program, which ends at once, and the parent's wait. The program is one page that this
 * writes itself: its header and three instructions, so that no C library's beginning is part of the time.
 */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "user/bench/bench.h"

#define PROGRAM	    "/tmp/.bench_exec"
#define PROGRAM_ALT "/.bench_exec" /* where there is no /tmp */
#define LOAD_AT	    UINT64_C(0x10000)
#define STATUS	    3U /* that it ran, and not something else */

struct program {
	Elf64_Ehdr header;
	Elf64_Phdr load;
	uint32_t code[3];
};

static struct {
	const char *path; /* NULL: not written */
} exec_state;

/* li of a small number into a7 (17) or a0 (10), ecall. */
#define LI(reg, value) ((uint32_t)(value) << 20 | (uint32_t)(reg) << 7 | 0x13U)
#define ECALL	       0x73U

static struct program make_program(void)
{
	return (struct program){
		.header = {
			.e_ident = { ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB, EV_CURRENT },
			.e_type = ET_EXEC,
			.e_machine = EM_RISCV,
			.e_version = EV_CURRENT,
			.e_entry = LOAD_AT + offsetof(struct program, code),
			.e_phoff = offsetof(struct program, load),
			.e_ehsize = sizeof(Elf64_Ehdr),
			.e_phentsize = sizeof(Elf64_Phdr),
			.e_phnum = 1,
		},
		.load = {
			.p_type = PT_LOAD,
			.p_flags = PF_R | PF_X,
			.p_vaddr = LOAD_AT,
			.p_paddr = LOAD_AT,
			.p_filesz = sizeof(struct program),
			.p_memsz = sizeof(struct program),
			.p_align = 0x1000,
		},
		.code = { LI(10, STATUS), LI(17, SYS_exit_group), ECALL },
	};
}

static int write_program(const char *path)
{
	struct program program = make_program();
	int fd = open(path, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0755);
	ssize_t written;

	if (fd < 0)
		return -1;
	written = write(fd, &program, sizeof(program));
	if (close(fd) != 0 || written != (ssize_t)sizeof(program))
		return -1;
	exec_state.path = path;
	return 0;
}

static enum bench_status setup(struct bench_run *run)
{
	exec_state.path = NULL;
	if (write_program(PROGRAM) != 0 && write_program(PROGRAM_ALT) != 0)
		return bench_errno(run, "writing the program");
	return BENCH_OK;
}

static enum bench_status teardown(struct bench_run *run)
{
	if (exec_state.path && unlink(exec_state.path) != 0)
		return bench_errno(run, "unlink");
	return BENCH_OK;
}

static _Noreturn void run_program(void)
{
	char *arguments[] = { (char *)(uintptr_t)exec_state.path, NULL };
	char *environment[] = { NULL };

	execve(exec_state.path, arguments, environment);
	_exit(1);
}

static enum bench_status run_round(struct bench_run *run, struct bench_sample *sample)
{
	struct bench_timer timer;
	uint64_t left;
	int status = 0;
	bool bad = false;

	bench_timer_start(&timer);
	for (left = run->batch; left; left--) {
		pid_t pid = fork();

		if (pid == 0)
			run_program();
		if (pid < 0 || waitpid(pid, &status, 0) != pid)
			return bench_errno(run, pid < 0 ? "fork" : "waitpid");
		bad |= !WIFEXITED(status) || WEXITSTATUS(status) != STATUS;
	}
	bench_timer_stop(&timer, sample, run->batch);
	return bad ? bench_fail(run, "a child did not run the program to its end") : BENCH_OK;
}

const struct bench_family fork_exec_wait = {
	.name = "fork_exec_wait",
	.unit = "call",
	.scales = true,
	.setup = setup,
	.round = run_round,
	.teardown = teardown,
};
