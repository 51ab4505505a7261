/*
 * Walking paths, as path_resolution(7) says.
 *
 * A walk holds the tree's lock from its first name to its last, so nothing that it stands on goes away, and symbolic links are
 * followed where they lie, without a copy: a stack of strings, one for each link that was entered, each with what is left of it. Bounds:
 * the path's PATH_MAX, LINKS_MAX links, each of at most PATH_MAX.
 */
#include <string.h>

#include "kernel/tree.h"
#include "lib/errno.h"

struct walker {
	struct node *at; /* the directory we are in; the lock keeps it */
	unsigned links;
	unsigned depth;
	const char *rest[LINKS_MAX + 1];
};

static const char *skip_slashes(const char *s)
{
	while (*s == '/')
		s++;
	return s;
}

/* Moves to the next name, if there is one: its start in *name, its length; 0: the path has ended. */
static size_t walker_name(struct walker *w, const char **name)
{
	for (;;) {
		const char *start = skip_slashes(w->rest[w->depth]);
		size_t bytes = strcspn(start, "/");

		w->rest[w->depth] = start + bytes;
		*name = start;
		if (bytes != 0)
			return bytes;
		if (w->depth == 0)
			return 0;
		w->depth--;
	}
}

/* Whether nothing but slashes is left, and whether there is one. */
static bool walker_is_last(const struct walker *w, bool *slash)
{
	*slash = false;
	for (unsigned i = w->depth + 1; i-- > 0;) {
		const char *rest = w->rest[i];

		*slash = *slash || *rest == '/';
		if (*skip_slashes(rest) != 0)
			return false;
	}
	return true;
}

static int walker_enter_link(struct walker *w, struct node *link, struct node *root)
{
	const char *target = link->link.target != NULL ? link->link.target : link->link.make();

	if (target == NULL || *target == 0)
		return -ENOENT;
	if (++w->links > LINKS_MAX)
		return -ELOOP;
	w->rest[++w->depth] = target;
	if (*target == '/')
		w->at = root;
	return 0;
}

static void walk_set_name(struct walk *out, const char *name, size_t bytes)
{
	memcpy(out->name, name, bytes);
	out->name[bytes] = 0;
	out->name_bytes = (uint32_t)bytes;
}

static void walk_end(struct walk *out, struct node *parent, struct node *node)
{
	out->parent = parent;
	out->node = node;
	if (parent != NULL)
		node_get(parent);
	if (node != NULL)
		node_get(node);
}

/* One name. 0: go on; 1: *out is complete. */
static int walker_step(struct walker *w, unsigned flags, struct node *root, struct walk *out)
{
	const char *name;
	size_t bytes = walker_name(w, &name);
	struct entry *entry;
	bool last;

	if (bytes == 0) { /* "/", or links to it */
		walk_set_name(out, "", 0);
		walk_end(out, NULL, w->at);
		return 1;
	}
	if (!node_is(w->at, S_IFDIR))
		return -ENOTDIR;
	if (bytes > NAME_MAX)
		return -ENAMETOOLONG;
	last = walker_is_last(w, &out->slash);
	if (last)
		walk_set_name(out, name, bytes);
	if (name[0] == '.' && (bytes == 1 || (bytes == 2 && name[1] == '.'))) {
		w->at = bytes == 1 ? w->at : w->at->directory.parent;
		if (last)
			walk_end(out, NULL, w->at);
		return last;
	}
	entry = tree_find_locked(w->at, name, bytes);
	if (entry == NULL) {
		if (!last || (flags & WALK_CREATE) == 0)
			return -ENOENT;
		walk_end(out, w->at, NULL);
		return 1;
	}
	if (node_is(entry->node, S_IFLNK) && (!last || out->slash || (flags & WALK_FOLLOW) != 0))
		return walker_enter_link(w, entry->node, root);
	if (last) {
		if (out->slash && !node_is(entry->node, S_IFDIR))
			return -ENOTDIR;
		walk_end(out, w->at, entry->node);
		return 1;
	}
	w->at = entry->node;
	return 0;
}

int path_walk(struct node *from, const char *path, unsigned flags, struct walk *out)
{
	struct node *root = node_root();
	struct walker w = { .at = path[0] == '/' ? root : from, .rest = { path } };
	int done;

	*out = (struct walk){ 0 };
	if (path[0] == 0) {
		node_put(root);
		return -ENOENT;
	}
	tree_enter();
	do {
		done = walker_step(&w, flags, root, out);
	} while (done == 0);
	tree_leave();
	node_put(root);
	return done < 0 ? done : 0;
}

void walk_done(struct walk *walk)
{
	node_put(walk->parent);
	node_put(walk->node);
}

int path_lookup(struct node *from, const char *path, unsigned flags, struct node **out)
{
	struct walk walk;
	int error = path_walk(from, path, flags & ~WALK_CREATE, &walk);

	if (error != 0)
		return error;
	node_put(walk.parent);
	*out = walk.node;
	return 0;
}
