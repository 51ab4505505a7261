/* System V shared memory: segments. Contract of shm.c; the calls are sys_shmget there, and those in sys_shm.c. */
#ifndef KERNEL_SHM_H
#define KERNEL_SHM_H

#include "lib/types.h"
#include "mm/mapping.h"

struct text;

/* Linux's limits. */
#define SHM_SLOTS    32768U
#define SHM_SEGMENTS 4096U
#define SHM_BYTES    (UINT64_MAX - (UINT64_C(1) << 24))
#define SHM_PAGES    (UINT64_MAX - (UINT64_C(1) << 24))

/* Linux's struct shmid64_ds, for riscv64. */
struct shm_status {
	int32_t key;
	uint32_t uid, gid, cuid, cgid, mode;
	uint16_t sequence, pad;
	uint64_t unused[2];
	uint64_t bytes;
	int64_t attach_time, detach_time, change_time;
	uint32_t creator, last;
	uint64_t attached;
	uint64_t more_unused[2];
};
_Static_assert(sizeof(struct shm_status) == 112, "shmid64_ds");

struct segment {
	struct mapping_watch watch;
	struct object *object;	  /* one reference */
	uint32_t id;		  /* constant, like the object and its size */
	struct shm_status status; /* what IPC_STAT says [shm.c] */
};

/* The segment with that id, counted as attached once more, so that it stays; or NULL. */
struct segment *shm_hold(uint32_t id);
void shm_release(struct segment *segment);

/* How many bytes, in whole pages, the segment has that watches so; 0: there is none any more. */
uint64_t shm_watched_bytes(const struct mapping_watch *watch);

/* What the segment with that id says, or by_slot the one in that slot. -EINVAL: none; else 0, or by_slot its id. */
int64_t shm_status(uint32_t which, bool by_slot, struct shm_status *out) MUST_CHECK;

/* The segment in the slot, and how many of its pages have been touched. Whether there is one. */
bool shm_look(uint32_t slot, struct shm_status *status, uint32_t *id, uint64_t *resident);

/* How many segments there are, of how many pages; one more than the highest slot in use. */
uint32_t shm_totals(uint32_t *used, uint64_t *pages);

/* 0, or -EINVAL: there is no such segment, or no such owner. From is what IPC_SET was given. */
int shm_set_owner(uint32_t id, const struct shm_status *from) MUST_CHECK;
int shm_remove(uint32_t id) MUST_CHECK;
/* Nothing is ever paged out: it is only told. */
int shm_set_locked(uint32_t id, bool locked) MUST_CHECK;

/* /proc/sysvipc/shm */
void shm_text(struct text *text);

/* Removes all segments, after the last process has gone. */
void shm_end(void);

#endif
