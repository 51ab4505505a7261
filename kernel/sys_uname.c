/*
 * What the machine calls itself: uname, sethostname, setdomainname, and the files of /proc/sys/kernel that say the same.
 *
 * Locks: RANK_FILE, with nothing inside.
 */
#include <string.h>

#include "kernel/process.h"
#include "kernel/proc_text.h"
#include "kernel/sys.h"
#include "kernel/text.h"
#include "lib/errno.h"

#define NAME_BYTES 65U /* with its 0 */

static struct {
	struct spinlock lock;
	char host[NAME_BYTES], domain[NAME_BYTES];
} names = { .host = "corral", .domain = "(none)" };

static void get_name(const char *from, char *to)
{
	spin_lock(&names.lock, RANK_FILE);
	memcpy(to, from, NAME_BYTES);
	spin_unlock(&names.lock, RANK_FILE);
}

static int64_t set_name(char *to, const uint64_t *a)
{
	char fresh[NAME_BYTES] = "";

	if ((int)a[1] < 0 || (uint32_t)a[1] >= NAME_BYTES)
		return -EINVAL;
	if (user_read(current_space(), fresh, VADDR(a[0]), (uint32_t)a[1]) != 0)
		return -EFAULT;
	spin_lock(&names.lock, RANK_FILE);
	memcpy(to, fresh, NAME_BYTES);
	spin_unlock(&names.lock, RANK_FILE);
	return 0;
}

int64_t sys_uname(const uint64_t *a)
{
	struct {
		char sysname[NAME_BYTES], nodename[NAME_BYTES], release[NAME_BYTES], version[NAME_BYTES],
			machine[NAME_BYTES], domainname[NAME_BYTES];
	} name = { "Linux", "", "6.12.0-corral", "#1 SMP Corral", "riscv64", "" };

	get_name(names.host, name.nodename);
	get_name(names.domain, name.domainname);
	return user_write(current_space(), VADDR(a[0]), &name, sizeof(name)) != 0 ? -EFAULT : 0;
}

int64_t sys_sethostname(const uint64_t *a)
{
	return set_name(names.host, a);
}

int64_t sys_setdomainname(const uint64_t *a)
{
	return set_name(names.domain, a);
}

static void name_text(struct text *text, const char *from)
{
	char name[NAME_BYTES];

	get_name(from, name);
	text_put(text, "%s\n", name);
}

void hostname_text(struct text *text)
{
	name_text(text, names.host);
}

void domainname_text(struct text *text)
{
	name_text(text, names.domain);
}
