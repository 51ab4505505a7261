/*
 * Every allocation of every operation here fails in turn: the first, the second, ... until one passes without having met a failure; and
 * the same with all behind it failing, too; then all those of each call site that this has shown, and no others. Each ends in the errno that it may have, or the one process that asked is ended by
 * SIGKILL; what others see of memory and files is what it was; the audit, which reads /proc/corral/audit, is clean after each operation.
 *
 * It needs /proc/corral/fail, which debug kernels have (kernel/fail.c). Arguments: names of operations; none: all of them. "-v" says how
 * many allocations each made.
 */
#include "check.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>

#define MOST	   400 /* allocations of one operation */
#define BIG	   (8 * MIB)
#define TAG	   3
#define DISK_FILE  "/mnt/fail_alloc"
#define DISK_OTHER "/mnt/fail_other"

static int control; /* /proc/corral/fail */
static bool verbose;
static char *memory;	/* of the parent's: private, written */
static char *shared;	/* seen by all */
static char *untouched; /* the same, shared by fork's tables */
static int file;	/* PAGE * 4 bytes of 'f' */

/* Where a failure was meant to hit, and no other. */
static int attempt(const char *how)
{
	return write(control, how, strlen(how)) < 0;
}

static int result(long value)
{
	return value < 0 ? errno : 0;
}

/* ---- Operations: 0, or the errno. Each runs in a child of its own, armed from its first line on. */

static int op_fork(void)
{
	pid_t pid = fork();

	if (pid == 0)
		_exit(0);
	return result(pid < 0 ? -1 : waitpid(pid, NULL, 0));
}

/* The child writes to tables that it shares, and is the one that fails. */
static int op_unshare(void)
{
	for (size_t at = 0; at < BIG; at += MIB)
		((volatile char *)untouched)[at] = 9;
	return 0;
}

static int op_fork_write(void)
{
	pid_t pid = fork();

	if (pid < 0)
		return errno;
	if (pid == 0)
		_exit(0);
	for (size_t at = 0; at < BIG; at += PAGE * 64)
		((volatile char *)untouched)[at] = 9;
	return result(waitpid(pid, NULL, 0));
}

static int op_vfork(void)
{
	pid_t pid = vfork();

	if (pid == 0)
		_exit(0);
	return result(pid < 0 ? -1 : waitpid(pid, NULL, 0));
}

static int op_exec(void)
{
	execl(self_path(), "fail_alloc", "-nothing", (char *)NULL);
	return errno;
}

static int op_thread(void)
{
	pthread_t thread;
	int error = pthread_create(&thread, NULL, (void *(*)(void *))(uintptr_t)getpid, NULL);

	return error != 0 ? error : pthread_join(thread, NULL);
}

static int op_mmap(void)
{
	char *at = mmap(NULL, 4 * MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (at == MAP_FAILED)
		return errno;
	for (size_t i = 0; i < 4 * MIB; i += MIB / 2)
		((volatile char *)at)[i] = 1;
	return result(munmap(at, 4 * MIB));
}

static int op_mmap_fixed(void)
{
	return result(mmap(memory + 3 * PAGE, 5 * PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) ==
				      MAP_FAILED
			      ? -1
			      : 0);
}

static int op_mmap_file(void)
{
	char *at = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, file, 0);

	if (at == MAP_FAILED)
		return errno;
	CHECK(at[0] == 'f');
	((volatile char *)at)[PAGE] = 'g';
	return result(munmap(at, 4 * PAGE));
}

static int op_mmap_shared(void)
{
	char *at = mmap(NULL, BIG, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (at == MAP_FAILED)
		return errno;
	for (size_t i = 0; i < BIG; i += MIB)
		((volatile char *)at)[i] = 1;
	return result(munmap(at, BIG));
}

static int op_mremap(void)
{
	char *at = mremap(memory, BIG, 2 * BIG, MREMAP_MAYMOVE);

	if (at == MAP_FAILED) {
		int error = errno;

		pages_verify(memory, BIG, TAG);
		return error;
	}
	pages_verify(at, BIG, TAG);
	((volatile char *)at)[2 * BIG - 1] = 1;
	return 0;
}

static int op_mremap_part(void)
{
	char *at = mremap(memory + 5 * PAGE, 3 * PAGE, 3 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, shared + BIG / 2);

	return at == MAP_FAILED ? errno : 0;
}

static int op_mprotect(void)
{
	int error = result(mprotect(memory + 7 * PAGE, 600 * PAGE, PROT_READ));

	pages_verify(memory, BIG, TAG);
	return error;
}

static int op_mprotect_reserved(void)
{
	char *at = mmap(NULL, GIB, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return at == MAP_FAILED ? errno : result(mprotect(at + 5 * MIB + PAGE, 9 * MIB, PROT_READ | PROT_WRITE));
}

static int op_munmap_split(void)
{
	char *at = mmap(NULL, GIB, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return at == MAP_FAILED ? errno : result(munmap(at + 5 * MIB + PAGE, 9 * MIB));
}

static int op_munmap_shared_table(void)
{
	return result(munmap(untouched + PAGE, BIG / 2));
}

static int op_cow(void)
{
	for (size_t at = 0; at < 64 * PAGE; at += PAGE)
		((volatile char *)memory)[at] = 4;
	return 0;
}

static int op_cow_by_kernel(void)
{
	int pair[2];
	int error = result(pipe(pair));

	if (error != 0)
		return error;
	CHECK(write(pair[1], "abc", 3) == 3 || errno == ENOMEM);
	if (fcntl(pair[0], F_SETFL, O_NONBLOCK) == 0 && read(pair[0], memory + 9 * PAGE, 3) < 0)
		error = errno == EAGAIN ? ENOMEM : errno;
	return error;
}

static int op_discard(void)
{
	return result(madvise(untouched + PAGE, BIG / 2, MADV_DONTNEED)) == EAGAIN ? ENOMEM : 0;
}

static int op_wipe_on_fork(void)
{
	int error = result(madvise(memory + 3 * PAGE, 2 * PAGE, MADV_WIPEONFORK));

	return error != 0 ? error : op_fork();
}

static int op_mlock(void)
{
	int error = result(mlock(memory + PAGE, 3 * PAGE));

	return error != 0 ? error : result(munlock(memory + 2 * PAGE, PAGE));
}

static int op_brk(void)
{
	char *now = sbrk(0);

	if (brk(now + 3 * MIB) != 0)
		return errno;
	((volatile char *)now)[2 * MIB] = 1;
	return result(brk(now));
}

static int op_stack(void)
{
	volatile char deep[300 * KIB];

	deep[0] = 1;
	return deep[0] - 1;
}

static int write_new(const char *path)
{
	static const char text[3 * PAGE] = "text";
	int fd = open(path, O_CREAT | O_RDWR | O_TRUNC, 0600);
	int error = fd < 0 ? errno : 0;

	for (int i = 0; i < 30 && error == 0; i++)
		if (pwrite(fd, text, sizeof(text), (off_t)i * (off_t)sizeof(text)) < 0)
			error = errno;
	if (error == 0)
		error = result(ftruncate(fd, 5 * MIB));
	if (error == 0)
		error = result(pwrite(fd, text, 10, 4 * MIB) < 0 ? -1 : 0);
	if (error == 0)
		error = result(ftruncate(fd, 100));
	if (fd >= 0)
		close(fd);
	return error;
}

static int op_file_write(void)
{
	return write_new("/tmp/fail_alloc");
}

static int op_file_append(void)
{
	static char text[2 * PAGE];
	int error;

	memset(text, 'g', sizeof(text));
	error = result(pwrite(file, text, sizeof(text), 4 * PAGE) < 0 ? -1 : 0);
	return error != 0 ? error : result(ftruncate(file, 4 * PAGE));
}

/* What an operation may have left that could not undo it. */
static void tidy(void)
{
	unlink("/tmp/fail_alloc");
	unlink(DISK_FILE);
	unlink(DISK_OTHER);
	unlink("/tmp/fail_dir/link");
	unlink("/tmp/fail_dir/other");
	rmdir("/tmp/fail_dir");
}

static int op_file_names(void)
{
	int error = result(mkdir("/tmp/fail_dir", 0700));

	if (error == 0)
		error = result(symlink("nowhere", "/tmp/fail_dir/link"));
	if (error == 0)
		error = result(rename("/tmp/fail_dir/link", "/tmp/fail_dir/other"));
	tidy();
	return error;
}

static int op_memfd(void)
{
	int fd = memfd_create("fail", 0);
	char *at;

	if (fd < 0)
		return errno;
	if (ftruncate(fd, MIB) != 0)
		return errno;
	at = mmap(NULL, MIB, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (at == MAP_FAILED)
		return errno;
	((volatile char *)at)[MIB / 2] = 1;
	return 0;
}

static int op_many_files(void)
{
	for (int i = 0; i < 150; i++)
		if (dup(control) < 0)
			return errno;
	return 0;
}

static int op_pipe(void)
{
	static char text[16 * PAGE];
	int pair[2];

	if (pipe(pair) != 0 || fcntl(pair[1], F_SETFL, O_NONBLOCK) != 0)
		return errno;
	return write(pair[1], text, sizeof(text)) < 0 ? errno : 0;
}

static int op_sockets(void)
{
	static char text[3 * PAGE];
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair) != 0)
		return errno;
	return write(pair[0], text, sizeof(text)) < 0 ? errno : 0;
}

static int op_shm(void)
{
	int id = shmget(IPC_PRIVATE, MIB, IPC_CREAT | 0600);
	int error = 0;
	char *at;

	if (id < 0)
		return errno;
	at = shmat(id, NULL, 0);
	if (at == (char *)-1)
		error = errno;
	shmctl(id, IPC_RMID, NULL);
	if (error == 0)
		((volatile char *)at)[PAGE] = 1;
	return error;
}

static int op_signal(void)
{
	union sigval value = { .sival_int = 1 };
	timer_t timer;

	signal(SIGRTMIN, SIG_IGN);
	if (sigqueue(getpid(), SIGRTMIN, value) != 0)
		return errno;
	return timer_create(CLOCK_MONOTONIC, NULL, &timer) != 0 ? errno : result(timer_delete(timer));
}

static int op_poll(void)
{
	struct pollfd fds[80];

	for (unsigned i = 0; i < COUNT(fds); i++)
		fds[i] = (struct pollfd){ .fd = control, .events = POLLIN };
	return result(poll(fds, COUNT(fds), 0));
}

static int op_vectors(void)
{
	struct iovec part[40];

	for (unsigned i = 0; i < COUNT(part); i++)
		part[i] = (struct iovec){ memory + i * PAGE, 8 };
	return preadv(file, part, COUNT(part), 0) < 0 ? errno : 0;
}

static int op_proc(void)
{
	char text[512];
	int fd = open("/proc/self/maps", O_RDONLY), error = fd < 0 ? errno : 0;

	if (error == 0 && read(fd, text, sizeof(text)) < 0)
		error = errno;
	return error;
}

/* A clone of a file, and a page of it made its own. */
static int op_clone(void)
{
	int fd = open("/tmp/fail_alloc", O_CREAT | O_RDWR | O_TRUNC, 0600);
	int error = fd < 0 ? errno : result(ioctl(fd, FICLONE, file));

	if (error == 0)
		error = result(pwrite(fd, "clone", 5, PAGE) < 0 ? -1 : 0);
	if (fd >= 0)
		close(fd);
	return error;
}

static int op_file_lock(void)
{
	struct flock lock = { .l_type = F_WRLCK, .l_start = 10, .l_len = 100 },
		     part = { .l_type = F_UNLCK, .l_start = 50, .l_len = 5 };

	return fcntl(file, F_SETLK, &lock) != 0 ? errno : result(fcntl(file, F_SETLK, &part));
}

/* A descriptor in a message. */
static int op_rights(void)
{
	char byte = 'x', room[CMSG_SPACE(sizeof(int))] = "";
	struct iovec part = { &byte, 1 };
	struct msghdr header = {
		.msg_iov = &part, .msg_iovlen = 1, .msg_control = room, .msg_controllen = sizeof(room)
	};
	struct cmsghdr *control_header = CMSG_FIRSTHDR(&header);
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, pair) != 0)
		return errno;
	*control_header = (struct cmsghdr){ .cmsg_level = SOL_SOCKET,
					    .cmsg_type = SCM_RIGHTS,
					    .cmsg_len = CMSG_LEN(sizeof(int)) };
	memcpy(CMSG_DATA(control_header), &file, sizeof(int));
	if (sendmsg(pair[0], &header, 0) < 0)
		return errno;
	return recvmsg(pair[1], &header, 0) < 0 ? errno : 0;
}

/* Of a disk's file, where there is one: written to its end, synced, cut, removed. */
static int op_disk(void)
{
	static const char text[3 * PAGE] = "text";
	int fd = open(DISK_FILE, O_CREAT | O_RDWR, 0600);
	int error = fd < 0 ? errno : 0;

	if (error == ENOENT)
		return 0;
	for (int i = 0; i < 20 && error == 0; i++)
		if (pwrite(fd, text, sizeof(text), (off_t)i * (off_t)sizeof(text)) < 0)
			error = errno;
	if (error == 0)
		error = result(fsync(fd));
	if (error == 0)
		error = result(ftruncate(fd, 100));
	if (fd >= 0)
		close(fd);
	if (error == 0)
		error = result(rename(DISK_FILE, DISK_OTHER));
	return error;
}

static int op_eventfd(void)
{
	return result(eventfd(0, 0));
}

static const struct op {
	const char *name;
	int (*run)(void);
	int also; /* an errno that it may have beside ENOMEM */
} ops[] = {
	{ "fork", op_fork, EAGAIN },
	{ "unshare", op_unshare, 0 },
	{ "fork_write", op_fork_write, EAGAIN },
	{ "vfork", op_vfork, EAGAIN },
	{ "exec", op_exec, 0 },
	{ "thread", op_thread, EAGAIN },
	{ "mmap", op_mmap, 0 },
	{ "mmap_fixed", op_mmap_fixed, 0 },
	{ "mmap_file", op_mmap_file, 0 },
	{ "mmap_shared", op_mmap_shared, 0 },
	{ "mremap", op_mremap, 0 },
	{ "mremap_part", op_mremap_part, 0 },
	{ "mprotect", op_mprotect, 0 },
	{ "mprotect_reserved", op_mprotect_reserved, 0 },
	{ "munmap_split", op_munmap_split, 0 },
	{ "munmap_shared_table", op_munmap_shared_table, 0 },
	{ "cow", op_cow, 0 },
	{ "cow_by_kernel", op_cow_by_kernel, EFAULT },
	{ "discard", op_discard, 0 },
	{ "wipe_on_fork", op_wipe_on_fork, EAGAIN },
	{ "mlock", op_mlock, EAGAIN },
	{ "brk", op_brk, 0 },
	{ "stack", op_stack, 0 },
	{ "file_write", op_file_write, ENOSPC },
	{ "file_append", op_file_append, ENOSPC },
	{ "file_names", op_file_names, ENOSPC },
	{ "memfd", op_memfd, 0 },
	{ "many_files", op_many_files, EMFILE },
	{ "pipe", op_pipe, EAGAIN },
	{ "sockets", op_sockets, ENOBUFS },
	{ "shm", op_shm, 0 },
	{ "signal", op_signal, EAGAIN },
	{ "poll", op_poll, 0 },
	{ "vectors", op_vectors, 0 },
	{ "proc", op_proc, 0 },
	{ "eventfd", op_eventfd, 0 },
	{ "clone", op_clone, ENOSPC },
	{ "file_lock", op_file_lock, ENOLCK },
	{ "rights", op_rights, ENOBUFS },
	{ "disk", op_disk, ENOSPC },
};

/* ---- The driver. */

struct seen {
	unsigned long calls, failed, site;
};

static struct seen look(void)
{
	struct seen seen = { 0 };
	char text[200] = "";

	CHECK(attempt("0") == 0);
	CHECK(pread(control, text, sizeof(text) - 1, 0) > 0);
	CHECK(sscanf(text, "calls %lu failed %lu site %lx", &seen.calls, &seen.failed, &seen.site) == 3);
	return seen;
}

static void unharmed(void)
{
	char text[4 * PAGE];
	struct stat is;

	pages_verify(memory, BIG, TAG);
	pages_verify(untouched, BIG, TAG + 1);
	pages_verify(shared, BIG, TAG + 2);
	CHECK(fstat(file, &is) == 0);
	/* What op_file_append could not take back. */
	if (is.st_size != (off_t)sizeof(text))
		CHECK(ftruncate(file, sizeof(text)) == 0);
	CHECK(pread(file, text, sizeof(text), 0) == (ssize_t)sizeof(text));
	for (size_t i = 0; i < sizeof(text); i++)
		CHECK(text[i] == 'f');
}

static void audit_is_clean(const char *name)
{
	char text[400] = "";
	int fd = open("/proc/corral/audit", O_RDONLY);

	CHECK(fd >= 0 && read(fd, text, sizeof(text) - 1) > 0);
	close(fd);
	if (strcmp(text, "violations 0\n") != 0) {
		fprintf(stderr, "%s: %s", name, text);
		exit(1);
	}
}

/* Whether the operation ended as it may; where the first failed, 0: none did. */
static unsigned long fails_well(const struct op *op, const char *how)
{
	struct seen seen;
	pid_t pid;
	int status, error;

	pid = child_fork();
	if (pid == 0) {
		if (attempt(how) != 0)
			_exit(255);
		error = op->run();
		attempt("0");
		_exit(error);
	}
	status = child_status(pid);
	seen = look();
	tidy();
	error = WIFEXITED(status) ? WEXITSTATUS(status) : 0;
	if (!(WIFEXITED(status) ? error == 0 || error == ENOMEM || (op->also != 0 && error == op->also)
				: WTERMSIG(status) == SIGKILL) ||
	    (seen.failed == 0 && status != 0)) {
		fprintf(stderr, "%s, allocation %s: status %#x (%s), %lu of %lu failed, the first at %#lx\n", op->name,
			how, (unsigned)status, WIFEXITED(status) ? strerrorname_np(error) : "signal", seen.failed,
			seen.calls, seen.site);
		exit(1);
	}
	if (verbose && seen.failed != 0)
		printf("site %#lx %s %s\n", seen.site, op->name,
		       !WIFEXITED(status) ? "killed"
		       : error == 0	  ? "went on"
					  : strerrorname_np(error));
	return seen.failed != 0 ? seen.site : 0;
}

static unsigned long sites[MOST];
static unsigned site_count;

static void note_site(unsigned long site)
{
	for (unsigned i = 0; i < site_count; i++)
		if (sites[i] == site)
			return;
	sites[site_count++] = site;
}

static void try_each(const struct op *op, const char *and_on)
{
	unsigned nth = 1;
	unsigned long site;
	char how[40];

	for (;; nth++) {
		snprintf(how, sizeof(how), "%u%s", nth, and_on);
		site = fails_well(op, how);
		if (site == 0)
			break;
		CHECK(nth < MOST);
		note_site(site);
	}
	if (verbose)
		printf("%s: %u allocations\n", op->name, nth - 1);
	unharmed();
}

/* All of a call site, while the others go on. */
static void try_sites(const struct op *op)
{
	unsigned failed = 0;
	char how[40];

	for (unsigned i = 0; i < site_count; i++) {
		snprintf(how, sizeof(how), "1@%lx+", sites[i]);
		failed += fails_well(op, how) != 0;
	}
	if (verbose)
		printf("%s: %u sites\n", op->name, failed);
	CHECK(failed != 0 || site_count == 0);
	unharmed();
}

static void try(const struct op *op)
{
	site_count = 0;
	try_each(op, "");
	try_each(op, "+");
	try_sites(op);
	audit_is_clean(op->name);
}

static bool is_wanted(char **names, const char *name)
{
	bool any = false;

	for (; *names != NULL; names++) {
		if (strcmp(*names, name) == 0)
			return true;
		any = any || (*names)[0] != '-';
	}
	return !any;
}

static void prepare(void)
{
	char text[4 * PAGE];

	memset(text, 'f', sizeof(text));
	memory = map_aligned(BIG, 2 * MIB);
	untouched = map_aligned(BIG, 2 * MIB);
	shared = map_shared(BIG);
	pages_write(memory, BIG, TAG);
	pages_write(untouched, BIG, TAG + 1);
	pages_write(shared, BIG, TAG + 2);
	file = open("/tmp/fail_file", O_CREAT | O_RDWR | O_TRUNC, 0600);
	CHECK(file >= 0 && unlink("/tmp/fail_file") == 0);
	CHECK(write(file, text, sizeof(text)) == (ssize_t)sizeof(text));
	control = open("/proc/corral/fail", O_RDWR);
	CHECK(control >= 0);
}

int main(int argc, char **argv)
{
	if (argc > 1 && strcmp(argv[1], "-nothing") == 0)
		_exit(0);
	verbose = argc > 1 && strcmp(argv[1], "-v") == 0;
	setvbuf(stdout, NULL, _IOLBF, 0);
	prepare();
	for (unsigned i = 0; i < COUNT(ops); i++)
		if (is_wanted(argv + 1, ops[i].name))
			try(&ops[i]);
	return pass();
}
