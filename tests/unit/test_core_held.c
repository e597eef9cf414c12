/*
 * What gateways show of events that the database has lost: what is kept,
 * what is refused, and what a recovery makes of it.
 */
#include "tests/unit/core_fixture.h"

#include <time.h>

#include "authd/core/core_internal.h"

#define COUNT_MAX 8

/* A SET of count blocks of device dn behind after. */
static void
sign(const struct signer *by, const char *issuer, uint64_t after,
    unsigned count, uint64_t dn, struct buf *out)
{
	struct event ev[COUNT_MAX] = {{.pos = 0}};
	struct set_run run = {.after = after, .head = after + count,
	    .events = ev, .n = count};
	unsigned i;

	for (i = 0; i < count; i++) {
		ev[i].pos = after + 1 + i;
		ev[i].kind = EV_DEVICE;
		ev[i].effect = EFFECT_BLOCK;
		ev[i].at = 1700000000;
		(void)snprintf(ev[i].id, sizeof(ev[i].id), "%llu",
		    (unsigned long long)dn);
	}
	out->max = SET_MAX;
	buf_reset(out);
	assert_int_equal(set_sign(by, issuer, 1700000000, &run, out), ERR_OK);
}

static void
ours(struct fixture *f, uint64_t after, unsigned count, uint64_t dn,
    struct buf *out)
{
	sign(tenant_writable(f->tenant)->keys->feed,
	    core_tenant_issuer(f->tenant), after, count, dn, out);
}

static enum err
show(struct fixture *f, const struct caller *who, const char *seen,
    const struct buf *set, struct held_taken *out)
{
	struct core_call call = fixture_call(f, who);
	const char *text = set == NULL ? NULL : set->p;
	struct recovery in = {.seen = seen, .sets = &text,
	    .n = set == NULL ? 0 : 1};

	return core_held_take(&call, &in, out);
}

static void
report(struct fixture *f, struct held_report *out)
{
	struct core_call call = fixture_call(f, &f->admin);

	assert_int_equal(core_held_report(&call, out), ERR_OK);
}

static uint64_t
events_held(struct fixture *f)
{
	struct held_report r;

	report(f, &r);
	core_held_free(&r);
	return r.events;
}

static enum err
recover(struct fixture *f, uint64_t expect, struct core_call *call)
{
	const struct recovery in = {.held = 1, .expect = expect};
	struct recovered out = {0};

	*call = fixture_call(f, &f->admin);
	return core_recover(call, &in, &out);
}

static int
tenant_is_ready(struct fixture *f)
{
	return core_tenant_ready(f->core, f->tenant, NULL) == ERR_OK;
}

/* The follower may just have read what was before. */
static void
wait_ready(struct fixture *f)
{
	const struct timespec ts = {0, 1000000};
	time_t until = time(NULL) + 20;

	while (!tenant_is_ready(f) && time(NULL) < until)
		(void)nanosleep(&ts, NULL);
	assert_true(tenant_is_ready(f));
}

static enum device_state
state_of(struct fixture *f, const struct unit *u)
{
	struct core_call call = fixture_call(f, &f->admin);
	struct device dev;

	assert_int_equal(core_device_get(&call, u->device.device_id, &dev),
	    ERR_OK);
	return dev.state;
}

static void
what_is_shown_is_kept_and_acts_only_when_taken_back(void **state)
{
	struct fixture *f = *state;
	struct held_taken taken = {0};
	struct buf set = {.max = SET_MAX};
	struct held_report r;
	struct core_call call;
	struct unit u;
	uint64_t head;

	fixture_burn(f, "o1", "A1", &u);
	head = core_tenant_position(f->tenant);
	assert_int_equal(recover(f, 0, &call), ERR_REQUEST);
	ours(f, head, 3, u.device.dn, &set);
	assert_int_equal(show(f, &f->gateway, NULL, &set, &taken), ERR_OK);
	assert_false(taken.known);
	assert_true(taken.conflict == 0 && taken.after <= head);
	assert_false(tenant_is_ready(f));
	assert_int_equal(state_of(f, &u), DEV_ACTIVE);
	report(f, &r);
	assert_true(r.head == head && r.lost == head + 3 && r.events == 3);
	assert_int_equal(r.nruns, 1);
	assert_true(r.runs[0].first == head + 1 &&
	    r.runs[0].last == head + 3);
	assert_int_equal(r.nby, 1);
	assert_string_equal(r.by[0].gateway, f->gateway.name);
	core_held_free(&r);
	/* The same again, and by another: it is there once. */
	assert_int_equal(show(f, &f->gateway, NULL, &set, &taken), ERR_OK);
	assert_true(taken.known);
	assert_int_equal(show(f, &f->other_gateway, NULL, &set, &taken),
	    ERR_OK);
	assert_true(events_held(f) == 3);
	assert_int_equal(recover(f, 2, &call), ERR_EXPECT);
	assert_true(call.devices == 3);
	assert_int_equal(recover(f, 3, &call), ERR_OK);
	wait_ready(f);
	assert_int_equal(state_of(f, &u), DEV_SUSPENDED);
	assert_true(core_tenant_position(f->tenant) >> 40 ==
	    (head >> 40) + 1);
	assert_true(events_held(f) == 0);
	buf_free(&set);
}

/* Threat: a gateway makes revocations up, or changes what it was told. */
static void
what_no_key_of_ours_has_signed_is_not_kept(void **state)
{
	struct fixture *f = *state;
	uint64_t head = core_tenant_position(f->tenant);
	struct buf set = {.max = SET_MAX};
	struct signer *other = NULL;
	struct held_taken taken;

	assert_int_equal(signer_generate(&other), ERR_OK);
	sign(other, core_tenant_issuer(f->tenant), head, 2, 1, &set);
	assert_int_equal(show(f, &f->gateway, NULL, &set, &taken),
	    ERR_WRONG_STATE);
	/* Another claim under the signature of ours. */
	ours(f, head, 2, 1, &set);
	set.p[set.len / 2] = set.p[set.len / 2] == 'A' ? 'B' : 'A';
	assert_int_equal(show(f, &f->gateway, NULL, &set, &taken),
	    ERR_REQUEST);
	/* Of another tenant. */
	sign(tenant_writable(f->tenant)->keys->feed, "https://b.example", head,
	    2, 1, &set);
	assert_int_equal(show(f, &f->gateway, NULL, &set, &taken),
	    ERR_REQUEST);
	assert_int_equal(show(f, &f->gateway, "x", NULL, &taken),
	    ERR_REQUEST);
	assert_true(events_held(f) == 0);
	assert_true(tenant_is_ready(f));
	buf_free(&set);
	signer_free(&other);
}

/* Threat: what was recovered from is shown anew and undoes the recovery. */
static void
an_older_generation_is_not_taken_again(void **state)
{
	struct fixture *f = *state;
	uint64_t old = core_tenant_position(f->tenant), head;
	struct buf set = {.max = SET_MAX}, beat = {.max = SET_MAX};
	struct core_call call;
	struct held_taken taken;
	struct heartbeat h = {0};

	ours(f, old, 2, 1, &set);
	assert_int_equal(show(f, &f->gateway, NULL, &set, &taken), ERR_OK);
	assert_int_equal(recover(f, 2, &call), ERR_OK);
	wait_ready(f);
	assert_int_equal(show(f, &f->gateway, NULL, &set, &taken),
	    ERR_WRONG_STATE);
	ours(f, old + 2, 2, 1, &set);
	assert_int_equal(show(f, &f->gateway, NULL, &set, &taken),
	    ERR_WRONG_STATE);
	assert_true(tenant_is_ready(f));
	/* Nor while it is stopped. */
	head = core_tenant_position(f->tenant);
	h.head = head + 5;
	h.time_ms = 1;
	assert_int_equal(heartbeat_sign(
	    tenant_writable(f->tenant)->keys->feed,
	    core_tenant_issuer(f->tenant), &h, &beat), ERR_OK);
	assert_int_equal(show(f, &f->gateway, beat.p, &set, &taken), ERR_OK);
	assert_false(tenant_is_ready(f));
	assert_true(events_held(f) == 0);
	assert_int_equal(recover(f, 0, &call), ERR_OK);
	wait_ready(f);
	buf_free(&set);
	buf_free(&beat);
}

/* Another authd's, all at once. */
static void
append(struct fixture *f, unsigned n)
{
	struct event ev = {.kind = EV_DEVICE, .effect = EFFECT_CUT,
	    .id = "77"};
	struct store *st = NULL;

	assert_int_equal(store_acquire(f->core->pool, 1000, &st), ERR_OK);
	assert_int_equal(store_begin(st, f->tenant->number, STORE_WRITE),
	    ERR_OK);
	while (n-- > 0)
		assert_int_equal(store_event_append(st, &ev), ERR_OK);
	assert_int_equal(store_floor_advance(st, 0), ERR_OK);
	assert_int_equal(store_commit(st), ERR_OK);
	store_release(&st);
}

/* Threat: what was lost is forgotten because its position was given anew. */
static void
positions_that_were_given_anew_and_fell_below_the_floor_are_kept(
    void **state)
{
	struct fixture *f = *state;
	struct buf set = {.max = SET_MAX}, old = {.max = SET_MAX};
	struct core_call call = fixture_call(f, &f->gateway);
	const char *texts[2];
	struct recovery in = {.sets = texts, .n = 2};
	struct held_taken taken;
	struct unit u;
	uint64_t head;

	fixture_burn(f, "o1", "A1", &u);
	head = core_tenant_position(f->tenant);
	append(f, 2500);
	ours(f, head, 3, u.device.dn, &old);
	ours(f, head + 2500, 1, 78, &set);
	texts[0] = set.p;
	texts[1] = old.p;
	assert_int_equal(core_held_take(&call, &in, &taken), ERR_OK);
	assert_true(taken.after <= head);
	assert_true(events_held(f) == 4);
	assert_int_equal(recover(f, 4, &call), ERR_OK);
	wait_ready(f);
	assert_int_equal(state_of(f, &u), DEV_SUSPENDED);
	buf_free(&old);
	buf_free(&set);
}

static void
two_events_of_one_position_are_told_and_the_first_stays(void **state)
{
	struct fixture *f = *state;
	uint64_t head = core_tenant_position(f->tenant);
	struct buf set = {.max = SET_MAX};
	struct held_taken taken;
	struct held_report r;
	struct core_call call;
	struct unit a, b;

	fixture_burn(f, "o1", "A1", &a);
	fixture_burn(f, "o1", "A2", &b);
	head = core_tenant_position(f->tenant);
	ours(f, head, 2, a.device.dn, &set);
	assert_int_equal(show(f, &f->gateway, NULL, &set, &taken), ERR_OK);
	ours(f, head, 3, b.device.dn, &set);
	assert_int_equal(show(f, &f->other_gateway, NULL, &set, &taken),
	    ERR_OK);
	assert_true(taken.conflict == head + 1);
	report(f, &r);
	assert_true(r.events == 3);
	assert_int_equal(r.nby, 2);
	assert_true(r.by[0].conflict == 0 || r.by[1].conflict == 0);
	assert_true(r.by[0].conflict == head + 1 ||
	    r.by[1].conflict == head + 1);
	core_held_free(&r);
	assert_int_equal(recover(f, 3, &call), ERR_OK);
	wait_ready(f);
	assert_int_equal(state_of(f, &a), DEV_SUSPENDED);
	assert_int_equal(state_of(f, &b), DEV_SUSPENDED);
	buf_free(&set);
}

static void
revoke_feed_key(struct fixture *f)
{
	struct revocation_request r = {.kind = EV_SIGNING_KEY,
	    .effect = EFFECT_CUT};
	struct core_call call = fixture_call(f, &f->admin);
	struct event ev;
	uint64_t n;

	(void)snprintf(r.id, sizeof(r.id), "%s",
	    signer_kid(tenant_writable(f->tenant)->keys->feed));
	assert_int_equal(core_revoke(&call, &r, &ev, &n), ERR_OK);
}

/* Threat: whoever had stolen the feed key has shown what he signed with it. */
static void
what_a_revoked_key_has_signed_is_not_taken_back(void **state)
{
	struct fixture *f = *state;
	uint64_t head;
	struct core_call call;
	struct buf set = {.max = SET_MAX};
	struct held_taken taken;
	struct unit u;

	fixture_burn(f, "o1", "A1", &u);
	head = core_tenant_position(f->tenant);
	ours(f, head + 100, 2, u.device.dn, &set);
	assert_int_equal(show(f, &f->gateway, NULL, &set, &taken), ERR_OK);
	assert_true(events_held(f) == 2);
	revoke_feed_key(f);
	assert_true(events_held(f) == 0);
	assert_int_equal(recover(f, 2, &call), ERR_EXPECT);
	assert_int_equal(recover(f, 0, &call), ERR_OK);
	wait_ready(f);
	assert_int_equal(state_of(f, &u), DEV_ACTIVE);
	buf_free(&set);
}

/* What another authd has done and this one has not heard of yet. */
static void
key_set_changes_elsewhere(struct fixture *f)
{
	struct store *st = NULL;

	assert_int_equal(store_acquire(f->core->pool, 1000, &st), ERR_OK);
	assert_int_equal(store_begin(st, f->tenant->number, STORE_WRITE),
	    ERR_OK);
	assert_int_equal(store_keys_version_next(st), ERR_OK);
	assert_int_equal(store_commit(st), ERR_OK);
	store_release(&st);
}

/* Threat: a key is revoked while what it signed is being verified. */
static void
what_was_verified_under_older_keys_does_not_count(void **state)
{
	struct fixture *f = *state;
	struct buf set = {.max = SET_MAX};
	struct held_taken taken;

	ours(f, core_tenant_position(f->tenant), 2, 1, &set);
	key_set_changes_elsewhere(f);
	assert_int_equal(show(f, &f->gateway, NULL, &set, &taken), ERR_OK);
	assert_true(events_held(f) == 0);
	buf_free(&set);
}

/* A key set with the present feed key, signed by root; ours to be its root. */
static void
lost_key_set(struct fixture *f, const struct signer *root, struct buf *out)
{
	const struct tenant_keys *k = tenant_writable(f->tenant)->keys;
	struct keyset lost = {.version = k->version + 5, .iat = 1700000000};
	struct es256_public pub;

	assert_int_equal(jwks_new(&lost.feed), ERR_OK);
	assert_int_equal(jwks_new(&lost.token), ERR_OK);
	signer_public(k->feed, &pub);
	assert_int_equal(jwks_add(lost.feed, &pub), ERR_OK);
	signer_public(k->token, &pub);
	assert_int_equal(jwks_add(lost.token, &pub), ERR_OK);
	out->max = SET_MAX;
	assert_int_equal(keyset_sign(root, core_tenant_issuer(f->tenant),
	    &lost, out), ERR_OK);
	keyset_free(&lost);
}

/* Threat: the key set that was lost brings a key back that died since. */
static void
a_lost_key_set_revives_no_key_that_was_revoked_since(void **state)
{
	struct fixture *f = *state;
	struct core_tenant *t = tenant_writable(f->tenant);
	struct buf set = {.max = SET_MAX}, keys = {.max = SET_MAX};
	struct core_call call = fixture_call(f, &f->gateway);
	const char *text;
	struct recovery in = {.sets = &text, .n = 1};
	struct recovered done;
	struct signer *root = NULL;
	struct held_taken taken;

	assert_int_equal(signer_generate(&root), ERR_OK);
	lost_key_set(f, root, &keys);
	ours(f, core_tenant_position(f->tenant) + 9, 2, 1, &set);
	revoke_feed_key(f);
	signer_public(root, &t->keys->root);
	in.keys = keys.p;
	text = set.p;
	assert_int_equal(core_held_take(&call, &in, &taken),
	    ERR_WRONG_STATE);
	assert_true(events_held(f) == 0);
	assert_true(tenant_is_ready(f));
	/* Nor in an admin's hands. */
	call = fixture_call(f, &f->admin);
	assert_int_equal(core_recover(&call, &in, &done), ERR_REQUEST);
	buf_free(&keys);
	buf_free(&set);
	signer_free(&root);
}

static void
too_many_messages_are_refused_before_any_is_read(void **state)
{
	struct fixture *f = *state;
	struct core_call call = fixture_call(f, &f->gateway);
	const struct recovery in = {.n = RECOVER_SETS_MAX + 1};
	struct held_taken taken;

	assert_int_equal(core_held_take(&call, &in, &taken), ERR_REQUEST);
	call.may_block = 0;
	assert_int_equal(core_held_take(&call, &in, &taken),
	    ERR_WOULD_BLOCK);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, fixture_open, fixture_close)
	    T(what_is_shown_is_kept_and_acts_only_when_taken_back),
	    T(what_no_key_of_ours_has_signed_is_not_kept),
	    T(an_older_generation_is_not_taken_again),
	    T(positions_that_were_given_anew_and_fell_below_the_floor_are_kept),
	    T(two_events_of_one_position_are_told_and_the_first_stays),
	    T(what_a_revoked_key_has_signed_is_not_taken_back),
	    T(what_was_verified_under_older_keys_does_not_count),
	    T(a_lost_key_set_revives_no_key_that_was_revoked_since),
	    T(too_many_messages_are_refused_before_any_is_read),
#undef T
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
