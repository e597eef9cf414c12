/*
 * What a database that hangs, is full of the past or was tampered with does
 * to authd, and what it must not do.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/scenario/world.h"

#define PROMPT_MS 12000 /* an answer, whatever the database does */
#define DEADLINE_MS 60000
#define MARKS "60000"
#define FRESH_MS 2000 /* a confirmed head counts for so long */
#define SLACK_MS 700  /* a busy machine */

static int64_t
now_ms(void)
{
	struct timespec ts = {0};

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static int
count(struct world *w, const char *sql)
{
	world_sql(w, sql);
	return atoi(w->r.out);
}

/* Threat: marks are made faster than they are removed, without end. */
static void
expired_marks_go_as_fast_as_they_can_be_made(void **state)
{
	int64_t until = now_ms() + DEADLINE_MS;
	struct world w;

	world_open(&w, NULL);
	world_sql(&w, "INSERT INTO fealty.assertion_mark "
	    "SELECT 1, 1000 + n / 100, n, decode(md5(n::text), 'hex') "
	    "FROM generate_series(1, " MARKS ") n");
	world_sql(&w, "INSERT INTO fealty.assertion_mark SELECT 1, "
	    "extract(epoch FROM now())::bigint - 200, 1, "
	    "decode(md5('x'), 'hex')");
	while (count(&w, "SELECT count(*) FROM fealty.assertion_mark") > 1) {
		assert_true(now_ms() < until);
		assert_int_equal(world_http(&w, "GET", "/readyz", NULL, NULL),
		    200);
	}
	/* Another authd's clock may still take it. */
	assert_int_equal(count(&w,
	    "SELECT count(*) FROM fealty.assertion_mark"), 1);
	world_close(&w);
}

static void
signal_database(struct world *w, int sig)
{
	pid_t master = world_postmaster(w);

	assert_true(master > 1);
	process_signal_family(master, sig);
}

static void
is_told_to_wait(struct world *w, const char *path, const char *body)
{
	int64_t begun = now_ms();

	assert_int_equal(world_http(w, body == NULL ? "GET" : "POST", path,
	    w->admin, body), 503);
	assert_true(http_has(&w->a, "Retry-After", ""));
	assert_true(now_ms() - begun < PROMPT_MS);
}

/* Threat: a database that hangs takes authd with it. */
static void
a_frozen_database_holds_nobody_up(void **state)
{
	int64_t until, begun, asked, last;
	struct world w;
	int i;

	world_open(&w, NULL);
	world_order(&w, 1);
	world_burn(&w, "SN0001");
	assert_int_equal(DEVICE(&w, "SN0001", "1.3", "token"), 0);
	signal_database(&w, SIGSTOP);
	begun = last = now_ms();
	/* A token takes no query, but a head that is 2 s old at most. */
	while ((asked = now_ms()) - begun < 2 * FRESH_MS)
		if (DEVICE(&w, "SN0001", "1.3", "token") == 0)
			last = asked;
	assert_true(last - begun < FRESH_MS + SLACK_MS);
	assert_non_null(strstr(w.r.err, "says: 503 "));
	is_told_to_wait(&w, "/v1/devices", NULL);
	until = now_ms() + DEADLINE_MS;
	while (world_http(&w, "GET", "/readyz", NULL, NULL) == 200)
		assert_true(now_ms() < until);
	begun = now_ms();
	for (i = 0; i < 20; i++)
		is_told_to_wait(&w, "/v1/groups", "{\"name\":\"g\"}");
	assert_true(now_ms() - begun < PROMPT_MS);
	/* A device in memory gets its handshake, and the reason. */
	begun = now_ms();
	assert_int_not_equal(DEVICE(&w, "SN0001", "1.3", "token"), 0);
	assert_non_null(strstr(w.r.err, "not_ready"));
	assert_true(now_ms() - begun < PROMPT_MS);
	signal_database(&w, SIGCONT);
	until = now_ms() + DEADLINE_MS;
	while (world_http(&w, "GET", "/readyz", NULL, NULL) != 200)
		assert_true(now_ms() < until);
	assert_int_equal(DEVICE(&w, "SN0001", "1.3", "token"), 0);
	world_close(&w);
}

/* Threat: who writes to the database gives one device another's key. */
static void
keys_swapped_between_rows_are_refused(void **state)
{
	static const char swap[] = "UPDATE fealty.device_key k SET sealed = "
	    "(SELECT sealed FROM fealty.device_key o WHERE "
	    "o.tenant = k.tenant AND o.device = 3 - k.device)";
	char assertion[ASSERTION_ROOM];
	struct assertion_of of = {.serial = "SN0001"};
	struct world w;

	world_open(&w, NULL);
	world_order(&w, 2);
	world_burn(&w, "SN0001");
	world_burn(&w, "SN0002");
	world_sql(&w, swap);
	of.now = (int64_t)time(NULL);
	world_assertion(&w, &of, assertion);
	assert_int_equal(world_redeem(&w, assertion), 500);
	assert_int_not_equal(DEVICE(&w, "SN0001", "1.3", "token"), 0);
	world_sql(&w, swap);
	assert_int_equal(world_redeem(&w, assertion), 200);
	world_close(&w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(expired_marks_go_as_fast_as_they_can_be_made),
	    cmocka_unit_test(a_frozen_database_holds_nobody_up),
	    cmocka_unit_test(keys_swapped_between_rows_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
