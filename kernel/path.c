/*
 * Walking paths, as path_resolution(7) says.
 *
 * A walk holds the tree's lock from its first name to its last, so nothing that it stands on goes away, and symbolic links are
 * followed where they lie, without a copy: a stack of strings, one for each link that was entered, each with what is left of it. Bounds:
 * the path's PATH_MAX, LINKS_MAX links, each of at most PATH_MAX. What /proc makes up, and what is on a disk, is asked for in
 * between: walker_ask. Mounts need no thought here: the names of their places lead to their roots (mount.c).
 */
#include <string.h>

#include "kernel/tree.h"
#include "kernel/volume.h"
#include "lib/errno.h"
#include "mm/slab.h"

struct walker {
	struct node *at; /* the directory we are in; the lock keeps it */
	unsigned links;
	unsigned depth;
	const char *rest[LINKS_MAX + 1];
	bool last; /* the name that the walk is at is the last one */

	/* What /proc makes up, and volumes, are asked with the tree's lock let go of: see walker_ask. */
	struct node *link;	  /* a link whose target is asked for; NULL: a name */
	char name[NAME_MOST + 1]; /* which */
	size_t name_bytes;
	struct node *held_at;	  /* counted: what was asked last */
	struct node *held_answer; /* counted: the answer */
	char *buffer;		  /* rest[0] lies here */
};

#define WALKER_ASKS 2

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
	const char *target = link->link.target;

	if (++w->links > LINKS_MAX)
		return -ELOOP;
	if (target == NULL) {
		w->link = link;
		return WALKER_ASKS;
	}
	if (*target == 0)
		return -ENOENT;
	node_accessed(link);
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

/* The name leads to node. */
static int walker_arrive(struct walker *w, unsigned flags, struct node *root, struct node *node, struct walk *out)
{
	if (node_is(node, S_IFLNK) && (!w->last || out->slash || (flags & WALK_FOLLOW) != 0))
		return walker_enter_link(w, node, root);
	if (w->last) {
		if (out->slash && !node_is(node, S_IFDIR))
			return -ENOTDIR;
		walk_end(out, w->at, node);
		return 1;
	}
	w->at = node;
	return 0;
}

/* The name leads nowhere. */
static int walker_miss(struct walker *w, unsigned flags, struct walk *out)
{
	if (!w->last || (flags & WALK_CREATE) == 0)
		return -ENOENT;
	walk_end(out, w->at, NULL);
	return 1;
}

/* One name. 0: go on; 1: *out is complete; WALKER_ASKS. */
static int walker_step(struct walker *w, unsigned flags, struct node *root, struct walk *out)
{
	const char *name;
	size_t bytes = walker_name(w, &name);
	struct entry *entry;

	if (bytes == 0) { /* "/", or links to it */
		walk_set_name(out, "", 0);
		walk_end(out, NULL, w->at);
		return 1;
	}
	if (!node_is(w->at, S_IFDIR))
		return -ENOTDIR;
	if (bytes > (w->at->volume == NULL ? NAME_MAX : NAME_MOST))
		return -ENAMETOOLONG;
	w->last = walker_is_last(w, &out->slash);
	if (w->last)
		walk_set_name(out, name, bytes);
	if (name[0] == '.' && (bytes == 1 || (bytes == 2 && name[1] == '.'))) {
		w->at = bytes == 1 ? w->at : w->at->directory.parent;
		if (w->last)
			walk_end(out, NULL, w->at);
		return w->last;
	}
	entry = tree_find_locked(w->at, name, bytes);
	if (entry != NULL)
		return walker_arrive(w, flags, root, entry->node, out);
	if (w->at->volume == NULL && (w->at->magic == NULL || w->at->magic->lookup == NULL || bytes >= MAGIC_NAME))
		return walker_miss(w, flags, out);
	memcpy(w->name, name, bytes);
	w->name[bytes] = 0;
	w->name_bytes = bytes;
	return WALKER_ASKS;
}

/* What is left of the path, behind text, into a buffer of our own: links may go once the lock is let go of. */
static int walker_rewrite(struct walker *w, const char *text, size_t n)
{
	size_t room = 2 * PATH_MAX;
	char *buffer = kalloc(room);

	if (buffer == NULL)
		return -ENOMEM;
	memcpy(buffer, text, n);
	for (unsigned i = w->depth + 1; i-- > 0;) {
		size_t bytes = strlen(w->rest[i]);

		if (bytes >= room - n) {
			kfree(buffer);
			return -ENAMETOOLONG;
		}
		memcpy(buffer + n, w->rest[i], bytes);
		n += bytes;
	}
	buffer[n] = 0;
	kfree(w->buffer);
	w->buffer = buffer;
	w->rest[0] = buffer;
	w->depth = 0;
	return 0;
}

/* Takes over the answer's count. Without the lock only what we count stays: the directory may have been moved or removed. */
static void walker_hold(struct walker *w, struct node *at, struct node *answer)
{
	struct node *old_at = w->held_at, *old_answer = w->held_answer;

	w->held_at = at;
	w->held_answer = answer;
	node_put(old_answer);
	node_put(old_at);
}

static int walker_ask_name(struct walker *w, unsigned flags, struct node *root, struct walk *out)
{
	struct node *node = NULL;
	struct node *at = w->at;
	int error = walker_rewrite(w, "", 0);

	if (error != 0)
		return error;
	node_get(at);
	tree_leave();
	error = at->volume != NULL ? volume_lookup(at, w->name, w->name_bytes, &node)
				   : at->magic->lookup(at, w->name, &node);
	walker_hold(w, at, node);
	tree_enter();
	if (error != 0)
		return error == -ENOENT ? walker_miss(w, flags, out) : error;
	return walker_arrive(w, flags, root, node, out);
}

static int walker_ask_text(struct walker *w, struct node *link, struct node *root)
{
	char *text = kalloc(PATH_MAX);
	int64_t n = text == NULL ? -ENOMEM : walker_rewrite(w, "", 0);

	if (n == 0) {
		tree_leave();
		n = link->magic->text(link, text, PATH_MAX - 1);
		tree_enter();
	}
	if (n > 0) {
		if (text[0] == '/')
			w->at = root;
		n = walker_rewrite(w, text, (size_t)n);
	}
	kfree(text);
	return (int)n;
}

static int walker_ask_link(struct walker *w, struct node *root, struct walk *out)
{
	struct node *link = w->link;
	struct node *node;
	int error;

	w->link = NULL;
	if (link->magic->jump == NULL)
		return walker_ask_text(w, link, root);
	error = walker_rewrite(w, "", 0);
	if (error != 0)
		return error;
	tree_leave();
	error = link->magic->jump(link, &node);
	if (error == 0)
		walker_hold(w, NULL, node);
	tree_enter();
	if (error != 0)
		return error;
	w->at = node;
	if (!w->last)
		return 0;
	if (out->slash && !node_is(node, S_IFDIR))
		return -ENOTDIR;
	walk_end(out, NULL, node);
	return 1;
}

/*
 * Asks /proc for a link's target or a name, or a volume for a name, with the tree's lock let go of: the answer may take the
 * locks of processes, which are outer, or wait for a disk. Meanwhile counts keep the nodes that we are on, and the path's rest lies in a buffer of ours.
 */
static int walker_ask(struct walker *w, unsigned flags, struct node *root, struct walk *out)
{
	return w->link != NULL ? walker_ask_link(w, root, out) : walker_ask_name(w, flags, root, out);
}

/* All but the arrays, which are large. */
static void walker_start(struct walker *w, struct node *at, const char *path)
{
	w->at = at;
	w->links = w->depth = 0;
	w->rest[0] = path;
	w->last = false;
	w->link = w->held_at = w->held_answer = NULL;
	w->name_bytes = 0;
	w->buffer = NULL;
}

int path_walk(struct node *from, const char *path, unsigned flags, struct walk *out)
{
	struct node *root = node_root();
	struct walker w;
	int done;

	walker_start(&w, path[0] == '/' ? root : from, path);
	out->parent = out->node = NULL;
	out->name_bytes = 0;
	out->name[0] = 0;
	out->slash = false;
	if (path[0] == 0) {
		node_put(root);
		return -ENOENT;
	}
	tree_enter();
	do {
		done = walker_step(&w, flags, root, out);
		while (done == WALKER_ASKS)
			done = walker_ask(&w, flags, root, out);
	} while (done == 0);
	tree_leave();
	node_put(w.held_answer);
	node_put(w.held_at);
	kfree(w.buffer);
	node_put(root);
	return done < 0 ? done : 0;
}

void walk_done(struct walk *walk)
{
	node_put(walk->parent);
	node_put(walk->node);
}

int walk_add(const struct walk *walk, struct node *node)
{
	int error;

	if (walk->parent->volume != NULL)
		return volume_create(walk->parent, walk->name, walk->name_bytes, node->mode, NULL);
	tree_enter();
	error = tree_add_locked(walk->parent, walk->name, walk->name_bytes, node);
	tree_leave();
	return error;
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
