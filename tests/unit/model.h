/*
 * The flat model of what spaces should look like: an array of pages a space, each with all that a program can know of it.
 * model.c changes it as each call should; test_model.c and test_oom.c compare.
 */
#ifndef UNIT_MODEL_H
#define UNIT_MODEL_H

#include "tests/unit/unit.h"

#include "mm/object.h"
#include "mm/slab.h"

#define MODEL_PAGES	   1300 /* across two leaf tables' and one level-1 table's boundary, with whole tables in it */
#define MODEL_SPACES	   4
#define MODEL_OBJECTS	   2
#define MODEL_OBJECT_PAGES 700
#define MODEL_WORDS	   2

struct model_page {
	bool mapped;
	bool own; /* has a page of its own: written since it was mapped */
	bool shared;
	uint8_t perm, max_perm;
	int8_t object; /* -1: anonymous */
	uint8_t fork;
	uint32_t index;		    /* in the object */
	uint64_t word[MODEL_WORDS]; /* if own */
};

struct model_space {
	struct space *space; /* NULL: none */
	struct model_page page[MODEL_PAGES];
};

struct model {
	struct model_space space[MODEL_SPACES];
	struct object *object[MODEL_OBJECTS];
	uint64_t word[MODEL_OBJECTS][MODEL_OBJECT_PAGES][MODEL_WORDS];
	uint64_t free_before;
};

extern struct model model;

/* The machine is up: makes the objects and the first space. */
void model_start(void);
/* Drops everything; all memory must be back. */
void model_end(void);

vaddr_t model_va(unsigned page, unsigned word);

/* What an access to this page must come to, and the value that stands there. */
enum fault model_access(const struct model_page *page, enum access access);
uint64_t model_value(const struct model_page *page, unsigned word);
void model_store(struct model_page *page, unsigned word, uint64_t value);

/* What the calls change in the model, and the error they must give. */
void model_map(struct model_space *in, unsigned first, unsigned n, const struct model_page *like);
void model_unmap(struct model_space *in, unsigned first, unsigned n);
bool model_any_mapped(const struct model_space *in, unsigned first, unsigned n);
int model_protect(struct model_space *in, unsigned first, unsigned n, uint64_t perm);
int model_discard(struct model_space *in, unsigned first, unsigned n);
int model_set_fork(struct model_space *in, unsigned first, unsigned n, enum mapping_fork fork);
void model_fork(const struct model_space *parent, struct model_space *child);

/* Compares a whole space: every page's content by user_read, and the regions. */
void model_compare(struct model_space *in);
/* One page by a program's access on this hart, which must be in the space. -ENOMEM: a failure that was asked for. */
int model_check_access(struct model_space *in, unsigned page, unsigned word, enum access access, uint64_t value);

#endif
