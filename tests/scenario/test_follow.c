/*
 * An enrolled gateway in front of a device, two authd behind it, all of them
 * real: a revoked device is out in milliseconds and the operator is told so;
 * an authd that goes away takes nothing along.
 */
#include "tests/scenario/world.h"

#include <signal.h>
#include <unistd.h>

#define LIMIT 60

static const char *const extra[] = {"--issuer", ISSUER, NULL};
static struct world w;
static struct authd_fixture *second;

/* The gateway, by the second authd first. */
static void
start_gateway(const char *at)
{
	const char *const urls[] = {authd_fixture_url(second),
	    authd_fixture_url(w.authd), NULL};

	world_follow(&w, urls, at);
}

static int
set_up(void **state)
{
	(void)state;
	world_open(&w, extra);
	assert_int_equal(authd_fixture_second(w.authd, extra, &second), 0);
	world_order(&w, 10);
	world_enrol(&w, "hub2");
	start_gateway("127.0.0.1:0");
	world_burn(&w, "SN0001");
	world_burn(&w, "SN0002");
	world_burn(&w, "SN0003");
	world_burn(&w, "SN0004");
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	if (second != NULL)
		authd_fixture_stop(&second);
	world_close(&w);
	return 0;
}

static void
operator_is_told_when_the_session_is_gone(void **state)
{
	char out[ROOM], text[ROOM];
	pid_t session = world_hold(&w, "SN0001", out);

	(void)state;
	assert_int_equal(0, CTL_STATUS(&w, "revoke", "device:SN0001",
	    "--wait", "5s"));
	assert_true(world_says(&w, "enforced at 1 of 1 gateways"));
	print_message("%s", strstr(w.r.out, "enforced"));
	/* not the wish: the fact */
	assert_true(file_text(out, text, sizeof(text)) > 0);
	assert_int_equal(file_wait(out, "CLOSED device_", LIMIT), 0);
	world_ended(&session);
	assert_int_equal(1, DEVICE(&w, "SN0001", "1.3", "connect",
	    "--audience", "hub"));
}

static void
when_its_authd_goes_it_follows_the_other(void **state)
{
	char out[ROOM];
	pid_t session = world_hold(&w, "SN0002", out);

	(void)state;
	authd_fixture_stop(&second);
	assert_int_equal(0, CTL_STATUS(&w, "revoke", "device:SN0002",
	    "--wait", "20s"));
	assert_true(world_says(&w, "enforced at 1 of 1 gateways"));
	assert_int_equal(file_wait(out, "CLOSED device_", LIMIT), 0);
	world_ended(&session);
}

/* Started again without any authd: it knows what it knew. */
static void
restarted_without_network_it_keeps_the_revoked_out(void **state)
{
	long deadline = process_deadline(LIMIT);
	char at[ROOM];

	(void)state;
	assert_int_equal(authd_fixture_second(w.authd, extra, &second), 0);
	process_stop(&w.gateway, SIGTERM);
	(void)snprintf(at, sizeof(at), "%s", w.listening);
	kill(authd_fixture_pid(w.authd), SIGSTOP);
	kill(authd_fixture_pid(second), SIGSTOP);
	start_gateway(at);
	assert_int_equal(file_wait(w.gateway_log, "state restored", LIMIT),
	    0);
	kill(authd_fixture_pid(second), SIGCONT);
	kill(authd_fixture_pid(w.authd), SIGCONT);
	/* authd has to find its feet: it says "try again" until then */
	while (CTL_STATUS(&w, "revoke", "device:SN0003", "--wait", "20s") ==
	    3 && process_left(deadline))
		process_pause();
	assert_true(world_says(&w, "enforced at 1 of 1 gateways"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(operator_is_told_when_the_session_is_gone),
		cmocka_unit_test(when_its_authd_goes_it_follows_the_other),
		cmocka_unit_test(
		    restarted_without_network_it_keeps_the_revoked_out),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
