/* The flat model. See model.h. */
#include "tests/unit/model.h"

/* Below and above 1 GiB, not aligned to a table. */
#define BASE (UINT64_C(0x40000000) - PAGES(700))

struct model model;

static uint64_t source[MODEL_OBJECT_PAGES / 2 * PAGE_SIZE / 8];

static const unsigned word_offset[MODEL_WORDS] = { 8, 4088 };

vaddr_t model_va(unsigned page, unsigned word)
{
	return VADDR(BASE + PAGES(page) + word_offset[word]);
}

void model_start(void)
{
	memset(&model, 0, sizeof(model));
	slab_drain();
	model.free_before = frames_free();
	for (unsigned page = 0; page < MODEL_OBJECT_PAGES / 2; page++)
		for (unsigned word = 0; word < MODEL_WORDS; word++) {
			model.word[0][page][word] = page * 2 + word + 1000000;
			source[(PAGES(page) + word_offset[word]) / 8] = model.word[0][page][word];
		}
	assert_int_equal(object_create(PAGES(MODEL_OBJECT_PAGES), source, sizeof(source), &model.object[0]), 0);
	assert_int_equal(object_create(PAGES(MODEL_OBJECT_PAGES) - 100, NULL, 0, &model.object[1]), 0);
	assert_int_equal(space_create(&model.space[0].space), 0);
	unit_created(model.space[0].space);
}

void model_end(void)
{
	fake_fail_at(0, false);
	for (unsigned i = 0; i < MODEL_SPACES; i++)
		if (model.space[i].space != NULL)
			unit_drop(model.space[i].space);
	for (unsigned i = 0; i < MODEL_OBJECTS; i++)
		object_put(model.object[i]);
	unit_audit();
	slab_drain();
	assert_int_equal(frames_free(), model.free_before);
}

enum fault model_access(const struct model_page *page, enum access access)
{
	static const uint64_t need[] = { [ACCESS_READ] = PERM_R, [ACCESS_WRITE] = PERM_W, [ACCESS_EXEC] = PERM_X };

	if (!page->mapped)
		return FAULT_MAPERR;
	if ((page->perm & need[access]) == 0)
		return FAULT_ACCERR;
	if (!page->own && page->object >= 0 && page->index >= MODEL_OBJECT_PAGES)
		return FAULT_BUS;
	return FAULT_OK;
}

uint64_t model_value(const struct model_page *page, unsigned word)
{
	if (page->own)
		return page->word[word];
	return page->object < 0 ? 0 : model.word[page->object][page->index][word];
}

void model_store(struct model_page *page, unsigned word, uint64_t value)
{
	if (page->object >= 0 && page->shared) {
		model.word[page->object][page->index][word] = value;
		return;
	}
	for (unsigned i = 0; i < MODEL_WORDS && !page->own; i++)
		page->word[i] = model_value(page, i);
	page->own = true;
	page->word[word] = value;
}

void model_map(struct model_space *in, unsigned first, unsigned n, const struct model_page *like)
{
	for (unsigned i = 0; i < n; i++) {
		in->page[first + i] = *like;
		in->page[first + i].mapped = true;
		in->page[first + i].index = like->index + i;
	}
}

void model_unmap(struct model_space *in, unsigned first, unsigned n)
{
	memset(&in->page[first], 0, n * sizeof(in->page[0]));
}

bool model_any_mapped(const struct model_space *in, unsigned first, unsigned n)
{
	for (unsigned i = first; i < first + n; i++)
		if (in->page[i].mapped)
			return true;
	return false;
}

int model_protect(struct model_space *in, unsigned first, unsigned n, uint64_t perm)
{
	if ((perm & PERM_W) != 0)
		perm |= PERM_R;
	for (unsigned i = first; i < first + n; i++) {
		if (!in->page[i].mapped)
			return -ENOMEM;
		if ((perm & ~(uint64_t)in->page[i].max_perm) != 0)
			return -EACCES;
		in->page[i].perm = (uint8_t)perm;
	}
	return 0;
}

int model_discard(struct model_space *in, unsigned first, unsigned n)
{
	int error = 0;

	for (unsigned i = first; i < first + n; i++) {
		in->page[i].own = false;
		if (!in->page[i].mapped)
			error = -ENOMEM;
	}
	return error;
}

int model_set_fork(struct model_space *in, unsigned first, unsigned n, enum mapping_fork fork)
{
	for (unsigned i = first; i < first + n; i++) {
		if (!in->page[i].mapped)
			return -ENOMEM;
		if (in->page[i].object >= 0)
			return -EINVAL;
		in->page[i].fork = (uint8_t)fork;
	}
	return 0;
}

void model_fork(const struct model_space *parent, struct model_space *child)
{
	memcpy(child->page, parent->page, sizeof(child->page));
	for (unsigned i = 0; i < MODEL_PAGES; i++) {
		struct model_page *page = &child->page[i];

		if (page->mapped && page->fork == MAPPING_FORK_DROP)
			memset(page, 0, sizeof(*page));
		else if (page->mapped && page->fork == MAPPING_FORK_WIPE)
			page->own = false;
	}
}

/* ---- Comparing. */

int model_check_access(struct model_space *in, unsigned page, unsigned word, enum access access, uint64_t value)
{
	struct model_page *what = &in->page[page];
	struct fake_op op = { .access = access, .value = value };
	enum fault expect = model_access(what, access);
	enum fault got = fake_user(model_va(page, word), &op);

	if (got == FAULT_OOM && fake_fail_hit())
		return -ENOMEM;
	if (got != expect)
		fail_msg("page %u access %u: fault %u, expected %u (mapped %d perm %x own %d object %d)", page, access,
			 got, expect, what->mapped, what->perm, what->own, what->object);
	if (got == FAULT_OK && access == ACCESS_WRITE)
		model_store(what, word, value);
	else if (got == FAULT_OK && op.value != model_value(what, word))
		fail_msg("page %u word %u: %llx, expected %llx (own %d object %d)", page, word,
			 (unsigned long long)op.value, (unsigned long long)model_value(what, word), what->own,
			 what->object);
	return 0;
}

static void compare_content(struct model_space *in, unsigned page)
{
	const struct model_page *what = &in->page[page];
	enum fault expect = model_access(what, ACCESS_READ);

	for (unsigned word = 0; word < MODEL_WORDS; word++) {
		uint64_t value = 0;
		int error = user_read(in->space, &value, model_va(page, word), 8);

		if (error != (expect == FAULT_OK ? 0 : -EFAULT))
			fail_msg("page %u: user_read says %d, expected fault %u", page, error, expect);
		if (error == 0 && value != model_value(what, word))
			fail_msg("page %u word %u: user_read %llx, expected %llx", page, word,
				 (unsigned long long)value, (unsigned long long)model_value(what, word));
	}
}

static void compare_regions(struct model_space *in)
{
	struct space_region region = { .end = VADDR(0) };
	uint64_t at = BASE;

	while (space_next_region(in->space, VADDR(at), &region)) {
		if (region.start.v < at || region.end.v <= region.start.v ||
		    ((region.start.v | region.end.v) & PAGE_MASK))
			fail_msg("region %llx-%llx after %llx", (unsigned long long)region.start.v,
				 (unsigned long long)region.end.v, (unsigned long long)at);
		for (; at < region.start.v; at += PAGE_SIZE)
			if (in->page[(at - BASE) >> PAGE_SHIFT].mapped)
				fail_msg("page %u is in no region", (unsigned)((at - BASE) >> PAGE_SHIFT));
		for (; at < region.end.v; at += PAGE_SIZE) {
			const struct model_page *page = &in->page[(at - BASE) >> PAGE_SHIFT];

			if (!page->mapped || page->perm != region.perm ||
			    page->shared != (region.mapping->object != NULL && region.mapping->shared))
				fail_msg("page %u: mapped %d perm %x, its region has perm %llx",
					 (unsigned)((at - BASE) >> PAGE_SHIFT), page->mapped, page->perm,
					 (unsigned long long)region.perm);
		}
	}
	for (; at < BASE + PAGES(MODEL_PAGES); at += PAGE_SIZE)
		assert_false(in->page[(at - BASE) >> PAGE_SHIFT].mapped);
}

void model_compare(struct model_space *in)
{
	compare_regions(in);
	for (unsigned page = 0; page < MODEL_PAGES; page++)
		compare_content(in, page);
	compare_regions(in);
}
