/* sigaltstack: a handler runs there when it asked to, so that an overflown stack can be survived, in any thread. */
#include "check.h"

static __thread char *alternate;
static sigjmp_buf back[4];
static __thread unsigned me;
static __thread volatile unsigned handled;

enum { SIZE = 64 * 1024 };

static void handler(int number, siginfo_t *info, void *context)
{
	char here;
	stack_t now;

	(void)number;
	(void)info;
	(void)context;
	CHECK(&here > alternate && &here < alternate + SIZE);
	CHECK(sigaltstack(NULL, &now) == 0);
	CHECK(now.ss_flags & SS_ONSTACK);
	CHECK(now.ss_sp == alternate);
	handled++;
	siglongjmp(back[me], 1);
}

static volatile unsigned limit = ~0U;

static unsigned overflow(unsigned depth)
{
	volatile char frame[2000];

	frame[0] = (char)depth;
	if (depth == limit)
		return 0;
	return overflow(depth + 1) + (unsigned)frame[0];
}

static void *thread(void *arg)
{
	stack_t stack = { .ss_size = SIZE }, now;

	me = (unsigned)(uintptr_t)arg;
	alternate = stack.ss_sp = map_anon(SIZE);
	CHECK(sigaltstack(&stack, NULL) == 0);
	for (volatile unsigned i = 0; i < 3; i++) {
		if (sigsetjmp(back[me], 1) == 0) {
			overflow(0);
			CHECK(!"the stack did not overflow");
		}
		CHECK_EQ(handled, i + 1);
		CHECK(sigaltstack(NULL, &now) == 0);
		CHECK_EQ(now.ss_flags, 0);
	}
	stack.ss_flags = SS_DISABLE;
	CHECK(sigaltstack(&stack, NULL) == 0);
	stack.ss_flags = 0;
	stack.ss_size = 100;
	CHECK_ERR(sigaltstack(&stack, NULL), ENOMEM);
	return NULL;
}

int main(void)
{
	struct sigaction action = { .sa_sigaction = handler, .sa_flags = SA_SIGINFO | SA_ONSTACK };
	pthread_t threads[4];

	CHECK(sigaction(SIGSEGV, &action, NULL) == 0);
	for (uintptr_t i = 0; i < 4; i++)
		threads[i] = thread_start(thread, (void *)i);
	for (unsigned i = 0; i < 4; i++)
		thread_join(threads[i]);
	return pass();
}
