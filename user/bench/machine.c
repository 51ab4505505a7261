/* CPUs from sched_getaffinity, memory from /proc/meminfo or else sysinfo, caches from /proc/corral/caches. */
#include "user/bench/machine.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysinfo.h>
#include <unistd.h>

static struct {
	unsigned count;
	size_t id[CPU_SETSIZE];
} cpus;

int machine_init(void)
{
	cpu_set_t set;
	size_t i;

	CPU_ZERO(&set);
	if (sched_getaffinity(0, sizeof(set), &set) != 0)
		return -errno;
	for (i = 0; i < CPU_SETSIZE; i++) {
		if (CPU_ISSET(i, &set))
			cpus.id[cpus.count++] = i;
	}
	return cpus.count ? 0 : -ENODEV;
}

unsigned machine_cpus(void)
{
	return cpus.count;
}

int machine_pin(unsigned index)
{
	cpu_set_t set;

	if (index >= cpus.count)
		return -EINVAL;
	CPU_ZERO(&set);
	CPU_SET(cpus.id[index], &set);
	return sched_setaffinity(0, sizeof(set), &set) == 0 ? 0 : -errno;
}

/* The value of a line "key:   123 kB", in bytes; 0 where there is none. */
static uint64_t meminfo(const char *key)
{
	char text[4096];
	const char *at;
	ssize_t got;
	int fd = open("/proc/meminfo", O_RDONLY);

	if (fd < 0)
		return 0;
	got = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (got <= 0)
		return 0;
	text[got] = '\0';
	at = strstr(text, key);
	return at ? strtoull(at + strlen(key), NULL, 10) * 1024 : 0;
}

uint64_t machine_memory_total(void)
{
	struct sysinfo info;
	uint64_t bytes = meminfo("MemTotal:");

	if (bytes)
		return bytes;
	return sysinfo(&info) == 0 ? (uint64_t)info.totalram * info.mem_unit : 0;
}

uint64_t machine_memory_free(void)
{
	struct sysinfo info;
	uint64_t bytes = meminfo("MemAvailable:");

	if (!bytes)
		bytes = meminfo("MemFree:");
	if (bytes)
		return bytes;
	return sysinfo(&info) == 0 ? (uint64_t)info.freeram * info.mem_unit : 0;
}

int machine_cache(unsigned i, struct machine_cache *cache)
{
	FILE *file = fopen("/proc/corral/caches", "re");
	unsigned at = 0;
	int got = 0;

	if (!file)
		return 0;
	do {
		got = fscanf(file, "level %u type %15s bytes %llu sets %u ways %u line %u harts %u ", &cache->level,
			     cache->type, &cache->bytes, &cache->sets, &cache->ways, &cache->line, &cache->harts);
	} while (got == 7 && at++ != i);
	fclose(file);
	return got == 7;
}
