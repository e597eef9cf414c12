/*
 * A hostile client against a real authd: each test is an attack that must
 * leave it standing, and what it must say.
 */
#include <stdio.h>
#include <string.h>

#include "tests/helpers/authd_fixture.h"
#include "tests/helpers/http_raw.h"
#include "tests/unit/unit.h"

static struct authd_fixture *authd;

static int
setup(void **state)
{
	return authd_fixture_start(NULL, &authd);
}

static int
teardown(void **state)
{
	authd_fixture_stop(&authd);
	return 0;
}

static struct http_answer answer; /* the last one */

/* head: header lines each with its CRLF. Status, 0 without an answer. */
static int
send_raw(const char *line, const char *head, const char *body)
{
	char text[4096];
	int n;

	n = snprintf(text, sizeof(text), "%s HTTP/1.1\r\nHost: x\r\n%s\r\n%s",
	    line, head, body);
	assert_true(n > 0 && (size_t)n < sizeof(text));
	if (http_raw(authd_fixture_api(authd), text, (size_t)n, &answer) != 0)
		return 0;
	return answer.status;
}

/* Threat: one unauthenticated request ends the authority. */
static void
metadata_of_a_tenant_that_is_not_there_is_404_and_no_crash(void **state)
{
	static const char *const paths[] = {
	    "GET /.well-known/oauth-authorization-server/t/nobody",
	    "GET /.well-known/oauth-authorization-server/t/fealty-authority",
	    "GET /.well-known/oauth-authorization-server/t/%00",
	    "GET /.well-known/oauth-authorization-server/t/A",
	    "GET /t/nobody/.well-known/jwks.json",
	    "GET /t//v1/devices",
	};
	size_t i;

	for (i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
		assert_int_equal(send_raw(paths[i], "", ""), 404);
	assert_int_equal(send_raw("GET /healthz", "", ""), 200);
}

/* Threat: a proxy and authd cut one stream into different requests. */
static void
ambiguous_framing_is_refused(void **state)
{
	static const char *const heads[] = {
	    "Content-Length: 2\r\nContent-Length: 40\r\n",
	    "Content-Length: 2\r\nContent-Length: 2\r\n",
	    "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n",
	    "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
	    "Transfer-Encoding: xchunked\r\n",
	    "Transfer-Encoding: gzip, chunked\r\n",
	};
	size_t i;

	for (i = 0; i < sizeof(heads) / sizeof(heads[0]); i++)
		assert_int_equal(send_raw("POST /oauth2/token", heads[i],
		    "2\r\n{}\r\n0\r\n\r\n"), 400);
}

/* Threat: a proxy checks one credential, authd takes the other. */
static void
two_credentials_in_one_request_are_refused(void **state)
{
	char head[256];

	(void)snprintf(head, sizeof(head), "Authorization: Bearer %s\r\n",
	    authd_fixture_admin(authd));
	assert_int_equal(send_raw("GET /v1/orders", head, ""), 200);
	(void)snprintf(head, sizeof(head), "Authorization: Bearer %s\r\n"
	    "authorization: Bearer fc_x\r\n", authd_fixture_admin(authd));
	assert_int_equal(send_raw("GET /v1/orders", head, ""), 400);
}

static int
log_has(const char *text)
{
	FILE *f = fopen(authd_fixture_log(authd), "r");
	char line[4096];
	int found = 0;

	assert_non_null(f);
	while (!found && fgets(line, sizeof(line), f) != NULL)
		found = strstr(line, text) != NULL;
	(void)fclose(f);
	return found;
}

/* Threat: a credential in the wrong place comes to lie in the log. */
static void
a_misplaced_credential_reaches_no_log(void **state)
{
	const char *secret = authd_fixture_admin(authd);
	char line[256], head[256], body[128];

	(void)snprintf(head, sizeof(head), "Authorization: Bearer %s\r\n",
	    secret);
	(void)snprintf(line, sizeof(line), "GET /v1/devices?%s=1", secret);
	assert_int_equal(send_raw(line, head, ""), 400);
	(void)snprintf(line, sizeof(line), "GET /v1/devices/%s", secret);
	assert_int_equal(send_raw(line, head, ""), 404);
	(void)snprintf(line, sizeof(line), "GET /%s", secret);
	assert_int_equal(send_raw(line, head, ""), 404);
	(void)snprintf(line, sizeof(line), "POST /v1/devices/%s/suspend",
	    secret);
	assert_int_equal(send_raw(line, head, ""), 404);
	assert_int_equal(send_raw("GET /v1/audit?limit=1000", head, ""), 200);
	assert_null(strstr(answer.body, secret));
	(void)snprintf(body, sizeof(body), "{\"name\":\"g\",\"%s\":1}",
	    secret);
	(void)snprintf(head, sizeof(head), "Authorization: Bearer %s\r\n"
	    "Content-Type: application/json\r\nContent-Length: %zu\r\n",
	    secret, strlen(body));
	assert_int_equal(send_raw("POST /v1/groups", head, body), 400);
	assert_int_equal(send_raw("GET /v1/devices?%ff=1", "Authorization: "
	    "Bearer fc_x\r\n", ""), 401);
	assert_true(log_has("not known here"));
	assert_false(log_has(secret));
	/* nor enough of it to guess the rest */
	(void)snprintf(line, sizeof(line), "%.21s", secret);
	assert_false(log_has(line));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(
		metadata_of_a_tenant_that_is_not_there_is_404_and_no_crash),
	    cmocka_unit_test(ambiguous_framing_is_refused),
	    cmocka_unit_test(two_credentials_in_one_request_are_refused),
	    cmocka_unit_test(a_misplaced_credential_reaches_no_log),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
