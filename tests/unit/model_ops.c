/* Random operations on the model and on mm at once. See model_ops.h. */
#include "tests/unit/model_ops.h"

struct op {
	struct model_space *in;
	unsigned hart;
	unsigned first, n; /* pages */
	uint64_t perm;
	uint64_t value;
	enum mapping_fork fork;
	struct model_page like;
	unsigned slot; /* for a new space */
	enum access access;
	enum space_place place;
};

/* Does it to mm and to the model; what mm returned: 0, or a negative errno where memory ran out under injection. */
typedef int op_fn(const struct op *op);

static void expect(const char *what, const struct op *op, int got, int want)
{
	if (got != want)
		fail_msg("%s(pages %u + %u, perm %llx) = %d, expected %d", what, op->first, op->n,
			 (unsigned long long)op->perm, got, want);
}

/* Under injection -ENOMEM is no error of the call, and the model stays. */
static bool ran_out(int error)
{
	return error == -ENOMEM && fake_fail_hit();
}

static vaddr_t start_of(const struct op *op)
{
	return vaddr_page(model_va(op->first, 0));
}

static int op_map(const struct op *op)
{
	vaddr_t at = start_of(op);
	bool blocked = op->place == PLACE_NO_REPLACE && model_any_mapped(op->in, op->first, op->n);
	bool refused = (op->perm & ~(uint64_t)op->like.max_perm) != 0;
	int error;

	if (op->like.object < 0)
		error = space_map(op->in->space, op->place, &at, PAGES(op->n), op->perm,
				  mapping_anon((enum mapping_fork)op->like.fork));
	else
		error = space_map_object(op->in->space, op->place, &at, PAGES(op->n), op->perm, op->like.max_perm,
					 model.object[op->like.object], PAGES(op->like.index), op->like.shared);
	if (ran_out(error))
		return error;
	expect("map", op, error, refused ? -EACCES : blocked ? -EEXIST : 0);
	if (error == 0) {
		assert_int_equal(at.v, start_of(op).v);
		model_map(op->in, op->first, op->n, &op->like);
	}
	return 0;
}

/* By hint: there if it is free, somewhere else if not; then it is taken away again. */
static int op_map_hint(const struct op *op)
{
	vaddr_t at = start_of(op);
	bool taken = model_any_mapped(op->in, op->first, op->n);
	int error = space_map(op->in->space, PLACE_HINT, &at, PAGES(op->n), PERM_R | PERM_W,
			      mapping_anon(MAPPING_FORK_COPY));

	if (ran_out(error))
		return error;
	expect("map by hint", op, error, 0);
	if (!taken)
		assert_int_equal(at.v, start_of(op).v);
	else
		assert_false(at.v < start_of(op).v + PAGES(op->n) && at.v + PAGES(op->n) > start_of(op).v);
	error = space_unmap(op->in->space, at, PAGES(op->n));
	if (ran_out(error)) { /* a reservation that could not be split: now it can */
		fake_fail_at(0, false);
		error = space_unmap(op->in->space, at, PAGES(op->n));
	}
	expect("unmap", op, error, 0);
	return 0;
}

static int op_unmap(const struct op *op)
{
	int error = space_unmap(op->in->space, start_of(op), PAGES(op->n));

	if (ran_out(error))
		return error;
	expect("unmap", op, error, 0);
	model_unmap(op->in, op->first, op->n);
	return 0;
}

static int op_protect(const struct op *op)
{
	int error = space_protect(op->in->space, start_of(op), PAGES(op->n), op->perm);

	if (ran_out(error))
		return error;
	expect("protect", op, error, model_protect(op->in, op->first, op->n, op->perm));
	return 0;
}

static int op_discard(const struct op *op)
{
	int error = space_discard(op->in->space, start_of(op), PAGES(op->n));

	if (error == -EAGAIN && fake_fail_hit()) /* a shared table could not be made private */
		return -ENOMEM;
	expect("discard", op, error, model_discard(op->in, op->first, op->n));
	return 0;
}

static int op_set_fork(const struct op *op)
{
	int error = space_set_fork(op->in->space, start_of(op), PAGES(op->n), op->fork);

	if (ran_out(error))
		return error; /* a first part may have changed: the model is told by doing it again */
	expect("set_fork", op, error, model_set_fork(op->in, op->first, op->n, op->fork));
	return 0;
}

static int op_fork(const struct op *op)
{
	const vaddr_t hot[SPACE_HOT] = { VADDR(start_of(op).v + 9), VADDR(start_of(op).v + PAGES(op->n)) };
	struct model_space *child = &model.space[op->slot];
	int error;

	if (child->space != NULL)
		return 0;
	error = space_fork_near(op->in->space, op->value % 3 != 0 ? hot : NULL, &child->space);
	if (ran_out(error)) {
		child->space = NULL;
		return error;
	}
	expect("fork", op, error, 0);
	unit_created(child->space);
	model_fork(op->in, child);
	return 0;
}

static int op_exit(const struct op *op)
{
	struct model_space *gone = &model.space[op->slot];

	if (gone->space == NULL || gone == op->in)
		return 0;
	unit_drop(gone->space);
	gone->space = NULL;
	return 0;
}

static int op_access(const struct op *op)
{
	fake_hart_enter(op->hart);
	space_switch(op->in->space);
	return model_check_access(op->in, op->first, op->value & 1, op->access, op->value);
}

/* The kernel writes a word. */
static int op_user_write(const struct op *op)
{
	struct model_page *page = &op->in->page[op->first];
	unsigned word = op->value & 1;
	enum fault can = model_access(page, ACCESS_WRITE);
	int error = user_write(op->in->space, model_va(op->first, word), &op->value, 8);

	if (ran_out(error))
		return error;
	expect("user_write", op, error, can == FAULT_OK ? 0 : -EFAULT);
	if (error == 0)
		model_store(page, word, op->value);
	return 0;
}

/* Across pages, cleared: every word of the pages in between. */
static int op_user_clear(const struct op *op)
{
	unsigned n = MIN(op->n, 4U), done = 0;
	int error = user_clear(op->in->space, start_of(op), PAGES(n));

	if (ran_out(error)) {
		fake_fail_at(0, false);
		error = user_clear(op->in->space, start_of(op), PAGES(n));
	}
	while (done < n && model_access(&op->in->page[op->first + done], ACCESS_WRITE) == FAULT_OK) {
		model_store(&op->in->page[op->first + done], 0, 0);
		model_store(&op->in->page[op->first + done], 1, 0);
		done++;
	}
	expect("user_clear", op, error, done == n ? 0 : -EFAULT);
	return 0;
}

static int op_object_write(const struct op *op)
{
	unsigned object = op->slot % MODEL_OBJECTS, page = op->first % (MODEL_OBJECT_PAGES - 1), word = op->value & 1;
	int64_t done =
		object_write(model.object[object], PAGES(page) + (model_va(0, word).v & PAGE_MASK), &op->value, 8);

	if (done < 0 && ran_out((int)done))
		return (int)done;
	assert_int_equal(done, 8);
	model.word[object][page][word] = op->value;
	return 0;
}

static const struct {
	op_fn *fn;
	unsigned weight;
} ops[] = {
	{ op_access, 600 },  { op_user_write, 60 }, { op_user_clear, 10 }, { op_map, 60 },
	{ op_map_hint, 10 }, { op_unmap, 40 },	    { op_protect, 60 },	   { op_discard, 30 },
	{ op_set_fork, 15 }, { op_fork, 40 },	    { op_exit, 35 },	   { op_object_write, 20 },
};

static op_fn *choose_fn(void)
{
	uint64_t total = 0, at;

	for (unsigned i = 0; i < ARRAY_LEN(ops); i++)
		total += ops[i].weight;
	at = fake_below(total);
	for (unsigned i = 0;; i++) {
		if (at < ops[i].weight)
			return ops[i].fn;
		at -= ops[i].weight;
	}
}

static uint64_t choose_perm(void)
{
	static const uint64_t perms[] = { 0,	  PERM_R, PERM_R | PERM_W, PERM_R | PERM_W, PERM_R | PERM_W,
					  PERM_W, PERM_X, PERM_R | PERM_X, PERM_RWX };

	return perms[fake_below(ARRAY_LEN(perms))];
}

/* Short ones most often, then whole tables, then anything; near what was touched last. */
static void choose_range(struct op *op)
{
	static unsigned last;
	unsigned limit = fake_below(4) != 0 ? 8 : fake_below(3) != 0 ? 600 : MODEL_PAGES;

	op->n = 1 + (unsigned)fake_below(limit);
	op->first = fake_below(3) != 0 ? (last + (unsigned)fake_below(16)) % MODEL_PAGES
				       : (unsigned)fake_below(MODEL_PAGES);
	if (op->first + op->n > MODEL_PAGES)
		op->first = MODEL_PAGES - op->n;
	if (fake_below(20) == 0) { /* exactly one leaf table: 700 pages lie below 1 GiB */
		op->first = 188;
		op->n = 512;
	}
	last = op->first;
}

static void choose_like(struct op *op)
{
	struct model_page *like = &op->like;

	like->object = (int8_t)(fake_below(2) != 0 ? -1 : (int)fake_below(MODEL_OBJECTS));
	like->perm = (uint8_t)(op->perm | ((op->perm & PERM_W) != 0 ? PERM_R : 0));
	like->max_perm = PERM_RWX;
	like->fork = MAPPING_FORK_COPY;
	if (like->object < 0) {
		like->fork = (uint8_t)(fake_below(6) != 0 ? MAPPING_FORK_COPY : fake_below(MAPPING_FORKS));
		return;
	}
	like->shared = fake_below(2) != 0;
	like->index = (uint32_t)fake_below(fake_below(4) != 0 ? 20 : MODEL_OBJECT_PAGES);
	if (fake_below(4) == 0)
		like->max_perm = PERM_R | PERM_X;
}

static struct op choose(void)
{
	struct op op = { .hart = (unsigned)fake_below(hw_harts()) };

	do
		op.in = &model.space[fake_below(MODEL_SPACES)];
	while (op.in->space == NULL);
	choose_range(&op);
	op.perm = choose_perm();
	op.value = fake_random();
	op.fork = (enum mapping_fork)fake_below(MAPPING_FORKS);
	op.slot = (unsigned)fake_below(MODEL_SPACES);
	op.access = fake_below(8) == 0 ? ACCESS_EXEC : fake_below(2) != 0 ? ACCESS_READ : ACCESS_WRITE;
	op.place = fake_below(4) == 0 ? PLACE_NO_REPLACE : PLACE_FIXED;
	choose_like(&op);
	fake_hart_enter(op.hart);
	return op;
}

void model_step(void)
{
	op_fn *fn = choose_fn();
	struct op op = choose();
	int error = fn(&op);

	assert_int_equal(error, 0);
}

unsigned model_step_oom(void)
{
	op_fn *fn = choose_fn();
	struct op op = choose();
	unsigned failures = 0;

	for (unsigned n = 1;; n++) {
		int error;

		fake_fail_at(n, false);
		error = fn(&op);
		if (!fake_fail_hit() || error == 0) {
			fake_fail_at(0, false);
			break;
		}
		fake_fail_at(0, false);
		unit_audit();
		failures++;
		assert_in_range(n, 1, 5000);
	}
	return failures;
}
