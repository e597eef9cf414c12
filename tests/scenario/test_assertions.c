/*
 * Client assertions over HTTPS: a refusal for time helps a device set its
 * clock, a nonce helps one without, and a stranger's assertion costs the
 * authority no query and the device nothing.
 */
#include "tests/scenario/world.h"

#include <time.h>

#include "lib/base/b64url.h"

#define LIMIT 60
#define STRANGERS 300

static struct world w;

static int
set_up(void **state)
{
	(void)state;
	world_open(&w, NULL);
	world_order(&w, 10);
	world_burn(&w, "SN0001");
	world_burn(&w, "SN0002");
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	world_close(&w);
	return 0;
}

/* Asks until there is an answer that is no "try again". */
static int
redeem_in_the_end(const char *jwt)
{
	long deadline = process_deadline(LIMIT);
	int status;

	while ((status = world_redeem(&w, jwt)) == 503 &&
	    process_left(deadline))
		process_pause();
	return status;
}

static int
redeem_at(const char *serial, int64_t now, const char *nonce)
{
	const struct assertion_of of = {serial, now, nonce};
	char jwt[ASSERTION_ROOM];

	world_assertion(&w, &of, jwt);
	return redeem_in_the_end(jwt);
}

static int64_t
server_time(void)
{
	const char *p = strstr(w.a.body, "\"server_time\":");

	if (p == NULL)
		fail_msg("no server_time in %s", w.a.body);
	return strtoll(p + strlen("\"server_time\":"), NULL, 10);
}

/* By the authority's clock: time() is behind it for some milliseconds. */
static int64_t
now(void)
{
	struct timespec ts;

	assert_int_equal(clock_gettime(CLOCK_REALTIME, &ts), 0);
	return ts.tv_sec;
}

static void
a_refusal_for_time_carries_the_server_s_time(void **state)
{
	static const int64_t off[] = {-100000000, -3600, 3600, 100000000};
	int64_t t;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(off); i++) {
		assert_int_equal(redeem_at("SN0001", time(NULL) + off[i],
		    NULL), 401);
		assert_true(world_code(&w, "assertion_time"));
		assert_non_null(strstr(w.a.body,
		    "\"error\":\"invalid_client\""));
		t = server_time();
		assert_true(t <= now() && t > now() - LIMIT);
		/* the device sets its clock by it */
		assert_int_equal(redeem_at("SN0001", t, NULL), 200);
	}
}

static void
a_nonce_helps_a_device_whose_clock_stands_at_1970(void **state)
{
	char nonce[ROOM];

	(void)state;
	assert_int_equal(redeem_at("SN0001", 1, NULL), 401);
	world_nonce(&w, nonce);
	assert_int_equal(redeem_at("SN0001", 1, nonce), 200);
	assert_non_null(strstr(w.a.body, "\"access_token\""));
}

static void
an_assertion_by_nonce_works_once_too(void **state)
{
	char nonce[ROOM], jwt[ASSERTION_ROOM];
	const struct assertion_of of = {"SN0001", 0, nonce};

	(void)state;
	world_nonce(&w, nonce);
	world_assertion(&w, &of, jwt);
	assert_int_equal(world_redeem(&w, jwt), 200);
	assert_int_equal(world_redeem(&w, jwt), 401);
	assert_true(world_code(&w, "assertion_used"));
	/* the nonce itself is time, not a ticket: another device may have it */
	assert_int_equal(redeem_at("SN0002", 0, nonce), 200);
}

static void
a_nonce_that_is_not_the_authority_s_is_refused(void **state)
{
	char nonce[ROOM];
	size_t i, len;

	(void)state;
	world_nonce(&w, nonce);
	len = strlen(nonce);
	for (i = 0; i < len; i++) {
		char was = nonce[i];

		nonce[i] = was == 'A' ? 'B' : 'A';
		assert_case(redeem_at("SN0001", 1, nonce) == 401, nonce);
		nonce[i] = was;
	}
	assert_int_equal(redeem_at("SN0001", 1, "x"), 401);
	assert_int_equal(redeem_at("SN0001", 1, nonce), 200);
}

/* A JWT as good as the device's, but for a kid of a stranger's making. */
static void
strange(unsigned n, char out[ASSERTION_ROOM])
{
	const struct assertion_of of = {"SN0001", time(NULL), NULL};
	char jwt[ASSERTION_ROOM], header[200], text[300];
	const char *rest;

	world_assertion(&w, &of, jwt);
	rest = strchr(jwt, '.');
	assert_non_null(rest);
	(void)snprintf(header, sizeof(header), "{\"alg\":\"HS256\","
	    "\"typ\":\"JWT\",\"kid\":\"AbCdEfGhIjKlMnOpQrStUvWxYz%018u\"}",
	    n);
	b64url_encode(header, strlen(header), text);
	assert_true(snprintf(out, ASSERTION_ROOM, "%s%s", text, rest) <
	    ASSERTION_ROOM);
}

/* The device's identity is seen by whoever listens; its key is not. */
static void
wrong_signature(char out[ASSERTION_ROOM])
{
	const struct assertion_of of = {"SN0001", time(NULL), NULL};
	size_t last;

	world_assertion(&w, &of, out);
	last = strlen(out) - 10;
	out[last] = out[last] == 'A' ? 'B' : 'A';
}

static void
strangers_lock_nobody_out(void **state)
{
	char jwt[ASSERTION_ROOM];
	unsigned i;

	(void)state;
	for (i = 0; i < STRANGERS; i++) {
		strange(i, jwt);
		assert_int_equal(world_redeem(&w, jwt), 401);
		assert_true(world_code(&w, "assertion_unknown_identity"));
		wrong_signature(jwt);
		assert_int_equal(world_redeem(&w, jwt), 401);
		assert_true(world_code(&w, "assertion_signature"));
	}
	assert_int_equal(redeem_at("SN0001", time(NULL), NULL), 200);
}

/*
 * How often the tables of devices were looked into. A session's counts are
 * there for sure when it has ended, so all of authd's are ended first.
 */
static unsigned long
looked(void)
{
	world_sql(&w, "SELECT count(pg_terminate_backend(pid, 20000)) FROM "
	    "pg_stat_activity WHERE usename = 'fealty_app'");
	world_sql(&w, "SELECT sum(seq_scan + coalesce(idx_scan, 0)) FROM "
	    "pg_stat_user_tables WHERE relname IN ('device', 'device_key', "
	    "'device_member', 'production_order')");
	return strtoul(w.r.out, NULL, 10);
}

static void
until(int status, const char *path, const char *credential)
{
	long deadline = process_deadline(LIMIT);

	while (world_http(&w, "GET", path, credential, NULL) != status) {
		assert_true(process_left(deadline));
		process_pause();
	}
}

static void
a_stranger_s_assertion_makes_no_query(void **state)
{
	char jwt[ASSERTION_ROOM];
	unsigned long before, after;
	unsigned i;

	(void)state;
	/* a fresh process: nothing of a device is in its memory */
	assert_int_equal(authd_fixture_end(w.authd), 0);
	assert_int_equal(authd_fixture_restart(w.authd), 0);
	before = looked();
	until(200, "/readyz", NULL);
	for (i = 0; i < STRANGERS; i++) {
		strange(i, jwt);
		assert_int_equal(redeem_in_the_end(jwt), 401);
	}
	after = looked();
	assert_int_equal(after, before);
	/* and that a look would have been counted */
	until(200, "/v1/devices/SN0001", w.admin);
	assert_true(looked() > after);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_refusal_for_time_carries_the_server_s_time),
	    cmocka_unit_test(
		a_nonce_helps_a_device_whose_clock_stands_at_1970),
	    cmocka_unit_test(an_assertion_by_nonce_works_once_too),
	    cmocka_unit_test(a_nonce_that_is_not_the_authority_s_is_refused),
	    cmocka_unit_test(strangers_lock_nobody_out),
	    cmocka_unit_test(a_stranger_s_assertion_makes_no_query),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
