/* The rig: virtio_rig.h. */
#include "tests/unit/virtio_rig.h"

#include <sys/mman.h>

#include "firmware/log.h"

struct virtio_blk blk;
struct block_request request[REQUESTS];
struct block_segment segment[REQUESTS][4];
uint8_t data[REQUESTS][4][1024] __attribute__((aligned(1024)));
unsigned dones, errors, watches;
uint64_t kept, clock_ns;
bool out_of_memory;
char last_line[256];

void klog(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(last_line, sizeof(last_line), fmt, args);
	va_end(args);
}

/* Low, as a legacy device has 32 bits for a page's number. */
static void *memory(uint64_t bytes)
{
	void *at = MAP_FAILED;

	if (!out_of_memory)
		at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
	return at == MAP_FAILED ? NULL : at;
}

static void on_watch(struct block_device *device)
{
	assert_ptr_equal(device, &blk.block);
	watches++;
}

static void on_keep(paddr_t start, uint64_t bytes)
{
	(void)start;
	kept += bytes;
}

static uint64_t on_now(void)
{
	return clock_ns;
}

void on_done(struct block_request *done, int error)
{
	dones++;
	errors += error != 0;
	assert_true(error == 0 || error == -EIO);
	done->arg = (void *)(uintptr_t)(error == 0 ? 1 : 2);
}

int start(void)
{
	static const struct block_hooks hooks = { .watch = on_watch, .keep = on_keep, .now = on_now };
	int error;

	block_set_hooks(&hooks);
	virtio_blk_set_patience(3);
	snprintf(blk.block.name, sizeof(blk.block.name), "vda");
	error = virtio_mmio_open(&blk.device, NULL);
	assert_int_equal(error, 0);
	assert_int_equal(blk.device.id, VIRTIO_ID_BLOCK);
	return virtio_blk_start(&blk, memory);
}

void submit(unsigned i, enum block_op op, uint64_t sector, unsigned segments)
{
	for (unsigned s = 0; s < segments; s++)
		segment[i][s] = (struct block_segment){ hw_paddr(data[i][s]), 1024 };
	request[i] = (struct block_request){
		.op = op, .sector = sector, .segments = segment[i], .count = segments, .done = on_done
	};
	block_submit(&blk.block, &request[i]);
}

void serve(unsigned n, bool backward)
{
	fake_virtio_work(n, backward);
	virtio_blk_interrupt(&blk);
}

void exercise(unsigned rounds)
{
	for (unsigned round = 0; round < rounds; round++) {
		bool write = round % 2 == 0;

		dones = errors = 0;
		for (unsigned i = 0; i < REQUESTS; i++) {
			memset(data[i], write ? (int)(i + round) : 0, sizeof(data[i]));
			submit(i, write ? BLOCK_WRITE : BLOCK_READ, i * 8, 4);
		}
		assert_int_equal(dones, 0);
		for (unsigned turns = 0; dones < REQUESTS && turns < REQUESTS; turns++)
			serve(1 + (turns + round) % 5, (round & 2) != 0);
		assert_int_equal(dones, REQUESTS);
		assert_int_equal(errors, 0);
		for (unsigned i = 0; !write && i < REQUESTS; i++)
			for (unsigned s = 0; s < 4; s++)
				assert_int_equal(data[i][s][1023], (uint8_t)(i + round - 1));
		submit(0, BLOCK_FLUSH, 0, 0);
		assert_int_equal(dones, REQUESTS);
		serve(1, false);
		assert_int_equal(dones, REQUESTS + 1);
	}
	assert_int_equal(fake.illegal, 0);
	assert_int_equal(blk.block.pending, 0);
}

void begin_some(bool is_legacy)
{
	fake_virtio_reset(is_legacy);
	assert_int_equal(start(), 0);
	dones = errors = 0;
	for (unsigned i = 0; i < 20; i++)
		submit(i, BLOCK_READ, i * 2, 1);
	assert_int_equal(dones, 0);
}
