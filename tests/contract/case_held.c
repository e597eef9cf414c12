/* Events that gateways hold and the database has lost. */
#include "tests/contract/contract.h"

#include <stdio.h>
#include <string.h>

static const struct held_filter every = {0, 0};

static uint64_t
gateway_make(const struct ground *g, const char *name)
{
	struct store *st = begin(g->tenant, STORE_WRITE);
	struct caller c = {.role = ROLE_GATEWAY};
	unsigned char hash[32];

	hash_make(hash);
	(void)snprintf(c.name, sizeof(c.name), "%s", name);
	OK(store_caller_insert(st, &c, hash));
	commit(&st);
	return c.number;
}

/* count events from first on, each of device id. */
static void
fill(struct event *rows, size_t count, uint64_t first, unsigned id)
{
	size_t i;

	memset(rows, 0, count * sizeof(*rows));
	for (i = 0; i < count; i++) {
		rows[i].pos = first + i;
		rows[i].kind = EV_DEVICE;
		rows[i].effect = EFFECT_BLOCK;
		rows[i].at = 1700000000;
		(void)snprintf(rows[i].id, sizeof(rows[i].id), "%u", id);
	}
}

/* Adds count events; the first conflict. */
static uint64_t
add(uint32_t tenant, size_t count, uint64_t first, unsigned id,
    struct held_keys keys)
{
	struct store *st = begin(tenant, STORE_WRITE);
	struct event rows[20];
	uint64_t conflict = 99;

	assert_true(count <= 20);
	fill(rows, count, first, id);
	OK(store_held_add(st, rows, count, &keys, &conflict));
	commit(&st);
	return conflict;
}

static void
say(uint32_t tenant, const struct held_said *s)
{
	struct store *st = begin(tenant, STORE_WRITE);

	OK(store_held_said(st, s));
	commit(&st);
}

static uint64_t
count(uint32_t tenant, const struct held_filter *f, uint64_t *keys)
{
	struct store *st = begin(tenant, STORE_READ);
	uint64_t n = 99;

	OK(store_held_count(st, f, &n, keys));
	commit(&st);
	return n;
}

void
what_gateways_hold_is_kept_once_and_told_in_runs(void **state)
{
	const struct held_filter behind = {103, 0};
	struct held_run runs[4];
	struct held_by by[4];
	struct event rows[40];
	struct store *st;
	struct ground g;
	uint64_t keys = 0, gw;
	size_t n = 0;

	(void)state;
	ground_make(&g);
	gw = gateway_make(&g, "gw");
	assert_true(add(g.tenant, 5, 101, 7, (struct held_keys){1, 1}) == 0);
	assert_true(add(g.tenant, 5, 103, 7, (struct held_keys){2, 1}) == 0);
	assert_true(add(g.tenant, 2, 110, 7, (struct held_keys){1, 1}) == 0);
	assert_true(count(g.tenant, &every, &keys) == 9);
	assert_true(keys == 2);
	say(g.tenant, &(const struct held_said){gw, 1, 103, 107, 0});
	say(g.tenant, &(const struct held_said){gw, 1, 101, 105, 0});
	st = begin(g.tenant, STORE_READ);
	OK(store_held_runs(st, &every, runs, 4, &n));
	assert_int_equal(n, 2);
	assert_true(runs[0].first == 101 && runs[0].last == 107);
	assert_true(runs[1].first == 110 && runs[1].last == 111);
	OK(store_held_runs(st, &every, runs, 1, &n));
	assert_int_equal(n, 1);
	OK(store_held_list(st, &behind, 3, rows, &n));
	assert_int_equal(n, 3);
	assert_true(rows[0].pos == 104 && rows[2].pos == 106);
	assert_int_equal(rows[0].kind, EV_DEVICE);
	assert_int_equal(rows[0].effect, EFFECT_BLOCK);
	assert_string_equal(rows[0].id, "7");
	assert_true(rows[0].at == 1700000000);
	OK(store_held_by(st, &every, by, 4, &n));
	assert_int_equal(n, 1);
	assert_string_equal(by[0].gateway, "gw");
	assert_true(by[0].first == 101 && by[0].last == 107);
	assert_true(by[0].conflict == 0 && by[0].at > 1700000000);
	commit(&st);
	st = begin(g.tenant, STORE_WRITE);
	OK(store_held_clear(st));
	commit(&st);
	assert_true(count(g.tenant, &every, &keys) == 0);
	assert_true(keys == 0);
}

void
the_first_of_two_events_of_a_position_stays(void **state)
{
	struct event rows[4];
	struct store *st;
	struct ground g;
	size_t n = 0;

	(void)state;
	ground_make(&g);
	assert_true(add(g.tenant, 2, 11, 7, (struct held_keys){3, 3}) == 0);
	/* Position 13 is new, 11 and 12 are not what they were. */
	assert_true(add(g.tenant, 3, 11, 8, (struct held_keys){3, 3}) == 11);
	assert_true(add(g.tenant, 2, 12, 8, (struct held_keys){3, 3}) == 12);
	st = begin(g.tenant, STORE_READ);
	OK(store_held_list(st, &every, 4, rows, &n));
	assert_int_equal(n, 3);
	assert_string_equal(rows[0].id, "7");
	assert_string_equal(rows[1].id, "7");
	assert_string_equal(rows[2].id, "8");
	commit(&st);
}

void
what_older_keys_have_signed_counts_no_more(void **state)
{
	const struct held_filter now = {0, 4};
	struct held_said said = {0};
	struct event rows[4];
	struct store *st;
	struct ground g;
	uint64_t keys, gw;
	size_t n = 0;

	(void)state;
	ground_make(&g);
	gw = gateway_make(&g, "gw");
	assert_true(add(g.tenant, 2, 11, 7, (struct held_keys){3, 3}) == 0);
	say(g.tenant, &(const struct held_said){gw, 3, 11, 12, 0});
	assert_true(count(g.tenant, &now, &keys) == 0);
	st = begin(g.tenant, STORE_READ);
	IS(NOT_FOUND, store_held_saw(st, gw, 4, &said));
	OK(store_held_saw(st, gw, 3, &said));
	assert_true(said.first == 11 && said.last == 12);
	commit(&st);
	/* In place of what may have been signed with a stolen key. */
	assert_true(add(g.tenant, 1, 12, 8, (struct held_keys){4, 4}) == 0);
	say(g.tenant, &(const struct held_said){gw, 4, 12, 12, 0});
	st = begin(g.tenant, STORE_READ);
	OK(store_held_list(st, &now, 4, rows, &n));
	assert_int_equal(n, 1);
	assert_string_equal(rows[0].id, "8");
	OK(store_held_saw(st, gw, 4, &said));
	assert_true(said.first == 12 && said.last == 12);
	commit(&st);
}

void
what_gateways_of_another_tenant_hold_is_invisible(void **state)
{
	struct ground a, b;
	struct held_by by[4];
	struct held_run runs[4];
	struct store *st;
	uint64_t keys, gw;
	size_t n = 9;

	(void)state;
	ground_make(&a);
	ground_make(&b);
	gw = gateway_make(&a, "gw");
	assert_true(add(a.tenant, 2, 11, 7, (struct held_keys){1, 1}) == 0);
	say(a.tenant, &(const struct held_said){gw, 1, 11, 12, 0});
	assert_true(count(b.tenant, &every, &keys) == 0);
	st = begin(b.tenant, STORE_WRITE);
	OK(store_held_by(st, &every, by, 4, &n));
	assert_int_equal(n, 0);
	OK(store_held_runs(st, &every, runs, 4, &n));
	assert_int_equal(n, 0);
	OK(store_held_clear(st));
	commit(&st);
	assert_true(add(b.tenant, 2, 11, 8, (struct held_keys){1, 1}) == 0);
	assert_true(count(a.tenant, &every, &keys) == 2);
}
