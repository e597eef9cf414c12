/* Tokens and sessions at a gateway, and what events do to them. */
#include "tests/unit/gateway_authd.h"

#include <pthread.h>

static const char *
judge(struct world *w, const char *token, const struct fealty_device *peer,
    struct fealty_decision *d)
{
	int accepted = fealty_token_check(w->g, token, strlen(token), peer,
	    500, d);

	assert_int_equal(accepted, d->accepted);
	assert_int_equal(accepted, strcmp(d->code, "ok") == 0);
	return (d->code);
}

static const char *
judge_claims(struct world *w, const struct token_claims *c)
{
	static struct fealty_decision d;
	char token[TOKEN_MAX + 1];

	authd_sign(w->authd, c, token, sizeof(token));
	return (judge(w, token, NULL, &d));
}

static void
good_token_says_whose_it_is(void **state)
{
	struct world *w = *state;
	struct fealty_decision d;
	struct token_claims c;
	char token[TOKEN_MAX + 1];

	authd_claims(w->authd, 2, &c);
	authd_sign(w->authd, &c, token, sizeof(token));
	for (int i = 0; i < 3; i++) {
		assert_string_equal(judge(w, token, NULL, &d), "ok");
		assert_string_equal(d.device.device_id, "dev-2");
		assert_int_equal(d.device.device_number, 2);
		assert_int_equal(d.device.groups[0], 12);
		assert_int_equal(d.device.position, c.pos);
		assert_string_equal(d.device.token_id, c.jti);
		assert_string_equal(d.scope, "device");
		assert_int_equal(d.expires, c.exp);
	}
}

static void
tokens_that_do_not_fit_are_refused_with_their_code(void **state)
{
	struct world *w = *state;
	struct token_claims c, good;

	authd_claims(w->authd, 1, &good);
	c = good;
	snprintf(c.aud[0], sizeof(c.aud[0]), "gw-b");
	assert_string_equal(judge_claims(w, &c), "token_audience");
	c = good;
	snprintf(c.iss, sizeof(c.iss), "https://else.example");
	assert_string_equal(judge_claims(w, &c), "token_issuer");
	c = good;
	c.tid = TENANT + 1;
	assert_string_equal(judge_claims(w, &c), "token_issuer");
	c = good;
	c.iat -= 4000;
	c.exp = c.iat + 600;
	assert_string_equal(judge_claims(w, &c), "token_expired");
	c = good;
	c.iat += 1000;
	c.exp += 1000;
	assert_string_equal(judge_claims(w, &c), "token_not_yet_valid");
	c = good;
	c.exp = c.iat + TOKEN_LIFE_MAX + 1;
	assert_string_equal(judge_claims(w, &c), "token_life");
	assert_string_equal(judge_claims(w, &good), "ok");
}

/* Every one-octet change of a good token, a few hundred of them. */
static void
bent_tokens_are_refused(void **state)
{
	struct world *w = *state;
	struct fealty_decision d;
	struct token_claims c;
	char token[TOKEN_MAX + 1], bent[TOKEN_MAX + 1];
	size_t len;

	authd_claims(w->authd, 1, &c);
	authd_sign(w->authd, &c, token, sizeof(token));
	assert_string_equal(judge(w, token, NULL, &d), "ok");
	len = strlen(token);
	for (size_t i = 0; i < len; i++) {
		memcpy(bent, token, len + 1);
		bent[i] = bent[i] == 'A' ? 'B' : 'A';
		assert_case(!fealty_token_check(w->g, bent, len, NULL, 0,
		    &d), bent);
	}
	for (size_t i = 0; i < len; i++)
		assert_int_equal(fealty_token_check(w->g, token, i, NULL, 0,
		    &d), 0);
	memset(bent, 'A', sizeof(bent));
	assert_int_equal(fealty_token_check(w->g, bent, 1 << 12, NULL, 0, &d),
	    0);
	assert_string_equal(judge(w, token, NULL, &d), "ok");
}

static void
token_of_another_device_is_refused_on_a_connection(void **state)
{
	struct world *w = *state;
	struct fealty_device one = {.device_id = "dev-1",
	    .device_number = 1, .epoch = 1};
	struct fealty_decision d;
	struct token_claims c;
	char token[TOKEN_MAX + 1];

	authd_claims(w->authd, 2, &c);
	authd_sign(w->authd, &c, token, sizeof(token));
	assert_string_equal(judge(w, token, &one, &d), "token_device");
	authd_claims(w->authd, 1, &c);
	authd_sign(w->authd, &c, token, sizeof(token));
	assert_string_equal(judge(w, token, &one, &d), "ok");
}

static void
events_kill_tokens_that_are_older(void **state)
{
	struct world *w = *state;
	struct token_claims c[4], fresh;
	uint64_t pos;

	for (int i = 0; i < 4; i++) {
		authd_claims(w->authd, (uint64_t)i + 1, &c[i]);
		assert_string_equal(judge_claims(w, &c[i]), "ok");
	}
	authd_event(w->authd, EV_DEVICE, 1, EFFECT_CUT);
	authd_event(w->authd, EV_DEVICE, 2, EFFECT_BLOCK);
	authd_event(w->authd, EV_GROUP, 13, EFFECT_BLOCK);
	pos = authd_event_text(w->authd, EV_TOKEN, c[3].jti, EFFECT_CUT);
	eventually(fealty_gateway_position(w->g) >= pos);
	assert_string_equal(judge_claims(w, &c[0]), "token_cut");
	assert_string_equal(judge_claims(w, &c[1]), "device_blocked");
	assert_string_equal(judge_claims(w, &c[2]), "group_blocked");
	assert_string_equal(judge_claims(w, &c[3]), "token_revoked");
	/* newer than the cut; but a block is a block */
	authd_claims(w->authd, 1, &fresh);
	assert_string_equal(judge_claims(w, &fresh), "ok");
	authd_claims(w->authd, 2, &fresh);
	assert_string_equal(judge_claims(w, &fresh), "device_blocked");
	pos = authd_event(w->authd, EV_DEVICE, 2, EFFECT_LIFT);
	eventually(fealty_gateway_position(w->g) >= pos);
	authd_claims(w->authd, 2, &fresh);
	assert_string_equal(judge_claims(w, &fresh), "ok");
	assert_string_equal(judge_claims(w, &c[1]), "token_cut");
}

static void
token_ahead_of_the_events_waits_then_is_told_to_retry(void **state)
{
	struct world *w = *state;
	struct fealty_decision d;
	struct token_claims c;
	char token[TOKEN_MAX + 1];

	/* the next position: the follower will be there in no time */
	authd_claims(w->authd, 1, &c);
	c.pos = authd_event(w->authd, EV_DEVICE, 7, EFFECT_CUT);
	assert_string_equal(judge_claims(w, &c), "ok");
	c.pos += 100;
	authd_sign(w->authd, &c, token, sizeof(token));
	assert_string_equal(judge(w, token, NULL, &d), "position_ahead");
	assert_int_equal(d.retry, 1);
	assert_int_equal(fealty_token_check(w->g, token, strlen(token), NULL,
	    0, &d), 0);
}

static void
new_signing_key_is_fetched_and_strangers_keys_cost_nothing(void **state)
{
	struct world *w = *state;
	struct fealty_decision d;
	struct token_claims c;
	char token[TOKEN_MAX + 1];
	unsigned before;

	authd_new_key(w->authd);
	authd_claims(w->authd, 1, &c);
	authd_sign(w->authd, &c, token, sizeof(token));
	eventually(fealty_token_check(w->g, token, strlen(token), NULL, 500,
	    &d));
	before = authd_jwks_requests(w->authd);
	authd_new_key(w->authd);
	authd_sign(w->authd, &c, token, sizeof(token));
	for (int i = 0; i < 100; i++)
		assert_int_equal(fealty_token_check(w->g, token,
		    strlen(token), NULL, 500, &d), 0);
	assert_string_equal(d.code, "token_unknown_key");
	assert_true(authd_jwks_requests(w->authd) <= before + 1);
}

static void
revoked_signing_key_kills_its_tokens_whatever_their_position(void **state)
{
	struct world *w = *state;
	struct fealty_decision d;
	struct token_claims c;
	char token[TOKEN_MAX + 1];
	uint64_t pos;

	authd_claims(w->authd, 1, &c);
	authd_sign(w->authd, &c, token, sizeof(token));
	assert_string_equal(judge(w, token, NULL, &d), "ok");
	pos = authd_event_text(w->authd, EV_SIGNING_KEY, d.device.key_id,
	    EFFECT_CUT);
	eventually(fealty_gateway_position(w->g) >= pos);
	c.pos = pos;
	assert_string_equal(judge_claims(w, &c), "token_unknown_key");
}

/* ---- sessions ---- */

struct closing {
	pthread_mutex_t lock;
	int called, in_it, go;
	char code[FEALTY_CODE];
	uint64_t position;
	struct world *w;
	struct fealty_session **self; /* unregister from within */
};

static int
called(struct closing *c)
{
	int n;

	pthread_mutex_lock(&c->lock);
	n = c->called;
	pthread_mutex_unlock(&c->lock);
	return (n);
}

static void
on_close(void *arg, const char *code, uint64_t position)
{
	struct closing *c = arg;

	if (c->self != NULL)
		fealty_session_unregister(c->w->g, c->self);
	pthread_mutex_lock(&c->lock);
	c->called++;
	snprintf(c->code, sizeof(c->code), "%s", code);
	c->position = position;
	pthread_mutex_unlock(&c->lock);
}

static struct fealty_session *
connect_device(struct world *w, uint64_t dn, int tls, struct closing *c,
    struct fealty_device *out)
{
	struct attempt a = {.tls = tls};
	char identity[PSKID_LEN + 1];
	struct fealty_session *s;

	device_identity(dn, identity);
	device_key(dn, tls, &a.key);
	a.identity = identity;
	attempt_run(w->g, w->ctx, &a);
	assert_true(a.client_ok && a.server_ok);
	s = fealty_session_register(w->g, &a.device, on_close, c, NULL);
	*out = a.device;
	attempt_close(&a);
	return (s);
}

static void
event_closes_the_session_and_empties_the_cache(void **state)
{
	struct world *w = *state;
	struct closing c = {.lock = PTHREAD_MUTEX_INITIALIZER};
	struct closing other = {.lock = PTHREAD_MUTEX_INITIALIZER};
	struct fealty_session *s, *t;
	struct fealty_decision d;
	struct fealty_device one, two;
	unsigned requests;
	uint64_t pos;

	s = connect_device(w, 1, 13, &c, &one);
	t = connect_device(w, 2, 12, &other, &two);
	assert_true(s != NULL && t != NULL);
	requests = authd_psk_requests(w->authd);
	pos = authd_event(w->authd, EV_DEVICE, 1, EFFECT_CUT);
	eventually(called(&c));
	eventually(fealty_gateway_position(w->g) >= pos);
	assert_string_equal(c.code, "token_cut");
	assert_int_equal(c.position, pos);
	fealty_session_unregister(w->g, &s);
	assert_null(s);
	/* what was obtained before does not register any more */
	assert_null(fealty_session_register(w->g, &one, on_close, &c, &d));
	assert_string_equal(d.code, "token_cut");
	assert_int_equal(d.event, pos);
	/* and the key is asked for anew */
	s = connect_device(w, 1, 13, &c, &one);
	assert_non_null(s);
	assert_int_equal(authd_psk_requests(w->authd), requests + 1);
	assert_int_equal(called(&c), 1);
	assert_int_equal(called(&other), 0);
	fealty_session_unregister(w->g, &s);
	fealty_session_unregister(w->g, &t);
}

static void
revocation_is_told_as_such_where_the_device_was_known(void **state)
{
	struct world *w = *state;
	struct closing c = {.lock = PTHREAD_MUTEX_INITIALIZER};
	struct attempt a = {.tls = 13};
	struct log_line line;
	struct fealty_session *s;
	struct fealty_device one;
	char identity[PSKID_LEN + 1];

	s = connect_device(w, 3, 13, &c, &one);
	authd_refuse(w->authd, 3, ERR_DEVICE_REVOKED);
	authd_event(w->authd, EV_DEVICE, 3, EFFECT_BLOCK);
	eventually(called(&c));
	fealty_session_unregister(w->g, &s);
	device_identity(3, identity);
	device_key(3, 13, &a.key);
	a.identity = identity;
	for (int64_t until = now_ms() + DEADLINE_MS; now_ms() < until &&
	    !log_has("handshake refused", "device_revoked", NULL);) {
		attempt_run(w->g, w->ctx, &a);
		assert_false(a.client_ok || a.server_ok);
		attempt_close(&a);
	}
	assert_true(log_has("handshake refused", "device_revoked", &line));
	assert_string_equal(line.device_id, "dev-3");
}

static void
group_and_tenant_events_close_sessions(void **state)
{
	struct world *w = *state;
	struct closing c[3] = {{.lock = PTHREAD_MUTEX_INITIALIZER},
	    {.lock = PTHREAD_MUTEX_INITIALIZER},
	    {.lock = PTHREAD_MUTEX_INITIALIZER}};
	struct fealty_session *s[3];
	struct fealty_device d;

	for (int i = 0; i < 3; i++) {
		s[i] = connect_device(w, (uint64_t)i + 1, 13, &c[i], &d);
		assert_non_null(s[i]);
	}
	authd_event(w->authd, EV_GROUP, 12, EFFECT_CUT);
	eventually(called(&c[1]));
	assert_int_equal(called(&c[0]) + called(&c[2]), 0);
	authd_event(w->authd, EV_TENANT, TENANT, EFFECT_CUT);
	eventually(called(&c[0]) && called(&c[2]));
	assert_int_equal(called(&c[1]), 1);
	for (int i = 0; i < 3; i++)
		fealty_session_unregister(w->g, &s[i]);
}

static void
session_may_be_unregistered_within_its_callback(void **state)
{
	struct world *w = *state;
	struct closing c = {.lock = PTHREAD_MUTEX_INITIALIZER, .w = w};
	struct fealty_session *s;
	struct fealty_device d;

	s = connect_device(w, 1, 13, &c, &d);
	c.self = &s;
	authd_event(w->authd, EV_DEVICE, 1, EFFECT_CUT);
	eventually(called(&c));
	assert_null(s);
}

static void
position_below_the_floor_drops_every_session_and_key(void **state)
{
	struct world *w = *state;
	struct closing c = {.lock = PTHREAD_MUTEX_INITIALIZER};
	struct fealty_session *s;
	struct fealty_device d;
	unsigned requests;

	s = connect_device(w, 1, 13, &c, &d);
	fealty_session_unregister(w->g, &s);
	s = connect_device(w, 1, 13, &c, &d);
	requests = authd_psk_requests(w->authd);
	assert_int_equal(requests, 1);
	/* a gateway that was away while the feed was pruned past it */
	authd_down(w->authd, 1);
	for (int i = 0; i < 5; i++)
		authd_event(w->authd, EV_DEVICE, 7, EFFECT_CUT);
	authd_floor(w->authd, authd_head(w->authd));
	authd_down(w->authd, 0);
	eventually(called(&c));
	assert_string_equal(c.code, "token_below_floor");
	fealty_session_unregister(w->g, &s);
	eventually(fealty_gateway_position(w->g) == authd_head(w->authd));
	s = connect_device(w, 1, 13, &c, &d);
	assert_non_null(s);
	assert_int_equal(authd_psk_requests(w->authd), requests + 1);
	fealty_session_unregister(w->g, &s);
}

static void
floor_that_passes_a_live_session_leaves_it_alone(void **state)
{
	struct world *w = *state;
	struct closing c = {.lock = PTHREAD_MUTEX_INITIALIZER};
	struct fealty_session *s;
	struct fealty_device d;
	uint64_t pos;

	s = connect_device(w, 1, 13, &c, &d);
	pos = authd_event(w->authd, EV_DEVICE, 7, EFFECT_CUT);
	eventually(fealty_gateway_position(w->g) >= pos);
	authd_floor(w->authd, pos);
	pos = authd_event(w->authd, EV_GROUP, 17, EFFECT_CUT);
	eventually(fealty_gateway_position(w->g) >= pos);
	assert_int_equal(called(&c), 0);
	pos = authd_event(w->authd, EV_GROUP, 11, EFFECT_CUT);
	eventually(called(&c));
	fealty_session_unregister(w->g, &s);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, world_set_up, world_tear_down)
		T(good_token_says_whose_it_is),
		T(tokens_that_do_not_fit_are_refused_with_their_code),
		T(bent_tokens_are_refused),
		T(token_of_another_device_is_refused_on_a_connection),
		T(events_kill_tokens_that_are_older),
		T(token_ahead_of_the_events_waits_then_is_told_to_retry),
		T(new_signing_key_is_fetched_and_strangers_keys_cost_nothing),
		T(revoked_signing_key_kills_its_tokens_whatever_their_position),
		T(event_closes_the_session_and_empties_the_cache),
		T(revocation_is_told_as_such_where_the_device_was_known),
		T(group_and_tenant_events_close_sessions),
		T(session_may_be_unregistered_within_its_callback),
		T(position_below_the_floor_drops_every_session_and_key),
		T(floor_that_passes_a_live_session_leaves_it_alone),
#undef T
	};

	wire_init();
	return (cmocka_run_group_tests(tests, NULL, NULL));
}
