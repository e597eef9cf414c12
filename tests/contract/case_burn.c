/* What a burn is decided by, in one look, and what it changes. */
#include "tests/contract/contract.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

void
a_reservation_looks_at_order_and_unit(void **state)
{
	struct reserve_look l;
	struct ground a;
	struct store *st;
	uint64_t dn;

	(void)state;
	ground_make(&a);
	dn = device_make(&a, "S1", DEV_BURNING);
	st = begin(a.tenant, STORE_WRITE);
	OK(store_reserve_look(st, "o1", "S1", &l));
	assert_string_equal(l.order.name, "o1");
	assert_int_equal(l.order.group, a.order_group);
	assert_int_equal(l.order.model_group, a.model_group);
	assert_int_equal(l.there, 1);
	assert_int_equal(l.device.dn, dn);
	assert_int_equal(l.device.ngroups, 2);
	OK(store_reserve_look(st, "o1", "S2", &l));
	assert_int_equal(l.there, 0);
	IS(NOT_FOUND, store_reserve_look(st, "o2", "S1", &l));
	l.device = (struct device){.dn = dn, .epoch = 1, .state = DEV_VOID};
	OK(store_device_update(st, &l.device));
	OK(store_reserve_look(st, "o1", "S1", &l));
	assert_int_equal(l.there, 0);
	rollback(&st);
}

void
a_device_is_made_with_its_groups_or_not_at_all(void **state)
{
	struct device d = {.device_id = "x", .serial = "x", .order = "o1",
	    .model = "m1"};
	struct ground a;
	struct store *st;

	(void)state;
	ground_make(&a);
	st = begin(a.tenant, STORE_WRITE);
	d.ngroups = 2;
	d.groups[0] = a.order_group;
	d.groups[1] = a.model_group;
	OK(store_device_insert(st, &d));
	assert_int_equal(d.tenant, a.tenant);
	assert_int_equal(d.ngroups, 2);
	assert_int_equal(d.groups[0], a.model_group);
	assert_int_equal(d.epoch, 1);
	assert_true(d.created_at > 1700000000);
	OK(store_device_get(st, d.dn, &d));
	assert_int_equal(d.ngroups, 2);
	assert_int_equal(d.groups[1], a.order_group);
	store_rollback(st);
	OK(store_begin(st, a.tenant, STORE_WRITE));
	d.groups[1] = a.order_group + 1; /* no such group */
	IS(NOT_FOUND, store_device_insert(st, &d));
	store_rollback(st);
	OK(store_begin(st, a.tenant, STORE_WRITE));
	d.ngroups = DEVICE_GROUPS_MAX + 1;
	IS(GROUPS_FULL, store_device_insert(st, &d));
	store_rollback(st);
	OK(store_begin(st, a.tenant, STORE_READ));
	IS(NOT_FOUND, store_device_by_id(st, "x", &d));
	commit(&st);
}

/* The place and the device, or neither; and the key comes with the commit. */
void
an_order_enrols_as_many_as_it_has_places(void **state)
{
	struct device_key_row k = {.epoch = 1, .data_key = 1,
	    .sealed = "sealed", .sealed_len = 6};
	struct device d = {.device_id = "x1", .serial = "x1", .order = "two",
	    .model = "m1"}, none = d;
	struct burn_look l;
	struct order o;
	struct ground a;
	struct store *st;

	(void)state;
	ground_make(&a);
	st = begin(a.tenant, STORE_WRITE);
	order_fill(&o, "two", a.order_group);
	o.quantity = 2;
	OK(store_order_insert(st, &o));
	OK(store_commit(st));
	OK(store_begin(st, a.tenant, STORE_WRITE));
	store_unlock_early(st);
	OK(store_order_enrol(st, &d));
	k.dn = d.dn;
	OK(store_burn_key(st, &k));
	OK(store_commit(st));
	OK(store_begin(st, a.tenant, STORE_WRITE));
	IS(EXISTS, store_order_enrol(st, &none)); /* takes no place */
	store_rollback(st);
	OK(store_begin(st, a.tenant, STORE_WRITE));
	(void)snprintf(d.device_id, sizeof(d.device_id), "x2");
	(void)snprintf(d.serial, sizeof(d.serial), "x2");
	OK(store_order_enrol(st, &d));
	k.dn = d.dn;
	OK(store_burn_key(st, &k));
	OK(store_burn_look(st, "x2", 1, 1, &l)); /* what was on the way, too */
	assert_int_equal(l.key.dn, d.dn);
	assert_int_equal(l.order.issued, 2);
	OK(store_commit(st));
	OK(store_begin(st, a.tenant, STORE_WRITE));
	(void)snprintf(d.device_id, sizeof(d.device_id), "x3");
	(void)snprintf(d.serial, sizeof(d.serial), "x3");
	IS(ORDER_FULL, store_order_enrol(st, &d));
	store_rollback(st);
	OK(store_begin(st, a.tenant, STORE_READ));
	IS(NOT_FOUND, store_device_by_id(st, "x3", &d));
	OK(store_burn_look(st, "x1", 1, 1, &l));
	assert_int_equal(l.has_key, 1);
	commit(&st);
}

/* Of no data key: whatever was with it does not happen. */
void
a_key_that_cannot_be_kept_takes_its_commit_with_it(void **state)
{
	struct device_key_row k = {.epoch = 1, .data_key = 55,
	    .sealed_len = 1};
	struct device d = {.device_id = "x", .serial = "x", .order = "o1",
	    .model = "m1"};
	struct ground a;
	struct store *st;
	enum err e;

	(void)state;
	ground_make(&a);
	st = begin(a.tenant, STORE_WRITE);
	OK(store_order_enrol(st, &d));
	k.dn = d.dn;
	e = store_burn_key(st, &k);
	if (e == ERR_OK)
		e = store_commit(st);
	IS(NOT_FOUND, e);
	store_rollback(st);
	OK(store_begin(st, a.tenant, STORE_READ));
	IS(NOT_FOUND, store_device_by_id(st, "x", &d));
	commit(&st);
}

void
a_burn_is_decided_by_one_look(void **state)
{
	struct audience au = {.name = "b.example", .host = "h2", .port = 7};
	struct burn_look l;
	struct ground a;
	struct store *st;
	uint64_t dn;

	(void)state;
	ground_make(&a);
	dn = device_make(&a, "S1", DEV_BURNING);
	st = begin(a.tenant, STORE_WRITE);
	OK(store_audience_put(st, &au));
	OK(store_burn_look(st, "m1-S1", 1, 1, &l));
	assert_int_equal(l.device.dn, dn);
	assert_int_equal(l.device.tenant, a.tenant);
	assert_int_equal(l.device.ngroups, 2);
	assert_int_equal(l.station, 0);
	assert_int_equal(l.pub.there, 0);
	assert_int_equal(l.has_key, 1);
	assert_int_equal(l.key.dn, dn);
	assert_int_equal(l.key.released, 0);
	assert_memory_equal(l.key.sealed, "sealed", 6);
	assert_string_equal(l.order.name, "o1");
	assert_int_equal(l.order.nstations, 2);
	assert_string_equal(l.model.name, "m1");
	assert_int_equal(l.model.group, a.model_group);
	assert_int_equal(l.npeers, 2); /* as the order has them */
	assert_string_equal(l.peers[0].name, "b.example");
	assert_string_equal(l.peers[0].host, "h2");
	assert_int_equal(l.peers[0].port, 7);
	assert_string_equal(l.peers[1].name, "a.example");
	au.retired = 1;
	OK(store_audience_put(st, &au));
	OK(store_burn_look(st, "m1-S1", 2, 1, &l));
	assert_int_equal(l.has_key, 0);
	assert_int_equal(l.npeers, 1);
	assert_string_equal(l.peers[0].name, "a.example");
	OK(store_burn_look(st, "m1-S1", 1, 0, &l)); /* who does not ask */
	assert_int_equal(l.npeers, 0);
	assert_int_equal(l.has_key, 1);
	IS(NOT_FOUND, store_burn_look(st, "m1-S2", 1, 1, &l));
	IS(NOT_FOUND, store_burn_look(st, "m1-S2", 1, 0, &l));
	OK(store_device_get(st, dn, &l.device));
	l.device.state = DEV_VOID;
	OK(store_device_update(st, &l.device));
	IS(NOT_FOUND, store_burn_look(st, "m1-S1", 1, 1, &l));
	rollback(&st);
	st = begin(a.tenant, STORE_READ);
	OK(store_burn_look(st, "m1-S1", 1, 1, &l));
	assert_int_equal(l.device.dn, dn);
	commit(&st);
}

void
a_release_is_counted_and_renews_a_key_when_told(void **state)
{
	struct burn_look l, m;
	struct ground a;
	struct store *st;

	(void)state;
	ground_make(&a);
	(void)device_make(&a, "S1", DEV_RESERVED);
	st = begin(a.tenant, STORE_WRITE);
	OK(store_burn_look(st, "m1-S1", 1, 1, &l));
	l.station = 77;
	l.device.state = DEV_BURNING;
	l.key.sealed[0] = 'S';
	OK(store_burn_released(st, &l, 0));
	assert_int_equal(l.key.released, 1);
	OK(store_burn_look(st, "m1-S1", 1, 1, &m));
	assert_int_equal(m.station, 77);
	assert_int_equal(m.device.state, DEV_BURNING);
	assert_int_equal(m.key.released, 1);
	assert_memory_equal(m.key.sealed, "sealed", 6);
	OK(store_burn_released(st, &l, 1));
	OK(store_burn_look(st, "m1-S1", 1, 1, &m));
	assert_int_equal(m.key.released, 2);
	assert_int_equal(m.key.data_key, 1);
	assert_int_equal(m.key.sealed_len, 6);
	assert_memory_equal(m.key.sealed, "Sealed", 6);
	l.key.epoch = 3;
	IS(NOT_FOUND, store_burn_released(st, &l, 0));
	l.key.epoch = 1;
	l.device.dn++;
	IS(NOT_FOUND, store_burn_released(st, &l, 0));
	commit(&st);
}

static void
give_public(struct store *st, const char *id, int there)
{
	struct burn_look l;

	OK(store_burn_look(st, id, 1, 1, &l));
	l.pub.there = there;
	memset(l.pub.xy, there ? 0xa5 : 0, sizeof(l.pub.xy));
	OK(store_burn_released(st, &l, 0));
	OK(store_burn_look(st, id, 1, 1, &l));
	assert_int_equal(l.pub.there, there);
	assert_int_equal(l.pub.xy[0], there ? 0xa5 : 0);
}

void
a_public_key_is_one_device_s(void **state)
{
	struct burn_look l;
	struct device d;
	struct ground a;
	struct store *st;
	uint64_t one;

	(void)state;
	ground_make(&a);
	one = device_make(&a, "S1", DEV_BURNING);
	(void)device_make(&a, "S2", DEV_BURNING);
	st = begin(a.tenant, STORE_WRITE);
	give_public(st, "m1-S1", 1);
	give_public(st, "m1-S1", 1);
	commit(&st);
	st = begin(a.tenant, STORE_WRITE);
	OK(store_burn_look(st, "m1-S2", 1, 1, &l));
	l.pub.there = 1;
	memset(l.pub.xy, 0xa5, sizeof(l.pub.xy));
	IS(EXISTS, store_burn_released(st, &l, 0));
	rollback(&st);
	/* a void device's is free again */
	st = begin(a.tenant, STORE_WRITE);
	OK(store_device_get(st, one, &d));
	d.state = DEV_VOID;
	OK(store_device_update(st, &d));
	give_public(st, "m1-S2", 1);
	give_public(st, "m1-S2", 0);
	commit(&st);
}

#define RACERS 8
#define RELEASES 20
static uint32_t race_tenant;

static void *
release_many(void *arg)
{
	struct burn_look l;
	struct store *st;
	uint64_t seen;
	int i;

	(void)arg;
	for (i = 0; i < RELEASES; i++) {
		st = begin(race_tenant, STORE_WRITE);
		OK(store_burn_look(st, "m1-S1", 1, 1, &l));
		seen = l.key.released;
		OK(store_burn_released(st, &l, 0));
		OK(store_burn_look(st, "m1-S1", 1, 1, &l));
		if (l.key.released != seen + 1)
			seen = 0;
		commit(&st);
		if (l.key.released != seen + 1)
			return &race_tenant;
	}
	return NULL;
}

/* Who looks has the device alone, and sees what the one before has done. */
void
a_look_sees_what_its_lock_has_waited_for(void **state)
{
	pthread_t t[RACERS];
	struct burn_look l;
	struct ground a;
	struct store *st;
	void *wrong;
	int i;

	(void)state;
	ground_make(&a);
	(void)device_make(&a, "S1", DEV_BURNING);
	race_tenant = a.tenant;
	for (i = 0; i < RACERS; i++)
		assert_int_equal(pthread_create(&t[i], NULL, release_many,
		    NULL), 0);
	for (i = 0; i < RACERS; i++) {
		assert_int_equal(pthread_join(t[i], &wrong), 0);
		assert_null(wrong);
	}
	st = begin(a.tenant, STORE_READ);
	OK(store_burn_look(st, "m1-S1", 1, 1, &l));
	assert_int_equal(l.key.released, RACERS * RELEASES);
	commit(&st);
}
