/* The signed events that a gateway keeps: how many, and across a restart. */
#include "tests/unit/unit.h"

#include "gateway/gw_held.h"

static int
set_up(void **state)
{
	struct held *h;

	assert_int_equal(held_new(&h), ERR_OK);
	*state = h;
	return 0;
}

static int
tear_down(void **state)
{
	struct held *h = *state;

	held_free(&h);
	assert_null(h);
	return 0;
}

static void
save(struct held *h, struct buf *out)
{
	out->max = (size_t)16 << 20;
	buf_reset(out);
	assert_int_equal(held_save(h, out), ERR_OK);
}

/* How often the text of mark is in what is kept. */
static size_t
kept(struct held *h, const char *mark)
{
	struct buf b = {.max = 0};
	size_t n = 0, i, len = strlen(mark);

	save(h, &b);
	for (i = 0; i + len <= b.len; i++)
		n += memcmp(b.p + i, mark, len) == 0;
	buf_free(&b);
	return n;
}

static void
of_many_messages_the_newest_stay(void **state)
{
	struct held *h = *state;
	char text[32];
	int i;

	for (i = 1; i <= 5000; i++) {
		(void)snprintf(text, sizeof(text), "<message-%d>", i);
		held_note(h, text, strlen(text), (uint64_t)i);
	}
	assert_int_equal(kept(h, "<message-"), 4096);
	assert_int_equal(kept(h, "<message-904>"), 0);
	assert_int_equal(kept(h, "<message-905>"), 1);
	assert_int_equal(kept(h, "<message-5000>"), 1);
}

static void
large_messages_take_four_mebibytes_at_most(void **state)
{
	static char text[200000];
	struct held *h = *state;
	struct buf b = {.max = 0};
	int i;

	memset(text, '.', sizeof(text));
	memcpy(text, "<large>", 7);
	for (i = 0; i < 50; i++)
		held_note(h, text, sizeof(text), (uint64_t)i + 1);
	assert_int_equal(kept(h, "<large>"), 20);
	save(h, &b);
	assert_true(b.len <= ((size_t)4 << 20) + 20 * 64);
	buf_free(&b);
}

static void
what_is_saved_is_there_again_and_what_is_cut_off_is_refused(void **state)
{
	struct buf a = {.max = 0}, b = {.max = 0};
	struct held *h = *state, *other;

	held_note(h, "<one>", 5, 11);
	held_note(h, "<two>", 5, 12);
	save(h, &a);
	assert_int_equal(held_new(&other), ERR_OK);
	assert_int_equal(held_load(other, a.p, a.len), ERR_OK);
	save(other, &b);
	assert_int_equal(b.len, a.len);
	assert_memory_equal(b.p, a.p, a.len);
	assert_int_equal(held_load(other, a.p, a.len - 1), ERR_REQUEST);
	assert_int_equal(held_load(other, a.p, 3), ERR_REQUEST);
	held_free(&other);
	buf_free(&a);
	buf_free(&b);
}

/* A state that is full already is written all the same. */
static void
where_there_is_little_room_the_newest_are_saved(void **state)
{
	struct held *h = *state, *other;
	struct buf b = {.max = 0};
	size_t all;

	held_note(h, "<one>", 5, 11);
	held_note(h, "<two>", 5, 12);
	save(h, &b);
	all = b.len;
	buf_reset(&b);
	b.max = all - 1;
	assert_int_equal(held_save(h, &b), ERR_OK);
	assert_int_equal(b.len, all / 2);
	assert_int_equal(held_new(&other), ERR_OK);
	assert_int_equal(held_load(other, b.p, b.len), ERR_OK);
	assert_int_equal(kept(other, "<two>"), 1);
	assert_int_equal(kept(other, "<one>"), 0);
	buf_reset(&b);
	b.max = 3;
	assert_int_equal(held_save(h, &b), ERR_OK);
	assert_int_equal(b.len, 0);
	held_free(&other);
	buf_free(&b);
}

static void
a_snapshot_is_kept_unless_it_is_large(void **state)
{
	static char text[300000];
	struct held *h = *state;
	json_t *parts = json_pack("[s, s]", "<part-1>", "<part-2>");
	int i;

	assert_non_null(parts);
	held_snapshot(h, parts, 7);
	assert_int_equal(kept(h, "<part-"), 2);
	memset(text, 'x', sizeof(text) - 1);
	for (i = 0; i < 4; i++)
		assert_int_equal(json_array_append_new(parts,
		    json_string(text)), 0);
	held_snapshot(h, parts, 8);
	assert_int_equal(kept(h, "<part-"), 2);
	json_decref(parts);
}

/* Nothing is shown to an authority that only has no answer. */
static void
it_is_shown_only_where_the_authority_seems_to_know_less(void **state)
{
	struct held *h = *state;

	assert_false(held_due(h));
	held_refused(h, ERR_NETWORK);
	held_refused(h, ERR_TIMEOUT);
	held_refused(h, ERR_CREDENTIAL);
	assert_false(held_due(h));
	held_refused(h, ERR_NOT_READY);
	assert_true(held_due(h));
	held_caught_up(h);
	assert_false(held_due(h));
	held_refused(h, ERR_BACKWARDS);
	assert_true(held_due(h));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	    T(of_many_messages_the_newest_stay),
	    T(large_messages_take_four_mebibytes_at_most),
	    T(what_is_saved_is_there_again_and_what_is_cut_off_is_refused),
	    T(where_there_is_little_room_the_newest_are_saved),
	    T(a_snapshot_is_kept_unless_it_is_large),
	    T(it_is_shown_only_where_the_authority_seems_to_know_less),
#undef T
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
