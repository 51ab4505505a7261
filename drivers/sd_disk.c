/*
 * SD cards behind block.h. Contract: sd_disk.h.
 *
 * A request is on `waiting`, or it is the one that the thread has. Nothing waits longer than the card's own limits allow, a
 * few times over (sd_link.c), so no watch is needed.
 *
 * Lock: disk->lock. Memory order: what the card wrote is there before block_done; the queue's lock takes requests over.
 */
#include "drivers/sd_disk.h"

#include <string.h>

#include "firmware/log.h"
#include "lib/errno.h"

#define TRIES	      3U
#define LOOK_EVERY_NS UINT64_C(500000000)
#define SEGMENTS_MAX  128U
#define SECTORS_MAX   1024U /* 0.2 s at 20 MHz, in which others wait */

static struct sd_disk *disk_of(struct block_device *device)
{
	return container_of(device, struct sd_disk, block);
}

static void submit(struct block_device *device, struct block_request *request)
{
	struct sd_disk *disk = disk_of(device);

	spin_lock(&disk->lock, RANK_BLOCK);
	list_add_tail(&disk->waiting, &request->link);
	spin_unlock(&disk->lock, RANK_BLOCK);
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

static void lose(struct sd_disk *disk)
{
	klog("%s: the card does not answer, or is not the same any more: EIO until it is back", disk->block.name);
	disk->away = true;
	disk->other = false;
}

static bool same_card(const struct sd_card *a, const struct sd_card *b)
{
	return memcmp(a->id, b->id, sizeof(a->id)) == 0 && a->sectors == b->sectors && a->by_sectors == b->by_sectors;
}

/* Whether it is back. Waking a card takes its time, and finding out that there is none, too: not at each request. */
static bool look(struct sd_disk *disk)
{
	uint64_t now = disk->card.link.bus->ops->now(disk->card.link.bus);
	struct sd_card was = disk->card;
	const char *why;
	int error;

	if (now - disk->looked < LOOK_EVERY_NS)
		return false;
	error = sd_card_start(&disk->card, &why);
	if (error == 0 && same_card(&was, &disk->card)) {
		klog("%s: the card is back: it can be read; not written until the next boot, as nobody knows what was done to it",
		     disk->block.name);
		disk->away = false;
		disk->returned = true;
		return true;
	}
	if (error == 0 && !disk->other) {
		klog("%s: another card: EIO until the one that was there is back", disk->block.name);
		disk->other = true;
	}
	disk->card = was;
	disk->looked = disk->card.link.bus->ops->now(disk->card.link.bus);
	return false;
}

static int serve(struct sd_disk *disk, const struct block_request *request)
{
	bool write = request->op == BLOCK_WRITE;
	int error = -EIO;

	if ((disk->away && !look(disk)) || (write && disk->returned))
		return -EIO;
	for (unsigned i = 0; i < TRIES && error == -EIO; i++)
		error = sd_card_transfer(&disk->card, write, request->sector, request->segments, request->count);
	if (error == -ENODEV)
		lose(disk);
	else if (error != 0)
		klog("%s: sector %lu: %s fails", disk->block.name, (unsigned long)request->sector,
		     write ? "writing" : "reading");
	return error == 0 ? 0 : -EIO;
}

void sd_disk_work(struct sd_disk *disk)
{
	struct block_request *request;

	while ((request = take(disk)) != NULL)
		block_done(request, serve(disk, request));
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
