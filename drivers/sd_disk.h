/*
 * SD cards as disks, behind block.h: mmcblk0, mmcblk1, ... A thread of its own does a disk's requests one after the other.
 *
 * What fails is done again a few times. A card that was taken out, or has lost its supply, is out of use until the machine
 * starts anew, also if it is put back: what was written to it meanwhile nobody knows.
 */
#ifndef DRIVERS_SD_DISK_H
#define DRIVERS_SD_DISK_H

#include "drivers/block.h"
#include "drivers/event.h"
#include "drivers/sd_card.h"
#include "lib/lock.h"

struct sd_disk {
	struct block_device block;
	struct sd_card card; /* the thread's */
	const struct event_ops *events;
	void *wanted;	      /* an event: there are requests */
	struct spinlock lock; /* RANK_BLOCK: guards what follows */
	struct list waiting;  /* oldest first */
	bool dead;
};

/*
 * Wakes up the card and fills in disk->block but for name and numbers. Before: block.name, card.link.bus, card.slot_hz,
 * events. On the thread. 0; or -ENODEV, -EIO, with a line that says why, and the slot stays empty.
 */
int sd_disk_start(struct sd_disk *disk) MUST_CHECK;
/* Does all requests that wait. On the thread; never returns from the other one. */
void sd_disk_work(struct sd_disk *disk);
_Noreturn void sd_disk_run(struct sd_disk *disk);

/*
 * sd.c: finds the slots (mmc-spi-slot on a sifive,spi0), starts the cards in them, and registers them, with a line each. memory
 * as in virtio_blk.h. Once, at boot, after plic_probe; sleeps until all cards have answered.
 */
void sd_probe(const void *fdt, const struct event_ops *events, void *(*memory)(uint64_t bytes));

#endif
