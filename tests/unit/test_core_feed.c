/*
 * Keys and callers that are revoked, the floor, and who listens: decisions
 * of the authority over the store in memory.
 */
#include "tests/unit/core_fixture.h"

#include <stdatomic.h>
#include <time.h>

#include "authd/core/core_internal.h"
#include "tests/helpers/fake_store.h"

static enum err
revoke(struct fixture *f, const struct revocation_request *r, uint64_t *n)
{
	struct core_call call = fixture_call(f, &f->admin);
	struct event ev;
	enum err e;

	e = core_revoke(&call, r, &ev, n);
	if (e == ERR_EXPECT)
		*n = call.devices;
	return e;
}

static void
a_revoked_token_key_is_replaced_and_its_tokens_are_dead(void **state)
{
	struct fixture *f = *state;
	struct core_tenant *t = tenant_writable(f->tenant);
	struct revocation_request r = {.kind = EV_SIGNING_KEY,
	    .effect = EFFECT_CUT};
	struct token_answer old = {.expires_in = 0}, new = {.expires_in = 0};
	struct buf before = {.max = 65536}, after = {.max = 65536};
	struct unit u;
	uint64_t n = 0;

	fixture_burn(f, "o1", "A1", &u);
	assert_int_equal(fixture_token(f, &u, &old), ERR_OK);
	assert_int_equal(fixture_introspect(f, &old), ERR_OK);
	assert_int_equal(core_jwks(t, &before), ERR_OK);
	(void)snprintf(r.id, sizeof(r.id), "%s", signer_kid(t->keys->token));
	/* It says how many it may hit, and wants that number back. */
	assert_int_equal(revoke(f, &r, &n), ERR_EXPECT);
	assert_int_equal(n, 1);
	r.has_expect = 1;
	r.expect = n;
	assert_int_equal(revoke(f, &r, &n), ERR_OK);
	assert_int_equal(fixture_introspect(f, &old), ERR_TOKEN_KEY);
	assert_int_equal(core_jwks(t, &after), ERR_OK);
	assert_null(strstr(after.p, r.id));
	assert_string_not_equal(before.p, after.p);
	assert_int_equal(fixture_token(f, &u, &new), ERR_OK);
	assert_int_equal(fixture_introspect(f, &new), ERR_OK);
	assert_int_equal(revoke(f, &r, &n), ERR_NOT_FOUND);
	assert_int_equal(t->keys->version, 2);
	buf_free(&old.token);
	buf_free(&new.token);
	buf_free(&before);
	buf_free(&after);
}

static void
the_root_key_cannot_be_revoked(void **state)
{
	struct fixture *f = *state;
	struct revocation_request r = {.kind = EV_SIGNING_KEY,
	    .effect = EFFECT_CUT};
	struct core_tenant *t = tenant_writable(f->tenant);
	uint64_t n;

	assert_int_equal(es256_thumbprint(&t->keys->root, r.id), ERR_OK);
	assert_int_equal(revoke(f, &r, &n), ERR_REQUEST);
	r.effect = EFFECT_LIFT;
	assert_int_equal(revoke(f, &r, &n), ERR_REQUEST);
}

static void
a_caller_is_revoked_by_name_and_for_good(void **state)
{
	struct fixture *f = *state;
	struct revocation_request r = {.kind = EV_CALLER,
	    .effect = EFFECT_CUT, .id = "gw"};
	struct core_call call = fixture_call(f, &f->gateway);
	struct identity_keys keys;
	uint64_t n = 9;

	assert_int_equal(core_identity_keys(&call, "edge", &keys), ERR_OK);
	r.dry_run = 1;
	assert_int_equal(revoke(f, &r, &n), ERR_OK);
	assert_int_equal(n, 0);
	assert_int_equal(core_identity_keys(&call, "edge", &keys), ERR_OK);
	r.dry_run = 0;
	assert_int_equal(revoke(f, &r, &n), ERR_OK);
	assert_int_equal(core_identity_keys(&call, "edge", &keys),
	    ERR_CREDENTIAL);
	r.effect = EFFECT_LIFT;
	assert_int_equal(revoke(f, &r, &n), ERR_REQUEST);
	(void)snprintf(r.id, sizeof(r.id), "nobody");
	r.effect = EFFECT_CUT;
	assert_int_equal(revoke(f, &r, &n), ERR_NOT_FOUND);
	wipe(&keys, sizeof(keys));
}

static void
a_token_below_the_floor_is_dead(void **state)
{
	struct fixture *f = *state;
	struct token_answer t = {.expires_in = 0};
	struct unit u;
	uint64_t pos;

	fixture_burn(f, "o1", "A1", &u);
	assert_int_equal(fixture_token(f, &u, &t), ERR_OK);
	pos = core_tenant_position(f->tenant);
	revset_advance(f->tenant->revset, pos + 5, pos + 5);
	assert_int_equal(fixture_introspect(f, &t), ERR_TOKEN_FLOOR);
	buf_free(&t.token);
}

/* ---- who listens ---- */

struct ear {
	atomic_int woken, cut;
};

static void
on_wake(void *arg, int cut)
{
	struct ear *e = arg;

	atomic_fetch_add(&e->woken, 1);
	atomic_fetch_or(&e->cut, cut);
}

static void
kill_token(struct fixture *f, unsigned i)
{
	struct revocation_request r = {.kind = EV_TOKEN,
	    .effect = EFFECT_CUT};
	uint64_t n;

	(void)snprintf(r.id, sizeof(r.id), "jti-%u", i);
	assert_int_equal(revoke(f, &r, &n), ERR_OK);
}

/* The next message of that kind; fills when told to. */
static void
expect_kind(struct fixture *f, struct feed_sub *s, enum feed_kind kind,
    uint64_t *id)
{
	struct feed_message *m = NULL;
	enum feed_next n;

	for (;;) {
		n = core_sub_next(s, &m);
		if (n == FEED_FILL) {
			assert_int_equal(core_sub_fill(f->core, f->tenant,
			    s), ERR_OK);
			continue;
		}
		assert_int_equal(n, FEED_MESSAGE);
		if (feed_message_kind(m) == kind)
			break;
		feed_message_free(&m);
	}
	*id = feed_message_id(m);
	feed_message_free(&m);
}

static void
a_listener_gets_the_past_and_then_what_comes(void **state)
{
	struct fixture *f = *state;
	struct core_call call = fixture_call(f, &f->gateway);
	struct feed_message *m = NULL;
	struct feed_sub *s = NULL;
	struct ear ear = {0};
	uint64_t id, pos = core_tenant_position(f->tenant);
	unsigned i;

	for (i = 0; i < 1200; i++)
		kill_token(f, i);
	assert_int_equal(core_sub_open(&call, pos, 0, on_wake, &ear, &s),
	    ERR_OK);
	expect_kind(f, s, FEED_KEYS, &id);
	expect_kind(f, s, FEED_EVENTS, &id);
	assert_true(id == pos + 500);
	expect_kind(f, s, FEED_EVENTS, &id);
	kill_token(f, i);
	expect_kind(f, s, FEED_EVENTS, &id);
	while (id < pos + 1201)
		expect_kind(f, s, FEED_EVENTS, &id);
	while (core_sub_next(s, &m) == FEED_MESSAGE)
		feed_message_free(&m);
	core_sub_arm(s);
	kill_token(f, i + 1);
	assert_true(atomic_load(&ear.woken) > 0);
	expect_kind(f, s, FEED_EVENTS, &id);
	assert_true(id == pos + 1202);
	core_sub_close(&s);
}

static void
one_who_falls_behind_is_cut(void **state)
{
	struct fixture *f = *state;
	struct core_call call = fixture_call(f, &f->gateway);
	struct feed_message *m = NULL;
	struct feed_sub *s = NULL;
	struct ear ear = {0};
	unsigned i;

	assert_int_equal(core_sub_open(&call, UINT64_MAX, 0, on_wake, &ear,
	    &s), ERR_OK);
	while (core_sub_next(s, &m) == FEED_MESSAGE)
		feed_message_free(&m);
	for (i = 0; i < HUB_MESSAGES + 10; i++)
		kill_token(f, i);
	assert_true(atomic_load(&ear.cut));
	assert_int_equal(core_sub_next(s, &m), FEED_END);
	core_sub_close(&s);
}

static void
nobody_listens_ahead_of_the_authority_or_while_it_is_not_ready(void **state)
{
	struct fixture *f = *state;
	struct core_call call = fixture_call(f, &f->gateway);
	uint64_t pos = core_tenant_position(f->tenant);
	struct feed_sub *s = NULL;
	struct ear ear = {0};

	assert_int_equal(core_sub_open(&call, pos + 1, 0, on_wake, &ear, &s),
	    ERR_BACKWARDS);
	fake_store_away(1);
	atomic_fetch_add(&f->time.mono, 60000);
	assert_int_equal(core_sub_open(&call, pos, 0, on_wake, &ear, &s),
	    ERR_NOT_READY);
	fake_store_away(0);
	fixture_ready(f);
	assert_int_equal(core_sub_open(&call, pos, 0, on_wake, &ear, &s),
	    ERR_OK);
	core_sub_close(&s);
	assert_null(s);
}

/* Each look at the wall clock takes three seconds: a machine that stops. */
static int64_t stopped_ms;

static int64_t
late_wall(const struct clock *c)
{
	(void)c;
	stopped_ms += 3000;
	return INT64_C(1700000000000) + stopped_ms;
}

static int64_t
late_mono(const struct clock *c)
{
	(void)c;
	return stopped_ms;
}

/* Threat: an authd that was stopped calls fresh what it has not confirmed. */
static void
no_heartbeat_says_a_time_at_which_nothing_was_confirmed(void **state)
{
	static const struct clock late = {late_wall, late_mono};
	struct fixture *f = *state;
	struct core *c = calloc(1, sizeof(*c));
	struct feed_message *m = NULL;

	assert_non_null(c);
	c->clock = &late;
	assert_int_equal(tenant_ready(c, f->tenant), ERR_OK);
	assert_int_equal(feed_sign_beat(c, tenant_writable(f->tenant), &m),
	    ERR_NOT_READY);
	assert_null(m);
	free(c);
}

static void
a_heartbeat_that_is_not_ours_stops_nothing(void **state)
{
	const struct heartbeat h = {NUMBER_MAX, 0, 1};
	struct fixture *f = *state;
	struct core_call call = fixture_call(f, &f->gateway);
	struct buf b = {.max = 4096};
	struct signer *other = NULL;

	assert_int_equal(core_feed_seen(&call, "x", 1), ERR_OK);
	assert_int_equal(signer_generate(&other), ERR_OK);
	assert_int_equal(heartbeat_sign(other, core_tenant_issuer(f->tenant),
	    &h, &b), ERR_OK);
	assert_int_equal(core_feed_seen(&call, b.p, b.len), ERR_OK);
	assert_int_equal(core_tenant_ready(f->core, f->tenant, NULL), ERR_OK);
	buf_reset(&b);
	assert_int_equal(heartbeat_sign(tenant_writable(f->tenant)->keys->feed,
	    core_tenant_issuer(f->tenant), &h, &b), ERR_OK);
	assert_int_equal(core_feed_seen(&call, b.p, b.len), ERR_NOT_READY);
	assert_int_equal(core_tenant_ready(f->core, f->tenant, NULL),
	    ERR_NOT_READY);
	buf_free(&b);
	signer_free(&other);
}

/* The follower may just have read what was before. */
static void
wait_tenant_ready(struct fixture *f)
{
	const struct timespec ts = {0, 1000000};
	time_t until = time(NULL) + 20;

	while (core_tenant_ready(f->core, f->tenant, NULL) != ERR_OK &&
	    time(NULL) < until)
		(void)nanosleep(&ts, NULL);
	assert_int_equal(core_tenant_ready(f->core, f->tenant, NULL), ERR_OK);
}

/*
 * Threat: whoever had stolen the feed key stopped the tenant with it; its
 * revocation, which also ends every heartbeat of its, must not make that
 * last for ever.
 */
static void
what_a_stolen_feed_key_stopped_can_be_recovered_without_it(void **state)
{
	const struct heartbeat h = {NUMBER_MAX, 0, 1};
	struct fixture *f = *state;
	struct core_call call = fixture_call(f, &f->gateway);
	struct core_call admin = fixture_call(f, &f->admin);
	struct core_tenant *t = tenant_writable(f->tenant);
	struct revocation_request r = {.kind = EV_SIGNING_KEY,
	    .effect = EFFECT_CUT};
	struct recovery in = {.seen = NULL};
	struct recovered out = {0};
	struct buf b = {.max = 4096};
	uint64_t n, head;

	assert_int_equal(core_recover(&admin, &in, &out), ERR_REQUEST);
	assert_int_equal(heartbeat_sign(t->keys->feed,
	    core_tenant_issuer(t), &h, &b), ERR_OK);
	assert_int_equal(core_feed_seen(&call, b.p, b.len), ERR_NOT_READY);
	(void)snprintf(r.id, sizeof(r.id), "%s", signer_kid(t->keys->feed));
	assert_int_equal(revoke(f, &r, &n), ERR_OK);
	head = core_tenant_position(t);
	in.seen = b.p;
	assert_int_equal(core_recover(&admin, &in, &out), ERR_REQUEST);
	in.seen = NULL;
	assert_int_equal(core_recover(&admin, &in, &out), ERR_OK);
	assert_true(out.position >> 40 == (head >> 40) + 1);
	wait_tenant_ready(f);
	/* Nor does it stop it again. */
	assert_int_equal(core_feed_seen(&call, b.p, b.len), ERR_OK);
	wait_tenant_ready(f);
	buf_free(&b);
}

/* ---- heartbeats, in slices ---- */

#define EARS 25

struct crowd {
	struct feed_hub *hub;
	struct feed_sub sub[EARS];
	struct ear ear[EARS];
};

static void
put(struct crowd *c, enum feed_kind kind, uint64_t pos, unsigned slice)
{
	struct feed_message *m = NULL;

	assert_int_equal(message_new(kind, pos, "m", 1, &m), ERR_OK);
	if (kind == FEED_HEARTBEAT) {
		feed_hub_beat(c->hub, m, slice);
		return;
	}
	m->after = pos - 1;
	m->first = m->last = pos;
	feed_hub_events(c->hub, m, pos);
}

/* All there is for it, until it sleeps again. */
static unsigned
hear_all(struct crowd *c, unsigned i, enum feed_kind kind)
{
	struct feed_message *m = NULL;
	enum feed_next next;
	unsigned n = 0;

	while ((next = feed_hub_next(&c->sub[i], &m)) == FEED_MESSAGE) {
		assert_int_equal(feed_message_kind(m), kind);
		feed_message_free(&m);
		n++;
	}
	assert_int_equal(next, FEED_NONE);
	atomic_store(&c->ear[i].woken, 0);
	feed_hub_arm(&c->sub[i]);
	assert_int_equal(atomic_load(&c->ear[i].woken), 0);
	return n;
}

static unsigned
woken(const struct crowd *c)
{
	unsigned i, n = 0;

	for (i = 0; i < EARS; i++)
		n += atomic_load(&c->ear[i].woken) > 0;
	return n;
}

/* An event that comes between finds few at work; all still get theirs. */
static void
each_listener_gets_one_heartbeat_a_round_and_few_at_a_time(void **state)
{
	struct crowd c = {.hub = NULL};
	unsigned i, slice, most, heard = 0;

	(void)state;
	assert_int_equal(feed_hub_new(&c.hub), ERR_OK);
	for (i = 0; i < EARS; i++) {
		c.sub[i].wake = on_wake;
		c.sub[i].arg = &c.ear[i];
		assert_int_equal(feed_hub_join(c.hub, &c.sub[i]), ERR_OK);
		assert_int_equal(hear_all(&c, i, FEED_EVENTS), 0);
	}
	most = (EARS + HUB_SLICES - 1) / HUB_SLICES;
	for (slice = 0; slice < HUB_SLICES; slice++) {
		assert_int_equal(feed_hub_has(c.hub, slice), 1);
		put(&c, FEED_HEARTBEAT, 0, slice);
		assert_in_range(woken(&c), 1, most);
		for (i = 0; i < EARS; i++)
			if (atomic_load(&c.ear[i].woken) > 0) {
				assert_int_equal(hear_all(&c, i,
				    FEED_HEARTBEAT), 1);
				heard++;
			}
	}
	assert_int_equal(heard, EARS);
	for (i = 0; i < EARS; i++) /* none for it was passed over */
		assert_int_equal(hear_all(&c, i, FEED_HEARTBEAT), 0);
	put(&c, FEED_EVENTS, 1, 0);
	assert_int_equal(woken(&c), EARS);
	for (i = 0; i < EARS; i++)
		assert_int_equal(hear_all(&c, i, FEED_EVENTS), 1);
	for (i = 0; i < EARS; i++)
		feed_hub_leave(&c.sub[i]);
	assert_int_equal(feed_hub_has(c.hub, 0), 0);
	feed_hub_free(&c.hub);
}

/* They come and go; the places of those who went are taken first. */
static void
slices_stay_even_and_who_polls_is_in_none(void **state)
{
	struct crowd c = {.hub = NULL};
	unsigned i;

	(void)state;
	assert_int_equal(feed_hub_new(&c.hub), ERR_OK);
	for (i = 0; i < HUB_SLICES; i++) {
		c.sub[i].wake = on_wake;
		c.sub[i].arg = &c.ear[i];
		assert_int_equal(feed_hub_join(c.hub, &c.sub[i]), ERR_OK);
	}
	feed_hub_leave(&c.sub[3]);
	assert_int_equal(feed_hub_has(c.hub, c.sub[3].slice), 0);
	c.sub[i] = (struct feed_sub){.wake = on_wake, .arg = &c.ear[i],
	    .only_events = 1};
	assert_int_equal(feed_hub_join(c.hub, &c.sub[i]), ERR_OK);
	assert_int_equal(feed_hub_has(c.hub, c.sub[3].slice), 0);
	feed_hub_arm(&c.sub[i]);
	for (i = 0; i < HUB_SLICES; i++)
		put(&c, FEED_HEARTBEAT, 0, i);
	assert_int_equal(atomic_load(&c.ear[HUB_SLICES].woken), 0);
	put(&c, FEED_EVENTS, 1, 0);
	assert_int_equal(atomic_load(&c.ear[HUB_SLICES].woken), 1);
	assert_int_equal(feed_hub_join(c.hub, &c.sub[3]), ERR_OK);
	for (i = 0; i < HUB_SLICES; i++)
		assert_int_equal(feed_hub_has(c.hub, i), 1);
	for (i = 0; i <= HUB_SLICES; i++)
		feed_hub_leave(&c.sub[i]);
	feed_hub_free(&c.hub);
}

#define T(f) cmocka_unit_test_setup_teardown(f, fixture_open, fixture_close)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    T(a_revoked_token_key_is_replaced_and_its_tokens_are_dead),
	    T(the_root_key_cannot_be_revoked),
	    T(a_caller_is_revoked_by_name_and_for_good),
	    T(a_token_below_the_floor_is_dead),
	    T(a_listener_gets_the_past_and_then_what_comes),
	    T(one_who_falls_behind_is_cut),
	    cmocka_unit_test(
		each_listener_gets_one_heartbeat_a_round_and_few_at_a_time),
	    cmocka_unit_test(slices_stay_even_and_who_polls_is_in_none),
	    T(nobody_listens_ahead_of_the_authority_or_while_it_is_not_ready),
	    T(no_heartbeat_says_a_time_at_which_nothing_was_confirmed),
	    T(a_heartbeat_that_is_not_ours_stops_nothing),
	    T(what_a_stolen_feed_key_stopped_can_be_recovered_without_it),
	};

	return cmocka_run_group_tests_name("core: the feed", tests, NULL,
	    NULL);
}
