/* System calls that tell what files are, and change what they tell. Everybody is root here: permission bits only decide what may be executed. */
#include <string.h>

#include "kernel/process.h"
#include "kernel/sys.h"
#include "kernel/sys_file.h"
#include "kernel/volume.h"
#include "mm/coremap.h"
#include "mm/slab.h"
#include "mm/space.h"

#define STATX_BASIC    0x7ffU
#define STATX_RESERVED 0x80000000U
#define NS_PER_SEC     UINT64_C(1000000000)
#define UTIME_NOW      ((1L << 30) - 1)
#define UTIME_OMIT     ((1L << 30) - 2)
#define TIME_NOW       UINT64_MAX
#define TIME_OMIT      (UINT64_MAX - 1)

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

int user_lookup_link(int dirfd, uint64_t address, struct node **out)
{
	char *path;
	int error = user_path(address, true, &path);
	bool empty;

	if (error != 0)
		return error;
	empty = path[0] == 0;
	error = empty ? node_of_fd(dirfd, out) : path_lookup_at(dirfd, path, AT_SYMLINK_NOFOLLOW, out);
	kfree(path);
	if (error == 0 && !node_is(*out, S_IFLNK)) {
		node_put(*out);
		error = empty ? -ENOENT : -EINVAL;
	}
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

/* 64 bits of ns: negative ones are before 1970. */
static struct timespec timespec_of(uint64_t ns)
{
	int64_t seconds = (int64_t)ns / (int64_t)NS_PER_SEC, rest = (int64_t)ns % (int64_t)NS_PER_SEC;

	return rest < 0 ? (struct timespec){ seconds - 1, rest + (int64_t)NS_PER_SEC }
			: (struct timespec){ seconds, rest };
}

static struct statx_time statx_of(uint64_t ns)
{
	struct timespec time = timespec_of(ns);

	return (struct statx_time){ time.tv_sec, (uint32_t)time.tv_nsec, 0 };
}

static int64_t stat_put(uint64_t address, const struct file_stat *stat)
{
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
		.atime = timespec_of(stat->accessed_ns),
		.mtime = timespec_of(stat->modified_ns),
		.ctime = timespec_of(stat->changed_ns),
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
	int error;

	if ((flags & ~(AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_EMPTY_PATH | AT_STATX_SYNC_TYPE)) != 0 ||
	    (flags & AT_STATX_SYNC_TYPE) == AT_STATX_SYNC_TYPE || ((uint32_t)a[3] & STATX_RESERVED) != 0)
		return -EINVAL;
	error = stat_at((int)a[0], a[1], flags, &stat);
	if (error != 0)
		return error;
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
		.atime = statx_of(stat.accessed_ns),
		.ctime = statx_of(stat.changed_ns),
		.mtime = statx_of(stat.modified_ns),
		.rdev_major = (uint32_t)(stat.rdev >> 8) & 0xfffU,
		.rdev_minor = (uint32_t)(stat.rdev & 0xffU),
		.dev_major = (uint32_t)(stat.device >> 8) & 0xfffU,
		.dev_minor = (uint32_t)(stat.device & 0xffU),
	};
	return user_write(current_space(), VADDR(a[4]), &out, sizeof(out));
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
	if ((a[2] & 2) != 0 && node->volume != NULL && node->volume->read_only)
		error = -EROFS;
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
	if (node->volume != NULL)
		return volume_set_mode(node, (uint32_t)mode & 07777U);
	tree_enter();
	wanted = (node->mode & S_IFMT) | ((uint32_t)mode & 07777U);
	error = (wanted & S_IFMT) == S_IFLNK ? -EOPNOTSUPP : seal_mode_locked(node, wanted);
	if (error == 0) {
		node->mode = wanted;
		node_stamp_change(node);
	}
	tree_leave();
	return error;
}

/* -1 leaves it as it is. */
static int node_set_owner(struct node *node, uint32_t uid, uint32_t gid)
{
	if (node->pid != 0)
		return -EPERM;
	if (node->volume != NULL)
		return volume_set_owner(node, uid, gid);
	tree_enter();
	if (uid != UINT32_MAX)
		node->uid = uid;
	if (gid != UINT32_MAX)
		node->gid = gid;
	node_stamp_change(node);
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

/* The node of a call whose first arguments are a directory and a path, for its attributes to change. A reference. */
static int lookup_to_change(const uint64_t *a, uint64_t at_flags, struct node **out)
{
	unsigned flags = (uint32_t)at_flags;

	if ((flags & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH)) != 0)
		return -EINVAL;
	return user_lookup_at((int)a[0], a[1], flags, out);
}

int64_t sys_fchmodat2(const uint64_t *a)
{
	struct node *node;
	int error = lookup_to_change(a, a[3], &node);

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
	struct node *node;
	int error = lookup_to_change(a, a[4], &node);

	if (error != 0)
		return error;
	error = node_set_owner(node, (uint32_t)a[2], (uint32_t)a[3]);
	node_put(node);
	return error;
}

/* 0: access, 1: modification. Each, in ns since 1970, or TIME_OMIT. */
static int times_read(uint64_t address, uint64_t *ns)
{
	struct timespec times[2] = { { 0, UTIME_NOW }, { 0, UTIME_NOW } };
	int error = address == 0 ? 0 : user_read(current_space(), times, VADDR(address), sizeof(times));

	for (unsigned i = 0; i < 2 && error == 0; i++) {
		bool special = times[i].tv_nsec == UTIME_NOW || times[i].tv_nsec == UTIME_OMIT;

		if (!special && (times[i].tv_nsec < 0 || (uint64_t)times[i].tv_nsec >= NS_PER_SEC))
			return -EINVAL;
		ns[i] = (uint64_t)times[i].tv_sec * NS_PER_SEC + (uint64_t)times[i].tv_nsec;
		if (special)
			ns[i] = times[i].tv_nsec == UTIME_NOW ? TIME_NOW : TIME_OMIT;
	}
	return error;
}

static int64_t volume_seconds(uint64_t ns)
{
	if (ns == TIME_OMIT)
		return -1;
	return (int64_t)((ns == TIME_NOW ? time_realtime_ns() : ns) / NS_PER_SEC);
}

static int node_change_times(struct node *node, const uint64_t *ns)
{
	uint64_t now = time_realtime_ns();
	struct file_stat old;

	if (node->volume != NULL)
		return volume_set_times(node, volume_seconds(ns[1]), volume_seconds(ns[0]));
	if (ns[0] == TIME_OMIT && ns[1] == TIME_OMIT)
		return 0;
	node_stat(node, &old);
	node_set_times(node,
		       ns[0] == TIME_OMIT  ? old.accessed_ns
		       : ns[0] == TIME_NOW ? now
					   : ns[0],
		       ns[1] == TIME_OMIT  ? old.modified_ns
		       : ns[1] == TIME_NOW ? now
					   : ns[1]);
	return 0;
}

int64_t sys_utimensat(const uint64_t *a)
{
	unsigned flags = (uint32_t)a[3];
	struct node *node;
	uint64_t ns[2];
	int error = times_read(a[2], ns);

	if (error != 0)
		return error;
	if ((flags & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH)) != 0)
		return -EINVAL;
	error = a[1] == 0 ? node_of_open((int)a[0], &node) : user_lookup_at((int)a[0], a[1], flags, &node);
	if (error != 0 || node == NULL)
		return error;
	error = node_change_times(node, ns);
	node_put(node);
	return error;
}
