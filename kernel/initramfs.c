/*
 * The tree as the initramfs describes it. Runs once, at boot, on one hart.
 *
 * Names are taken as Linux takes them: relative to the root, "." for the root itself, directories before what is in them; a later
 * entry of the same name takes the place of an earlier one, unless one of the two is a directory. Names with "..", and
 * parents that are missing or are no directories, are refused: one line names the entry. Hard links (several names of one
 * inode, the content with any one of them) are put together through a table of the links seen so far.
 */
#include <string.h>

#include "firmware/boot.h"
#include "kernel/cpio.h"
#include "kernel/tree.h"
#include "lib/errno.h"
#include "mm/slab.h"

#define LINK_BUCKETS 256U

struct hard_link {
	struct hard_link *next;
	struct cpio_entry first; /* tells which inode */
	struct node *node;	 /* counted */
};

struct loader {
	struct cpio cpio;
	struct cpio_entry entry;
	struct hard_link **links;
	const char *problem;
};

static struct hard_link **link_bucket(struct loader *loader)
{
	return &loader->links[(loader->entry.inode ^ (loader->entry.dev_minor << 4)) % LINK_BUCKETS];
}

static struct node *link_find(struct loader *loader)
{
	const struct cpio_entry *e = &loader->entry;

	for (struct hard_link *link = *link_bucket(loader); link != NULL; link = link->next) {
		if (link->first.inode == e->inode && link->first.dev_major == e->dev_major &&
		    link->first.dev_minor == e->dev_minor)
			return link->node;
	}
	return NULL;
}

static int link_note(struct loader *loader, struct node *node)
{
	struct hard_link *link = kalloc(sizeof(*link));

	if (link == NULL)
		return -ENOMEM;
	link->first = loader->entry;
	link->node = node;
	node_get(node);
	link->next = *link_bucket(loader);
	*link_bucket(loader) = link;
	return 0;
}

static void links_free(struct loader *loader)
{
	for (unsigned i = 0; loader->links != NULL && i < LINK_BUCKETS; i++) {
		while (loader->links[i] != NULL) {
			struct hard_link *link = loader->links[i];

			loader->links[i] = link->next;
			node_put(link->node);
			kfree(link);
		}
	}
	kfree(loader->links);
}

static int load_refuse(struct loader *loader, const char *problem)
{
	loader->problem = problem;
	return -EINVAL;
}

static void node_set(struct node *node, const struct cpio_entry *entry)
{
	node->mode = (node->mode & S_IFMT) | (entry->mode & 07777U);
	node->uid = entry->uid;
	node->gid = entry->gid;
	node_set_times(node, (uint64_t)entry->mtime * 1000000000U, (uint64_t)entry->mtime * 1000000000U);
}

static int load_regular(struct loader *loader, struct node **out)
{
	const struct cpio_entry *entry = &loader->entry;
	struct node *node = entry->links > 1 ? link_find(loader) : NULL;
	int error = 0;

	if (node != NULL) {
		node_get(node);
	} else {
		error = node_create(entry->mode, &node);
		if (error != 0)
			return error;
		if (entry->links > 1)
			error = link_note(loader, node);
		if (error != 0) {
			node_put(node);
			return error;
		}
	}
	if (entry->bytes != 0 || node->regular.source == NULL) {
		node->regular.source = entry->data;
		node->regular.bytes = entry->bytes;
	}
	*out = node;
	return 0;
}

static int load_node(struct loader *loader, struct node **out)
{
	const struct cpio_entry *entry = &loader->entry;
	int error;

	switch (entry->mode & S_IFMT) {
	case S_IFREG:
		return load_regular(loader, out);
	case S_IFLNK:
		if (entry->bytes == 0 || entry->bytes >= PATH_MAX || memchr(entry->data, 0, entry->bytes) != NULL)
			return load_refuse(loader, "a symbolic link that is empty, too long, or has a zero byte");
		return node_create_link(entry->data, entry->bytes, out);
	case S_IFDIR:
	case S_IFCHR:
	case S_IFBLK:
	case S_IFIFO:
	case S_IFSOCK:
		error = node_create(entry->mode, out);
		if (error == 0 && !node_is(*out, S_IFDIR))
			(*out)->rdev = DEVICE(entry->rdev_major, entry->rdev_minor);
		return error;
	default:
		return load_refuse(loader, "an entry of a kind that does not exist");
	}
}

/* The directory of the entry, counted, and its last name. The root itself: *bytes is 0. */
static int load_parent(struct loader *loader, struct node **parent, const char **name, size_t *bytes)
{
	struct node *at = node_root();
	const char *rest = loader->entry.name;
	int error = 0;

	*parent = at;
	for (;;) {
		struct entry *entry;

		rest += strspn(rest, "/");
		*name = rest;
		*bytes = strcspn(rest, "/");
		rest += *bytes;
		if (*bytes == 1 && **name == '.') {
			*bytes = 0;
			if (*rest != 0)
				continue;
		}
		if (*bytes > NAME_MAX || (*bytes == 2 && memcmp(*name, "..", 2) == 0))
			error = load_refuse(loader, "a name that is too long, or has .. in it");
		if (error != 0 || *rest == 0)
			break;
		entry = tree_find_locked(at, *name, *bytes);
		if (rest[strspn(rest, "/")] == 0)
			break;
		if (entry == NULL || !node_is(entry->node, S_IFDIR)) {
			error = load_refuse(loader, "an entry whose directory is missing before it");
			break;
		}
		at = entry->node;
	}
	node_get(at);
	node_put(*parent);
	*parent = at;
	return error;
}

/* What the name named before goes, unless a directory is or was there. 0: add; 1: it is there already. */
static int load_replace(struct loader *loader, struct node *parent, const char *name, size_t bytes, struct node *node,
			struct node **old)
{
	struct entry *entry = tree_find_locked(parent, name, bytes);

	if (entry == NULL)
		return 0;
	if (node_is(entry->node, S_IFDIR) != node_is(node, S_IFDIR))
		return load_refuse(loader, "a directory and another entry of one name");
	if (node_is(node, S_IFDIR)) {
		node_set(entry->node, &loader->entry);
		return 1;
	}
	if (entry->node == node)
		return 1;
	*old = tree_remove_locked(entry);
	return 0;
}

static int load_entry(struct loader *loader)
{
	struct node *parent, *node, *old = NULL;
	const char *name;
	size_t bytes;
	int error;

	tree_enter();
	error = load_parent(loader, &parent, &name, &bytes);
	tree_leave();
	if (error == 0 && bytes != 0) {
		error = load_node(loader, &node);
		if (error == 0) {
			node_set(node, &loader->entry);
			tree_enter();
			error = load_replace(loader, parent, name, bytes, node, &old);
			if (error == 0)
				error = tree_add_locked(parent, name, bytes, node);
			tree_leave();
			node_put(old);
			node_put(node);
		}
	}
	node_put(parent);
	return error > 0 ? 0 : error;
}

static int load_all(struct loader *loader)
{
	int more;

	while ((more = cpio_next(&loader->cpio, &loader->entry)) == 1) {
		int error = load_entry(loader);

		if (error != 0)
			return error;
	}
	if (more < 0)
		loader->problem = loader->cpio.problem;
	return more;
}

int initramfs_load(const void *bytes, uint64_t total)
{
	struct loader loader = { .links = kalloc(LINK_BUCKETS * sizeof(struct hard_link *)) };
	int error;

	if (loader.links == NULL)
		return -ENOMEM;
	cpio_init(&loader.cpio, bytes, total);
	error = load_all(&loader);
	if (error == -EINVAL && loader.cpio.problem != NULL)
		boot_fail("initramfs: %s (at byte %llu of %llu)", loader.problem,
			  (unsigned long long)loader.cpio.entry_at, (unsigned long long)total);
	if (error == -EINVAL)
		boot_fail("initramfs: %s: \"%.255s\" (at byte %llu)", loader.problem, loader.entry.name,
			  (unsigned long long)loader.cpio.entry_at);
	links_free(&loader);
	return error;
}
