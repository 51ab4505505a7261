/* Starts the files: the tree, what the kernel puts into it, the console's terminal, the first program's descriptors. */
#include <string.h>

#include "firmware/boot.h"
#include "firmware/log.h"
#include "kernel/blockdev.h"
#include "kernel/tree.h"
#include "kernel/tty.h"
#include "lib/errno.h"

static bool wants_terminal(void)
{
	const char *value = boot_arg("tty");

	if (value == NULL || strcmp(value, "1") == 0)
		return true;
	if (strcmp(value, "0") != 0)
		klog("tty=%s: tty is 0 or 1; going on with 1", value);
	return strcmp(value, "0") != 0;
}

int files_init(const void *initrd, uint64_t bytes)
{
	int error = tree_init();

	if (error == 0)
		error = initramfs_load(initrd, bytes);
	if (error == 0)
		error = dev_init();
	if (error == 0)
		error = blockdev_init();
	if (error == 0)
		error = proc_init();
	tty_init(wants_terminal());
	return error;
}

/* A terminal is /dev/console; what stands for a pipe has no name. */
static int install_console(struct fd_table *table, unsigned flags, bool err, struct node *node)
{
	struct file *file;
	int error;

	if (node != NULL)
		node_get(node);
	error = tty_open(flags, err, node, &file);
	if (error != 0) {
		node_put(node);
		return error;
	}
	error = fdtable_install(table, file, false, 0);
	if (error < 0)
		file_put(file);
	return error;
}

int fdtable_open_console(struct fd_table *table)
{
	bool terminal = tty_is_terminal();
	struct node *root = node_root();
	struct node *node = NULL;
	int error = terminal ? path_lookup(root, "/dev/console", WALK_FOLLOW, &node) : 0;

	if (error == 0)
		error = install_console(table, terminal ? O_RDWR : O_RDONLY, false, node);
	if (error >= 0)
		error = install_console(table, terminal ? O_RDWR : O_WRONLY, false, node);
	if (error >= 0)
		error = install_console(table, terminal ? O_RDWR : O_WRONLY, true, node);
	node_put(node);
	node_put(root);
	return error < 0 ? error : 0;
}
