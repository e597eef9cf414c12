/*
 * fealty-agent, a process of its own, against an authority in this one: what
 * proxies are told, and what they must never be told.
 */
#include "tests/unit/agent_kit.h"

#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>
#include "lib/base/b64url.h"

#define MANY 64 /* requests that wait at once */

/* ---- /auth ---------------------------------------------------------- */

static void
a_good_token_passes_and_its_device_is_named(void **state)
{
	struct agent_world *w = *state;
	char token[4200];

	token_of(w, 1, "read write", token);
	assert_int_equal(auth_at(w, "/auth", token), 204);
	assert_true(http_has(&w->a, "Fealty-Device", "dev-1\r\n"));
	assert_true(http_has(&w->a, "Fealty-Groups", "11\r\n"));
	assert_true(http_has(&w->a, "Fealty-Scope", "read write\r\n"));
	assert_true(http_has(&w->a, "Fealty-Staleness", ""));
	assert_true(http_has(&w->a, "Fealty-Code", "ok\r\n"));
	assert_false(http_has(&w->a, "Connection", "close"));
}

static void
without_a_token_it_is_401_and_says_what_is_wanted(void **state)
{
	struct agent_world *w = *state;

	assert_int_equal(auth_at(w, "/auth", NULL), 401);
	assert_true(http_has(&w->a, "WWW-Authenticate",
	    "Bearer realm=\"fealty\"\r\n"));
	assert_true(http_has(&w->a, "Fealty-Code", "invalid_credential"));
	assert_true(http_has(&w->a, "Fealty-Device", "-\r\n"));
	assert_int_equal(auth_at(w, "/auth", "x.y.z"), 401);
	assert_true(http_has(&w->a, "WWW-Authenticate",
	    "Bearer realm=\"fealty\", error=\"invalid_token\""));
}

static int
is_refused_after(struct agent_world *w, const char *token, int status,
    const char *code)
{
	return (auth_at(w, "/auth", token) == status &&
	    http_has(&w->a, "Fealty-Code", code));
}

static void
a_revocation_ends_what_was_accepted_before(void **state)
{
	struct agent_world *w = *state;
	char token[4200], other[4200];

	token_of(w, 1, NULL, token);
	token_of(w, 2, NULL, other);
	assert_int_equal(auth_at(w, "/auth", token), 204);
	authd_event(w->authd, EV_DEVICE, 1, EFFECT_BLOCK);
	eventually(is_refused_after(w, token, 403, "device_"));
	assert_true(http_has(&w->a, "Fealty-Device", "-\r\n"));
	assert_int_equal(auth_at(w, "/auth", other), 204);
	authd_event(w->authd, EV_DEVICE, 2, EFFECT_CUT);
	eventually(is_refused_after(w, other, 401, "token_cut"));
}

static void
a_token_ahead_of_the_feed_waits_for_it_and_passes(void **state)
{
	struct agent_world *w = *state;
	char token[4200];

	authd_event(w->authd, EV_DEVICE, 5, EFFECT_CUT);
	token_of(w, 3, NULL, token);
	assert_int_equal(auth_at(w, "/auth", token), 204);
}

static void
a_scope_that_is_lacking_is_403_whatever_the_client_adds(void **state)
{
	struct agent_world *w = *state;
	char token[4200], request[5000];

	token_of(w, 1, "read write", token);
	assert_int_equal(auth_at(w, "/auth?scope=read", token), 204);
	assert_int_equal(auth_at(w, "/auth?scope=write%20read", token), 204);
	assert_int_equal(auth_at(w, "/auth?scope=rea", token), 403);
	assert_true(http_has(&w->a, "Fealty-Code", "wrong_scope"));
	assert_true(http_has(&w->a, "WWW-Authenticate", "Bearer "
	    "realm=\"fealty\", error=\"insufficient_scope\", "
	    "scope=\"rea\""));
	assert_int_equal(auth_at(w, "/auth?scope=read&scope=admin", token),
	    403);
	/* a slip in a configuration does not open */
	assert_int_equal(auth_at(w, "/auth?scop=read", token), 403);
	assert_int_equal(auth_at(w, "/auth?scope", token), 403);
	assert_int_equal(auth_at(w, "/auth?scope=", token), 403);
	assert_int_equal(auth_at(w, "/auth?scope=%20", token), 403);
	assert_int_equal(auth_at(w, "/auth?scope=%00admin", token), 403);
	/* a client's header adds to the query, it does not replace it */
	(void)snprintf(request, sizeof(request), "GET /auth?scope=admin "
	    "HTTP/1.1\r\nHost: t\r\nFealty-Require-Scope: read\r\n"
	    "Authorization: Bearer %s\r\n\r\n", token);
	assert_int_equal(ask_socket(w, request), 403);
	(void)snprintf(request, sizeof(request), "GET /auth "
	    "HTTP/1.1\r\nHost: t\r\nFealty-Require-Scope: write\r\n"
	    "authorization: bearer  %s\r\n\r\n", token);
	assert_int_equal(ask_socket(w, request), 204);
}

static void
envoy_s_path_and_method_are_the_client_s_and_say_nothing(void **state)
{
	struct agent_world *w = *state;
	char token[4200], request[5000];

	token_of(w, 1, "read", token);
	assert_int_equal(auth_at(w, "/ext_authz/any/path?scope=x", token),
	    200);
	(void)snprintf(request, sizeof(request), "DELETE /ext_authz/x?a=b "
	    "HTTP/1.1\r\nHost: t\r\nFealty-Require-Scope: admin\r\n"
	    "Authorization: Bearer %s\r\n\r\n", token);
	assert_int_equal(ask_socket(w, request), 403);
	assert_int_equal(auth_at(w, "/ext_authz/x", NULL), 401);
}

static void
two_authorizations_are_refused(void **state)
{
	struct agent_world *w = *state;
	char token[4200], request[9000];

	token_of(w, 1, NULL, token);
	(void)snprintf(request, sizeof(request), "GET /auth HTTP/1.1\r\n"
	    "Host: t\r\nAuthorization: Basic x\r\n"
	    "Authorization: Bearer %s\r\n\r\n", token);
	assert_int_equal(ask_socket(w, request), 403);
	(void)snprintf(request, sizeof(request), "POST /auth HTTP/1.1\r\n"
	    "Host: t\r\nAuthorization: Bearer %s\r\n\r\n", token);
	assert_int_equal(ask_socket(w, request), 403);
}

/* Threat: waiting requests take the event loop, or are never answered. */
static void
requests_that_wait_hold_up_nobody_and_stop_ends_them(void **state)
{
	struct agent_world *w = *state;
	struct token_claims c;
	char token[4200], request[5000];
	int fd[MANY], status;

	authd_claims(w->authd, 1, &c);
	c.pos += 1000; /* of events that never come */
	authd_sign(w->authd, &c, token, sizeof(token));
	(void)snprintf(request, sizeof(request), "GET /auth HTTP/1.1\r\n"
	    "Host: t\r\nAuthorization: Bearer %s\r\n\r\n", token);
	for (int i = 0; i < MANY; i++) {
		fd[i] = http_connect(w->port);
		assert_true(fd[i] >= 0);
		assert_int_equal(http_send(fd[i], request, strlen(request)),
		    0);
	}
	token_of(w, 2, NULL, token);
	assert_int_equal(auth_at(w, "/auth", token), 204);
	for (int i = 0; i < MANY; i++) {
		assert_int_equal(http_receive(fd[i], 0, &w->a), 0);
		assert_int_equal(w->a.status, 403);
		assert_true(http_has(&w->a, "Fealty-Code", "position_ahead"));
		assert_true(http_has(&w->a, "Retry-After", "1"));
		/* and again, to be waiting when it ends */
		assert_int_equal(http_send(fd[i], request, strlen(request)),
		    0);
	}
	status = process_stop(&w->agent, SIGTERM);
	for (int i = 0; i < MANY; i++)
		(void)close(fd[i]);
	assert_int_equal(status, 0);
}

static void
tokens_and_keys_are_in_no_log_line(void **state)
{
	static char text[1 << 20];
	struct agent_world *w = *state;
	char token[4200], id[PSKID_LEN + 1], key[64];
	struct key32 k;

	token_of(w, 1, NULL, token);
	assert_int_equal(auth_at(w, "/auth", token), 204);
	device_identity(1, id);
	assert_int_equal(ask_key(w, id, "1.3"), 200);
	assert_int_equal(file_wait(w->err, "\"/psk\"", 20), 0);
	assert_true(file_text(w->err, text, sizeof(text)) > 0);
	assert_non_null(strstr(text, "\"device\":\"dev-1\""));
	device_key(1, 13, &k);
	b64url_encode(k.b, sizeof(k.b), key);
	assert_null(strstr(text, key));
	assert_null(strstr(text, token));
	assert_null(strstr(text, strrchr(token, '.')));
}

/* ---- out of touch --------------------------------------------------- */

static int
set_up_impatient(void **state)
{
	const char *const more[] = {"--max-stale", "400ms", NULL};

	return (set_up_with(state, more));
}

static int
set_up_open(void **state)
{
	const char *const more[] = {"--max-stale", "400ms", "--when-stale",
	    "open", "--stale-limit", "1h", NULL};

	return (set_up_with(state, more));
}

static void
out_of_touch_it_lets_nobody_in_until_it_is_back(void **state)
{
	struct agent_world *w = *state;
	char token[4200];

	token_of(w, 1, NULL, token);
	assert_int_equal(auth_at(w, "/auth", token), 204);
	authd_down(w->authd, 1);
	eventually(is_refused_after(w, token, 403, "stale"));
	assert_true(http_has(&w->a, "Retry-After", "1"));
	assert_false(is_ready(w));
	assert_int_equal(w->a.status, 503);
	assert_int_equal(auth_at(w, "/ext_authz", token), 403);
	authd_down(w->authd, 0);
	eventually(auth_at(w, "/auth", token) == 204);
	assert_true(is_ready(w));
}

/* How stale the last answer was. */
static unsigned long
staleness(const struct agent_world *w)
{
	const char *p = strstr(w->a.head, "Fealty-Staleness: ");

	return (p == NULL ? 0 : strtoul(p + 18, NULL, 10));
}

static void
where_the_policy_is_open_the_staleness_is_told(void **state)
{
	struct agent_world *w = *state;
	char token[4200];

	token_of(w, 1, NULL, token);
	assert_int_equal(auth_at(w, "/auth", token), 204);
	authd_down(w->authd, 1);
	eventually(auth_at(w, "/auth", token) != 204 || staleness(w) > 400);
	assert_int_equal(w->a.status, 204);
}

static void
the_socket_is_for_its_group_and_nobody_else(void **state)
{
	struct agent_world *w = *state;
	struct stat st;

	assert_int_equal(stat(w->socket, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0660);
}

static void
a_socket_in_use_is_not_taken_and_a_dead_one_is(void **state)
{
	struct agent_world *w = *state;
	const char *argv[] = {"build:gateway/agent/fealty-agent", "--url",
	    authd_url(w->authd), "--credential-file",
	    authd_credential(w->authd), "--audience", AUDIENCE, "--socket",
	    w->socket, NULL};
	static struct ran ran;

	assert_int_equal(process_run(argv, NULL, 20, &ran), 2);
	assert_non_null(strstr(ran.err, "in use"));
	assert_true(is_ready(w));
	(void)process_stop(&w->agent, SIGKILL);
	start_agent(w, NULL);
	eventually(is_ready(w));
}

static void
it_listens_on_this_machine_only(void **state)
{
	struct agent_world *w = *state;
	const char *argv[] = {"build:gateway/agent/fealty-agent", "--url",
	    authd_url(w->authd), "--credential-file",
	    authd_credential(w->authd), "--audience", AUDIENCE, "--listen",
	    "0.0.0.0:0", NULL};
	static struct ran ran;

	assert_int_equal(process_run(argv, NULL, 20, &ran), 2);
	assert_non_null(strstr(ran.err, "loopback only"));
}

/* To the library it is "the default": looser than what was meant. */
static void
zero_is_no_limit_of_freshness(void **state)
{
	struct agent_world *w = *state;
	static const char *const names[] = {"--max-stale", "--stale-limit"};
	const char *argv[] = {"build:gateway/agent/fealty-agent", "--url",
	    authd_url(w->authd), "--credential-file",
	    authd_credential(w->authd), "--audience", AUDIENCE, "--listen",
	    "127.0.0.1:0", NULL, "0s", NULL};
	static struct ran ran;

	for (size_t i = 0; i < COUNT(names); i++) {
		argv[9] = names[i];
		assert_int_equal(process_run(argv, NULL, 20, &ran), 2);
		assert_non_null(strstr(ran.err, "more than 0"));
	}
}

/* ---- /status, /metrics ---------------------------------------------- */

static void
status_and_metrics_tell_position_lag_and_staleness(void **state)
{
	struct agent_world *w = *state;
	char want[80];

	authd_event(w->authd, EV_DEVICE, 6, EFFECT_CUT);
	(void)snprintf(want, sizeof(want), "\"position\":%llu,\"lag\":0,",
	    (unsigned long long)authd_head(w->authd));
	eventually(is_ready(w) && strstr(w->a.body, want) != NULL);
	assert_non_null(strstr(w->a.body, "\"staleness_ms\":"));
	assert_int_equal(auth_at(w, "/auth", NULL), 401);
	assert_int_equal(http_ask(w->port, "GET", "/metrics", NULL, NULL,
	    NULL, -1, &w->a), 0);
	assert_int_equal(w->a.status, 200);
	assert_non_null(strstr(w->a.body, "\nfealty_gateway_ready 1\n"));
	assert_non_null(strstr(w->a.body, "\nfealty_gateway_lag_events 0\n"));
	assert_non_null(strstr(w->a.body,
	    "{route=\"/auth\",result=\"refused\"} 1\n"));
	assert_int_equal(auth_at(w, "/nothing", NULL), 404);
}

int
main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
	    CASE(a_good_token_passes_and_its_device_is_named),
	    CASE(without_a_token_it_is_401_and_says_what_is_wanted),
	    CASE(a_revocation_ends_what_was_accepted_before),
	    CASE(a_token_ahead_of_the_feed_waits_for_it_and_passes),
	    CASE(a_scope_that_is_lacking_is_403_whatever_the_client_adds),
	    CASE(envoy_s_path_and_method_are_the_client_s_and_say_nothing),
	    CASE(two_authorizations_are_refused),
	    CASE(requests_that_wait_hold_up_nobody_and_stop_ends_them),
	    CASE(tokens_and_keys_are_in_no_log_line),
	    cmocka_unit_test_setup_teardown(
		out_of_touch_it_lets_nobody_in_until_it_is_back,
		set_up_impatient, tear_down),
	    cmocka_unit_test_setup_teardown(
		where_the_policy_is_open_the_staleness_is_told,
		set_up_open, tear_down),
	    CASE(the_socket_is_for_its_group_and_nobody_else),
	    CASE(a_socket_in_use_is_not_taken_and_a_dead_one_is),
	    CASE(it_listens_on_this_machine_only),
	    CASE(zero_is_no_limit_of_freshness),
	    CASE(status_and_metrics_tell_position_lag_and_staleness),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
