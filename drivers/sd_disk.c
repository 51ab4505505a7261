/*
 * SD cards behind block.h. Contract: sd_disk.h.
 *
 * A request is on `waiting`, or it is the one that the thread has. Nothing waits longer than the card's own limits allow, a
 * few times over (sd_link.c), so no watch is needed.
 *
 * Lock: disk->lock. Memory order: what the card wrote is there before block_done; the queue's lock takes requests over.
 */
#include "drivers/sd_disk.h"

#include "firmware/log.h"
#include "lib/errno.h"

#define TRIES	     3U
#define SEGMENTS_MAX 128U
#define SECTORS_MAX  1024U /* 0.2 s at 20 MHz, in which others wait */

static struct sd_disk *disk_of(struct block_device *device)
{
	return container_of(device, struct sd_disk, block);
}

static void submit(struct block_device *device, struct block_request *request)
{
	struct sd_disk *disk = disk_of(device);
	bool dead;

	spin_lock(&disk->lock, RANK_BLOCK);
	dead = disk->dead;
	if (!dead)
		list_add_tail(&disk->waiting, &request->link);
	spin_unlock(&disk->lock, RANK_BLOCK);
	if (dead)
		block_done(request, -EIO);
	else
		disk->events->signal(disk->wanted);
}

static struct block_request *take(struct sd_disk *disk)
{
	struct block_request *request = NULL;

	spin_lock(&disk->lock, RANK_BLOCK);
	if (!list_empty(&disk->waiting)) {
		request = list_first(&disk->waiting, struct block_request, link);
		list_del(&request->link);
	}
	spin_unlock(&disk->lock, RANK_BLOCK);
	return request;
}

/* No more requests come from here on; those that wait are answered by the thread. */
static void die(struct sd_disk *disk)
{
	klog("%s: the card does not answer, or is not the same any more: the disk is out of use", disk->block.name);
	spin_lock(&disk->lock, RANK_BLOCK);
	disk->dead = true;
	spin_unlock(&disk->lock, RANK_BLOCK);
}

static int serve(struct sd_disk *disk, const struct block_request *request)
{
	bool write = request->op == BLOCK_WRITE;
	int error = -EIO;

	for (unsigned i = 0; i < TRIES && error == -EIO; i++)
		error = sd_card_transfer(&disk->card, write, request->sector, request->segments, request->count);
	if (error == -ENODEV)
		die(disk);
	else if (error != 0)
		klog("%s: sector %lu: %s fails", disk->block.name, (unsigned long)request->sector,
		     write ? "writing" : "reading");
	return error == 0 ? 0 : -EIO;
}

void sd_disk_work(struct sd_disk *disk)
{
	struct block_request *request;

	/* dead: only this thread sets it */
	while ((request = take(disk)) != NULL)
		block_done(request, disk->dead ? -EIO : serve(disk, request));
}

void sd_disk_run(struct sd_disk *disk)
{
	for (;;) {
		sd_disk_work(disk);
		disk->events->wait(disk->wanted, UINT64_MAX);
	}
}

int sd_disk_start(struct sd_disk *disk)
{
	static const struct block_ops ops = { .submit = submit };
	struct sd_card *card = &disk->card;
	const char *why;
	int error = sd_card_start(card, &why);

	spin_init(&disk->lock);
	list_init(&disk->waiting);
	if (error == -ENODEV)
		klog("%s: no card in the slot", disk->block.name);
	else if (error != 0)
		klog("%s: the card cannot be used: %s", disk->block.name, why);
	if (error != 0)
		return error;
	disk->block.ops = &ops;
	disk->block.sectors = card->sectors;
	disk->block.block_bytes = disk->block.physical_bytes = SECTOR_BYTES;
	disk->block.max_segments = SEGMENTS_MAX;
	disk->block.max_sectors = SECTORS_MAX;
	disk->block.read_only = card->read_only;
	/* one at a time, that is all it ever has */
	atomic_store_explicit(&disk->block.counts.most_at_once, 1, memory_order_relaxed);
	klog("%s: %lu MiB, %s card %s, serial %08x, %u kHz%s", disk->block.name, (unsigned long)(card->sectors >> 11),
	     card->by_sectors ? "SDHC" : "SD", card->name, (unsigned)card->serial, (unsigned)(card->hz / 1000),
	     card->read_only ? ", read-only" : "");
	return 0;
}
