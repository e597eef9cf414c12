/* Tenants, transactions, the pool, sealed keys, audit. */
#include "tests/contract/contract.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct tenant_head *
head_of(const struct tenant_head *rows, size_t n, uint32_t tenant)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (rows[i].tenant == tenant)
			return &rows[i];
	return NULL;
}

void
heads_show_every_tenant(void **state)
{
	struct store *st = session();
	const struct tenant_head *h;
	struct tenant_head *rows = NULL;
	struct ground a, b;
	size_t n = 0;

	(void)state;
	ground_make(&a);
	ground_make(&b);
	OK(store_heads(st, &rows, &n));
	h = head_of(rows, n, a.tenant);
	assert_non_null(h);
	assert_string_equal(h->name, a.name);
	assert_int_equal(h->pos, UINT64_C(1) << POS_GENERATION_SHIFT);
	assert_int_equal(h->floor, 0);
	assert_non_null(head_of(rows, n, b.tenant));
	assert_non_null(head_of(rows, n, 0));
	free(rows);
	store_release(&st);
}

void
a_taken_tenant_name_is_refused(void **state)
{
	struct store *st = session();
	struct ground a;
	uint32_t next = 0;

	(void)state;
	ground_make(&a);
	OK(store_tenant_next(st, &next));
	assert_true(next > a.tenant);
	OK(store_begin(st, next, STORE_WRITE));
	IS(EXISTS, store_tenant_insert(st, a.name));
	store_rollback(st);
	OK(store_begin(st, a.tenant, STORE_WRITE));
	IS(EXISTS, store_tenant_insert(st, "another-name"));
	rollback(&st);
}

void
calls_outside_a_transaction_are_refused(void **state)
{
	struct event e = {.kind = EV_DEVICE, .effect = EFFECT_CUT, .id = "1"};
	struct store *st = session();
	uint64_t pos = 0, floor = 0;

	(void)state;
	IS(INTERNAL, store_position(st, &pos, &floor));
	IS(INTERNAL, store_event_append(st, &e));
	IS(INTERNAL, store_commit(st));
	store_rollback(st);
	OK(store_begin(st, 0, STORE_READ));
	IS(INTERNAL, store_begin(st, 0, STORE_READ));
	IS(INTERNAL, store_listen(st, 0));
	rollback(&st);
}

void
a_failed_transaction_can_only_be_rolled_back(void **state)
{
	struct group g = {.kind = GROUP_MODEL, .name = "m1"};
	struct group found;
	struct ground a;
	struct store *st;

	(void)state;
	ground_make(&a);
	st = begin(a.tenant, STORE_WRITE);
	/* Not found is an answer, not a failure. */
	IS(NOT_FOUND, store_group_get(st, 99999, &found));
	OK(store_group_get(st, a.model_group, &found));
	IS(EXISTS, store_group_insert(st, &g));
	IS(INTERNAL, store_group_get(st, a.model_group, &found));
	IS(INTERNAL, store_commit(st));
	store_rollback(st);
	OK(store_begin(st, a.tenant, STORE_WRITE));
	OK(store_group_get(st, a.model_group, &found));
	commit(&st);
}

void
rollback_leaves_nothing(void **state)
{
	struct event e = {.kind = EV_DEVICE, .effect = EFFECT_CUT, .id = "1"};
	struct audit au = {.action = "a", .object_kind = "k", .object = "o",
	    .outcome = "ok", .request_id = "r"};
	struct group g = {.kind = GROUP_FREE, .name = "gone"}, out;
	uint64_t pos = 0, floor = 0;
	struct event events[4];
	struct audit audits[4];
	struct ground a;
	struct store *st;
	size_t n = 9;

	(void)state;
	ground_make(&a);
	st = begin(a.tenant, STORE_WRITE);
	OK(store_group_insert(st, &g));
	OK(store_audit_append(st, &au));
	OK(store_event_append(st, &e));
	store_rollback(st);
	OK(store_begin(st, a.tenant, STORE_READ));
	IS(NOT_FOUND, store_group_by_name(st, GROUP_FREE, "gone", &out));
	OK(store_event_list(st, 0, 4, events, &n));
	assert_int_equal(n, 0);
	OK(store_audit_list(st, 0, 4, audits, &n));
	assert_int_equal(n, 0);
	OK(store_position(st, &pos, &floor));
	assert_int_equal(pos, UINT64_C(1) << POS_GENERATION_SHIFT);
	commit(&st);
	/* Nor does the session's next transaction say what this one did. */
	st = begin(a.tenant, STORE_WRITE);
	OK(store_group_insert(st, &g));
	OK(store_audit_append(st, &au));
	store_rollback(st);
	OK(store_begin(st, a.tenant, STORE_WRITE));
	OK(store_group_insert(st, &g));
	store_rollback(st);
	OK(store_begin(st, a.tenant, STORE_WRITE));
	OK(store_event_append(st, &e));
	OK(store_commit(st));
	OK(store_begin(st, a.tenant, STORE_READ));
	OK(store_audit_list(st, 0, 4, audits, &n));
	assert_int_equal(n, 0);
	commit(&st);
	/* A session given back in the middle rolls back too. */
	st = begin(a.tenant, STORE_WRITE);
	OK(store_group_insert(st, &g));
	store_release(&st);
	st = begin(a.tenant, STORE_READ);
	IS(NOT_FOUND, store_group_by_name(st, GROUP_FREE, "gone", &out));
	commit(&st);
}

void
a_snapshot_does_not_move(void **state)
{
	struct event e = {.kind = EV_DEVICE, .effect = EFFECT_CUT, .id = "1"};
	uint64_t before = 0, after = 0, floor = 0;
	struct store *reader, *writer;
	struct ground a;

	(void)state;
	ground_make(&a);
	reader = begin(a.tenant, STORE_READ);
	OK(store_position(reader, &before, &floor));
	writer = begin(a.tenant, STORE_WRITE);
	OK(store_event_append(writer, &e));
	commit(&writer);
	OK(store_position(reader, &after, &floor));
	assert_int_equal(before, after);
	commit(&reader);
	reader = begin(a.tenant, STORE_READ);
	OK(store_position(reader, &after, &floor));
	assert_int_equal(e.pos, after);
	assert_int_equal(before + 1, after);
	commit(&reader);
}

void
a_read_transaction_cannot_write(void **state)
{
	struct group g = {.kind = GROUP_FREE, .name = "w"};
	struct ground a;
	struct store *st;

	(void)state;
	ground_make(&a);
	st = begin(a.tenant, STORE_READ);
	IS(INTERNAL, store_group_insert(st, &g));
	rollback(&st);
}

void
the_pool_is_bounded(void **state)
{
	struct store_conf conf = {.conninfo = backend_conninfo(),
	    .sessions = 1, .connect_ms = 5000, .statement_ms = 5000};
	struct store *a = NULL, *b = NULL;
	struct store_pool *p = NULL;

	(void)state;
	conf.sessions = 0;
	IS(CONFIG, store_pool_open(&conf, &p));
	conf.sessions = 257;
	IS(CONFIG, store_pool_open(&conf, &p));
	conf.sessions = 1;
	OK(store_pool_open(&conf, &p));
	OK(store_acquire(p, 0, &a));
	IS(BUSY, store_acquire(p, 20, &b));
	assert_null(b);
	store_release(&a);
	OK(store_acquire(p, 0, &b));
	store_release(&b);
	store_release(&b);
	store_pool_close(&p);
	store_pool_close(&p);
}

void
a_folder_without_migrations_is_refused(void **state)
{
	struct detail d = {""};

	(void)state;
	IS(CONFIG, store_migrate(backend_conninfo(), "/nonexistent", &d));
	assert_string_not_equal(d.text, "");
}

void
data_keys_count_their_uses(void **state)
{
	struct data_key_row k = {.number = 7, .kek_id = "kek-2",
	    .wrapped = {0, 1, 2, 0, 255}, .wrapped_len = 5};
	struct data_key_row out;
	struct ground a;
	struct store *st;
	uint64_t uses = 0;

	(void)state;
	ground_make(&a);
	st = begin(a.tenant, STORE_WRITE);
	OK(store_data_key_insert(st, &k));
	OK(store_data_key_newest(st, &out));
	assert_int_equal(out.number, 7);
	OK(store_data_key_use(st, 7, 1000, &uses));
	assert_int_equal(uses, 1000);
	OK(store_data_key_use(st, 7, 24, &uses));
	assert_int_equal(uses, 1024);
	IS(NOT_FOUND, store_data_key_use(st, 8, 1, &uses));
	OK(store_data_key_get(st, 7, &out));
	assert_string_equal(out.kek_id, "kek-2");
	assert_int_equal(out.wrapped_len, 5);
	assert_memory_equal(out.wrapped, k.wrapped, 5);
	assert_int_equal(out.uses, 1024);
	IS(NOT_FOUND, store_data_key_get(st, 8, &out));
	IS(EXISTS, store_data_key_insert(st, &k));
	rollback(&st);
}

void
secret_keys_are_kept_in_order(void **state)
{
	struct secret_key_row k = {.purpose = "token", .kid = "kid-a",
	    .data_key = 1, .sealed = {9, 0, 9}, .sealed_len = 3,
	    .has_public = 1, .state = "active"};
	struct secret_key_row rows[4];
	struct ground a;
	struct store *st;
	size_t n = 0;

	(void)state;
	ground_make(&a);
	memset(k.public, 0xa5, sizeof(k.public));
	st = begin(a.tenant, STORE_WRITE);
	OK(store_secret_key_next(st, &k.number));
	assert_int_equal(k.number, 1);
	OK(store_secret_key_insert(st, &k));
	OK(store_secret_key_next(st, &k.number));
	assert_int_equal(k.number, 2);
	(void)snprintf(k.kid, sizeof(k.kid), "kid-b");
	k.has_public = 0;
	OK(store_secret_key_insert(st, &k));
	OK(store_secret_key_list(st, rows, 4, &n));
	assert_int_equal(n, 2);
	assert_string_equal(rows[0].kid, "kid-a");
	assert_string_equal(rows[0].purpose, "token");
	assert_string_equal(rows[0].state, "active");
	assert_int_equal(rows[0].sealed_len, 3);
	assert_memory_equal(rows[0].sealed, k.sealed, 3);
	assert_true(rows[0].has_public);
	assert_memory_equal(rows[0].public, k.public, 64);
	assert_false(rows[1].has_public);
	OK(store_secret_key_list(st, rows, 1, &n));
	assert_int_equal(n, 1);
	k.number = 3; /* the same kid again */
	IS(EXISTS, store_secret_key_insert(st, &k));
	rollback(&st);
}

void
audit_rows_come_back_in_order(void **state)
{
	struct audit au = {.caller = 4, .action = "device.release",
	    .object_kind = "device", .object = "17", .outcome = "ok",
	    .pos = 5, .request_id = "req", .detail = "some 'text'"};
	struct audit rows[5];
	struct ground a;
	struct store *st;
	size_t n = 0;
	int i;

	(void)state;
	ground_make(&a);
	st = begin(a.tenant, STORE_WRITE);
	for (i = 0; i < 5; i++) {
		au.pos = (uint64_t)i;
		OK(store_audit_append(st, &au));
	}
	commit(&st);
	st = begin(a.tenant, STORE_READ);
	OK(store_audit_list(st, 0, 3, rows, &n));
	assert_int_equal(n, 3);
	assert_int_equal(rows[2].pos, 2);
	assert_int_equal(rows[0].caller, 4);
	assert_string_equal(rows[0].action, "device.release");
	assert_string_equal(rows[0].object_kind, "device");
	assert_string_equal(rows[0].object, "17");
	assert_string_equal(rows[0].outcome, "ok");
	assert_string_equal(rows[0].request_id, "req");
	assert_string_equal(rows[0].detail, "some 'text'");
	assert_true(rows[0].at > 1700000000);
	OK(store_audit_list(st, rows[2].number, 5, rows, &n));
	assert_int_equal(n, 2);
	assert_int_equal(rows[1].pos, 4);
	commit(&st);
}

void
an_instance_confirms(void **state)
{
	struct store *st = begin(0, STORE_WRITE);

	(void)state;
	OK(store_instance_confirm(st, "authd-1"));
	OK(store_instance_confirm(st, "authd-1"));
	commit(&st);
}

void
a_tenant_can_be_blocked(void **state)
{
	struct ground a;
	struct store *st;
	uint64_t n = 9;
	int blocked = 9;

	(void)state;
	ground_make(&a);
	(void)device_make(&a, "S1", DEV_ACTIVE);
	(void)device_make(&a, "S2", DEV_SUSPENDED);
	(void)device_make(&a, "S3", DEV_REVOKED);
	st = begin(a.tenant, STORE_WRITE);
	OK(store_tenant_blocked(st, &blocked));
	assert_int_equal(blocked, 0);
	OK(store_tenant_block(st, 1));
	OK(store_tenant_blocked(st, &blocked));
	assert_int_equal(blocked, 1);
	OK(store_tenant_count(st, &n));
	assert_int_equal(n, 2);
	commit(&st);
}

void
versions_of_the_key_set_only_grow(void **state)
{
	struct ground a;
	struct store *st;
	uint64_t v = 0, was;

	(void)state;
	ground_make(&a);
	st = begin(a.tenant, STORE_WRITE);
	OK(store_keys_version(st, &was));
	OK(store_keys_version_next(st));
	OK(store_keys_version(st, &v));
	assert_true(v == was + 1);
	OK(store_keys_version_raise(st, 1 << 20));
	OK(store_keys_version_raise(st, 7));
	OK(store_keys_version(st, &v));
	assert_true(v == 1 << 20);
	commit(&st);
}
