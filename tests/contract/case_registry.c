/* Callers, audiences, groups, models, orders. */
#include "tests/contract/contract.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

void
callers_are_found_by_hash_and_name(void **state)
{
	struct caller c = {.name = "gw-1", .role = ROLE_GATEWAY,
	    .audiences = {"a.example", "b.example"}, .naudiences = 2};
	struct caller out = {.tenant_name = "kept"}, rows[3];
	unsigned char hash[32], other[32];
	uint64_t number = 0;
	uint32_t tenant = 0;
	struct ground a;
	struct store *st;
	size_t n = 0;
	name_t name = "";

	(void)state;
	ground_make(&a);
	hash_make(hash);
	hash_make(other);
	st = begin(a.tenant, STORE_WRITE);
	OK(store_caller_insert(st, &c, hash));
	assert_int_equal(c.number, 1);
	assert_true(c.created_at > 1700000000);
	OK(store_commit(st));
	OK(store_caller_by_hash(st, hash, &tenant, name, &number));
	assert_int_equal(tenant, a.tenant);
	assert_string_equal(name, a.name);
	assert_int_equal(number, 1);
	IS(NOT_FOUND, store_caller_by_hash(st, other, &tenant, name,
	    &number));
	OK(store_begin(st, a.tenant, STORE_WRITE));
	OK(store_caller_get(st, 1, &out));
	assert_string_equal(out.name, "gw-1");
	assert_string_equal(out.tenant_name, "kept");
	assert_int_equal(out.tenant, a.tenant);
	assert_int_equal(out.role, ROLE_GATEWAY);
	assert_int_equal(out.naudiences, 2);
	assert_string_equal(out.audiences[1], "b.example");
	OK(store_caller_disable(st, 1));
	IS(NOT_FOUND, store_caller_disable(st, 2));
	OK(store_caller_by_name(st, "gw-1", &out));
	assert_true(out.disabled);
	IS(NOT_FOUND, store_caller_by_name(st, "gw-2", &out));
	(void)snprintf(c.name, sizeof(c.name), "st-1");
	c.role = ROLE_STATION;
	c.naudiences = 0;
	OK(store_caller_insert(st, &c, other));
	OK(store_caller_list(st, rows, 3, &n));
	assert_int_equal(n, 2);
	assert_int_equal(rows[1].naudiences, 0);
	assert_int_equal(rows[1].number, 2);
	/* The credential is taken. */
	(void)snprintf(c.name, sizeof(c.name), "st-2");
	IS(EXISTS, store_caller_insert(st, &c, other));
	rollback(&st);
}

void
audiences_can_change(void **state)
{
	struct audience au = {.name = "c.example", .host = "c1", .port = 1};
	struct audience out, rows[5];
	struct ground a;
	struct store *st;
	size_t n = 0;

	(void)state;
	ground_make(&a);
	st = begin(a.tenant, STORE_WRITE);
	OK(store_audience_put(st, &au));
	au.port = 65535;
	au.retired = 1;
	OK(store_audience_put(st, &au));
	OK(store_audience_get(st, "c.example", &out));
	assert_int_equal(out.port, 65535);
	assert_true(out.retired);
	assert_string_equal(out.host, "c1");
	IS(NOT_FOUND, store_audience_get(st, "d.example", &out));
	OK(store_audience_list(st, rows, 5, &n));
	assert_int_equal(n, 3);
	assert_string_equal(rows[0].name, "a.example");
	(void)snprintf(au.name, sizeof(au.name), AUDIENCE_AUTHORITY);
	IS(REQUEST, store_audience_put(st, &au));
	rollback(&st);
}

void
groups_are_numbered_and_counted(void **state)
{
	struct group g = {.kind = GROUP_FREE, .name = "line-1"}, out, rows[4];
	struct ground a;
	struct store *st;
	uint64_t count = 9;
	size_t n = 0;

	(void)state;
	ground_make(&a);
	(void)device_make(&a, "S1", DEV_ACTIVE);
	(void)device_make(&a, "S2", DEV_RESERVED);
	st = begin(a.tenant, STORE_WRITE);
	OK(store_group_insert(st, &g));
	assert_int_equal(g.number, 3);
	OK(store_group_block(st, g.number, 1));
	OK(store_group_get(st, g.number, &out));
	assert_true(out.blocked);
	assert_string_equal(out.name, "line-1");
	OK(store_group_block(st, g.number, 0));
	OK(store_group_by_name(st, GROUP_FREE, "line-1", &out));
	assert_false(out.blocked);
	IS(NOT_FOUND, store_group_by_name(st, GROUP_ORDER, "line-1", &out));
	IS(NOT_FOUND, store_group_block(st, 99, 1));
	OK(store_group_count(st, a.model_group, &count));
	assert_int_equal(count, 1);
	OK(store_group_list(st, rows, 4, &n));
	assert_int_equal(n, 3);
	assert_int_equal(rows[0].number, a.model_group);
	assert_int_equal(rows[0].devices, 1);
	assert_int_equal(rows[2].devices, 0);
	IS(EXISTS, store_group_insert(st, &g));
	rollback(&st);
}

void
models_get_one_master_key(void **state)
{
	struct model_row m = {.name = "m2"}, out;
	struct ground a;
	struct store *st;

	(void)state;
	ground_make(&a);
	st = begin(a.tenant, STORE_WRITE);
	m.group = a.model_group;
	OK(store_model_insert(st, &m));
	assert_int_equal(m.number, 2);
	OK(store_model_get(st, "m2", &out));
	assert_int_equal(out.data_key, 0);
	assert_int_equal(out.master_len, 0);
	assert_int_equal(out.group, a.model_group);
	m.data_key = 1;
	m.master_len = 60;
	memset(m.master, 3, 60);
	OK(store_model_master(st, &m));
	OK(store_model_get(st, "m2", &out));
	assert_int_equal(out.data_key, 1);
	assert_int_equal(out.master_len, 60);
	assert_memory_equal(out.master, m.master, 60);
	IS(NOT_FOUND, store_model_get(st, "m3", &out));
	IS(EXISTS, store_model_master(st, &m));
	store_rollback(st);
	OK(store_begin(st, a.tenant, STORE_WRITE));
	(void)snprintf(m.name, sizeof(m.name), "m1");
	m.data_key = m.master_len = 0;
	IS(EXISTS, store_model_insert(st, &m));
	rollback(&st);
}

void
orders_keep_every_member(void **state)
{
	struct order o, out, rows[3];
	struct ground a;
	struct store *st;
	size_t n = 0;

	(void)state;
	ground_make(&a);
	order_fill(&o, "o2", a.order_group);
	o.derived = 1;
	o.rotate_first = 1;
	o.on_clone = CLONE_SUSPEND;
	(void)snprintf(o.stations[1], sizeof(name_t), "st-9");
	st = begin(a.tenant, STORE_WRITE);
	OK(store_order_insert(st, &o));
	assert_int_equal(o.model_group, a.model_group);
	OK(store_order_get(st, "o2", &out));
	assert_string_equal(out.model, "m1");
	assert_int_equal(out.group, a.order_group);
	assert_int_equal(out.model_group, a.model_group);
	assert_int_equal(out.quantity, 100);
	assert_int_equal(out.issued, 0);
	assert_int_equal(out.expires_at, o.expires_at);
	assert_int_equal(out.created_at, o.created_at);
	assert_false(out.closed);
	assert_true(out.derived);
	assert_true(out.rotate_first);
	assert_int_equal(out.on_clone, CLONE_SUSPEND);
	assert_int_equal(out.reburn, REBURN_UNTIL_CONFIRMED);
	assert_int_equal(out.min_proof, PROOF_MEDIUM);
	assert_string_equal(out.serial_pattern, o.serial_pattern);
	assert_string_equal(out.id_template, o.id_template);
	assert_string_equal(out.scope, o.scope);
	assert_int_equal(out.nstations, 2);
	assert_string_equal(out.stations[1], "st-9");
	assert_int_equal(out.npeers, 2);
	assert_string_equal(out.peers[0], "b.example");
	OK(store_order_list(st, NULL, rows, 3, &n));
	assert_int_equal(n, 2);
	OK(store_order_list(st, "st-9", rows, 3, &n));
	assert_int_equal(n, 1);
	assert_string_equal(rows[0].name, "o2");
	OK(store_order_list(st, "st-", rows, 3, &n));
	assert_int_equal(n, 0);
	IS(NOT_FOUND, store_order_get(st, "o3", &out));
	IS(EXISTS, store_order_insert(st, &o));
	store_rollback(st);
	OK(store_begin(st, a.tenant, STORE_WRITE));
	(void)snprintf(o.model, sizeof(o.model), "no-such");
	IS(NOT_FOUND, store_order_insert(st, &o));
	rollback(&st);
}

void
an_order_gives_its_places_once(void **state)
{
	uint32_t place = 0;
	struct order o;
	struct ground a;
	struct store *st;

	(void)state;
	ground_make(&a);
	st = begin(a.tenant, STORE_WRITE);
	OK(store_order_take(st, "o1", &place));
	assert_int_equal(place, 1);
	OK(store_order_take(st, "o1", &place));
	assert_int_equal(place, 2);
	OK(store_order_give_back(st, "o1"));
	/* Its number is not given again. */
	OK(store_order_take(st, "o1", &place));
	assert_int_equal(place, 3);
	OK(store_order_get(st, "o1", &o));
	assert_int_equal(o.issued, 2);
	IS(NOT_FOUND, store_order_take(st, "none", &place));
	IS(NOT_FOUND, store_order_give_back(st, "none"));
	commit(&st);
}

void
an_order_refuses_for_the_right_reason(void **state)
{
	uint32_t place = 0;
	struct order o;
	struct ground a;
	struct store *st;

	(void)state;
	ground_make(&a);
	st = begin(a.tenant, STORE_WRITE);
	order_fill(&o, "full", a.order_group);
	o.quantity = 1;
	OK(store_order_insert(st, &o));
	order_fill(&o, "late", a.order_group);
	o.expires_at = 1000;
	OK(store_order_insert(st, &o));
	OK(store_order_close(st, "o1"));
	IS(NOT_FOUND, store_order_close(st, "none"));
	OK(store_order_take(st, "full", &place));
	OK(store_commit(st));
	OK(store_begin(st, a.tenant, STORE_WRITE));
	IS(ORDER_FULL, store_order_take(st, "full", &place));
	store_rollback(st);
	OK(store_begin(st, a.tenant, STORE_WRITE));
	IS(ORDER_EXPIRED, store_order_take(st, "late", &place));
	store_rollback(st);
	OK(store_begin(st, a.tenant, STORE_WRITE));
	IS(ORDER_CLOSED, store_order_take(st, "o1", &place));
	store_rollback(st);
	OK(store_begin(st, a.tenant, STORE_WRITE));
	IS(WRONG_STATE, store_order_give_back(st, "late"));
	rollback(&st);
}

#define TAKERS 8
static struct {
	uint32_t tenant;
	unsigned got, refused, wrong;
} race;

static void *
take_many(void *arg)
{
	struct store *st = NULL;
	uint32_t place;
	enum err e;
	int i;

	(void)arg;
	for (i = 0; i < 5; i++) {
		if (store_acquire(pool, 20000, &st) != ERR_OK ||
		    store_begin(st, race.tenant, STORE_WRITE) != ERR_OK)
			return NULL;
		e = store_order_take(st, "tight", &place);
		if (e == ERR_OK && store_commit(st) == ERR_OK)
			__atomic_add_fetch(&race.got, 1, __ATOMIC_RELAXED);
		else if (e == ERR_ORDER_FULL)
			__atomic_add_fetch(&race.refused, 1,
			    __ATOMIC_RELAXED);
		else
			__atomic_add_fetch(&race.wrong, 1, __ATOMIC_RELAXED);
		store_release(&st);
	}
	return NULL;
}

void
places_are_not_oversold_by_racing_stations(void **state)
{
	pthread_t t[TAKERS];
	struct order o;
	struct ground a;
	struct store *st;
	int i;

	(void)state;
	ground_make(&a);
	st = begin(a.tenant, STORE_WRITE);
	order_fill(&o, "tight", a.order_group);
	o.quantity = 13;
	OK(store_order_insert(st, &o));
	commit(&st);
	memset(&race, 0, sizeof(race));
	race.tenant = a.tenant;
	for (i = 0; i < TAKERS; i++)
		assert_int_equal(pthread_create(&t[i], NULL, take_many, NULL),
		    0);
	for (i = 0; i < TAKERS; i++)
		(void)pthread_join(t[i], NULL);
	assert_int_equal(race.got, 13);
	assert_int_equal(race.refused, TAKERS * 5 - 13);
	assert_int_equal(race.wrong, 0);
}
