/*
 * Ending the machine: SiFive's test device, which carries an exit status to whoever started an emulator;
 * syscon-poweroff, which carries none; the firmware's shutdown; a GPIO line that cuts the power; a restart, by the firmware or
 * a GPIO line, which ends an emulator that may not restart. The boot argument end=stop leaves restarts out: a board that has no
 * other end would run for ever what it boots with. Found in the tree at boot, then only read.
 */
#include "firmware/boot.h"
#include "firmware/gpio.h"
#include "firmware/harts.h"
#include "firmware/log.h"
#include "firmware/memory.h"
#include "firmware/sbi.h"
#include "firmware/tree.h"
#include "lib/hw.h"

#define TEST_PASS 0x5555
#define TEST_FAIL 0x3333

static struct {
	paddr_t test;	/* 0: none */
	paddr_t syscon; /* the word to write, 0: none */
	uint32_t syscon_value;
	struct gpio_line off, restart;
	bool stop; /* rather than restart */
} power;

static void syscon_find(const void *fdt)
{
	struct phys_range regs;
	int node = tree_find(fdt, "syscon-poweroff");

	if (node < 0)
		return;
	int map = fdt_node_offset_by_phandle(fdt, tree_u32(fdt, node, "regmap", 0));
	if (map < 0 || tree_reg(fdt, map, 0, &regs) != 0)
		return;
	power.syscon = PADDR(regs.start.v + tree_u32(fdt, node, "offset", 0));
	power.syscon_value = tree_u32(fdt, node, "value", 0);
}

void power_find(const void *fdt)
{
	struct phys_range regs;
	int node = tree_find(fdt, "sifive,test0");

	if (node >= 0 && tree_reg(fdt, node, 0, &regs) == 0 && regs.end.v <= DIRECT_BYTES)
		power.test = regs.start;
	syscon_find(fdt);
	gpio_find(fdt, "gpio-poweroff", &power.off);
	gpio_find(fdt, "gpio-restart", &power.restart);
}

static void gpio_map(struct gpio_line *line)
{
	if (line->regs.v != 0 && kmap_device(line->regs, GPIO_BYTES, 0, 4) == NULL)
		line->regs = PADDR(0);
}

void power_map(void)
{
	if (power.test.v != 0 && kmap_device(power.test, 4, 0, 4) == NULL)
		power.test = PADDR(0);
	if (power.syscon.v != 0 && kmap_device(power.syscon, 4, 0, 4) == NULL)
		power.syscon = PADDR(0);
	gpio_map(&power.off);
	gpio_map(&power.restart);
}

void machine_power_stops(bool stops)
{
	power.stop = stops;
}

static void word_write(paddr_t at, uint32_t value)
{
	*(volatile uint32_t *)hw_direct(at) = value;
	__asm__ volatile("fence iorw, iorw" : : : "memory");
}

void machine_power_off(unsigned status)
{
	log_flush();
	if (power.test.v != 0)
		word_write(power.test, status == 0 ? TEST_PASS : status << 16 | TEST_FAIL);
	if (power.syscon.v != 0)
		word_write(power.syscon, power.syscon_value);
	sbi_reset(SBI_SHUTDOWN);
	gpio_trigger(&power.off);
	if (!power.stop) {
		sbi_reset(SBI_COLD_REBOOT);
		gpio_trigger(&power.restart);
	}
	klog("stopped, status %u: there is no way to power off", status);
	log_flush();
	sbi_legacy_shutdown();
	hart_park();
}
