/*
 * The boot hart's way from start.S to kernel_main: what the firmware and the device tree say, memory, page tables,
 * harts. Each step needs the ones before it; whatever a user can mend ends in one line.
 */
#include "firmware/boot.h"

#include <stdarg.h>
#include <stdio.h>

#include "firmware/errata.h"
#include "firmware/harts.h"
#include "firmware/hw.h"
#include "firmware/log.h"
#include "firmware/memory.h"
#include "firmware/page.h"
#include "firmware/sbi.h"
#include "firmware/stacks.h"
#include "firmware/time.h"
#include "firmware/trap.h"
#include "firmware/tree.h"
#include "lib/hw.h"

#define STATUS_FAIL 125
#define LINE_BYTES  300

static struct boot_info info;

_Noreturn void boot_main(uint64_t hart_id, uint64_t fdt_pa);

const struct boot_info *boot_info(void)
{
	return &info;
}

void boot_fail(const char *fmt, ...)
{
	char line[LINE_BYTES];
	va_list args;

	va_start(args, fmt);
	vsnprintf(line, sizeof(line), fmt, args);
	va_end(args);
	klog("cannot start: %s", line);
	machine_power_off(STATUS_FAIL);
}

static const char *chosen_bootargs(const void *fdt)
{
	int chosen = fdt_path_offset(fdt, "/chosen"), bytes;
	const char *text = chosen < 0 ? NULL : fdt_getprop(fdt, chosen, "bootargs", &bytes);

	if (text == NULL || bytes == 0)
		return "";
	if (text[bytes - 1] != '\0')
		boot_fail("device tree: bootargs does not end");
	return text;
}

static uint64_t timebase(const void *fdt)
{
	uint64_t hz = 0;
	int hart = tree_next_hart(fdt, 0), cpus = fdt_path_offset(fdt, "/cpus");

	if (cpus >= 0 && !tree_number(fdt, cpus, "timebase-frequency", &hz) && hart >= 0)
		tree_number(fdt, hart, "timebase-frequency", &hz);
	if (hz == 0)
		boot_fail("device tree: no timer: /cpus has no timebase-frequency");
	if (hz > UINT32_MAX)
		boot_fail("device tree: no timer counts at %lu Hz, the timebase-frequency of /cpus", hz);
	return hz;
}

/* All that is read later without asking. The tree may call its place no memory, or none to be mapped. */
static bool mapped(const void *from, uint64_t bytes)
{
	uint64_t at = ALIGN_DOWN((uint64_t)from, PAGE_SIZE), end = (uint64_t)from + bytes;

	for (; at < end; at += PAGE_SIZE)
		if (trap_probe_memory((uint64_t *)at, false) == 0)
			return false;
	return true;
}

static void tree_check(const void *fdt)
{
	if (!mapped(fdt, sizeof(struct fdt_header)) || !mapped(fdt, fdt_totalsize(fdt)))
		boot_fail("device tree at 0x%lx: it says that there is no memory there, or none that may be mapped",
			  hw_paddr(fdt).v);
}

static void initrd_find(void)
{
	struct phys_range initrd = tree_initrd();
	uint64_t bytes = initrd.end.v - initrd.start.v;

	if (bytes == 0)
		return;
	for (size_t i = 0; i < info.ram_count; i++) {
		if (initrd.start.v >= info.ram[i].start.v && initrd.end.v <= info.ram[i].end.v &&
		    mapped(hw_direct(initrd.start), bytes)) {
			info.initrd = hw_direct(initrd.start);
			info.initrd_bytes = bytes;
			return;
		}
	}
	boot_fail("device tree: the initramfs, 0x%lx to 0x%lx, is not in memory", initrd.start.v, initrd.end.v);
}

static void tree_describe(const void *fdt)
{
	const char *model = fdt_getprop(fdt, 0, "model", NULL);

	info.fdt = fdt;
	info.model = model != NULL ? model : "unnamed machine";
	info.bootargs = chosen_bootargs(fdt);
	info.timebase_hz = timebase(fdt);
	time_init(info.timebase_hz, false);
}

static void boot_hart_describe(const void *fdt, int node)
{
	const char *isa = fdt_getprop(fdt, node, "riscv,isa", NULL);

	info.isa = isa != NULL ? isa : "";
	/* The tree names stimecmp also where the firmware does not let us at it. */
	time_init(info.timebase_hz, tree_hart_has(fdt, node, "sstc") && trap_probe_stimecmp() != 0);
	timer_set(UINT64_MAX);
}

void boot_main(uint64_t hart_id, uint64_t fdt_pa)
{
	/*
	 * boot_fail must work from the first line on: the SBI console, and the power device as soon as there is a
	 * tree.
	 */
	sbi_init();
	tree_open(fdt_pa);
	const void *fdt = tree_fdt();
	power_find(fdt);
	tree_describe(fdt);
	stack_canary_init(fdt);
	errata_init();
	trap_init();
	banks_find();
	int node = harts_find(fdt, hart_id);
	boot_hart_describe(fdt, node);
	boot_args_init(info.bootargs);
	kmap_init();
	power_map();
	tree_check(fdt);
	hw_init();
	page_init(fdt);
	info.ram = banks_ram(&info.ram_count);
	initrd_find();
	info.reserved = early_seal(&info.reserved_count);
	kernel_main(&info);
}
