/*
 * A stock OAuth client (curl and nothing of ours) against authd: metadata,
 * keys, the token endpoint, introspection and revocation as the RFCs say.
 */
#include "tests/scenario/world.h"

#include <time.h>

static struct world w;
static char token[TOKEN_ROOM];

static int
set_up(void **state)
{
	(void)state;
	world_open(&w, NULL);
	world_order(&w, 5);
	world_burn(&w, "SN0001");
	world_token(&w, "SN0001", token);
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	world_close(&w);
	return 0;
}

#define CURL(path, ...) curl(path, (const char *const[]){__VA_ARGS__, NULL})

/* The answer with its head in w.r.out; the status. */
static int
curl(const char *path, const char *const *args)
{
	char url[ROOM], whole[2 * ROOM];
	const char *argv[32] = {"curl", "-q", "-sS", "-i", "--noproxy", "*",
	    whole};
	size_t n = 7;

	(void)snprintf(whole, sizeof(whole), "%s%s", world_url(&w, url),
	    path);
	while (*args != NULL && n < 31)
		argv[n++] = *args++;
	assert_int_equal(process_run(argv, NULL, 60, &w.r), 0);
	assert_int_equal(strncmp(w.r.out, "HTTP/1.1 ", 9), 0);
	return (int)strtol(w.r.out + 9, NULL, 10);
}

static void
has(const char *text)
{
	if (strcasestr(w.r.out, text) == NULL)
		fail_msg("no %s in %s", text, w.r.out);
}

static void
lacks(const char *text)
{
	if (strcasestr(w.r.out, text) != NULL)
		fail_msg("%s in %s", text, w.r.out);
}

static void
introspected(const char *how, const char *value)
{
	char form[TOKEN_ROOM + 16];

	(void)snprintf(form, sizeof(form), "token=%s", token);
	assert_int_equal(CURL("/oauth2/introspect", how, value,
	    "--data-urlencode", form), 200);
	has("Content-Type: application/json");
	has("\"active\":true");
	has("\"sub\":\"SN0001\"");
	has("\"client_id\":\"SN0001\"");
	has("\"token_type\":\"Bearer\"");
	has("\"exp\":");
	has("\"scope\":\"device\"");
}

static void
introspection_takes_client_secret_basic(void **state)
{
	char user[2 * ROOM];

	(void)state;
	(void)snprintf(user, sizeof(user), "hub1:%s", w.hub);
	introspected("--user", user);
}

static void
introspection_takes_client_secret_post(void **state)
{
	char form[2 * ROOM];

	(void)state;
	(void)snprintf(form, sizeof(form), "client_id=hub1&client_secret=%s",
	    w.hub);
	introspected("--data", form);
}

static void
introspection_takes_a_bearer_credential(void **state)
{
	char header[2 * ROOM];

	(void)state;
	(void)snprintf(header, sizeof(header), "Authorization: Bearer %s",
	    w.hub);
	introspected("--header", header);
	introspected("--oauth2-bearer", w.hub);
}

static void
wrong_clients_are_told_so_as_rfc_6749_says(void **state)
{
	char user[2 * ROOM], form[2 * ROOM];

	(void)state;
	assert_int_equal(CURL("/oauth2/introspect", "--data", "token=x"),
	    401);
	has("WWW-Authenticate:");
	has("\"error\":\"invalid_client\"");
	/* the right secret under another's name */
	(void)snprintf(user, sizeof(user), "line1:%s", w.hub);
	assert_int_equal(CURL("/oauth2/introspect", "--user", user, "--data",
	    "token=x"), 401);
	has("WWW-Authenticate: Basic");
	has("\"error\":\"invalid_client\"");
	/* two ways at once (RFC 6749 section 2.3) */
	(void)snprintf(user, sizeof(user), "hub1:%s", w.hub);
	(void)snprintf(form, sizeof(form),
	    "token=x&client_id=hub1&client_secret=%s", w.hub);
	assert_true(CURL("/oauth2/introspect", "--user", user, "--data",
	    form) >= 400);
	/* a role that may not */
	(void)snprintf(user, sizeof(user), "line1:%s", w.station);
	assert_int_equal(CURL("/oauth2/introspect", "--user", user, "--data",
	    "token=x"), 403);
}

static void
introspection_of_what_is_no_token_is_inactive(void **state)
{
	char user[2 * ROOM];

	(void)state;
	(void)snprintf(user, sizeof(user), "hub1:%s", w.hub);
	assert_int_equal(CURL("/oauth2/introspect", "--user", user, "--data",
	    "token=nonsense&token_type_hint=access_token"), 200);
	has("\"active\":false");
	lacks("\"sub\"");
	assert_int_equal(CURL("/oauth2/introspect", "--user", user, "--data",
	    "token_type_hint=access_token"), 400);
	has("\"error\":\"invalid_request\"");
}

static void
a_client_assertion_gets_a_token(void **state)
{
	const struct assertion_of of = {"SN0001", time(NULL), NULL};
	char jwt[ASSERTION_ROOM], form[ASSERTION_ROOM + 32];

	(void)state;
	world_assertion(&w, &of, jwt);
	(void)snprintf(form, sizeof(form), "client_assertion=%s", jwt);
	assert_int_equal(CURL("/oauth2/token", "--data",
	    "grant_type=client_credentials", "--data-urlencode",
	    "client_assertion_type=urn:ietf:params:oauth:"
	    "client-assertion-type:jwt-bearer", "--data-urlencode", form),
	    200);
	has("Cache-Control: no-store");
	has("\"access_token\":\"ey");
	has("\"token_type\":\"Bearer\"");
	has("\"expires_in\":600");
	has("\"scope\":\"device\"");
	has("X-Request-Id:");
}

static void
token_requests_that_are_wrong_get_rfc_6749_s_errors(void **state)
{
	(void)state;
	assert_int_equal(CURL("/oauth2/token", "--data",
	    "grant_type=password&username=a&password=b"), 400);
	has("\"error\":\"unsupported_grant_type\"");
	has("Cache-Control: no-store");
	assert_int_equal(CURL("/oauth2/token", "--data", "scope=device"),
	    400);
	has("\"error\":\"invalid_request\"");
	assert_int_equal(CURL("/oauth2/token", "--data",
	    "grant_type=client_credentials&grant_type=client_credentials"),
	    400);
	has("\"error\":\"invalid_request\"");
	assert_int_equal(CURL("/oauth2/token", "--data",
	    "grant_type=client_credentials"), 401);
	has("\"error\":\"invalid_client\"");
	assert_int_equal(CURL("/oauth2/token", "--header",
	    "Content-Type: application/json", "--data", "{}"), 415);
	assert_int_equal(CURL("/oauth2/token", "--get"), 405);
	has("Allow:");
}

static void
the_metadata_say_what_rfc_8414_asks_for(void **state)
{
	static const char *const members[] = {"token_endpoint",
	    "introspection_endpoint", "revocation_endpoint", "jwks_uri"};
	char text[2 * ROOM], url[ROOM];
	size_t i;

	(void)state;
	assert_int_equal(CURL("/.well-known/oauth-authorization-server",
	    "--compressed"), 200);
	has("Content-Type: application/json");
	(void)snprintf(text, sizeof(text), "\"issuer\":\"%s\"",
	    world_url(&w, url));
	has(text);
	for (i = 0; i < COUNT(members); i++) {
		(void)snprintf(text, sizeof(text), "\"%s\":\"%s/",
		    members[i], url);
		has(text);
	}
	has("\"response_types_supported\":[");
	has("\"grant_types_supported\":[\"client_credentials\"]");
	has("\"token_endpoint_auth_methods_supported\":"
	    "[\"client_secret_jwt\",\"private_key_jwt\"]");
	has("\"token_endpoint_auth_signing_alg_values_supported\":"
	    "[\"HS256\"");
	has("\"introspection_endpoint_auth_methods_supported\":[");
	has("\"client_secret_basic\"");
	has("\"client_secret_post\"");
}

static void
the_keys_are_public_and_a_token_names_one(void **state)
{
	(void)state;
	assert_int_equal(CURL("/.well-known/jwks.json", "--compressed"), 200);
	has("\"keys\":[");
	has("\"kty\":\"EC\"");
	has("\"crv\":\"P-256\"");
	has("\"kid\":\"");
	lacks("\"d\":");
	lacks("\"oct\"");
}

static void
revocation_answers_200_also_for_what_is_unknown(void **state)
{
	char user[2 * ROOM], form[TOKEN_ROOM + 16];

	(void)state;
	(void)snprintf(user, sizeof(user), "hub1:%s", w.hub);
	(void)snprintf(form, sizeof(form), "token=%s", token);
	assert_int_equal(CURL("/oauth2/revoke", "--user", user, "--data",
	    "token=nonsense"), 200);
	assert_int_equal(CURL("/oauth2/revoke", "--user", user,
	    "--data-urlencode", form), 200);
	assert_int_equal(CURL("/oauth2/revoke", "--user", user,
	    "--data-urlencode", form), 200);
	assert_int_equal(CURL("/oauth2/introspect", "--user", user,
	    "--data-urlencode", form), 200);
	has("\"active\":false");
	lacks("\"sub\"");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(introspection_takes_client_secret_basic),
	    cmocka_unit_test(introspection_takes_client_secret_post),
	    cmocka_unit_test(introspection_takes_a_bearer_credential),
	    cmocka_unit_test(wrong_clients_are_told_so_as_rfc_6749_says),
	    cmocka_unit_test(introspection_of_what_is_no_token_is_inactive),
	    cmocka_unit_test(a_client_assertion_gets_a_token),
	    cmocka_unit_test(
		token_requests_that_are_wrong_get_rfc_6749_s_errors),
	    cmocka_unit_test(the_metadata_say_what_rfc_8414_asks_for),
	    cmocka_unit_test(the_keys_are_public_and_a_token_names_one),
	    cmocka_unit_test(revocation_answers_200_also_for_what_is_unknown),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
