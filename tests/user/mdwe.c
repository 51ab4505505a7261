/* PR_SET_MDWE: no memory that is both writable and executable, none that becomes executable; who inherits it; that it stays. */
#include "check.h"

#include <sys/prctl.h>
#include <sys/shm.h>

#define SET_MDWE   65
#define GET_MDWE   66
#define REFUSE	   1UL
#define NO_INHERIT 2UL

#define R PROT_READ
#define W PROT_WRITE
#define X PROT_EXEC

static long set(unsigned long rules)
{
	return prctl(SET_MDWE, rules, 0UL, 0UL, 0UL);
}

static long get(void)
{
	return prctl(GET_MDWE, 0UL, 0UL, 0UL, 0UL);
}

static void *map(int prot, int flags)
{
	return mmap(NULL, 2 * PAGE, prot, flags | MAP_ANONYMOUS, -1, 0);
}

static void refusals(void)
{
	CHECK_EQ(get(), 0);
	CHECK_ERR(set(4), EINVAL);
	CHECK_ERR(set(NO_INHERIT), EINVAL);
	CHECK_ERR(prctl(SET_MDWE, REFUSE, 1UL, 0UL, 0UL), EINVAL);
	CHECK_ERR(prctl(SET_MDWE, REFUSE, 0UL, 0UL, 1UL), EINVAL);
	CHECK_ERR(prctl(GET_MDWE, 1UL, 0UL, 0UL, 0UL), EINVAL);
	CHECK_ERR(prctl(GET_MDWE, 0UL, 0UL, 0UL, 1UL), EINVAL);
	CHECK_EQ(set(0), 0);
}

static void is_free(void)
{
	char *p = map(R | W, MAP_PRIVATE);

	CHECK(mprotect(p, PAGE, R | X) == 0 && mprotect(p, PAGE, R | W) == 0);
	CHECK(map(R | W | X, MAP_PRIVATE) != MAP_FAILED);
}

static void is_bound(int flags)
{
	char *data = map(R | W, flags), *code = map(R | X, flags);

	CHECK(data != MAP_FAILED && code != MAP_FAILED);
	CHECK_ERR(map(R | W | X, flags), EACCES);
	CHECK_ERR(map(W | X, flags), EACCES);
	for (int touched = 0; touched < 2; touched++) {
		CHECK_ERR(mprotect(data, PAGE, R | X), EACCES);
		CHECK_ERR(mprotect(data, PAGE, R | W | X), EACCES);
		CHECK_ERR(mprotect(code, PAGE, R | W | X), EACCES);
		CHECK_EQ(mprotect(code, PAGE, R | X), 0);
		CHECK_EQ(mprotect(data, PAGE, R), 0);
		CHECK_ERR(mprotect(data, PAGE, R | X), EACCES);
		CHECK_EQ(mprotect(data, PAGE, R | W), 0);
		*data = 1;
		CHECK_EQ(*code, 0);
	}
	/* Given away it is gone; a new map may execute. */
	CHECK_EQ(mprotect(code, PAGE, R | W), 0);
	CHECK_ERR(mprotect(code, PAGE, R | X), EACCES);
	CHECK(mmap(data, PAGE, R | X, flags | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == data);
	/* What lies before the part that is refused has changed. */
	CHECK_ERR(mprotect(data, 2 * PAGE, X), EACCES);
	CHECK(munmap(data, 2 * PAGE) == 0 && munmap(code, 2 * PAGE) == 0);
}

static void shm(void)
{
	int id = shmget(IPC_PRIVATE, PAGE, 0600);

	CHECK(id >= 0);
	CHECK_ERR(shmat(id, NULL, SHM_EXEC), EACCES);
	CHECK(shmat(id, NULL, SHM_EXEC | SHM_RDONLY) != (void *)-1);
	CHECK(shmctl(id, IPC_RMID, NULL) == 0);
}

static void child_rules(unsigned long rules)
{
	pid_t pid = child_fork();

	if (pid == 0) {
		CHECK_EQ(get(), (long)rules);
		rules ? is_bound(MAP_PRIVATE) : is_free();
		_exit(0);
	}
	child_wait(pid);
}

int main(int argc, char **argv)
{
	char rules[2] = { 0 };
	pid_t pid;

	if (argc == 3 && strcmp(argv[1], "exec") == 0)
		return get() == atoi(argv[2]) ? 0 : 1;
	probe_init();
	refusals();
	is_free();
	child_rules(0);
	for (unsigned long first = REFUSE; first <= (REFUSE | NO_INHERIT); first += NO_INHERIT) {
		unsigned long below = first & NO_INHERIT ? 0 : first;

		pid = child_fork();
		if (pid == 0) {
			CHECK_EQ(set(first), 0);
			CHECK_EQ(set(first), 0);
			CHECK_ERR(set(first ^ NO_INHERIT), EPERM);
			CHECK_ERR(set(0), EPERM);
			CHECK_EQ(get(), (long)first);
			is_bound(MAP_PRIVATE);
			is_bound(MAP_SHARED);
			shm();
			child_rules(below);
			rules[0] = (char)('0' + below);
			execl(self_path(), "mdwe", "exec", rules, NULL);
			_exit(1);
		}
		child_wait(pid);
	}
	CHECK_EQ(get(), 0);
	return pass();
}
