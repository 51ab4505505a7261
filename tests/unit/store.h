/* A store for backed objects, and what kernel/ does with one: reads in, writes back, evicts. For tests. */
#ifndef UNIT_STORE_H
#define UNIT_STORE_H

#include <pthread.h>

#include "mm/object.h"
#include "tests/unit/unit.h"

#define STORE_PAGES 64

struct store {
	struct object *object;
	pthread_mutex_t lock; /* one page is read in, or a batch written back, at a time */
	unsigned char page[STORE_PAGES][4096];
};

void store_start(struct store *store, uint64_t pages);
/* Reads page `index` in, if it is not there. */
void store_read_in(struct store *store, uint64_t index);
/* Whatever was missing at va. */
void store_settle(struct store *store, struct space *space, vaddr_t va);
/* Writes back up to max dirty pages from `first` on. How many. */
unsigned store_write_back(struct store *store, uint64_t first, unsigned max);

/* A program's access, and read() and write() of 8 bytes through a program's memory at `via`, as kernel/ does them. */
enum fault store_user(struct store *store, vaddr_t va, struct fake_op *op);
int64_t store_read(struct store *store, uint64_t offset, struct space *space, vaddr_t via);
int64_t store_write(struct store *store, uint64_t offset, struct space *space, vaddr_t via);

#endif
