/*
 * What dies with a revocation, all of it over real sockets, with two authd
 * and a gateway behind them: what a device holds, and each of its ways back
 * in. And that no device gets out of reach of a revocation of its group by
 * what it obtained before it was in it.
 */
#include "tests/scenario/world.h"

#include <signal.h>
#include <unistd.h>

#include "tests/helpers/psk_client.h"

#define LIMIT 60

static const char *const extra[] = {"--issuer", ISSUER, NULL};
static struct world w, w2; /* w2: the same by the second authd */
static struct world *const both[] = {&w, &w2};

static int
set_up(void **state)
{
	const char *urls[3] = {NULL, NULL, NULL};
	struct authd_fixture *second;

	(void)state;
	(void)signal(SIGPIPE, SIG_IGN);
	world_open(&w, extra);
	assert_int_equal(authd_fixture_second(w.authd, extra, &second), 0);
	world_order(&w, 10);
	world_enrol(&w, "hub2");
	urls[0] = authd_fixture_url(second);
	urls[1] = authd_fixture_url(w.authd);
	world_follow(&w, urls, "127.0.0.1:0");
	w2 = w;
	w2.owner = 0;
	w2.authd = second;
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	authd_fixture_stop(&w2.authd);
	world_close(&w);
	return 0;
}

/* What a device holds: a token, a key at the gateway, a session there and a
 * connection to the authority. */
struct held {
	const char *serial;
	char token[TOKEN_ROOM];
	struct psk_device key;
	struct psk_client listener; /* of the second authd */
	pid_t session;
	char heard[ROOM]; /* file of what the session heard */
};

static void
gets_all(struct held *h)
{
	const struct psk_how how = {.audience = FEALTY_AUTHORITY,
	    .port = authd_fixture_device(w2.authd), .tls = FEALTY_TLS13};
	static struct http_answer a;
	char name[ROOM], path[ROOM];

	(void)snprintf(name, sizeof(name), "burned/%s.cbor", h->serial);
	assert_int_equal(psk_device_read(world_file(&w, name, path),
	    &h->key), 0);
	world_token(&w2, h->serial, h->token);
	h->session = world_hold(&w, h->serial, h->heard);
	world_shown(&w, h->serial, h->token, "OK device=");
	assert_true(world_active(&w, h->token));
	assert_true(world_active(&w2, h->token));
	assert_int_equal(psk_client_open(&h->listener, &h->key, &how), 0);
	assert_int_equal(psk_client_http(&h->listener, "/v1/device", NULL,
	    &a), 200);
}

static void
lets_go(struct held *h)
{
	psk_client_close(&h->listener);
	(void)process_stop(&h->session, SIGTERM);
}

/* Its session was told this and closed. */
static void
session_told(struct held *h, const char *code)
{
	char line[ROOM];

	(void)snprintf(line, sizeof(line), "CLOSED %s\n", code);
	if (file_wait(h->heard, line, LIMIT) != 0)
		fail_msg("%s was not told %s", h->serial, code);
	world_ended(&h->session);
}

static int
says_of(struct world *at, const char *token, const char *code)
{
	char member[ROOM];

	if (world_active(at, token))
		return code == NULL;
	(void)snprintf(member, sizeof(member), "\"code\":\"%s\"",
	    code == NULL ? "" : code);
	return code != NULL && strstr(at->a.body, member) != NULL;
}

/* At both authd, for a gateway that asks; code NULL: that it is active. The
 * one that was not told may know a moment later. */
static void
token_is(const char *token, const char *code)
{
	long deadline = process_deadline(LIMIT);
	size_t i;

	for (i = 0; i < COUNT(both); i++)
		while (!says_of(both[i], token, code)) {
			if (!process_left(deadline))
				fail_msg("not %s: %s", code == NULL ?
				    "active" : code, both[i]->a.body);
			process_pause();
		}
}

/* The gateway's question for its key, at both authd. */
static void
key_is(const struct held *h, int status, const char *code)
{
	const struct fealty_peer *p = fealty_record_peer(&h->key.record,
	    "hub");
	char body[200];
	size_t i;

	(void)snprintf(body, sizeof(body), "{\"identity\":\"%.*s\","
	    "\"audience\":\"hub\",\"tls\":\"1.3\"}",
	    (int)p->identity.len, p->identity.p);
	for (i = 0; i < COUNT(both); i++) {
		assert_int_equal(world_http(both[i], "POST", "/v1/psk", w.hub,
		    body), status);
		if (code != NULL)
			assert_true(world_code(both[i], code));
		assert_true((strstr(both[i]->a.body, "\"key\"") != NULL) ==
		    (status == 200));
	}
}

/* A token is asked for in each way, at both; the refusal says why. */
static void
gives_no_token(const char *serial, const char *code)
{
	char nonce[ROOM], jwt[ASSERTION_ROOM];
	const struct assertion_of of = {serial, 0, nonce};
	size_t i;

	for (i = 0; i < COUNT(both); i++) {
		char at[ROOM];

		(void)snprintf(at, sizeof(at), "127.0.0.1:%u",
		    authd_fixture_device(both[i]->authd));
		world_nonce(both[i], nonce);
		world_assertion(both[i], &of, jwt);
		assert_int_not_equal(world_redeem(both[i], jwt), 200);
		assert_true(world_code(both[i], code));
		assert_int_equal(DEVICE(both[i], serial, "1.3", "token",
		    "--at", at), 1);
		assert_true(world_says(both[i], code));
		assert_int_equal(DEVICE(both[i], serial, "1.2", "token",
		    "--at", at), 1);
		assert_true(world_says(both[i], code));
	}
}

/* The gateway does not say why, but in its log. */
static void
no_handshake(const char *serial)
{
	char line[ROOM];

	assert_int_equal(DEVICE(&w, serial, "1.3", "connect", "--audience",
	    "hub"), 1);
	assert_int_equal(DEVICE(&w, serial, "1.2", "connect", "--audience",
	    "hub"), 1);
	(void)snprintf(line, sizeof(line), "handshake refused device=%s code=",
	    serial);
	assert_int_equal(file_wait(w.gateway_log, line, LIMIT), 0);
}

/* Its standing connection to the authority says why it gets nothing. */
static void
listener_tells(struct held *h, const char *code)
{
	static struct http_answer a;
	int status = psk_client_http(&h->listener, "/oauth2/token",
	    "grant_type=client_credentials", &a);

	assert_int_equal(status, 400);
	if (strstr(a.body, code) == NULL)
		fail_msg("not %s: %s", code, a.body);
	psk_client_close(&h->listener);
}

/* by_event: as an event tells it; by_state: as the authority knows it. */
static void
all_of_it_is_dead(struct held *h, const char *by_event, const char *by_state)
{
	session_told(h, by_event);
	token_is(h->token, by_event);
	key_is(h, 403, by_state);
	gives_no_token(h->serial, by_state);
	no_handshake(h->serial);
	listener_tells(h, by_state);
}

static void
revoked_all_it_holds_dies_and_each_way_back_is_shut(void **state)
{
	struct held h = {.serial = "SN0001"};

	(void)state;
	world_burn(&w, h.serial);
	gets_all(&h);
	CTL(&w, "revoke", "device:SN0001", "--wait", "20s");
	assert_true(world_says(&w, "enforced at 1 of 1 gateways"));
	all_of_it_is_dead(&h, "device_blocked", "device_revoked");
	/* it does not come back through the factory either */
	assert_int_equal(world_burn_status(&w, h.serial), 1);
	assert_int_equal(world_http(&w2, "POST",
	    "/v1/devices/SN0001/reinstate", w.admin, "{}"), 403);
}

static void
reinstated_it_is_let_in_and_what_it_held_stays_dead(void **state)
{
	struct held h = {.serial = "SN0002"}, old;

	(void)state;
	world_burn(&w, h.serial);
	gets_all(&h);
	old = h;
	CTL(&w2, "device", "suspend", h.serial, "--reason", "test");
	all_of_it_is_dead(&h, "device_blocked", "device_suspended");
	CTL(&w2, "device", "reinstate", h.serial);
	/* the slower one may not know yet */
	token_is(old.token, "token_cut");
	gets_all(&h);
	key_is(&h, 200, NULL);
	token_is(h.token, NULL);
	world_shown(&w, h.serial, old.token, "REFUSED token_cut");
	world_shown(&w, h.serial, h.token, "OK device=");
	lets_go(&h);
}

/* ---- groups ---- */

/* A new group, its number as text. */
static void
group(const char *name, char number[16])
{
	char body[64];
	const char *p;

	(void)snprintf(body, sizeof(body), "{\"name\":\"%s\"}", name);
	assert_int_equal(world_http(&w, "POST", "/v1/groups", w.admin, body),
	    201);
	p = strstr(w.a.body, "\"number\":");
	assert_non_null(p);
	(void)snprintf(number, 16, "%u", (unsigned)strtoul(p + 9, NULL, 10));
}

static void
of_group(struct world *by, const char *number, const char *effect)
{
	char what[ROOM];

	(void)snprintf(what, sizeof(what), "group:%s", number);
	CTL(by, "revoke", what, "--effect", effect, "--expect", "1", "--wait",
	    "20s");
}

/*
 * It gets nothing anew between joining and the group's revocation: all that
 * is known of it anywhere is from before, when it was not in the group.
 */
static void
nothing_from_before_it_joined_escapes_its_groups_revocation(void **state)
{
	struct held h = {.serial = "SN0003"};
	char number[16];

	(void)state;
	world_burn(&w, h.serial);
	gets_all(&h);
	group("late", number);
	CTL(&w2, "group", "add", number, h.serial);
	session_told(&h, "token_cut");
	token_is(h.token, "token_cut");
	of_group(&w, number, "block");
	token_is(h.token, "token_cut");
	key_is(&h, 403, "group_blocked");
	gives_no_token(h.serial, "group_blocked");
	no_handshake(h.serial);
	listener_tells(&h, "group_blocked");
}

static void
what_it_gets_after_it_joined_is_its_groups_to_revoke(void **state)
{
	struct held h = {.serial = "SN0004"}, before;
	char number[16];

	(void)state;
	world_burn(&w, h.serial);
	gets_all(&h);
	group("later", number);
	CTL(&w, "group", "add", number, h.serial);
	session_told(&h, "token_cut");
	world_shown(&w, h.serial, h.token, "REFUSED token_cut");
	before = h;
	psk_client_close(&before.listener);
	gets_all(&h);
	of_group(&w2, number, "cut");
	session_told(&h, "token_cut");
	token_is(h.token, "token_cut");
	world_shown(&w, h.serial, h.token, "REFUSED token_cut");
	/* a cut is no block */
	psk_client_close(&h.listener);
	gets_all(&h);
	of_group(&w, number, "block");
	all_of_it_is_dead(&h, "group_blocked", "group_blocked");
	of_group(&w2, number, "lift");
	token_is(h.token, "token_cut");
	token_is(before.token, "token_cut");
	gets_all(&h);
	/* and leaving leads nowhere */
	CTL(&w, "group", "remove", number, h.serial);
	session_told(&h, "token_cut");
	token_is(h.token, "token_cut");
	psk_client_close(&h.listener);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(
		revoked_all_it_holds_dies_and_each_way_back_is_shut),
	    cmocka_unit_test(
		reinstated_it_is_let_in_and_what_it_held_stays_dead),
	    cmocka_unit_test(
		nothing_from_before_it_joined_escapes_its_groups_revocation),
	    cmocka_unit_test(
		what_it_gets_after_it_joined_is_its_groups_to_revoke),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
