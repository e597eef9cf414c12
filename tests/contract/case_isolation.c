/* Threat: a caller of one tenant reaches rows of another. */
#include "tests/contract/contract.h"

#include <stdlib.h>

void
rows_of_another_tenant_are_invisible(void **state)
{
	struct device_filter f = {.limit = 5};
	struct device_auth *auth = calloc(1, sizeof(*auth));
	struct data_key_row key;
	struct device d, rows[5];
	struct audience au;
	struct model_row m;
	struct caller c;
	struct group g;
	struct order o;
	struct ground a;
	struct store *st;
	struct burn_look look;
	struct reserve_look reserve;
	uint64_t dn, v = 9;
	uint32_t empty = 0;
	size_t n = 9;

	(void)state;
	assert_non_null(auth);
	ground_make(&a);
	dn = device_make(&a, "S1", DEV_ACTIVE);
	/* A tenant with nothing in it. */
	st = session();
	OK(store_tenant_next(st, &empty));
	OK(store_begin(st, empty, STORE_WRITE));
	OK(store_tenant_insert(st, "empty"));
	OK(store_commit(st));
	OK(store_begin(st, empty, STORE_WRITE));
	IS(NOT_FOUND, store_device_get(st, dn, &d));
	IS(NOT_FOUND, store_device_by_id(st, "m1-S1", &d));
	IS(NOT_FOUND, store_device_by_serial(st, "o1", "S1", &d));
	IS(NOT_FOUND, store_device_auth(st, dn, 1, auth));
	IS(NOT_FOUND, store_burn_look(st, "m1-S1", 1, 1, &look));
	IS(NOT_FOUND, store_reserve_look(st, "o1", "S1", &reserve));
	IS(NOT_FOUND, store_order_get(st, "o1", &o));
	IS(NOT_FOUND, store_model_get(st, "m1", &m));
	IS(NOT_FOUND, store_group_get(st, a.model_group, &g));
	IS(NOT_FOUND, store_audience_get(st, "a.example", &au));
	IS(NOT_FOUND, store_caller_get(st, 1, &c));
	IS(NOT_FOUND, store_data_key_get(st, 1, &key));
	IS(NOT_FOUND, store_data_key_newest(st, &key));
	OK(store_device_list(st, &f, rows, &n));
	assert_int_equal(n, 0);
	OK(store_tenant_count(st, &v));
	assert_int_equal(v, 0);
	OK(store_group_count(st, a.model_group, &v));
	assert_int_equal(v, 0);
	rollback(&st);
	free(auth);
}

void
rows_of_another_tenant_cannot_be_changed(void **state)
{
	struct device_key_row k = {.epoch = 9, .data_key = 1, .sealed_len = 1};
	struct burn_look l = {.key = {.epoch = 1}};
	struct device d;
	struct ground a, b;
	struct store *st;
	uint64_t dn;
	uint32_t place;

	(void)state;
	ground_make(&a);
	ground_make(&b);
	dn = device_make(&a, "S1", DEV_ACTIVE);
	(void)device_make(&a, "S2", DEV_ACTIVE);
	st = begin(a.tenant, STORE_READ);
	OK(store_device_get(st, dn + 1, &d));
	commit(&st);
	st = begin(b.tenant, STORE_WRITE);
	d.state = DEV_REVOKED;
	IS(NOT_FOUND, store_device_update(st, &d));
	IS(NOT_FOUND, store_member_add(st, d.dn, b.model_group));
	IS(NOT_FOUND, store_member_remove(st, d.dn, a.model_group));
	l.device = d;
	IS(NOT_FOUND, store_burn_released(st, &l, 0));
	IS(NOT_FOUND, store_order_take(st, "no-such", &place));
	k.dn = d.dn;
	IS(NOT_FOUND, store_device_key_insert(st, &k));
	rollback(&st);
	st = begin(a.tenant, STORE_READ);
	OK(store_device_get(st, dn + 1, &d));
	assert_int_equal(d.state, DEV_ACTIVE);
	commit(&st);
}

void
events_and_audit_of_another_tenant_are_invisible(void **state)
{
	struct event e = {.kind = EV_DEVICE, .effect = EFFECT_CUT, .id = "1"};
	struct audit au = {.action = "a", .object_kind = "k", .object = "o",
	    .outcome = "ok", .request_id = "r"};
	uint64_t pos = 0, floor = 0;
	struct event events[2];
	struct audit audits[2];
	struct ground a, b;
	struct store *st;
	size_t n = 9;

	(void)state;
	ground_make(&a);
	ground_make(&b);
	st = begin(a.tenant, STORE_WRITE);
	OK(store_audit_append(st, &au));
	OK(store_event_append(st, &e));
	commit(&st);
	st = begin(b.tenant, STORE_READ);
	OK(store_event_list(st, 0, 2, events, &n));
	assert_int_equal(n, 0);
	OK(store_event_naming(st, EV_DEVICE, "1", 2, events, &n));
	assert_int_equal(n, 0);
	OK(store_audit_list(st, 0, 2, audits, &n));
	assert_int_equal(n, 0);
	OK(store_position(st, &pos, &floor));
	assert_int_equal(pos, e.pos - 1);
	commit(&st);
}
