/*
 * The whole path in real processes: an order, devices burned to files, tokens
 * over TLS-PSK, a gateway that checks them; then a device is taken out of
 * service and the others go on.
 */
#include "tests/scenario/world.h"

#include <signal.h>
#include <time.h>
#include <unistd.h>

#define LIMIT 60

static struct world w;
static char token[4][TOKEN_ROOM];

static int
set_up(void **state)
{
	(void)state;
	world_open(&w, NULL);
	world_order(&w, 3);
	world_gateway(&w, NULL);
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	world_close(&w);
	return 0;
}

static void
a_bad_scan_takes_no_place_in_the_order(void **state)
{
	(void)state;
	assert_int_equal(world_burn_status(&w, "XX1"), 1);
	assert_non_null(strstr(w.r.err, "serial"));
	assert_int_equal(world_http(&w, "GET", "/v1/orders/first", w.admin,
	    NULL), 200);
	assert_non_null(strstr(w.a.body, "\"issued\":0"));
}

static void
burned_devices_are_active_and_the_order_then_full(void **state)
{
	(void)state;
	world_burn(&w, "SN0001");
	world_burn(&w, "SN0002");
	world_burn(&w, "SN0003");
	assert_int_equal(world_burn_status(&w, "SN0004"), 1);
	CTL(&w, "device", "list", "--state", "active", "--json");
	assert_non_null(strstr(w.r.out, "SN0001"));
	assert_non_null(strstr(w.r.out, "SN0003"));
	assert_null(strstr(w.r.out, "SN0004"));
}

static void
devices_get_tokens_over_both_versions_of_tls(void **state)
{
	(void)state;
	world_token(&w, "SN0001", token[1]);
	world_token(&w, "SN0002", token[2]);
	assert_int_equal(DEVICE(&w, "SN0003", "1.2", "token"), 0);
	w.r.out[strcspn(w.r.out, "\n")] = '\0';
	(void)snprintf(token[3], sizeof(token[3]), "%.4000s", w.r.out);
}

static void
the_gateway_accepts_both_versions_of_tls_and_the_tokens(void **state)
{
	(void)state;
	world_shown(&w, "SN0001", token[1], "OK device=SN0001");
	world_shown(&w, "SN0002", token[2], "OK device=SN0002");
	assert_int_equal(DEVICE(&w, "SN0003", "1.2", "connect", "--audience",
	    "hub", "--token", token[3]), 0);
	assert_non_null(strstr(w.r.out, "OK device=SN0003"));
}

static void
a_session_is_of_its_device_not_of_who_shows_a_token(void **state)
{
	(void)state;
	world_shown(&w, "SN0001", token[2], "REFUSED token_device");
}

static void
one_revoked_token_is_refused_the_device_goes_on(void **state)
{
	char t[TOKEN_ROOM], form[TOKEN_ROOM + 16];

	(void)state;
	world_token(&w, "SN0001", t);
	world_shown(&w, "SN0001", t, "OK device=SN0001");
	(void)snprintf(form, sizeof(form), "token=%s", t);
	assert_int_equal(world_form(&w, "/oauth2/revoke", w.admin, form),
	    200);
	world_shown(&w, "SN0001", t, "REFUSED token_revoked");
	world_shown(&w, "SN0001", token[1], "OK device=SN0001");
}

static void
suspended_the_device_is_out_and_reinstated_it_is_back(void **state)
{
	char t[TOKEN_ROOM];

	(void)state;
	CTL(&w, "device", "suspend", "SN0003", "--reason", "test");
	assert_int_equal(file_wait(w.gateway_log, "device=SN0003", LIMIT), 0);
	assert_int_equal(DEVICE(&w, "SN0003", "1.3", "token"), 1);
	CTL(&w, "device", "reinstate", "SN0003");
	world_token(&w, "SN0003", t);
	world_shown(&w, "SN0003", t, "OK device=SN0003");
	world_shown(&w, "SN0003", token[3], "REFUSED token_cut");
	memcpy(token[3], t, sizeof(t));
}

/* What the device gets told by HTTPS, having proven itself. */
static void
assertion_of_the_revoked_one(void)
{
	const struct assertion_of of = {"SN0002", time(NULL), NULL};
	char jwt[ASSERTION_ROOM];

	world_assertion(&w, &of, jwt);
	assert_true(world_redeem(&w, jwt) >= 400);
	assert_true(world_code(&w, "device_revoked"));
}

static void
revoked_it_is_out_everywhere_and_told_why(void **state)
{
	char out[ROOM], form[TOKEN_ROOM + 16], record[ROOM];
	const char *argv[] = {"build:examples/device", "--record", record,
	    "connect", "--audience", "hub", "--token", token[2], "--hold",
	    NULL};
	pid_t session;
	int status;

	(void)state;
	(void)world_file(&w, "burned/SN0002.cbor", record);
	(void)world_file(&w, "session", out);
	session = process_start(argv, out, "/dev/null");
	assert_int_equal(file_wait(out, "OK device=SN0002", LIMIT), 0);
	CTL(&w, "revoke", "device:SN0002", "--reason", "test");
	/* its live session, told with a code */
	assert_int_equal(file_wait(out, "CLOSED device_", LIMIT), 0);
	while (!process_ended(&session, &status))
		process_pause();
	/* its token, at an introspection */
	(void)snprintf(form, sizeof(form), "token=%s", token[2]);
	assert_int_equal(world_form(&w, "/oauth2/introspect", w.hub, form),
	    200);
	assert_non_null(strstr(w.a.body, "\"active\":false"));
	assert_non_null(strstr(w.a.body, "\"code\":\"device_"));
	/* its token requests, either way */
	assertion_of_the_revoked_one();
	assert_int_equal(DEVICE(&w, "SN0002", "1.3", "token"), 1);
	assert_int_equal(DEVICE(&w, "SN0002", "1.2", "token"), 1);
	/* and its next handshakes with the gateway, which logs why */
	assert_int_equal(DEVICE(&w, "SN0002", "1.3", "connect", "--audience",
	    "hub"), 1);
	assert_int_equal(DEVICE(&w, "SN0002", "1.2", "connect", "--audience",
	    "hub"), 1);
	assert_int_equal(file_wait(w.gateway_log,
	    "handshake refused device=SN0002 code=device_", LIMIT), 0);
}

static void
explain_says_whose_it_is_and_why_it_is_refused(void **state)
{
	const char *const args[] = {"explain", "-", "--json", NULL};

	(void)state;
	assert_int_equal(world_ctl(&w, args, token[2]), 0);
	assert_non_null(strstr(w.r.out, "SN0002"));
	assert_non_null(strstr(w.r.out, "\"revoked\""));
	assert_non_null(strstr(w.r.out, "device_"));
	CTL(&w, "explain", "SN0001", "--json");
	assert_null(strstr(w.r.out, "device_revoked"));
}

static void
the_others_go_on(void **state)
{
	char t[TOKEN_ROOM];

	(void)state;
	world_shown(&w, "SN0001", token[1], "OK device=SN0001");
	world_shown(&w, "SN0003", token[3], "OK device=SN0003");
	world_token(&w, "SN0001", t);
	world_shown(&w, "SN0001", t, "OK device=SN0001");
}

static void
a_revoked_device_is_not_reinstated_nor_burned_again(void **state)
{
	(void)state;
	assert_int_equal(world_http(&w, "POST",
	    "/v1/devices/SN0002/reinstate", w.admin, "{}"), 403);
	assert_true(world_code(&w, "device_revoked"));
	assert_int_equal(world_burn_status(&w, "SN0002"), 1);
}

static void
each_decision_has_its_audit_row(void **state)
{
	static const char *const what[] = {"device.release",
	    "device.confirm", "device.suspend", "device.reinstate"};
	size_t i;

	(void)state;
	assert_int_equal(world_http(&w, "GET", "/v1/audit?after=0&limit=200",
	    w.admin, NULL), 200);
	for (i = 0; i < COUNT(what); i++)
		assert_case(strstr(w.a.body, what[i]) != NULL, what[i]);
	assert_non_null(strstr(w.a.body, "revo"));
	assert_null(strstr(w.a.body, "fc_"));
}

static void
the_gateway_stops_cleanly(void **state)
{
	(void)state;
	assert_int_equal(process_stop(&w.gateway, SIGTERM), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_bad_scan_takes_no_place_in_the_order),
	    cmocka_unit_test(
		burned_devices_are_active_and_the_order_then_full),
	    cmocka_unit_test(devices_get_tokens_over_both_versions_of_tls),
	    cmocka_unit_test(
		the_gateway_accepts_both_versions_of_tls_and_the_tokens),
	    cmocka_unit_test(
		a_session_is_of_its_device_not_of_who_shows_a_token),
	    cmocka_unit_test(one_revoked_token_is_refused_the_device_goes_on),
	    cmocka_unit_test(
		suspended_the_device_is_out_and_reinstated_it_is_back),
	    cmocka_unit_test(revoked_it_is_out_everywhere_and_told_why),
	    cmocka_unit_test(explain_says_whose_it_is_and_why_it_is_refused),
	    cmocka_unit_test(the_others_go_on),
	    cmocka_unit_test(
		a_revoked_device_is_not_reinstated_nor_burned_again),
	    cmocka_unit_test(each_decision_has_its_audit_row),
	    cmocka_unit_test(the_gateway_stops_cleanly),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
