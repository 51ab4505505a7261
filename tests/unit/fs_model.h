/* Random calls on a FAT volume beside a model of what it holds: a tree of at most so many files and directories. */
#ifndef UNIT_FS_MODEL_H
#define UNIT_FS_MODEL_H

#include "tests/unit/fs.h"

#define FSM_DIRS  6 /* 0 is the root */
#define FSM_FILES 24
#define FSM_BYTES 20000
#define FSM_NAME  80

struct fsm_dir {
	bool used;
	unsigned parent;
	char name[FSM_NAME];
	struct fat_node *node;
};

struct fsm_file {
	bool used;
	unsigned dir;
	char name[FSM_NAME];
	uint32_t size;
	uint8_t *data;	       /* FSM_BYTES */
	struct fat_node *node; /* while it is open */
	uint64_t promise;      /* for test_fat_crash.c; 0: none */
};

struct fsm {
	struct fs_disk *disk;
	struct fat_volume *volume;
	struct fsm_dir dir[FSM_DIRS];
	struct fsm_file file[FSM_FILES];
	bool failing; /* calls may fail with EIO or ENOMEM: then everything must be as it was */
	/* Before a call that changes the file, and after one that syncs. */
	void (*before)(struct fsm *m, struct fsm_file *file);
	/* A rename begins: of a file to a name in a directory (NULL: of a directory); it has ended. */
	void (*renaming)(struct fsm *m, struct fsm_file *file, unsigned dir, const char *name);
	void (*renamed)(struct fsm *m);
	void (*synced)(struct fsm *m, struct fsm_file *only);
};

void fsm_start(struct fsm *m, struct fs_disk *disk);
/* One call. 0, or the error that was injected. */
int fsm_step(struct fsm *m);
/* Everything is as the model has it. */
void fsm_compare(struct fsm *m);
/* Puts all nodes, unmounts, mounts again. */
void fsm_remount(struct fsm *m);
void fsm_end(struct fsm *m);
/* The path of a name in a directory. */
void fsm_path(const struct fsm *m, unsigned dir, const char *name, char *path, size_t n);

#endif
