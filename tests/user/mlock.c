/*
 * What mlock leaves to be seen: VmFlags "lo" in /proc/self/smaps, where regions end, RLIMIT_MEMLOCK once CAP_IPC_LOCK is
 * given up; munmap, mremap, fork and mlockall with it.
 */
#include <linux/capability.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "check.h"

/* 1 where the region that holds at is locked, 0 where not, -1 where there is none; its bounds. */
static int locked(const char *at, uintptr_t *start, uintptr_t *end)
{
	FILE *file = fopen("/proc/self/smaps", "r");
	unsigned long from = 0, to = 0;
	char line[512];
	int result = -1;

	CHECK(file != NULL);
	while (fgets(line, sizeof(line), file) != NULL) {
		unsigned long first, last;
		bool inside;

		if (sscanf(line, "%lx-%lx ", &first, &last) == 2) {
			from = first;
			to = last;
		}
		inside = from <= (uintptr_t)at && (uintptr_t)at < to;
		if (inside && strncmp(line, "VmFlags:", 8) == 0) {
			result = strstr(line, " lo") != NULL;
			*start = from;
			*end = to;
			break;
		}
	}
	fclose(file);
	return result;
}

static bool is_locked(const char *at)
{
	uintptr_t start, end;
	int result = locked(at, &start, &end);

	CHECK(result >= 0);
	return result == 1;
}

static void pieces(void)
{
	char *at = map_anon(8 * PAGE), *to;
	uintptr_t start, end;
	pid_t pid;

	CHECK(!is_locked(at));
	CHECK_EQ(mlock(at + 2 * PAGE, 3 * PAGE), 0);
	CHECK(!is_locked(at + PAGE) && is_locked(at + 2 * PAGE) && is_locked(at + 4 * PAGE) &&
	      !is_locked(at + 5 * PAGE));
	CHECK_EQ(locked(at + 3 * PAGE, &start, &end), 1);
	CHECK_EQ(start, (uintptr_t)at + 2 * PAGE);
	CHECK_EQ(end, (uintptr_t)at + 5 * PAGE);
	CHECK_EQ(munlock(at + 3 * PAGE, PAGE), 0);
	CHECK(is_locked(at + 2 * PAGE) && !is_locked(at + 3 * PAGE) && is_locked(at + 4 * PAGE));
	CHECK_EQ(mlock(at + 3 * PAGE, PAGE), 0);
	CHECK_EQ(locked(at + 3 * PAGE, &start, &end), 1);
	CHECK_EQ(end - start, 3 * PAGE);
	pid = child_fork();
	if (pid == 0)
		_exit(is_locked(at + 3 * PAGE)); /* not passed on */
	CHECK_EQ(child_status(pid), 0);
	to = mremap(at + 2 * PAGE, 3 * PAGE, 20 * PAGE, MREMAP_MAYMOVE);
	CHECK(to != MAP_FAILED && is_locked(to) && is_locked(to + 19 * PAGE));
	CHECK(mmap(at + 2 * PAGE, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) !=
	      MAP_FAILED);
	CHECK(!is_locked(at + 2 * PAGE));
	CHECK(mmap(to + PAGE, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) !=
	      MAP_FAILED);
	CHECK(is_locked(to) && !is_locked(to + PAGE) && is_locked(to + 2 * PAGE));
	CHECK_EQ(munlock(to, 20 * PAGE), 0);
	CHECK(!is_locked(to) && !is_locked(to + 10 * PAGE));
}

static void all(void)
{
	char *before = map_anon(4 * PAGE), *after;

	CHECK_EQ(mlockall(MCL_FUTURE), 0);
	after = map_anon(4 * PAGE);
	CHECK(!is_locked(before) && is_locked(after));
	CHECK_EQ(mlockall(MCL_CURRENT), 0);
	CHECK(is_locked(before));
	after = map_anon(4 * PAGE);
	CHECK(!is_locked(after));
	CHECK_EQ(munlockall(), 0);
	CHECK(!is_locked(before));
}

static void limited(void)
{
	struct __user_cap_header_struct header = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct data[2];
	struct rlimit limit = { 4 * PAGE, 4 * PAGE };
	char *at = map_anon(16 * PAGE);

	CHECK_EQ(setrlimit(RLIMIT_MEMLOCK, &limit), 0);
	CHECK_EQ(mlock(at, 8 * PAGE), 0); /* root may */
	CHECK_EQ(munlock(at, 8 * PAGE), 0);
	CHECK_EQ(syscall(SYS_capget, &header, data), 0);
	data[0].effective &= ~(1U << CAP_IPC_LOCK);
	data[0].permitted &= ~(1U << CAP_IPC_LOCK);
	CHECK_EQ(syscall(SYS_capset, &header, data), 0);
	CHECK_EQ(mlock(at, 3 * PAGE), 0);
	CHECK_ERR(mlock(at + 8 * PAGE, 2 * PAGE), ENOMEM);
	CHECK_EQ(mlock(at + 8 * PAGE, PAGE), 0);
	data[0].effective |= 1U << CAP_IPC_LOCK;
	data[0].permitted |= 1U << CAP_IPC_LOCK;
	CHECK_ERR(syscall(SYS_capset, &header, data), EPERM);
	header.version = 1;
	CHECK_ERR(syscall(SYS_capget, &header, data), EINVAL);
	CHECK_EQ(header.version, _LINUX_CAPABILITY_VERSION_3);
}

int main(void)
{
	pieces();
	all();
	limited();
	return pass();
}
