/*
 * Timers that send signals: setitimer's three, timer_create's on every clock and with every kind of notice, overruns,
 * what fork keeps; and sleeping until a time.
 */
#include "check.h"

#include <sys/resource.h>
#include <sys/time.h>

#define MS 1000000ULL

static volatile sig_atomic_t count, code, overrun, taker;
static void *volatile value;

static void on_signal(int number, siginfo_t *info, void *context)
{
	(void)number;
	(void)context;
	count++;
	code = info->si_code;
	overrun = info->si_overrun;
	value = info->si_value.sival_ptr;
	taker = gettid();
}

static void catch (int number)
{
	struct sigaction action = { .sa_sigaction = on_signal, .sa_flags = SA_SIGINFO };

	CHECK(sigaction(number, &action, NULL) == 0);
	count = 0;
}

static void sleep_ms(unsigned ms)
{
	uint64_t until = now_ns() + ms * MS;

	while (now_ns() < until) {
		uint64_t left = until - now_ns();
		struct timespec time = { 0, (long)(left > 900 * MS ? 900 * MS : left) };

		nanosleep(&time, NULL);
	}
}

static void block(int how, int number)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, number);
	CHECK(sigprocmask(how, &set, NULL) == 0);
}

static struct itimerval every(long first_us, long interval_us)
{
	return (struct itimerval){ { interval_us / 1000000, interval_us % 1000000 },
				   { first_us / 1000000, first_us % 1000000 } };
}

static void real_timer(void)
{
	struct itimerval now, old, bad = every(0, 0), off = every(0, 0), set = every(20000, 10000);
	uint64_t start = now_ns();

	catch (SIGALRM);
	CHECK(setitimer(ITIMER_REAL, &set, NULL) == 0);
	CHECK(getitimer(ITIMER_REAL, &now) == 0);
	CHECK(now.it_value.tv_sec == 0 && now.it_value.tv_usec > 0 && now.it_value.tv_usec <= 20000);
	CHECK_EQ(now.it_interval.tv_usec, 10000);
	while (count < 5)
		CHECK_ERR(pause(), EINTR);
	CHECK(now_ns() - start >= 60 * MS);
	CHECK_EQ(code, SI_KERNEL);
	CHECK(setitimer(ITIMER_REAL, &off, &old) == 0);
	CHECK(old.it_value.tv_usec > 0 && old.it_interval.tv_usec == 10000);
	CHECK(getitimer(ITIMER_REAL, &now) == 0);
	CHECK(now.it_value.tv_sec == 0 && now.it_value.tv_usec == 0 && now.it_interval.tv_usec == 0);
	count = 0;
	sleep_ms(30);
	CHECK_EQ(count, 0);

	CHECK_EQ(alarm(100), 0);
	CHECK_EQ(alarm(0), 100);
	bad.it_value.tv_usec = 1000000;
	CHECK_ERR(setitimer(ITIMER_REAL, &bad, NULL), EINVAL);
	bad.it_value = (struct timeval){ -1, 0 };
	CHECK_ERR(setitimer(ITIMER_REAL, &bad, NULL), EINVAL);
	CHECK_ERR(setitimer((__itimer_which_t)3, &off, NULL), EINVAL);
	CHECK_ERR(getitimer((__itimer_which_t)-1, &now), EINVAL);
}

/* While the signal is blocked the timer waits, and goes on in its own step. Ignored, it goes on too. */
static void real_blocked(void)
{
	struct itimerval now, off = every(0, 0), set = every(5000, 5000);

	catch (SIGALRM);
	block(SIG_BLOCK, SIGALRM);
	CHECK(setitimer(ITIMER_REAL, &set, NULL) == 0);
	sleep_ms(50);
	CHECK_EQ(count, 0);
	block(SIG_UNBLOCK, SIGALRM);
	CHECK_EQ(count, 1);
	while (count < 3)
		CHECK_ERR(pause(), EINTR);
	CHECK(signal(SIGALRM, SIG_IGN) != SIG_ERR);
	sleep_ms(20);
	CHECK(getitimer(ITIMER_REAL, &now) == 0);
	CHECK(now.it_interval.tv_usec == 5000);
	CHECK(setitimer(ITIMER_REAL, &off, NULL) == 0);
	catch (SIGALRM);
}

/* fork's child has none; one without a handler ends it. */
static void in_child(void)
{
	struct itimerval now, off = every(0, 0), set = every(50000000, 0);
	pid_t pid;

	CHECK(setitimer(ITIMER_REAL, &set, NULL) == 0);
	pid = child_fork();
	if (pid == 0) {
		CHECK(getitimer(ITIMER_REAL, &now) == 0);
		CHECK(now.it_value.tv_sec == 0 && now.it_value.tv_usec == 0);
		set = every(1000, 0);
		CHECK(signal(SIGALRM, SIG_DFL) != SIG_ERR);
		CHECK(setitimer(ITIMER_REAL, &set, NULL) == 0);
		for (;;)
			pause();
	}
	CHECK_EQ(child_status(pid), SIGALRM);
	CHECK(setitimer(ITIMER_REAL, &off, NULL) == 0);
}

/* Running time: does not pass in sleep, and passes wherever a thread runs. */
static void running_time(__itimer_which_t which, int number)
{
	struct itimerval now, off = every(0, 0), set = every(30000, 30000), longer = every(500000, 0);
	struct timespec before, after;

	catch (number);
	CHECK(setitimer(which, &longer, NULL) == 0); /* what the host takes away counts as running */
	sleep_ms(600);
	CHECK_EQ(count, 0);
	CHECK(getitimer(which, &now) == 0);
	CHECK(now.it_value.tv_sec == 0 && now.it_value.tv_usec > 0 && now.it_value.tv_usec <= 510000);
	CHECK(setitimer(which, &set, NULL) == 0);
	CHECK(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &before) == 0);
	while (count < 3)
		;
	CHECK(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &after) == 0);
	CHECK((after.tv_sec - before.tv_sec) * 1000 + (after.tv_nsec - before.tv_nsec) / 1000000 >= 50);
	CHECK(setitimer(which, &off, NULL) == 0);
}

static timer_t make(clockid_t clock, int notify, int number, pid_t tid)
{
	struct sigevent event = { .sigev_notify = notify, .sigev_signo = number };
	timer_t timer = NULL;
	int id;

	event.sigev_value.sival_ptr = (void *)(uintptr_t)&count;
	event._sigev_un._tid = tid;
	CHECK(syscall(SYS_timer_create, clock, &event, &id) == 0);
	timer = (timer_t)(intptr_t)id;
	return timer;
}

static long set_timer(timer_t timer, int flags, uint64_t first_ns, uint64_t interval_ns)
{
	struct itimerspec set = { { (time_t)(interval_ns / 1000000000), (long)(interval_ns % 1000000000) },
				  { (time_t)(first_ns / 1000000000), (long)(first_ns % 1000000000) } };

	return syscall(SYS_timer_settime, (int)(intptr_t)timer, flags, &set, NULL);
}

static void get_timer(timer_t timer, struct itimerspec *out)
{
	CHECK(syscall(SYS_timer_gettime, (int)(intptr_t)timer, out) == 0);
}

static void delete_timer(timer_t timer)
{
	CHECK(syscall(SYS_timer_delete, (int)(intptr_t)timer) == 0);
	CHECK_ERR(syscall(SYS_timer_delete, (int)(intptr_t)timer), EINVAL);
}

static void signal_timer(clockid_t clock, int number)
{
	timer_t timer = make(clock, SIGEV_SIGNAL, number, 0);
	struct itimerspec now;
	struct timespec time;

	catch (number);
	get_timer(timer, &now);
	CHECK(now.it_value.tv_sec == 0 && now.it_value.tv_nsec == 0);
	CHECK(set_timer(timer, 0, 30000 * MS, 0) == 0); /* so long that it has not run out, however busy the host is */
	get_timer(timer, &now);
	CHECK(now.it_value.tv_sec > 0 && now.it_value.tv_sec <= 30);
	CHECK(set_timer(timer, 0, 10 * MS, 0) == 0);
	while (count == 0)
		sleep_ms(1);
	CHECK_EQ(code, SI_TIMER);
	CHECK(value == &count);
	CHECK_EQ(overrun, 0);
	get_timer(timer, &now);
	CHECK(now.it_value.tv_sec == 0 && now.it_value.tv_nsec == 0);

	/* A time that has passed: at once. */
	count = 0;
	CHECK(clock_gettime(clock, &time) == 0);
	CHECK(set_timer(timer, TIMER_ABSTIME, 1, 0) == 0);
	while (count == 0)
		sleep_ms(1);

	/* Overruns, while it is blocked. */
	count = 0;
	block(SIG_BLOCK, number);
	CHECK(set_timer(timer, 0, 5 * MS, 5 * MS) == 0);
	sleep_ms(60);
	block(SIG_UNBLOCK, number);
	CHECK(count >= 1);
	CHECK(overrun >= 9 || count > 1);
	CHECK(syscall(SYS_timer_getoverrun, (int)(intptr_t)timer) >= 0);
	count = 0;
	while (count < 3)
		sleep_ms(1);
	delete_timer(timer);
	count = 0;
	sleep_ms(20);
	CHECK_EQ(count, 0);
}

static void *thread_timer(void *unused)
{
	timer_t timer = make(CLOCK_MONOTONIC, SIGEV_THREAD_ID, SIGUSR2, gettid());

	(void)unused;
	catch (SIGUSR2);
	for (int i = 1; i <= 20; i++) {
		CHECK(set_timer(timer, 0, MS, 0) == 0);
		while (count < i)
			sleep_ms(1);
		CHECK_EQ(taker, gettid());
	}
	delete_timer(timer);
	return NULL;
}

static void silent_timer(void)
{
	timer_t timer = make(CLOCK_MONOTONIC, SIGEV_NONE, 0, 0);
	struct itimerspec now;

	CHECK(set_timer(timer, 0, 10 * MS, 0) == 0);
	sleep_ms(20);
	get_timer(timer, &now);
	CHECK(now.it_value.tv_sec == 0 && now.it_value.tv_nsec == 0);
	CHECK(set_timer(timer, 0, 10 * MS, 10000 * MS) == 0);
	sleep_ms(20);
	get_timer(timer, &now);
	CHECK_EQ(now.it_value.tv_sec, 9);
	CHECK_EQ(now.it_interval.tv_sec, 10);
	delete_timer(timer);
}

static void cpu_timer(void)
{
	timer_t timer = make(CLOCK_PROCESS_CPUTIME_ID, SIGEV_SIGNAL, SIGUSR1, 0);

	catch (SIGUSR1);
	CHECK(set_timer(timer, 0, 20 * MS, 0) == 0);
	sleep_ms(60);
	CHECK_EQ(count, 0);
	while (count == 0)
		;
	CHECK_EQ(code, SI_TIMER);
	delete_timer(timer);
}

static uint64_t running_ns(clockid_t clock)
{
	struct timespec now;

	CHECK(clock_gettime(clock, &now) == 0);
	return (uint64_t)now.tv_sec * 1000000000ULL + (uint64_t)now.tv_nsec;
}

static void spin_ms(unsigned ms)
{
	uint64_t until = running_ns(CLOCK_THREAD_CPUTIME_ID) + ms * MS;

	while (running_ns(CLOCK_THREAD_CPUTIME_ID) < until)
		;
}

static _Atomic int stage;

static void *stages(void *unused)
{
	(void)unused;
	while (atomic_load(&stage) == 0)
		usleep(1000);
	spin_ms(60);
	while (atomic_load(&stage) == 1)
		usleep(1000);
	return NULL;
}

/* Another thread's time, which alone counts; and nothing of it once the thread has ended. */
static void thread_cpu_timer(void)
{
	struct itimerspec got;
	struct timespec now;
	pthread_t thread;
	clockid_t clock;
	timer_t timer;

	atomic_store(&stage, 0);
	thread = thread_start(stages, NULL);
	CHECK_EQ(pthread_getcpuclockid(thread, &clock), 0);
	timer = make(clock, SIGEV_SIGNAL, SIGUSR1, 0);
	catch (SIGUSR1);
	CHECK(set_timer(timer, 0, 50 * MS, 0) == 0);
	spin_ms(150);
	CHECK_EQ(count, 0);
	get_timer(timer, &got);
	CHECK(got.it_value.tv_sec == 0 && got.it_value.tv_nsec > 0 && got.it_value.tv_nsec <= (long)(50 * MS));
	atomic_store(&stage, 1);
	while (count == 0)
		sleep_ms(1);
	CHECK_EQ(count, 1);
	CHECK(running_ns(clock) >= 50 * MS);
	CHECK(set_timer(timer, 0, 10000 * MS, 0) == 0);
	atomic_store(&stage, 2);
	thread_join(thread);
	/* It is joined a moment before it has gone. */
	while (clock_gettime(clock, &now) == 0)
		usleep(1000);
	get_timer(timer, &got);
	CHECK(got.it_value.tv_sec == 0 && got.it_value.tv_nsec == 0);
	CHECK_ERR(set_timer(timer, 0, 50 * MS, 0), ESRCH);
	delete_timer(timer);
}

static void own_cpu_timer(void)
{
	clockid_t clock = (clockid_t)(~(unsigned)gettid() << 3 | 6);
	timer_t timer = make(CLOCK_THREAD_CPUTIME_ID, SIGEV_SIGNAL, SIGUSR1, 0);
	timer_t named = make(clock, SIGEV_SIGNAL, SIGUSR1, 0);
	timer_t process = make((clockid_t)(~(unsigned)getpid() << 3 | 2), SIGEV_SIGNAL, SIGUSR1, 0);
	int id;

	catch (SIGUSR1);
	CHECK(set_timer(timer, 0, 20 * MS, 20 * MS) == 0);
	sleep_ms(60);
	CHECK_EQ(count, 0);
	while (count < 3)
		;
	CHECK_EQ(code, SI_TIMER);
	delete_timer(timer);
	catch (SIGUSR1);
	CHECK(set_timer(named, TIMER_ABSTIME, running_ns(clock) + 20 * MS, 0) == 0);
	CHECK(set_timer(process, TIMER_ABSTIME, running_ns(CLOCK_PROCESS_CPUTIME_ID) + 60 * MS, 0) == 0);
	while (count < 2)
		;
	delete_timer(named);
	delete_timer(process);
	CHECK_ERR(syscall(SYS_timer_create, ~(1U << 22) << 3 | 6, NULL, &id), EINVAL);
	CHECK_ERR(syscall(SYS_timer_create, ~(unsigned)getpid() << 3 | 7, NULL, &id), EINVAL);
	CHECK_ERR(syscall(SYS_timer_create, ~(1U << 22) << 3 | 2, NULL, &id), EINVAL);
}

static void errors(void)
{
	struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = 65 };
	struct itimerspec set = { { 0, 0 }, { 0, 1000000000 } };
	timer_t timer = make(CLOCK_MONOTONIC, SIGEV_NONE, 0, 0);
	int id;

	CHECK_ERR(syscall(SYS_timer_create, CLOCK_MONOTONIC, &event, &id), EINVAL);
	event.sigev_signo = SIGUSR1;
	event.sigev_notify = 3;
	CHECK_ERR(syscall(SYS_timer_create, CLOCK_MONOTONIC, &event, &id), EINVAL);
	event.sigev_notify = SIGEV_THREAD_ID;
	event._sigev_un._tid = 1 << 22;
	CHECK_ERR(syscall(SYS_timer_create, CLOCK_MONOTONIC, &event, &id), EINVAL);
	CHECK_ERR(syscall(SYS_timer_create, 12345, NULL, &id), EINVAL);
	CHECK_ERR(syscall(SYS_timer_create, CLOCK_MONOTONIC, NULL, (void *)8), EFAULT);
	CHECK_ERR(syscall(SYS_timer_settime, (int)(intptr_t)timer, 0, &set, NULL), EINVAL);
	set.it_value = (struct timespec){ -1, 0 };
	CHECK_ERR(syscall(SYS_timer_settime, (int)(intptr_t)timer, 0, &set, NULL), EINVAL);
	CHECK_ERR(syscall(SYS_timer_settime, (int)(intptr_t)timer, 0, NULL, NULL), EINVAL);
	delete_timer(timer);
	CHECK_ERR(syscall(SYS_timer_getoverrun, (int)(intptr_t)timer), EINVAL);
	CHECK_ERR(syscall(SYS_timer_settime, -1, 0, &set, NULL), EINVAL);
}

static void sleep_until(clockid_t clock)
{
	struct timespec time, now, bad = { 0, 1000000000 };

	CHECK(clock_gettime(clock, &time) == 0);
	time.tv_nsec += 20 * 1000000;
	if (time.tv_nsec >= 1000000000) {
		time.tv_nsec -= 1000000000;
		time.tv_sec++;
	}
	CHECK_EQ(clock_nanosleep(clock, TIMER_ABSTIME, &time, NULL), 0);
	CHECK(clock_gettime(clock, &now) == 0);
	CHECK(now.tv_sec > time.tv_sec || (now.tv_sec == time.tv_sec && now.tv_nsec >= time.tv_nsec));
	CHECK_EQ(clock_nanosleep(clock, TIMER_ABSTIME, &time, NULL), 0);
	CHECK_EQ(clock_nanosleep(clock, TIMER_ABSTIME, &bad, NULL), EINVAL);

	/* A handler ends it, whatever its flags say. */
	catch (SIGALRM);
	time.tv_sec += 100;
	CHECK(setitimer(ITIMER_REAL, &(struct itimerval){ { 0, 0 }, { 0, 10000 } }, NULL) == 0);
	CHECK_EQ(clock_nanosleep(clock, TIMER_ABSTIME, &time, NULL), EINTR);
}

/* A timer takes the place of a queued signal, for as long as there is one. */
static void limit(void *unused)
{
	struct rlimit ten = { 10, 10 };
	struct sigevent event = { .sigev_notify = SIGEV_NONE };
	timer_t timer[11];
	union sigval value = { 0 };
	sigset_t set;

	(void)unused;
	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN);
	CHECK(sigprocmask(SIG_BLOCK, &set, NULL) == 0);
	CHECK(setrlimit(RLIMIT_SIGPENDING, &ten) == 0);
	for (int i = 0; i < 10; i++)
		CHECK(timer_create(CLOCK_MONOTONIC, &event, &timer[i]) == 0);
	CHECK_ERR(timer_create(CLOCK_MONOTONIC, &event, &timer[10]), EAGAIN);
	CHECK_ERR(sigqueue(getpid(), SIGRTMIN, value), EAGAIN);
	for (int i = 0; i < 5; i++)
		CHECK(timer_delete(timer[i]) == 0);
	for (int i = 0; i < 5; i++)
		CHECK(sigqueue(getpid(), SIGRTMIN, value) == 0);
	CHECK_ERR(timer_create(CLOCK_MONOTONIC, &event, &timer[0]), EAGAIN);
	CHECK(sigwaitinfo(&set, NULL) == SIGRTMIN);
	CHECK(timer_create(CLOCK_MONOTONIC, &event, &timer[0]) == 0);
}

int main(void)
{
	real_timer();
	real_blocked();
	in_child();
	running_time(ITIMER_VIRTUAL, SIGVTALRM);
	running_time(ITIMER_PROF, SIGPROF);
	signal_timer(CLOCK_MONOTONIC, SIGUSR1);
	signal_timer(CLOCK_REALTIME, SIGRTMIN + 1);
	thread_join(thread_start(thread_timer, NULL));
	silent_timer();
	cpu_timer();
	thread_cpu_timer();
	own_cpu_timer();
	errors();
	child_run(limit, NULL);
	sleep_until(CLOCK_MONOTONIC);
	sleep_until(CLOCK_REALTIME);
	return pass();
}
