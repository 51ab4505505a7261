/*
 * What firmware/ and drivers/ read out of the real boards' device trees, as Debian's Linux has them (.ci/run
 * fetches it); skipped where they have not been fetched. That trees of all kinds are read at boot: tests/system/test_trees.py.
 */
#include "tests/unit/unit.h"

#include <glob.h>
#include <setjmp.h>

#include "drivers/clock.h"
#include "drivers/dt.h"
#include "drivers/mmio.h"
#include "drivers/plic.h"
#include "firmware/boot.h"
#include "firmware/caches.h"
#include "firmware/gpio.h"
#include "firmware/hart.h"
#include "firmware/log.h"
#include "firmware/memory.h"
#include "firmware/trap.h"
#include "firmware/tree.h"
#include "lib/hw.h"

#define BOARDS	"build/debian/boards/usr/lib/linux-image-*/sifive/"
#define HARTS	4
#define TREE_PA (UINT64_C(0x80000000) + (UINT64_C(16) << 20) + 0x4f0)

char kernel_start[16], kernel_end[1];

static struct hart harts[HARTS];
static unsigned context[HARTS], contexts, sources;
static uint32_t prci[0x60 / 4];
static const void *fdt;

void klog(const char *fmt, ...)
{
	(void)fmt;
}

void boot_fail(const char *fmt, ...)
{
	hw_panic("%s", fmt);
}

uint64_t time_ticks(void)
{
	return 0;
}

uint64_t ns_to_ticks(uint64_t ns)
{
	return ns;
}

struct hart *hart_get(unsigned index)
{
	return &harts[index];
}

void *kmap_device(paddr_t pa, uint64_t bytes, uint64_t at, unsigned width)
{
	assert_int_equal(at, 0);
	assert_int_equal(width, 4);
	assert_true(bytes >= 0x1000);
	return pa.v == 0x10000000 ? prci : (void *)pa.v;
}

uint32_t mmio_read32(volatile void *regs, unsigned at)
{
	assert_ptr_equal(regs, prci);
	assert_in_range(at, 0, sizeof(prci) - 4);
	return prci[at / 4];
}

void plic_init(volatile void *regs, unsigned count)
{
	assert_ptr_equal(regs, (void *)0xc000000);
	sources = count;
}

void plic_context(unsigned hart, unsigned number)
{
	assert_in_range(hart, 0, HARTS - 1);
	context[hart] = number;
	contexts++;
}

/* The tree, anywhere in memory. */
static void open_board(const char *name)
{
	const struct fake_config config = { .harts = HARTS, .coremap_only = true };
	char pattern[200];
	glob_t found;
	FILE *file;

	snprintf(pattern, sizeof(pattern), BOARDS "%s.dtb", name);
	if (glob(pattern, 0, NULL, &found) != 0) {
		print_message("no %s: .ci/run fetches it\n", pattern);
		exit(UNIT_SKIPPED);
	}
	fake_start(&config);
	file = fopen(found.gl_pathv[0], "rb");
	assert_non_null(file);
	assert_in_range(fread(hw_direct(PADDR(TREE_PA)), 1, 1 << 20, file), 1000, 1 << 19);
	fclose(file);
	globfree(&found);
	tree_open(TREE_PA);
	fdt = tree_fdt();
}

static void four_harts_without_the_first(void)
{
	int node = tree_next_hart(fdt, 0);

	for (unsigned i = 0; i < HARTS; i++, node = tree_next_hart(fdt, node)) {
		assert_true(node >= 0);
		harts[i].id = tree_hart_id(fdt, node);
		assert_int_equal(harts[i].id, i + 1);
		assert_true(tree_hart_has_letter(fdt, node, 'c') && tree_hart_has_letter(fdt, node, 'd'));
		assert_false(tree_hart_has(fdt, node, "sstc") || tree_hart_has_letter(fdt, node, 'h'));
	}
	assert_true(node < 0);
}

static void add_bytes(void *ctx, struct phys_range range, bool no_map)
{
	(void)no_map;
	*(uint64_t *)ctx += range.end.v - range.start.v;
}

static unsigned interrupt_of(int node)
{
	unsigned source = 0;

	assert_true(node >= 0);
	assert_int_equal(dt_interrupt(fdt, node, &source), 0);
	return source;
}

static void has_plic(unsigned count)
{
	contexts = 0;
	plic_probe(fdt);
	assert_int_equal(sources, count + 1);
	assert_int_equal(contexts, HARTS);
	for (unsigned i = 0; i < HARTS; i++)
		assert_int_equal(context[i], 2 * (i + 1)); /* of the hart with that id */
}

/* The slot's controller, whose path is the same on both. */
static int card_controller(void)
{
	int node = fdt_path_offset(fdt, "/soc/spi@10050000/mmc@0");

	assert_int_equal(fdt_node_check_compatible(fdt, node, "mmc-spi-slot"), 0);
	assert_int_equal(tree_u32(fdt, node, "spi-max-frequency", 0), 20000000);
	node = fdt_parent_offset(fdt, node);
	assert_int_equal(fdt_node_check_compatible(fdt, node, "sifive,spi0"), 0);
	return node;
}

static void has_clock(uint64_t low, uint64_t high, int node)
{
	assert_in_range(clock_rate(fdt, node), low, high);
}

static void put_cache(void *ctx, const struct cache_level *cache)
{
	char *text = ctx;

	snprintf(text + strlen(text), 200 - strlen(text), "%u%c %lu/%u/%u/%u of %u, ", cache->level, cache->type[0],
		 (unsigned long)cache->bytes >> 10, cache->sets, cache->ways, cache->line, cache->harts);
}

static void has_caches(const char *expected)
{
	char text[200] = "";

	caches_each(fdt, put_cache, text);
	assert_string_equal(text, expected);
}

static void is_common(uint64_t memory)
{
	uint64_t bytes = 0, hz = 0;
	struct phys_range regs;

	four_harts_without_the_first();
	tree_each_ram(add_bytes, &bytes);
	assert_int_equal(bytes, memory);
	assert_true(tree_number(fdt, fdt_path_offset(fdt, "/cpus"), "timebase-frequency", &hz));
	assert_int_equal(hz, 1000000);
	assert_int_equal(fdt_node_check_compatible(fdt, dt_stdout(fdt), "sifive,uart0"), 0);
	assert_int_equal(tree_reg(fdt, dt_stdout(fdt), 0, &regs), 0);
	assert_int_equal(regs.start.v, 0x10010000);
}

static void unmatched(void **state)
{
	struct gpio_line line;

	(void)state;
	open_board("hifive-unmatched-a00");
	is_common(UINT64_C(16) << 30);
	has_plic(69);
	has_caches("1D 32/64/8/64 of 1, 1I 32/128/4/64 of 1, 2U 2048/2048/16/64 of 4, ");
	assert_int_equal(interrupt_of(dt_stdout(fdt)), 39);
	assert_int_equal(interrupt_of(card_controller()), 43);
	gpio_find(fdt, "gpio-poweroff", &line);
	assert_int_equal(line.regs.v, 0x10060000);
	assert_int_equal(line.bit, 1 << 2);
	assert_true(line.active_low);
	assert_int_equal(line.active_ms, 100);
	gpio_find(fdt, "gpio-restart", &line);
	assert_int_equal(line.regs.v, 0);
	/* 26 MHz times 2 * 40, by 1 and 2^3, then by 0 + 2 */
	prci[0x50 / 4] = 39 << 6 | 3 << 15;
	has_clock(130000000, 130000000, card_controller());
	prci[0x58 / 4] = 1;
	has_clock(13000000, 13000000, card_controller());
}

static void unleashed(void **state)
{
	struct gpio_line line;

	(void)state;
	open_board("hifive-unleashed-a00");
	is_common(UINT64_C(8) << 30);
	has_plic(53);
	has_caches("1D 32/64/8/64 of 1, 1I 32/64/8/64 of 1, 2U 2048/1024/32/64 of 4, ");
	assert_int_equal(interrupt_of(dt_stdout(fdt)), 4);
	assert_int_equal(interrupt_of(card_controller()), 6);
	gpio_find(fdt, "gpio-restart", &line);
	assert_int_equal(line.regs.v, 0x10060000);
	assert_int_equal(line.bit, 1 << 10);
	assert_true(line.active_low);
	/* 33.33 MHz times 2 * 60, by 1 and 2^2: 1 GHz, of which the interconnect has half */
	prci[0x04 / 4] = 59 << 6 | 2 << 15;
	has_clock(499900000, 500100000, card_controller());
	prci[0x2c / 4] = 2;
	has_clock(999900000, 1000100000, card_controller());
	prci[0x24 / 4] = 1;
	has_clock(33333333, 33333334, card_controller());
}

static const struct CMUnitTest tests[] = { UNIT_TEST(unmatched), UNIT_TEST(unleashed) };

UNIT_MAIN("tree", tests)
