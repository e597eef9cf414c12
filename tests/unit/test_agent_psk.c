/*
 * fealty-agent gives keys to a broker: to whom, and what it passes on.
 */
#include "tests/unit/agent_kit.h"

#include <unistd.h>
#include "lib/base/b64url.h"

static int
set_up_for_nobody(void **state)
{
	const char *const more[] = {"--psk-users", "4294967290", NULL};

	return (set_up_with(state, more));
}

static int
tell_used(struct agent_world *w, const char *identity)
{
	char body[300];

	(void)snprintf(body, sizeof(body), "{\"identity\":\"%s\"}",
	    identity);
	return (post_socket(w, "/psk/used", body));
}

static void
a_key_is_given_to_who_was_named_over_the_socket(void **state)
{
	struct agent_world *w = *state;
	char id[PSKID_LEN + 1], want[64], got[64];
	struct key32 k;

	device_identity(1, id);
	for (int tls = 12; tls <= 13; tls++) {
		assert_int_equal(ask_key(w, id, tls == 13 ? "1.3" : "1.2"),
		    200);
		device_key(1, tls, &k);
		b64url_encode(k.b, sizeof(k.b), want);
		assert_int_equal(http_member(&w->a, "key", got, sizeof(got)),
		    0);
		assert_string_equal(got, want);
		assert_int_equal(http_member(&w->a, "device_id", got,
		    sizeof(got)), 0);
		assert_string_equal(got, "dev-1");
	}
	assert_int_equal(ask_key(w, id, "1.1"), 400);
	assert_int_equal(ask_key(w, "made-up", "1.3"), 404);
	authd_event(w->authd, EV_DEVICE, 1, EFFECT_BLOCK);
	eventually(ask_key(w, id, "1.3") == 403);
	assert_null(strstr(w->a.body, "\"key\""));
}

/* Threat: an authority that hangs makes the agent hang. */
static void
a_key_that_does_not_come_holds_up_nobody(void **state)
{
	struct agent_world *w = *state;
	char id[PSKID_LEN + 1], token[4200];

	token_of(w, 2, NULL, token);
	device_identity(1, id);
	authd_hold_psk(w->authd, 1);
	assert_int_equal(ask_key(w, id, "1.3"), 503);
	assert_null(strstr(w->a.body, "\"key\""));
	assert_int_equal(auth_at(w, "/auth", token), 204);
	authd_hold_psk(w->authd, 0);
	eventually(ask_key(w, id, "1.3") == 200);
}

static void
keys_do_not_leave_by_loopback(void **state)
{
	struct agent_world *w = *state;
	char id[PSKID_LEN + 1], body[200];

	device_identity(1, id);
	(void)snprintf(body, sizeof(body),
	    "{\"identity\":\"%s\",\"tls\":\"1.3\"}", id);
	assert_int_equal(http_ask(w->port, "POST", "/psk", NULL, TYPE_JSON,
	    body, -1, &w->a), 0);
	assert_int_equal(w->a.status, 404);
}

/* A look-up is no first use: the broker says when a handshake was completed. */
static void
a_completed_handshake_is_told_and_a_look_up_is_not(void **state)
{
	struct agent_world *w = *state;
	char id[PSKID_LEN + 1], other[PSKID_LEN + 1], body[200];
	unsigned requests;

	authd_pending(w->authd, 1, ERR_OK);
	device_identity(1, id);
	device_identity(2, other);
	assert_int_equal(ask_key(w, id, "1.3"), 200);
	assert_int_equal(ask_key(w, id, "1.2"), 200);
	/* of no key that was given here; no identity; too much */
	assert_int_equal(tell_used(w, other), 404);
	assert_int_equal(tell_used(w, "made-up"), 404);
	assert_int_equal(post_socket(w, "/psk/used", "{}"), 400);
	(void)snprintf(body, sizeof(body), "{\"identity\":\"%s\"}", id);
	assert_int_equal(http_ask(w->port, "POST", "/psk/used", NULL,
	    TYPE_JSON, body, -1, &w->a), 0);
	assert_int_equal(w->a.status, 404);
	assert_int_equal(authd_used(w->authd, &requests), 0);
	assert_int_equal(requests, 0);
	assert_int_equal(tell_used(w, id), 204);
	eventually(authd_used(w->authd, &requests) == 1);
	assert_int_equal(tell_used(w, id), 204);
	assert_int_equal(authd_used(w->authd, &requests), 1);
}

static void
keys_are_refused_to_users_who_were_not_named(void **state)
{
	struct agent_world *w = *state;
	char id[PSKID_LEN + 1];

	device_identity(1, id);
	assert_int_equal(ask_key(w, id, "1.3"), 403);
	assert_null(strstr(w->a.body, "\"key\""));
	assert_int_equal(tell_used(w, id), 403);
	assert_int_equal(authd_psk_requests(w->authd), 0);
}

int
main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
	    CASE(a_key_is_given_to_who_was_named_over_the_socket),
	    CASE(a_key_that_does_not_come_holds_up_nobody),
	    CASE(keys_do_not_leave_by_loopback),
	    CASE(a_completed_handshake_is_told_and_a_look_up_is_not),
	    cmocka_unit_test_setup_teardown(
		keys_are_refused_to_users_who_were_not_named,
		set_up_for_nobody, tear_down),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
