/*
 * Pointers in system calls: every number there is, with addresses of the kernel and of nobody at each of its arguments, among arguments
 * that make sense; and memory that other threads change, unmap and forbid while a call reads it: what the call does is of the one or the
 * other, and never beyond either.
 */
#include "check.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/uio.h>

enum { NUMBERS = 461, SHAPES = 8, ARGS = 6, ROUNDS = 3000, PATIENCE = 1000 * ROUNDS };

/*
 * ---- Wild pointers. The first is what the others are compared with: nobody's, but in the program's half. Taken for an int they are
 * negative, but for the coremap's.
 */

static const uint64_t wild[] = {
	0x80009000,	    0xffffffc080200000, 0xffffffc0c0000000, 0xffffffe002000000,
	0xfffffffffffffff8, 0x00000040c0000000, 0x80000000c0000000, 0x00ffffc080200000,
};

/* By a process that is ended for it, or that ends or changes others or the machine, and those that take no pointer and wait or start something. */
static bool is_left_out(long number)
{
	static const short out[] = { 93, 94, 129, 130, 131, 138, 139, 142, 194, 220, 240, 424, 435 };

	for (unsigned i = 0; i < COUNT(out); i++)
		if (out[i] == number)
			return true;
	return false;
}

static struct {
	_Atomic unsigned next;	/* what the child does next; what it is at ends it */
	_Atomic unsigned calls; /* that reached a handler */
	_Atomic unsigned wrong;
	_Atomic uint64_t what[8];
} * shared;

static int ends[2], pair[2], file;
static char *buffer;

static void make(unsigned shape, uint64_t *a)
{
	static const char path[] = "/isolation.tmp";
	const uint64_t b = (uintptr_t)buffer;
	const uint64_t all[SHAPES][ARGS] = {
		{ 0, 0, 0, 0, 0, 0 },
		{ (uint64_t)ends[0], b, 64, 0, 0, 0 },
		{ (uint64_t)AT_FDCWD, (uintptr_t)path, b, 0, 0, 0 },
		{ CLOCK_BOOTTIME, 0, b, b + 64, 0, 0 }, /* not 1: calls that take a process would change the first */
		{ SIGUSR1, b, b + 256, 8, 0, 0 },
		{ (uint64_t)pair[0], b, 16, 0, b + 64, b + 128 },
		{ (uintptr_t)path, b, b + 64, b + 128, 8, 8 },
		{ (uint64_t)file, b, 2, 0, 0, 0 },
	};

	memcpy(a, all[shape], sizeof(all[0]));
}

static void interrupted(int number)
{
	(void)number;
}

/* Calls that wait are interrupted. */
static void soon(void)
{
	const struct itimerval timer = { { 0, 3000 }, { 0, 3000 } };

	CHECK(setitimer(ITIMER_REAL, &timer, NULL) == 0);
}

static void each_pointer(long number, unsigned shape, unsigned position)
{
	bool faults = false;

	memset(buffer, 0, PAGE);
	for (unsigned i = 0; i < COUNT(wild); i++) {
		uint64_t a[ARGS];
		long got;

		make(shape, a);
		a[position] = wild[i];
		errno = 0;
		got = syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]);
		if (got == -1 && errno == ENOSYS)
			return;
		atomic_fetch_add(&shared->calls, 1);
		if (i == 0)
			faults = got == -1 && errno == EFAULT;
		if ((faults && got >= 0) || (got == -1 && (errno <= 0 || errno > 133))) {
			const uint64_t what[8] = { (uint64_t)number, shape,	    position,
						   wild[i],	     (uint64_t)got, (uint64_t)errno };

			for (unsigned w = 0; w < 8; w++)
				atomic_store(&shared->what[w], what[w]);
			atomic_fetch_add(&shared->wrong, 1);
		}
	}
}

static _Noreturn void calling(void)
{
	struct sigaction action = { .sa_handler = interrupted };
	unsigned step;

	CHECK(sigaction(SIGALRM, &action, NULL) == 0 && sigaction(SIGUSR1, &action, NULL) == 0);
	CHECK(setsid() > 0);
	alarm(0);
	while ((step = atomic_fetch_add(&shared->next, 1)) < NUMBERS * SHAPES * ARGS) {
		long number = step / (SHAPES * ARGS);

		if (is_left_out(number))
			continue;
		soon();
		each_pointer(number, step / ARGS % SHAPES, step % ARGS);
	}
	_exit(0);
}

/* A child that was ended, or waits for ever, is followed by another that goes on behind what ended it. */
static void every_call(void)
{
	const struct timespec patience = { 3, 0 };
	unsigned ended = 0;
	sigset_t child;

	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	CHECK(sigprocmask(SIG_BLOCK, &child, NULL) == 0);
	while (atomic_load(&shared->next) < NUMBERS * SHAPES * ARGS) {
		pid_t pid = child_fork();

		if (pid == 0) {
			CHECK(sigprocmask(SIG_UNBLOCK, &child, NULL) == 0);
			calling();
		}
		for (unsigned before = ~0U; sigtimedwait(&child, NULL, &patience) == -1;
		     before = atomic_load(&shared->next))
			if (before == atomic_load(&shared->next))
				kill(pid, SIGKILL);
		(void)child_status(pid);
		ended++;
	}
	if (atomic_load(&shared->wrong) != 0)
		fprintf(stderr, "%u wrong; call %llu shape %llu argument %llu %#llx gave %lld, errno %llu\n",
			shared->wrong, (unsigned long long)shared->what[0], (unsigned long long)shared->what[1],
			(unsigned long long)shared->what[2], (unsigned long long)shared->what[3],
			(long long)shared->what[4], (unsigned long long)shared->what[5]);
	CHECK_EQ(shared->wrong, 0);
	CHECK(atomic_load(&shared->calls) > 10000 && ended < 2000);
}

/* What is kept and used later, and what starts a process: by hand. */
static void kept(void *arg)
{
	const uint64_t at = *(const uint64_t *)arg;
	struct {
		uint64_t flags, pidfd, child_tid, parent_tid, signal, stack, stack_size, tls;
	} args = { .flags = CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID, .child_tid = at, .signal = SIGCHLD, .tls = at };
	long pid;

	CHECK_ERR(syscall(SYS_clone3, at, sizeof(args)), EFAULT);
	pid = syscall(SYS_clone3, &args, sizeof(args));
	if (pid == 0)
		syscall(SYS_exit, 0);
	CHECK(pid > 0 && waitpid((pid_t)pid, NULL, 0) == pid);
	args.flags = CLONE_PARENT_SETTID;
	args.parent_tid = at;
	pid = syscall(SYS_clone3, &args, sizeof(args)); /* Linux does not say when it cannot store there */
	if (pid == 0)
		syscall(SYS_exit, 0);
	if (pid > 0)
		waitpid((pid_t)pid, NULL, 0);
	pid = syscall(SYS_clone, SIGCHLD, at, 0, 0, 0); /* a stack there */
	CHECK(pid == -1 || waitpid((pid_t)pid, NULL, 0) == pid);
	syscall(SYS_set_tid_address, at);
	syscall(SYS_set_robust_list, at, 24);
	syscall(SYS_exit, 0);
}

/* ---- Changed under the call. */

static _Atomic bool stop;
static struct iovec *volatile vector;
static char *areas[2]; /* 16 bytes of 'A', and 8 of 'B', each at the end of its page; nothing behind */

static void *vector_changes(void *arg)
{
	uint64_t state = 5;

	(void)arg;
	while (!atomic_load_explicit(&stop, memory_order_relaxed)) {
		uint64_t which = random_next(&state) % 4;
		volatile struct iovec *part = &vector[random_next(&state) % 2];

		part->iov_base = which == 2   ? (void *)0xffffffc080200000
				 : which == 3 ? (void *)0x3ffffffff8
					      : areas[which % 2];
		part->iov_len = (size_t[]){ 8, 16, 1UL << 62, ~0UL, 0, 8, 8, 16 }[random_next(&state) % 8];
		if (random_next(&state) % 16 == 0)
			relax();
	}
	return NULL;
}

static char *at_end_of_page(size_t bytes, char fill)
{
	char *page = map_anon(2 * PAGE);

	CHECK(munmap(page + PAGE, PAGE) == 0);
	memset(page, '.', PAGE);
	memset(page + PAGE - bytes, fill, bytes);
	return page + PAGE - bytes;
}

static void vectors(void)
{
	char got[4096];
	unsigned good = 0;
	pthread_t thread;

	areas[0] = at_end_of_page(16, 'A');
	areas[1] = at_end_of_page(8, 'B');
	vector = map_anon(PAGE);
	atomic_store(&stop, false);
	thread = thread_start(vector_changes, NULL);
	/* The host may take the other thread's hart away for long, and what it left is wrong: more rounds, then. */
	for (unsigned i = 0; i < ROUNDS || (good == 0 && i < PATIENCE); i++) {
		ssize_t n = writev(ends[1], vector, 2);

		CHECK(n <= 32 && (n >= 0 || errno == EFAULT || errno == EINVAL));
		if (n > 0)
			CHECK_EQ(read(ends[0], got, sizeof(got)), n);
		for (ssize_t k = 0; k < n; k++)
			CHECK(got[k] == 'A' || got[k] == 'B');
		good += n > 0;
		if (i % 4 != 0)
			continue;
		CHECK_EQ(write(ends[1], "AAAAAAAABBBBBBBBAAAAAAAABBBBBBBB", 32), 32);
		n = readv(ends[0], vector, 2);
		CHECK(n <= 32 && (n >= 0 || errno == EFAULT || errno == EINVAL));
		if (n < 32)
			CHECK(read(ends[0], got, sizeof(got)) > 0);
		CHECK(areas[0][-1] == '.' && areas[1][-1] == '.');
		memset(areas[0], 'A', 16);
		memset(areas[1], 'B', 8);
	}
	atomic_store(&stop, true);
	thread_join(thread);
	CHECK(good > 0);
}

/* ---- Paths. */

static char *path; /* its end is the page's: nothing behind */

static void *path_changes(void *arg)
{
	static const char *const names[] = { "/isolation.d/aaaa", "/isolation.d/bbbb", "/isolation.d/aaaaXXXX" };
	uint64_t state = 9;

	(void)arg;
	while (!atomic_load_explicit(&stop, memory_order_relaxed)) {
		const char *name = names[random_next(&state) % 3];

		for (size_t i = 0; i < 18; i++)
			((volatile char *)path)[i] = name[i];
		if (random_next(&state) % 8 == 0)
			relax();
	}
	return NULL;
}

static void file_make(const char *name, size_t bytes)
{
	int fd = open(name, O_CREAT | O_TRUNC | O_RDWR, 0600);

	CHECK(fd >= 0 && ftruncate(fd, (off_t)bytes) == 0 && close(fd) == 0);
}

static void paths(void)
{
	unsigned seen[3] = { 0, 0, 0 };
	pthread_t thread;

	CHECK(mkdir("/isolation.d", 0700) == 0);
	file_make("/isolation.d/aaaa", 1000);
	file_make("/isolation.d/bbbb", 2000);
	path = at_end_of_page(18, 'x');
	strcpy(path, "/isolation.d/aaaa");
	atomic_store(&stop, false);
	thread = thread_start(path_changes, NULL);
	for (unsigned i = 0; i < ROUNDS || (seen[0] + seen[1] == 0 && i < PATIENCE); i++) {
		struct stat stat;
		int fd = open(path, O_RDONLY);

		if (fd < 0) {
			CHECK(errno == ENOENT || errno == EFAULT); /* of both, or without an end */
			seen[2]++;
			continue;
		}
		CHECK(fstat(fd, &stat) == 0 && close(fd) == 0);
		CHECK(stat.st_size == 1000 || stat.st_size == 2000);
		seen[stat.st_size / 1000 - 1]++;
	}
	atomic_store(&stop, true);
	thread_join(thread);
	CHECK(seen[0] + seen[1] > 0);
	CHECK(unlink("/isolation.d/aaaa") == 0 && unlink("/isolation.d/bbbb") == 0 && rmdir("/isolation.d") == 0);
}

/* ---- Buffers that go, come and lose rights while they are written to. */

static char *area;

static void *area_changes(void *arg)
{
	uint64_t state = 11;

	(void)arg;
	while (!atomic_load_explicit(&stop, memory_order_relaxed)) {
		char *page = area + PAGE * (random_next(&state) % 4);

		switch (random_next(&state) % 4) {
		case 0:
			CHECK(munmap(page, PAGE) == 0);
			break;
		case 1:
			CHECK(mprotect(page, PAGE, PROT_READ) == 0 || errno == ENOMEM);
			break;
		default:
			CHECK(mmap(page, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1,
				   0) == page);
		}
	}
	return NULL;
}

static void buffers(void)
{
	static char text[5 * PAGE];
	struct iovec to;
	pthread_t thread;

	memset(text, 't', sizeof(text));
	area = map_anon(6 * PAGE);
	memset(area + 4 * PAGE, '.', 2 * PAGE);
	atomic_store(&stop, false);
	thread = thread_start(area_changes, NULL);
	for (unsigned i = 0; i < ROUNDS; i++) {
		size_t at = i * 517 % (3 * PAGE), n = i * 97 % PAGE + 1;
		ssize_t put = pwrite(file, text, n, 0), got = pread(file, area + at, n, 0);

		CHECK_EQ(put, n);
		CHECK(got == -1 ? errno == EFAULT : (size_t)got <= n);
		to = (struct iovec){ area + at, n };
		got = readv(file, &to, 1);
		CHECK(got == -1 ? errno == EFAULT : (size_t)got <= n);
		CHECK(lseek(file, 0, SEEK_SET) == 0);
		got = write(file, area + at, n);
		CHECK(got == -1 ? errno == EFAULT : (size_t)got <= n);
		CHECK(area[4 * PAGE] == '.' && lseek(file, 0, SEEK_SET) == 0);
	}
	atomic_store(&stop, true);
	thread_join(thread);
	munmap(area, 6 * PAGE);
}

/* ---- Messages: a header whose parts change. */

static struct msghdr *volatile header;

static void *header_changes(void *arg)
{
	uint64_t state = 13;

	(void)arg;
	while (!atomic_load_explicit(&stop, memory_order_relaxed)) {
		static const size_t length[] = { 0, 1, 2, 16, 24, 1UL << 30, 1UL << 63, ~0UL };
		volatile struct msghdr *at = header;
		uint64_t pointer =
			random_next(&state) % 3 == 0 ? wild[random_next(&state) % COUNT(wild)] : (uintptr_t)buffer;

		switch (random_next(&state) % 5) {
		case 0:
			at->msg_iovlen = length[random_next(&state) % 8];
			break;
		case 1:
			at->msg_controllen = length[random_next(&state) % 8];
			break;
		case 2:
			at->msg_control = (void *)pointer;
			break;
		case 3:
			at->msg_name = (void *)pointer;
			break;
		default:
			at->msg_namelen = (socklen_t)length[random_next(&state) % 8];
		}
	}
	return NULL;
}

static void messages(void)
{
	struct cmsghdr *control = (struct cmsghdr *)buffer;
	struct iovec *parts = map_anon(PAGE);
	pthread_t thread;

	header = map_anon(PAGE);
	memset(buffer, 0, PAGE);
	*parts = (struct iovec){ buffer + 512, 8 };
	*control = (struct cmsghdr){ .cmsg_len = CMSG_LEN(4), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS };
	memcpy(CMSG_DATA(control), &file, 4);
	*header = (struct msghdr){ .msg_iov = parts, .msg_iovlen = 1 };
	atomic_store(&stop, false);
	thread = thread_start(header_changes, NULL);
	for (unsigned i = 0; i < ROUNDS; i++) {
		char bytes[64];

		CHECK(sendmsg(pair[0], header, MSG_DONTWAIT) <= 64);
		CHECK(recvmsg(pair[1], header, MSG_DONTWAIT | MSG_PEEK) <= 64);
		while (recv(pair[1], bytes, sizeof(bytes), MSG_DONTWAIT) > 0)
			;
		*control =
			(struct cmsghdr){ .cmsg_len = CMSG_LEN(4), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS };
		memcpy(CMSG_DATA(control), &file, 4);
		if (i % 64 == 0)
			CHECK(close_range((unsigned)file + 1, 1000, 0) == 0); /* what was received */
	}
	atomic_store(&stop, true);
	thread_join(thread);
}

int main(void)
{
	uint64_t at;

	shared = map_shared(PAGE);
	buffer = map_anon(PAGE);
	file_make("/isolation.tmp", 100);
	CHECK(pipe(ends) == 0 && socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
	file = open("/isolation.tmp", O_RDWR);
	CHECK(file >= 0 && file > pair[0] && file > pair[1]);
	every_call();
	for (unsigned i = 0; i < COUNT(wild); i++) {
		at = wild[i];
		child_run(kept, &at);
	}
	vectors();
	paths();
	buffers();
	messages();
	unlink("/isolation.tmp");
	return pass();
}
