/* Inside of FAT: the volume, its nodes, and what the files fat_*.c offer each other. Not for anybody else. */
#ifndef FS_FAT_VOLUME_H
#define FS_FAT_VOLUME_H

#include "fs/buffer.h"
#include "fs/bytes.h"
#include "fs/fat.h"
#include "fs/fs.h"

#define FAT_MASK	0x0fffffffU
#define FAT_EOC		0x0fffffffU /* what we write at the end of a chain; 0x0ffffff8 and above mean the same */
#define FAT_BAD		0x0ffffff7U
#define FAT_FIRST	2U /* cluster */
#define FAT_DIRECTORY	0x10
#define FAT_LABEL	0x08
#define FAT_LONG	0x0f
#define FAT_SLOT	32U    /* bytes of a directory's slot */
#define FAT_SLOTS_MAX	65536U /* of a directory */
#define FAT_NODE_HASH	512U
#define FAT_LINKS	(FS_ALLOC_MAX / sizeof(struct fat_link))
#define FAT_FREES	(FS_ALLOC_MAX / sizeof(uint32_t))
#define FAT_POINTS	(FS_ALLOC_MAX / sizeof(uint32_t))
#define FAT_UNITS	255
#define FAT_ENTRY_SLOTS 21U

#define FAT_INDEX_LEAST 128U /* slots; smaller directories are searched */
#define FAT_INDEX_PAGES 512U /* of a volume */

/* A change of the FAT that has to wait for others to be durable: cluster's next is to be `next`, FAT_EOC: it ends there. */
struct fat_link {
	uint32_t cluster, next;
};

struct fat_volume {
	struct disk *disk;
	int64_t (*now)(void);
	bool read_only;
	bool was_dirty; /* when mounted: then nobody but fsck may say that it is clean */
	bool marked;	/* we have marked it dirty */
	bool uncounted; /* FSInfo says of us that the free count is unknown */
	bool said;	/* that it is damaged */
	uint32_t sector_bytes, cluster_bytes, cluster_sectors;
	uint32_t fat_start, fat_sectors;
	uint64_t data_start; /* sector of cluster FAT_FIRST */
	uint32_t clusters;
	uint32_t info_sector; /* 0: none */
	uint32_t id;
	uint32_t next_free; /* where to look first */
	uint32_t free;
	bool free_known;
	struct buffers buffers;
	struct fat_link *links; /* logically done, not yet in the buffers */
	uint32_t *frees;	/* first clusters of chains that nobody will name any more after the next commit */
	uint32_t links_count, frees_count;
	struct fat_node *root;
	struct fat_node **nodes; /* by the place of their entry */
	struct list changed;	 /* nodes whose entry on the disk is to be written */
	uint32_t idle;		 /* of these without a reference */
	uint32_t orphans;	 /* unlinked nodes */
	uint64_t next_ino;
	struct list indexed; /* directories that have an index, the last used at the end */
	uint32_t index_pages, index_least;
	uint8_t *bounce; /* a page, for whoever needs one for a moment */
};

struct fat_node {
	struct fat_volume *volume;
	struct fat_node *parent; /* of directories, referenced; the root: NULL */
	struct fat_node *next;
	struct list changed;
	uint64_t ino;
	uint64_t sector; /* where its short entry is */
	uint32_t offset;
	uint32_t refs;
	uint32_t start;	  /* cluster; 0: none */
	uint32_t size;	  /* as programs see it */
	uint32_t written; /* up to here there is content on the disk */
	uint16_t created_time, created_date, accessed_date, time, date;
	uint8_t attributes;
	bool unlinked;
	bool grown; /* by us: what its size does not need is given back at the end */
	/* The chain, once somebody has walked it. points == NULL: it is one run. points[i]: cluster i << shift of the file. */
	bool loaded;
	uint8_t shift;
	uint32_t clusters, last;
	uint32_t *points;
	uint32_t run_file, run_disk, run; /* what was looked up last */
	struct fat_index *index;
	struct list indexed;
};

static inline bool fat_is_directory(const struct fat_node *node)
{
	return (node->attributes & FAT_DIRECTORY) != 0;
}

static inline uint64_t fat_sector(const struct fat_volume *volume, uint32_t cluster)
{
	return volume->data_start + (uint64_t)(cluster - FAT_FIRST) * volume->cluster_sectors;
}

static inline bool fat_in_range(const struct fat_volume *volume, uint32_t cluster)
{
	return cluster >= FAT_FIRST && cluster - FAT_FIRST < volume->clusters;
}

/* Says once a mount that the volume is damaged; -EIO. */
int fat_damaged(struct fat_volume *volume, const char *what);

/* ---- fat_table.c */
/* The next cluster, 0 at the end. Anything else is damage: -EIO. */
int fat_next(struct fat_volume *volume, uint32_t cluster, uint32_t *next) MUST_CHECK;
int fat_set(struct fat_volume *volume, uint32_t cluster, uint32_t value) MUST_CHECK;
/* n clusters in a chain of their own, near goal if that can be. */
int fat_allocate(struct fat_volume *volume, uint32_t goal, uint32_t n, uint32_t *head, uint32_t *tail) MUST_CHECK;
/* The chain's end goes on at next. late: not before a flush, whatever sectors they are in. */
int fat_join(struct fat_volume *volume, uint32_t cluster, uint32_t next, bool late) MUST_CHECK;
struct fat_link *fat_link_find(struct fat_volume *volume, uint32_t cluster);
void fat_link_drop(struct fat_volume *volume, struct fat_link *link);
/* Frees it now: nothing on the disk names it. On an error *head is what is left. */
int fat_free_chain(struct fat_volume *volume, uint32_t *head) MUST_CHECK;
void fat_give_back(struct fat_volume *volume, uint32_t head);
int fat_count_free(struct fat_volume *volume) MUST_CHECK;

/* ---- fat_commit.c */
/* Before any change: -EROFS; marks the volume dirty. */
int fat_begin(struct fat_volume *volume) MUST_CHECK;
int fat_commit_links(struct fat_volume *volume) MUST_CHECK;
int fat_commit(struct fat_volume *volume) MUST_CHECK;
/* fat_clean, and FSInfo has the free count. */
int fat_finish(struct fat_volume *volume) MUST_CHECK;
/* Room in links and frees for one operation. */
int fat_reserve(struct fat_volume *volume) MUST_CHECK;
void fat_free_later(struct fat_volume *volume, uint32_t head);

/* ---- fat_chain.c */
int fat_chain_load(struct fat_node *node) MUST_CHECK;
/* Cluster k of the file, and how many follow it directly, itself included, up to most. Behind the end: -ENXIO. */
int fat_chain_find(struct fat_node *node, uint32_t k, uint32_t most, uint32_t *cluster, uint32_t *run) MUST_CHECK;
int fat_chain_grow(struct fat_node *node, uint32_t clusters) MUST_CHECK;
int fat_chain_cut(struct fat_node *node, uint32_t clusters) MUST_CHECK;
/* The chain `head`, which was joined to its end, is the file's. */
void fat_chain_append(struct fat_node *node, uint32_t head);
void fat_chain_forget(struct fat_node *node);

/* ---- fat_node.c */
struct fat_node *fat_node_new(struct fat_volume *volume, const uint8_t *slot, uint64_t sector, uint32_t offset);
struct fat_node *fat_node_find(struct fat_volume *volume, uint64_t sector, uint32_t offset);
void fat_node_hash(struct fat_node *node);
void fat_node_unhash(struct fat_node *node);
void fat_node_free(struct fat_node *node);
void fat_node_changed(struct fat_node *node);
/* What the entry says of it; durable: no more than what is on the disk. */
void fat_node_store(const struct fat_node *node, uint8_t *slot);
/* Its name is gone; whoever has a reference keeps the clusters. */
void fat_node_unlink(struct fat_node *node);
/* A directory that is going: what is cached of it must not be written over what comes after it. */
void fat_forget_directory(struct fat_node *node);
/* Clusters that the size does not need are given back; if that fails, with the next chance. */
void fat_node_trim(struct fat_node *node);
void fat_stamp(struct fat_node *node);

/* ---- fat_time.c */
void fat_time_put(int64_t seconds, uint16_t *date, uint16_t *time);
int64_t fat_time_get(uint16_t date, uint16_t time);

/* ---- fat_name.c */
struct fat_name {
	uint16_t unit[FAT_UNITS];
	uint16_t units;
	uint8_t alias[11]; /* the short name; with a tail to be chosen when tail is true */
	bool tail;
	bool alone; /* the alias says all: no long name needed */
	bool half;  /* it was given with half a surrogate pair */
};
/* For looking up: only the units. For creating: the rest, too. */
int fat_name_parse(struct fat_name *name, const char *utf8, size_t n) MUST_CHECK;
int fat_name_check(struct fat_name *name) MUST_CHECK;
void fat_name_tail(uint8_t alias[11], uint32_t number);
/* The same for all names that are equal. */
uint32_t fat_name_hash(const uint16_t *unit, unsigned units);
bool fat_name_equal(const struct fat_name *name, const uint16_t *unit, unsigned units);
size_t fat_name_utf8(const uint16_t *unit, unsigned units, char *out);
unsigned fat_alias_units(const uint8_t *slot, uint16_t *unit);
uint8_t fat_alias_sum(const uint8_t alias[11]);

/* ---- fat_slots.c: a directory as slots, and as entries. */
struct fat_entry {
	uint32_t first, slot; /* its first slot, and its short one, which is the last */
	uint64_t sector;      /* where that is */
	uint32_t offset;
	uint16_t units;
	uint16_t unit[FAT_UNITS]; /* the long name, or the short one */
	uint16_t alias_units;
	uint16_t alias_unit[13]; /* the short name in any case */
	uint8_t raw[FAT_SLOT];
};
/* The next entry from *slot on (never the label's); 1, 0 at the end. *slot moves behind it. */
int fat_entry_next(struct fat_node *dir, uint32_t *slot, struct fat_entry *entry) MUST_CHECK;
bool fat_entry_is_dot(const struct fat_entry *entry);
uint32_t fat_entry_start(const uint8_t *raw);

/* Slots of a directory with their buffers held: 21 slots lie in 3 sectors at most. */
struct fat_held {
	struct fat_volume *volume;
	struct buffer *buffer[3];
	uint32_t first, n, buffers;
};
int fat_hold(struct fat_node *dir, uint32_t first, uint32_t n, struct fat_held *held) MUST_CHECK;
uint8_t *fat_held_slot(struct fat_held *held, uint32_t slot);
void fat_held_place(struct fat_held *held, uint32_t slot, uint64_t *sector, uint32_t *offset);
/* changed: all of it is dirty now. */
void fat_release(struct fat_held *held, bool changed);
uint32_t fat_slots_per_sector(const struct fat_volume *volume);
/* A new cluster of a directory: zeroes, but for what `slots` (NULL: nothing) begins with. Written to the disk at once. */
int fat_clear_cluster(struct fat_volume *volume, uint32_t cluster, const uint8_t *slots, size_t n) MUST_CHECK;

/* ---- fat_dir.c */
/* Entry by name: 1, 0 when there is none. */
int fat_find(struct fat_node *dir, const struct fat_name *name, struct fat_entry *entry) MUST_CHECK;
/* Where a new entry goes. reuse: an entry whose slots count as free, or NULL. Chooses the alias's tail. */
struct fat_room {
	uint32_t first, n; /* slots */
	uint32_t end;	   /* the directory's first slot that was never used */
};
int fat_make_room(struct fat_node *dir, struct fat_name *name, const struct fat_entry *reuse, struct fat_room *room)
	MUST_CHECK;
/* Writes the entry; raw's name is the name's. Where the short slot went is in entry's sector, offset, first and slot. */
int fat_add(struct fat_node *dir, const struct fat_name *name, const struct fat_room *room, const uint8_t *raw,
	    struct fat_entry *entry) MUST_CHECK;
int fat_remove(struct fat_node *dir, const struct fat_entry *entry) MUST_CHECK;
int fat_node_of(struct fat_node *dir, const struct fat_entry *entry, struct fat_node **out) MUST_CHECK;
int fat_is_empty(struct fat_node *dir) MUST_CHECK; /* 1, 0 */
/* Slots that a directory whose chain is loaded has room for. */
uint32_t fat_capacity(const struct fat_node *dir);

/* ---- fat_index.c */
/* Before dir is looked into: dir->index, or NULL where the directory is small, or cannot be indexed. */
void fat_index_load(struct fat_node *dir);
void fat_index_drop(struct fat_node *dir);
/* The first slot of the next entry whose long or short name may have this hash. *at: 0 at first. [dir->index] */
bool fat_index_next(const struct fat_node *dir, uint32_t hash, uint32_t *at, uint32_t *first);
/* room->n free slots in one sector, or, where they are too many, anywhere; else room->end alone. [dir->index] */
bool fat_index_room(const struct fat_node *dir, struct fat_room *room);
/* The directory has changed: an entry with both of its names; slots alone. */
void fat_index_add(struct fat_node *dir, const struct fat_entry *entry);
void fat_index_remove(struct fat_node *dir, const struct fat_entry *entry);
void fat_index_use(struct fat_node *dir, uint32_t first, uint32_t last);

/* ---- fat_file.c */
/* What was never written becomes 0 on the disk, up to this offset. */
int fat_fill(struct fat_node *node, uint32_t to) MUST_CHECK;

#endif
