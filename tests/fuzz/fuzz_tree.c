/*
 * Any bytes as a device tree: libfdt's whole check, as the kernel makes it, and then what firmware/tree.c reads. A refusal is an answer. FUZZ_CORPUS=DIR:
 * dtc's tree of a small machine goes there first.
 */
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <stdio.h>

#include "firmware/tree.c"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerInitialize(int *argc, char ***argv);

static jmp_buf refused;
char kernel_start[1], kernel_end[1];

/* What the fakes' direct map asks for. */
_Thread_local unsigned fake_direct_countdown;
uintptr_t fake_direct_offset;

void fake_direct_pause(void)
{
}

void boot_fail(const char *fmt, ...)
{
	if (fmt == NULL)
		abort();
	longjmp(refused, 1);
}

static void visit(void *ctx, struct phys_range range, bool no_map)
{
	(void)range;
	(void)no_map;
	++*(unsigned *)ctx;
}

static void nodes(const void *fdt)
{
	struct phys_range range;
	uint64_t value;
	int hart = 0;

	for (int node = 0; node >= 0; node = fdt_next_node(fdt, node, NULL)) {
		for (unsigned i = 0; i < 3; i++)
			(void)!tree_reg(fdt, node, i, &range);
		(void)tree_number(fdt, node, "timebase-frequency", &value);
		(void)tree_okay(fdt, node);
	}
	(void)tree_find(fdt, "ns16550a");
	for (unsigned i = 0; i < 64 && (hart = tree_next_hart(fdt, hart)) >= 0; i++) {
		(void)tree_hart_id(fdt, hart);
		(void)tree_hart_has(fdt, hart, "sstc");
		(void)tree_hart_has_letter(fdt, hart, 'h');
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	uint8_t *copy = malloc(n == 0 ? 1 : n);
	unsigned seen = 0;

	if (n != 0)
		memcpy(copy, data, n);
	if (n >= 40 && fdt_magic(copy) == FDT_MAGIC && fdt_totalsize(copy) <= n && problem(copy) == NULL) {
		tree = copy;
		nodes(copy);
		if (setjmp(refused) == 0)
			tree_each_ram(visit, &seen);
		if (setjmp(refused) == 0)
			(void)tree_initrd();
		if (setjmp(refused) == 0)
			(void)tree_reserves_firmware();
	}
	free(copy);
	return 0;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	const char *dir = getenv("FUZZ_CORPUS");
	char line[1000];

	(void)argc;
	(void)argv;
	snprintf(
		line, sizeof(line),
		"echo '/dts-v1/; / { #address-cells = <2>; #size-cells = <2>; chosen { linux,initrd-start = <0x84000000>; linux,initrd-end = <0x85000000>; }; "
		"memory@80000000 { device_type = \"memory\"; reg = <0 0x80000000 0 0x8000000>; }; cpus { #address-cells = <1>; #size-cells = <0>; "
		"timebase-frequency = <10000000>; cpu@0 { device_type = \"cpu\"; reg = <0>; status = \"okay\"; compatible = \"riscv\"; mmu-type = \"riscv,sv39\"; "
		"riscv,isa = \"rv64imafdch_sstc\"; }; }; soc { #address-cells = <2>; #size-cells = <2>; ranges; uart@10000000 { compatible = \"ns16550a\"; "
		"reg = <0 0x10000000 0 0x100>; }; }; };' | dtc -q -O dtb -o %s/small.dtb - || true",
		dir == NULL ? "/nowhere" : dir);
	if (dir != NULL && system(line) != 0)
		return 0;
	return 0;
}
