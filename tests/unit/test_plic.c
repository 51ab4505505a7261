/*
 * The PLIC's core (drivers/plic.c) against a fake one, which does as the specification says: a claim hides the source from all
 * until it is completed, and a completion from a context where the source is not enabled is ignored.
 */
#include "tests/unit/unit.h"

#include "drivers/mmio.h"
#include "drivers/plic.h"
#include "firmware/log.h"
#include "tests/fakes/fake.h"

#define HARTS	 8U
#define SOURCES	 96U
#define CONTEXTS (2 * HARTS)

static struct {
	uint32_t priority[SOURCES], enable[CONTEXTS][SOURCES / 32], threshold[CONTEXTS];
	bool level[SOURCES], claimed[SOURCES];
	unsigned bad; /* accesses that are none of the driver's */
} device;

static unsigned served[SOURCES], by[SOURCES], lines;
static bool stuck, told, started;
static char last_line[256];

void klog(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(last_line, sizeof(last_line), fmt, args);
	va_end(args);
	lines++;
}

static uint32_t claim(unsigned context)
{
	for (uint32_t source = 1; source < SOURCES; source++)
		if (device.level[source] && !device.claimed[source] &&
		    device.priority[source] > device.threshold[context] &&
		    (device.enable[context][source / 32] >> source % 32 & 1) != 0) {
			device.claimed[source] = true;
			return source;
		}
	return 0;
}

static uint32_t *reg(unsigned at)
{
	if (at < 4 * SOURCES)
		return &device.priority[at / 4];
	if (at >= 0x2000 && at < 0x2000 + 0x80 * CONTEXTS && at % 0x80 < SOURCES / 8)
		return &device.enable[(at - 0x2000) / 0x80][at % 0x80 / 4];
	if (at >= 0x200000 && at < 0x200000 + 0x1000 * CONTEXTS && at % 0x1000 == 0)
		return &device.threshold[(at - 0x200000) / 0x1000];
	device.bad++;
	return &device.priority[0];
}

uint32_t mmio_read32(volatile void *regs, unsigned at)
{
	(void)regs;
	return at >= 0x200000 && at % 0x1000 == 4 ? claim((at - 0x200000) / 0x1000) : *reg(at);
}

void mmio_write32(volatile void *regs, unsigned at, uint32_t value)
{
	unsigned context = (at - 0x200000) / 0x1000;

	(void)regs;
	if (at < 0x200000 || at % 0x1000 != 4)
		*reg(at) = value;
	else if (value < SOURCES && (device.enable[context][value / 32] >> value % 32 & 1) != 0)
		device.claimed[value] = false;
}

static bool handle(void *arg)
{
	unsigned source = (unsigned)(uintptr_t)arg;

	served[source]++;
	by[source] = hw_hart();
	if (!stuck)
		device.level[source] = false;
	return told;
}

/* As QEMU's virt: hart i has contexts 2 i (M-mode) and 2 i + 1. Harts of the set have one for S-mode. */
static void begin(uint64_t harts, unsigned boot)
{
	memset(&device, 0xff, sizeof(device)); /* as a firmware may leave it */
	memset(device.level, 0, sizeof(device.level));
	memset(device.claimed, 0, sizeof(device.claimed));
	memset(served, 0, sizeof(served));
	device.bad = lines = 0;
	stuck = false;
	told = true;
	if (!started)
		fake_start(&(struct fake_config){ .harts = HARTS, .coremap_only = true });
	started = true;
	fake_hart_enter(boot);
	plic_init(&device, SOURCES);
	for (unsigned i = 0; i < HARTS; i++)
		if ((harts >> i & 1) != 0)
			plic_context(i, 2 * i + 1);
	for (unsigned i = 0; i < HARTS; i++) {
		fake_hart_enter(i);
		plic_init_hart();
	}
	fake_hart_enter(boot);
}

static int enable(unsigned source)
{
	return plic_enable(source, handle, (void *)(uintptr_t)source, "a device");
}

/* All sources at once; each hart then looks. How many were served. */
static unsigned raise_all(void)
{
	unsigned all = 0, boot = hw_hart();

	memset(served, 0, sizeof(served));
	for (unsigned source = 1; source < SOURCES; source++)
		device.level[source] = true;
	for (unsigned i = 0; i < HARTS; i++) {
		fake_hart_enter(i);
		plic_serve();
	}
	fake_hart_enter(boot);
	for (unsigned source = 1; source < SOURCES; source++)
		all += served[source];
	return all;
}

static void only_the_boot_hart(void **state)
{
	(void)state;
	begin(0xff, 3);
	assert_int_equal(raise_all(), 0);
	for (unsigned source = 30; source < 40; source++)
		assert_int_equal(enable(source), 0);
	assert_int_equal(raise_all(), 10);
	for (unsigned source = 30; source < 40; source++)
		assert_int_equal(by[source], 3);
	assert_int_equal(device.bad, 0);
}

/* Harts that run, harts without a context, boot harts anywhere: each source once, at every turn, and none has more than its share. */
static void spread(void **state)
{
	(void)state;
	for (uint64_t harts = 1; harts < 256; harts += 3) {
		unsigned boot = (unsigned)__builtin_ctzl(harts), n = (unsigned)__builtin_popcountl(harts),
			 load[HARTS] = { 0 };

		begin(harts, boot);
		for (unsigned source = 1; source <= 17; source++)
			assert_int_equal(enable(source * 5), 0);
		assert_int_equal(raise_all(), 17);
		plic_spread(UINT64_MAX);
		for (unsigned turn = 0; turn < 3; turn++)
			assert_int_equal(raise_all(), 17);
		for (unsigned source = 1; source <= 17; source++) {
			struct plic_line line;

			load[by[source * 5]]++;
			assert_true(plic_line(source * 5, &line));
			assert_int_equal(line.hart, by[source * 5]);
			assert_int_equal(line.first, boot);
			assert_int_equal(line.count + line.count_first, 4);
			assert_int_equal(line.count, line.hart == boot ? 4 : 3);
			assert_int_equal(served[source * 5], 1);
		}
		for (unsigned i = 0; i < HARTS; i++)
			assert_in_range(load[i], (harts >> i & 1) != 0 ? 17 / n : 0,
					(harts >> i & 1) != 0 ? 17 / n + 1 : 0);
		assert_int_equal(device.bad, 0);
	}
}

/* One came before the move, and was not yet claimed: it comes at the new hart. */
static void pending_when_moved(void **state)
{
	(void)state;
	begin(0xff, 0);
	assert_int_equal(enable(7), 0);
	assert_int_equal(enable(8), 0);
	device.level[7] = device.level[8] = true;
	plic_spread(0x30);
	plic_serve();
	assert_int_equal(served[7] + served[8], 0);
	fake_hart_enter(4);
	plic_serve();
	assert_int_equal(served[7], 1);
	fake_hart_enter(5);
	plic_serve();
	assert_int_equal(served[8], 1);
}

static void wrong_sources(void **state)
{
	(void)state;
	begin(0xfe, 1);
	assert_int_equal(enable(0), -EINVAL);
	assert_int_equal(enable(SOURCES), -EINVAL);
	assert_int_equal(enable(5), 0);
	assert_int_equal(enable(5), -EBUSY);
	fake_hart_enter(0); /* no context */
	assert_int_equal(enable(6), -ENODEV);
	plic_serve();
	plic_init_hart();
	plic_init(NULL, 0);
	assert_int_equal(enable(6), -ENODEV);
	plic_spread(0xff);
	plic_serve();
	assert_int_equal(plic_sources(), 0);
}

/* A line that is never let go, whose device has nothing to say: turned off with one line; the others go on. */
static void stuck_line(void **state)
{
	(void)state;
	begin(0xff, 2);
	assert_int_equal(enable(9), 0);
	assert_int_equal(enable(10), 0);
	stuck = true;
	told = false;
	device.level[9] = true;
	plic_serve();
	assert_int_equal(lines, 1);
	assert_non_null(strstr(last_line, "interrupt 9 (a device)"));
	stuck = false;
	told = true;
	device.level[9] = device.level[10] = true;
	served[9] = 0;
	plic_serve();
	assert_int_equal(served[9], 0);
	assert_int_equal(served[10], 1);
	assert_int_equal(lines, 1);
}

static const struct CMUnitTest tests[] = {
	UNIT_TEST(only_the_boot_hart), UNIT_TEST(spread),     UNIT_TEST(pending_when_moved),
	UNIT_TEST(wrong_sources),      UNIT_TEST(stuck_line),
};

UNIT_MAIN("plic", tests)
