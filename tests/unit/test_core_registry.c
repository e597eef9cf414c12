/*
 * The registry, tenants kept apart, what gateways are given, and what
 * explain tells.
 */
#include "tests/unit/core_fixture.h"

#include <sys/stat.h>

#include "lib/crypt/kdf.h"
#include "lib/crypt/pskid.h"
#include "tests/helpers/fake_store.h"

static void
only_an_admin_of_default_makes_tenants(void **state)
{
	struct fixture *f = *state;
	struct core_call call = fixture_call(f, &f->admin);
	struct core_call station = fixture_call(f, &f->line1);
	char issuer[ISSUER_MAX + 1];
	struct secret s = {0};
	struct caller boss;
	uint32_t number;

	assert_int_equal(core_tenant_create(&station, "acme", &number,
	    issuer, &s), ERR_ROLE);
	assert_int_equal(core_tenant_create(&call, "Acme", &number, issuer,
	    &s), ERR_NAME);
	assert_int_equal(core_tenant_create(&call, "acme", &number, issuer,
	    &s), ERR_OK);
	assert_string_equal(issuer, "https://id.example/t/acme");
	assert_int_equal(core_tenant_create(&call, "acme", &number, issuer,
	    &s), ERR_EXISTS);
	/* Its admin is none here, and none of ours is there. */
	assert_int_equal(core_authn(&call, (char *)s.p, s.len, &boss),
	    ERR_CREDENTIAL);
	call.tenant = core_tenant_find(f->core, "acme");
	assert_non_null(call.tenant);
	assert_int_equal(core_authn(&call, (char *)s.p, s.len, &boss),
	    ERR_OK);
	assert_int_equal(core_authn(&call, (char *)f->admin_credential.p,
	    f->admin_credential.len, &boss), ERR_CREDENTIAL);
	assert_int_equal(core_group_create(&call, "x", &(struct group){0}),
	    ERR_CREDENTIAL);
	call.caller = &boss;
	assert_int_equal(core_authn(&call, (char *)s.p, s.len, &boss),
	    ERR_OK);
	assert_int_equal(core_tenant_create(&call, "more", &number, issuer,
	    &s), ERR_ROLE);
	secret_free(&s);
}

static void
nothing_of_a_tenant_is_seen_from_another(void **state)
{
	struct fixture *f = *state;
	struct core_call call = fixture_call(f, &f->admin);
	struct token_request req = {.naudience = 0};
	struct token_answer t = {.token = {.max = TOKEN_MAX}};
	struct buf ours = {.max = 65536}, theirs = {.max = 65536};
	struct buf json = {.max = 4096};
	char issuer[ISSUER_MAX + 1];
	struct secret s = {0};
	struct caller boss;
	struct device d;
	struct unit u;
	uint32_t number;

	fixture_burn(f, "o1", "A1", &u);
	assert_int_equal(core_tenant_create(&call, "acme", &number, issuer,
	    &s), ERR_OK);
	call.tenant = core_tenant_find(f->core, "acme");
	assert_int_equal(core_authn(&call, (char *)s.p, s.len, &boss),
	    ERR_OK);
	call.caller = &boss;
	assert_int_equal(core_device_get(&call, "m1-A1", &d), ERR_NOT_FOUND);
	assert_int_equal(core_token_psk(&call, u.identity, &req, &t),
	    ERR_CLIENT);
	assert_int_equal(fixture_token(f, &u, &t), ERR_OK);
	assert_int_equal(core_introspect(&call, t.token.p, t.token.len,
	    &json), ERR_TOKEN_KEY);
	assert_int_equal(fixture_introspect(f, &t), ERR_OK);
	/* Also when the token is in the cache that tenants share. */
	assert_int_not_equal(core_introspect(&call, t.token.p, t.token.len,
	    &json), ERR_OK);
	assert_int_equal(core_jwks(f->tenant, &ours), ERR_OK);
	assert_int_equal(core_jwks(call.tenant, &theirs), ERR_OK);
	assert_string_not_equal(ours.p, theirs.p);
	secret_free(&s);
	buf_free(&t.token);
	buf_free(&ours);
	buf_free(&theirs);
}

static void
a_wrong_key_encryption_key_opens_nothing(void **state)
{
	struct fixture *f = *state;
	struct core_conf conf = f->conf;
	struct core *c = NULL;
	struct detail d = {""};
	char path[128];
	FILE *file;

	(void)snprintf(path, sizeof(path), "%s/other", f->dir);
	file = fopen(path, "w");
	assert_non_null(file);
	(void)fprintf(file, "%064d\n", 7);
	(void)fclose(file);
	conf.kek_file = path;
	assert_int_equal(core_open(&conf, &c, &d), ERR_CONFIG);
	assert_int_equal(chmod(path, 0600), 0);
	assert_int_equal(core_open(&conf, &c, &d), ERR_CRYPTO);
	assert_null(c);
	(void)remove(path);
}

static enum err
keep_nothing(void *arg, const struct secret *credential)
{
	++*(int *)arg;
	return credential->len > 0 ? ERR_IO : ERR_INTERNAL;
}

static void
a_database_has_one_first_admin(void **state)
{
	struct fixture *f = *state;
	int made = 1, kept = 0;

	assert_int_equal(core_first_admin(f->core, keep_nothing, &kept,
	    &made), ERR_OK);
	assert_int_equal(made, 0);
	assert_int_equal(kept, 0);
}

/* No admin exists whose credential nobody could keep. */
static void
a_credential_that_cannot_be_kept_makes_no_admin(void **state)
{
	struct fixture *f = *state;
	struct core_conf conf = f->conf;
	struct detail d = {""};
	struct core *c = NULL;
	int made = 0, kept = 0, i;

	conf.conninfo = "a database without admin";
	assert_int_equal(core_open(&conf, &c, &d), ERR_OK);
	for (i = 1; i <= 2; i++) {
		assert_int_equal(core_first_admin(c, keep_nothing, &kept,
		    &made), ERR_IO);
		assert_int_equal(kept, i);
	}
	core_close(&c);
}

static void
bad_orders_and_callers_are_refused(void **state)
{
	struct fixture *f = *state;
	struct core_call call = fixture_call(f, &f->admin);
	struct caller c = {.name = "g", .role = ROLE_GATEWAY};
	struct secret s = {0};
	struct order o;

	fixture_order(f, "o1", 1, &o);
	assert_int_equal(core_order_create(&call, &o), ERR_EXISTS);
	fixture_order(f, "o9", 1, &o);
	memcpy(o.peers[0], "ghost", 6);
	assert_int_equal(core_order_create(&call, &o), ERR_REQUEST);
	fixture_order(f, "o9", 1, &o);
	o.expires_at = 1;
	assert_int_equal(core_order_create(&call, &o), ERR_REQUEST);
	fixture_order(f, "o9", 0, &o);
	assert_int_equal(core_order_create(&call, &o), ERR_REQUEST);
	assert_int_equal(core_caller_create(&call, &c, &s), ERR_REQUEST);
	memcpy(c.audiences[0], "authority", 10);
	c.naudiences = 1;
	assert_int_equal(core_caller_create(&call, &c, &s), ERR_REQUEST);
	memcpy(c.audiences[0], "edge", 5);
	c.role = ROLE_ADMIN;
	assert_int_equal(core_caller_create(&call, &c, &s), ERR_REQUEST);
	c.role = ROLE_GATEWAY;
	memcpy(c.name, "gw", 3);
	assert_int_equal(core_caller_create(&call, &c, &s), ERR_EXISTS);
	assert_int_equal(s.len, 0);
	assert_int_equal(core_audience_put(&call, &(struct audience){
	    .name = "authority", .host = "h", .port = 1}), ERR_NAME);
}

static void
refused_for_station(struct fixture *f, const char *name)
{
	struct core_call call = fixture_call(f, &f->admin);
	struct order o;

	fixture_order(f, "o9", 1, &o);
	(void)snprintf(o.stations[1], sizeof(name_t), "%s", name);
	assert_int_equal(core_order_create(&call, &o), ERR_REQUEST);
	assert_non_null(strstr(call.detail.text, "stations"));
	assert_non_null(strstr(call.detail.text, name));
}

static void
an_order_names_only_stations_that_are_there(void **state)
{
	struct fixture *f = *state;
	struct core_call call = fixture_call(f, &f->admin);
	struct caller gone;
	struct order o;

	refused_for_station(f, "line-9");
	refused_for_station(f, "gw"); /* a gateway */
	assert_int_equal(core_caller_disable(&call, "line-2", &gone), ERR_OK);
	refused_for_station(f, "line-2");
	fixture_order(f, "o9", 1, &o);
	o.nstations = 0;
	assert_int_equal(core_order_create(&call, &o), ERR_OK);
}

static void
what_is_not_found_is_named(void **state)
{
	struct fixture *f = *state;
	struct core_call call = fixture_call(f, &f->admin);
	struct device d;
	struct caller c;
	struct order o;

#define NAMED(call_, what) do { \
	call.detail.text[0] = '\0'; \
	assert_int_equal((call_), ERR_NOT_FOUND); \
	assert_string_equal(call.detail.text, (what)); \
} while (0)
	NAMED(core_order_get(&call, "o9", &o), "no order o9");
	NAMED(core_order_close(&call, "o9", &o), "no order o9");
	NAMED(core_order_get(&call, "a b", &o), "no order has such a name");
	NAMED(core_device_get(&call, "m1-A9", &d), "no device m1-A9");
	NAMED(core_caller_disable(&call, "line-9", &c), "no caller line-9");
	NAMED(core_group_member(&call, 999, "m1-A9", 1, &d), "no group 999");
	NAMED(core_group_member(&call, 1, "m1-A9", 1, &d),
	    "no device m1-A9");
}

static enum err
resolve(struct fixture *f, const struct caller *who, const char *identity,
    const char *audience, int tls, struct psk_answer *out)
{
	struct core_call call = fixture_call(f, who);
	struct psk_request r = {.tls = tls};

	(void)snprintf(r.identity, sizeof(r.identity), "%s", identity);
	(void)snprintf(r.audience, sizeof(r.audience), "%s", audience);
	return core_psk_resolve(&call, &r, out);
}

static void
a_gateway_gets_the_key_of_its_own_audience_only(void **state)
{
	struct fixture *f = *state;
	struct psk_answer a;
	struct key32 want;
	struct unit u;
	const char *edge, *depot;

	fixture_burn(f, "o1", "A1", &u);
	edge = unit_identity(&u, "edge");
	depot = unit_identity(&u, "depot");
	assert_int_equal(resolve(f, &f->gateway, edge, "edge", 13, &a),
	    ERR_OK);
	assert_int_equal(kdf_derive(&u.k, PURPOSE_TLS13, "m1-A1", 1, "edge",
	    &want), ERR_OK);
	assert_memory_equal(a.key.b, want.b, KEY32_LEN);
	assert_int_equal(a.dn, u.device.dn);
	assert_int_equal(a.pos, core_tenant_position(f->tenant));
	assert_int_equal(resolve(f, &f->gateway, edge, "edge", 12, &a),
	    ERR_OK);
	assert_memory_not_equal(a.key.b, want.b, KEY32_LEN);
	assert_int_equal(resolve(f, &f->gateway, depot, "depot", 13, &a),
	    ERR_SCOPE);
	assert_int_equal(resolve(f, &f->gateway, depot, "edge", 13, &a),
	    ERR_IDENTITY);
	assert_int_equal(resolve(f, &f->admin, edge, "edge", 13, &a),
	    ERR_SCOPE);
	assert_int_equal(resolve(f, &f->gateway, u.identity, "authority", 13,
	    &a), ERR_SCOPE);
	assert_int_equal(resolve(f, &f->gateway, edge, "edge", 11, &a),
	    ERR_REQUEST);
	fake_store_away(1); /* garbage costs no query */
	assert_int_equal(resolve(f, &f->gateway, "junk", "edge", 13, &a),
	    ERR_IDENTITY);
	fake_store_away(0);
}

static void
no_key_for_a_suspended_device_or_a_retired_audience(void **state)
{
	struct fixture *f = *state;
	struct core_call call = fixture_call(f, &f->admin);
	struct core_call gw = fixture_call(f, &f->gateway);
	struct audience a = {.name = "edge", .host = "h.example", .port = 1,
	    .retired = 1};
	struct identity_keys k;
	struct psk_answer p;
	struct pskid id;
	struct unit u;
	const char *edge;

	fixture_burn(f, "o1", "A1", &u);
	edge = unit_identity(&u, "edge");
	assert_int_equal(fixture_effect(f, "m1-A1", EFFECT_BLOCK, 0), ERR_OK);
	assert_int_equal(resolve(f, &f->gateway, edge, "edge", 13, &p),
	    ERR_DEVICE_SUSPENDED);
	assert_int_equal(fixture_effect(f, "m1-A1", EFFECT_LIFT, 0), ERR_OK);
	assert_int_equal(resolve(f, &f->gateway, edge, "edge", 13, &p),
	    ERR_OK);
	assert_int_equal(core_identity_keys(&gw, "edge", &k), ERR_OK);
	assert_int_equal(k.n, 1);
	assert_int_equal(pskid_open(&k.key[0], "edge", edge, PSKID_LEN, &id),
	    ERR_OK);
	assert_int_equal(id.dn, u.device.dn);
	assert_int_equal(core_identity_keys(&gw, "depot", &k), ERR_SCOPE);
	assert_int_equal(core_identity_keys(&gw, "authority", &k),
	    ERR_SCOPE);
	assert_int_equal(core_audience_put(&call, &a), ERR_OK);
	assert_int_equal(resolve(f, &f->gateway, edge, "edge", 13, &p),
	    ERR_IDENTITY);
	assert_int_equal(core_identity_keys(&gw, "edge", &k), ERR_NOT_FOUND);
}

static void
a_device_can_ask_for_itself_and_its_peers(void **state)
{
	struct fixture *f = *state;
	struct core_call call = fixture_call(f, NULL);
	struct peer peers[RECORD_PEERS_MAX];
	struct device d;
	struct unit u;
	uint64_t pos;
	uint32_t n;

	fixture_burn(f, "o1", "A1", &u);
	assert_int_equal(core_device_self(&call, u.identity, &d, &pos),
	    ERR_OK);
	assert_string_equal(d.device_id, "m1-A1");
	assert_int_equal(core_device_peers(&call, u.identity, peers, &n),
	    ERR_OK);
	assert_int_equal(n, 3);
	assert_string_equal(peers[2].audience, AUDIENCE_AUTHORITY);
	assert_string_equal(peers[2].host, "dev.example");
	assert_string_equal(peers[0].identity, unit_identity(&u,
	    peers[0].audience));
	assert_int_equal(core_device_self(&call, "junk", &d, &pos),
	    ERR_CLIENT);
	assert_int_equal(fixture_effect(f, "m1-A1", EFFECT_BLOCK, 0), ERR_OK);
	assert_int_equal(core_device_peers(&call, u.identity, peers, &n),
	    ERR_DEVICE_SUSPENDED);
}

static enum err
explain(struct fixture *f, enum explain_kind kind, const char *s,
    struct explanation *x)
{
	struct core_call call = fixture_call(f, &f->admin);

	return core_explain(&call, kind, s, strlen(s), x);
}

static void
explain_says_whose_it_is_and_why_it_is_refused(void **state)
{
	struct fixture *f = *state;
	struct explanation *x = calloc(1, sizeof(*x));
	struct token_answer t = {.expires_in = 0};
	struct unit u;

	assert_non_null(x);
	fixture_burn(f, "o1", "A1", &u);
	assert_int_equal(fixture_token(f, &u, &t), ERR_OK);
	assert_int_equal(explain(f, EXPLAIN_TOKEN, t.token.p, x), ERR_OK);
	assert_int_equal(x->verdict, ERR_OK);
	assert_true(x->has_claims && x->has_device);
	assert_int_equal(x->nevents, 0);
	assert_int_equal(fixture_effect(f, "m1-A1", EFFECT_CUT, 0), ERR_OK);
	assert_int_equal(fixture_effect(f, "m1-A1", EFFECT_BLOCK, 0), ERR_OK);
	assert_int_equal(explain(f, EXPLAIN_TOKEN, t.token.p, x), ERR_OK);
	assert_int_equal(x->verdict, ERR_DEVICE_SUSPENDED);
	assert_int_equal(x->nevents, 2);
	assert_int_equal(x->events[0].effect, EFFECT_BLOCK); /* newest */
	assert_int_equal(explain(f, EXPLAIN_IDENTITY,
	    unit_identity(&u, "depot"), x), ERR_OK);
	assert_string_equal(x->audience, "depot");
	assert_string_equal(x->device.device_id, "m1-A1");
	assert_int_equal(x->verdict, ERR_DEVICE_SUSPENDED);
	assert_int_equal(explain(f, EXPLAIN_DEVICE, "m1-A1", x), ERR_OK);
	assert_int_equal(x->verdict, ERR_DEVICE_SUSPENDED);
	assert_int_equal(explain(f, EXPLAIN_DEVICE, "m1-none", x),
	    ERR_NOT_FOUND);
	assert_int_equal(explain(f, EXPLAIN_IDENTITY, "junk", x), ERR_OK);
	assert_int_equal(x->verdict, ERR_IDENTITY);
	assert_int_equal(explain(f, EXPLAIN_TOKEN, "junk", x), ERR_OK);
	assert_int_equal(x->verdict, ERR_TOKEN);
	fixture_pass(f, 700000);
	assert_int_equal(explain(f, EXPLAIN_TOKEN, t.token.p, x), ERR_OK);
	assert_int_equal(x->verdict, ERR_TOKEN_EXPIRED);
	buf_free(&t.token);
	free(x);
}

static void
the_feed_gives_each_event_once_in_order(void **state)
{
	struct fixture *f = *state;
	struct core_call call = fixture_call(f, &f->gateway);
	uint64_t head, floor, start = core_tenant_position(f->tenant);
	struct event ev[10];
	struct unit u;
	size_t n;

	fixture_burn(f, "o1", "A1", &u);
	assert_int_equal(core_feed(&call, start, 10, ev, &n, &head, &floor),
	    ERR_OK);
	assert_int_equal(n, 0);
	assert_int_equal(head, start);
	assert_int_equal(fixture_effect(f, "m1-A1", EFFECT_BLOCK, 0), ERR_OK);
	assert_int_equal(fixture_effect(f, "m1-A1", EFFECT_LIFT, 0), ERR_OK);
	assert_int_equal(core_feed(&call, start, 10, ev, &n, &head, &floor),
	    ERR_OK);
	assert_int_equal(n, 2);
	assert_int_equal(ev[0].pos, start + 1);
	assert_int_equal(ev[1].pos, start + 2);
	assert_int_equal(head, start + 2);
	assert_int_equal(core_feed(&call, head + 1, 10, ev, &n, &head,
	    &floor), ERR_BACKWARDS);
	call.may_block = 0; /* nothing new: memory knows */
	assert_int_equal(core_feed(&call, head, 10, ev, &n, &head, &floor),
	    ERR_OK);
	assert_int_equal(core_feed(&call, start, 10, ev, &n, &head, &floor),
	    ERR_WOULD_BLOCK);
	fake_store_away(1); /* and a stuck follower looks not fresh */
	atomic_fetch_add(&f->time.mono, 3000);
	assert_int_equal(core_feed(&call, head, 10, ev, &n, &head, &floor),
	    ERR_NOT_READY);
	fake_store_away(0);
}

static void
devices_are_listed_by_pages_and_filters(void **state)
{
	struct fixture *f = *state;
	struct core_call call = fixture_call(f, &f->admin);
	struct device_filter q = {.limit = 2};
	struct device rows[10];
	struct unit u;
	size_t n;

	fixture_burn(f, "o1", "A1", &u);
	fixture_burn(f, "o1", "A2", &u);
	fixture_release(f, "o1", "A3", &u);
	assert_int_equal(core_device_list(&call, &q, rows, &n), ERR_OK);
	assert_int_equal(n, 2);
	q.after = rows[1].dn;
	assert_int_equal(core_device_list(&call, &q, rows, &n), ERR_OK);
	assert_int_equal(n, 1);
	q = (struct device_filter){.limit = 10, .has_state = 1,
	    .state = DEV_ACTIVE};
	assert_int_equal(core_device_list(&call, &q, rows, &n), ERR_OK);
	assert_int_equal(n, 2);
	q.limit = 0;
	assert_int_equal(core_device_list(&call, &q, rows, &n), ERR_REQUEST);
}

/* Threat: who asks from the second page on has units nobody knows of. */
static void
each_page_of_a_manifest_is_on_record(void **state)
{
	struct manifest_text m = {.page = {.max = 1 << 20},
	    .keys = {.max = 1 << 16}};
	struct fixture *f = *state;
	struct core_call call = fixture_call(f, &f->admin);
	struct unit u;
	uint64_t after;

	fixture_burn(f, "o1", "A1", &u);
	fixture_burn(f, "o1", "A2", &u);
	for (after = 0; after < 3; after++) {
		buf_reset(&m.page);
		buf_reset(&m.keys);
		assert_int_equal(core_order_manifest(&call, "o1", after, &m),
		    ERR_OK);
		assert_int_equal(fixture_audited(f, "order.manifest", "ok"),
		    after + 1);
	}
	buf_free(&m.page);
	buf_free(&m.keys);
}

#define T(f) cmocka_unit_test_setup_teardown(f, fixture_open, fixture_close)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    T(only_an_admin_of_default_makes_tenants),
	    T(nothing_of_a_tenant_is_seen_from_another),
	    T(a_wrong_key_encryption_key_opens_nothing),
	    T(a_database_has_one_first_admin),
	    T(a_credential_that_cannot_be_kept_makes_no_admin),
	    T(bad_orders_and_callers_are_refused),
	    T(an_order_names_only_stations_that_are_there),
	    T(what_is_not_found_is_named),
	    T(a_gateway_gets_the_key_of_its_own_audience_only),
	    T(no_key_for_a_suspended_device_or_a_retired_audience),
	    T(a_device_can_ask_for_itself_and_its_peers),
	    T(explain_says_whose_it_is_and_why_it_is_refused),
	    T(the_feed_gives_each_event_once_in_order),
	    T(devices_are_listed_by_pages_and_filters),
	    T(each_page_of_a_manifest_is_on_record),
	};

	return cmocka_run_group_tests_name("core: registry", tests, NULL,
	    NULL);
}
