/*
 * What firmware/ and drivers/ need of the device tree beyond libfdt. The tree stays where it was found and is reserved.
 * Nodes are libfdt offsets. Physical addresses are translated through the parents' ranges.
 */
#ifndef FIRMWARE_TREE_H
#define FIRMWARE_TREE_H

#include <libfdt.h>

#include "lib/types.h"

/* Checks the whole tree at physical address pa, or ends in boot_fail. */
void tree_open(uint64_t pa);
const void *tree_fdt(void);

/* A big-endian number of 1 or 2 cells in a property, or 0. index: in numbers. True if it was there. */
bool tree_number(const void *fdt, int node, const char *name, uint64_t *out);
uint32_t tree_u32(const void *fdt, int node, const char *name, uint32_t absent);
/* The index-th register block. -ENOENT, or -EINVAL where it is malformed. */
int tree_reg(const void *fdt, int node, unsigned index, struct phys_range *out) MUST_CHECK;
/* Whether status is absent, "okay" or "ok". */
bool tree_okay(const void *fdt, int node);
/* The first enabled node that is compatible with name, or a negative number. */
int tree_find(const void *fdt, const char *name);

/* A hart that can run S-mode with Sv39 begins here or behind `node` (0: the first). Its node, or a negative number. */
int tree_next_hart(const void *fdt, int node);
/* The hart's id from its node. */
uint64_t tree_hart_id(const void *fdt, int node);
/* Whether riscv,isa or riscv,isa-extensions of a hart's node names a multi-letter extension. */
bool tree_hart_has(const void *fdt, int node, const char *extension);

/* The same of a single-letter extension. */
bool tree_hart_has_letter(const void *fdt, int node, char extension);

/* Calls visit for every RAM bank, and for every reserved range (no_map: not to be mapped either). In tree order. */
typedef void tree_visit(void *ctx, struct phys_range range, bool no_map);
void tree_each_ram(tree_visit *visit, void *ctx);
void tree_each_reserved(tree_visit *visit, void *ctx);
/* Whether the tree itself names what the firmware below the kernel has. If not, tree_each_reserved takes all 2 MiB there for it. */
bool tree_reserves_firmware(void);

/* The initramfs, empty: none. Ends in boot_fail where it is impossible. */
struct phys_range tree_initrd(void);

#endif
