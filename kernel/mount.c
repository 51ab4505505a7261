/*
 * Mounts. Contract: mount.h.
 *
 * Where a mount is: under the name of a directory. In the tree that is an entry, whose node changes; on a volume there are no
 * entries, so one is made, which walks look for first (path.c). Either way the node that is covered is fixed meanwhile, so
 * that its name is neither removed nor moved, and so is the root of what is mounted.
 *
 * Locks: mounts.mutex over mounting, unmounting and whatever goes through all; outside of the volumes'. The tree's for names.
 */
#include "kernel/mount.h"

#include <stdio.h>
#include <string.h>

#include "firmware/boot.h"
#include "firmware/log.h"
#include "firmware/trap.h"
#include "kernel/blockdev.h"
#include "kernel/kthread.h"
#include "kernel/text.h"
#include "kernel/volume.h"
#include "lib/errno.h"
#include "mm/slab.h"

#define LINE_BYTES 256U
#define TIDY_NS	   UINT64_C(5000000000)

struct mount {
	struct list link;
	struct volume *volume;
	struct node *covered; /* counted */
	struct entry *entry;  /* what leads to the root */
	bool was_fixed;	      /* covered */
	bool made;	      /* entry was made for it */
};

static struct {
	struct mutex mutex;
	struct list all; /* the last one at the end [mutex] */
	struct wait_queue queue;
	_Atomic uint32_t wanted; /* a look at what was removed */
	bool has_thread;	 /* [mutex] */
} mounts;

/* ---- In the tree. */

static int cover_locked(struct mount *mount, struct node *at, struct node *root)
{
	struct entry *entry = at->entry;

	if (entry == NULL && at->up != NULL) {
		int error = at->links == 0 ? -ENOENT : tree_add_locked(at->up, at->name, strlen(at->name), root);

		mount->made = true;
		mount->entry = root->entry;
		return error;
	}
	if (entry == NULL || entry->node != at)
		return -EBUSY; /* the tree's root; or something is mounted on it */
	/* The entry's count of `at` is left to uncover_locked. */
	node_get(root);
	node_get(entry->directory);
	entry->node = root;
	root->entry = entry;
	root->directory.parent = entry->directory;
	mount->entry = entry;
	return 0;
}

/* From now on the entry counts the root, and mount->covered is counted by the mount. */
static int cover(struct mount *mount, struct node *at, struct node *root)
{
	int error;

	tree_enter();
	error = cover_locked(mount, at, root);
	if (error == 0) {
		mount->covered = at;
		mount->was_fixed = at->fixed;
		at->fixed = true;
		root->fixed = true;
	}
	tree_leave();
	return error;
}

/*
 * Nobody is in it, and nobody comes: whoever has a node counts its directory, and so the root, which only the volume and
 * the entry count here. A root that goes does not count its parent any more, which the caller puts.
 */
static int uncover(struct mount *mount, struct node **parent)
{
	struct node *root = &mount->volume->root->node;
	int error = 0;

	tree_enter();
	/* relaxed: who could raise it comes by the entry, under the lock */
	if (atomic_load_explicit(&root->count, memory_order_relaxed) != 2) {
		error = -EBUSY;
	} else {
		*parent = root->directory.parent;
		mount->covered->fixed = mount->was_fixed;
		if (mount->made)
			(void)tree_remove_locked(mount->entry);
		else
			mount->entry->node = mount->covered;
		if (!mount->made)
			node_get(mount->covered);
	}
	tree_leave();
	return error;
}

/* ---- Mounting. */

static bool is_mounted(const struct block_device *device)
{
	list_for_each (pos, &mounts.all) {
		const struct block_device *used = list_entry(pos, struct mount, link)->volume->disk.device;

		if (used == device || used->parent == device || device->parent == used)
			return true;
	}
	return false;
}

/* What programs have written to the disk itself is on it, and is read again. */
static int settle_disk(const struct block_device *device)
{
	struct blockdev *dev = blockdev_find(DEVICE(device->major, device->minor));
	int error;

	if (dev == NULL)
		return 0;
	error = cache_write_back(&dev->store, 0, UINT64_MAX);
	(void)object_evict(dev->store.object, 0, UINT64_MAX, UINT64_MAX, EVICT_USED);
	return error;
}

static void tidy(void *arg)
{
	uint64_t due = time_ns() + TIDY_NS;
	struct waiter waiter = { 0 };

	(void)arg;
	while (!kthread_should_stop()) {
		wait_prepare(&mounts.queue, &waiter);
		/* acquire: pairs with the release in volumes_wake */
		if (atomic_exchange_explicit(&mounts.wanted, 0, memory_order_acquire) == 0)
			(void)!wait_block(due);
		mutex_lock(&mounts.mutex);
		list_for_each (pos, &mounts.all)
			volume_tidy(list_entry(pos, struct mount, link)->volume, time_ns() >= due);
		mutex_unlock(&mounts.mutex);
		if (time_ns() >= due)
			due = time_ns() + TIDY_NS;
	}
	wait_finish(&mounts.queue, &waiter);
}

void volumes_wake(void)
{
	/* release: what made it worth a look comes first */
	atomic_store_explicit(&mounts.wanted, 1, memory_order_release);
	wake_all(&mounts.queue);
}

static int start_thread(void)
{
	int error = mounts.has_thread ? 0 : kthread_create(tidy, NULL, "volumes", NULL);

	mounts.has_thread = error == 0;
	return error;
}

static int mount_locked(struct block_device *device, struct node *at, bool read_only, const char **why)
{
	struct mount *mount = kalloc(sizeof(*mount));
	int error = mount == NULL ? -ENOMEM : start_thread();

	*why = "not enough memory";
	if (error == 0 && is_mounted(device)) {
		*why = "it is mounted already";
		error = -EBUSY;
	}
	if (error == 0) {
		*why = "it cannot be written";
		error = settle_disk(device);
	}
	if (error == 0)
		error = volume_mount(device, read_only, &mount->volume, why);
	if (error != 0) {
		kfree(mount);
		return error;
	}
	node_get(at);
	error = cover(mount, at, &mount->volume->root->node);
	if (error == 0) {
		if (!mount->made)
			node_put(at); /* the entry's is ours now */
		list_add_tail(&mounts.all, &mount->link);
		return 0;
	}
	*why = "something is mounted there already";
	node_put(at);
	(void)!volume_unmount(mount->volume);
	kfree(mount);
	return error;
}

int mount_disk(struct block_device *device, struct node *at, bool read_only, const char **why)
{
	int error;

	*why = "its place is not a directory";
	if (!node_is(at, S_IFDIR))
		return -ENOTDIR;
	mutex_lock(&mounts.mutex);
	error = mount_locked(device, at, read_only, why);
	mutex_unlock(&mounts.mutex);
	return error;
}

static struct mount *find_mount(const struct node *root)
{
	list_for_each (pos, &mounts.all) {
		struct mount *mount = list_entry(pos, struct mount, link);

		if (&mount->volume->root->node == root)
			return mount;
	}
	return NULL;
}

/* False: it is in use, and stays. *result: what of it could not be written. [mutex] */
static bool remove_mount(struct mount *mount, bool end, int *result)
{
	struct volume *volume = mount->volume;
	struct block_device *device = volume->disk.device;
	struct node *parent;

	volume_settle(volume, end);
	if (uncover(mount, &parent) != 0)
		return false;
	list_del(&mount->link);
	*result = volume_unmount(volume);
	if (*result != 0)
		klog("%s: not everything could be written at the end (error %d)", device->name, -*result);
	node_put(parent);
	node_put(mount->covered);
	kfree(mount);
	return true;
}

int mount_remove(struct node *root)
{
	struct mount *mount;
	int error = 0;

	mutex_lock(&mounts.mutex);
	mount = find_mount(root);
	node_put(root);
	if (mount == NULL)
		error = -EINVAL;
	else if (!remove_mount(mount, false, &error))
		error = -EBUSY;
	mutex_unlock(&mounts.mutex);
	return error;
}

void mounts_sync(void)
{
	mutex_lock(&mounts.mutex);
	list_for_each (pos, &mounts.all) {
		struct volume *volume = list_entry(pos, struct mount, link)->volume;
		int error = volume_sync(volume);

		if (error != 0)
			klog("%s: sync failed (error %d)", volume->disk.device->name, -error);
	}
	mutex_unlock(&mounts.mutex);
}

/* What would end a word or a line as \ooo. */
static void put_path(struct text *text, const char *path)
{
	for (; *path != 0; path++)
		text_put(text, strchr(" \t\n\\", *path) != NULL ? "\\%03o" : "%c", (unsigned char)*path);
}

void mounts_text(struct text *text)
{
	char *path = kalloc(PATH_MAX);

	text_put(text,
		 "tmpfs / tmpfs rw 0 0\nproc /proc proc rw 0 0\nsysfs /sys sysfs rw 0 0\ntmpfs /dev tmpfs rw 0 0\n");
	mutex_lock(&mounts.mutex);
	list_for_each (pos, &mounts.all) {
		const struct volume *volume = list_entry(pos, struct mount, link)->volume;

		if (path == NULL || node_path(&volume->root->node, path, PATH_MAX) <= 0)
			continue;
		text_put(text, "/dev/%s ", volume->disk.device->name);
		put_path(text, path);
		text_put(text, " vfat %s 0 0\n", volume->read_only ? "ro" : "rw");
	}
	mutex_unlock(&mounts.mutex);
	kfree(path);
}

/* ---- At boot and at the end. */

/* Makes what is missing of the path, whose names end where it has zeros for slashes; *out: what is there; *made: it was not. */
static int make_place(char *path, struct node **out, bool *made)
{
	struct node *root = node_root();
	int error = 0;

	for (char *at = path + 1; error == 0 && *at != 0;) {
		char *end = at + strcspn(at, "/");
		char kept = *end;
		struct node *fresh;
		struct walk walk;
		bool walked;

		*end = 0;
		error = path_walk(root, path, WALK_CREATE | WALK_FOLLOW, &walk);
		walked = error == 0;
		*made = walked && walk.node == NULL;
		if (*made) {
			error = node_create(S_IFDIR | 0755U, &fresh);
			if (error == 0) {
				error = walk_add(&walk, fresh);
				node_put(fresh);
			}
		}
		if (walked)
			walk_done(&walk);
		*end = kept;
		at = end + strspn(end, "/");
	}
	if (error == 0)
		error = path_lookup(root, path, WALK_FOLLOW, out);
	node_put(root);
	return error;
}

/* Nothing was mounted there: a program that wants to write to the disk is not to write to memory instead. */
static void unmake_place(struct node *at)
{
	struct node *node = NULL;

	tree_enter();
	if (at->entry != NULL)
		node = tree_remove_locked(at->entry);
	tree_leave();
	node_put(node);
}

/* Of a disk with partitions: the first one for FAT, or else the first. */
static struct block_device *find_disk(const char *name)
{
	struct block_device *disk = block_find(name), *found = NULL;

	for (struct block_device *part = block_next(NULL); part != NULL; part = block_next(part))
		if (part->parent != NULL && part->parent == disk && (found == NULL || (part->fat && !found->fat)))
			found = part;
	return found != NULL ? found : disk;
}

static int mount_path(const char *name, char *path, const char **used, const char **why)
{
	struct block_device *device = find_disk(name);
	bool made = false;
	struct node *at;
	int error;

	*why = "there is no such disk or partition";
	if (device == NULL)
		return -ENXIO;
	*used = device->name;
	*why = "its place cannot be made";
	error = make_place(path, &at, &made);
	if (error != 0)
		return error;
	error = mount_disk(device, at, false, why);
	if (error != 0 && device->table_error != NULL)
		*why = device->table_error;
	if (error != 0 && made)
		unmake_place(at);
	node_put(at);
	return error;
}

/* word: DISK:PATH */
static void mount_word(char *word, void (*say)(const char *line))
{
	char *colon = strchr(word, ':');
	const char *why = "it must be DISK:PATH, the path from / on";
	const char *used = word;
	char line[LINE_BYTES];
	int error = -EINVAL;

	if (colon != NULL && colon[1] == '/') {
		*colon = 0;
		error = mount_path(word, colon + 1, &used, &why);
	}
	if (error == 0) {
		klog("mount: %s at %s", used, colon + 1);
		return;
	}
	snprintf(line, sizeof(line), "cannot mount %s%s%s: %s", used, colon == NULL ? "" : " at ",
		 colon == NULL ? "" : colon + 1, why);
	klog("%s", line);
	say(line);
}

void mounts_init(void (*say)(const char *line))
{
	const char *value = boot_arg("mount");
	char *words, *next;

	mutex_init(&mounts.mutex, MUTEX_MOUNTS);
	list_init(&mounts.all);
	wait_queue_init(&mounts.queue);
	if (value == NULL)
		return;
	words = kalloc(strlen(value) + 1);
	CHECK(words != NULL); /* as for all else at boot */
	memcpy(words, value, strlen(value) + 1);
	for (char *word = words; word != NULL; word = next) {
		next = strchr(word, ',');
		if (next != NULL)
			*next++ = 0;
		mount_word(word, say);
	}
	kfree(words);
}

void mounts_end(void)
{
	bool any = true;
	int error;

	mutex_lock(&mounts.mutex);
	/* Those on other volumes go before these. */
	while (any && !list_empty(&mounts.all))
		any = remove_mount(list_entry(mounts.all.prev, struct mount, link), true, &error);
	mutex_unlock(&mounts.mutex);
}
