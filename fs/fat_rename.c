/*
 * Renaming. What the new entry will say is on the disk before it is written, by a commit. When both entries are in one
 * sector, that is written at once. When not, the new one is made durable, then the old one goes: in between the file
 * has two names. There is no third way without losing it: see docs/disks.md.
 */
#include <string.h>

#include "fs/fat_volume.h"

struct move {
	const struct fat_place *from, *to;
	struct fat_name name;
	struct fat_entry old, new;
	struct fat_node *node, *target; /* target: what is replaced, or NULL */
	struct fat_room room;
	uint8_t before[FAT_SLOT]; /* of the target's slot */
	bool taken;		  /* there is a file of the new name, which may be this one */
};

static bool is_dot(const struct fat_place *place)
{
	return (place->n == 1 && place->name[0] == '.') ||
	       (place->n == 2 && place->name[0] == '.' && place->name[1] == '.');
}

static int find_both(struct move *m)
{
	int error = fat_name_parse(&m->name, m->from->name, m->from->n);

	if (error == 0)
		error = fat_find(m->from->dir, &m->name, &m->old);
	if (error != 1)
		return error == 0 || error == -EINVAL ? -ENOENT : error;
	error = fat_node_of(m->from->dir, &m->old, &m->node);
	if (error == 0)
		error = fat_name_parse(&m->name, m->to->name, m->to->n);
	if (error == 0)
		error = fat_name_check(&m->name);
	if (error != 0)
		return error;
	error = fat_find(m->to->dir, &m->name, &m->new);
	m->taken = error == 1;
	if (error == 1 && m->new.sector == m->old.sector && m->new.offset == m->old.offset)
		return 0;
	return error == 1 ? fat_node_of(m->to->dir, &m->new, &m->target) : error;
}

static int check_target(const struct move *m)
{
	int empty;

	if (m->target == NULL)
		return 0;
	if (!fat_is_directory(m->target))
		return fat_is_directory(m->node) ? -ENOTDIR : 0;
	if (!fat_is_directory(m->node))
		return -EISDIR;
	empty = fat_is_empty(m->target);
	return empty == 1 ? 0 : empty == 0 ? -ENOTEMPTY : empty;
}

static int check(const struct move *m, bool no_replace)
{
	if (no_replace && m->taken)
		return -EEXIST;
	for (const struct fat_node *up = m->to->dir; up != NULL; up = up->parent)
		if (up == m->node)
			return -EINVAL;
	for (const struct fat_node *up = m->from->dir; up != NULL; up = up->parent)
		if (up == m->target)
			return -ENOTEMPTY;
	return check_target(m);
}

/* The new entry into the buffers: over the target's short slot, or slots of its own. */
static int put_new(struct move *m)
{
	struct fat_held held;
	uint8_t *slot;
	int error;

	if (m->target == NULL) {
		memcpy(m->before, m->old.raw, FAT_SLOT);
		fat_node_store(m->node, m->before);
		return fat_add(m->to->dir, &m->name, &m->room, m->before, &m->new);
	}
	error = fat_hold(m->to->dir, m->new.slot, 1, &held);
	if (error != 0)
		return error;
	slot = fat_held_slot(&held, m->new.slot);
	memcpy(m->before, slot, FAT_SLOT);
	fat_node_store(m->node, slot);
	fat_release(&held, true);
	return 0;
}

static void undo_new(struct move *m)
{
	struct fat_held held;

	if (m->target == NULL) {
		if (fat_remove(m->to->dir, &m->new) != 0)
			fs_say("fat: a file has two names");
	} else if (fat_hold(m->to->dir, m->new.slot, 1, &held) == 0) {
		memcpy(fat_held_slot(&held, m->new.slot), m->before, FAT_SLOT);
		fat_release(&held, true);
	}
}

static bool taken(const struct move *m, uint32_t slot)
{
	return m->from->dir == m->to->dir && slot >= m->new.first &&slot <= m->new.slot;
}

/* held: the old entry's slots. In one sector nothing is written between this and what put_new did. */
static int swap(struct move *m, struct fat_held *held)
{
	int error = put_new(m);

	if (error == 0 && m->new.sector != m->old.sector) {
		error = buffers_write(&m->node->volume->buffers);
		if (error == 0)
			error = buffers_flush(&m->node->volume->buffers);
		if (error != 0)
			undo_new(m);
	}
	if (error != 0)
		return error;
	for (uint32_t i = m->old.first; i <= m->old.slot; i++)
		if (!taken(m, i))
			fat_held_slot(held, i)[0] = 0xe5;
	fat_index_remove(m->from->dir, &m->old);
	if (m->from->dir == m->to->dir)
		fat_index_use(m->from->dir, m->new.first, m->new.slot);
	return 0;
}

/* The moved directory's "..". */
static int point_up(struct fat_node *node, const struct fat_node *parent)
{
	uint32_t start = parent == node->volume->root ? 0 : parent->start;
	struct fat_held held;
	uint8_t *slot;
	int error = fat_hold(node, 1, 1, &held);

	if (error != 0)
		return error;
	slot = fat_held_slot(&held, 1);
	error = memcmp(slot, "..         ", 11) == 0 ? 0 : fat_damaged(node->volume, "a directory has no ..");
	if (error == 0) {
		put16(slot + 20, (uint16_t)(start >> 16));
		put16(slot + 26, (uint16_t)start);
	}
	fat_release(&held, error == 0);
	return error;
}

static void settle(struct move *m)
{
	struct fat_node *node = m->node, *parent = node->parent;

	if (m->target != NULL) {
		fat_forget_directory(m->target);
		fat_node_unlink(m->target);
	}
	fat_node_unhash(node);
	node->sector = m->new.sector;
	node->offset = m->new.offset;
	fat_node_hash(node);
	if (parent != NULL && parent != m->to->dir) {
		node->parent = m->to->dir;
		fat_get(node->parent);
		fat_put(parent);
	}
	fat_stamp(m->from->dir);
	fat_stamp(m->to->dir);
}

static int move(struct move *m)
{
	struct fat_volume *volume = m->node->volume;
	bool same_dir = m->from->dir == m->to->dir, up = fat_is_directory(m->node) && !same_dir, split;
	struct fat_held held;
	int error = fat_commit(volume);

	if (error == 0 && m->target == NULL)
		error = fat_make_room(m->to->dir, &m->name, same_dir ? &m->old : NULL, &m->room);
	/* A new cluster of the directory: joined before it is used. */
	if (error == 0 && volume->links_count != 0)
		error = fat_commit(volume);
	if (error == 0)
		error = fat_hold(m->from->dir, m->old.first, m->old.slot - m->old.first + 1, &held);
	if (error != 0)
		return error;
	if (up)
		error = point_up(m->node, m->to->dir);
	if (error == 0) {
		error = swap(m, &held);
		if (error != 0 && up && point_up(m->node, m->from->dir) != 0)
			fs_say("fat: a moved directory's .. could not be set back");
	}
	split = m->new.sector != m->old.sector;
	fat_release(&held, error == 0);
	if (error != 0)
		return error;
	settle(m);
	/* Not for long with two names. What fails here is tried again by the next sync, which says so. */
	if (split)
		(void)(buffers_write(&volume->buffers) == 0 && buffers_flush(&volume->buffers) == 0);
	return 0;
}

int fat_rename(const struct fat_place *from, const struct fat_place *to, bool no_replace)
{
	struct move m = { .from = from, .to = to };
	struct fat_volume *volume = from->dir->volume;
	int error;

	if (!fat_is_directory(from->dir) || !fat_is_directory(to->dir))
		return -ENOTDIR;
	if (volume != to->dir->volume)
		return -EXDEV;
	if (from->dir->unlinked || to->dir->unlinked)
		return -ENOENT;
	if (is_dot(from) || is_dot(to))
		return -EBUSY;
	error = fat_begin(volume);
	if (error == 0)
		error = fat_reserve(volume);
	if (error == 0)
		error = find_both(&m);
	if (error == 0)
		error = check(&m, no_replace);
	if (error == 0)
		error = move(&m);
	if (m.target != NULL)
		fat_put(m.target);
	if (m.node != NULL)
		fat_put(m.node);
	return error;
}
