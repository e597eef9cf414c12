/* What following stands on: server-sent events, and a set as octets. */
#include "tests/unit/unit.h"

#include "lib/client/sse.h"
#include "lib/revoke/revset.h"

struct heard {
	char text[4096];
	enum err answer;
};

static enum err
hear(void *arg, const struct sse_message *m)
{
	struct heard *h = arg;
	size_t n = strlen(h->text);

	assert_int_equal(strlen(m->data), m->len);
	snprintf(h->text + n, sizeof(h->text) - n, "%s|%s|%s;", m->event,
	    m->id, m->data);
	return h->answer;
}

/* The same, however it is cut. */
static void
heard_as(const char *in, const char *want)
{
	size_t len = strlen(in);
	struct heard h;
	struct sse s;

	for (size_t step = 1; step <= len; step++) {
		memset(&h, 0, sizeof(h));
		sse_init(&s, 1000, hear, &h);
		for (size_t at = 0; at < len; at += step)
			assert_int_equal(sse_feed(&s, in + at,
			    len - at < step ? len - at : step), ERR_OK);
		assert_string_equal(h.text, want);
		sse_free(&s);
	}
}

static void
messages_are_read_however_they_arrive(void **state)
{
	(void)state;
	heard_as("id: 7\nevent: heartbeat\ndata: abc\n\n",
	    "heartbeat|7|abc;");
	heard_as("data:abc\n\n", "message||abc;");
	heard_as("\xef\xbb\xbf" "data: a\r\ndata: b\r\n\r\nid\ndata: c\n\n",
	    "message||a\nb;message||c;");
	heard_as(": a comment\n\ndata: x\r\rdata: y\n\n",
	    "message||x;message||y;");
	/* the id stays, the name does not; no data is no message */
	heard_as("id: 1\nevent: a\ndata: x\n\nevent: b\n\ndata: y\n\n",
	    "a|1|x;message|1|y;");
	heard_as("data\n\nretry: 5\nwhat: ever\ndata:  two\n\n",
	    "message||;message|| two;");
	/* what is cut off is not heard */
	heard_as("data: x\n\ndata: never", "message||x;");
	heard_as("data: x\n\ndata: never\n", "message||x;");
}

static void
endless_lines_and_messages_are_refused(void **state)
{
	char many[64];
	struct heard h = {.answer = ERR_OK};
	enum err e = ERR_OK;
	struct sse s;
	int i;

	(void)state;
	memset(many, 'a', sizeof(many));
	sse_init(&s, 1000, hear, &h);
	for (i = 0; i < 100 && e == ERR_OK; i++)
		e = sse_feed(&s, many, sizeof(many));
	assert_int_equal(e, ERR_TOO_LARGE);
	assert_true(i < 20);
	sse_free(&s);
	sse_init(&s, 1000, hear, &h);
	for (i = 0, e = ERR_OK; i < 1000 && e == ERR_OK; i++)
		e = sse_feed(&s, "data: 0123456789\n", 17);
	assert_int_equal(e, ERR_TOO_LARGE);
	assert_true(i < 100);
	sse_free(&s);
	assert_string_equal(h.text, "");
}

static void
the_reader_ends_it_with_its_error(void **state)
{
	struct heard h = {.answer = ERR_AHEAD};
	struct sse s;

	(void)state;
	sse_init(&s, 1000, hear, &h);
	assert_int_equal(sse_feed(&s, "data: x\n\ndata: y\n\n", 18),
	    ERR_AHEAD);
	assert_string_equal(h.text, "message||x;");
	sse_free(&s);
}

/* ---- the set ---- */

static void
happen(struct revset *s, uint64_t pos, enum event_kind kind, const char *id,
    enum event_effect effect, uint32_t ep_max)
{
	struct event e = {.pos = pos, .kind = kind, .effect = effect,
	    .ep_max = ep_max};

	snprintf(e.id, sizeof(e.id), "%s", id);
	assert_int_equal(revset_apply(s, &e, 1), ERR_OK);
}

static struct revset *
a_set(void)
{
	struct revset *s;
	char id[16];

	assert_int_equal(revset_new(7, &s), ERR_OK);
	for (int i = 1; i <= 1000; i++) {
		snprintf(id, sizeof(id), "%d", i);
		happen(s, (uint64_t)i, EV_DEVICE, id, i % 3 ? EFFECT_CUT :
		    EFFECT_BLOCK, 0);
	}
	happen(s, 1001, EV_DEVICE, "2000", EFFECT_CUT, 3);
	happen(s, 1002, EV_DEVICE, "2000", EFFECT_BLOCK, 1);
	happen(s, 1003, EV_GROUP, "5", EFFECT_BLOCK, 0);
	happen(s, 1004, EV_TENANT, "7", EFFECT_CUT, 0);
	happen(s, 1005, EV_TOKEN, "jti-1", EFFECT_CUT, 0);
	happen(s, 1006, EV_SIGNING_KEY, "kid-1", EFFECT_CUT, 0);
	happen(s, 1007, EV_CALLER, "9", EFFECT_CUT, 0);
	revset_advance(s, 1010, 400);
	return s;
}

/* All that both can be asked has one answer. */
static void
same(const struct revset *a, const struct revset *b)
{
	uint64_t by_a, by_b;
	uint32_t groups[1];

	for (uint64_t dn = 1; dn <= 2001; dn++)
		for (uint64_t pos = 0; pos <= 1020; pos += 51) {
			struct claim c = {.dn = dn,
			    .epoch = 1 + (uint32_t)(pos % 4),
			    .groups = groups, .ngroups = 1, .pos = pos,
			    .jti = dn % 7 ? "other" : "jti-1",
			    .kid = dn % 11 ? "other" : "kid-1"};

			groups[0] = (uint32_t)(dn % 13);
			assert_int_equal(revset_check(a, &c, &by_a),
			    revset_check(b, &c, &by_b));
			assert_int_equal(by_a, by_b);
		}
	assert_int_equal(revset_position(a), revset_position(b));
	assert_int_equal(revset_floor(a), revset_floor(b));
	assert_int_equal(revset_caller_dead(a, 9), revset_caller_dead(b, 9));
}

static void
set_comes_back_as_it_was_saved(void **state)
{
	struct revset *a = a_set(), *b = NULL;
	struct buf text = {.max = 1 << 20};
	uint32_t tenant = 0;

	(void)state;
	assert_int_equal(revset_save(a, &text), ERR_OK);
	assert_int_equal(revset_load(text.p, text.len, &tenant, &b), ERR_OK);
	assert_int_equal(tenant, 7);
	same(a, b);
	/* and lives on */
	happen(a, 1020, EV_DEVICE, "2000", EFFECT_LIFT, 0);
	happen(b, 1020, EV_DEVICE, "2000", EFFECT_LIFT, 0);
	happen(a, 1021, EV_DEVICE, "2001", EFFECT_CUT, 2);
	happen(b, 1021, EV_DEVICE, "2001", EFFECT_CUT, 2);
	same(a, b);
	revset_free(&a);
	revset_free(&b);
	buf_free(&text);
}

static void
torn_octets_are_no_set(void **state)
{
	struct revset *a = a_set(), *b = NULL;
	struct buf text = {.max = 1 << 20};
	uint32_t tenant = 0;

	(void)state;
	assert_int_equal(revset_save(a, &text), ERR_OK);
	for (size_t len = 0; len < text.len; len += 7)
		assert_int_equal(revset_load(text.p, len, &tenant, &b),
		    ERR_REQUEST);
	assert_int_equal(buf_add(&text, "x", 1), ERR_OK);
	assert_int_equal(revset_load(text.p, text.len, &tenant, &b),
	    ERR_REQUEST);
	assert_null(b);
	/* bent ones are refused or a set, never worse */
	for (size_t at = 0; at < text.len - 1; at++) {
		text.p[at] ^= 0x40;
		if (revset_load(text.p, text.len - 1, &tenant, &b) == ERR_OK)
			revset_free(&b);
		text.p[at] ^= 0x40;
	}
	revset_free(&a);
	buf_free(&text);
}

static void
set_takes_anothers_place_forwards_only(void **state)
{
	struct revset *a = a_set(), *b = a_set(), *c = a_set(), *d = a_set();
	struct claim late = {.dn = 1, .epoch = 1, .pos = 1010};

	(void)state;
	happen(a, 1011, EV_DEVICE, "1", EFFECT_BLOCK, 0);
	assert_int_equal(revset_replace(a, &b), ERR_BACKWARDS);
	assert_non_null(b);
	happen(b, 1012, EV_DEVICE, "3", EFFECT_LIFT, 0);
	assert_int_equal(revset_check(a, &late, NULL), ERR_DEVICE_BLOCKED);
	assert_int_equal(revset_replace(a, &b), ERR_OK);
	assert_null(b);
	assert_int_equal(revset_check(a, &late, NULL), ERR_OK);
	happen(c, 1012, EV_DEVICE, "3", EFFECT_LIFT, 0);
	same(a, c);
	revset_advance(a, 1012, 500);
	revset_advance(d, 2000, 0);
	assert_int_equal(revset_replace(a, &d), ERR_BACKWARDS);
	revset_free(&a);
	revset_free(&c);
	revset_free(&d);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(messages_are_read_however_they_arrive),
		cmocka_unit_test(endless_lines_and_messages_are_refused),
		cmocka_unit_test(the_reader_ends_it_with_its_error),
		cmocka_unit_test(set_comes_back_as_it_was_saved),
		cmocka_unit_test(torn_octets_are_no_set),
		cmocka_unit_test(set_takes_anothers_place_forwards_only),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
