/*
 * A coherence storm on one file: several processes write, read, map, unmap, fork on, sync and cut it all at once, and each
 * checks all it sees against what it knows must be there.
 *
 *	file_storm SEED [DIRECTORY [OPERATIONS [PROCESSES]]]
 *
 * The file's words say where they belong and how often they were written: (turn << 32 | tag of the place), 0: never. Blocks of
 * words belong to one process each, which alone writes them, by a random way (two shared mappings, pwrite), and reads them back by
 * another: exactly what was written. Words of others: their tag is right, and their turn never goes back, whatever way they are
 * read. That is all of coherence: one order of each word's values, the same for everybody. (Words are read and written whole,
 * by call too: both kernels copy aligned words so on riscv64; x86's do not, so this one program may fail there.)
 *
 * Behind CUT the first process cuts the file off and makes it longer again. There words may also be 0, and touching them
 * may be a SIGBUS; now and then it has the file to itself, and then what is behind the end is checked exactly.
 *
 * A private mapping of the first half: pages that were written there are the process's own, and survive every write to the
 * file; MADV_DONTNEED brings the file back; a forked child has both as they were, and changes neither for its parent.
 */
#include <fcntl.h>
#include <sys/stat.h>

#include "check.h"

#define WORDS	 (PAGE / 8)
#define BLOCK	 32UL /* words that have one owner */
#define CUT_PAGE 24UL
#define PAGES	 48UL
#define CUT	 (CUT_PAGE * PAGE)
#define BYTES	 (PAGES * PAGE)
#define PLACES	 (PAGES * WORDS)
#define BLOCKS	 (PLACES / BLOCK)
#define MOST	 32

struct shared {
	pthread_rwlock_t lock; /* held shared for each operation, exclusively when the cutter wants to know exactly */
};

static struct shared *shared;
static uint64_t state;
static unsigned me, workers;
static int fd;
static _Atomic uint64_t *map[2];
static uint64_t *own;		       /* the private mapping of what is not cut */
static bool dirtied[CUT_PAGE];	       /* pages of it that are ours */
static uint64_t mine[CUT_PAGE][WORDS]; /* and what is in them */
static uint32_t turn[BLOCKS];	       /* of our own blocks */
static uint32_t seen[PLACES];	       /* the highest turn of each word */
static volatile sig_atomic_t may_bus;
static sigjmp_buf bus;

static uint64_t dice(void)
{
	return random_next(&state);
}

static uint32_t tag(uint64_t place)
{
	return (uint32_t)((place + 1) * 2654435761U) | 1;
}

static void on_bus(int number)
{
	(void)number;
	if (!may_bus)
		check_say("file_storm: SIGBUS where the file is\n");
	may_bus = 0;
	siglongjmp(bus, 1);
}

/* Whether the word could be read; touching it may find the file's end before it. */
static bool read_word(uint64_t place, unsigned way, uint64_t *out)
{
	*out = 0;
	if (way == 2) {
		ssize_t n = pread(fd, out, 8, (off_t)(place * 8));

		CHECK(n == 8 || (n == 0 && place * 8 >= CUT)); /* it is cut between words only */
		return n == 8;
	}
	may_bus = place * 8 >= CUT;
	if (sigsetjmp(bus, 1) != 0)
		return false;
	*out = atomic_load_explicit(&map[way][place], memory_order_acquire);
	may_bus = 0;
	return true;
}

static void check_word(uint64_t place, unsigned way)
{
	uint64_t word;

	if (!read_word(place, way, &word))
		return;
	if (word != 0)
		CHECK_EQ((uint32_t)word, tag(place));
	if (place * 8 >= CUT)
		return;
	if ((uint32_t)(word >> 32) < seen[place]) {
		fprintf(stderr, "place %lu, way %u: turn %u after %u\n", place, way, (unsigned)(word >> 32),
			seen[place]);
		CHECK(!"a word went back in time");
	}
	seen[place] = (uint32_t)(word >> 32);
}

static void write_block(uint64_t block)
{
	unsigned way = (unsigned)(dice() % 3);
	uint64_t first = block * BLOCK, words[BLOCK];
	uint32_t now = ++turn[block];

	for (unsigned i = 0; i < BLOCK; i++)
		words[i] = (uint64_t)now << 32 | tag(first + i);
	if (way == 2) {
		CHECK_EQ(pwrite(fd, words, sizeof(words), (off_t)(first * 8)), sizeof(words));
	} else {
		may_bus = first * 8 >= CUT;
		if (sigsetjmp(bus, 1) != 0)
			return;
		for (unsigned i = 0; i < BLOCK; i++)
			atomic_store_explicit(&map[way][first + i], words[i], memory_order_release);
		may_bus = 0;
	}
	if (first * 8 >= CUT)
		return;
	for (unsigned i = 0; i < BLOCK; i++) {
		uint64_t word;

		CHECK(read_word(first + i, (unsigned)(dice() % 3), &word));
		CHECK_EQ(word, words[i]);
		seen[first + i] = now;
	}
}

static uint64_t own_block(void)
{
	uint64_t block;

	do
		block = dice() % BLOCKS;
	while (block % workers != me);
	return block;
}

static void read_some(void)
{
	uint64_t buffer[2 * WORDS];
	uint64_t place = dice() % (CUT_PAGE * WORDS - COUNT(buffer));

	for (unsigned i = 0; i < 64; i++)
		check_word(dice() % PLACES, (unsigned)(dice() % 3));
	CHECK_EQ(pread(fd, buffer, sizeof(buffer), (off_t)(place * 8)), sizeof(buffer));
	for (unsigned i = 0; i < COUNT(buffer); i++) {
		if (buffer[i] != 0)
			CHECK_EQ((uint32_t)buffer[i], tag(place + i));
		CHECK((uint32_t)(buffer[i] >> 32) >= seen[place + i]);
		seen[place + i] = (uint32_t)(buffer[i] >> 32);
	}
}

static void map_again(unsigned which)
{
	int flags = MAP_SHARED | (dice() % 4 == 0 ? MAP_POPULATE : 0);

	if (map[which] != NULL)
		CHECK(munmap((void *)map[which], BYTES) == 0);
	map[which] = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, flags, fd, 0);
	CHECK(map[which] != MAP_FAILED);
}

static void protect_and_back(void)
{
	unsigned which = (unsigned)(dice() % 2);
	uint64_t page = dice() % CUT_PAGE;
	char *at = (char *)map[which] + page * PAGE;

	CHECK(mprotect(at, PAGE, dice() % 2 == 0 ? PROT_NONE : PROT_READ) == 0);
	check_word(page * WORDS + dice() % WORDS, 1 - which);
	CHECK(mprotect(at, PAGE, PROT_READ | PROT_WRITE) == 0);
	check_word(page * WORDS + dice() % WORDS, which);
}

static void check_own_page(uint64_t page)
{
	if (dirtied[page]) {
		CHECK(memcmp(own + page * WORDS, mine[page], PAGE) == 0);
		return;
	}
	uint64_t word = *(volatile uint64_t *)&own[page * WORDS + dice() % WORDS];

	CHECK(word == 0 || (uint32_t)word != 0);
}

static void private_page(void)
{
	uint64_t page = dice() % CUT_PAGE;
	uint64_t i = dice() % WORDS;

	check_own_page(page);
	if (dirtied[page] && dice() % 4 == 0) {
		CHECK(madvise(own + page * WORDS, PAGE, MADV_DONTNEED) == 0);
		dirtied[page] = false;
		for (unsigned k = 0; k < WORDS; k++) {
			uint64_t word = own[page * WORDS + k];

			CHECK(word == 0 || (uint32_t)word == tag(page * WORDS + k));
			CHECK((uint32_t)(word >> 32) >= seen[page * WORDS + k]);
		}
		return;
	}
	own[page * WORDS + i] = dice();
	memcpy(mine[page], own + page * WORDS, PAGE);
	dirtied[page] = true;
}

static void fork_some(void)
{
	pid_t pid = child_fork();

	if (pid == 0) {
		for (uint64_t page = 0; page < CUT_PAGE; page++)
			check_own_page(page);
		for (unsigned i = 0; i < 32; i++)
			check_word(dice() % (CUT_PAGE * WORDS), (unsigned)(dice() % 3));
		for (uint64_t page = 0; page < CUT_PAGE; page++)
			if (dice() % 4 == 0)
				memset(own + page * WORDS, 0x5a, PAGE);
		write_block(own_block()); /* the parent waits: there is still one writer */
		if (dice() % 2 == 0)
			CHECK(munmap((void *)map[0], BYTES) == 0);
		_exit(0);
	}
	child_wait(pid);
	/* The child's turn is not ours to know: what it wrote is found in the file. */
	for (uint64_t block = me; block < BLOCKS; block += workers) {
		uint64_t word;

		if (read_word(block * BLOCK, 2, &word) && (uint32_t)(word >> 32) > turn[block])
			turn[block] = (uint32_t)(word >> 32);
	}
	for (uint64_t page = 0; page < CUT_PAGE; page++)
		if (dirtied[page])
			check_own_page(page);
}

static bool touch_is_bus(uint64_t place)
{
	may_bus = 1;
	if (sigsetjmp(bus, 1) != 0)
		return true;
	(void)atomic_load(&map[place % 2][place]);
	may_bus = 0;
	return false;
}

/* With the file to itself: all that was promised of a file that is cut. */
static void cut_exactly(uint64_t bytes)
{
	uint64_t word, behind = (bytes + PAGE - 1) / PAGE * WORDS;
	struct stat st;

	CHECK(ftruncate(fd, BYTES) == 0);
	for (uint64_t page = CUT_PAGE; page < PAGES; page++)
		atomic_store(&map[page % 2][page * WORDS + 511], tag(page * WORDS + 511));
	CHECK(ftruncate(fd, (off_t)bytes) == 0);
	CHECK(fstat(fd, &st) == 0 && st.st_size == (off_t)bytes);
	CHECK_EQ(pread(fd, &word, 8, (off_t)bytes), 0);
	for (uint64_t place = behind; place < PLACES; place += WORDS)
		CHECK(touch_is_bus(place) && touch_is_bus(place + 1));
	CHECK(ftruncate(fd, BYTES) == 0);
	for (uint64_t place = (bytes + 7) / 8; place < PLACES; place++) {
		CHECK(read_word(place, (unsigned)(place % 3), &word));
		CHECK_EQ(word, 0);
	}
}

static void cut(void)
{
	uint64_t bytes = CUT + dice() % (BYTES - CUT) / 8 * 8;

	if (dice() % 4 == 0) {
		pthread_rwlock_unlock(&shared->lock);
		pthread_rwlock_wrlock(&shared->lock);
		cut_exactly(bytes);
		return;
	}
	CHECK(ftruncate(fd, (off_t)bytes) == 0);
	if (dice() % 2 == 0)
		sched_yield();
	CHECK(ftruncate(fd, BYTES) == 0);
}

static void operation(void)
{
	pthread_rwlock_rdlock(&shared->lock);
	switch (dice() % 32) {
	case 0:
		map_again((unsigned)(dice() % 2));
		break;
	case 1:
		fork_some();
		break;
	case 2:
		protect_and_back();
		break;
	case 3:
		CHECK(dice() % 2 == 0 ? fsync(fd) == 0 : msync((void *)map[0], CUT, MS_SYNC) == 0);
		break;
	case 4:
		CHECK(msync((void *)map[1], BYTES, MS_ASYNC) == 0);
		break;
	case 5 ... 8:
		private_page();
		break;
	case 9 ... 10:
		if (me == 0)
			cut();
		break;
	case 11 ... 20:
		write_block(own_block());
		break;
	default:
		read_some();
	}
	pthread_rwlock_unlock(&shared->lock);
}

static void work(uint64_t seed, unsigned number, unsigned operations)
{
	struct sigaction action = { .sa_handler = on_bus, .sa_flags = SA_NODEFER };

	me = number;
	state = seed * 1000003 + number;
	CHECK(sigaction(SIGBUS, &action, NULL) == 0);
	map_again(0);
	map_again(1);
	own = mmap(NULL, CUT, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	CHECK(own != MAP_FAILED);
	while (operations-- > 0)
		operation();
	_exit(0);
}

int main(int argc, char **argv)
{
	uint64_t seed = argc > 1 ? strtoull(argv[1], NULL, 0) : 1;
	unsigned operations = argc > 3 ? (unsigned)atoi(argv[3]) : 400;
	pthread_rwlockattr_t attributes;
	pid_t pid[MOST];
	char path[200];

	workers = argc > 4 ? (unsigned)atoi(argv[4]) : 6;
	CHECK(workers > 0 && workers <= MOST);
	snprintf(path, sizeof(path), "%s/file_storm.%d", argc > 2 ? argv[2] : "/tmp", (int)getpid());
	fd = open(path, O_RDWR | O_CREAT | O_EXCL, 0600);
	CHECK(fd >= 0 && ftruncate(fd, BYTES) == 0);
	shared = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CHECK(shared != MAP_FAILED);
	CHECK(pthread_rwlockattr_init(&attributes) == 0);
	CHECK(pthread_rwlockattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED) == 0);
	CHECK(pthread_rwlockattr_setkind_np(&attributes, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP) == 0);
	CHECK(pthread_rwlock_init(&shared->lock, &attributes) == 0);
	for (unsigned i = 0; i < workers; i++) {
		pid[i] = child_fork();
		if (pid[i] == 0)
			work(seed, i, operations);
	}
	for (unsigned i = 0; i < workers; i++) {
		int status;

		CHECK(wait(&status) > 0);
		for (unsigned k = 0; status != 0 && k < workers; k++)
			kill(pid[k], SIGKILL); /* they may wait for a lock that it held */
		CHECK_EQ(status, 0);
	}
	CHECK(unlink(path) == 0 && close(fd) == 0);
	return pass();
}
