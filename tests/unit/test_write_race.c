/*
 * A write that is cut off when its bytes are there, before it has returned: in a window of a few instructions, which is forced by compiling
 * transfer.c here once more, with a step of the test's own when it lets go of the program's page.
 */
#include "tests/unit/unit.h"

static void let_go(void);

#define object_to_user object_to_user_here
#define user_to_object user_to_object_here
#define object_read    object_read_here
#define object_write   object_write_here
#include "mm/object_core.h"
#include "mm/user.h"
#include "mm/walk.h"
#define table_unlock(table) (table_unlock(table), let_go())
#include "mm/transfer.c"

#define AT UINT64_C(0x10000000)

static const struct fake_config machine = { .harts = 2, .asid_bits = 16, .calm = true };
static struct object *object;
static uint64_t turns, cut_at;

static void let_go(void)
{
	if (turns != 0 && --turns == 0)
		assert_int_equal(object_resize(object, cut_at), 0);
}

/* Its bytes are cut off with the rest, and nobody finds zeros in their place. */
static void cut_off_behind_the_bytes(void **state)
{
	struct space *space = unit_begin(&machine);
	char byte = 0;

	(void)state;
	assert_int_equal(object_create(0, NULL, 0, &object), 0);
	(void)unit_map(space, AT, 1, PERM_R | PERM_W);
	assert_int_equal(user_write(space, VADDR(AT), "01234567", 8), 0);
	for (cut_at = 0; cut_at <= 4; cut_at += 4) {
		assert_int_equal(user_to_object(object, 0, space, VADDR(AT), 8, UINT64_MAX / 2), 8);
		assert_int_equal(object_bytes(object), 8);
		turns = 1;
		assert_int_equal(user_to_object(object, 2, space, VADDR(AT), 8, UINT64_MAX / 2), 8);
		assert_int_equal(turns, 0);
		assert_int_equal(object_bytes(object), cut_at);
	}
	assert_int_equal(object_read(object, 3, &byte, 1), 1);
	assert_int_equal(byte, '1');
	object_put(object);
	unit_end(space);
}

static const struct CMUnitTest tests[] = {
	UNIT_TEST(cut_off_behind_the_bytes),
};

UNIT_MAIN("write_race", tests)
