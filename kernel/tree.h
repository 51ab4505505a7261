/*
 * The file tree: directories, regular files, symbolic links, devices and what /proc makes up. It all lives in memory; what
 * came with the initramfs reads its bytes from there, page by page, when they are first wanted.
 *
 * Locks: one for the whole tree (RANK_FILE), taken inside by all but the _locked ones. Fields below that say [tree] are
 * under it; the rest never changes once the node can be found.
 *
 * Counts: whoever holds a struct node * holds one: names, open files, cwds, and children their parent's.
 */
#ifndef KERNEL_TREE_H
#define KERNEL_TREE_H

#include "kernel/file.h"
#include "kernel/mutex.h"
#include "lib/list.h"
#include "lib/types.h"

#define PATH_MAX  4096U /* with the final 0 */
#define NAME_MAX  255U
#define NAME_MOST 765U /* on a volume, whose names are 255 units of UTF-16 */
#define LINKS_MAX 40U  /* symbolic links that one walk follows */

#define MAGIC_NAME 24U /* the longest name that /proc makes up, with its 0 */

#define S_IFMT	 0170000U
#define S_IFSOCK 0140000U
#define S_IFLNK	 0120000U
#define S_IFREG	 0100000U
#define S_IFBLK	 0060000U
#define S_IFDIR	 0040000U
#define S_IFCHR	 0020000U
#define S_IFIFO	 0010000U

struct node;
struct process;
struct text;
struct volume;

/* A name in a directory. */
struct entry {
	struct list link;    /* of the directory, in the order they were made [tree] */
	struct entry *chain; /* of the directory's hash bucket [tree] */
	struct node *directory;
	struct node *node; /* counted */
	uint64_t cookie;   /* its place, for getdents */
	uint32_t hash;
	uint32_t name_bytes;
	char name[]; /* ends with a 0 */
};

struct node_directory {
	struct node *parent;   /* counted, but for the root's, which is itself [tree] */
	struct list entries;   /* [tree] */
	struct entry *found;   /* by the last tree_next_locked, or what stands behind it by now; NULL: none [tree] */
	struct entry **bucket; /* [tree] */
	uint32_t buckets;      /* a power of two; 0: none yet [tree] */
	uint32_t count;	       /* [tree] */
	uint64_t next_cookie;  /* [tree] */
	bool removed;	       /* rmdir was here: nothing can be added [tree] */
};

/* A regular file with content of its own. */
struct node_regular {
	struct mutex mutex;    /* regular.c says over what */
	struct object *object; /* made when first wanted [tree] */
	const void *source;    /* its bytes in the initramfs, or NULL [tree] */
	uint64_t bytes;	       /* of source [tree] */
	uint32_t writers;      /* open files that may write [tree] */
	uint32_t seals;	       /* F_SEAL_* [tree and mutex] */
	bool sealable;	       /* made by memfd_create with MFD_ALLOW_SEALING; before it can be found */
	uint32_t runs; /* processes that execute it: while there are any, nobody may write, and the reverse [tree] */
};

/* A name that a directory makes up. */
struct magic_name {
	char name[MAGIC_NAME];
	uint64_t next; /* where to go on */
	uint8_t type;  /* S_IFMT >> 12 */
};

/* What a node of /proc makes up. All are called with no lock held. */
struct node_magic {
	/* Directories: what a name that is not among the entries leads to, counted for the caller. -ENOENT... */
	int (*lookup)(struct node *directory, const char *name, struct node **out);
	/* The first name at or behind `from`; false: none. */
	bool (*next)(struct node *directory, uint64_t from, struct magic_name *out);
	/* Links: what readlink says: its length, without a 0 at the end. */
	int64_t (*text)(struct node *link, char *out, uint64_t bytes);
	/* What the link leads to, whatever its text says; absent: the text is followed. */
	int (*jump)(struct node *link, struct node **out);
};

struct node {
	_Atomic uint32_t count;
	uint32_t mode;	   /* S_IF* never changes; the permission bits do [tree] */
	uint32_t links;	   /* [tree] */
	uint32_t uid, gid; /* [tree] */
	uint64_t inode;
	uint64_t rdev;
	_Atomic uint64_t accessed_ns, modified_ns, changed_ns; /* since 1970: node.c */
	bool fixed;					       /* can be neither removed nor renamed */
	bool closed;					       /* a directory in which nothing can be made */
	char label[MAGIC_NAME]; /* of a made-up directory: its name, as it has no entry */
	const struct node_magic *magic;
	uint32_t pid, number;	    /* of made-up nodes: whose, and which */
	struct entry *entry;	    /* a name of it, the last one given; NULL: none [tree] */
	const struct file_ops *ops; /* of devices and made-up files; NULL: what its S_IF* says */
	char *name; /* on a volume as it was found there [volume's mutex and tree]; a memfd's, which never changes; or NULL */
	/* On a mounted volume (volume.h), where the tree has no entries for what is there: */
	struct volume *volume; /* NULL: this is none of these */
	struct node *up; /* the directory it is in, counted; NULL: it is the volume's root [volume's mutex and tree] */
	union {
		struct node_directory directory;
		struct node_regular regular;
		struct {
			char *target; /* kalloc'd; NULL: magic says */
		} link;
		struct {
			struct pipe *pipe; /* as long as the node */
			bool nameless;	   /* made by pipe2 */
		} fifo;
		struct { /* ops == &proc_ops: writes the content */
			void (*text)(struct text *text);
			void (*of)(struct text *text, struct process *process); /* where pid is not 0 */
			int (*of_number)(struct text *text, struct process *process, uint32_t number); /* or of this */
		} made;
		uint64_t space; /* /proc/PID/mem: the serial number of the space that it is of */
	};
};

/* Starts with the root alone. 0 or -ENOMEM. */
int tree_init(void) MUST_CHECK;

void tree_enter(void);
void tree_leave(void);

static inline bool node_is(const struct node *node, unsigned type)
{
	return (node->mode & S_IFMT) == type;
}

/* All but the kinds' own parts; with one count. */
void node_init(struct node *node, unsigned mode);
/* A node that nothing names yet, with one count. */
int node_create(unsigned mode, struct node **out) MUST_CHECK;
int node_create_link(const char *target, size_t bytes, struct node **out) MUST_CHECK;
/* atime and mtime, and ctime is now; mtime and ctime are now; ctime is. With or without the tree's lock. */
void node_set_times(struct node *node, uint64_t accessed_ns, uint64_t modified_ns);
void node_stamp(struct node *node);
void node_stamp_change(struct node *node);
/* Its content was read. */
void node_accessed(struct node *node);
/* The caller's count goes on. -ENOMEM, -EEXIST, -ENOENT: the directory was removed. */
int tree_add_locked(struct node *directory, const char *name, size_t bytes, struct node *node) MUST_CHECK;
struct entry *tree_find_locked(struct node *directory, const char *name, size_t bytes);
/* The name goes; its count of the node is the caller's, to put outside of the lock. The entry is freed. */
struct node *tree_remove_locked(struct entry *entry);
/* Moves a name; what had the new one goes: *old, counted, or NULL. */
int tree_rename_locked(struct entry *entry, struct node *directory, const char *name, size_t bytes, struct node **old)
	MUST_CHECK;
/* The first entry whose cookie is not below this; NULL: none. */
struct entry *tree_next_locked(struct node *directory, uint64_t cookie);

/* What an object is wanted for. NODE_WRITE and NODE_RUN exclude each other: -ETXTBSY; each that was granted ends with node_done. */
enum node_use { NODE_READ, NODE_WRITE, NODE_RUN };
/* The object of a regular file, with a reference for the caller. */
int node_object(struct node *node, enum node_use use, struct object **out) MUST_CHECK;
void node_done(struct node *node, enum node_use use);
/* For O_TRUNC: regular files alone. An object that nobody else has open or mapped is replaced, so its memory comes back. */
int node_truncate(struct node *node) MUST_CHECK;

/* ---- Seals: seal.c. */

#define F_SEAL_SEAL	    1U
#define F_SEAL_SHRINK	    2U
#define F_SEAL_GROW	    4U
#define F_SEAL_WRITE	    8U
#define F_SEAL_FUTURE_WRITE 16U
#define F_SEAL_EXEC	    32U

/* [tree or mutex] Whether a regular file of that size may be written to, up to `end`; made `bytes` long. 0 or -EPERM. */
int seal_write(const struct node *node, uint64_t size, uint64_t end) MUST_CHECK;
int seal_resize(const struct node *node, uint64_t size, uint64_t bytes) MUST_CHECK;
/* [tree] Whether any node may have this mode from now on. */
int seal_mode_locked(const struct node *node, uint32_t mode) MUST_CHECK;
int64_t file_seals(struct file *file);
int64_t file_add_seals(struct file *file, uint64_t seals);
void node_stat(struct node *node, struct file_stat *out);

/* ---- Walking paths: path.c. */

#define WALK_FOLLOW 1U /* also where the last name is a symbolic link */
#define WALK_CREATE 2U /* the last name may be missing: then node is NULL, and parent and name say what to make */

struct walk {
	struct node *parent;	  /* counted; NULL when the path has no last name: "/", ".", ".." */
	struct node *node;	  /* counted */
	char name[NAME_MOST + 1]; /* the last one, "." or ".." included; empty for "/" */
	uint32_t name_bytes;
	bool slash; /* a slash behind the last name: only a directory will do */
};

/* From `from` (counted by the caller) on. path: a kernel string. 0, -ENOENT, -ENOTDIR, -ELOOP, -ENAMETOOLONG. */
int path_walk(struct node *from, const char *path, unsigned flags, struct walk *out) MUST_CHECK;
void walk_done(struct walk *walk);

/* Where a walk came to no node: makes `node`'s name there; on a volume a file or directory like it. -EEXIST, -EPERM, -EROFS ... */
int walk_add(const struct walk *walk, struct node *node) MUST_CHECK;

/* Only the node. */
int path_lookup(struct node *from, const char *path, unsigned flags, struct node **out) MUST_CHECK;

/* ---- Opening: open.c. */

int path_open(struct node *from, const char *path, unsigned flags, unsigned mode, struct file **out) MUST_CHECK;
/* An open file of this node; its count goes on. */
int node_open(struct node *node, unsigned flags, struct file **out) MUST_CHECK;

extern const struct file_ops regular_ops; /* regular.c */
/* ioctl(FICLONE, FICLONERANGE) on dst: reflink.c. */
#define FICLONE	     0x40049409U
#define FICLONERANGE 0x4020940dU
int64_t file_clone(struct file *dst, uint64_t request, uint64_t argument);
/* FALLOC_FL_PUNCH_HOLE, for files with regular_ops. 0, -EPERM: a seal; -ENOMEM. */
int regular_punch(struct file *file, uint64_t offset, uint64_t bytes) MUST_CHECK;
extern const struct file_ops directory_ops; /* directory.c */
extern const struct file_ops path_ops;	    /* open.c: O_PATH */

/* ---- What fills the tree. */

/* Ends the machine with one line where the archive is bad. 0 or -ENOMEM. */
int initramfs_load(const void *bytes, uint64_t total) MUST_CHECK;
int dev_init(void) MUST_CHECK;			 /* dev.c: /dev */
int proc_init(void) MUST_CHECK;			 /* proc.c: /proc */
int proc_pid_init(struct node *root) MUST_CHECK; /* proc_pid.c: what is in it of each process */
extern const struct file_ops proc_ops;
/* Link text in full: the tree's or /proc's. Its length. */
int64_t node_link_text(struct node *link, char *out, uint64_t bytes) MUST_CHECK;
/* The ops of a device node by its number; NULL: there is no such device. */
const struct file_ops *dev_ops(uint64_t rdev);
/* Makes directories as needed: "/a/b" and a file b of this node, unless it exists (then -EEXIST). */
int tree_place(const char *path, struct node *node) MUST_CHECK;

#define DEVICE(major, minor)                                                                                           \
	(((uint64_t)(major) << 8) | (minor)) /* as stat shows it, for majors below 4096, minors below 256 */

#endif
