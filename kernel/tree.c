/*
 * The file tree: names, directories. What nodes are by themselves: node.c.
 *
 * Invariants: a directory has one name, the root none; every directory but the root counts its parent, and its parent's
 * entry counts it, until rmdir undoes both; node->links is the number of entries that name it (directories: 2 + their
 * subdirectories). Names in a directory are unique: the hash finds them, the list keeps their order, and cookies rise along the list,
 * so that getdents goes on where it was whatever was made or removed meanwhile.
 *
 * Locks: one for all (tree_enter, RANK_FILE). Memory is allocated under it; nodes are put outside of it, because the last
 * count may give an object back. A walk under it is bounded by PATH_MAX and LINKS_MAX.
 */
#include "kernel/tree.h"

#include <string.h>

#include "lib/errno.h"
#include "mm/slab.h"

#define BUCKETS_START 8U

static struct {
	struct spinlock lock;
	struct node *root;
} tree;

void tree_enter(void)
{
	spin_lock(&tree.lock, RANK_FILE);
}

void tree_leave(void)
{
	spin_unlock(&tree.lock, RANK_FILE);
}

struct node *node_root(void)
{
	node_get(tree.root);
	return tree.root;
}

static uint32_t name_hash(const char *name, size_t bytes)
{
	uint32_t hash = 2166136261U; /* FNV-1a */

	for (size_t i = 0; i < bytes; i++)
		hash = (hash ^ (uint8_t)name[i]) * 16777619U;
	return hash;
}

struct entry *tree_find_locked(struct node *directory, const char *name, size_t bytes)
{
	struct node_directory *dir = &directory->directory;
	uint32_t hash = name_hash(name, bytes);
	struct entry *entry;

	ASSERT(spin_is_held(&tree.lock));
	if (dir->buckets == 0)
		return NULL;
	for (entry = dir->bucket[hash & (dir->buckets - 1)]; entry != NULL; entry = entry->chain) {
		if (entry->hash == hash && entry->name_bytes == bytes && memcmp(entry->name, name, bytes) == 0)
			return entry;
	}
	return NULL;
}

static void bucket_add(struct node_directory *dir, struct entry *entry)
{
	struct entry **bucket = &dir->bucket[entry->hash & (dir->buckets - 1)];

	entry->chain = *bucket;
	*bucket = entry;
}

/* Keeps chains at two entries on average. Without memory they get longer, unless there is no table at all. */
static int directory_grow(struct node_directory *dir)
{
	uint32_t buckets = MAX(dir->buckets * 2, BUCKETS_START);
	struct entry **bucket;

	if (dir->buckets != 0 && dir->count < dir->buckets * 2)
		return 0;
	bucket = kalloc(buckets * sizeof(struct entry *));
	if (bucket == NULL)
		return dir->buckets == 0 ? -ENOMEM : 0;
	kfree(dir->bucket);
	dir->bucket = bucket;
	dir->buckets = buckets;
	list_for_each (pos, &dir->entries)
		bucket_add(dir, list_entry(pos, struct entry, link));
	return 0;
}

static struct entry *entry_create(const char *name, size_t bytes)
{
	struct entry *entry = kalloc(sizeof(*entry) + bytes + 1);

	if (entry == NULL)
		return NULL;
	entry->hash = name_hash(name, bytes);
	entry->name_bytes = (uint32_t)bytes;
	memcpy(entry->name, name, bytes);
	return entry;
}

static void entry_link(struct node *directory, struct entry *entry, struct node *node)
{
	struct node_directory *dir = &directory->directory;

	entry->directory = directory;
	entry->node = node;
	entry->cookie = dir->next_cookie++;
	list_add_tail(&dir->entries, &entry->link);
	bucket_add(dir, entry);
	dir->count++;
	node_stamp(directory);
	node->entry = entry;
	if (node_is(node, S_IFDIR)) {
		node_get(directory);
		node->directory.parent = directory;
		directory->links++;
	} else {
		node->links++;
	}
}

int tree_add_locked(struct node *directory, const char *name, size_t bytes, struct node *node)
{
	struct entry *entry;
	int error;

	ASSERT(spin_is_held(&tree.lock));
	if (directory->directory.removed || directory->closed)
		return -ENOENT;
	if (tree_find_locked(directory, name, bytes) != NULL)
		return -EEXIST;
	error = directory_grow(&directory->directory);
	if (error != 0)
		return error;
	entry = entry_create(name, bytes);
	if (entry == NULL)
		return -ENOMEM;
	node_get(node);
	if (node->links != 0 && !node_is(node, S_IFDIR))
		node_stamp_change(node);
	entry_link(directory, entry, node);
	return 0;
}

static void entry_unlink(struct entry *entry)
{
	struct node *directory = entry->directory;
	struct node_directory *dir = &directory->directory;
	struct entry **at = &dir->bucket[entry->hash & (dir->buckets - 1)];

	if (dir->found == entry)
		dir->found =
			entry->link.next == &dir->entries ? NULL : list_entry(entry->link.next, struct entry, link);
	while (*at != entry)
		at = &(*at)->chain;
	*at = entry->chain;
	list_del(&entry->link);
	dir->count--;
	node_stamp(directory);
	if (entry->node->entry == entry)
		entry->node->entry = NULL;
	if (node_is(entry->node, S_IFDIR))
		directory->links--;
	else
		entry->node->links--;
}

/* A removed directory keeps its parent, so that ".." still leads somewhere for those who are in it. */
struct node *tree_remove_locked(struct entry *entry)
{
	struct node *node = entry->node;

	ASSERT(spin_is_held(&tree.lock));
	entry_unlink(entry);
	node_stamp_change(node);
	if (node_is(node, S_IFDIR)) {
		node->directory.removed = true;
		node->links = 0;
	}
	kfree(entry);
	return node;
}

int tree_rename_locked(struct entry *entry, struct node *directory, const char *name, size_t bytes, struct node **old)
{
	struct entry *there = tree_find_locked(directory, name, bytes);
	struct entry *fresh = entry_create(name, bytes);
	struct node *node = entry->node;
	struct node *before = node_is(node, S_IFDIR) ? node->directory.parent : NULL;
	int error = fresh == NULL ? -ENOMEM : directory_grow(&directory->directory);

	if (error == 0 && directory->directory.removed)
		error = -ENOENT;
	if (error != 0) {
		kfree(fresh);
		return error;
	}
	*old = there == NULL ? NULL : tree_remove_locked(there);
	entry_unlink(entry);
	kfree(entry);
	entry_link(directory, fresh, node);
	node_stamp_change(node);
	/* The old parent is alive: its own name or a removed one's holders count it, and the caller's walk does. */
	if (before != NULL) {
		uint32_t count = atomic_fetch_sub_explicit(&before->count, 1, memory_order_relaxed);

		CHECK(count > 1);
	}
	return 0;
}

/*
 * From where the last one was found, forwards or backwards: whoever reads a directory comes back for what stands behind. Where many
 * read it at once, each finds his place anew once for each of his calls.
 */
struct entry *tree_next_locked(struct node *directory, uint64_t cookie)
{
	struct node_directory *dir = &directory->directory;
	struct list *at = dir->found != NULL ? &dir->found->link : dir->entries.next;

	ASSERT(spin_is_held(&tree.lock));
	if (list_empty(&dir->entries) || list_entry(dir->entries.prev, struct entry, link)->cookie < cookie)
		return NULL;
	while (at->prev != &dir->entries && list_entry(at->prev, struct entry, link)->cookie >= cookie)
		at = at->prev;
	while (list_entry(at, struct entry, link)->cookie < cookie)
		at = at->next;
	dir->found = list_entry(at, struct entry, link);
	return dir->found;
}

int tree_init(void)
{
	int error;

	spin_init(&tree.lock);
	error = node_create(S_IFDIR | 0755U, &tree.root);
	if (error == 0)
		tree.root->directory.parent = tree.root; /* not counted: it never goes */
	return error;
}

/* Deepest first, without recursion: the tree may be deeper than the stack. */
void files_end(void)
{
	struct node *directory = tree.root;

	while (directory != tree.root || !list_empty(&directory->directory.entries)) {
		struct entry *entry = directory->entry;
		struct node *gone;

		if (!list_empty(&directory->directory.entries)) {
			entry = list_first(&directory->directory.entries, struct entry, link);
			if (node_is(entry->node, S_IFDIR) && !list_empty(&entry->node->directory.entries)) {
				directory = entry->node;
				continue;
			}
		} else {
			directory = directory->directory.parent;
		}
		tree_enter();
		gone = tree_remove_locked(entry);
		tree_leave();
		node_put(gone);
	}
	node_put(tree.root);
}

static struct node *node_up(struct node *node)
{
	if (node == tree.root)
		return NULL;
	if (node->up != NULL)
		return node->links == 0 ? NULL : node->up;
	if (node_is(node, S_IFDIR))
		return node->directory.removed ? NULL : node->directory.parent;
	return node->entry == NULL ? NULL : node->entry->directory;
}

/* Builds the path from its end, then moves it to the front. */
static int64_t node_path_locked(struct node *node, char *buffer, uint64_t bytes)
{
	uint64_t at = bytes;

	if (bytes < 2)
		return -ERANGE;
	buffer[--at] = 0;
	if (node == tree.root)
		buffer[--at] = '/';
	while (node != tree.root) {
		struct node *up = node_up(node);
		const char *name = node->entry != NULL	? node->entry->name
				   : node->name != NULL ? node->name
							: node->label;
		uint64_t n = strlen(name);

		if (up == NULL)
			return -ENOENT;
		if (at < n + 1)
			return -ERANGE;
		at -= n;
		memcpy(buffer + at, name, n);
		buffer[--at] = '/';
		node = up;
	}
	memmove(buffer, buffer + at, bytes - at);
	return (int64_t)(bytes - at);
}

int64_t node_path(struct node *node, char *buffer, uint64_t bytes)
{
	int64_t n;

	tree_enter();
	n = node_path_locked(node, buffer, bytes);
	tree_leave();
	return n;
}

/* The directory that name lies in, made as needed: from `at`, whose count is taken over, to *out. */
static int place_directory(struct node *at, const char *name, size_t bytes, struct node **out)
{
	struct entry *entry;
	struct node *fresh;
	int error = node_create(S_IFDIR | 0755U, &fresh);

	if (error != 0) {
		node_put(at);
		return error;
	}
	tree_enter();
	entry = tree_find_locked(at, name, bytes);
	if (entry == NULL)
		error = tree_add_locked(at, name, bytes, fresh);
	else if (!node_is(entry->node, S_IFDIR))
		error = -ENOTDIR;
	*out = entry == NULL ? fresh : entry->node;
	if (error == 0)
		node_get(*out);
	tree_leave();
	node_put(fresh);
	node_put(at);
	return error;
}

int tree_place(const char *path, struct node *node)
{
	struct node *at = node_root();
	int error = 0;

	for (;;) {
		size_t bytes;

		path += strspn(path, "/");
		bytes = strcspn(path, "/");
		if (path[bytes] == 0) {
			tree_enter();
			error = tree_add_locked(at, path, bytes, node);
			tree_leave();
			node_put(at);
			return error;
		}
		error = place_directory(at, path, bytes, &at);
		if (error != 0)
			return error;
		path += bytes;
	}
}
