/*
 * What is mounted where: volumes on disks, by the boot argument mount= and by mount(2).
 *
 * A mount takes the place of a directory's node under the directory's name, so walks meet its root without looking for it; the
 * node that was there is kept, with whoever stands in it, and has its name again afterwards.
 */
#ifndef KERNEL_MOUNT_H
#define KERNEL_MOUNT_H

#include "drivers/block.h"
#include "lib/types.h"

struct node;
struct text;

/* Boot argument mount=DISK:PATH,...; says in one line what cannot be mounted. say: that line, to the user. */
void mounts_init(void (*say)(const char *line));
/* All is written back, volumes are marked clean. When no process is left, before the tree goes. */
void mounts_end(void);

/* 0; -EBUSY: the disk is mounted already, or `at` is the tree's root; -ENOTDIR; or what volume_mount says, with *why. */
int mount_disk(struct block_device *device, struct node *at, bool read_only, const char **why) MUST_CHECK;
/* root: a mounted volume's, whose count is taken over. -EINVAL: it is none; -EBUSY: it is in use. */
int mount_remove(struct node *root) MUST_CHECK;

/* All that volumes know is on their disks. */
void mounts_sync(void);
/* As /proc/mounts has it. */
void mounts_text(struct text *text);

#endif
