/* See fs.h. */
#define _GNU_SOURCE
#include "tests/unit/fs.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

uint64_t fs_alloc_fail_in;
bool fs_alloc_failed;
int64_t fs_allocated;
unsigned fs_said;

void *fs_alloc(size_t bytes)
{
	assert_true(bytes > 0 && bytes <= FS_ALLOC_MAX);
	if (fs_alloc_fail_in != 0 && --fs_alloc_fail_in == 0) {
		fs_alloc_failed = true;
		return NULL;
	}
	fs_allocated++;
	return calloc(1, bytes);
}

void fs_free(void *ptr)
{
	fs_allocated -= ptr != NULL;
	free(ptr);
}

void fs_say(const char *fmt, ...)
{
	va_list args;

	fs_said++;
	va_start(args, fmt);
	vprintf(fmt, args);
	va_end(args);
	putchar('\n');
}

static struct fs_disk *of(struct disk *disk)
{
	return container_of(disk, struct fs_disk, disk);
}

static bool fails(struct fs_disk *disk)
{
	if (disk->fail_in == 0 || --disk->fail_in != 0)
		return false;
	disk->failed = true;
	return true;
}

static struct fs_log *log_next(struct fs_disk *disk)
{
	if (disk->events == disk->room) {
		disk->room = disk->room == 0 ? 1024 : disk->room * 2;
		disk->log = realloc(disk->log, disk->room * sizeof(*disk->log));
	}
	disk->log[disk->events] = (struct fs_log){ .event = FS_FLUSH };
	return &disk->log[disk->events++];
}

void fs_disk_event(struct fs_disk *disk, enum fs_event event, uint64_t what)
{
	struct fs_log *log = log_next(disk);

	log->event = event;
	log->sector = what;
}

static int mem_read(struct disk *to, uint64_t sector, void *buf, uint32_t n)
{
	struct fs_disk *disk = of(to);

	disk->reads++;
	if (fails(disk))
		return -EIO;
	memcpy(buf, disk->data + sector * to->sector_bytes, (size_t)n * to->sector_bytes);
	return 0;
}

/* One that fails has written a part. */
static int mem_write(struct disk *to, uint64_t sector, const void *buf, uint32_t n)
{
	struct fs_disk *disk = of(to);
	bool fail = fails(disk);

	disk->writes++;
	n = fail ? n / 2 : n;
	memcpy(disk->data + sector * to->sector_bytes, buf, (size_t)n * to->sector_bytes);
	for (uint32_t i = 0; i < n && disk->logging; i++) {
		struct fs_log *log = log_next(disk);

		log->event = FS_WRITE;
		log->sector = sector + i;
		log->data = malloc(to->sector_bytes);
		memcpy(log->data, (const uint8_t *)buf + (size_t)i * to->sector_bytes, to->sector_bytes);
	}
	return fail ? -EIO : 0;
}

static int mem_flush(struct disk *to)
{
	struct fs_disk *disk = of(to);

	disk->flushes++;
	if (fails(disk))
		return -EIO;
	if (disk->logging)
		fs_disk_event(disk, FS_FLUSH, 0);
	return 0;
}

static const struct disk_ops mem_ops = { .read = mem_read, .write = mem_write, .flush = mem_flush };

struct fs_disk *fs_disk_new(uint64_t sectors, uint32_t sector_bytes)
{
	struct fs_disk *disk = calloc(1, sizeof(*disk));

	disk->disk = (struct disk){ .ops = &mem_ops, .sectors = sectors, .sector_bytes = sector_bytes };
	disk->data = calloc(sectors, sector_bytes);
	return disk;
}

void fs_disk_forget_log(struct fs_disk *disk)
{
	for (size_t i = 0; i < disk->events; i++)
		free(disk->log[i].data);
	disk->events = 0;
}

void fs_disk_free(struct fs_disk *disk)
{
	fs_disk_forget_log(disk);
	free(disk->log);
	free(disk->data);
	free(disk);
}

static void transfer(int fd, uint8_t *data, size_t n, bool out)
{
	for (size_t done = 0; done < n;) {
		ssize_t got = out ? pwrite(fd, data + done, n - done, (off_t)done)
				  : pread(fd, data + done, n - done, (off_t)done);

		assert_true(got > 0);
		done += (size_t)got;
	}
}

int fs_tool(struct fs_disk *disk, const char *command, char *out, size_t n)
{
	size_t bytes = disk->disk.sectors * disk->disk.sector_bytes, got = 0, more;
	char line[1200], path[] = "/tmp/corral-fs-XXXXXX", sink[256];
	int fd = mkstemp(path), status;
	FILE *pipe;

	assert_true(fd >= 0);
	transfer(fd, disk->data, bytes, true);
	setenv("IMAGE", path, 1);
	setenv("MTOOLS_SKIP_CHECK", "1", 1);
	setenv("TZ", "UTC", 1);
	snprintf(line, sizeof(line), "PATH=$PATH:/usr/sbin:/sbin; { %s; } 2>&1", command);
	pipe = popen(line, "r");
	assert_non_null(pipe);
	while (out != NULL && got + 1 < n && (more = fread(out + got, 1, n - 1 - got, pipe)) > 0)
		got += more;
	if (out != NULL)
		out[got] = '\0';
	while (fread(sink, 1, sizeof(sink), pipe) > 0)
		continue;
	status = pclose(pipe);
	transfer(fd, disk->data, bytes, false);
	close(fd);
	unlink(path);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

struct fs_disk *fs_mkfs(uint64_t sectors, uint32_t sector_bytes, const char *options)
{
	struct fs_disk *disk = fs_disk_new(sectors, sector_bytes);
	char command[300], out[2000];
	int status;

	snprintf(command, sizeof(command), "mkfs.fat -S %u %s $IMAGE", sector_bytes, options);
	status = fs_tool(disk, command, out, sizeof(out));
	if (status == 127) {
		printf("no mkfs.fat here\n");
		exit(UNIT_SKIPPED);
	}
	if (status != 0)
		printf("%s: %s\n", command, out);
	assert_int_equal(status, 0);
	return disk;
}

/* What fsck.fat may say after a power cut: lines beginning so. */
static bool harmless(const char *line)
{
	static const char *const known[] = {
		"fsck.fat 4",
		"There are differences between boot sector",
		"This is mostly harmless",
		"  65:01/00",
		"  Not automatically fixing",
		"Dirty bit is set.",
		"Warning: Filesystem is FAT32",
		"  but has only",
		"  This may lead",
		"0x41: Dirty bit is set",
		" Automatically removing dirty bit",
		"Reclaimed ",
		"Free cluster summary",
		"  Auto-correcting",
		"FATs differ but appear to be intact",
		" Using first FAT",
		"  Using first FAT",
		"  File size is ",
		"  Truncating file",
		"Leaving filesystem",
		"Leaving file system",
		"Orphaned long file name part",
		"  Auto-deleting",
		"  Not auto-correcting",
		"  Auto-deleted",
		"Filesystem has ",
	};

	if (line[0] == '\0' || strstr(line, " files, ") != NULL)
		return true;
	if (line[0] == '/' && strstr(line, "  ") == NULL)
		return true; /* the file that the next line is about */
	for (unsigned i = 0; i < ARRAY_LEN(known); i++)
		if (strncmp(line, known[i], strlen(known[i])) == 0)
			return true;
	return false;
}

void fs_fsck(struct fs_disk *disk, bool lost)
{
	char *out = malloc(65536), *copy;
	int status = fs_tool(disk, "fsck.fat -n $IMAGE", out, 65536);
	bool fine = status == 0;

	copy = strdup(out);
	if (lost) {
		fine = true;
		for (char *line = strtok(copy, "\n"); line != NULL; line = strtok(NULL, "\n"))
			fine = fine && harmless(line);
	}
	if (!fine)
		printf("fsck.fat: %d\n%s\n", status, out);
	assert_true(fine);
	free(copy);
	free(out);
}

int64_t fs_now(void)
{
	return 1700000000;
}

struct fat_volume *fs_mount(struct fs_disk *disk)
{
	static uint32_t mounts;
	struct fat_options options = { .now = fs_now, .index_least = ++mounts % 2 };
	struct fat_volume *volume = NULL;
	const char *why;
	int error = fat_mount(&disk->disk, &options, &volume, &why);

	if (error != 0)
		printf("mount: %d %s\n", error, why);
	assert_int_equal(error, 0);
	return volume;
}

void fs_unmount(struct fat_volume *volume)
{
	assert_int_equal(fat_unmount(volume), 0);
	assert_int_equal(fs_allocated, 0);
}

struct fat_node *fs_open(struct fat_volume *volume, const char *path, int *error)
{
	struct fat_node *node = fat_root(volume), *next;

	fat_get(node);
	while (*path != '\0') {
		size_t n = strcspn(path, "/");

		*error = fat_lookup(node, path, n, &next);
		fat_put(node);
		if (*error != 0)
			return NULL;
		node = next;
		path += n + (path[n] == '/');
	}
	*error = 0;
	return node;
}
