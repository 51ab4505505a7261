/* mount(2) and umount2(2), for volumes on disks. */
#include <string.h>

#include "kernel/mount.h"
#include "kernel/sys_file.h"
#include "kernel/volume.h"
#include "lib/errno.h"
#include "mm/slab.h"
#include "mm/space.h"

#define MS_RDONLY	1U
#define MS_REMOUNT	32U
#define MS_BIND		4096U
#define MS_MOVE		8192U
#define MS_PROPAGATION	0x1e0000U /* MS_UNBINDABLE .. MS_SHARED */
#define UMOUNT_NOFOLLOW 8U
#define UMOUNT_FLAGS	15U

/* The disk that a path leads to. */
static int source_disk(uint64_t address, struct block_device **out)
{
	struct block_device *device = block_next(NULL);
	struct node *node;
	int error = user_lookup(AT_FDCWD, address, WALK_FOLLOW, &node);

	if (error != 0)
		return error;
	while (device != NULL && DEVICE(device->major, device->minor) != node->rdev)
		device = block_next(device);
	error = !node_is(node, S_IFBLK) ? -ENOTBLK : device == NULL ? -ENXIO : 0;
	node_put(node);
	*out = device;
	return error;
}

static int mount_at(uint64_t source, struct node *at, bool read_only)
{
	struct block_device *device;
	const char *why;
	int error = source_disk(source, &device);

	return error != 0 ? error : mount_disk(device, at, read_only, &why);
}

int64_t sys_mount(const uint64_t *a)
{
	struct node *at;
	char *type;
	int error;

	if ((a[3] & (MS_REMOUNT | MS_BIND | MS_MOVE | MS_PROPAGATION)) != 0)
		return -EINVAL;
	if (a[2] == 0 || a[0] == 0)
		return -EINVAL;
	error = user_path(a[2], true, &type);
	if (error != 0)
		return error;
	error = strcmp(type, "vfat") == 0 ? user_lookup(AT_FDCWD, a[1], WALK_FOLLOW, &at) : -ENODEV;
	kfree(type);
	if (error != 0)
		return error;
	error = mount_at(a[0], at, (a[3] & MS_RDONLY) != 0);
	node_put(at);
	return error;
}

int64_t sys_umount2(const uint64_t *a)
{
	struct node *root;
	int error;

	if ((a[1] & ~(uint64_t)UMOUNT_FLAGS) != 0)
		return -EINVAL;
	error = user_lookup(AT_FDCWD, a[0], (a[1] & UMOUNT_NOFOLLOW) != 0 ? 0 : WALK_FOLLOW, &root);
	return error != 0 ? error : mount_remove(root);
}
