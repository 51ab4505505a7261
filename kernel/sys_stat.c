/* System calls that tell what files are, and change what they tell. Everybody is root here: permission bits only decide what may be executed. */
#include <string.h>

#include "kernel/process.h"
#include "kernel/sys_file.h"
#include "mm/coremap.h"
#include "mm/slab.h"
#include "mm/space.h"

#define TMPFS_MAGIC    0x01021994
#define PROC_MAGIC     0x9fa0
#define STATX_BASIC    0x7ffU
#define STATX_RESERVED 0x80000000U
#define NS_PER_SEC     UINT64_C(1000000000)
#define UTIME_NOW      ((1L << 30) - 1)
#define UTIME_OMIT     ((1L << 30) - 2)

/* struct stat of riscv64 (asm-generic). */
struct user_stat {
	uint64_t dev, ino;
	uint32_t mode, nlink, uid, gid;
	uint64_t rdev, pad1;
	int64_t size;
	int32_t blksize, pad2;
	int64_t blocks;
	struct timespec atime, mtime, ctime;
	uint32_t unused[2];
};
_Static_assert(sizeof(struct user_stat) == 128, "as Linux has it");

struct statx_time {
	int64_t sec;
	uint32_t nsec;
	int32_t pad;
};

struct user_statx {
	uint32_t mask, blksize;
	uint64_t attributes;
	uint32_t nlink, uid, gid;
	uint16_t mode, pad1;
	uint64_t ino, size, blocks, attributes_mask;
	struct statx_time atime, btime, ctime, mtime;
	uint32_t rdev_major, rdev_minor, dev_major, dev_minor;
	uint64_t mnt_id;
	uint32_t dio_mem_align, dio_offset_align;
	uint64_t spare[12];
};
_Static_assert(sizeof(struct user_statx) == 256, "as Linux has it");

struct user_statfs {
	int64_t type, bsize;
	uint64_t blocks, bfree, bavail, files, ffree;
	int32_t fsid[2];
	int64_t namelen, frsize, flags, spare[4];
};
_Static_assert(sizeof(struct user_statfs) == 120, "as Linux has it");

int file_stat(struct file *file, struct file_stat *out)
{
	if (file->ops->stat != NULL)
		return file->ops->stat(file, out);
	node_stat(file->node, out);
	return 0;
}

/* What an empty path with AT_EMPTY_PATH names: the file that dirfd has open, or the cwd. */
static int stat_empty(int dirfd, struct file_stat *out)
{
	struct node *cwd;
	struct file *file;
	int error;

	if (dirfd == AT_FDCWD) {
		cwd = node_cwd();
		node_stat(cwd, out);
		node_put(cwd);
		return 0;
	}
	error = file_get(dirfd, &file);
	if (error != 0)
		return error;
	error = file_stat(file, out);
	file_put(file);
	return error;
}

static int node_of_fd(int dirfd, struct node **out)
{
	struct file *file;
	int error;

	if (dirfd == AT_FDCWD) {
		*out = node_cwd();
		return 0;
	}
	error = file_get(dirfd, &file);
	if (error != 0)
		return error;
	*out = file->node;
	if (*out == NULL)
		error = -ENOENT;
	else
		node_get(*out);
	file_put(file);
	return error;
}

static int path_lookup_at(int dirfd, const char *path, unsigned at_flags, struct node **out)
{
	struct node *from;
	int error = path_start(dirfd, path, &from);

	if (error != 0)
		return error;
	error = path_lookup(from, path, (at_flags & AT_SYMLINK_NOFOLLOW) != 0 ? 0 : WALK_FOLLOW, out);
	node_put(from);
	return error;
}

int user_lookup_at(int dirfd, uint64_t address, unsigned at_flags, struct node **out)
{
	char *path;
	int error = user_path(address, (at_flags & AT_EMPTY_PATH) != 0, &path);

	if (error != 0)
		return error;
	if (path[0] == 0)
		error = node_of_fd(dirfd, out);
	else
		error = path_lookup_at(dirfd, path, at_flags, out);
	kfree(path);
	return error;
}

static int stat_at(int dirfd, uint64_t address, unsigned at_flags, struct file_stat *out)
{
	struct node *node;
	char *path;
	int error = user_path(address, (at_flags & AT_EMPTY_PATH) != 0, &path);

	if (error != 0)
		return error;
	if (path[0] == 0) {
		error = stat_empty(dirfd, out);
	} else {
		error = path_lookup_at(dirfd, path, at_flags, &node);
		if (error == 0) {
			node_stat(node, out);
			node_put(node);
		}
	}
	kfree(path);
	return error;
}

static int64_t stat_put(uint64_t address, const struct file_stat *stat)
{
	struct timespec time = { (int64_t)(stat->time_ns / NS_PER_SEC), (int64_t)(stat->time_ns % NS_PER_SEC) };
	struct user_stat out = {
		.dev = stat->device,
		.ino = stat->inode,
		.mode = stat->mode,
		.nlink = stat->links,
		.uid = stat->uid,
		.gid = stat->gid,
		.rdev = stat->rdev,
		.size = (int64_t)stat->bytes,
		.blksize = (int32_t)stat->block_size,
		.blocks = (int64_t)stat->blocks,
		.atime = time,
		.mtime = time,
		.ctime = time,
	};

	return user_write(current_space(), VADDR(address), &out, sizeof(out));
}

int64_t sys_fstat(const uint64_t *a)
{
	struct file_stat stat;
	struct file *file;
	int error = file_get((int)a[0], &file);

	if (error != 0)
		return error;
	error = file_stat(file, &stat);
	file_put(file);
	return error != 0 ? error : stat_put(a[1], &stat);
}

int64_t sys_newfstatat(const uint64_t *a)
{
	unsigned flags = (uint32_t)a[3];
	struct file_stat stat;
	int error;

	if ((flags & ~(AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_EMPTY_PATH | AT_STATX_SYNC_TYPE)) != 0)
		return -EINVAL;
	error = stat_at((int)a[0], a[1], flags, &stat);
	return error != 0 ? error : stat_put(a[2], &stat);
}

int64_t sys_statx(const uint64_t *a)
{
	unsigned flags = (uint32_t)a[2];
	struct file_stat stat;
	struct user_statx out;
	struct statx_time time;
	int error;

	if ((flags & ~(AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_EMPTY_PATH | AT_STATX_SYNC_TYPE)) != 0 ||
	    (flags & AT_STATX_SYNC_TYPE) == AT_STATX_SYNC_TYPE || ((uint32_t)a[3] & STATX_RESERVED) != 0)
		return -EINVAL;
	error = stat_at((int)a[0], a[1], flags, &stat);
	if (error != 0)
		return error;
	time = (struct statx_time){ (int64_t)(stat.time_ns / NS_PER_SEC), (uint32_t)(stat.time_ns % NS_PER_SEC), 0 };
	out = (struct user_statx){
		.mask = STATX_BASIC,
		.blksize = stat.block_size,
		.nlink = stat.links,
		.uid = stat.uid,
		.gid = stat.gid,
		.mode = (uint16_t)stat.mode,
		.ino = stat.inode,
		.size = stat.bytes,
		.blocks = stat.blocks,
		.atime = time,
		.ctime = time,
		.mtime = time,
		.rdev_major = (uint32_t)(stat.rdev >> 8) & 0xfffU,
		.rdev_minor = (uint32_t)(stat.rdev & 0xffU),
		.dev_minor = (uint32_t)stat.device,
	};
	return user_write(current_space(), VADDR(a[4]), &out, sizeof(out));
}

/* node: NULL for what is not in the tree. */
static int64_t statfs_put(const struct node *node, uint64_t address)
{
	bool of_proc = node != NULL && (node->magic != NULL || node->ops == &proc_ops);
	struct user_statfs out = {
		.type = of_proc ? PROC_MAGIC : TMPFS_MAGIC,
		.bsize = (int64_t)PAGE_SIZE,
		.blocks = frames_total(),
		.bfree = frames_free(),
		.bavail = frames_free(),
		.namelen = NAME_MAX,
		.frsize = (int64_t)PAGE_SIZE,
	};

	return user_write(current_space(), VADDR(address), &out, sizeof(out));
}

int64_t sys_statfs(const uint64_t *a)
{
	struct node *node;
	int64_t result = user_lookup(AT_FDCWD, a[0], WALK_FOLLOW, &node);

	if (result != 0)
		return result;
	result = statfs_put(node, a[1]);
	node_put(node);
	return result;
}

int64_t sys_fstatfs(const uint64_t *a)
{
	struct file *file;
	int64_t result = file_get((int)a[0], &file);

	if (result != 0)
		return result;
	result = statfs_put(file->node, a[1]);
	file_put(file);
	return result;
}

static int64_t access_at(const uint64_t *a, unsigned flags)
{
	struct node *node;
	int error;

	if ((a[2] & ~UINT64_C(7)) != 0 || (flags & ~(AT_EACCESS | AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH)) != 0)
		return -EINVAL;
	error = user_lookup_at((int)a[0], a[1], flags, &node);
	if (error != 0)
		return error;
	if ((a[2] & 1) != 0 && !node_is(node, S_IFDIR) && (node->mode & 0111U) == 0)
		error = -EACCES;
	node_put(node);
	return error;
}

int64_t sys_faccessat(const uint64_t *a)
{
	return access_at(a, 0);
}

int64_t sys_faccessat2(const uint64_t *a)
{
	return access_at(a, (uint32_t)a[3]);
}

/* ---- Changing */

static int node_set_mode(struct node *node, uint64_t mode)
{
	uint32_t wanted;
	int error;

	if (node->pid != 0)
		return -EPERM;
	tree_enter();
	wanted = (node->mode & S_IFMT) | ((uint32_t)mode & 07777U);
	error = seal_mode_locked(node, wanted);
	if (error == 0)
		node->mode = wanted;
	tree_leave();
	return error;
}

/* -1 leaves it as it is. */
static int node_set_owner(struct node *node, uint32_t uid, uint32_t gid)
{
	if (node->pid != 0)
		return -EPERM;
	tree_enter();
	if (uid != UINT32_MAX)
		node->uid = uid;
	if (gid != UINT32_MAX)
		node->gid = gid;
	tree_leave();
	return 0;
}

/* The node of a descriptor that is not O_PATH. NULL with 0: a pipe and its like, which keeps no such thing. */
static int node_of_open(int fd, struct node **out)
{
	struct file *file;
	int error = file_get(fd, &file);

	if (error != 0)
		return error;
	*out = file->node;
	if ((file_flags(file) & O_PATH) != 0)
		error = -EBADF;
	else if (*out != NULL)
		node_get(*out);
	file_put(file);
	return error;
}

int64_t sys_fchmod(const uint64_t *a)
{
	struct node *node;
	int error = node_of_open((int)a[0], &node);

	if (error != 0)
		return error;
	if (node != NULL)
		error = node_set_mode(node, a[1]);
	node_put(node);
	return error;
}

int64_t sys_fchmodat(const uint64_t *a)
{
	struct node *node;
	int error = user_lookup((int)a[0], a[1], WALK_FOLLOW, &node);

	if (error != 0)
		return error;
	error = node_set_mode(node, a[2]);
	node_put(node);
	return error;
}

int64_t sys_fchown(const uint64_t *a)
{
	struct node *node;
	int error = node_of_open((int)a[0], &node);

	if (error != 0)
		return error;
	if (node != NULL)
		error = node_set_owner(node, (uint32_t)a[1], (uint32_t)a[2]);
	node_put(node);
	return error;
}

int64_t sys_fchownat(const uint64_t *a)
{
	unsigned flags = (uint32_t)a[4];
	struct node *node;
	int error;

	if ((flags & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH)) != 0)
		return -EINVAL;
	error = user_lookup_at((int)a[0], a[1], flags, &node);
	if (error != 0)
		return error;
	error = node_set_owner(node, (uint32_t)a[2], (uint32_t)a[3]);
	node_put(node);
	return error;
}

/* One time is kept for all: the modification's. 1: leave it as it is. */
static int times_read(uint64_t address, uint64_t *ns)
{
	struct timespec times[2];
	int error;

	*ns = time_ns();
	if (address == 0)
		return 0;
	error = user_read(current_space(), times, VADDR(address), sizeof(times));
	if (error != 0)
		return error;
	for (unsigned i = 0; i < 2; i++) {
		if (times[i].tv_nsec != UTIME_NOW && times[i].tv_nsec != UTIME_OMIT &&
		    (times[i].tv_nsec < 0 || (uint64_t)times[i].tv_nsec >= NS_PER_SEC))
			return -EINVAL;
	}
	if (times[1].tv_nsec == UTIME_OMIT)
		return 1;
	if (times[1].tv_nsec != UTIME_NOW)
		*ns = (uint64_t)times[1].tv_sec * NS_PER_SEC + (uint64_t)times[1].tv_nsec;
	return 0;
}

int64_t sys_utimensat(const uint64_t *a)
{
	unsigned flags = (uint32_t)a[3];
	struct node *node;
	uint64_t ns;
	int times = times_read(a[2], &ns);
	int error;

	if (times < 0)
		return times;
	if ((flags & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH)) != 0)
		return -EINVAL;
	error = a[1] == 0 ? node_of_open((int)a[0], &node) : user_lookup_at((int)a[0], a[1], flags, &node);
	if (error != 0 || node == NULL)
		return error;
	if (times == 0) {
		tree_enter();
		node->time_ns = ns;
		tree_leave();
	}
	node_put(node);
	return 0;
}
