/* /proc/corral/caches: a line for each cache of the first hart, as the device tree has it; and the boot's line for those that harts share. */
#include "firmware/boot.h"
#include "firmware/caches.h"
#include "firmware/log.h"
#include "kernel/proc_text.h"
#include "kernel/text.h"

static void put_cache(void *ctx, const struct cache_level *cache)
{
	text_put(ctx, "level %u type %s bytes %llu sets %u ways %u line %u harts %u\n", cache->level, cache->type,
		 (unsigned long long)cache->bytes, cache->sets, cache->ways, cache->line, cache->harts);
}

void proc_caches(struct text *text)
{
	caches_each(boot_info()->fdt, put_cache, text);
}

static void log_cache(void *ctx, const struct cache_level *cache)
{
	(void)ctx;
	if (cache->level > 1)
		klog("cache: level %u, %lu KiB, %u sets, %u ways, lines of %u bytes, shared by %u harts", cache->level,
		     cache->bytes >> 10, cache->sets, cache->ways, cache->line, cache->harts);
}

void proc_caches_log(void)
{
	caches_each(boot_info()->fdt, log_cache, NULL);
}
