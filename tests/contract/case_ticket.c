/* Tickets: identities that a station has taken along. */
#include "tests/contract/contract.h"

#include <stdio.h>
#include <string.h>

#define ID_A "AAAAAAAAAAAAAAAAAAAAA-"
#define ID_B "BBBBBBBBBBBBBBBBBBBBB_"

static void
fill(struct ticket_row *t, const char *id, int64_t expires_at)
{
	*t = (struct ticket_row){.station = 1, .count = 2,
	    .expires_at = expires_at};
	memcpy(t->id, id, sizeof(t->id));
	memcpy(t->order, "o1", 3);
	t->key.there = 1;
	memset(t->key.xy, 7, sizeof(t->key.xy));
}

/* A station to belong to. */
static void
add_station(struct store *st, uint64_t *number)
{
	struct caller c = {.role = ROLE_STATION, .name = "line-9"};
	unsigned char hash[32];

	hash_make(hash);
	OK(store_caller_insert(st, &c, hash));
	*number = c.number;
}

static void
make(struct store *st, const char *id, int64_t expires_at)
{
	static const char *const names[] = {"line-9", NULL};
	struct ticket_row t;
	struct caller c;

	fill(&t, id, expires_at);
	if (store_caller_by_name(st, names[0], &c) == ERR_OK)
		t.station = c.number;
	else
		add_station(st, &t.station);
	OK(store_ticket_insert(st, &t));
}

void
tickets_keep_every_member_until_swept(void **state)
{
	struct ticket_row t, out;
	struct ground a;
	struct store *st;

	(void)state;
	ground_make(&a);
	st = begin(a.tenant, STORE_WRITE);
	fill(&t, ID_A, 1000);
	add_station(st, &t.station);
	OK(store_ticket_insert(st, &t));
	make(st, ID_B, 900);
	OK(store_ticket_get(st, ID_A, &out));
	assert_string_equal(out.id, ID_A);
	assert_string_equal(out.order, "o1");
	assert_int_equal(out.station, t.station);
	assert_int_equal(out.count, 2);
	assert_int_equal(out.expires_at, 1000);
	assert_true(out.key.there);
	assert_memory_equal(out.key.xy, t.key.xy, sizeof(t.key.xy));
	assert_false(out.swept);
	IS(NOT_FOUND, store_ticket_get(st, "CCCCCCCCCCCCCCCCCCCCCC", &out));
	IS(NOT_FOUND, store_ticket_expired(st, 899, &out));
	OK(store_ticket_expired(st, 5000, &out));
	assert_string_equal(out.id, ID_B);
	OK(store_ticket_sweep(st, ID_B));
	OK(store_ticket_expired(st, 1000, &out));
	assert_string_equal(out.id, ID_A);
	OK(store_ticket_sweep(st, ID_A));
	IS(NOT_FOUND, store_ticket_expired(st, 5000, &out));
	OK(store_ticket_get(st, ID_A, &out));
	assert_true(out.swept);
	IS(NOT_FOUND, store_ticket_sweep(st, "CCCCCCCCCCCCCCCCCCCCCC"));
	IS(EXISTS, store_ticket_insert(st, &t));
	rollback(&st);
}

void
units_of_a_ticket_remember_their_burn(void **state)
{
	struct ticket_unit_row u, rows[3];
	struct ground a;
	struct store *st;
	uint64_t d1, d2;
	size_t n = 9;

	(void)state;
	ground_make(&a);
	d1 = device_make(&a, "S1", DEV_BURNING);
	d2 = device_make(&a, "S2", DEV_BURNING);
	st = begin(a.tenant, STORE_WRITE);
	make(st, ID_A, 1000);
	OK(store_ticket_unit_add(st, ID_A, d1));
	OK(store_ticket_unit_add(st, ID_A, d2));
	OK(store_ticket_unit_get(st, ID_A, d1, &u));
	assert_string_equal(u.ticket, ID_A);
	assert_int_equal(u.dn, d1);
	assert_false(u.burned || u.twice);
	u.burned = 1;
	memset(u.nonce, 9, sizeof(u.nonce));
	OK(store_ticket_unit_update(st, &u));
	OK(store_ticket_unit_list(st, ID_A, rows, 3, &n));
	assert_int_equal(n, 2);
	assert_int_equal(rows[0].dn, d1);
	assert_true(rows[0].burned);
	assert_false(rows[0].twice);
	assert_memory_equal(rows[0].nonce, u.nonce, sizeof(u.nonce));
	assert_int_equal(rows[1].dn, d2);
	assert_false(rows[1].burned);
	u.twice = 1;
	OK(store_ticket_unit_update(st, &u));
	OK(store_ticket_unit_get(st, ID_A, d1, &u));
	assert_true(u.twice);
	OK(store_ticket_unit_list(st, ID_A, rows, 1, &n));
	assert_int_equal(n, 1);
	IS(NOT_FOUND, store_ticket_unit_get(st, ID_A, d2 + 1, &u));
	IS(NOT_FOUND, store_ticket_unit_get(st, ID_B, d1, &u));
	u.dn = d2 + 1;
	IS(NOT_FOUND, store_ticket_unit_update(st, &u));
	IS(EXISTS, store_ticket_unit_add(st, ID_A, d1));
	rollback(&st);
	st = begin(a.tenant, STORE_WRITE);
	IS(NOT_FOUND, store_ticket_unit_add(st, ID_B, d1));
	rollback(&st);
}

void
a_device_of_a_ticket_becomes_a_unit(void **state)
{
	struct device d;
	struct ground a;
	struct store *st;
	uint64_t dn;

	(void)state;
	ground_make(&a);
	dn = device_make(&a, "T1", DEV_BURNING);
	(void)device_make(&a, "S2", DEV_ACTIVE);
	st = begin(a.tenant, STORE_WRITE);
	OK(store_device_set_serial(st, dn, "S1"));
	OK(store_device_by_serial(st, "o1", "S1", &d));
	assert_int_equal(d.dn, dn);
	IS(NOT_FOUND, store_device_by_serial(st, "o1", "T1", &d));
	IS(NOT_FOUND, store_device_set_serial(st, dn + 7, "S3"));
	IS(EXISTS, store_device_set_serial(st, dn, "S2"));
	rollback(&st);
}

void
keys_go_with_what_is_void_and_with_nothing_else(void **state)
{
	struct device_key_row k;
	struct device d;
	struct ground a;
	struct store *st;
	uint64_t dn, other;

	(void)state;
	ground_make(&a);
	dn = device_make(&a, "S1", DEV_BURNING);
	other = device_make(&a, "S2", DEV_BURNING);
	st = begin(a.tenant, STORE_WRITE);
	IS(WRONG_STATE, store_device_key_destroy(st, dn));
	rollback(&st);
	st = begin(a.tenant, STORE_WRITE);
	OK(store_device_key_get(st, dn, 1, &k));
	OK(store_device_get(st, dn, &d));
	d.state = DEV_VOID;
	OK(store_device_update(st, &d));
	OK(store_device_key_destroy(st, dn));
	IS(NOT_FOUND, store_device_key_get(st, dn, 1, &k));
	OK(store_device_key_get(st, other, 1, &k));
	OK(store_device_key_destroy(st, dn)); /* again, without harm */
	commit(&st);
}

void
tickets_of_another_tenant_are_invisible(void **state)
{
	struct ticket_unit_row u;
	struct ticket_row t;
	struct ground a, b;
	struct store *st;
	uint64_t dn;
	size_t n = 9;

	(void)state;
	ground_make(&a);
	ground_make(&b);
	dn = device_make(&a, "S1", DEV_BURNING);
	st = begin(a.tenant, STORE_WRITE);
	make(st, ID_A, 1000);
	OK(store_ticket_unit_add(st, ID_A, dn));
	commit(&st);
	st = begin(b.tenant, STORE_WRITE);
	IS(NOT_FOUND, store_ticket_get(st, ID_A, &t));
	IS(NOT_FOUND, store_ticket_expired(st, 5000, &t));
	IS(NOT_FOUND, store_ticket_sweep(st, ID_A));
	IS(NOT_FOUND, store_ticket_unit_get(st, ID_A, dn, &u));
	OK(store_ticket_unit_list(st, ID_A, &u, 1, &n));
	assert_int_equal(n, 0);
	IS(NOT_FOUND, store_device_set_serial(st, dn + 100, "S9"));
	make(st, ID_A, 1000); /* ids are each tenant's own */
	rollback(&st);
}
