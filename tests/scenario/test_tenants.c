/*
 * Two tenants on one authd, with the same names in each: nothing of one can
 * be seen, used or touched from the other.
 */
#include "tests/scenario/world.h"

#include <time.h>

#define LIMIT 60

static struct world a, b; /* tenants default and other */
static char token_a[TOKEN_ROOM], token_b[TOKEN_ROOM];

static int
set_up(void **state)
{
	(void)state;
	world_open(&a, NULL);
	world_open_tenant(&b, &a, "other");
	world_order(&a, 20);
	world_order(&b, 20);
	world_gateway(&a, NULL);
	world_gateway(&b, NULL);
	world_burn(&a, "SN0001");
	world_burn(&b, "SN0001");
	world_burn(&a, "SN0007"); /* this one a alone has */
	world_token(&a, "SN0001", token_a);
	world_token(&b, "SN0001", token_b);
	CTL(&a, "group", "create", "only-in-a");
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	world_close(&b);
	world_close(&a);
	return 0;
}

static void
the_answer_has(const struct world *w, const char *text)
{
	if (strstr(w->a.body, text) == NULL)
		fail_msg("no %s in %d %s", text, w->a.status, w->a.body);
}

static void
the_answer_lacks(const struct world *w, const char *text)
{
	if (strstr(w->a.body, text) != NULL)
		fail_msg("%s in %d %s", text, w->a.status, w->a.body);
}

static void
each_has_its_own_issuer_and_keys(void **state)
{
	char text[2 * ROOM], url[ROOM], kid_a[ROOM], kid_b[ROOM];

	(void)state;
	assert_int_equal(world_http(&a, "GET",
	    "/.well-known/oauth-authorization-server", NULL, NULL), 200);
	(void)snprintf(text, sizeof(text), "\"issuer\":\"%s\"",
	    world_url(&a, url));
	the_answer_has(&a, text);
	assert_int_equal(world_http(&a, "GET",
	    "/.well-known/oauth-authorization-server/t/other", NULL, NULL),
	    200);
	(void)snprintf(text, sizeof(text), "\"issuer\":\"%s\"",
	    world_url(&b, url));
	the_answer_has(&a, text);
	(void)snprintf(text, sizeof(text), "\"token_endpoint\":\"%s/",
	    world_url(&b, url));
	the_answer_has(&a, text);
	assert_int_equal(world_http(&a, "GET", "/.well-known/jwks.json",
	    NULL, NULL), 200);
	assert_int_equal(http_member(&a.a, "kid", kid_a, ROOM), 0);
	assert_int_equal(world_http(&b, "GET", "/.well-known/jwks.json",
	    NULL, NULL), 200);
	assert_int_equal(http_member(&b.a, "kid", kid_b, ROOM), 0);
	assert_string_not_equal(kid_a, kid_b);
	the_answer_lacks(&b, kid_a);
}

static const struct {
	const char *method, *path, *body;
} asked[] = {
    {"GET", "/v1/orders", NULL},
    {"GET", "/v1/orders/first", NULL},
    {"GET", "/v1/audiences", NULL},
    {"GET", "/v1/groups", NULL},
    {"GET", "/v1/callers", NULL},
    {"GET", "/v1/devices", NULL},
    {"GET", "/v1/devices/SN0001", NULL},
    {"GET", "/v1/audit?after=0&limit=10", NULL},
    {"GET", "/v1/revocations?after=0&limit=10", NULL},
    {"GET", "/v1/audiences/hub/identity-keys", NULL},
    {"POST", "/v1/devices/SN0001/revoke", "{}"},
    {"POST", "/v1/devices/SN0001/suspend", "{}"},
    {"POST", "/v1/orders/first/devices", "{\"serial\":\"SN0009\"}"},
    {"POST", "/v1/orders/first/close", "{}"},
    {"POST", "/v1/callers/hub1/disable", "{}"},
    {"POST", "/v1/explain", "{\"device_id\":\"SN0001\"}"},
};

/* Asks again while failures of this address are rationed. */
static int
asked_until_told(struct world *at, size_t i, const char *credential)
{
	long deadline = process_deadline(LIMIT);
	int status;

	while ((status = world_http(at, asked[i].method, asked[i].path,
	    credential, asked[i].body)) == 429 && process_left(deadline))
		process_pause();
	return status;
}

static void
credentials_of(const struct world *of, struct world *at)
{
	const char *const all[] = {of->admin, of->station, of->hub};
	size_t i, k;

	for (i = 0; i < COUNT(asked); i++)
		for (k = 0; k < COUNT(all); k++)
			assert_case(asked_until_told(at, i, all[k]) == 401,
			    asked[i].path);
	/* meanwhile who is known here goes on */
	assert_int_equal(world_http(at, "GET", "/v1/orders", at->admin, NULL),
	    200);
}

static void
a_credential_of_one_is_none_at_the_other(void **state)
{
	(void)state;
	credentials_of(&a, &b);
	credentials_of(&b, &a);
	assert_int_equal(world_http(&a, "GET", "/v1/devices/SN0001", a.admin,
	    NULL), 200);
	the_answer_has(&a, "\"active\"");
}

static void
what_only_one_has_is_unknown_to_the_other(void **state)
{
	static const char *const post[] = {"/v1/devices/SN0007/revoke",
	    "/v1/devices/SN0007/suspend", "/v1/devices/SN0007/reinstate",
	    "/v1/devices/SN0007/void"};
	size_t i;

	(void)state;
	assert_int_equal(world_http(&b, "GET", "/v1/devices/SN0007", b.admin,
	    NULL), 404);
	for (i = 0; i < COUNT(post); i++)
		assert_case(world_http(&b, "POST", post[i], b.admin,
		    "{\"reason\":\"x\"}") == 404, post[i]);
	assert_int_equal(world_http(&b, "POST", "/v1/revocations", b.admin,
	    "{\"kind\":\"device\",\"id\":\"SN0007\",\"effect\":\"cut\"}"),
	    404);
	assert_int_equal(world_http(&b, "GET", "/v1/devices", b.admin, NULL),
	    200);
	the_answer_lacks(&b, "SN0007");
	assert_int_equal(world_http(&b, "GET", "/v1/groups", b.admin, NULL),
	    200);
	the_answer_lacks(&b, "only-in-a");
	assert_int_equal(world_http(&b, "GET", "/v1/audit?after=0&limit=1000",
	    b.admin, NULL), 200);
	the_answer_lacks(&b, "only-in-a");
	assert_int_equal(world_http(&a, "GET", "/v1/devices/SN0007", a.admin,
	    NULL), 200);
	the_answer_has(&a, "\"active\"");
}

/* A token of the other tenant says nothing here and cannot be harmed here. */
static void
foreign_token(struct world *at, struct world *of, const char *token)
{
	char form[TOKEN_ROOM + 16], body[TOKEN_ROOM + 16];

	(void)snprintf(form, sizeof(form), "token=%s", token);
	(void)snprintf(body, sizeof(body), "{\"token\":\"%s\"}", token);
	assert_int_equal(world_form(at, "/oauth2/introspect", at->admin,
	    form), 200);
	the_answer_has(at, "\"active\":false");
	the_answer_lacks(at, "\"sub\"");
	assert_int_equal(world_form(at, "/oauth2/introspect", at->hub, form),
	    200);
	the_answer_has(at, "\"active\":false");
	(void)world_form(at, "/oauth2/revoke", at->admin, form);
	(void)world_http(at, "POST", "/v1/explain", at->admin, body);
	the_answer_lacks(at, "\"serial\"");
	assert_int_equal(world_form(of, "/oauth2/introspect", of->hub, form),
	    200);
	the_answer_has(of, "\"active\":true");
}

static void
a_token_of_one_is_nothing_to_the_other(void **state)
{
	(void)state;
	foreign_token(&b, &a, token_a);
	foreign_token(&a, &b, token_b);
}

static void
a_gateway_of_one_refuses_tokens_and_devices_of_the_other(void **state)
{
	char at[ROOM], path[ROOM], identity[ROOM];
	const char *p;

	(void)state;
	assert_int_equal(world_show(&b, "SN0001", token_b), 0);
	assert_int_equal(world_show(&b, "SN0001", token_a), 1);
	assert_non_null(strstr(b.r.out, "REFUSED token_"));
	/* the device of a, at the gateway of b */
	assert_true(file_text(world_file(&b, "gateway.out", path), at,
	    sizeof(at)) > 0);
	at[strcspn(at, "\n")] = '\0';
	assert_int_equal(DEVICE(&a, "SN0001", "1.3", "connect", "--audience",
	    "hub", "--at", at + strlen("listening ")), 1);
	assert_int_equal(DEVICE(&a, "SN0001", "1.2", "connect", "--audience",
	    "hub", "--at", at + strlen("listening ")), 1);
	assert_int_equal(file_wait(b.gateway_log, "code=identity_unknown",
	    LIMIT), 0);
	/* and its identity, asked for by the gateway of b */
	assert_int_equal(DEVICE(&a, "SN0001", "1.3", "peers"), 0);
	p = strstr(a.r.out, "\"hub\"");
	assert_non_null(p);
	p = strstr(p, "\"identity\":\"");
	assert_non_null(p);
	(void)snprintf(identity, sizeof(identity), "{\"identity\":\"%.44s\","
	    "\"audience\":\"hub\",\"tls\":\"1.3\"}",
	    p + strlen("\"identity\":\""));
	assert_int_equal(world_http(&a, "POST", "/v1/psk", a.hub, identity),
	    200);
	assert_int_equal(world_http(&b, "POST", "/v1/psk", b.hub, identity),
	    404);
	assert_true(world_code(&b, "identity_unknown"));
	the_answer_lacks(&b, "\"key\"");
}

static void
an_assertion_for_one_is_none_for_the_other(void **state)
{
	const struct assertion_of of = {"SN0001", time(NULL), NULL};
	char jwt[ASSERTION_ROOM];

	(void)state;
	world_assertion(&a, &of, jwt);
	assert_int_equal(world_redeem(&b, jwt), 401);
	assert_true(world_code(&b, "assertion_unknown_identity"));
	assert_int_equal(world_redeem(&a, jwt), 200);
}

static void
revoking_in_one_does_not_touch_the_namesake_in_the_other(void **state)
{
	char form[TOKEN_ROOM + 16], before[4096], t[TOKEN_ROOM];

	(void)state;
	assert_int_equal(world_http(&a, "GET",
	    "/v1/revocations?after=0&limit=1000", a.hub, NULL), 200);
	(void)snprintf(before, sizeof(before), "%.*s",
	    (int)strcspn(a.a.body, "]"), a.a.body);
	assert_int_equal(world_http(&b, "POST", "/v1/devices/SN0001/revoke",
	    b.admin, "{}"), 200);
	assert_int_equal(world_http(&a, "GET",
	    "/v1/revocations?after=0&limit=1000", a.hub, NULL), 200);
	assert_int_equal(strncmp(a.a.body, before, strlen(before)), 0);
	(void)snprintf(form, sizeof(form), "token=%s", token_a);
	assert_int_equal(world_form(&a, "/oauth2/introspect", a.hub, form),
	    200);
	the_answer_has(&a, "\"active\":true");
	world_token(&a, "SN0001", t);
	assert_int_equal(world_show(&a, "SN0001", t), 0);
	assert_int_not_equal(DEVICE(&b, "SN0001", "1.3", "token"), 0);
}

static void
a_tenant_block_stays_in_its_tenant(void **state)
{
	char t[TOKEN_ROOM];

	(void)state;
	world_burn(&b, "SN0002");
	assert_int_equal(world_http(&b, "POST", "/v1/revocations", b.admin,
	    "{\"kind\":\"tenant\",\"id\":\"\",\"effect\":\"block\","
	    "\"expect\":1}"), 201);
	assert_int_not_equal(DEVICE(&b, "SN0002", "1.3", "token"), 0);
	world_token(&a, "SN0001", t);
	assert_int_equal(world_show(&a, "SN0001", t), 0);
}

static void
only_the_first_tenant_makes_tenants_and_sees_the_process(void **state)
{
	(void)state;
	assert_true(world_http(&b, "POST", "/v1/tenants", b.admin,
	    "{\"name\":\"third\"}") >= 400);
	assert_true(world_http(&a, "POST", "/v1/tenants", b.admin,
	    "{\"name\":\"third\"}") >= 400);
	assert_true(world_http(&b, "GET", "/metrics", b.admin, NULL) >= 400);
	assert_int_equal(world_http(&a, "GET", "/metrics", a.admin, NULL),
	    200);
	the_answer_lacks(&a, "other");
	/* and one that is not there says no more than a wrong credential */
	assert_int_equal(http_ask(authd_fixture_api(a.authd), "GET",
	    "/t/nobody/v1/devices", a.admin, NULL, NULL, -1, &a.a), 0);
	assert_true(a.a.status == 401 || a.a.status == 404);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(each_has_its_own_issuer_and_keys),
	    cmocka_unit_test(a_credential_of_one_is_none_at_the_other),
	    cmocka_unit_test(what_only_one_has_is_unknown_to_the_other),
	    cmocka_unit_test(a_token_of_one_is_nothing_to_the_other),
	    cmocka_unit_test(
		a_gateway_of_one_refuses_tokens_and_devices_of_the_other),
	    cmocka_unit_test(an_assertion_for_one_is_none_for_the_other),
	    cmocka_unit_test(
		revoking_in_one_does_not_touch_the_namesake_in_the_other),
	    cmocka_unit_test(a_tenant_block_stays_in_its_tenant),
	    cmocka_unit_test(
		only_the_first_tenant_makes_tenants_and_sees_the_process),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
