/*
 * Every row of the route table, asked of a real authd: without credential,
 * with a wrong one, with the wrong role, of the wrong tenant, with the wrong
 * method, too large, malformed. The table comes from the program itself.
 */
#include <unistd.h>

#include "tests/helpers/authd_fixture.h"
#include "tests/helpers/http_raw.h"
#include "tests/unit/unit.h"

#define ROWS_MAX 80
#define TICKET "AAAAAAAAAAAAAAAAAAAAAA"
#define UNKNOWN "fc_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"

struct row {
	char listener[8], method[8], path[96], roles[64];
	unsigned long max;
	int oauth;
};

static const char *const role_names[] = {"station", "gateway", "admin",
    "revoker", "auditor"};

static struct {
	struct authd_fixture *authd;
	uint16_t port;
	struct row rows[ROWS_MAX];
	size_t nrows;
	char credential[COUNT(role_names)][64];
	char stranger[64]; /* an admin of another tenant */
	struct http_answer a;
} env;

static int
is_api(const struct row *r)
{
	return strcmp(r->listener, "api") == 0;
}

static int
is_public(const struct row *r)
{
	return strcmp(r->roles, "public") == 0;
}

/* The path with names in the place of its parameters. */
static void
fill(const char *pattern, const char *prefix, const char *value, char *out,
    size_t size)
{
	size_t n = (size_t)snprintf(out, size, "%s", prefix);
	const char *p = pattern, *v;

	while (*p != '\0' && n + 100 < size) {
		if (*p != '{') {
			out[n++] = *p++;
			continue;
		}
		v = value != NULL ? value :
		    strncmp(p, "{number}", 8) == 0 ? "1" :
		    strncmp(p, "{tenant}", 8) == 0 ? "default" :
		    strncmp(p, "{ticket}", 8) == 0 ? TICKET : "none";
		n += (size_t)snprintf(out + n, size - n, "%s", v);
		p = strchr(p, '}') + 1;
	}
	out[n] = '\0';
}

static const char *
type_of(const struct row *r)
{
	return r->max == 0 ? NULL : r->oauth ? TYPE_FORM : TYPE_JSON;
}

static int
ask(const struct row *r, const char *prefix, const char *credential,
    const char *body)
{
	char path[256];

	fill(r->path, prefix, NULL, path, sizeof(path));
	return http_ask(env.port, r->method, path, credential,
	    body != NULL ? type_of(r) : NULL, body, -1, &env.a);
}

/* The same for what counts as a guess: these are rationed. */
static void
guess(const struct row *r, const char *prefix, const char *credential,
    const char *body)
{
	int i;

	for (i = 0; i < 3000; i++) {
		(void)ask(r, prefix, credential, body);
		if (env.a.status != 429)
			return;
		(void)usleep(20000);
	}
}

static const char *
valid_body(const struct row *r)
{
	return r->max == 0 ? NULL : r->oauth ? "token=x" : "{}";
}

/* Any credential the row takes. */
static const char *
right_credential(const struct row *r)
{
	size_t i;

	for (i = 0; i < COUNT(role_names); i++)
		if (strstr(r->roles, role_names[i]) != NULL)
			return env.credential[i];
	return NULL;
}

static void
assert_code(const struct row *r, int status, const char *code)
{
	char found[64] = "?";

	(void)http_member(&env.a, "code", found, sizeof(found));
	if (env.a.status != status ||
	    (code != NULL && strcmp(found, code) != 0))
		fail_msg("%s %s: %d %s, not %d %s", r->method, r->path,
		    env.a.status, found, status, code == NULL ? "" : code);
	if (!http_has(&env.a, "X-Request-Id", "") ||
	    !http_has(&env.a, "Cache-Control", "no-store"))
		fail_msg("%s %s: a header is missing", r->method, r->path);
	if (!r->oauth && status >= 400 &&
	    !http_has(&env.a, "Content-Type", "application/problem+json"))
		fail_msg("%s %s: no problem document", r->method, r->path);
}

static void
each(void (*check)(const struct row *))
{
	size_t i, n = 0;

	for (i = 0; i < env.nrows; i++)
		if (is_api(&env.rows[i])) {
			check(&env.rows[i]);
			n++;
		}
	assert_true(n >= 38);
}

static void
check_none(const struct row *r)
{
	(void)ask(r, "", NULL, valid_body(r));
	if (is_public(r)) {
		assert_case(env.a.status != 0 && env.a.status < 500, r->path);
		return;
	}
	assert_code(r, 401, "invalid_credential");
	assert_true(http_has(&env.a, "WWW-Authenticate", "Bearer"));
}

static void
without_credential_nothing_but_public_routes_answers(void **state)
{
	each(check_none);
}

static void
check_unknown(const struct row *r)
{
	if (is_public(r))
		return;
	guess(r, "", UNKNOWN, valid_body(r));
	assert_code(r, 401, "invalid_credential");
}

static void
a_made_up_credential_is_refused_everywhere(void **state)
{
	each(check_unknown);
}

static void
check_role(const struct row *r)
{
	size_t i;

	if (is_public(r))
		return;
	for (i = 0; i < COUNT(role_names); i++) {
		(void)ask(r, "", env.credential[i], valid_body(r));
		if (strstr(r->roles, role_names[i]) == NULL)
			assert_code(r, 403, "wrong_role");
		else if (env.a.status == 0 || env.a.status == 401 ||
		    strstr(env.a.body, "wrong_role") != NULL ||
		    env.a.status >= 500)
			fail_msg("%s %s as %s: %d %s", r->method, r->path,
			    role_names[i], env.a.status, env.a.body);
	}
}

static void
each_role_reaches_its_routes_and_no_others(void **state)
{
	each(check_role);
}

static void
check_tenant(const struct row *r)
{
	if (is_public(r))
		return;
	guess(r, "", env.stranger, valid_body(r));
	assert_code(r, 401, "invalid_credential");
	guess(r, "/t/other", right_credential(r), valid_body(r));
	if (env.a.status != 404) /* a route of tenant default only */
		assert_code(r, 401, "invalid_credential");
	(void)ask(r, "/t/nobody", right_credential(r), valid_body(r));
	assert_int_equal(env.a.status, 404);
}

static void
a_credential_is_worth_nothing_in_another_tenant(void **state)
{
	each(check_tenant);
}

static void
check_method(const struct row *r)
{
	static const char *const methods[] = {"PATCH", "OPTIONS", "TRACE",
	    "BREW"};
	char path[256];
	size_t i;

	fill(r->path, "", NULL, path, sizeof(path));
	for (i = 0; i < COUNT(methods); i++) {
		(void)http_ask(env.port, methods[i], path,
		    right_credential(r), NULL, NULL, -1, &env.a);
		if (env.a.status != 405 || !http_has(&env.a, "Allow", "") ||
		    strstr(env.a.head, r->method) == NULL)
			fail_msg("%s %s: %d", methods[i], path,
			    env.a.status);
	}
}

static void
a_wrong_method_is_told_the_right_ones(void **state)
{
	each(check_method);
}

static void
check_size(const struct row *r)
{
	char *body = malloc(r->max + 4096), path[256];
	size_t n, i;

	assert_non_null(body);
	fill(r->path, "", NULL, path, sizeof(path));
	/* announced */
	(void)http_ask(env.port, r->method, path, right_credential(r),
	    type_of(r), NULL, (long)r->max + 1, &env.a);
	assert_case(env.a.status == 413, r->path);
	/* not announced */
	n = (size_t)sprintf(body, "%s %s HTTP/1.1\r\nHost: t\r\n"
	    "Transfer-Encoding: chunked\r\n\r\n%lx\r\n", r->method, path,
	    r->max + 1);
	for (i = 0; i <= r->max; i++)
		body[n++] = 'a';
	memcpy(body + n, "\r\n0\r\n\r\n", 7);
	(void)http_raw(env.port, body, n + 7, &env.a);
	assert_case(env.a.status == 413, r->path);
	free(body);
}

static void
a_body_beyond_the_rows_limit_is_not_read(void **state)
{
	each(check_size);
}

static void
check_json(const struct row *r)
{
	static const char *const bodies[] = {"{", "[]", "null", "\"x\"",
	    "{\"a\":1}", "{\"reason\":1}", "{}{}", "{\"a\":1,\"a\":1}",
	    "{\"\\u0000\":1}", "\xff\xfe", "{\"name\":\"x\",}"};
	char path[256];
	size_t i;

	if (r->oauth || r->max == 0)
		return;
	for (i = 0; i < COUNT(bodies); i++) {
		(void)ask(r, "", right_credential(r), bodies[i]);
		assert_code(r, 400, NULL);
	}
	fill(r->path, "", NULL, path, sizeof(path));
	(void)http_ask(env.port, r->method, path, right_credential(r),
	    "text/plain", "{}", -1, &env.a);
	assert_code(r, 415, "unsupported_media_type");
}

static void
malformed_json_is_refused_with_its_code(void **state)
{
	each(check_json);
}

static void
check_form(const struct row *r)
{
	static const char *const bodies[] = {"", "=", "token=%", "token=%2",
	    "token=%zz", "token=a%00b", "grant_type=a&grant_type=b&token=",
	    "&&&", "x"};
	char path[256];
	size_t i;

	if (!r->oauth || r->max == 0)
		return;
	for (i = 0; i < COUNT(bodies); i++) {
		(void)ask(r, "", right_credential(r), bodies[i]);
		assert_code(r, 400, "invalid_request");
	}
	fill(r->path, "", NULL, path, sizeof(path));
	(void)http_ask(env.port, r->method, path, right_credential(r),
	    TYPE_JSON, "{}", -1, &env.a);
	assert_code(r, 415, "unsupported_media_type");
}

static void
malformed_forms_are_refused_with_their_code(void **state)
{
	each(check_form);
}

static void
check_names(const struct row *r)
{
	static const char *const bad[] = {"%zz", "a%2Fb", "a%00b", "%20",
	    "a%", "%C3%A4", "!"};
	char path[256];
	size_t i;

	if (strchr(r->path, '{') == NULL || is_public(r))
		return;
	for (i = 0; i < COUNT(bad); i++) {
		fill(r->path, "", bad[i], path, sizeof(path));
		(void)http_ask(env.port, r->method, path,
		    right_credential(r), type_of(r), valid_body(r), -1,
		    &env.a);
		assert_code(r, 400, "invalid_name");
	}
}

static void
malformed_names_in_a_path_are_refused(void **state)
{
	each(check_names);
}

static void
malformed_queries_are_refused(void **state)
{
	static const char *const paths[] = {"/v1/devices?limit=0",
	    "/v1/devices?limit=1001", "/v1/devices?limit=-1",
	    "/v1/devices?limit=1&limit=2", "/v1/devices?what=1",
	    "/v1/devices?state=x", "/v1/devices?after=9007199254740992",
	    "/v1/devices?order=%2F", "/v1/devices?prefix=%zz",
	    "/v1/revocations?after=x", "/v1/revocations?limit=0",
	    "/v1/audit?limit=00", "/v1/audit?after=1e3", "/v1/audit?=",
	    "/v1/devices?group=4294967296"};
	size_t i;

	for (i = 0; i < COUNT(paths); i++) {
		(void)http_ask(env.port, "GET", paths[i], env.credential[2],
		    NULL, NULL, -1, &env.a);
		assert_case(env.a.status == 400, paths[i]);
	}
}

static void
unknown_paths_are_not_found(void **state)
{
	static const char *const paths[] = {"/", "//", "/v1", "/v1/",
	    "/v1/devices/", "/v1/devices//suspend", "/../etc/passwd",
	    "/v1/orders/a/b/c", "/t/", "/t//healthz", "/t/default",
	    "/t/DEFAULT/readyz", "/v1/device", "/V1/devices", "/healthz/",
	    "/%68ealthz", "/v1/device/peers"};
	size_t i;

	for (i = 0; i < COUNT(paths); i++) {
		(void)http_ask(env.port, "GET", paths[i], env.credential[2],
		    NULL, NULL, -1, &env.a);
		assert_case(env.a.status == 404 &&
		    strstr(env.a.body, "nothing is at this path") != NULL,
		    paths[i]);
	}
}

static void
garbage_on_the_wire_gets_no_service(void **state)
{
	static const char *const texts[] = {"\r\n\r\n", "GET\r\n\r\n",
	    "GET / HTTP/9.9\r\n\r\n", "\x16\x03\x01\x02\x00\x01",
	    "GET /healthz HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
	    "GET /healthz HTTP/1.1\r\n\r\n", /* no Host */
	    "POST /v1/psk HTTP/1.1\r\nHost: t\r\nContent-Length: 2\r\n"
	    "Transfer-Encoding: chunked\r\n\r\n{}"};
	size_t i;

	for (i = 0; i < COUNT(texts); i++) {
		(void)http_raw(env.port, texts[i], strlen(texts[i]), &env.a);
		assert_case(env.a.status == 0 || env.a.status >= 400,
		    texts[i]);
	}
	assert_int_equal(http_ask(env.port, "GET", "/healthz", NULL, NULL,
	    NULL, -1, &env.a), 0);
	assert_int_equal(env.a.status, 200);
}

static void
the_device_listener_speaks_nothing_but_tls_psk(void **state)
{
	uint16_t port = authd_fixture_device(env.authd);
	char path[256];
	size_t i, n = 0;

	for (i = 0; i < env.nrows; i++) {
		if (is_api(&env.rows[i]))
			continue;
		n++;
		fill(env.rows[i].path, "", NULL, path, sizeof(path));
		(void)http_ask(port, env.rows[i].method, path,
		    env.credential[2], NULL, NULL, -1, &env.a);
		assert_int_equal(env.a.status, 0);
	}
	assert_int_equal(n, 7);
}

static void
both_ways_of_client_authentication_work_but_not_together(void **state)
{
	char body[256];

	(void)snprintf(body, sizeof(body), "token=x&client_id=admin&"
	    "client_secret=%s", authd_fixture_admin(env.authd));
	(void)http_ask(env.port, "POST", "/oauth2/introspect", NULL,
	    TYPE_FORM, body, -1, &env.a);
	assert_int_equal(env.a.status, 200);
	assert_non_null(strstr(env.a.body, "\"active\":false"));
	(void)http_ask(env.port, "POST", "/oauth2/introspect",
	    authd_fixture_admin(env.authd), TYPE_FORM, body, -1, &env.a);
	assert_int_equal(env.a.status, 400);
	(void)snprintf(body, sizeof(body), "token=x&client_id=eve&"
	    "client_secret=%s", authd_fixture_admin(env.authd));
	(void)http_ask(env.port, "POST", "/oauth2/introspect", NULL,
	    TYPE_FORM, body, -1, &env.a);
	assert_int_equal(env.a.status, 401);
}

static void
guessing_is_rationed_and_standing_callers_go_on(void **state)
{
	int i, limited = 0;

	for (i = 0; i < 2000 && !limited; i++) {
		(void)http_ask(env.port, "GET", "/v1/groups", UNKNOWN, NULL,
		    NULL, -1, &env.a);
		limited = env.a.status == 429;
		assert_true(limited || env.a.status == 401);
	}
	assert_true(limited);
	assert_true(http_has(&env.a, "Retry-After", ""));
	(void)http_ask(env.port, "GET", "/v1/groups",
	    authd_fixture_admin(env.authd), NULL, NULL, -1, &env.a);
	assert_int_equal(env.a.status, 200);
}

static int
read_table(void)
{
	const char *program = getenv("FEALTY_AUTHD");
	char command[512], line[256], rest[16];
	struct row *r;
	FILE *in;

	(void)snprintf(command, sizeof(command), "%s --print-routes",
	    program != NULL ? program : "authd/authd");
	in = popen(command, "r");
	while (in != NULL && fgets(line, sizeof(line), in) != NULL &&
	    env.nrows < ROWS_MAX) {
		r = &env.rows[env.nrows++];
		rest[0] = '\0';
		if (sscanf(line, "%7s %7s %95s %63s %lu %15s", r->listener,
			r->method, r->path, r->roles, &r->max, rest) < 5)
			return -1;
		r->oauth = strcmp(rest, "oauth") == 0;
	}
	return in != NULL && pclose(in) == 0 && env.nrows > 0 ? 0 : -1;
}

static int
make_callers(void)
{
	char body[256], admin[64];
	size_t i;

	(void)snprintf(admin, sizeof(admin), "%s",
	    authd_fixture_admin(env.authd));
	for (i = 0; i < COUNT(role_names); i++) {
		(void)snprintf(body, sizeof(body),
		    "{\"name\":\"t-%s\",\"role\":\"%s\"%s}", role_names[i],
		    role_names[i], i == 1 ? ",\"audiences\":[\"a\"]" : "");
		if (http_ask(env.port, "POST", "/v1/callers", admin,
			TYPE_JSON, body, -1, &env.a) != 0 ||
		    http_member(&env.a, "credential", env.credential[i],
			sizeof(env.credential[i])) != 0) {
			(void)fprintf(stderr, "%s\n", env.a.body);
			return -1;
		}
	}
	if (http_ask(env.port, "POST", "/v1/tenants", admin, TYPE_JSON,
		"{\"name\":\"other\"}", -1, &env.a) != 0)
		return -1;
	return http_member(&env.a, "admin_credential", env.stranger,
	    sizeof(env.stranger));
}

/* A new tenant is there within the follower's interval. */
static int
wait_tenant(void)
{
	int i;

	for (i = 0; i < 1000; i++) {
		if (http_ask(env.port, "GET",
			"/t/other/.well-known/jwks.json", NULL, NULL, NULL,
			-1, &env.a) == 0 && env.a.status == 200)
			return 0;
		(void)usleep(20000);
	}
	return -1;
}

static int
setup(void **state)
{
	if (read_table() != 0 || authd_fixture_start(NULL, &env.authd) != 0)
		return -1;
	env.port = authd_fixture_api(env.authd);
	return make_callers() != 0 ? -1 : wait_tenant();
}

static int
teardown(void **state)
{
	int status = env.authd == NULL ? 0 : authd_fixture_end(env.authd);

	authd_fixture_stop(&env.authd);
	return status;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(
		without_credential_nothing_but_public_routes_answers),
	    cmocka_unit_test(each_role_reaches_its_routes_and_no_others),
	    cmocka_unit_test(a_credential_is_worth_nothing_in_another_tenant),
	    cmocka_unit_test(a_made_up_credential_is_refused_everywhere),
	    cmocka_unit_test(a_wrong_method_is_told_the_right_ones),
	    cmocka_unit_test(a_body_beyond_the_rows_limit_is_not_read),
	    cmocka_unit_test(malformed_json_is_refused_with_its_code),
	    cmocka_unit_test(malformed_forms_are_refused_with_their_code),
	    cmocka_unit_test(malformed_names_in_a_path_are_refused),
	    cmocka_unit_test(malformed_queries_are_refused),
	    cmocka_unit_test(unknown_paths_are_not_found),
	    cmocka_unit_test(garbage_on_the_wire_gets_no_service),
	    cmocka_unit_test(the_device_listener_speaks_nothing_but_tls_psk),
	    cmocka_unit_test(
		both_ways_of_client_authentication_work_but_not_together),
	    cmocka_unit_test(guessing_is_rationed_and_standing_callers_go_on),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
