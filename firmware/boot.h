/* What the machine is, as the device tree and the firmware say; and where firmware/ hands over to kernel/. */
#ifndef FIRMWARE_BOOT_H
#define FIRMWARE_BOOT_H

#include "lib/types.h"

struct boot_info {
	const void *fdt;	      /* through the direct map, reserved */
	const struct phys_range *ram; /* sorted, page-aligned inward */
	size_t ram_count;
	/* Sorted, page-aligned outward: firmware, kernel, tree, initrd, coremap, early. */
	const struct phys_range *reserved;
	size_t reserved_count;
	const void *initrd; /* through the direct map; NULL: none */
	uint64_t initrd_bytes;
	const char *bootargs; /* never NULL */
	const char *model;
	uint64_t timebase_hz;
	const char *isa; /* riscv,isa of the boot hart */
};

const struct boot_info *boot_info(void);

/*
 * kernel/main.c. The boot hart comes here with the MMU on, the direct map and the coremap's backing in place, the
 * console and the log working (SBI console until the UART driver has been probed), interrupts off.
 */
_Noreturn void kernel_main(const struct boot_info *info);

/* One clear line on whatever console there is, then power off with status 125. For what a user can mend. */
_Noreturn void boot_fail(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/*
 * Boot arguments: words separated by blanks; "..." and '...' group, backslash takes the next byte literally.
 * Everything behind a lone "--" belongs to the first program. boot_arg returns the value of key=value ("" for a bare
 * key), NULL where it is absent; the last one counts. boot_args_init parses once; the strings live forever.
 */
void boot_args_init(const char *bootargs);
const char *boot_arg(const char *key);
/* The words behind "--", NULL-terminated, and how many. */
char **boot_program_args(unsigned *count);
/* Calls visit for each word before "--" that no boot_arg call has asked for: unknown ones. After all were asked for. */
void boot_args_unknown(void (*visit)(const char *word));

#endif
