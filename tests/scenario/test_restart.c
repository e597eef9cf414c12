/*
 * Stopped, killed, started again on the same folder: authd goes on where it
 * was, and nothing that it has acknowledged is lost.
 */
#include "tests/scenario/world.h"

#include <time.h>
#include <unistd.h>

#define BURNS 12

static struct world w;
static const char *const extra[] = {"--issuer", ISSUER, NULL};
static char token[TOKEN_ROOM]; /* of SN0001, from the first life on */
static unsigned long long last;

static int
set_up(void **state)
{
	(void)state;
	world_open(&w, extra);
	world_order(&w, 50);
	world_burn(&w, "SN0001");
	world_burn(&w, "SN0002");
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

static int
is_active(const char *t)
{
	char form[TOKEN_ROOM + 16];

	(void)snprintf(form, sizeof(form), "token=%s", t);
	assert_int_equal(world_form(&w, "/oauth2/introspect", w.hub, form),
	    200);
	return strstr(w.a.body, "\"active\":true") != NULL;
}

static unsigned long long
number_after(const char *text, const char *key)
{
	const char *p = strstr(text, key);

	assert_non_null(p);
	return strtoull(p + strlen(key), NULL, 10);
}

/* Revokes it; the event's position. */
static unsigned long long
take_out(const char *serial)
{
	char path[ROOM];

	(void)snprintf(path, sizeof(path), "/v1/devices/%s/revoke", serial);
	assert_int_equal(world_http(&w, "POST", path, w.admin, "{}"), 200);
	return number_after(w.a.body, "\"pos\":");
}

static void
is_in_state(const char *serial, const char *state)
{
	char path[ROOM], is[ROOM];

	(void)snprintf(path, sizeof(path), "/v1/devices/%s", serial);
	assert_int_equal(world_http(&w, "GET", path, w.admin, NULL), 200);
	assert_int_equal(http_member(&w.a, "state", is, sizeof(is)), 0);
	assert_string_equal(is, state);
}

static unsigned long long
audit_rows(void)
{
	const char *p;
	unsigned long long n = 0;

	assert_int_equal(world_http(&w, "GET",
	    "/v1/audit?after=0&limit=1000", w.admin, NULL), 200);
	for (p = w.a.body; (p = strstr(p, "\"outcome\"")) != NULL; p++)
		n++;
	return n;
}

static void
stopped_by_a_signal_it_goes_on_where_it_was(void **state)
{
	unsigned long long rows;

	(void)state;
	last = take_out("SN0002");
	rows = audit_rows();
	assert_int_equal(authd_fixture_end(w.authd), 0);
	assert_int_equal(authd_fixture_restart(w.authd), 0);
	assert_true(is_active(token));
	is_in_state("SN0001", "active");
	is_in_state("SN0002", "revoked");
	assert_int_equal(audit_rows(), rows);
	world_burn(&w, "SN0003");
	world_token(&w, "SN0003", (char[TOKEN_ROOM]){""});
}

static void
grows_with(const char *serial)
{
	unsigned long long pos = take_out(serial);

	assert_true(pos > last);
	last = pos;
}

static void
positions_go_on_growing(void **state)
{
	(void)state;
	grows_with("SN0003");
}

static void
killed_with_its_database_it_has_all_it_acknowledged(void **state)
{
	char serial[16], t[TOKEN_ROOM];
	unsigned long long rows;
	unsigned i;

	(void)state;
	for (i = 0; i < BURNS; i++) {
		(void)snprintf(serial, sizeof(serial), "SN1%03u", i);
		world_burn(&w, serial);
	}
	for (i = 0; i < BURNS; i += 2) {
		(void)snprintf(serial, sizeof(serial), "SN1%03u", i);
		last = take_out(serial);
	}
	/* at once after the last answer */
	authd_fixture_crash(w.authd);
	assert_int_equal(authd_fixture_restart(w.authd), 0);
	for (i = 0; i < BURNS; i++) {
		(void)snprintf(serial, sizeof(serial), "SN1%03u", i);
		is_in_state(serial, i % 2 ? "active" : "revoked");
		if (i % 2)
			world_token(&w, serial, t);
	}
	assert_true(is_active(token));
	assert_int_equal(world_http(&w, "GET",
	    "/v1/revocations?after=0&limit=1000", w.hub, NULL), 200);
	assert_true(number_after(w.a.body, "\"head\":") >= last);
	rows = audit_rows();
	assert_true(rows >= BURNS + BURNS / 2);
	grows_with("SN1001");
}

static void
an_assertion_used_before_the_crash_stays_used(void **state)
{
	char nonce[ROOM], jwt[ASSERTION_ROOM];
	const struct assertion_of of = {"SN0001", 0, nonce};

	(void)state;
	world_nonce(&w, nonce);
	world_assertion(&w, &of, jwt);
	assert_int_equal(world_redeem(&w, jwt), 200);
	authd_fixture_crash(w.authd);
	assert_int_equal(authd_fixture_restart(w.authd), 0);
	assert_int_equal(world_redeem(&w, jwt), 401);
	assert_true(world_code(&w, "assertion_used"));
}

static void
a_burn_cut_off_by_the_crash_ends_with_one_identity(void **state)
{
	(void)state;
	assert_int_equal(world_http(&w, "POST", "/v1/orders/first/devices",
	    w.station, "{\"serial\":\"SN2000\"}"), 201);
	authd_fixture_crash(w.authd);
	assert_int_not_equal(world_burn_status(&w, "SN2000"), 0);
	assert_int_equal(authd_fixture_restart(w.authd), 0);
	world_burn(&w, "SN2000");
	is_in_state("SN2000", "active");
	assert_int_equal(world_http(&w, "GET",
	    "/v1/devices?prefix=SN2000&limit=10", w.admin, NULL), 200);
	assert_non_null(strstr(w.a.body, "\"serial\":\"SN2000\""));
	assert_null(strstr(strstr(w.a.body, "\"serial\":\"SN2000\"") + 1,
	    "\"serial\":\"SN2000\""));
	world_token(&w, "SN2000", (char[TOKEN_ROOM]){""});
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(stopped_by_a_signal_it_goes_on_where_it_was),
	    cmocka_unit_test(positions_go_on_growing),
	    cmocka_unit_test(
		killed_with_its_database_it_has_all_it_acknowledged),
	    cmocka_unit_test(an_assertion_used_before_the_crash_stays_used),
	    cmocka_unit_test(
		a_burn_cut_off_by_the_crash_ends_with_one_identity),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
