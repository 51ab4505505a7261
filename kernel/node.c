/*
 * Nodes of the file tree by themselves: made, counted, freed, and what stat says of them.
 *
 * Times are set and read with no lock: each by itself is one that was, and who looks while they are set may see one of before and one
 * of after. Reading sets the access only where Linux does by default (relatime): it is not behind the others, so that reading
 * what is in the cache writes nothing. Writes through mappings are noted by faults (mm/object.h), and looked for when somebody asks.
 */
#include "kernel/tree.h"

#include <string.h>

#include "kernel/pipe.h"
#include "kernel/sys.h"
#include "kernel/volume.h"
#include "lib/errno.h"
#include "mm/object.h"
#include "mm/slab.h"

#define DAY_NS UINT64_C(86400000000000)

static _Atomic uint64_t next_inode = 2;

/* ---- Times. */

void node_set_times(struct node *node, uint64_t accessed_ns, uint64_t modified_ns)
{
	/* relaxed throughout: see above */
	atomic_store_explicit(&node->accessed_ns, accessed_ns, memory_order_relaxed);
	atomic_store_explicit(&node->modified_ns, modified_ns, memory_order_relaxed);
	node_stamp_change(node);
}

void node_stamp_change(struct node *node)
{
	atomic_store_explicit(&node->changed_ns, time_realtime_ns(), memory_order_relaxed);
}

void node_stamp(struct node *node)
{
	uint64_t now = time_realtime_ns();

	atomic_store_explicit(&node->modified_ns, now, memory_order_relaxed);
	atomic_store_explicit(&node->changed_ns, now, memory_order_relaxed);
}

void node_accessed(struct node *node)
{
	uint64_t accessed = atomic_load_explicit(&node->accessed_ns, memory_order_relaxed);

	if (accessed > atomic_load_explicit(&node->modified_ns, memory_order_relaxed) &&
	    accessed > atomic_load_explicit(&node->changed_ns, memory_order_relaxed) &&
	    accessed + DAY_NS > time_realtime_ns())
		return;
	atomic_store_explicit(&node->accessed_ns, time_realtime_ns(), memory_order_relaxed);
}

/* What programs have written through mappings since the last look. */
static void note_written(struct node *node, struct object *object)
{
	uint64_t ticks = object_take_written(object);
	uint64_t written = ticks == 0 ? 0 : time_realtime_at(ticks);

	if (written <= atomic_load_explicit(&node->modified_ns, memory_order_relaxed))
		return;
	atomic_store_explicit(&node->modified_ns, written, memory_order_relaxed);
	atomic_store_explicit(&node->changed_ns, written, memory_order_relaxed);
}

static void stat_times(struct node *node, struct file_stat *out)
{
	out->accessed_ns = atomic_load_explicit(&node->accessed_ns, memory_order_relaxed);
	out->modified_ns = atomic_load_explicit(&node->modified_ns, memory_order_relaxed);
	out->changed_ns = atomic_load_explicit(&node->changed_ns, memory_order_relaxed);
}

/* ---- Counts, and making. */

void node_get(struct node *node)
{
	/* relaxed: the caller has a count, or the tree's lock and an entry that does */
	uint32_t old = atomic_fetch_add_explicit(&node->count, 1, memory_order_relaxed);

	CHECK(old != 0 && old != UINT32_MAX);
}

static struct node *node_free(struct node *node)
{
	struct node *parent = NULL;

	CHECK(node->volume == NULL); /* which has a count itself */
	if (node_is(node, S_IFDIR)) {
		CHECK(node->directory.count == 0);
		parent = node->directory.parent == node ? NULL : node->directory.parent;
		kfree(node->directory.bucket);
	} else if (node_is(node, S_IFLNK)) {
		kfree(node->link.target);
	} else if (node_is(node, S_IFIFO)) {
		pipe_free(node->fifo.pipe);
	} else if (node_is(node, S_IFREG) && node->ops == NULL && node->regular.object != NULL) {
		object_put(node->regular.object);
	}
	kfree(node->name);
	kfree(node);
	return parent;
}

/* A loop, not a recursion: a removed directory may be the last to hold a removed parent, and so on up. */
void node_put(struct node *node)
{
	while (node != NULL) {
		/* The count goes on being the volume's, which may let go of it right away. Its name cannot come back. */
		bool removed = node->volume != NULL && node->links == 0;
		/* acq_rel: what others did with the node before they let go of it is done */
		uint32_t old = atomic_fetch_sub_explicit(&node->count, 1, memory_order_acq_rel);

		CHECK(old != 0);
		if (old == 2 && removed)
			volumes_wake();
		if (old != 1)
			return;
		node = node_free(node);
	}
}

void node_init(struct node *node, unsigned mode)
{
	atomic_init(&node->count, 1);
	node->mode = mode;
	if (node_is(node, S_IFDIR)) {
		list_init(&node->directory.entries);
		node->directory.next_cookie = 2; /* 0 is ".", 1 is ".." */
		node->links = 2;
	}
	if (node_is(node, S_IFREG))
		mutex_init(&node->regular.mutex, MUTEX_FILE);
}

int node_create(unsigned mode, struct node **out)
{
	struct node *node = kalloc(sizeof(*node));

	if (node == NULL)
		return -ENOMEM;
	node_init(node, mode);
	/* relaxed: only uniqueness counts */
	node->inode = atomic_fetch_add_explicit(&next_inode, 1, memory_order_relaxed);
	node_stamp(node);
	atomic_init(&node->accessed_ns, atomic_load_explicit(&node->changed_ns, memory_order_relaxed));
	if (node_is(node, S_IFIFO)) {
		node->fifo.pipe = pipe_new();
		if (node->fifo.pipe == NULL) {
			kfree(node);
			return -ENOMEM;
		}
	}
	*out = node;
	return 0;
}

int node_create_link(const char *target, size_t bytes, struct node **out)
{
	char *copy = kalloc(bytes + 1);
	int error;

	if (copy == NULL)
		return -ENOMEM;
	memcpy(copy, target, bytes);
	error = node_create(S_IFLNK | 0777U, out);
	if (error != 0)
		kfree(copy);
	else
		(*out)->link.target = copy;
	return error;
}

/* ---- What they are. */

int64_t node_link_text(struct node *link, char *out, uint64_t bytes)
{
	uint64_t n;

	if (link->link.target == NULL)
		return link->magic->text(link, out, bytes);
	n = MIN(strlen(link->link.target), bytes);
	memcpy(out, link->link.target, n);
	return (int64_t)n;
}

void node_stat(struct node *node, struct file_stat *out)
{
	bool regular = node_is(node, S_IFREG) && node->ops == NULL;

	if (node->volume != NULL) {
		volume_stat(node, out);
		return;
	}
	*out = (struct file_stat){ .device = 1, .inode = node->inode, .rdev = node->rdev, .block_size = PAGE_SIZE };
	tree_enter();
	out->mode = node->mode;
	out->links = node->links;
	out->uid = node->uid;
	out->gid = node->gid;
	if (regular && node->regular.object != NULL)
		note_written(node, node->regular.object);
	if (regular)
		out->bytes = node->regular.object != NULL ? object_bytes(node->regular.object) : node->regular.bytes;
	else if (node_is(node, S_IFLNK) && node->link.target != NULL)
		out->bytes = strlen(node->link.target);
	tree_leave();
	stat_times(node, out);
	out->blocks = ALIGN_UP(out->bytes, PAGE_SIZE) / 512;
}
