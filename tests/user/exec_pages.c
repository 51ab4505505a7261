/*
 * Code written into memory runs after mprotect to executable, on every hart, in its newest version; memory that is
 * not executable does not run; and code copied by fork runs in both processes.
 */
#include "check.h"

#if defined(__riscv)
static const uint32_t returns[2] = { 0x00000513, 0x00008067 }; /* li a0,0 ; ret */
#define PATCH(code, value) ((code)[0] = returns[0] | (uint32_t)(value) << 20, (code)[1] = returns[1])
#elif defined(__x86_64__)
#define PATCH(code, value) ((code)[0] = 0xb8 | (uint32_t)(value) << 8, (code)[1] = 0xc300)
#endif

enum { ROUNDS = 60, THREADS = 3 };

static uint32_t *code;
static atomic_uint version;
static atomic_uint ran;

static unsigned call(void)
{
	return ((unsigned (*)(void))(uintptr_t)code)();
}

static void write_code(unsigned value)
{
	CHECK(mprotect(code, PAGE, PROT_READ | PROT_WRITE) == 0);
	PATCH(code, value);
	CHECK(mprotect(code, PAGE, PROT_READ | PROT_EXEC) == 0);
	__builtin___clear_cache((char *)code, (char *)code + PAGE);
}

static void *runner(void *arg)
{
	unsigned last = 0;

	while (last < ROUNDS) {
		unsigned now = atomic_load(&version);

		if (now == last) {
			relax();
			continue;
		}
		CHECK_EQ(call(), now);
		atomic_fetch_add(&ran, 1);
		last = now;
	}
	return arg;
}

static void child(void *arg)
{
	(void)arg;
	CHECK_EQ(call(), 7);
	write_code(8);
	CHECK_EQ(call(), 8);
}

static void *jump(void *arg)
{
	int got = sigsetjmp(probe_back, 1);

	if (got == 0) {
		probe_armed = 1;
		((void (*)(void))arg)();
		probe_armed = 0;
	}
	return (void *)(intptr_t)got;
}

int main(void)
{
	pthread_t threads[THREADS];
	char *data;

	probe_init();
	code = map_anon(PAGE);
	write_code(7);
	CHECK_EQ(call(), 7);
	child_run(child, NULL);
	CHECK_EQ(call(), 7);
	for (unsigned i = 0; i < THREADS; i++)
		threads[i] = thread_start(runner, NULL);
	for (unsigned i = 1; i <= ROUNDS; i++) {
		write_code(i);
		atomic_store(&version, i);
		while (atomic_load(&ran) < i * THREADS)
			relax();
	}
	for (unsigned i = 0; i < THREADS; i++)
		thread_join(threads[i]);

	data = map_anon(PAGE);
	PATCH((uint32_t *)(void *)data, 1);
	CHECK_EQ((intptr_t)jump(data), SEGV_ACCERR);
	CHECK(probe_address == data);
	CHECK(munmap(data, PAGE) == 0);
	CHECK_EQ((intptr_t)jump(data), SEGV_MAPERR);
	return pass();
}
