/*
 * Revocation: what dies, at once, here and at another authority over the
 * same database; and what a mass revocation demands.
 */
#include "tests/unit/core_fixture.h"

#include <time.h>

#include "authd/core/core_internal.h"
#include "tests/helpers/fake_store.h"

static enum err
revoke(struct fixture *f, struct revocation_request r, uint64_t *devices)
{
	struct core_call call = fixture_call(f, &f->admin);
	struct event ev;
	enum err e;

	e = core_revoke(&call, &r, &ev, devices);
	if (e == ERR_EXPECT)
		*devices = call.devices;
	return e;
}

static struct revocation_request
group_request(uint32_t group, enum event_effect effect)
{
	struct revocation_request r = {.kind = EV_GROUP, .effect = effect};

	(void)snprintf(r.id, sizeof(r.id), "%u", group);
	return r;
}

static void
a_cut_kills_what_was_obtained_before_and_not_what_comes(void **state)
{
	struct fixture *f = *state;
	struct token_answer t = {.expires_in = 0};
	struct revocation_request r = {.kind = EV_DEVICE,
	    .effect = EFFECT_CUT, .id = "m1-A1"};
	struct unit u;
	uint64_t n;

	fixture_burn(f, "o1", "A1", &u);
	assert_int_equal(fixture_token(f, &u, &t), ERR_OK);
	assert_int_equal(revoke(f, r, &n), ERR_OK);
	assert_int_equal(n, 1);
	assert_int_equal(fixture_introspect(f, &t), ERR_TOKEN_CUT);
	assert_int_equal(fixture_token(f, &u, &t), ERR_OK);
	assert_int_equal(fixture_introspect(f, &t), ERR_OK);
	buf_free(&t.token);
}

static void
a_mass_revocation_wants_the_number_it_will_hit(void **state)
{
	struct fixture *f = *state;
	struct token_answer t = {.expires_in = 0};
	struct revocation_request r;
	struct unit u, v;
	uint64_t n = 0;

	fixture_burn(f, "o1", "A1", &u);
	fixture_burn(f, "o1", "A2", &v);
	assert_int_equal(fixture_token(f, &u, &t), ERR_OK);
	r = group_request(u.device.groups[0], EFFECT_BLOCK);
	assert_int_equal(revoke(f, r, &n), ERR_EXPECT);
	assert_int_equal(n, 2);
	r.has_expect = 1;
	r.expect = 3;
	assert_int_equal(revoke(f, r, &n), ERR_EXPECT);
	r.dry_run = 1;
	assert_int_equal(revoke(f, r, &n), ERR_OK);
	assert_int_equal(n, 2);
	assert_int_equal(fixture_introspect(f, &t), ERR_OK);
	r.dry_run = 0;
	r.expect = 2;
	assert_int_equal(revoke(f, r, &n), ERR_OK);
	assert_int_equal(fixture_introspect(f, &t), ERR_GROUP_BLOCKED);
	assert_int_equal(fixture_token(f, &v, &t), ERR_GROUP_BLOCKED);
	r.effect = EFFECT_LIFT;
	assert_int_equal(revoke(f, r, &n), ERR_OK);
	assert_int_equal(fixture_token(f, &v, &t), ERR_OK);
	assert_int_equal(fixture_audited(f, "group.block", "ok"), 1);
	assert_int_equal(fixture_audited(f, "group.block",
	    "expect_mismatch"), 2);
	buf_free(&t.token);
}

static void
a_tenant_can_be_blocked_as_a_whole(void **state)
{
	struct fixture *f = *state;
	struct revocation_request r = {.kind = EV_TENANT,
	    .effect = EFFECT_BLOCK, .has_expect = 1, .expect = 1};
	struct token_answer t = {.expires_in = 0};
	struct unit u;
	uint64_t n;

	fixture_burn(f, "o1", "A1", &u);
	assert_int_equal(fixture_token(f, &u, &t), ERR_OK);
	assert_int_equal(revoke(f, r, &n), ERR_OK);
	assert_int_equal(fixture_introspect(f, &t), ERR_TENANT_BLOCKED);
	assert_int_equal(fixture_token(f, &u, &t), ERR_TENANT_BLOCKED);
	buf_free(&t.token);
}

static void
a_token_dies_by_its_jti_and_stays_dead(void **state)
{
	struct fixture *f = *state;
	struct core_call call = fixture_call(f, &f->admin);
	struct core_call gw2 = fixture_call(f, &f->other_gateway);
	struct revocation_request r = {.kind = EV_TOKEN,
	    .effect = EFFECT_LIFT, .id = "abc"};
	struct token_answer t = {.expires_in = 0};
	struct unit u;
	uint64_t n;

	fixture_burn(f, "o1", "A1", &u);
	assert_int_equal(fixture_token(f, &u, &t), ERR_OK);
	assert_int_equal(core_token_revoke(&gw2, NULL, t.token.p,
	    t.token.len), ERR_SCOPE);
	assert_int_equal(core_token_revoke(&call, NULL, t.token.p,
	    t.token.len), ERR_OK);
	assert_int_equal(fixture_introspect(f, &t), ERR_TOKEN_REVOKED);
	assert_int_equal(core_token_revoke(&call, NULL, t.token.p,
	    t.token.len), ERR_OK);
	assert_int_equal(fixture_audited(f, "token.revoke", "ok"), 1);
	assert_int_equal(revoke(f, r, &n), ERR_REQUEST);
	r.effect = EFFECT_CUT;
	(void)snprintf(r.id, sizeof(r.id), "a b");
	assert_int_equal(revoke(f, r, &n), ERR_REQUEST);
	buf_free(&t.token);
}

static void
joining_a_group_cuts_the_device_and_binds_it_to_the_group(void **state)
{
	struct fixture *f = *state;
	struct core_call call = fixture_call(f, &f->admin);
	struct token_answer t = {.expires_in = 0};
	struct revocation_request r;
	struct group g;
	struct device d;
	struct unit u;
	uint64_t n;

	fixture_burn(f, "o1", "A1", &u);
	assert_int_equal(core_group_create(&call, "fw-7", &g), ERR_OK);
	assert_int_equal(core_group_create(&call, "fw-7", &g), ERR_EXISTS);
	assert_int_equal(fixture_token(f, &u, &t), ERR_OK);
	assert_int_equal(core_group_member(&call, g.number, "m1-A1", 1, &d),
	    ERR_OK);
	assert_int_equal(d.ngroups, 3);
	assert_int_equal(fixture_introspect(f, &t), ERR_TOKEN_CUT);
	assert_int_equal(fixture_token(f, &u, &t), ERR_OK);
	r = group_request(g.number, EFFECT_CUT);
	r.has_expect = 1;
	r.expect = 1;
	assert_int_equal(revoke(f, r, &n), ERR_OK);
	assert_int_equal(fixture_introspect(f, &t), ERR_TOKEN_CUT);
	assert_int_equal(core_group_member(&call, g.number, "m1-A1", 0, &d),
	    ERR_OK);
	assert_int_equal(core_group_member(&call, g.number, "m1-A1", 0, &d),
	    ERR_NOT_FOUND);
	/* Its model's group it cannot leave. */
	assert_int_equal(core_group_member(&call, u.device.groups[0],
	    "m1-A1", 0, &d), ERR_REQUEST);
	buf_free(&t.token);
}

static void
a_device_is_in_eight_groups_at_most(void **state)
{
	struct fixture *f = *state;
	struct core_call call = fixture_call(f, &f->admin);
	struct group g;
	struct device d;
	struct unit u;
	char name[16];
	int i;

	fixture_burn(f, "o1", "A1", &u);
	for (i = 0; i < 7; i++) {
		(void)snprintf(name, sizeof(name), "g%d", i);
		assert_int_equal(core_group_create(&call, name, &g), ERR_OK);
		assert_int_equal(core_group_member(&call, g.number, "m1-A1",
		    1, &d), i < 6 ? ERR_OK : ERR_GROUPS_FULL);
	}
}

static struct core *
second(struct fixture *f)
{
	struct core *c = NULL;
	struct detail d;

	assert_int_equal(core_open(&f->conf, &c, &d), ERR_OK);
	return c;
}

static void
a_revocation_at_one_authority_is_obeyed_by_another(void **state)
{
	struct fixture *f = *state;
	struct core *other = second(f);
	struct core_call call = fixture_call(f, &f->gateway);
	struct token_answer t = {.expires_in = 0};
	time_t until = time(NULL) + 20;
	struct timespec ts = {0, 1000000};
	struct buf json = {.max = 4096};
	struct unit u;
	enum err e;

	fixture_burn(f, "o1", "A1", &u);
	assert_int_equal(fixture_token(f, &u, &t), ERR_OK);
	call.core = other;
	call.tenant = core_tenant_find(other, TENANT_DEFAULT);
	assert_int_equal(core_introspect(&call, t.token.p, t.token.len,
	    &json), ERR_OK);
	assert_int_equal(fixture_effect(f, "m1-A1", EFFECT_BLOCK, 1), ERR_OK);
	do {
		buf_reset(&json); /* one answer, however many it takes */
		e = core_introspect(&call, t.token.p, t.token.len, &json);
		(void)nanosleep(&ts, NULL);
	} while (e == ERR_OK && time(NULL) < until);
	assert_int_equal(e, ERR_DEVICE_BLOCKED);
	core_close(&other);
	buf_free(&t.token);
	buf_free(&json);
}

static void
what_was_acknowledged_outlives_the_process(void **state)
{
	struct fixture *f = *state;
	struct token_answer t = {.expires_in = 0};
	struct buf before = {.max = 65536}, after = {.max = 65536};
	struct detail d;
	struct unit u, v;

	fixture_burn(f, "o1", "A1", &u);
	fixture_burn(f, "o1", "A2", &v);
	assert_int_equal(fixture_token(f, &u, &t), ERR_OK);
	assert_int_equal(fixture_effect(f, "m1-A1", EFFECT_CUT, 0), ERR_OK);
	assert_int_equal(core_jwks(f->tenant, &before), ERR_OK);
	core_close(&f->core);
	assert_int_equal(core_open(&f->conf, &f->core, &d), ERR_OK);
	f->tenant = core_tenant_find(f->core, TENANT_DEFAULT);
	assert_int_equal(core_jwks(f->tenant, &after), ERR_OK);
	assert_string_equal(before.p, after.p);
	assert_int_equal(fixture_introspect(f, &t), ERR_TOKEN_CUT);
	assert_int_equal(fixture_token(f, &v, &t), ERR_OK);
	buf_free(&t.token);
	buf_free(&before);
	buf_free(&after);
}

static void
a_disabled_caller_is_refused_at_once(void **state)
{
	struct fixture *f = *state;
	struct core_call call = fixture_call(f, &f->admin);
	struct core_call anon = fixture_call(f, NULL);
	struct caller aud = {.name = "aud", .role = ROLE_AUDITOR}, c;
	struct secret s = {0};

	assert_int_equal(core_caller_create(&call, &aud, &s), ERR_OK);
	assert_int_equal(core_authn(&anon, (char *)s.p, s.len, &c), ERR_OK);
	assert_int_equal(c.role, ROLE_AUDITOR);
	anon.may_block = 0; /* known by now */
	assert_int_equal(core_authn(&anon, (char *)s.p, s.len, &c), ERR_OK);
	assert_int_equal(core_caller_disable(&call, "aud", &c), ERR_OK);
	assert_int_equal(core_authn(&anon, (char *)s.p, s.len, &c),
	    ERR_WOULD_BLOCK);
	anon.may_block = 1;
	assert_int_equal(core_authn(&anon, (char *)s.p, s.len, &c),
	    ERR_CREDENTIAL);
	assert_int_equal(core_caller_disable(&call, "aud", &c), ERR_OK);
	assert_int_equal(core_caller_disable(&call, "none", &c),
	    ERR_NOT_FOUND);
	/* What it had authenticated is dead as well. */
	call.caller = &aud;
	aud.tenant = f->tenant->number;
	assert_int_equal(core_audit_list(&call, 0, 1, &(struct audit){0},
	    &(size_t){0}), ERR_CREDENTIAL);
	secret_free(&s);
}

static void
a_guessed_credential_is_refused(void **state)
{
	struct fixture *f = *state;
	struct core_call call = fixture_call(f, NULL);
	char s[CREDENTIAL_LEN + 1];
	struct caller c;

	memcpy(s, f->admin_credential.p, CREDENTIAL_LEN);
	s[CREDENTIAL_LEN] = '\0';
	s[10] = s[10] == 'A' ? 'B' : 'A';
	assert_int_equal(core_authn(&call, s, CREDENTIAL_LEN, &c),
	    ERR_CREDENTIAL);
	fake_store_away(1); /* no query for what cannot be one */
	assert_int_equal(core_authn(&call, s, CREDENTIAL_LEN - 1, &c),
	    ERR_CREDENTIAL);
	s[0] = 'x';
	assert_int_equal(core_authn(&call, s, CREDENTIAL_LEN, &c),
	    ERR_CREDENTIAL);
	assert_int_equal(core_authn(&call, "", 0, &c), ERR_CREDENTIAL);
	fake_store_away(0);
}

/* Threat: a credential in the place of a name or a reason is on record. */
static void
no_audit_row_repeats_a_credential(void **state)
{
	static const char secret[] =
	    "fc_0123456789012345678901234567890123456789012";
	struct fixture *f = *state;
	struct core_call call = fixture_call(f, &f->admin);
	struct audit *rows = calloc(CORE_LIST_MAX, sizeof(*rows));
	char reason[100];
	struct group g;
	struct caller c;
	struct device d;
	struct unit u;
	uint64_t pos;
	size_t i, n = 0;

	assert_non_null(rows);
	fixture_burn(f, "o1", "A1", &u);
	assert_int_equal(core_group_create(&call, "east", &g), ERR_OK);
	assert_int_equal(core_group_member(&call, g.number, secret, 1, &d),
	    ERR_NOT_FOUND);
	assert_int_equal(core_caller_disable(&call, secret, &c),
	    ERR_NOT_FOUND);
	(void)snprintf(reason, sizeof(reason), "fc_lost: %s", secret);
	assert_int_equal(core_device_effect(&call, u.device.device_id,
	    EFFECT_CUT, 0, reason, &d, &pos), ERR_OK);
	assert_int_equal(core_audit_list(&call, 0, CORE_LIST_MAX, rows, &n),
	    ERR_OK);
	for (i = 0; i < n; i++) {
		assert_null(strstr(rows[i].object, secret));
		assert_null(strstr(rows[i].detail, secret));
	}
	assert_int_equal(fixture_audited(f, "group.join", "not_found"), 1);
	assert_int_equal(fixture_audited(f, "caller.disable", "not_found"),
	    1);
	assert_int_equal(fixture_audited(f, "device.cut", "ok"), 1);
	free(rows);
}

/* ---- the cache's race with the follower ---- */

static struct device_entry
entry(uint64_t dn, uint64_t pos)
{
	struct device_entry e = {.tenant = 1, .epoch = 1, .pos = pos};

	e.device.dn = dn;
	e.device.epoch = 1;
	e.device.state = DEV_ACTIVE;
	e.device.groups[0] = 7;
	e.device.ngroups = 1;
	return e;
}

static void
a_fill_that_raced_with_a_revocation_is_not_kept(void **state)
{
	struct core_tenant t = {.number = 1};
	struct event ev = {.pos = 20, .kind = EV_DEVICE,
	    .effect = EFFECT_CUT, .id = "5"};
	struct device_cache *dc = NULL;
	struct device_entry e, out;

	(void)state;
	assert_int_equal(device_cache_new(64, &dc), ERR_OK);
	assert_int_equal(revset_new(1, &t.revset), ERR_OK);
	e = entry(5, 10);
	device_cache_put(dc, 0, &t, &e);
	assert_int_equal(device_cache_get(dc, 0, 1, 5, 1, &out), 1);
	/* The follower is at work: the events are not in the set yet. */
	atomic_store(&t.applying, 20);
	device_cache_apply(dc, 1, &ev, 1);
	assert_int_equal(device_cache_get(dc, 0, 1, 5, 1, &out), 0);
	device_cache_put(dc, 0, &t, &e);
	assert_int_equal(device_cache_get(dc, 0, 1, 5, 1, &out), 0);
	/* Done: what the event names stays out, another device comes in. */
	assert_int_equal(revset_apply(t.revset, &ev, 1), ERR_OK);
	device_cache_put(dc, 0, &t, &e);
	assert_int_equal(device_cache_get(dc, 0, 1, 5, 1, &out), 0);
	e = entry(6, 10);
	device_cache_put(dc, 0, &t, &e);
	assert_int_equal(device_cache_get(dc, 0, 1, 6, 1, &out), 1);
	e = entry(5, 20); /* read after it */
	device_cache_put(dc, 0, &t, &e);
	assert_int_equal(device_cache_get(dc, 0, 1, 5, 1, &out), 1);
	ev = (struct event){.pos = 30, .kind = EV_GROUP,
	    .effect = EFFECT_CUT, .id = "7"};
	device_cache_apply(dc, 1, &ev, 1);
	assert_int_equal(device_cache_count(dc), 0);
	device_cache_free(&dc);
	revset_free(&t.revset);
}

static void
the_cache_is_bounded_and_forgets_with_age(void **state)
{
	struct core_tenant t = {.number = 1};
	struct device_cache *dc = NULL;
	struct device_entry e, out;
	uint64_t dn;

	(void)state;
	assert_int_equal(device_cache_new(64, &dc), ERR_OK);
	assert_int_equal(revset_new(1, &t.revset), ERR_OK);
	for (dn = 1; dn <= 1000; dn++) {
		e = entry(dn, 1);
		device_cache_put(dc, 0, &t, &e);
	}
	assert_true(device_cache_count(dc) <= 64 + 16);
	assert_int_equal(device_cache_get(dc, 0, 1, 1000, 1, &out), 1);
	assert_int_equal(device_cache_get(dc, 0, 2, 1000, 1, &out), 0);
	assert_int_equal(device_cache_get(dc, 0, 1, 1000, 2, &out), 0);
	assert_int_equal(device_cache_get(dc, 61000, 1, 1000, 1, &out), 0);
	device_cache_free(&dc);
	revset_free(&t.revset);
}

#define T(f) cmocka_unit_test_setup_teardown(f, fixture_open, fixture_close)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    T(a_cut_kills_what_was_obtained_before_and_not_what_comes),
	    T(a_mass_revocation_wants_the_number_it_will_hit),
	    T(a_tenant_can_be_blocked_as_a_whole),
	    T(a_token_dies_by_its_jti_and_stays_dead),
	    T(joining_a_group_cuts_the_device_and_binds_it_to_the_group),
	    T(a_device_is_in_eight_groups_at_most),
	    T(a_revocation_at_one_authority_is_obeyed_by_another),
	    T(what_was_acknowledged_outlives_the_process),
	    T(a_disabled_caller_is_refused_at_once),
	    T(a_guessed_credential_is_refused),
	    T(no_audit_row_repeats_a_credential),
	    cmocka_unit_test(a_fill_that_raced_with_a_revocation_is_not_kept),
	    cmocka_unit_test(the_cache_is_bounded_and_forgets_with_age),
	};

	return cmocka_run_group_tests_name("core: revocation", tests, NULL,
	    NULL);
}
