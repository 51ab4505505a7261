/* process_vm_readv and process_vm_writev: a child's memory, copy-on-write, holes, bad lists, a process that ends meanwhile. */
#include <sys/uio.h>

#include "check.h"

static char *area;

static void refused(pid_t pid)
{
	struct iovec mine = { area, PAGE }, theirs = { area, PAGE }, bad = { (void *)8, PAGE };

	CHECK_ERR(process_vm_readv(pid, &mine, 1, &theirs, 1, 1), EINVAL);
	CHECK_ERR(process_vm_readv(999999, &mine, 1, &theirs, 1, 0), ESRCH);
	CHECK_ERR(process_vm_readv(pid, &mine, 1, &theirs, 5000, 0), EINVAL);
	CHECK_ERR(process_vm_readv(pid, &mine, 1, &bad, 1, 0), EFAULT);
	CHECK_ERR(process_vm_readv(pid, &bad, 1, &theirs, 1, 0), EFAULT);
	CHECK_ERR(process_vm_readv(pid, (void *)8, 1, &theirs, 1, 0), EFAULT);
	CHECK_EQ(process_vm_readv(pid, &mine, 0, &theirs, 1, 0), 0);
}

static void copied(pid_t pid)
{
	char one[100], two[3 * PAGE];
	struct iovec mine[] = { { one, 100 }, { two, sizeof(two) } };
	struct iovec theirs[] = { { area + PAGE - 50, 150 }, { NULL, 0 }, { area + 4 * PAGE, 2 * PAGE } };

	CHECK_EQ(process_vm_readv(pid, mine, 2, theirs, 3, 0), 150 + 2 * PAGE);
	CHECK_EQ(one[0], 'c');
	CHECK_EQ(one[99], 'c');
	CHECK_EQ(two[0], 'c');
	memset(one, 'p', sizeof(one));
	theirs[0].iov_len = 100;
	CHECK_EQ(process_vm_writev(pid, mine, 1, theirs, 1, 0), 100);
	CHECK_EQ(area[PAGE - 50], 'a'); /* the child's copy was written, not ours */
}

int main(void)
{
	int to_child[2], to_parent[2];
	char byte = 0;
	pid_t pid;

	area = map_anon(8 * PAGE);
	memset(area, 'a', 8 * PAGE);
	CHECK_EQ(pipe(to_child), 0);
	CHECK_EQ(pipe(to_parent), 0);
	pid = child_fork();
	if (pid == 0) {
		memset(area, 'c', 4 * PAGE + 60);
		CHECK_EQ(write(to_parent[1], "x", 1), 1);
		CHECK_EQ(read(to_child[0], &byte, 1), 1);
		_exit(area[PAGE - 50] == 'p' && area[PAGE + 49] == 'p' && area[PAGE + 50] == 'c' ? 0 : 1);
	}
	CHECK_EQ(read(to_parent[0], &byte, 1), 1);
	refused(pid);
	copied(pid);
	CHECK_EQ(write(to_child[1], "x", 1), 1);
	CHECK_EQ(child_status(pid), 0);
	return pass();
}
