/*
 * Seals of files made by memfd_create: fcntl(2), "File Sealing". All other regular files are as tmpfs has them: sealed
 * against further seals, and against nothing else.
 *
 * Seals change with the file's mutex and the tree's lock held, so either is enough to look at them. A seal against writing is set only while
 * no mapping can write, and none can be made from then on. Both sides are under
 * the tree's lock: whoever sets it looks for writers (mm/object.h) and sets it; whoever maps looks at the seals and counts as
 * a writer, before the mapping is there. Writes by call hold the mutex where a file can be sealed (regular.c), so that none is on its
 * way when the seal is there.
 */
#include "kernel/tree.h"
#include "lib/errno.h"
#include "mm/object.h"
#include "mm/space.h"

#define SEALS_ALL	(F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_FUTURE_WRITE | F_SEAL_EXEC)
#define MODE_EXECUTABLE 0111U

int seal_write(const struct node *node, uint64_t size, uint64_t end)
{
	uint32_t seals = node->regular.seals;

	if ((seals & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE)) != 0 || ((seals & F_SEAL_GROW) != 0 && end > size))
		return -EPERM;
	return 0;
}

int seal_resize(const struct node *node, uint64_t size, uint64_t bytes)
{
	uint32_t seals = node->regular.seals;

	if (((seals & F_SEAL_SHRINK) != 0 && bytes < size) || ((seals & F_SEAL_GROW) != 0 && bytes > size))
		return -EPERM;
	return 0;
}

int seal_mode_locked(const struct node *node, uint32_t mode)
{
	bool sealed = node_is(node, S_IFREG) && node->ops == NULL && (node->regular.seals & F_SEAL_EXEC) != 0;

	return sealed && ((node->mode ^ mode) & MODE_EXECUTABLE) != 0 ? -EPERM : 0;
}

static uint32_t seals_of(const struct node *node)
{
	return node->regular.seals | (node->regular.sealable ? 0 : F_SEAL_SEAL);
}

int64_t file_seals(struct file *file)
{
	int64_t seals;

	if (file->ops != &regular_ops)
		return -EINVAL;
	tree_enter();
	seals = seals_of(file->node);
	tree_leave();
	return seals;
}

static int add_seals_locked(struct file *file, uint32_t seals)
{
	struct node *node = file->node;

	if ((seals_of(node) & F_SEAL_SEAL) != 0)
		return -EPERM;
	if ((seals & F_SEAL_EXEC) != 0 && (node->mode & MODE_EXECUTABLE) != 0)
		seals |= F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_FUTURE_WRITE;
	if ((seals & F_SEAL_WRITE) != 0 && (node->regular.seals & F_SEAL_WRITE) == 0 && object_has_writers(file->data))
		return -EBUSY;
	node->regular.seals |= seals;
	return 0;
}

int64_t file_add_seals(struct file *file, uint64_t seals)
{
	int error;

	if (!file_may_write(file))
		return -EPERM;
	if ((seals & ~(uint64_t)SEALS_ALL) != 0 || file->ops != &regular_ops)
		return -EINVAL;
	mutex_lock(&file->node->regular.mutex);
	tree_enter();
	error = add_seals_locked(file, (uint32_t)seals);
	tree_leave();
	mutex_unlock(&file->node->regular.mutex);
	return error;
}

int file_seal_map(struct file *file, struct object *object, uint64_t perm, uint64_t *max_perm)
{
	int error = 0;

	tree_enter();
	if (file->ops == &regular_ops && (file->node->regular.seals & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE)) != 0) {
		error = (perm & PERM_W) != 0 ? -EPERM : 0;
		*max_perm &= ~PERM_W;
	}
	if (error == 0 && (*max_perm & PERM_W) != 0)
		object_writer_get(object);
	tree_leave();
	return error;
}
