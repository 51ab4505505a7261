/* MADV_DONTFORK and MADV_WIPEONFORK: the child has nothing, or zeros, exactly there; and back to normal. */
#include "check.h"

static char *at;

static void child(void *arg)
{
	(void)arg;
	CHECK_EQ(at[0], 'a');
	CHECK_EQ(probe_read(at + PAGE), SEGV_MAPERR);
	CHECK_EQ(at[2 * PAGE], 'a');
	pages_verify_zero(at + 3 * PAGE, PAGE);
	CHECK_EQ(at[4 * PAGE], 'a');
	at[3 * PAGE] = 'c';
	at[4 * PAGE] = 'c';
}

static void child_normal(void *arg)
{
	(void)arg;
	for (int page = 0; page < 5; page++)
		CHECK_EQ(at[page * (int)PAGE], 'a');
}

int main(void)
{
	probe_init();
	at = map_anon(5 * PAGE);
	memset(at, 'a', 5 * PAGE);
	CHECK(madvise(at + PAGE, PAGE, MADV_DONTFORK) == 0);
	CHECK(madvise(at + 3 * PAGE, PAGE, MADV_WIPEONFORK) == 0);
	child_run(child, NULL);
	for (int page = 0; page < 5; page++)
		CHECK_EQ(at[page * (int)PAGE], 'a');
	CHECK(madvise(at + PAGE, PAGE, MADV_DOFORK) == 0);
	CHECK(madvise(at + 3 * PAGE, PAGE, MADV_KEEPONFORK) == 0);
	child_run(child_normal, NULL);
	return pass();
}
