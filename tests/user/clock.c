/* Time goes forward, on every hart and from hart to hart, and sleeps are as long as they were asked to be. */
#include "check.h"

enum { THREADS = 4, READS = 3000 };

static _Atomic uint64_t latest;

static void *reader(void *arg)
{
	for (int i = 0; i < READS; i++) {
		uint64_t before = atomic_load(&latest), now = now_ns(), seen = before;

		CHECK(now >= before);
		while (seen < now && !atomic_compare_exchange_weak(&latest, &seen, now))
			;
		if (i % 64 == 0)
			relax();
	}
	return arg;
}

static void *sleeper(void *arg)
{
	struct timespec wish = { 0, 20 * 1000 * 1000 };
	uint64_t start = now_ns(), slept;

	CHECK(nanosleep(&wish, NULL) == 0);
	slept = now_ns() - start;
	CHECK(slept >= 20 * 1000 * 1000);
	CHECK(slept < 20ULL * 1000 * 1000 * 1000);
	return arg;
}

int main(void)
{
	pthread_t threads[THREADS];
	struct timespec now, bad = { 0, 1000000000 };
	time_t seconds = time(NULL);

	for (unsigned i = 0; i < THREADS; i++)
		threads[i] = thread_start(reader, NULL);
	for (unsigned i = 0; i < THREADS; i++)
		thread_join(threads[i]);
	for (unsigned i = 0; i < THREADS; i++)
		threads[i] = thread_start(sleeper, NULL);
	for (unsigned i = 0; i < THREADS; i++)
		thread_join(threads[i]);
	CHECK(clock_gettime(CLOCK_REALTIME, &now) == 0);
	CHECK(now.tv_sec >= seconds && now.tv_nsec >= 0 && now.tv_nsec < 1000000000);
	CHECK(clock_getres(CLOCK_MONOTONIC, &now) == 0);
	CHECK(now.tv_sec == 0 && now.tv_nsec > 0);
	CHECK_ERR(clock_gettime(1000, &now), EINVAL);
	CHECK_ERR(nanosleep(&bad, NULL), EINVAL);
	return pass();
}
