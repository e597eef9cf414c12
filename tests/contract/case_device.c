/* Devices, groups of a device, keys, what authentication reads. */
#include "tests/contract/contract.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void
devices_keep_every_member(void **state)
{
	struct device d, e;
	struct ground a;
	struct store *st;
	uint64_t dn;

	(void)state;
	ground_make(&a);
	dn = device_make(&a, "S1", DEV_BURNING);
	st = begin(a.tenant, STORE_WRITE);
	OK(store_device_get(st, dn, &d));
	assert_int_equal(d.tenant, a.tenant);
	assert_int_equal(d.dn, dn);
	assert_string_equal(d.device_id, "m1-S1");
	assert_string_equal(d.serial, "S1");
	assert_string_equal(d.order, "o1");
	assert_string_equal(d.model, "m1");
	assert_int_equal(d.state, DEV_BURNING);
	assert_int_equal(d.proof, PROOF_NONE);
	assert_int_equal(d.epoch, 1);
	assert_int_equal(d.ngroups, 2);
	assert_int_equal(d.groups[0], a.model_group);
	assert_int_equal(d.groups[1], a.order_group);
	assert_true(d.created_at > 1700000000);
	d.state = DEV_ACTIVE;
	d.proof = PROOF_MEDIUM;
	d.epoch = 4294967295u;
	d.ngroups = 0;
	d.serial[0] = '\0';
	OK(store_device_update(st, &d));
	assert_int_equal(d.ngroups, 2); /* read back */
	assert_int_equal(d.groups[1], a.order_group);
	assert_string_equal(d.serial, "S1");
	assert_int_equal(d.state, DEV_ACTIVE);
	OK(store_device_by_id(st, "m1-S1", &e));
	assert_int_equal(e.state, DEV_ACTIVE);
	assert_int_equal(e.proof, PROOF_MEDIUM);
	assert_int_equal(e.epoch, 4294967295u);
	OK(store_device_by_serial(st, "o1", "S1", &e));
	assert_int_equal(e.dn, dn);
	IS(NOT_FOUND, store_device_get(st, dn + 1, &e));
	IS(NOT_FOUND, store_device_by_id(st, "m1-S2", &e));
	IS(NOT_FOUND, store_device_by_serial(st, "o2", "S1", &e));
	d.dn++;
	IS(NOT_FOUND, store_device_update(st, &d));
	commit(&st);
}

void
a_device_keeps_two_epochs_and_what_is_known_of_clones(void **state)
{
	struct device d, e;
	struct ground a;
	struct store *st;
	uint64_t dn;

	(void)state;
	ground_make(&a);
	dn = device_make(&a, "S1", DEV_ACTIVE);
	st = begin(a.tenant, STORE_WRITE);
	OK(store_device_get(st, dn, &d));
	assert_int_equal(d.pending, 0);
	assert_int_equal(d.clones, 0);
	d.epoch = 4294967294u;
	d.pending = 4294967295u;
	d.clones = 3;
	d.clone_at = 1800000000;
	d.clone_epoch = 2;
	OK(store_device_update(st, &d));
	OK(store_device_get(st, dn, &e));
	assert_int_equal(e.epoch, 4294967294u);
	assert_int_equal(e.pending, 4294967295u);
	assert_int_equal(e.clones, 3);
	assert_int_equal(e.clone_at, 1800000000);
	assert_int_equal(e.clone_epoch, 2);
	d.epoch = d.pending; /* the pending one is always the later */
	IS(REQUEST, store_device_update(st, &d));
	rollback(&st);
}

void
device_numbers_are_dense(void **state)
{
	struct device d = {.device_id = "x", .serial = "x", .order = "o1",
	    .model = "m1", .epoch = 1};
	struct ground a;
	struct store *st;

	(void)state;
	ground_make(&a);
	assert_int_equal(device_make(&a, "S1", DEV_ACTIVE), 1);
	st = begin(a.tenant, STORE_WRITE);
	OK(store_device_insert(st, &d));
	assert_int_equal(d.dn, 2);
	rollback(&st);
	assert_int_equal(device_make(&a, "S2", DEV_ACTIVE), 2);
}

void
a_name_is_free_again_when_void(void **state)
{
	struct device d = {.device_id = "m1-S1", .serial = "S9",
	    .order = "o1", .model = "m1", .epoch = 1};
	struct ground a;
	struct store *st;
	uint64_t dn;

	(void)state;
	ground_make(&a);
	dn = device_make(&a, "S1", DEV_RESERVED);
	st = begin(a.tenant, STORE_WRITE);
	IS(EXISTS, store_device_insert(st, &d));
	store_rollback(st);
	OK(store_begin(st, a.tenant, STORE_WRITE));
	(void)snprintf(d.device_id, sizeof(d.device_id), "m1-S9");
	(void)snprintf(d.serial, sizeof(d.serial), "S1");
	IS(EXISTS, store_device_insert(st, &d));
	store_rollback(st);
	OK(store_begin(st, a.tenant, STORE_WRITE));
	OK(store_device_get(st, dn, &d));
	assert_int_equal(d.epoch, 1);
	d.state = DEV_VOID;
	d.epoch = 4;
	OK(store_device_update(st, &d));
	IS(NOT_FOUND, store_device_by_id(st, "m1-S1", &d));
	IS(NOT_FOUND, store_device_by_serial(st, "o1", "S1", &d));
	commit(&st);
	assert_int_equal(device_make(&a, "S1", DEV_RESERVED), dn + 1);
	(void)device_make(&a, "S2", DEV_RESERVED);
	st = begin(a.tenant, STORE_READ);
	OK(store_device_get(st, dn + 1, &d));
	assert_int_equal(d.epoch, 5); /* behind all it has had */
	OK(store_device_by_id(st, "m1-S2", &d));
	assert_int_equal(d.epoch, 1);
	commit(&st);
}

static size_t
count(const struct ground *g, const struct device_filter *f,
    struct device *rows)
{
	struct store *st = begin(g->tenant, STORE_READ);
	size_t n = 999;

	OK(store_device_list(st, f, rows, &n));
	commit(&st);
	return n;
}

void
listing_filters_and_pages(void **state)
{
	struct device_filter f = {.limit = 3};
	struct device rows[10];
	char serial[16];
	struct ground a;
	int i;

	(void)state;
	ground_make(&a);
	for (i = 0; i < 7; i++) {
		(void)snprintf(serial, sizeof(serial), "S%d", i % 2 * 10 + i);
		(void)device_make(&a, serial, i < 4 ? DEV_ACTIVE :
		    DEV_SUSPENDED);
	}
	assert_int_equal(count(&a, &f, rows), 3);
	assert_int_equal(rows[0].dn, 1);
	assert_int_equal(rows[0].ngroups, 2);
	f.after = rows[2].dn;
	assert_int_equal(count(&a, &f, rows), 3);
	assert_int_equal(rows[0].dn, 4);
	f.after = 6;
	assert_int_equal(count(&a, &f, rows), 1);
	f = (struct device_filter){.limit = 10, .has_state = 1,
	    .state = DEV_SUSPENDED};
	assert_int_equal(count(&a, &f, rows), 3);
	f = (struct device_filter){.limit = 10, .prefix = "m1-S1"};
	assert_int_equal(count(&a, &f, rows), 3);
	f = (struct device_filter){.limit = 10, .prefix = "m1_S"};
	assert_int_equal(count(&a, &f, rows), 0);
	f = (struct device_filter){.limit = 10, .order = "o1",
	    .model = "m1", .group = a.model_group};
	assert_int_equal(count(&a, &f, rows), 7);
	f.group = 99;
	assert_int_equal(count(&a, &f, rows), 0);
	f = (struct device_filter){.limit = 10, .order = "o2"};
	assert_int_equal(count(&a, &f, rows), 0);
}

void
a_device_is_in_eight_groups_at_most(void **state)
{
	struct group g = {.kind = GROUP_FREE};
	struct ground a;
	struct store *st;
	uint64_t dn;
	int i;

	(void)state;
	ground_make(&a);
	dn = device_make(&a, "S1", DEV_ACTIVE);
	st = begin(a.tenant, STORE_WRITE);
	for (i = 2; i <= DEVICE_GROUPS_MAX; i++) {
		(void)snprintf(g.name, sizeof(g.name), "g%d", i);
		OK(store_group_insert(st, &g));
		if (i < DEVICE_GROUPS_MAX)
			OK(store_member_add(st, dn, g.number));
	}
	IS(NOT_FOUND, store_member_add(st, dn, 999));
	IS(NOT_FOUND, store_member_add(st, dn + 9, g.number));
	OK(store_commit(st));
	OK(store_begin(st, a.tenant, STORE_WRITE));
	IS(GROUPS_FULL, store_member_add(st, dn, g.number));
	store_rollback(st);
	OK(store_begin(st, a.tenant, STORE_WRITE));
	IS(EXISTS, store_member_add(st, dn, a.model_group));
	store_rollback(st);
	OK(store_begin(st, a.tenant, STORE_WRITE));
	OK(store_member_remove(st, dn, a.model_group));
	IS(NOT_FOUND, store_member_remove(st, dn, a.model_group));
	OK(store_member_add(st, dn, g.number));
	commit(&st);
}

void
device_keys_are_kept(void **state)
{
	struct device_key_row k = {.epoch = 2}, out;
	struct ground a;
	struct store *st;

	(void)state;
	ground_make(&a);
	k.dn = device_make(&a, "S1", DEV_ACTIVE);
	st = begin(a.tenant, STORE_WRITE);
	OK(store_device_key_insert(st, &k)); /* derived: nothing stored */
	OK(store_device_key_get(st, k.dn, 2, &out));
	assert_int_equal(out.data_key, 0);
	assert_int_equal(out.sealed_len, 0);
	OK(store_device_key_get(st, k.dn, 1, &out));
	assert_int_equal(out.released, 0);
	assert_int_equal(out.data_key, 1);
	assert_int_equal(out.sealed_len, 6);
	assert_memory_equal(out.sealed, "sealed", 6);
	IS(NOT_FOUND, store_device_key_get(st, k.dn, 3, &out));
	IS(EXISTS, store_device_key_insert(st, &k));
	store_rollback(st);
	OK(store_begin(st, a.tenant, STORE_WRITE));
	k.epoch = 3;
	k.data_key = 55; /* no such key */
	k.sealed_len = 1;
	IS(NOT_FOUND, store_device_key_insert(st, &k));
	rollback(&st);
}

/* What a station has had is kept, so that its use is known as one. */
void
dead_keys_go_unless_a_station_had_them(void **state)
{
	struct device_key_row k = {.epoch = 2, .has_asked = 1}, out;
	struct burn_look l;
	struct device d;
	struct ground a;
	struct store *st;

	(void)state;
	ground_make(&a);
	k.dn = device_make(&a, "S1", DEV_ACTIVE);
	memset(k.asked, 7, sizeof(k.asked));
	st = begin(a.tenant, STORE_WRITE);
	OK(store_burn_look(st, "m1-S1", 1, 1, &l));
	OK(store_burn_released(st, &l, 0));
	OK(store_device_key_insert(st, &k));
	k.epoch = 3;
	OK(store_device_key_insert(st, &k));
	OK(store_device_key_get(st, k.dn, 2, &out));
	assert_true(out.has_asked);
	assert_memory_equal(out.asked, k.asked, sizeof(k.asked));
	OK(store_device_get(st, k.dn, &d));
	d.pending = 3;
	OK(store_device_update(st, &d));
	OK(store_device_key_prune(st, k.dn, 2));
	OK(store_device_key_get(st, k.dn, 2, &out));
	OK(store_device_key_prune(st, k.dn, 9));
	IS(NOT_FOUND, store_device_key_get(st, k.dn, 2, &out));
	OK(store_device_key_get(st, k.dn, 3, &out)); /* not dead */
	OK(store_device_key_get(st, k.dn, 1, &out));
	assert_false(out.has_asked);
	d.epoch = 4;
	d.pending = 0;
	OK(store_device_update(st, &d));
	OK(store_device_key_prune(st, k.dn, 3));
	OK(store_device_key_get(st, k.dn, 3, &out));
	OK(store_device_key_prune(st, k.dn + 1, 9));
	OK(store_device_key_get(st, k.dn, 3, &out));
	OK(store_device_key_prune(st, k.dn, 9));
	IS(NOT_FOUND, store_device_key_get(st, k.dn, 3, &out));
	OK(store_device_key_get(st, k.dn, 1, &out));
	commit(&st);
}

void
device_auth_reads_all_in_one_snapshot(void **state)
{
	struct event ev = {.kind = EV_DEVICE, .effect = EFFECT_CUT};
	struct device_auth *d = calloc(1, sizeof(*d));
	struct ground a;
	struct store *st;
	uint64_t dn;

	(void)state;
	assert_non_null(d);
	ground_make(&a);
	dn = device_make(&a, "S1", DEV_ACTIVE);
	st = begin(a.tenant, STORE_WRITE);
	(void)snprintf(ev.id, sizeof(ev.id), "%u", (unsigned)dn);
	OK(store_event_append(st, &ev));
	OK(store_commit(st));
	OK(store_begin(st, a.tenant, STORE_READ));
	OK(store_device_auth(st, dn, 1, d));
	assert_string_equal(d->device.device_id, "m1-S1");
	assert_int_equal(d->device.state, DEV_ACTIVE);
	assert_int_equal(d->device.tenant, a.tenant);
	assert_int_equal(d->device.ngroups, 2);
	assert_int_equal(d->device.groups[1], a.order_group);
	assert_int_equal(d->key.dn, dn);
	assert_int_equal(d->key.epoch, 1);
	assert_int_equal(d->key.data_key, 1);
	assert_memory_equal(d->key.sealed, "sealed", 6);
	assert_string_equal(d->model.name, "m1");
	assert_int_equal(d->model.number, 1);
	assert_int_equal(d->model.data_key, 0);
	assert_string_equal(d->scope, "telemetry command");
	assert_int_equal(d->rotate_first, 0);
	assert_int_equal(d->npeers, 2);
	assert_string_equal(d->peers[0], "b.example");
	assert_string_equal(d->peers[1], "a.example");
	assert_int_equal(d->pos, ev.pos);
	assert_int_equal(d->group_blocked, 0);
	assert_int_equal(d->tenant_blocked, 0);
	IS(NOT_FOUND, store_device_auth(st, dn + 1, 1, d));
	IS(NOT_FOUND, store_device_auth(st, dn, 2, d));
	commit(&st);
	free(d);
}

void
device_auth_knows_blocks_and_retired_peers(void **state)
{
	struct audience au = {.name = "b.example", .host = "h", .port = 1,
	    .retired = 1};
	struct device_auth *d = calloc(1, sizeof(*d));
	struct ground a;
	struct store *st;
	uint64_t dn;

	(void)state;
	assert_non_null(d);
	ground_make(&a);
	dn = device_make(&a, "S1", DEV_ACTIVE);
	st = begin(a.tenant, STORE_WRITE);
	OK(store_audience_put(st, &au));
	OK(store_group_block(st, a.model_group, 1));
	OK(store_tenant_block(st, 1));
	OK(store_commit(st));
	OK(store_begin(st, a.tenant, STORE_READ));
	OK(store_device_auth(st, dn, 1, d));
	assert_int_equal(d->npeers, 1);
	assert_string_equal(d->peers[0], "a.example");
	assert_int_equal(d->group_blocked, 1);
	assert_int_equal(d->tenant_blocked, 1);
	OK(store_commit(st));
	/* In no group at all. */
	OK(store_begin(st, a.tenant, STORE_WRITE));
	OK(store_member_remove(st, dn, a.model_group));
	OK(store_member_remove(st, dn, a.order_group));
	OK(store_device_auth(st, dn, 1, d));
	assert_int_equal(d->device.ngroups, 0);
	assert_int_equal(d->group_blocked, 0);
	commit(&st);
	free(d);
}
