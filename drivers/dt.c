/* Device-tree look-ups for drivers. Reads only. */
#include "drivers/dt.h"

#include <string.h>

#include "firmware/memory.h"
#include "firmware/tree.h"
#include "lib/errno.h"

int dt_interrupt(const void *fdt, int node, unsigned *source)
{
	int bytes;
	const fdt32_t *cells = fdt_getprop(fdt, node, "interrupts", &bytes);

	if (cells != NULL && bytes >= 4) {
		*source = fdt32_ld(cells);
		return 0;
	}
	cells = fdt_getprop(fdt, node, "interrupts-extended", &bytes);
	if (cells == NULL || bytes < 8)
		return -ENOENT;
	*source = fdt32_ld(cells + 1);
	return 0;
}

volatile void *dt_map(const void *fdt, int node, uint64_t at, unsigned width)
{
	struct phys_range regs;

	if (tree_reg(fdt, node, 0, &regs) != 0)
		return NULL;
	return kmap_device(regs.start, regs.end.v - regs.start.v, at, width);
}

/* Looked up here: libfdt follows aliases of aliases, for ever if they go in a circle, and to the end of memory if they do not end. */
static const char *alias_path(const void *fdt, const char *alias, size_t length)
{
	int aliases = fdt_path_offset(fdt, "/aliases"), bytes;
	const char *path = aliases < 0 ? NULL : fdt_getprop_namelen(fdt, aliases, alias, (int)length, &bytes);

	return path == NULL || bytes == 0 || path[bytes - 1] != '\0' || path[0] != '/' ? NULL : path;
}

int dt_stdout(const void *fdt)
{
	int chosen = fdt_path_offset(fdt, "/chosen"), bytes;
	const char *path = chosen < 0 ? NULL : fdt_getprop(fdt, chosen, "stdout-path", &bytes);

	if (path == NULL || bytes == 0 || path[bytes - 1] != '\0')
		return -ENOENT;
	/* "path:options", where the path may be an alias */
	if (path[0] != '/')
		path = alias_path(fdt, path, strcspn(path, ":"));
	return path == NULL ? -ENOENT : fdt_path_offset_namelen(fdt, path, (int)strcspn(path, ":"));
}
