/*
 * capget and capset: a process may give capabilities up and remembers it; its children do too. There is one user, root, and
 * the only capability that anything asks for is CAP_IPC_LOCK (sys_residency.c).
 */
#include "kernel/process.h"
#include "kernel/sys.h"
#include "lib/errno.h"

#define VERSION_1 0x19980330U
#define VERSION_2 0x20071026U
#define VERSION_3 0x20080522U

struct header {
	uint32_t version;
	int32_t pid;
};

struct data {
	uint32_t set[CAPABILITY_SETS]; /* 32 bits each; a second one has the higher ones */
};

/* The header's version, as a number of struct data; an unknown one is answered with ours. 0: *error says what to return. */
static unsigned parts_of(uint64_t address, struct header *header, bool probing, int *error)
{
	uint32_t ours = VERSION_3;

	*error = user_read(current_space(), header, VADDR(address), sizeof(*header));
	if (*error != 0)
		return 0;
	if (header->version == VERSION_2 || header->version == VERSION_3)
		return 2;
	if (header->version == VERSION_1)
		return 1;
	*error = user_write(current_space(), VADDR(address), &ours, sizeof(ours));
	if (*error == 0 && !probing)
		*error = -EINVAL;
	return 0;
}

int64_t sys_capget(const uint64_t *a)
{
	struct header header;
	struct data data[2];
	struct process *process;
	int error;
	unsigned parts = parts_of(a[0], &header, a[1] == 0, &error);

	if (parts == 0)
		return error;
	if (header.pid < 0)
		return -EINVAL;
	process = process_find(header.pid == 0 ? current_process()->pid : (uint32_t)header.pid);
	if (process == NULL)
		return -ESRCH;
	spin_lock(&process->lock, RANK_PROCESS);
	for (unsigned i = 0; i < CAPABILITY_SETS; i++) {
		data[0].set[i] = (uint32_t)process->capabilities[i];
		data[1].set[i] = (uint32_t)(process->capabilities[i] >> 32);
	}
	spin_unlock(&process->lock, RANK_PROCESS);
	process_put(process);
	return a[1] == 0 ? 0 : user_write(current_space(), VADDR(a[1]), data, parts * sizeof(data[0]));
}

int64_t sys_capset(const uint64_t *a)
{
	struct process *process = current_process();
	uint64_t want[CAPABILITY_SETS];
	struct data data[2] = { 0 };
	struct header header;
	int error;
	unsigned parts = parts_of(a[0], &header, false, &error);

	if (parts == 0)
		return error;
	if (header.pid != 0 && (uint32_t)header.pid != process->pid)
		return -EPERM;
	error = user_read(current_space(), data, VADDR(a[1]), parts * sizeof(data[0]));
	if (error != 0)
		return error;
	for (unsigned i = 0; i < CAPABILITY_SETS; i++)
		want[i] = ((uint64_t)data[1].set[i] << 32 | data[0].set[i]) & CAPABILITIES_ALL;
	spin_lock(&process->lock, RANK_PROCESS);
	/* Nothing is gained: what is effective is permitted, what is permitted was. */
	if ((want[CAPABILITY_PERMITTED] & ~process->capabilities[CAPABILITY_PERMITTED]) != 0 ||
	    (want[CAPABILITY_EFFECTIVE] & ~want[CAPABILITY_PERMITTED]) != 0)
		error = -EPERM;
	for (unsigned i = 0; error == 0 && i < CAPABILITY_SETS; i++)
		process->capabilities[i] = want[i];
	process_differs_locked(process);
	spin_unlock(&process->lock, RANK_PROCESS);
	return error;
}
