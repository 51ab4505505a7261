/*
 * System V shared memory: keys and what shmget refuses; one memory, attached at several places, read-only, at an address, in
 * place of something; how many attachments there are, after fork, exec, exit, munmap and mremap; removal with and without
 * attachments; what shmctl tells and changes; shared futexes in it.
 */
#include "check.h"

#include <linux/futex.h>
#include <sys/ipc.h>
#include <sys/shm.h>

#define KEY 0x5eed

static struct shmid_ds stat_of(int id)
{
	struct shmid_ds status;

	CHECK_EQ(shmctl(id, IPC_STAT, &status), 0);
	return status;
}

static unsigned long attached(int id)
{
	return stat_of(id).shm_nattch;
}

static int private_segment(size_t bytes)
{
	int id = shmget(IPC_PRIVATE, bytes, IPC_CREAT | 0600);

	CHECK(id >= 0);
	return id;
}

static char *attach(int id, const void *at, int flags)
{
	char *got = shmat(id, at, flags);

	CHECK(got != (void *)-1);
	return got;
}

static void keys(void)
{
	int id = shmget(KEY, 5000, IPC_CREAT | IPC_EXCL | 0640), other;

	CHECK(id >= 0);
	CHECK_ERR(shmget(KEY, 5000, IPC_CREAT | IPC_EXCL | 0640), EEXIST);
	CHECK_EQ(shmget(KEY, 5000, IPC_CREAT), id);
	CHECK_EQ(shmget(KEY, 0, 0), id);
	CHECK_EQ(shmget(KEY, 1, IPC_EXCL), id);
	CHECK_ERR(shmget(KEY, 5001, 0), EINVAL);
	CHECK_ERR(shmget(KEY + 1, 5000, 0), ENOENT);
	CHECK_ERR(shmget(KEY + 1, 0, IPC_CREAT), EINVAL);
	CHECK_ERR(shmget(KEY + 1, -1UL, IPC_CREAT), EINVAL);
	CHECK_ERR(shmget(IPC_PRIVATE, 0, 0), EINVAL);
	other = shmget(IPC_PRIVATE, 5000, 0);
	CHECK(other >= 0 && other != id);
	CHECK_EQ(shmctl(id, IPC_RMID, NULL), 0);
	CHECK_ERR(shmget(KEY, 5000, 0), ENOENT);
	CHECK_ERR(shmctl(id, IPC_STAT, NULL), EINVAL);
	CHECK_ERR(shmctl(id, IPC_RMID, NULL), EINVAL);
	CHECK(shmat(id, NULL, 0) == (void *)-1 && errno == EINVAL);
	/* The slot is used again; its old id does not come back. */
	id = shmget(KEY, 100, IPC_CREAT | 0600);
	CHECK(id >= 0 && id != other);
	CHECK_EQ(shmctl(id, IPC_RMID, NULL), 0);
	CHECK_EQ(shmctl(other, IPC_RMID, NULL), 0);
	CHECK(shmget(IPC_PRIVATE, 2 * MIB, SHM_HUGETLB | 0600) < 0);
	CHECK_ERR(shmget(IPC_PRIVATE, 2 * MIB, SHM_HUGETLB | (5 << 26) | 0600), EINVAL);
	id = shmget(IPC_PRIVATE, 64 * GIB, SHM_NORESERVE | 0600);
	CHECK(id >= 0);
	CHECK_EQ(shmctl(id, IPC_RMID, NULL), 0);
}

static void one_memory(void)
{
	int id = private_segment(3 * PAGE - 7);
	char *a = attach(id, NULL, 0), *b = attach(id, NULL, SHM_RDONLY);
	char *hole = map_anon(8 * PAGE), *c;

	CHECK(a != b && (uintptr_t)a % PAGE == 0);
	pages_verify_zero(a, 3 * PAGE);
	pages_write(a, 3 * PAGE, 1);
	pages_verify(b, 3 * PAGE, 1);
	CHECK_EQ(probe_write(b, 1), SEGV_ACCERR);
	CHECK_ERR(mprotect(b, PAGE, PROT_READ | PROT_WRITE), EACCES);
	CHECK_EQ(probe_read(a + 3 * PAGE - 1), 0);
	CHECK_EQ(attached(id), 2);

	/* Where something is: only with SHM_REMAP. */
	CHECK(shmat(id, hole, 0) == (void *)-1 && errno == EINVAL);
	CHECK(shmat(id, hole + 5, SHM_REMAP) == (void *)-1 && errno == EINVAL);
	CHECK(shmat(id, NULL, SHM_REMAP) == (void *)-1 && errno == EINVAL);
	CHECK(shmat(id, (void *)5, SHM_REMAP | SHM_RND) == (void *)-1 && errno == EINVAL);
	CHECK(shmat(id, (void *)(1UL << 60), 0) == (void *)-1 && (errno == EINVAL || errno == ENOMEM));
	CHECK(shmat(id, (void *)-PAGE, 0) == (void *)-1 && errno == EINVAL);
	c = attach(id, hole + PAGE + 5, SHM_REMAP | SHM_RND);
	CHECK(c == hole + PAGE);
	pages_verify(c, 3 * PAGE, 1);
	CHECK(munmap(hole + 5 * PAGE, 3 * PAGE) == 0);
	CHECK(attach(id, hole + 5 * PAGE, 0) == hole + 5 * PAGE);
	CHECK_EQ(attached(id), 4);

	CHECK_ERR(shmdt(hole), EINVAL);
	CHECK_ERR(shmdt(c + PAGE), EINVAL);
	CHECK_ERR(shmdt(c + 1), EINVAL);
	CHECK_EQ(shmdt(c), 0);
	CHECK_ERR(shmdt(c), EINVAL);
	CHECK_EQ(probe_read(c), SEGV_MAPERR);
	CHECK_EQ(probe_read(hole), 0);
	CHECK_EQ(shmdt(hole + 5 * PAGE), 0);
	CHECK_EQ(shmdt(b), 0);
	CHECK_EQ(shmdt(a), 0);
	CHECK_EQ(attached(id), 0);

	/* It stays without attachments. */
	a = attach(id, NULL, 0);
	pages_verify(a, 3 * PAGE, 1);
	CHECK_EQ(shmctl(id, IPC_RMID, NULL), 0);
	CHECK_EQ(shmdt(a), 0);
	CHECK(munmap(hole, 8 * PAGE) == 0);
}

static void in_parts(void)
{
	int id = private_segment(8 * PAGE);
	char *a = attach(id, NULL, 0), *to = map_anon(16 * PAGE);

	/* Its end, then its beginning: still one attachment, which shmdt knows by where it began. */
	pages_write(a, 8 * PAGE, 2);
	CHECK(munmap(a + 6 * PAGE, 2 * PAGE) == 0);
	CHECK_EQ(attached(id), 1);
	CHECK(munmap(a, PAGE) == 0);
	CHECK_EQ(attached(id), 1);
	CHECK_EQ(shmdt(a), 0);
	CHECK_EQ(probe_read(a + PAGE), SEGV_MAPERR);
	CHECK_EQ(attached(id), 0);

	/* Over something of ours, in two pieces: all go, and what is between them stays. */
	a = attach(id, NULL, 0);
	CHECK(mmap(a + 3 * PAGE, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) !=
	      MAP_FAILED);
	CHECK_EQ(shmdt(a), 0);
	CHECK_EQ(probe_read(a + 2 * PAGE), SEGV_MAPERR);
	CHECK_EQ(probe_read(a + 3 * PAGE), 0);
	CHECK_EQ(probe_read(a + 4 * PAGE), SEGV_MAPERR);
	CHECK(munmap(a + 3 * PAGE, PAGE) == 0);
	CHECK_EQ(attached(id), 0);

	/* All of it unmapped is detached. Moved it is the same attachment. */
	a = attach(id, NULL, 0);
	CHECK(munmap(a, 8 * PAGE) == 0);
	CHECK_EQ(attached(id), 0);
	a = attach(id, NULL, 0);
	pages_verify(a, 8 * PAGE, 2);
	CHECK(mremap(a, 8 * PAGE, 8 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, to) == to);
	CHECK_EQ(attached(id), 1);
	pages_verify(to, 8 * PAGE, 2);
	CHECK_ERR(shmdt(a), EINVAL);
	CHECK_EQ(shmdt(to), 0);
	CHECK_EQ(attached(id), 0);
	CHECK_EQ(shmctl(id, IPC_RMID, NULL), 0);
	CHECK(munmap(to + 8 * PAGE, 8 * PAGE) == 0);
}

static void over_fork(void)
{
	int id = private_segment(600 * PAGE), up[2], down[2];
	char *a = attach(id, NULL, 0), byte;
	pid_t pid;

	CHECK(pipe(up) == 0 && pipe(down) == 0);
	a[PAGE] = 1;
	pid = child_fork();
	if (pid == 0) {
		CHECK_EQ(attached(id), 2);
		a[2 * PAGE] = 2;
		attach(id, NULL, SHM_RDONLY);
		CHECK_EQ(attached(id), 3);
		CHECK(write(up[1], "x", 1) == 1 && read(down[0], &byte, 1) == 1);
		CHECK_EQ(shmdt(a), 0);
		CHECK_EQ(attached(id), 2);
		CHECK(write(up[1], "x", 1) == 1 && read(down[0], &byte, 1) == 1);
		CHECK_ERR(shmdt(a), EINVAL);
		_exit(0);
	}
	CHECK(read(up[0], &byte, 1) == 1);
	CHECK_EQ(attached(id), 3);
	CHECK_EQ(a[2 * PAGE], 2);
	CHECK_EQ(stat_of(id).shm_lpid, pid);
	CHECK(write(down[1], "x", 1) == 1 && read(up[0], &byte, 1) == 1);
	CHECK_EQ(attached(id), 2);
	CHECK_EQ(probe_read(a), 0);
	CHECK(write(down[1], "x", 1) == 1);
	child_wait(pid);
	CHECK_EQ(attached(id), 1);
	CHECK_EQ(stat_of(id).shm_cpid, getpid());

	/* execve gives it up, a child that shares memory does not have it twice. */
	pid = child_fork();
	if (pid == 0) {
		char number[20];

		snprintf(number, sizeof(number), "%d", id);
		execl(self_path(), "shm", "count", number, "1", NULL);
		_exit(1);
	}
	child_wait(pid);
	pid = vfork();
	if (pid == 0) {
		struct shmid_ds status;

		_exit(shmctl(id, IPC_STAT, &status) == 0 && status.shm_nattch == 1 ? 0 : 1);
	}
	child_wait(pid);
	CHECK_EQ(attached(id), 1);

	/* Removed while both have it: it is there by its id until the last detaches. */
	pid = child_fork();
	if (pid == 0) {
		CHECK(read(down[0], &byte, 1) == 1);
		CHECK_EQ(attached(id), 1);
		CHECK_EQ(a[2 * PAGE], 2);
		CHECK_EQ(shmdt(a), 0);
		CHECK_ERR(shmctl(id, IPC_STAT, NULL), EINVAL);
		_exit(0);
	}
	CHECK_EQ(shmctl(id, IPC_RMID, NULL), 0);
	CHECK_EQ(stat_of(id).shm_perm.mode & 01000, 01000);
	CHECK_EQ(stat_of(id).shm_perm.__key, IPC_PRIVATE);
	CHECK_EQ(shmdt(attach(id, NULL, 0)), 0);
	CHECK_EQ(shmdt(a), 0);
	CHECK_EQ(attached(id), 1);
	CHECK(write(down[1], "x", 1) == 1);
	child_wait(pid);
	CHECK_ERR(shmctl(id, IPC_STAT, NULL), EINVAL);
	CHECK(close(up[0]) == 0 && close(up[1]) == 0 && close(down[0]) == 0 && close(down[1]) == 0);
}

/* The segment's line in /proc/sysvipc/shm, where there is one. */
static void proc_line(int id)
{
	FILE *file = fopen("/proc/sysvipc/shm", "r");
	long key = 0, number = -1, bytes = 0;
	char line[300];

	CHECK(file != NULL);
	while (number != id && fgets(line, sizeof(line), file) != NULL)
		if (sscanf(line, "%ld %ld %*o %ld", &key, &number, &bytes) != 3)
			number = -1;
	CHECK_EQ(number, id);
	CHECK_EQ(key, KEY);
	CHECK_EQ(bytes, 5000);
	CHECK(fclose(file) == 0);
}

static void control(void)
{
	int id = shmget(KEY, 5000, IPC_CREAT | IPC_EXCL | 0640), other = private_segment(PAGE), slot;
	struct shmid_ds status = stat_of(id), again;
	struct shminfo limits;
	struct shm_info info;
	time_t now = time(NULL);

	CHECK_EQ(status.shm_perm.__key, KEY);
	CHECK_EQ(status.shm_perm.mode, 0640);
	CHECK_EQ(status.shm_segsz, 5000);
	CHECK_EQ(status.shm_cpid, getpid());
	CHECK_EQ(status.shm_lpid, 0);
	CHECK_EQ(status.shm_atime, 0);
	CHECK_EQ(status.shm_dtime, 0);
	CHECK(status.shm_ctime <= now && status.shm_ctime + 60 > now);
	CHECK_EQ(shmdt(attach(id, NULL, 0)), 0);
	status = stat_of(id);
	CHECK(status.shm_atime != 0 && status.shm_dtime != 0 && status.shm_lpid == getpid());
	status.shm_perm.mode = 07604;
	status.shm_perm.uid = 7;
	status.shm_perm.gid = 8;
	CHECK_EQ(shmctl(id, IPC_SET, &status), 0);
	status = stat_of(id);
	CHECK_EQ(status.shm_perm.mode, 0604);
	CHECK_EQ(status.shm_perm.uid, 7);
	CHECK_EQ(status.shm_perm.gid, 8);
	CHECK_EQ(status.shm_perm.cuid, 0);
	status.shm_perm.uid = (uid_t)-1;
	CHECK_ERR(shmctl(id, IPC_SET, &status), EINVAL);
	CHECK_EQ(shmctl(id, SHM_LOCK, NULL), 0);
	CHECK_EQ(stat_of(id).shm_perm.mode, 02604);
	CHECK_EQ(shmctl(id, SHM_UNLOCK, NULL), 0);
	CHECK_EQ(stat_of(id).shm_perm.mode, 0604);

	proc_line(id);

	slot = shmctl(0, IPC_INFO, (void *)&limits);
	CHECK(slot >= 1);
	CHECK_EQ(limits.shmmin, 1);
	CHECK_EQ(limits.shmmni, 4096);
	CHECK_EQ(shmctl(0, SHM_INFO, (void *)&info), slot);
	CHECK(info.used_ids >= 2 && info.shm_tot >= 3);
	for (int i = 0, found = 0; i <= slot || found != 2; i++) {
		int got = shmctl(i, SHM_STAT, &again);

		CHECK(i <= slot);
		found += got == id || got == other;
		if (got == id)
			CHECK_EQ(again.shm_segsz, 5000);
	}
	CHECK_ERR(shmctl(slot + 1, SHM_STAT, &again), EINVAL);

	CHECK_ERR(syscall(SYS_shmctl, id, IPC_STAT, (void *)8), EFAULT);
	CHECK_ERR(syscall(SYS_shmctl, id, IPC_SET, (void *)8), EFAULT);
	CHECK_ERR(syscall(SYS_shmctl, id, IPC_STAT, (void *)0xffffffc080200000), EFAULT);
	CHECK_ERR(syscall(SYS_shmctl, 0, IPC_INFO, (void *)8), EFAULT);
	CHECK_ERR(syscall(SYS_shmctl, 0, SHM_INFO, (void *)8), EFAULT);
	CHECK_ERR(syscall(SYS_shmctl, -1, IPC_INFO, &limits), EINVAL);
	CHECK_ERR(syscall(SYS_shmctl, id, -1, &limits), EINVAL);
	CHECK_ERR(syscall(SYS_shmctl, id, 77, &limits), EINVAL);
	CHECK_ERR(syscall(SYS_shmctl, id + 32768, IPC_STAT, &again), EINVAL);
	CHECK_EQ(shmctl(id, IPC_RMID, NULL), 0);
	CHECK_EQ(shmctl(other, IPC_RMID, NULL), 0);
}

/* More segments than any first table holds, and memory that comes back. */
static void many(void)
{
	static int ids[300];

	for (unsigned round = 0; round < 3; round++) {
		for (unsigned i = 0; i < COUNT(ids); i++)
			ids[i] = private_segment((i + 1) * PAGE);
		for (unsigned i = 0; i < COUNT(ids); i++) {
			char *at = attach(ids[i], NULL, 0);

			at[i * PAGE] = 1;
			CHECK_EQ(shmctl(ids[i], IPC_RMID, NULL), 0);
			CHECK_EQ(shmdt(at), 0);
		}
	}
}

/* Threads and processes attach, fork and remove the same segment: the count comes out right. */
static int common;

static void *juggle(void *arg)
{
	(void)arg;
	for (unsigned i = 0; i < 60; i++) {
		char *at = attach(common, NULL, i % 2 ? SHM_RDONLY : 0);

		CHECK_EQ(at[0], 42);
		if (i % 16 == 0) {
			pid_t pid = child_fork();

			if (pid == 0)
				_exit(at[0] == 42 ? 0 : 1);
			child_wait(pid);
		}
		CHECK_EQ(i % 3 == 0 ? munmap(at, 5 * PAGE) : shmdt(at), 0);
	}
	return NULL;
}

static void at_once(void)
{
	pthread_t threads[4];
	char *at;

	common = private_segment(5 * PAGE);
	at = attach(common, NULL, 0);
	at[0] = 42;
	for (unsigned i = 0; i < COUNT(threads); i++)
		threads[i] = thread_start(juggle, NULL);
	for (unsigned i = 0; i < COUNT(threads); i++)
		thread_join(threads[i]);
	CHECK_EQ(attached(common), 1);
	CHECK_EQ(shmctl(common, IPC_RMID, NULL), 0);
	CHECK_EQ(shmdt(at), 0);
	CHECK_ERR(shmctl(common, IPC_STAT, NULL), EINVAL);
}

static void futexes(void)
{
	int id = private_segment(PAGE);
	_Atomic int *here = (void *)attach(id, NULL, 0), *there = (void *)attach(id, NULL, 0);
	pid_t pid = child_fork();

	if (pid == 0) {
		while (syscall(SYS_futex, &there[3], FUTEX_WAKE, 1, NULL, NULL, 0) == 0)
			relax();
		_exit(0);
	}
	CHECK_EQ(syscall(SYS_futex, &here[3], FUTEX_WAIT, 0, NULL, NULL, 0), 0);
	child_wait(pid);
	CHECK_EQ(shmctl(id, IPC_RMID, NULL), 0);
	CHECK_EQ(shmdt((void *)here), 0);
	CHECK_EQ(shmdt((void *)there), 0);
}

int main(int argc, char **argv)
{
	if (argc == 4 && strcmp(argv[1], "count") == 0)
		return attached(atoi(argv[2])) == (unsigned long)atoi(argv[3]) ? 0 : 1;
	probe_init();
	keys();
	one_memory();
	in_parts();
	over_fork();
	control();
	many();
	at_once();
	futexes();
	/* One stays behind, attached and with pages: it goes with the machine. */
	attach(private_segment(9 * PAGE), NULL, 0)[PAGE] = 1;
	return pass();
}
