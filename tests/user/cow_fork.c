/*
 * After fork parent and child see the same data, and neither sees what the other writes: data, bss, heap, stack,
 * mmap.
 */
#include "check.h"

enum { PAGES = 700 };

static uint64_t data[PAGE] = { 1, 2, 3 };
static uint64_t bss[PAGE];

struct view {
	char *map;
	uint64_t *heap;
	volatile uint64_t *stack;
};

static void write_all(const struct view *view, uint64_t tag)
{
	pages_write(view->map, PAGES * PAGE, tag);
	data[0] = bss[0] = view->heap[0] = view->stack[0] = tag;
	data[PAGE - 1] = bss[PAGE - 1] = view->heap[PAGE - 1] = tag + 1;
}

static void verify_all(const struct view *view, uint64_t tag)
{
	pages_verify(view->map, PAGES * PAGE, tag);
	CHECK_EQ(data[0], tag);
	CHECK_EQ(bss[0], tag);
	CHECK_EQ(view->heap[0], tag);
	CHECK_EQ(view->stack[0], tag);
	CHECK_EQ(data[PAGE - 1], tag + 1);
	CHECK_EQ(bss[PAGE - 1], tag + 1);
	CHECK_EQ(view->heap[PAGE - 1], tag + 1);
}

static void round_trip(const struct view *view, bool child_first)
{
	int to_child[2], to_parent[2];
	char token = 0;
	pid_t pid;

	CHECK(pipe(to_child) == 0 && pipe(to_parent) == 0);
	write_all(view, 10);
	pid = child_fork();
	if (pid == 0) {
		if (!child_first)
			CHECK_EQ(read(to_child[0], &token, 1), 1);
		verify_all(view, 10);
		write_all(view, 20);
		CHECK_EQ(write(to_parent[1], &token, 1), 1);
		CHECK_EQ(read(to_child[0], &token, 1), 1);
		verify_all(view, 20);
		_exit(0);
	}
	if (child_first) {
		CHECK_EQ(read(to_parent[0], &token, 1), 1);
		verify_all(view, 10);
		write_all(view, 30);
	} else {
		write_all(view, 30);
		CHECK_EQ(write(to_child[1], &token, 1), 1);
		CHECK_EQ(read(to_parent[0], &token, 1), 1);
	}
	verify_all(view, 30);
	CHECK_EQ(write(to_child[1], &token, 1), 1);
	child_wait(pid);
	verify_all(view, 30);
	for (int i = 0; i < 2; i++)
		CHECK(close(to_child[i]) == 0 && close(to_parent[i]) == 0);
}

int main(void)
{
	volatile uint64_t stack[1] = { 0 };
	struct view view = { .map = map_anon(PAGES * PAGE), .heap = malloc(PAGE * 8), .stack = stack };

	CHECK(view.heap);
	for (int i = 0; i < 4; i++)
		round_trip(&view, i % 2 == 0);
	return pass();
}
