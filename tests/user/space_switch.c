/*
 * Processes with different data at the same addresses take turns on the same hart, then move together to the next:
 * a missing fence after the switch, or a mixed-up ASID, shows as another's data. Their kernel accesses follow the
 * same way.
 */
#include "check.h"

enum { PROCESSES = 6, PAGES = 20, TURNS = 60 };

static char *at;
static int ends[2];

static void pin(unsigned turn)
{
	static unsigned list[64], count;
	cpu_set_t set;

	if (count == 0) {
		CHECK(sched_getaffinity(0, sizeof(set), &set) == 0);
		for (unsigned i = 0; i < 64; i++)
			if (CPU_ISSET(i, &set))
				list[count++] = i;
	}
	CPU_ZERO(&set);
	CPU_SET(list[turn % count], &set);
	CHECK(sched_setaffinity(0, sizeof(set), &set) == 0);
}

static void kernel_reads(uint64_t expected)
{
	uint64_t copy;

	CHECK_EQ(write(ends[1], at, 8), 8);
	CHECK_EQ(read(ends[0], &copy, 8), 8);
	CHECK_EQ(copy, expected);
}

static void take_turns(unsigned me)
{
	CHECK(pipe(ends) == 0);
	for (unsigned turn = 0; turn < TURNS; turn++) {
		if (turn % 10 == 0)
			pin(turn / 10);
		pages_write(at, PAGES * PAGE, me * TURNS + turn);
		relax();
		pages_verify(at, PAGES * PAGE, me * TURNS + turn);
		kernel_reads(pattern(me * TURNS + turn, 0));
		if (turn % 7 == 0) {
			CHECK(madvise(at, PAGE, MADV_DONTNEED) == 0);
			relax();
			CHECK_EQ(*(volatile uint64_t *)at, 0);
		}
	}
}

int main(void)
{
	pid_t pids[PROCESSES];

	at = map_anon(PAGES * PAGE);
	for (int round = 0; round < 3; round++) {
		for (unsigned i = 0; i < PROCESSES; i++) {
			pids[i] = child_fork();
			if (pids[i] == 0) {
				take_turns(i);
				_exit(0);
			}
		}
		for (unsigned i = 0; i < PROCESSES; i++)
			child_wait(pids[i]);
		pages_verify_zero(at, PAGES * PAGE);
	}
	return pass();
}
