/*
 * Tokens: who gets one, once; and what an authority says of one.
 */
#include "tests/unit/core_fixture.h"

#include "lib/base/b64url.h"
#include "lib/crypt/kdf.h"
#include "tests/helpers/fake_store.h"

static enum err
redeem(struct fixture *f, const char *jwt, struct token_answer *t)
{
	struct core_call call = fixture_call(f, NULL);
	struct token_request req = {.naudience = 0};

	buf_free(&t->token);
	t->token = (struct buf){.max = TOKEN_MAX};
	return core_token_assertion(&call, jwt, strlen(jwt), &req, t);
}

static enum err
redeem_statement(struct fixture *f, const struct unit *u,
    const struct statement *s)
{
	struct token_answer t = {.expires_in = 0};
	char jwt[2048];
	enum err e;

	fixture_assertion(f, u, s, jwt, sizeof(jwt));
	e = redeem(f, jwt, &t);
	if (e != ERR_OK)
		assert_int_equal(t.token.len, 0);
	buf_free(&t.token);
	return e;
}

static void
claims_of(struct fixture *f, const struct token_answer *t,
    struct token_claims *out)
{
	struct token_rules rules = {.iss = "https://id.example",
	    .now = f->time.wall / 1000};
	struct buf jwks = {.max = 65536};
	struct jwks *set = NULL;

	assert_int_equal(core_jwks(f->tenant, &jwks), ERR_OK);
	assert_int_equal(jwks_parse(jwks.p, jwks.len, &set), ERR_OK);
	assert_int_equal(token_verify(set, &rules, t->token.p, t->token.len,
	    out, NULL), ERR_OK);
	jwks_free(&set);
	buf_free(&jwks);
}

static void
an_assertion_gives_a_token_that_says_who_and_when(void **state)
{
	struct fixture *f = *state;
	struct token_answer t = {.expires_in = 0};
	struct token_claims c;
	struct unit u;
	char jwt[2048];

	fixture_burn(f, "o1", "A1", &u);
	fixture_assertion(f, &u, &(struct statement){.jti = "j1"}, jwt,
	    sizeof(jwt));
	assert_int_equal(redeem(f, jwt, &t), ERR_OK);
	assert_int_equal(t.expires_in, 600);
	assert_string_equal(t.scope, "telemetry commands");
	claims_of(f, &t, &c);
	assert_string_equal(c.sub, "m1-A1");
	assert_int_equal(c.dn, u.device.dn);
	assert_int_equal(c.ep, 1);
	assert_int_equal(c.naud, 2);
	assert_int_equal(c.ngrp, 2);
	assert_int_equal(c.exp - c.iat, 600);
	assert_int_equal(c.pos, core_tenant_position(f->tenant));
	assert_int_equal(strlen(c.jti), 22);
	buf_free(&t.token);
}

static void
an_assertion_works_once(void **state)
{
	struct fixture *f = *state;
	struct token_answer t = {.expires_in = 0};
	struct core_call call = fixture_call(f, NULL);
	struct token_request req = {.naudience = 0};
	struct unit u;
	char jwt[2048];

	fixture_burn(f, "o1", "A1", &u);
	fixture_assertion(f, &u, &(struct statement){.jti = "j1"}, jwt,
	    sizeof(jwt));
	call.may_block = 0; /* an event loop writes no mark */
	t.token.max = TOKEN_MAX;
	assert_int_equal(core_token_assertion(&call, jwt, strlen(jwt), &req,
	    &t), ERR_WOULD_BLOCK);
	assert_int_equal(redeem(f, jwt, &t), ERR_OK);
	assert_int_equal(redeem(f, jwt, &t), ERR_ASSERTION_USED);
	assert_int_equal(redeem_statement(f, &u,
	    &(struct statement){.jti = "j2"}), ERR_OK);
	buf_free(&t.token);
}

#define RUN 5
struct run {
	struct core_call call[RUN];
	char jwt[RUN][2048];
	struct token_request req;
	struct token_answer out[RUN];
	struct token_asked asked[RUN];
};

/* Good ones of one device: j0 to j3, and j3 again. */
static void
run_make(struct fixture *f, const struct unit *u, struct run *r)
{
	char jti[8];
	size_t i;

	memset(r, 0, sizeof(*r));
	for (i = 0; i < RUN; i++) {
		(void)snprintf(jti, sizeof(jti), "j%zu", i < 3 ? i : 3);
		fixture_assertion(f, u, &(struct statement){.jti = jti},
		    r->jwt[i], sizeof(r->jwt[i]));
		r->call[i] = fixture_call(f, NULL);
		r->call[i].may_block = 0;
		r->out[i].token.max = TOKEN_MAX;
		r->asked[i] = (struct token_asked){.call = &r->call[i],
		    .jwt = r->jwt[i], .len = strlen(r->jwt[i]),
		    .req = &r->req, .out = &r->out[i]};
	}
}

static void
run_free(struct run *r)
{
	size_t i;

	for (i = 0; i < RUN; i++)
		buf_free(&r->out[i].token);
}

static void
in_a_run_each_assertion_is_judged_by_itself(void **state)
{
	struct fixture *f = *state;
	struct unit u;
	struct run r;
	size_t i;
	char *c;

	fixture_burn(f, "o1", "A1", &u);
	assert_int_equal(redeem_statement(f, &u,
	    &(struct statement){.jti = "j1"}), ERR_OK); /* and is known */
	run_make(f, &u, &r);
	c = &r.jwt[2][r.asked[2].len - 3]; /* its signature, still base64url */
	*c = *c == 'A' ? 'B' : 'A';
	core_token_run(f->core, r.asked, RUN);
	assert_int_equal(r.asked[0].e, ERR_OK);
	assert_int_equal(r.asked[1].e, ERR_ASSERTION_USED);
	assert_int_equal(r.asked[2].e, ERR_ASSERTION_SIGNATURE);
	/* Twice within the run: one token, to whichever. */
	assert_int_not_equal(r.asked[3].e, r.asked[4].e);
	for (i = 3; i < RUN; i++)
		assert_true(r.asked[i].e == ERR_OK ||
		    r.asked[i].e == ERR_ASSERTION_USED);
	for (i = 0; i < RUN; i++)
		assert_int_equal(r.out[i].token.len > 0,
		    r.asked[i].e == ERR_OK);
	run_free(&r);
}

static void
a_failed_commit_gives_nobody_of_a_run_a_token(void **state)
{
	struct fixture *f = *state;
	struct unit u;
	struct run r;
	size_t i;

	fixture_burn(f, "o1", "A1", &u);
	assert_int_equal(redeem_statement(f, &u,
	    &(struct statement){.jti = "first"}), ERR_OK);
	run_make(f, &u, &r);
	fake_store_away(1);
	core_token_run(f->core, r.asked, RUN);
	fake_store_away(0);
	for (i = 0; i < RUN; i++) {
		assert_int_equal(r.asked[i].e, ERR_STORE);
		assert_int_equal(r.out[i].token.len, 0);
	}
	run_free(&r);
}

static void
a_run_waits_for_no_device_that_is_not_in_memory(void **state)
{
	struct fixture *f = *state;
	struct unit known, unknown;
	char jwt[2048];
	struct run r;
	size_t i;

	fixture_burn(f, "o1", "A1", &known);
	fixture_burn(f, "o1", "A2", &unknown);
	assert_int_equal(redeem_statement(f, &known,
	    &(struct statement){.jti = "first"}), ERR_OK);
	run_make(f, &known, &r);
	fixture_assertion(f, &unknown, &(struct statement){.jti = "u"}, jwt,
	    sizeof(jwt));
	r.asked[1].jwt = jwt;
	r.asked[1].len = strlen(jwt);
	core_token_run(f->core, r.asked, RUN);
	assert_int_equal(r.asked[0].e, ERR_OK);
	assert_int_equal(r.asked[1].e, ERR_WOULD_BLOCK);
	assert_int_equal(r.asked[2].e, ERR_OK);
	r.call[1].may_block = 1; /* nothing was done, so it is good yet */
	core_token_run(f->core, &r.asked[1], 1);
	assert_int_equal(r.asked[1].e, ERR_OK);
	for (i = 0; i < RUN; i++)
		r.call[i].may_block = 0;
	run_free(&r);
}

static void
a_strangers_assertion_costs_no_query(void **state)
{
	struct fixture *f = *state;
	struct unit u;
	char kid[PSKID_LEN + 1];

	fixture_burn(f, "o1", "A1", &u);
	memcpy(kid, u.identity, sizeof(kid));
	kid[20] = kid[20] == 'A' ? 'B' : 'A';
	fake_store_away(1); /* any query would say ERR_STORE */
	assert_int_equal(redeem_statement(f, &u,
	    &(struct statement){.kid = kid, .jti = "j"}), ERR_ASSERTION_KID);
	assert_int_equal(redeem_statement(f, &u, &(struct statement){
	    .kid = unit_identity(&u, "edge"), .jti = "j"}),
	    ERR_ASSERTION_KID);
	fake_store_away(0);
}

static void
a_wrong_signature_writes_nothing_and_locks_nobody_out(void **state)
{
	struct fixture *f = *state;
	struct statement s = {.jti = "j", .wrong_key = 1};
	struct unit u;
	int i;

	fixture_burn(f, "o1", "A1", &u);
	for (i = 0; i < 20; i++)
		assert_int_equal(redeem_statement(f, &u, &s),
		    ERR_ASSERTION_SIGNATURE);
	s.wrong_key = 0; /* the same jti is still unused */
	assert_int_equal(redeem_statement(f, &u, &s), ERR_OK);
}

static void
an_assertion_says_what_is_right_or_is_refused(void **state)
{
	struct fixture *f = *state;
	int64_t now = f->time.wall / 1000;
	struct unit u;
	struct {
		const char *what;
		struct statement s;
		enum err e;
	} t[] = {
	    {"of another device", {.iss = "m1-A2"}, ERR_ASSERTION},
	    {"for another issuer", {.aud = "https://evil.example"},
		ERR_ASSERTION_AUDIENCE},
	    {"expired", {.iat = now - 120, .exp = now - 60},
		ERR_ASSERTION_TIME},
	    {"to come", {.iat = now + 600, .exp = now + 650},
		ERR_ASSERTION_TIME},
	    {"long", {.iat = now, .exp = now + 3600}, ERR_ASSERTION_TIME},
	    {"nonce of nobody", {.nonce = "AAAA"}, ERR_NONCE},
	    {"token endpoint", {.aud = "https://id.example/oauth2/token"},
		ERR_OK},
	};
	size_t i;

	fixture_burn(f, "o1", "A1", &u);
	for (i = 0; i < COUNT(t); i++) {
		t[i].s.jti = "j";
		assert_case(redeem_statement(f, &u, &t[i].s) == t[i].e,
		    t[i].what);
	}
}

static void
a_device_without_a_clock_uses_a_nonce_once(void **state)
{
	struct fixture *f = *state;
	struct core_call call = fixture_call(f, NULL);
	char nonce[NONCE_TEXT], bad[NONCE_TEXT];
	struct unit u;

	fixture_burn(f, "o1", "A1", &u);
	assert_int_equal(core_nonce(&call, nonce), ERR_OK);
	memcpy(bad, nonce, sizeof(bad));
	bad[10] = bad[10] == 'A' ? 'B' : 'A';
	assert_int_equal(redeem_statement(f, &u,
	    &(struct statement){.jti = "j", .nonce = bad}), ERR_NONCE);
	assert_int_equal(redeem_statement(f, &u,
	    &(struct statement){.jti = "j", .nonce = nonce}), ERR_OK);
	assert_int_equal(redeem_statement(f, &u,
	    &(struct statement){.jti = "j", .nonce = nonce}),
	    ERR_ASSERTION_USED);
	fixture_pass(f, 301000);
	assert_int_equal(redeem_statement(f, &u,
	    &(struct statement){.jti = "k", .nonce = nonce}), ERR_NONCE);
}

static void
a_refusal_for_time_tells_the_time(void **state)
{
	struct fixture *f = *state;
	struct core_call call = fixture_call(f, NULL);
	struct token_request req = {.naudience = 0};
	struct token_answer t = {.token = {.max = TOKEN_MAX}};
	struct unit u;
	char jwt[2048];

	fixture_burn(f, "o1", "A1", &u);
	fixture_assertion(f, &u, &(struct statement){.jti = "j", .iat = 1000,
	    .exp = 1060}, jwt, sizeof(jwt));
	assert_int_equal(core_token_assertion(&call, jwt, strlen(jwt), &req,
	    &t), ERR_ASSERTION_TIME);
	assert_int_equal(call.server_time, f->time.wall / 1000);
}

static void
a_client_id_that_is_not_the_device_is_refused(void **state)
{
	struct fixture *f = *state;
	struct core_call call = fixture_call(f, NULL);
	struct token_request req = {.client_id = "A2"};
	struct token_answer t = {.token = {.max = TOKEN_MAX}};
	struct unit u;

	fixture_burn(f, "o1", "A1", &u);
	assert_int_equal(core_token_psk(&call,
	    unit_identity(&u, AUDIENCE_AUTHORITY), &req, &t), ERR_CLIENT);
	assert_int_equal(t.token.len, 0);
	memcpy(req.client_id, u.device.device_id, sizeof(req.client_id));
	assert_int_equal(core_token_psk(&call,
	    unit_identity(&u, AUDIENCE_AUTHORITY), &req, &t), ERR_OK);
	buf_free(&t.token);
}

static void
a_cached_device_is_answered_from_memory(void **state)
{
	struct fixture *f = *state;
	struct core_call call = fixture_call(f, NULL);
	struct token_request req = {.naudience = 0};
	struct token_answer t = {.token = {.max = TOKEN_MAX}};
	struct unit u;

	fixture_burn(f, "o1", "A1", &u);
	call.may_block = 0;
	assert_int_equal(core_token_psk(&call, u.identity, &req, &t),
	    ERR_WOULD_BLOCK);
	call.may_block = 1;
	assert_int_equal(core_token_psk(&call, u.identity, &req, &t), ERR_OK);
	call.may_block = 0;
	fake_store_away(1);
	buf_reset(&t.token);
	assert_int_equal(core_token_psk(&call, u.identity, &req, &t), ERR_OK);
	fake_store_away(0);
	buf_free(&t.token);
}

static void
a_token_is_for_peers_and_within_the_scope(void **state)
{
	struct fixture *f = *state;
	struct {
		struct token_request req;
		enum err e;
	} t[] = {
	    {{.audience = {"edge"}, .naudience = 1}, ERR_OK},
	    {{.audience = {"edge", "edge"}, .naudience = 2}, ERR_OK},
	    {{.audience = {"elsewhere"}, .naudience = 1}, ERR_TARGET},
	    {{.audience = {"edge", "elsewhere"}, .naudience = 2}, ERR_TARGET},
	    {{.audience = {"authority"}, .naudience = 1}, ERR_TARGET},
	    {{.scope = "telemetry"}, ERR_OK},
	    {{.scope = "telemetry admin"}, ERR_OAUTH_SCOPE},
	    {{.scope = "tele"}, ERR_OAUTH_SCOPE},
	};
	struct unit u;
	size_t i;

	fixture_burn(f, "o1", "A1", &u);
	for (i = 0; i < COUNT(t); i++) {
		struct core_call call = fixture_call(f, NULL);
		struct token_answer a = {.token = {.max = TOKEN_MAX}};

		assert_int_equal(core_token_psk(&call, u.identity, &t[i].req,
		    &a), t[i].e);
		buf_free(&a.token);
	}
}

static void
only_an_active_device_gets_a_token(void **state)
{
	struct fixture *f = *state;
	struct token_answer t = {.expires_in = 0};
	struct unit u;

	fixture_release(f, "o1", "A1", &u);
	assert_int_equal(fixture_token(f, &u, &t), ERR_DEVICE_INACTIVE);
	assert_int_equal(fixture_confirm(f, &f->line1, &u, PROOF_MEDIUM,
	    &u.device), ERR_OK);
	assert_int_equal(fixture_token(f, &u, &t), ERR_OK);
	assert_int_equal(fixture_effect(f, "m1-A1", EFFECT_BLOCK, 0), ERR_OK);
	assert_int_equal(fixture_token(f, &u, &t), ERR_DEVICE_SUSPENDED);
	assert_int_equal(redeem_statement(f, &u,
	    &(struct statement){.jti = "j"}), ERR_DEVICE_SUSPENDED);
	assert_int_equal(fixture_effect(f, "m1-A1", EFFECT_LIFT, 0), ERR_OK);
	assert_int_equal(fixture_token(f, &u, &t), ERR_OK);
	assert_int_equal(fixture_effect(f, "m1-A1", EFFECT_BLOCK, 1), ERR_OK);
	assert_int_equal(fixture_token(f, &u, &t), ERR_DEVICE_REVOKED);
	assert_int_equal(fixture_effect(f, "m1-A1", EFFECT_LIFT, 0),
	    ERR_DEVICE_REVOKED);
	buf_free(&t.token);
}

static void
an_authority_that_cannot_see_its_head_issues_nothing(void **state)
{
	struct fixture *f = *state;
	struct token_answer t = {.expires_in = 0};
	struct unit u;

	fixture_burn(f, "o1", "A1", &u);
	assert_int_equal(fixture_token(f, &u, &t), ERR_OK);
	fake_store_away(1);
	atomic_fetch_add(&f->time.mono, 2001);
	assert_int_equal(core_ready(f->core), ERR_NOT_READY);
	assert_int_equal(fixture_introspect(f, &t), ERR_NOT_READY);
	assert_int_equal(fixture_token(f, &u, &t), ERR_NOT_READY);
	fake_store_away(0);
	fixture_ready(f);
	assert_int_equal(fixture_token(f, &u, &t), ERR_OK);
	buf_free(&t.token);
}

/* The dead stay dead, so that much is known without the database. */
static void
an_authority_that_cannot_see_its_head_still_knows_the_dead(void **state)
{
	struct fixture *f = *state;
	struct core_call call = fixture_call(f, NULL);
	struct token_answer dead = {.expires_in = 0}, t = {.expires_in = 0};
	const struct secret *cred = &f->admin_credential;
	struct caller who;
	struct unit u;

	fixture_burn(f, "o1", "A1", &u);
	assert_int_equal(fixture_token(f, &u, &dead), ERR_OK);
	assert_int_equal(fixture_effect(f, "m1-A1", EFFECT_CUT, 0), ERR_OK);
	assert_int_equal(fixture_token(f, &u, &t), ERR_OK);
	assert_int_equal(core_authn(&call, (const char *)cred->p, cred->len,
	    &who), ERR_OK);
	fake_store_away(1);
	atomic_fetch_add(&f->time.mono, 2001);
	assert_int_equal(fixture_introspect(f, &dead), ERR_TOKEN_CUT);
	assert_int_equal(fixture_introspect(f, &t), ERR_NOT_READY);
	/* Who is only remembered may ask that, and nothing else. */
	call.asks_for_dead = 0;
	assert_int_equal(core_authn(&call, (const char *)cred->p, cred->len,
	    &who), ERR_STORE);
	call.asks_for_dead = 1;
	assert_int_equal(core_authn(&call, (const char *)cred->p, cred->len,
	    &who), ERR_OK);
	assert_int_equal(call.remembered, 1);
	fake_store_away(0);
	fixture_ready(f);
	/* What was let in as remembered is told of no life ever after. */
	call.caller = &who;
	assert_int_equal(core_introspect(&call, t.token.p, t.token.len,
	    &(struct buf){.max = 4096}), ERR_NOT_READY);
	buf_free(&dead.token);
	buf_free(&t.token);
}

static void
introspection_tells_the_living_from_the_dead(void **state)
{
	struct fixture *f = *state;
	struct core_call other = fixture_call(f, &f->other_gateway);
	struct token_answer t = {.expires_in = 0};
	struct core_figures fig;
	struct buf json = {.max = 4096};
	struct unit u;
	char *last, right;

	fixture_burn(f, "o1", "A1", &u);
	assert_int_equal(fixture_token(f, &u, &t), ERR_OK);
	fake_store_away(1); /* from memory alone */
	assert_int_equal(fixture_introspect(f, &t), ERR_OK);
	assert_int_equal(fixture_introspect(f, &t), ERR_OK);
	assert_int_equal(core_introspect(&other, t.token.p, t.token.len,
	    &json), ERR_TOKEN_AUDIENCE);
	fake_store_away(0);
	core_figures(f->core, &fig);
	assert_int_equal(fig.introspections_from_cache, 2);
	last = &t.token.p[t.token.len - 3];
	right = *last;
	*last = right == 'A' ? 'B' : 'A';
	assert_int_equal(fixture_introspect(f, &t), ERR_TOKEN_SIGNATURE);
	*last = right;
	assert_int_equal(fixture_effect(f, "m1-A1", EFFECT_CUT, 0), ERR_OK);
	assert_int_equal(fixture_introspect(f, &t), ERR_TOKEN_CUT);
	assert_int_equal(fixture_token(f, &u, &t), ERR_OK);
	assert_int_equal(fixture_introspect(f, &t), ERR_OK);
	fixture_pass(f, 601000);
	assert_int_equal(fixture_introspect(f, &t), ERR_TOKEN_EXPIRED);
	buf_free(&t.token);
	buf_free(&json);
}

static void
malformed_tokens_and_assertions_are_refused(void **state)
{
	struct fixture *f = *state;
	static const char *const bad[] = {"", ".", "..", "a.b.c", "...",
	    "eyJhbGciOiJub25lIn0.e30.", "eyJhbGciOiJIUzI1NiJ9.e30.AAAA"};
	struct token_answer t = {.expires_in = 0};
	size_t i;

	for (i = 0; i < COUNT(bad); i++) {
		t.token.max = TOKEN_MAX;
		assert_case(redeem(f, bad[i], &t) != ERR_OK, bad[i]);
		buf_free(&t.token);
		t.token = (struct buf){.max = TOKEN_MAX};
		assert_int_equal(buf_str(&t.token, bad[i]), ERR_OK);
		assert_case(err_status(fixture_introspect(f, &t)) == 401,
		    bad[i]);
		buf_free(&t.token);
	}
}

static void
a_device_can_revoke_its_own_tokens_and_no_others(void **state)
{
	struct fixture *f = *state;
	struct core_call call = fixture_call(f, NULL);
	struct token_answer t[8] = {{.expires_in = 0}};
	struct unit a, b;
	size_t i;

	fixture_burn(f, "o1", "A1", &a);
	fixture_burn(f, "o1", "A2", &b);
	for (i = 0; i < 8; i++)
		assert_int_equal(fixture_token(f, &a, &t[i]), ERR_OK);
	assert_int_equal(core_token_revoke(&call, b.identity, t[0].token.p,
	    t[0].token.len), ERR_UNAUTHORIZED_CLIENT);
	assert_int_equal(fixture_introspect(f, &t[0]), ERR_OK);
	assert_int_equal(core_token_revoke(&call, a.identity, t[0].token.p,
	    t[0].token.len), ERR_OK);
	assert_int_equal(fixture_introspect(f, &t[0]), ERR_TOKEN_REVOKED);
	assert_int_equal(fixture_introspect(f, &t[1]), ERR_OK);
	/* Many collapse into one cut. */
	for (i = 0; i < 5; i++)
		assert_int_equal(core_token_revoke(&call, a.identity,
		    t[i].token.p, t[i].token.len), ERR_OK);
	assert_int_equal(fixture_introspect(f, &t[7]), ERR_TOKEN_CUT);
	assert_int_equal(fixture_token(f, &a, &t[0]), ERR_OK);
	assert_int_equal(core_token_revoke(&call, a.identity, t[0].token.p,
	    t[0].token.len), ERR_RATE);
	assert_int_equal(core_token_revoke(&call, a.identity, "x", 1),
	    ERR_OK);
	for (i = 0; i < 8; i++)
		buf_free(&t[i].token);
}

static void
the_listeners_key_is_the_devices_and_a_decoy_is_nobodys(void **state)
{
	struct fixture *f = *state;
	struct token_answer t = {.expires_in = 0};
	struct key32 got, want, again;
	struct unit u;
	int news = 9;

	fixture_burn(f, "o1", "A1", &u);
	assert_int_equal(core_listener_psk(f->core, u.identity, PSKID_LEN, 13,
	    &got, &news), ERR_OK);
	assert_int_equal(kdf_derive(&u.k, PURPOSE_TLS13, "m1-A1", 1,
	    AUDIENCE_AUTHORITY, &want), ERR_OK);
	assert_memory_equal(got.b, want.b, KEY32_LEN);
	/* proven by its medium alone until now */
	assert_int_equal(news, 1);
	core_listener_used(f->core, u.identity, "r1");
	assert_int_equal(core_listener_psk(f->core, u.identity, PSKID_LEN, 12,
	    &got, &news), ERR_OK);
	assert_memory_not_equal(got.b, want.b, KEY32_LEN);
	assert_int_equal(core_listener_psk(f->core,
	    unit_identity(&u, "edge"), PSKID_LEN, 13, &got, &news),
	    ERR_IDENTITY);
	assert_int_equal(news, 0);
	core_decoy(f->core, "x", 1, &got);
	core_decoy(f->core, "x", 1, &again);
	assert_memory_equal(got.b, again.b, KEY32_LEN);
	core_decoy(f->core, "y", 1, &again);
	assert_memory_not_equal(got.b, again.b, KEY32_LEN);
	assert_int_equal(fixture_effect(f, "m1-A1", EFFECT_BLOCK, 0), ERR_OK);
	/* It has its handshake still, and is told the reason there. */
	assert_int_equal(core_listener_psk(f->core, u.identity, PSKID_LEN, 13,
	    &got, &news), ERR_OK);
	assert_int_equal(fixture_token(f, &u, &t), ERR_DEVICE_SUSPENDED);
	buf_free(&t.token);
	assert_ptr_equal(core_identity_tenant(f->core, u.identity,
	    PSKID_LEN), f->tenant);
	assert_null(core_identity_tenant(f->core, "junk", 4));
}

#define T(f) cmocka_unit_test_setup_teardown(f, fixture_open, fixture_close)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    T(an_assertion_gives_a_token_that_says_who_and_when),
T(in_a_run_each_assertion_is_judged_by_itself),
	    T(a_failed_commit_gives_nobody_of_a_run_a_token),
	    T(a_run_waits_for_no_device_that_is_not_in_memory),
	    	    T(an_assertion_works_once),
	    T(a_strangers_assertion_costs_no_query),
	    T(a_wrong_signature_writes_nothing_and_locks_nobody_out),
	    T(an_assertion_says_what_is_right_or_is_refused),
	    T(a_device_without_a_clock_uses_a_nonce_once),
	    T(a_refusal_for_time_tells_the_time),
	    T(a_client_id_that_is_not_the_device_is_refused),
	    T(a_cached_device_is_answered_from_memory),
	    T(a_token_is_for_peers_and_within_the_scope),
	    T(only_an_active_device_gets_a_token),
	    T(an_authority_that_cannot_see_its_head_issues_nothing),
	    T(an_authority_that_cannot_see_its_head_still_knows_the_dead),
	    T(introspection_tells_the_living_from_the_dead),
	    T(malformed_tokens_and_assertions_are_refused),
	    T(a_device_can_revoke_its_own_tokens_and_no_others),
	    T(the_listeners_key_is_the_devices_and_a_decoy_is_nobodys),
	};

	return cmocka_run_group_tests_name("core: tokens", tests, NULL, NULL);
}
