/*
 * What others leave behind is not to be seen: memory that a program filled and gave back, bytes between the fields of what the kernel copies out,
 * ends of pages behind files, registers of the program before; and executables with segments that are huge, overlap or lie anywhere,
 * which execve refuses, or runs as what they are, without harm to anybody else.
 *
 *   isolation_leaks [SEED]; with "new": what an executable finds when it starts
 */
#include "check.h"

#include <dirent.h>
#include <elf.h>
#include <fcntl.h>
#include <stddef.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/sysinfo.h>
#include <sys/un.h>
#include <sys/utsname.h>
#include <sys/wait.h>

#define SECRET UINT64_C(0x5ec3e75ec3e75ec3)
#define BYTE   0xee

enum { BYTES = 24 << 20, EXECUTABLES = 150 };

static uint64_t random_state = 1;
static char in_bss[256 * KIB];

/* ---- Memory. */

static void fill(void *at, size_t bytes)
{
	for (size_t i = 0; i < bytes / 8; i++)
		((volatile uint64_t *)at)[i] = SECRET;
}

static uint64_t fill_stack(unsigned depth)
{
	volatile uint64_t here[500];

	fill((void *)here, sizeof(here));
	return depth == 0 ? here[0] : fill_stack(depth - 1) + here[1];
}

/* Private, shared, of a file, a heap, a stack, pipes and sockets: full of it, and then its owner ends. */
static void leave_behind(void *arg)
{
	int fd = memfd_create("left", 0), ends[2], pair[2];
	char *heap = sbrk(MIB);

	(void)arg;
	fill(map_anon(BYTES), BYTES);
	fill(map_shared(MIB), MIB);
	fill(heap, MIB);
	fill(in_bss, sizeof(in_bss));
	(void)fill_stack(200);
	CHECK(fd >= 0 && pipe(ends) == 0 && socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
	for (unsigned i = 0; i < 4; i++)
		CHECK_EQ(write(fd, in_bss, sizeof(in_bss)), sizeof(in_bss));
	CHECK_EQ(write(ends[1], in_bss, 60000), 60000);
	CHECK(send(pair[0], in_bss, 60000, MSG_DONTWAIT) > 0);
}

static void zeros(const char *at, size_t bytes)
{
	const volatile uint64_t *word = (const volatile uint64_t *)at;

	for (size_t i = 0; i < bytes / 8; i++)
		CHECK_EQ(word[i], 0);
}

static bool deep_is_clean(unsigned depth)
{
	volatile uint64_t here[500]; /* as the kernel gave the page, if nobody was this deep before */
	bool clean = true;

	__asm__ volatile("" : : "r"(here) : "memory");
	for (unsigned i = 0; i < COUNT(here); i++)
		clean &= here[i] != SECRET;
	return depth == 0 ? clean : deep_is_clean(depth - 1) && clean;
}

static void find_nothing(void *arg)
{
	char *area = map_anon(BYTES), *file;
	int fd = memfd_create("found", 0);

	(void)arg;
	for (size_t i = 0; i < BYTES; i += 2 * PAGE)
		area[i] = 0; /* every other one by a write, the rest by a read */
	zeros(area, BYTES);
	zeros(map_shared(MIB), MIB);
	zeros(sbrk(MIB), MIB);
	CHECK(deep_is_clean(400));
	CHECK(fd >= 0 && ftruncate(fd, MIB) == 0 && pwrite(fd, "x", 1, 5 * PAGE + 17) == 1);
	file = mmap(NULL, MIB, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	CHECK(file != MAP_FAILED && file[5 * PAGE + 17] == 'x');
	file[5 * PAGE + 17] = 0;
	zeros(file, MIB);
	CHECK(madvise(area, MIB, MADV_DONTNEED) == 0);
	fill(area, MIB);
	CHECK(madvise(area, MIB, MADV_DONTNEED) == 0);
	zeros(area, MIB);
	area = mremap(area, MIB, 2 * MIB, MREMAP_MAYMOVE);
	CHECK(area != MAP_FAILED);
	zeros(area, 2 * MIB);
}

/* Behind the end of a file nothing comes back, by whatever way it gets longer. */
static void ends_of_files(void)
{
	char *page, bytes[200];

	for (unsigned way = 0; way < 3; way++) {
		int fd = open("/leaks.tmp", O_CREAT | O_TRUNC | O_RDWR, 0600);

		CHECK(fd >= 0 && write(fd, "twelve bytes", 12) == 12);
		page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		CHECK(page != MAP_FAILED && page[12] == 0);
		zeros(page + 16, PAGE - 16);
		memset(page + 16, 7, PAGE - 16);
		CHECK(way == 0	 ? ftruncate(fd, 300) == 0
		      : way == 1 ? pwrite(fd, "z", 1, 299) == 1
				 : fallocate(fd, 0, 0, 300) == 0);
		CHECK_EQ(pread(fd, bytes, 200, 16), 200);
		zeros(bytes, 200);
		CHECK(munmap(page, PAGE) == 0 && close(fd) == 0);
	}
	CHECK(unlink("/leaks.tmp") == 0);
}

/* ---- What the kernel copies out. */

/* The kernel's stacks and buffers are full of the byte: a long path, long vectors. */
static void stain(void)
{
	static char path[PAGE];

	memset(path, BYTE, sizeof(path));
	path[PAGE - 1] = 0;
	CHECK(access(path, F_OK) == -1);
	path[200] = 0;
	CHECK(access(path, F_OK) == -1);
	CHECK(syscall(SYS_futex, path, 0xeeeeeeee, 0xeeeeeeee, 0, 0xeeeeeeeeeeeeeeee, 0xeeeeeeee) == -1);
}

/* Of `bytes` at `at`, cleared before the call: no word has two bytes of the stain, none is an address of the kernel. */
static void copied(const char *name, const void *at, size_t bytes)
{
	const unsigned char *byte = at;

	for (size_t i = 0; i + 1 < bytes; i++)
		if (byte[i] == BYTE && byte[i + 1] == BYTE)
			fprintf(stderr, "%s: stained at %zu\n", name, i), check_say("a byte of before\n");
	for (size_t i = 0; i + 8 <= bytes; i += 8) {
		uint64_t word;

		memcpy(&word, byte + i, 8);
		if (word >= 0xffffffc000000000 && word < 0xfffffffff0000000)
			fprintf(stderr, "%s: %#llx at %zu\n", name, (unsigned long long)word, i),
				check_say("an address of the kernel\n");
	}
}

static char out[PAGE] __attribute__((aligned(16)));

#define COPIED(bytes, call)                                                                                            \
	do {                                                                                                           \
		memset(out, 0, sizeof(out));                                                                           \
		stain();                                                                                               \
		CHECK((long)(call) >= 0);                                                                              \
		copied(#call, out, bytes);                                                                             \
	} while (0)

/* Padding that the layout has and nobody sets: it must be written as zeros, or not at all. */
static void unwritten(const char *what, const void *at, size_t bytes)
{
	const unsigned char *byte = at;

	for (size_t i = 0; i < bytes; i++)
		if (byte[i] != 0 && byte[i] != 0x11)
			fprintf(stderr, "%s: %#x\n", what, byte[i]), check_say("a byte of before\n");
}

static siginfo_t handled;
static ucontext_t context_seen;

static void handler(int number, siginfo_t *info, void *context)
{
	(void)number;
	handled = *info;
	memcpy(&context_seen, context, offsetof(ucontext_t, uc_mcontext));
}

static void signals(void)
{
	struct sigaction action = { .sa_sigaction = handler, .sa_flags = SA_SIGINFO };
	pid_t pid = child_fork();
	sigset_t set;

	if (pid == 0)
		_exit(3);
	COPIED(sizeof(siginfo_t), waitid(P_PID, (id_t)pid, (siginfo_t *)out, WEXITED));
	CHECK(sigaction(SIGUSR1, &action, NULL) == 0);
	stain();
	CHECK(raise(SIGUSR1) == 0);
	copied("handler", &handled, sizeof(handled));
	unwritten("siginfo", (char *)&handled + 24, sizeof(handled) - 24);
	copied("ucontext", (char *)&context_seen, offsetof(ucontext_t, uc_mcontext));
	unwritten("ucontext", context_seen.__glibc_reserved, sizeof(context_seen.__glibc_reserved));
	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	CHECK(sigprocmask(SIG_BLOCK, &set, NULL) == 0 && raise(SIGUSR2) == 0);
	COPIED(sizeof(siginfo_t), sigtimedwait(&set, (siginfo_t *)out, NULL));
	unwritten("siginfo", out + 24, sizeof(siginfo_t) - 24);
	COPIED(32, syscall(SYS_rt_sigaction, SIGUSR1, NULL, out, 8));
	COPIED(24, sigaltstack(NULL, (stack_t *)out));
}

static void structures(void)
{
	struct sockaddr_un *address = (struct sockaddr_un *)out;
	socklen_t length = sizeof(*address);
	int ends[2], file = open("/", O_RDONLY | O_DIRECTORY);

	CHECK(file >= 0 && socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
	memset(out, 0x11, sizeof(out));
	stain();
	CHECK(fstat(ends[0], (struct stat *)out) == 0);
	unwritten("stat", &((struct stat *)out)->__pad1, 8);
	unwritten("stat", out + 60, 4);
	unwritten("stat", out + 120, 8);
	COPIED(sizeof(struct stat), stat("/", (struct stat *)out));
	COPIED(256, syscall(SYS_statx, AT_FDCWD, "/", 0, 0xfff, out));
	COPIED(sizeof(struct statfs), statfs("/", (struct statfs *)out));
	COPIED(sizeof(struct utsname), uname((struct utsname *)out));
	COPIED(sizeof(struct sysinfo), sysinfo((struct sysinfo *)out));
	COPIED(sizeof(struct rusage), getrusage(RUSAGE_SELF, (struct rusage *)out));
	COPIED(16, prlimit(0, RLIMIT_STACK, NULL, (struct rlimit *)out));
	COPIED(32, syscall(SYS_getitimer, 0, out));
	COPIED(56, syscall(SYS_sched_getattr, 0, out, 56, 0));
	COPIED(128, syscall(SYS_sched_getaffinity, 0, 128, out));
	COPIED(PAGE, syscall(SYS_getdents64, file, out, sizeof(out)));
	COPIED(PAGE, syscall(SYS_getcwd, out, sizeof(out)));
	COPIED(110, getsockname(ends[0], (struct sockaddr *)address, &length));
	length = 12;
	COPIED(12, getsockopt(ends[0], SOL_SOCKET, SO_PEERCRED, out, &length));
	COPIED(64, syscall(SYS_mincore, map_anon(64 * PAGE), 64 * PAGE, out));
	COPIED(32, fcntl(file, F_GETFD));
	close(file);
	close(ends[0]);
	close(ends[1]);
}

/* No file of /proc/self tells where the kernel has anything. */
static void proc_files(void)
{
	static const char *const names[] = { "maps",   "smaps",	 "stat",  "status", "statm",
					     "limits", "mounts", "wchan", "stack",  "syscall" };
	char path[64];

	for (unsigned i = 0; i < COUNT(names); i++) {
		ssize_t n;
		int fd;

		snprintf(path, sizeof(path), "/proc/self/%s", names[i]);
		fd = open(path, O_RDONLY);
		if (fd < 0)
			continue;
		while ((n = read(fd, out, sizeof(out) - 1)) > 0) {
			out[n] = 0;
			CHECK(strstr(out, "ffffffc0") == NULL && strstr(out, "ffffffe0") == NULL);
		}
		close(fd);
	}
}

/* ---- Executables. */

struct image {
	Elf64_Ehdr file;
	Elf64_Phdr segment[3];
	uint32_t code[96];
};

#define CODE_AT 0x10000UL

/* Ends with 0 where every register but sp is 0. */
static unsigned write_code(uint32_t *code)
{
	unsigned n = 0;

	for (uint32_t r = 3; r < 32; r++)
		code[n++] = r << 20 | 1 << 15 | 6 << 12 | 1 << 7 | 0x33; /* or ra, ra, xr */
	for (uint32_t f = 0; f < 32; f++) {
		code[n++] = 0xe2000053 | f << 15 | 5 << 7;		 /* fmv.x.d t0, f */
		code[n++] = 5 << 20 | 1 << 15 | 6 << 12 | 1 << 7 | 0x33; /* or ra, ra, t0 */
	}
	code[n++] = 1 << 20 | 3 << 12 | 10 << 7 | 0x33; /* sltu a0, zero, ra */
	code[n++] = 93 << 20 | 17 << 7 | 0x13;		/* li a7, 93 */
	code[n++] = 0x73;				/* ecall */
	return n;
}

static struct image good(void)
{
	struct image image = {
		.file = { .e_ident = { 0x7f, 'E', 'L', 'F', 2, 1, 1 },
			  .e_type = ET_EXEC,
			  .e_machine = EM_RISCV,
			  .e_version = 1,
			  .e_entry = CODE_AT + offsetof(struct image, code),
			  .e_phoff = sizeof(Elf64_Ehdr),
			  .e_ehsize = 64,
			  .e_phentsize = 56,
			  .e_phnum = 3,
			  .e_shentsize = 64,
			  .e_flags = 5 },
		.segment = { { PT_LOAD, PF_R | PF_X, 0, CODE_AT, CODE_AT, sizeof(image), sizeof(image), PAGE },
			     { PT_LOAD, PF_R | PF_W, 0, CODE_AT + MIB, CODE_AT + MIB, 64, 64 * PAGE, PAGE },
			     { PT_NULL, 0, 0, 0, 0, 0, 0, 0 } },
	};

	CHECK(write_code(image.code) <= COUNT(image.code));
	return image;
}

/* The status that it ends with; 1000 + errno: refused. */
static int executed(const struct image *image)
{
	static const char name[] = "/leaks.elf";
	int fd = open(name, O_CREAT | O_TRUNC | O_WRONLY, 0700), status;
	pid_t pid;

	CHECK(fd >= 0 && write(fd, image, sizeof(*image)) == sizeof(*image) && close(fd) == 0);
	fflush(NULL);
	__asm__ volatile("fmv.d.x fs3, %0; fmv.d.x ft9, %0; fmv.d.x fa7, %0" : : "r"(SECRET) : "fs3", "ft9", "fa7");
	pid = fork();
	CHECK(pid >= 0);
	if (pid == 0) {
		struct rlimit time = { 2, 2 };

		setrlimit(RLIMIT_CPU, &time);
		execl(name, name, NULL);
		_exit(errno == ENOEXEC	? 201
		      : errno == ENOMEM ? 202
		      : errno == EFAULT ? 203
		      : errno == EINVAL ? 204
					: 209);
	}
	status = child_status(pid);
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

static bool refused(const struct image *image)
{
	int status = executed(image);

	return (status >= 201 && status <= 204) || status == 128 + SIGKILL || status == 128 + SIGSEGV;
}

static void segments(void)
{
	static const uint64_t at[] = { 0xffffffc080200000, 0xfffffffffffff000, 0x4000000000,
				       0x3fffffe000,	   0x8000000000000000, 0 };
	struct image image = good();

	CHECK_EQ(executed(&image), 0);
	for (unsigned i = 0; i < COUNT(at); i++) {
		image.segment[1].p_vaddr = at[i];
		CHECK(refused(&image));
	}
	for (unsigned i = 0; i < COUNT(at) - 1; i++) { /* huge, with and without an overflow; longer than the file */
		image = good();
		image.segment[1].p_memsz = at[i];
		CHECK(refused(&image));
		image.segment[1].p_filesz = at[i];
		CHECK(refused(&image));
		image = good();
		image.segment[1].p_offset = at[i];
		CHECK(refused(&image));
		image = good();
		image.file.e_phoff = at[i];
		CHECK(refused(&image));
		image = good();
		image.file.e_entry = at[i];
		CHECK(refused(&image));
	}
	image = good(); /* over the first: its code is replaced, or it is refused */
	image.segment[1] = image.segment[0];
	image.segment[1].p_flags = PF_R | PF_W;
	CHECK(refused(&image));
	image = good();
	image.segment[0].p_memsz = 4 * MIB; /* from below into it */
	CHECK(refused(&image) || executed(&image) == 0);
	image = good();
	image.segment[0].p_flags = PF_R | PF_W; /* data that is entered */
	CHECK_EQ(executed(&image), 128 + SIGSEGV);
	image.file.e_phnum = 65535;
	CHECK(refused(&image));
}

/* Any bits changed in any field: refused, ended, or run; nobody else is hurt, and no memory stays. */
static void broken(void)
{
	for (unsigned i = 0; i < EXECUTABLES; i++) {
		struct image image = good();
		unsigned changes = 1 + random_next(&random_state) % 4;

		for (unsigned c = 0; c < changes; c++) {
			size_t byte = random_next(&random_state) % (sizeof(Elf64_Ehdr) + 2 * sizeof(Elf64_Phdr));

			((unsigned char *)&image)[byte] = (unsigned char)(random_next(&random_state) >> 3);
		}
		(void)executed(&image);
	}
	CHECK(unlink("/leaks.elf") == 0);
}

/* A real program: its bss, and what is behind it in the last page, are zeros. */
static void new_program(void)
{
	extern char _end[];

	zeros(in_bss, sizeof(in_bss));
	for (char *at = _end; ((uintptr_t)at & (PAGE - 1)) != 0; at++)
		CHECK_EQ(*at, 0);
}

int main(int argc, char **argv)
{
	if (argc > 1 && strcmp(argv[1], "new") == 0) {
		new_program();
		return 0;
	}
	random_state = argc > 1 ? strtoull(argv[1], NULL, 0) * 2 + 1 : 1;
	for (unsigned i = 0; i < 3; i++) {
		pid_t pid;

		child_run(leave_behind, NULL);
		child_run(find_nothing, NULL);
		pid = child_fork();
		if (pid == 0) {
			execl(self_path(), "isolation_leaks", "new", NULL);
			_exit(1);
		}
		child_wait(pid);
	}
	ends_of_files();
	signals();
	structures();
	proc_files();
	segments();
	broken();
	return pass();
}
