/* Starts the files: the tree, what the kernel puts into it, the console's terminal. Once, at boot. */
#include <string.h>

#include "firmware/boot.h"
#include "firmware/log.h"
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
		error = proc_init();
	tty_init(wants_terminal());
	return error;
}
