/*
 * Block devices: asynchronous requests for whole sectors of 512 bytes, in physical memory.
 *
 * A request belongs to its caller until block_submit, to the device until done(), and to the caller again when done() is
 * called; done() may free it or submit it again. It is called exactly once, with 0 or -EIO, whatever the device does:
 * one that never answers is taken out of use after a while, and what it had is answered -EIO.
 *
 * - block_submit never blocks: what the device has no room for waits in the driver. It may be called with any lock of lower
 *   rank than RANK_BLOCK held, from done(), and from interrupt dispatch.
 * - done() runs with no lock of the driver's held: in interrupt dispatch on the hart that takes the device's interrupt
 *   (the PLIC's target), in a timer's on any hart, or within block_submit on the caller's hart, with the caller's locks. So a
 *   caller holds none that its done() takes. done() may take locks from RANK_WAIT on (so wake a queue), and must be short.
 * - Memory order: what the caller wrote before block_submit the device reads; what the device wrote is seen by done().
 *   done() runs after the device is through with the memory: it may be reused at once. Where a device could not be stopped,
 *   its requests' memory is kept from reuse (block_hooks.keep), so this holds then, too.
 * - Requests under way at once are done in any order, and writes become durable in any order; READ and WRITE of the same
 *   sector at once is the caller's error. FLUSH: all writes that were *done* before it was submitted are durable when it is
 *   done. A device without has_flush has no volatile cache: FLUSH is done at once.
 * - A failed request may have been carried out in part. The device stays in use, unless it is dead: then all are -EIO.
 */
#ifndef DRIVERS_BLOCK_H
#define DRIVERS_BLOCK_H

#include <stdatomic.h>

#include "lib/list.h"
#include "lib/types.h"

#define SECTOR_BYTES	 512U
#define BLOCK_NAME_BYTES 16U

enum block_op { BLOCK_READ, BLOCK_WRITE, BLOCK_FLUSH };

/* start and bytes: multiples of SECTOR_BYTES, bytes not 0. All of it is RAM. */
struct block_segment {
	paddr_t start;
	uint32_t bytes;
};

struct block_request {
	/* The caller's; the device does not change them, but for sector, which a partition adds its start to. */
	enum block_op op;
	uint64_t sector;
	const struct block_segment *segments; /* stays until done(); FLUSH: none */
	uint32_t count;			      /* of segments, at most device->max_segments */
	void (*done)(struct block_request *request, int error);
	void *arg; /* for done() */
	/* The device's. */
	struct block_device *device;
	struct block_device *part; /* that it was submitted to: device, or a partition of it */
	struct list link;
	uint64_t due;
	uint64_t since; /* nanoseconds, as block_hooks.now has them */
	uint64_t bytes;
	int error;
};

/* What a device has done: kernel/proc_disk.c shows it. A disk's has its partitions' in it. */
struct block_counts {
	/* by enum block_op */
	_Atomic uint64_t requests[3], sectors[3], ns[3];
	_Atomic uint64_t failed;
	_Atomic uint64_t busy_ns;      /* while there was at least one */
	_Atomic uint64_t busy_until;   /* busy_ns is up to date till then */
	_Atomic uint32_t under_way;    /* submitted, and not done */
	_Atomic uint32_t most_at_once; /* that the device itself ever had; the driver's */
};

struct block_device;

struct block_ops {
	/* Takes the request, which has been checked; answers by block_done, now or later. */
	void (*submit)(struct block_device *device, struct block_request *request);
	/* Once in BLOCK_TICK_NS while requests are pending: answers for a device that does not. Absent: it always answers. */
	void (*tick)(struct block_device *device);
};

#define BLOCK_TICK_NS UINT64_C(1000000000)

struct block_device {
	/* Set before block_register, and never changed. */
	char name[BLOCK_NAME_BYTES]; /* vda, ram0, vda1 */
	uint32_t major, minor;	     /* Linux's numbers */
	const struct block_ops *ops;
	uint64_t sectors;
	uint32_t
		block_bytes; /* the unit of requests: sector and all bytes of one are multiples of it; a power of two */
	uint32_t physical_bytes; /* the unit that the medium writes; at least block_bytes */
	uint32_t max_segments;	 /* of a request; at least 1 */
	uint32_t max_sectors;	 /* of a request; at least block_bytes' worth */
	bool read_only;		 /* WRITE is -EIO */
	bool has_flush;
	bool blank;		     /* all zeros at boot: there is nothing to look for */
	struct block_device *parent; /* a partition's disk; NULL: a device of its own */
	uint64_t start;		     /* a partition's first sector */
	bool fat;		     /* a partition that its table says is one for FAT */
	const char *table_error; /* what is wrong with a disk's partition table, by who looked at boot; NULL: nothing */
	/* block.c's. */
	struct block_device *_Atomic next;
	_Atomic uint32_t pending; /* submitted and not done */
	_Atomic uint32_t watched;
	struct block_counts counts;
};

/* Checks the request (its range, segments and sizes; if they are wrong: done(-EIO), as the caller is wrong) and submits it. */
void block_submit(struct block_device *device, struct block_request *request);

/* ---- The registry: filled by one hart at a time, at boot; nothing is ever taken out, so looking needs no lock. */

void block_register(struct block_device *device);
struct block_device *block_find(const char *name);	      /* NULL: there is none */
struct block_device *block_next(struct block_device *device); /* NULL: the first; NULL when there are no more */

/* Fills in a partition, number >= 1, of a disk: name, numbers, limits. The caller registers it. -EINVAL: it does not fit. */
int block_partition(struct block_device *part, struct block_device *disk, unsigned number, uint64_t start,
		    uint64_t sectors) MUST_CHECK;

/* ---- For drivers, and what they need of the kernel. */

/* Ends a request that ops->submit took. No lock of the driver's held; the request may be gone when it returns. */
void block_done(struct block_request *request, int error);
/* Before that, where the device may still read or write the request's memory. */
void block_keep(const struct block_request *request);

struct block_hooks {
	/* Calls block_watch(device) BLOCK_TICK_NS from now, and again as long as it returns true. */
	void (*watch)(struct block_device *device);
	/* The device may still write to this memory: it is not to be reused, ever. */
	void (*keep)(paddr_t start, uint64_t bytes);
	/* Nanoseconds since some moment. */
	uint64_t (*now)(void);
};

void block_set_hooks(const struct block_hooks *hooks);
bool block_watch(struct block_device *device);

#endif
