/*
 * SD cards as disks, behind block.h: mmcblk0, mmcblk1, ... A thread of its own does a disk's requests one after the other.
 *
 * What fails is done again a few times. While a card is out, all is -EIO. Once it is back, which the next request finds out, it can be
 * read; not written until the machine starts anew: what was written to it meanwhile nobody knows, and what we hold of its files would
 * spoil them. Another card in its place is -EIO, too.
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
	/* The thread's: */
	bool away;	      /* the card is out, since the last line about that */
	bool other;	      /* there is a line about another one */
	bool returned;	      /* it was out */
	uint64_t looked;      /* for it, at that moment */
	void *wanted;	      /* an event: there are requests */
	struct spinlock lock; /* RANK_BLOCK: guards what follows */
	struct list waiting;  /* oldest first */
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
