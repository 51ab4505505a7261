/*
 * Threads: many of them, joined and detached, mutexes, condition variables, barriers, thread-local memory, keys,
 * once.
 */
#include "check.h"

enum { THREADS = 8, ROUNDS = 300, MANY = 200 };

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t condition = PTHREAD_COND_INITIALIZER;
static pthread_barrier_t barrier;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t key;
static unsigned counter, turn, onces;
static atomic_uint destroyed, detached;
static __thread unsigned own = 5;

static void init_once(void)
{
	onces++;
}

static void destroy(void *value)
{
	CHECK(value);
	atomic_fetch_add(&destroyed, 1);
}

static void *worker(void *arg)
{
	unsigned me = (unsigned)(uintptr_t)arg;

	CHECK_EQ(own, 5);
	own = me + 100;
	CHECK(pthread_once(&once, init_once) == 0);
	CHECK(pthread_setspecific(key, &own) == 0);
	for (unsigned i = 0; i < ROUNDS; i++) {
		CHECK(pthread_mutex_lock(&mutex) == 0);
		counter++;
		CHECK(pthread_mutex_unlock(&mutex) == 0);
	}
	for (unsigned i = 0; i < 20; i++) {
		CHECK(pthread_mutex_lock(&mutex) == 0);
		while (turn % THREADS != me)
			CHECK(pthread_cond_wait(&condition, &mutex) == 0);
		turn++;
		CHECK(pthread_cond_broadcast(&condition) == 0);
		CHECK(pthread_mutex_unlock(&mutex) == 0);
	}
	for (unsigned i = 0; i < 20; i++) {
		int result = pthread_barrier_wait(&barrier);

		CHECK(result == 0 || result == PTHREAD_BARRIER_SERIAL_THREAD);
	}
	CHECK_EQ(own, me + 100);
	CHECK(pthread_getspecific(key) == &own);
	if (me % 2)
		pthread_exit((void *)(uintptr_t)(me * 3));
	return (void *)(uintptr_t)(me * 3);
}

static void *short_lived(void *arg)
{
	own = (unsigned)(uintptr_t)arg;
	return (void *)(uintptr_t)(own + 1);
}

static void *goes_alone(void *arg)
{
	CHECK(pthread_detach(pthread_self()) == 0);
	atomic_fetch_add(&detached, 1);
	return arg;
}

int main(void)
{
	pthread_t threads[THREADS];

	CHECK(pthread_key_create(&key, destroy) == 0);
	CHECK(pthread_barrier_init(&barrier, NULL, THREADS) == 0);
	for (unsigned i = 0; i < THREADS; i++)
		threads[i] = thread_start(worker, (void *)(uintptr_t)i);
	for (unsigned i = 0; i < THREADS; i++)
		CHECK_EQ((uintptr_t)thread_join(threads[i]), i * 3);
	CHECK_EQ(counter, THREADS * ROUNDS);
	CHECK_EQ(turn, THREADS * 20);
	CHECK_EQ(onces, 1);
	CHECK_EQ(atomic_load(&destroyed), THREADS);
	CHECK_EQ(own, 5);
	for (unsigned i = 0; i < MANY; i++)
		CHECK_EQ((uintptr_t)thread_join(thread_start(short_lived, (void *)(uintptr_t)i)), i + 1);
	for (unsigned i = 0; i < 40; i++)
		thread_start(goes_alone, NULL);
	while (atomic_load(&detached) < 40)
		relax();
	return pass();
}
