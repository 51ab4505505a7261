/* On how many harts it may run, some seconds after it began (test_firmware.py, whose harts come late). */
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	cpu_set_t set;

	if (argc != 2)
		return 2;
	sleep((unsigned)atoi(argv[1]));
	if (sched_getaffinity(0, sizeof(set), &set) != 0)
		return 1;
	printf("harts %d\n", CPU_COUNT(&set));
	return 0;
}
