/*
 * Chooses how pages are copied and cleared, by what all usable harts have in the device tree and the boot hart then really
 * does: firmware may keep cbo.zero and vectors from us. Written once by the boot hart, before there are others.
 *
 * The kernel's use of the vector registers needs no saving: programs have none (sstatus.VS is off in user mode).
 */
#include "firmware/page.h"

#include <string.h>

#include "firmware/boot.h"
#include "firmware/log.h"
#include "firmware/tree.h"
#include "lib/hw.h"

struct page_ways page_ways_now = { .copy = page_copy_plain, .clear = page_clear_plain };

/* Every usable hart has the extension. */
static bool all_have(const void *fdt, bool (*has)(const void *fdt, int node))
{
	for (int node = tree_next_hart(fdt, 0); node >= 0; node = tree_next_hart(fdt, node))
		if (!has(fdt, node))
			return false;
	return true;
}

static bool has_vector(const void *fdt, int node)
{
	return tree_hart_has_letter(fdt, node, 'v');
}

static uint32_t zero_block(const void *fdt, int node)
{
	return tree_u32(fdt, node, "riscv,cboz-block-size", 0);
}

/* The same block on all of them, which page_clear_zicboz can do: it clears four in a turn. */
static bool has_zicboz(const void *fdt, int node)
{
	uint32_t block = zero_block(fdt, node);

	return tree_hart_has(fdt, node, "zicboz") && block >= 8 && block <= PAGE_SIZE / 4 &&
	       (block & (block - 1)) == 0 && block == zero_block(fdt, tree_next_hart(fdt, 0));
}

static void use_zicboz(const void *fdt)
{
	page_ways_now.zero_block = zero_block(fdt, tree_next_hart(fdt, 0));
	page_ways_now.clear = page_clear_zicboz;
}

static void use_vector(void)
{
	page_ways_now.copy = page_copy_vector;
	page_ways_now.clear = page_clear_vector;
}

/* What copy= leaves of them; it ends in boot_fail where the harts have not what it wants. */
static void restrict_ways(bool *vector, bool *zicboz)
{
	const char *want = boot_arg("copy");

	if (want == NULL)
		return;
	if (strcmp(want, "plain") != 0 && strcmp(want, "zicboz") != 0 && strcmp(want, "vector") != 0)
		boot_fail("boot argument copy=%s: must be plain, zicboz or vector", want);
	if ((strcmp(want, "zicboz") == 0 && !*zicboz) || (strcmp(want, "vector") == 0 && !*vector))
		boot_fail("boot argument copy=%s: this machine's harts have no such thing", want);
	*zicboz = strcmp(want, "zicboz") == 0;
	*vector = strcmp(want, "vector") == 0;
}

void page_init(const void *fdt)
{
	bool zicboz = all_have(fdt, has_zicboz) && page_probe_zicboz() != 0;
	/* Eight registers at a time must divide a page. */
	uint64_t bytes = all_have(fdt, has_vector) ? 8 * page_probe_vector() : 0;
	bool vector = bytes != 0 && PAGE_SIZE % bytes == 0;

	restrict_ways(&vector, &zicboz);
	if (vector)
		use_vector();
	if (zicboz)
		use_zicboz(fdt);
	if (!vector && !zicboz && boot_arg("copy") == NULL)
		return; /* nothing to tell */
	klog("pages are copied by %s and cleared by %s", vector ? "vectors" : "loads and stores",
	     zicboz   ? "cbo.zero"
	     : vector ? "vectors"
		      : "stores");
}
