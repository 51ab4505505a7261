/* See fs_model.h. */
#include "tests/unit/fs_model.h"

static bool injected(const struct fsm *m, int error)
{
	return m->failing && (error == -EIO || error == -ENOMEM);
}

/* What the call said is what the model says, or was injected. True: it was done. */
static bool expect(const struct fsm *m, int got, int want, const char *what)
{
	if (injected(m, got))
		return false;
	if (got != want)
		printf("%s: %d, not %d\n", what, got, want);
	assert_int_equal(got, want);
	return got == 0;
}

static void make_name(char *name)
{
	static const char *const kind[] = { "F%u", "file%u.txt", "A name that is long enough for several slots %u.text",
					    "m%uxed Case.Tar.gz", "gr\303\274n %u" };

	snprintf(name, FSM_NAME, kind[fake_below(ARRAY_LEN(kind))], (unsigned)fake_below(30));
}

static unsigned random_dir(const struct fsm *m)
{
	unsigned i;

	do {
		i = (unsigned)fake_below(FSM_DIRS);
	} while (!m->dir[i].used);
	return i;
}

static struct fsm_file *random_file(struct fsm *m)
{
	for (unsigned tries = 0; tries < 50; tries++) {
		struct fsm_file *file = &m->file[fake_below(FSM_FILES)];

		if (file->used)
			return file;
	}
	return NULL;
}

static struct fsm_file *find_file(struct fsm *m, unsigned dir, const char *name)
{
	for (unsigned i = 0; i < FSM_FILES; i++)
		if (m->file[i].used && m->file[i].dir == dir && strcasecmp(m->file[i].name, name) == 0)
			return &m->file[i];
	return NULL;
}

static int find_dir(struct fsm *m, unsigned dir, const char *name)
{
	for (unsigned i = 1; i < FSM_DIRS; i++)
		if (m->dir[i].used && m->dir[i].parent == dir && strcasecmp(m->dir[i].name, name) == 0)
			return (int)i;
	return -1;
}

static void before(struct fsm *m, struct fsm_file *file)
{
	if (m->before != NULL)
		m->before(m, file);
}

static int open_file(struct fsm *m, struct fsm_file *file)
{
	int error = 0;

	if (file->node == NULL)
		error = fat_lookup(m->dir[file->dir].node, file->name, strlen(file->name), &file->node);
	if (error != 0)
		file->node = NULL;
	return error;
}

static void close_file(struct fsm_file *file)
{
	if (file->node != NULL)
		fat_put(file->node);
	file->node = NULL;
}

static int do_create(struct fsm *m)
{
	unsigned dir = random_dir(m), i = 0;
	struct fat_node *node = NULL;
	char name[FSM_NAME];
	int error;

	while (i < FSM_FILES && m->file[i].used)
		i++;
	if (i == FSM_FILES)
		return 0;
	make_name(name);
	error = fat_create(m->dir[dir].node, name, strlen(name), &node);
	if (!expect(m, error, find_file(m, dir, name) != NULL || find_dir(m, dir, name) >= 0 ? -EEXIST : 0, "create"))
		return error;
	m->file[i] = (struct fsm_file){ .used = true, .dir = dir, .data = m->file[i].data, .node = node };
	strcpy(m->file[i].name, name);
	return 0;
}

static int do_mkdir(struct fsm *m)
{
	unsigned dir = random_dir(m), i = 1;
	struct fat_node *node = NULL;
	char name[FSM_NAME];
	int error;

	while (i < FSM_DIRS && m->dir[i].used)
		i++;
	if (i == FSM_DIRS)
		return 0;
	make_name(name);
	error = fat_mkdir(m->dir[dir].node, name, strlen(name), &node);
	if (!expect(m, error, find_file(m, dir, name) != NULL || find_dir(m, dir, name) >= 0 ? -EEXIST : 0, "mkdir"))
		return error;
	m->dir[i] = (struct fsm_dir){ .used = true, .parent = dir, .node = node };
	strcpy(m->dir[i].name, name);
	return 0;
}

static int do_rmdir(struct fsm *m)
{
	unsigned dir = random_dir(m);
	bool empty = true;
	int error;

	if (dir == 0)
		return 0;
	for (unsigned i = 0; i < FSM_FILES; i++)
		empty = empty && !(m->file[i].used && m->file[i].dir == dir);
	for (unsigned i = 1; i < FSM_DIRS; i++)
		empty = empty && !(m->dir[i].used && m->dir[i].parent == dir);
	error = fat_rmdir(m->dir[m->dir[dir].parent].node, m->dir[dir].name, strlen(m->dir[dir].name));
	if (!expect(m, error, empty ? 0 : -ENOTEMPTY, "rmdir"))
		return error;
	fat_put(m->dir[dir].node);
	m->dir[dir].used = false;
	return 0;
}

static int do_unlink(struct fsm *m)
{
	struct fsm_file *file = random_file(m);
	int error;

	if (file == NULL)
		return 0;
	before(m, file);
	error = fat_unlink(m->dir[file->dir].node, file->name, strlen(file->name));
	if (!expect(m, error, 0, "unlink"))
		return error;
	close_file(file);
	file->used = false;
	return 0;
}

/* What a write that failed left is what the file has now; behind the old size nothing. */
static void learn(struct fsm *m, struct fsm_file *file)
{
	bool failing = m->failing;
	uint64_t fail_in = m->disk->fail_in, alloc_in = fs_alloc_fail_in;
	size_t done;

	m->disk->fail_in = 0;
	fs_alloc_fail_in = 0;
	assert_int_equal(fat_read(file->node, 0, file->data, FSM_BYTES, &done), 0);
	assert_int_equal(done, file->size);
	m->disk->fail_in = fail_in;
	fs_alloc_fail_in = alloc_in;
	m->failing = failing;
}

static int do_write(struct fsm *m)
{
	struct fsm_file *file = random_file(m);
	uint32_t at, n, most;
	uint8_t *data;
	int error;

	if (file == NULL)
		return 0;
	error = open_file(m, file);
	if (!expect(m, error, 0, "open"))
		return error;
	at = (uint32_t)fake_below(fake_below(4) == 0 ? FSM_BYTES : file->size + 1);
	most = fake_below(3) == 0 ? FSM_BYTES : 2000U;
	n = (uint32_t)fake_below(MIN(FSM_BYTES - at, most) + 1);
	data = malloc(n + 1);
	for (uint32_t i = 0; i < n; i++)
		data[i] = (uint8_t)fake_random();
	before(m, file);
	error = fat_write(file->node, at, data, n);
	if (expect(m, error, 0, "write")) {
		if (at > file->size)
			memset(file->data + file->size, 0, at - file->size);
		memcpy(file->data + at, data, n);
		file->size = at + n > file->size ? at + n : file->size;
	} else {
		learn(m, file);
	}
	free(data);
	return error;
}

static int do_truncate(struct fsm *m)
{
	struct fsm_file *file = random_file(m);
	uint32_t size = (uint32_t)fake_below(fake_below(3) == 0 ? 1500 : FSM_BYTES);
	int error;

	if (file == NULL)
		return 0;
	error = open_file(m, file);
	if (!expect(m, error, 0, "open"))
		return error;
	before(m, file);
	error = fat_truncate(file->node, size);
	if (!expect(m, error, 0, "truncate"))
		return error;
	if (size > file->size)
		memset(file->data + file->size, 0, size - file->size);
	file->size = size;
	return 0;
}

static int do_rename(struct fsm *m)
{
	struct fsm_file *file = random_file(m), *target;
	unsigned dir = fake_below(2) == 0 && file != NULL ? file->dir : random_dir(m);
	char name[FSM_NAME];
	int error, want = 0;

	if (file == NULL)
		return 0;
	make_name(name);
	target = find_file(m, dir, name);
	if (find_dir(m, dir, name) >= 0)
		want = -EISDIR;
	for (unsigned up = file->dir; up != 0; up = m->dir[up].parent)
		want = (int)up == find_dir(m, dir, name) ? -ENOTEMPTY : want;
	if (target != NULL && target != file)
		before(m, target);
	if (m->renaming != NULL)
		m->renaming(m, file, dir, target != NULL ? target->name : name);
	error = fat_rename(&(struct fat_place){ m->dir[file->dir].node, file->name, strlen(file->name) },
			   &(struct fat_place){ m->dir[dir].node, name, strlen(name) }, false);
	if (m->renamed != NULL)
		m->renamed(m);
	if (!expect(m, error, want, "rename"))
		return error;
	if (target != NULL && target != file) {
		close_file(target);
		target->used = false;
		strcpy(name, target->name); /* it keeps its case */
	}
	file->dir = dir;
	strcpy(file->name, name);
	return 0;
}

static int do_move_dir(struct fsm *m)
{
	unsigned from = random_dir(m), to = random_dir(m);
	char name[FSM_NAME];
	int error, want = 0;

	if (from == 0)
		return 0;
	make_name(name);
	for (unsigned up = to; up != 0; up = m->dir[up].parent)
		want = up == from ? -EINVAL : want;
	if (find_file(m, to, name) != NULL || find_dir(m, to, name) >= 0)
		return 0;
	for (unsigned i = 0; i < FSM_FILES; i++)
		if (m->file[i].used)
			before(m, &m->file[i]);
	if (m->renaming != NULL)
		m->renaming(m, NULL, to, name);
	error = fat_rename(
		&(struct fat_place){ m->dir[m->dir[from].parent].node, m->dir[from].name, strlen(m->dir[from].name) },
		&(struct fat_place){ m->dir[to].node, name, strlen(name) }, false);
	if (m->renamed != NULL)
		m->renamed(m);
	if (!expect(m, error, want, "rename of a directory"))
		return error;
	m->dir[from].parent = to;
	strcpy(m->dir[from].name, name);
	return 0;
}

static int compare_file(struct fsm *m, struct fsm_file *file)
{
	uint8_t *data = malloc(FSM_BYTES + 1);
	size_t done = 0;
	int error = open_file(m, file);

	if (error == 0)
		error = fat_read(file->node, 0, data, FSM_BYTES + 1, &done);
	if (expect(m, error, 0, "read")) {
		assert_int_equal(done, file->size);
		assert_memory_equal(data, file->data, done);
	}
	free(data);
	return error;
}

static int do_sync(struct fsm *m)
{
	struct fsm_file *file = fake_below(2) == 0 ? random_file(m) : NULL;
	int error;

	if (file != NULL && file->node != NULL)
		error = fat_sync_node(file->node);
	else
		error = fake_below(3) == 0 ? fat_clean(m->volume) : fat_sync(m->volume);
	if (expect(m, error, 0, "sync") && m->synced != NULL)
		m->synced(m, file != NULL && file->node != NULL ? file : NULL);
	return error;
}

int fsm_step(struct fsm *m)
{
	struct fsm_file *file;

	switch (fake_below(20)) {
	case 0:
	case 1:
	case 2:
		return do_create(m);
	case 3:
		return do_unlink(m);
	case 4:
		return do_mkdir(m);
	case 5:
		return fake_below(3) == 0 ? do_rmdir(m) : do_move_dir(m);
	case 6:
	case 7:
		return do_rename(m);
	case 8:
	case 9:
		return do_truncate(m);
	case 10:
	case 11:
		return do_sync(m);
	case 12:
		file = random_file(m);
		if (file != NULL)
			close_file(file);
		return 0;
	case 13:
		file = random_file(m);
		return file == NULL ? 0 : compare_file(m, file);
	default:
		return do_write(m);
	}
}

void fsm_compare(struct fsm *m)
{
	struct fat_dirent *ent = malloc(sizeof(*ent));

	for (unsigned i = 0; i < FSM_FILES; i++)
		if (m->file[i].used)
			assert_int_equal(compare_file(m, &m->file[i]), 0);
	for (unsigned dir = 0; dir < FSM_DIRS; dir++) {
		uint32_t cursor = 0, found = 0, want = 0;

		while (m->dir[dir].used && fat_readdir(m->dir[dir].node, &cursor, ent) == 1) {
			struct fsm_file *file = find_file(m, dir, ent->name);

			found++;
			if (ent->directory)
				assert_true(find_dir(m, dir, ent->name) > 0);
			else
				assert_true(file != NULL && strcmp(file->name, ent->name) == 0);
		}
		for (unsigned i = 0; i < FSM_FILES; i++)
			want += m->file[i].used && m->file[i].dir == dir;
		for (unsigned i = 1; i < FSM_DIRS; i++)
			want += m->dir[i].used && m->dir[i].parent == dir;
		assert_true(!m->dir[dir].used || found == want);
	}
	free(ent);
}

void fsm_start(struct fsm *m, struct fs_disk *disk)
{
	*m = (struct fsm){ .disk = disk, .volume = fs_mount(disk) };
	m->dir[0] = (struct fsm_dir){ .used = true, .node = fat_root(m->volume) };
	for (unsigned i = 0; i < FSM_FILES; i++)
		m->file[i].data = malloc(FSM_BYTES);
}

static void put_all(struct fsm *m)
{
	for (unsigned i = 0; i < FSM_FILES; i++)
		if (m->file[i].used)
			close_file(&m->file[i]);
	for (unsigned i = 1; i < FSM_DIRS; i++)
		if (m->dir[i].used)
			fat_put(m->dir[i].node);
}

static void open_dir(struct fsm *m, unsigned i)
{
	struct fsm_dir *dir = &m->dir[i];

	if (i == 0) {
		dir->node = fat_root(m->volume);
	} else if (dir->used && dir->node == NULL) {
		open_dir(m, dir->parent);
		assert_int_equal(fat_lookup(m->dir[dir->parent].node, dir->name, strlen(dir->name), &dir->node), 0);
	}
}

void fsm_remount(struct fsm *m)
{
	put_all(m);
	fs_unmount(m->volume);
	m->volume = fs_mount(m->disk);
	for (unsigned i = 0; i < FSM_DIRS; i++)
		m->dir[i].node = NULL;
	for (unsigned i = 0; i < FSM_DIRS; i++)
		open_dir(m, i);
}

void fsm_end(struct fsm *m)
{
	put_all(m);
	fs_unmount(m->volume);
	for (unsigned i = 0; i < FSM_FILES; i++)
		free(m->file[i].data);
}

void fsm_path(const struct fsm *m, unsigned dir, const char *name, char *path, size_t n)
{
	char rest[1000];

	snprintf(path, n, "%s", name);
	for (; dir != 0; dir = m->dir[dir].parent) {
		snprintf(rest, sizeof(rest), "%s/%s", m->dir[dir].name, path);
		snprintf(path, n, "%s", rest);
	}
}
