/*
 * Power cuts. Random calls are logged, write by write and flush by flush; then for moments between any two flushes the disk is
 * put together as it may be: all that was flushed, and any of what was written since. Each such disk is checked: nothing but
 * lost clusters, every synced byte there; and then mounted, written to, and checked again. Two names for one file are
 * allowed while it is being renamed, and only then.
 */
#include "tests/unit/fs_model.h"

#define PROMISES     20000
#define RENAME_BEGIN (UINT64_MAX - 1)
#define RENAME_END   (UINT64_MAX - 2)

struct promise {
	char path[300], other[300]; /* under one of these */
	uint32_t size;
	uint8_t *data;
	bool active;
};

static struct promise *promises;
static uint64_t promised;
static unsigned renames, cuts, longer, lost, twice;

static void release(struct fsm *m, struct fsm_file *file)
{
	if (file->promise != 0)
		fs_disk_event(m->disk, FS_RELEASE, file->promise);
	file->promise = 0;
}

static struct promise *promise(struct fsm *m, struct fsm_file *file)
{
	struct promise *p;

	release(m, file);
	assert_true(promised + 1 < PROMISES);
	p = &promises[++promised];
	file->promise = promised;
	p->size = file->size;
	p->data = malloc(file->size + 1U);
	memcpy(p->data, file->data, file->size);
	fsm_path(m, file->dir, file->name, p->path, sizeof(p->path));
	strcpy(p->other, p->path);
	return p;
}

static void synced(struct fsm *m, struct fsm_file *only)
{
	for (unsigned i = 0; i < FSM_FILES; i++)
		if (m->file[i].used && (only == NULL || only == &m->file[i])) {
			(void)promise(m, &m->file[i]);
			fs_disk_event(m->disk, FS_PROMISE, promised);
		}
}

static void renaming(struct fsm *m, struct fsm_file *file, unsigned dir, const char *name)
{
	bool again = file != NULL && file->promise != 0 &&
		     strcmp(promises[file->promise].path, promises[file->promise].other) != 0;

	/* Renamed twice since a sync: it may have a third name. */
	if (again)
		release(m, file);
	if (file != NULL && file->promise != 0) {
		struct promise *p = promise(m, file);

		fsm_path(m, dir, name, p->other, sizeof(p->other));
		fs_disk_event(m->disk, FS_PROMISE, promised);
	}
	fs_disk_event(m->disk, FS_PROMISE, RENAME_BEGIN);
}

static void renamed(struct fsm *m)
{
	fs_disk_event(m->disk, FS_PROMISE, RENAME_END);
}

/* Whether the file of that name is as promised. */
static bool is_kept(struct fat_volume *volume, const char *path, const struct promise *p)
{
	uint8_t *data = malloc(p->size + 1U);
	struct fat_node *node;
	size_t done = 0;
	bool same = false;
	int error;

	node = fs_open(volume, path, &error);
	if (node != NULL) {
		assert_int_equal(fat_read(node, 0, data, p->size + 1U, &done), 0);
		same = done == p->size && memcmp(data, p->data, done) == 0;
		fat_put(node);
	}
	free(data);
	return same;
}

/* One that was renamed since has either name; then a new file may have the old one. */
static void expect_promise(struct fat_volume *volume, const struct promise *p)
{
	bool kept = is_kept(volume, p->path, p) || (p->other[0] != 0 && is_kept(volume, p->other, p));

	if (!kept)
		printf("%s (%s): not the %u bytes that were promised\n", p->path, p->other, p->size);
	assert_true(kept);
}

static void check(const struct fs_disk *disk, bool tolerant)
{
	struct fs_found found;

	if (!fs_check(disk, tolerant, &found))
		printf("%s\n", found.problem);
	assert_string_equal(found.problem, "");
	lost += found.lost != 0;
	longer += found.longer != 0;
	twice += found.twice != 0;
}

/* What a power cut left goes on being used. */
static void go_on(struct fat_volume *volume)
{
	static uint8_t data[9000];
	struct fat_node *node = NULL;

	assert_int_equal(fat_create(fat_root(volume), "after the cut", 13, &node), 0);
	assert_int_equal(fat_write(node, 0, data, sizeof(data)), 0);
	fat_put(node);
	assert_int_equal(fat_mkdir(fat_root(volume), "dir after", 9, NULL), 0);
}

static void check_cut(struct fs_disk *cut, bool tolerant)
{
	struct fat_volume *volume;

	check(cut, tolerant);
	if (!tolerant && cuts % 40 == 0)
		fs_fsck(cut, true);
	volume = fs_mount(cut);
	for (uint64_t i = 1; i <= promised; i++)
		if (promises[i].active)
			expect_promise(volume, &promises[i]);
	go_on(volume);
	fs_unmount(volume);
	check(cut, tolerant);
	cuts++;
}

static void apply(struct fs_disk *to, const struct fs_log *log)
{
	memcpy(to->data + log->sector * to->disk.sector_bytes, log->data, to->disk.sector_bytes);
}

/* Events [from, at) since the last flush; `stable` is what had been flushed then. */
static void cut_at(const struct fs_disk *log, const struct fs_disk *stable, size_t from, size_t at, bool tolerant)
{
	static const unsigned chance[] = { 10, 50, 90, 100 };
	unsigned percent = chance[fake_below(ARRAY_LEN(chance))];
	struct fs_disk *cut = fs_disk_new(stable->disk.sectors, stable->disk.sector_bytes);

	memcpy(cut->data, stable->data, stable->disk.sectors * stable->disk.sector_bytes);
	for (size_t i = from; i < at; i++)
		if (log->log[i].event == FS_WRITE && fake_below(100) < percent)
			apply(cut, &log->log[i]);
	check_cut(cut, tolerant);
	fs_disk_free(cut);
}

static void note(const struct fs_log *log)
{
	if (log->event == FS_RELEASE)
		promises[log->sector].active = false;
	else if (log->event == FS_PROMISE && log->sector == RENAME_BEGIN)
		renames++;
	else if (log->event == FS_PROMISE && log->sector == RENAME_END)
		renames--;
	else if (log->event == FS_PROMISE)
		promises[log->sector].active = true;
}

static void replay(struct fs_disk *log, struct fs_disk *stable, unsigned one_in)
{
	size_t from = 0;

	renames = 0;
	for (size_t i = 0; i < log->events; i++) {
		note(&log->log[i]);
		if (log->log[i].event == FS_WRITE && fake_below(one_in) == 0)
			cut_at(log, stable, from, i + 1, renames != 0);
		if (log->log[i].event != FS_FLUSH)
			continue;
		if (fake_below(one_in) == 0)
			cut_at(log, stable, from, i, renames != 0);
		for (; from < i; from++)
			if (log->log[from].event == FS_WRITE)
				apply(stable, &log->log[from]);
	}
}

static void run(uint64_t sectors, uint32_t bytes, const char *options, unsigned steps)
{
	struct fs_disk *disk = fs_mkfs(sectors, bytes, options), *stable = fs_disk_new(sectors, bytes);
	struct fsm m;

	promises = calloc(PROMISES, sizeof(*promises));
	promised = 0;
	memcpy(stable->data, disk->data, sectors * bytes);
	fsm_start(&m, disk);
	m.before = release;
	m.synced = synced;
	m.renaming = renaming;
	m.renamed = renamed;
	disk->logging = true;
	for (unsigned i = 0; i < steps; i++)
		(void)fsm_step(&m);
	disk->logging = false;
	fsm_end(&m);
	replay(disk, stable, 12);
	for (uint64_t i = 1; i <= promised; i++)
		free(promises[i].data);
	free(promises);
	fs_disk_free(disk);
	fs_disk_free(stable);
	printf("%u power cuts: %u with lost clusters, %u with longer chains, %u with two names\n", cuts, lost, longer,
	       twice);
	assert_true(cuts > steps / 20 && lost > 0 && longer > 0);
}

static void small_clusters(void **state)
{
	(void)state;
	(void)unit_seed();
	run(3000, 512, "-F 32 -s 1", unit_steps(1500));
}

static void large_clusters(void **state)
{
	(void)state;
	(void)unit_seed();
	run(6000, 512, "-F 32 -s 8 -f 1", unit_steps(1500));
}

static void large_sectors(void **state)
{
	(void)state;
	(void)unit_seed();
	run(1500, 4096, "-F 32 -s 1", unit_steps(1000));
}

static const struct CMUnitTest tests[] = { UNIT_TEST(small_clusters), UNIT_TEST(large_clusters),
					   UNIT_TEST(large_sectors) };

UNIT_MAIN("fat_crash", tests)
