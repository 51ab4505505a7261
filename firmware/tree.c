/* The device tree: opening it, and reading numbers, registers and harts out of it. Reads only; no locks. */
#include "firmware/tree.h"

#include <string.h>

#include "firmware/boot.h"
#include "firmware/memory.h"
#include "lib/errno.h"
#include "lib/hw.h"

#define TREE_MAX_DEPTH 16
#define FIRMWARE_BYTES (UINT64_C(2) << 20)

static const void *tree;

/* What is wrong with the tree as a whole, or NULL. libfdt checks all but that its words can be loaded as such. */
static const char *problem(const void *fdt)
{
	int error;

	if (fdt_off_dt_struct(fdt) % sizeof(fdt32_t) != 0 || fdt_off_mem_rsvmap(fdt) % sizeof(fdt64_t) != 0)
		return "FDT_ERR_ALIGNMENT";
	error = fdt_check_full(fdt, fdt_totalsize(fdt));
	return error != 0 ? fdt_strerror(error) : NULL;
}

void tree_open(uint64_t pa)
{
	const void *fdt = hw_direct(PADDR(pa));

	if (pa == 0 || pa >= DIRECT_BYTES)
		boot_fail("no device tree: the firmware gave address 0x%lx", pa);
	if (pa % 8 != 0)
		boot_fail("device tree at 0x%lx: not aligned to 8 bytes", pa);
	if (fdt_magic(fdt) != FDT_MAGIC)
		boot_fail("device tree at 0x%lx: no device tree there (0x%08x)", pa, fdt_magic(fdt));
	if (problem(fdt) != NULL)
		boot_fail("device tree at 0x%lx: broken: %s", pa, problem(fdt));
	tree = fdt;
}

const void *tree_fdt(void)
{
	return tree;
}

/* n cells at p as a number; more than two do not fit. */
static uint64_t cells_get(const fdt32_t *p, int n)
{
	uint64_t value = 0;

	for (int i = 0; i < n; i++)
		value = value << 32 | fdt32_ld(p + i);
	return value;
}

bool tree_number(const void *fdt, int node, const char *name, uint64_t *out)
{
	int bytes;
	const fdt32_t *p = fdt_getprop(fdt, node, name, &bytes);

	if (p == NULL || (bytes != 4 && bytes != 8))
		return false;
	*out = cells_get(p, bytes / 4);
	return true;
}

uint32_t tree_u32(const void *fdt, int node, const char *name, uint32_t absent)
{
	uint64_t value;

	return tree_number(fdt, node, name, &value) ? (uint32_t)value : absent;
}

/* Takes *addr through node's ranges into its parent's addresses. An absent property means that there is no way. */
static int translate_up(const void *fdt, int node, int parent, uint64_t *addr)
{
	int bytes;
	const fdt32_t *p = fdt_getprop(fdt, node, "ranges", &bytes);
	int child_cells = fdt_address_cells(fdt, node);
	int parent_cells = fdt_address_cells(fdt, parent);
	int size_cells = fdt_size_cells(fdt, node);

	if (p == NULL)
		return -EINVAL;
	if (bytes == 0)
		return 0;
	if (child_cells < 1 || child_cells > 2 || parent_cells < 1 || parent_cells > 2 || size_cells < 1 ||
	    size_cells > 2)
		return -EINVAL;
	int entry = child_cells + parent_cells + size_cells;
	for (; bytes >= entry * 4; bytes -= entry * 4, p += entry) {
		uint64_t child = cells_get(p, child_cells);
		if (*addr - child < cells_get(p + child_cells + parent_cells, size_cells)) {
			*addr = *addr - child + cells_get(p + child_cells, parent_cells);
			return 0;
		}
	}
	return -EINVAL;
}

int tree_reg(const void *fdt, int node, unsigned index, struct phys_range *out)
{
	int bytes, path[TREE_MAX_DEPTH], depth = fdt_node_depth(fdt, node);

	if (depth < 1 || depth >= TREE_MAX_DEPTH)
		return -EINVAL;
	for (int i = 0; i < depth; i++)
		path[i] = fdt_supernode_atdepth_offset(fdt, node, i, NULL);
	int parent = path[depth - 1];
	int address_cells = fdt_address_cells(fdt, parent), size_cells = fdt_size_cells(fdt, parent);
	const fdt32_t *p = fdt_getprop(fdt, node, "reg", &bytes);
	if (p == NULL)
		return -ENOENT;
	if (address_cells < 1 || address_cells > 2 || size_cells < 0 || size_cells > 2)
		return -EINVAL;
	int entry = address_cells + size_cells;
	if ((uint64_t)bytes / 4 / (unsigned)entry <= index)
		return -ENOENT;
	p += (unsigned)entry * index;
	uint64_t addr = cells_get(p, address_cells), size = cells_get(p + address_cells, size_cells);
	for (int i = depth - 1; i > 0; i--)
		if (translate_up(fdt, path[i], path[i - 1], &addr) != 0)
			return -EINVAL;
	if (addr + size < addr)
		return -EINVAL;
	*out = (struct phys_range){ PADDR(addr), PADDR(addr + size) };
	return 0;
}

bool tree_okay(const void *fdt, int node)
{
	const char *status = fdt_getprop(fdt, node, "status", NULL);

	return status == NULL || strcmp(status, "okay") == 0 || strcmp(status, "ok") == 0;
}

int tree_find(const void *fdt, const char *name)
{
	int node = fdt_node_offset_by_compatible(fdt, -1, name);

	while (node >= 0 && !tree_okay(fdt, node))
		node = fdt_node_offset_by_compatible(fdt, node, name);
	return node;
}

/* An okay hart without mmu-type is one without S-mode (FU540's E51), whatever the firmware says about it. */
static bool hart_usable(const void *fdt, int node)
{
	const char *type = fdt_getprop(fdt, node, "device_type", NULL);
	const char *mmu = fdt_getprop(fdt, node, "mmu-type", NULL);

	return type != NULL && strcmp(type, "cpu") == 0 && tree_okay(fdt, node) && mmu != NULL &&
	       strncmp(mmu, "riscv,sv", 8) == 0 && strcmp(mmu, "riscv,sv32") != 0 &&
	       fdt_getprop(fdt, node, "reg", NULL);
}

int tree_next_hart(const void *fdt, int node)
{
	if (node == 0) {
		int cpus = fdt_path_offset(fdt, "/cpus");
		node = cpus < 0 ? cpus : fdt_first_subnode(fdt, cpus);
	} else {
		node = fdt_next_subnode(fdt, node);
	}
	while (node >= 0 && !hart_usable(fdt, node))
		node = fdt_next_subnode(fdt, node);
	return node;
}

uint64_t tree_hart_id(const void *fdt, int node)
{
	uint64_t id = UINT64_MAX;

	return tree_number(fdt, node, "reg", &id) ? id : UINT64_MAX;
}

/* riscv,isa: single letters, then _name_name...; a version may follow a name. */
static bool isa_names(const char *isa, const char *extension)
{
	size_t length = strlen(extension);

	for (const char *p = strchr(isa, '_'); p != NULL; p = strchr(p, '_')) {
		p++;
		if (strncmp(p, extension, length) == 0 && (p[length] == '\0' || p[length] == '_'))
			return true;
	}
	return false;
}

bool tree_hart_has(const void *fdt, int node, const char *extension)
{
	const char *isa = fdt_getprop(fdt, node, "riscv,isa", NULL);

	return fdt_stringlist_search(fdt, node, "riscv,isa-extensions", extension) >= 0 ||
	       (isa != NULL && isa_names(isa, extension));
}

/* rv64, then single letters, perhaps with versions, then the others. */
static bool isa_has_letter(const char *isa, char extension)
{
	const char *letters = isa + strlen("rv64");

	return strncmp(isa, "rv64", strlen("rv64")) == 0 &&
	       memchr(letters, extension, strcspn(letters, "_zsx")) != NULL;
}

bool tree_hart_has_letter(const void *fdt, int node, char extension)
{
	const char *isa = fdt_getprop(fdt, node, "riscv,isa", NULL);
	const char name[] = { extension, '\0' };

	return fdt_stringlist_search(fdt, node, "riscv,isa-extensions", name) >= 0 ||
	       (isa != NULL && isa_has_letter(isa, extension));
}

static void each_reg(int node, bool no_map, tree_visit *visit, void *ctx)
{
	struct phys_range range;
	int error = 0;

	for (unsigned i = 0; error == 0; i++) {
		error = tree_reg(tree, node, i, &range);
		if (error == 0)
			visit(ctx, range, no_map);
	}
	if (error == -EINVAL)
		boot_fail("device tree: %s: bad reg", fdt_get_name(tree, node, NULL));
}

void tree_each_ram(tree_visit *visit, void *ctx)
{
	int node;

	fdt_for_each_subnode(node, tree, 0)
	{
		const char *type = fdt_getprop(tree, node, "device_type", NULL);
		if (type != NULL && strcmp(type, "memory") == 0 && tree_okay(tree, node))
			each_reg(node, false, visit, ctx);
	}
}

static void each_reserved_node(tree_visit *visit, void *ctx)
{
	int parent = fdt_path_offset(tree, "/reserved-memory"), node;

	if (parent < 0)
		return;
	fdt_for_each_subnode(node, tree, parent)
	{
		if (tree_okay(tree, node))
			each_reg(node, fdt_getprop(tree, node, "no-map", NULL) != NULL, visit, ctx);
	}
}

static void each_named(tree_visit *visit, void *ctx)
{
	for (int i = 0; i < fdt_num_mem_rsv(tree); i++) {
		uint64_t start, bytes;
		if (fdt_get_mem_rsv(tree, i, &start, &bytes) == 0 && start + bytes > start)
			visit(ctx, (struct phys_range){ PADDR(start), PADDR(start + bytes) }, false);
	}
	each_reserved_node(visit, ctx);
}

/* Where firmware that starts us in S-mode is: the 2 MiB below, which is why we are not there. */
static struct phys_range below_kernel(void)
{
	uint64_t end = hw_paddr(kernel_start).v;

	return (struct phys_range){ PADDR(end - FIRMWARE_BYTES), PADDR(end) };
}

static void note_below(void *ctx, struct phys_range range, bool no_map)
{
	struct phys_range below = below_kernel();

	(void)no_map;
	if (range.start.v < below.end.v && range.end.v > below.start.v)
		*(bool *)ctx = true;
}

bool tree_reserves_firmware(void)
{
	bool found = false;

	each_named(note_below, &found);
	return found;
}

void tree_each_reserved(tree_visit *visit, void *ctx)
{
	struct phys_range initrd = tree_initrd();
	uint64_t fdt = hw_paddr(tree).v;

	each_named(visit, ctx);
	if (!tree_reserves_firmware())
		visit(ctx, below_kernel(), true);
	visit(ctx, (struct phys_range){ hw_paddr(kernel_start), hw_paddr(kernel_end) }, false);
	visit(ctx, (struct phys_range){ PADDR(fdt), PADDR(fdt + fdt_totalsize(tree)) }, false);
	if (initrd.end.v != 0)
		visit(ctx, initrd, false);
}

struct phys_range tree_initrd(void)
{
	int chosen = fdt_path_offset(tree, "/chosen");
	uint64_t start, end;

	if (chosen < 0 || !tree_number(tree, chosen, "linux,initrd-start", &start) ||
	    !tree_number(tree, chosen, "linux,initrd-end", &end) || start == end)
		return (struct phys_range){ PADDR(0), PADDR(0) };
	if (end < start || end > DIRECT_BYTES)
		boot_fail("device tree: impossible initramfs, 0x%lx to 0x%lx", start, end);
	return (struct phys_range){ PADDR(start), PADDR(end) };
}
