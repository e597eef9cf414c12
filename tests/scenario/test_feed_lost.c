/*
 * The signed feed while its database hangs, or has lost what was written.
 */
#include "tests/scenario/feed_kit.h"

#include <signal.h>
#include <time.h>

static struct feed f;

static void
signal_backends(const pid_t *pids, size_t n, int sig)
{
	size_t i;

	for (i = 0; i < n; i++)
		(void)kill(pids[i], sig);
}

static void
while_its_database_hangs_nothing_is_called_fresh(void **state)
{
	struct sse *s = feed_listen(&f, feed_port(&f), FEED_NONE);
	struct heartbeat h = {0};
	struct sse_event e;
	int64_t stopped, wall;
	pid_t pids[64];
	size_t n = 0;
	char *p, *end;
	int r;

	world_sql(&f.w, "SELECT pid FROM pg_stat_activity WHERE usename = "
	    "'fealty_app'");
	for (p = f.w.r.out; n < 64; p = end) {
		pids[n] = (pid_t)strtol(p, &end, 10);
		if (end == p)
			break;
		n++;
	}
	assert_true(n > 0);
	signal_backends(pids, n, SIGSTOP);
	stopped = feed_now_ms();
	wall = (int64_t)time(NULL) * 1000;
	while (feed_now_ms() - stopped < 5000) {
		r = sse_next(s, 500, &e);
		if (r != 1 || strcmp(e.name, "heartbeat") != 0)
			continue;
		if (heartbeat_verify(f.keys, ISSUER, e.data, e.len, &h, NULL) ==
		    ERR_OK && h.time_ms > wall + 4000)
			break;
	}
	r = http_ask(feed_port(&f), "GET", "/readyz", NULL, NULL, NULL, -1, &f.w.a);
	signal_backends(pids, n, SIGCONT);
	assert_int_equal(r, 0);
	assert_int_equal(f.w.a.status, 503);
	assert_true(h.time_ms <= wall + 4000);
	feed_wait(s, "heartbeat", 20000, &e);
	sse_close(&s);
}

static int
ready(void)
{
	return http_ask(feed_port(&f), "GET", "/readyz", NULL, NULL, NULL, -1,
	    &f.w.a) == 0 && f.w.a.status == 200;
}

static void
wait_ready(int want)
{
	long until = process_deadline(60);

	while (process_left(until) && ready() != want)
		process_pause();
	assert_int_equal(ready(), want);
}

static char beat[4096], body[65536];

static void
lose_events(uint64_t to)
{
	char sql[256];

	(void)snprintf(sql, sizeof(sql), "BEGIN; DELETE FROM fealty.event "
	    "WHERE tenant = 1 AND pos > %llu; UPDATE fealty.counter SET pos "
	    "= %llu WHERE tenant = 1; COMMIT", (unsigned long long)to,
	    (unsigned long long)to);
	world_sql(&f.w, sql);
}

static int
show_heartbeat(void)
{
	char text[8192];
	int n;

	n = snprintf(text, sizeof(text),
	    "GET /v1/revocations?after=1&limit=1 HTTP/1.1\r\nHost: t\r\n"
	    "Authorization: Bearer %s\r\nFealty-Seen: %s\r\n\r\n",
	    f.w.admin, beat);
	assert_int_equal(http_raw(feed_port(&f), text, (size_t)n, &f.w.a), 0);
	return f.w.a.status;
}

static void
lost_events_stop_it_until_they_are_taken_back(void **state)
{
	uint64_t kept = feed_revoke(&f, feed_port(&f), "kept");
	struct sse *s = feed_listen(&f, feed_port(&f), kept);
	struct sse_event e;
	uint64_t last;
	size_t n;

	n = (size_t)snprintf(body, sizeof(body), "{\"events\":[");
	(void)feed_revoke(&f, feed_port(&f), "lost1");
	last = feed_revoke(&f, feed_port(&f), "lost2");
	do {
		feed_wait(s, "revocations", 5000, &e);
		n += (size_t)snprintf(body + n, sizeof(body) - n, "%s\"%s\"",
		    body[n - 1] == '[' ? "" : ",", e.data);
	} while (e.id < last);
	feed_wait(s, "heartbeat", 5000, &e);
	(void)snprintf(beat, sizeof(beat), "%s", e.data);
	(void)snprintf(body + n, sizeof(body) - n, "],\"seen\":\"%s\"}",
	    beat);
	sse_close(&s);
	/* It notices by itself, and remembers across a restart. */
	lose_events(kept);
	wait_ready(0);
	assert_int_equal(authd_fixture_end(f.w.authd), 0);
	assert_int_equal(authd_fixture_restart(f.w.authd), 0);
	assert_false(ready());
	/* One that never knew is told by who holds a signed later head. */
	world_sql(&f.w, "UPDATE fealty.counter SET lost = 0 WHERE tenant = 1");
	wait_ready(1);
	assert_int_equal(show_heartbeat(), 503);
	assert_false(ready());
	assert_int_equal(world_http(&f.w, "POST", "/v1/recover", f.w.admin,
	    body), 200);
	assert_non_null(strstr(f.w.a.body, "\"imported\":2"));
	wait_ready(1);
	assert_int_equal(show_heartbeat(), 200);
	assert_int_equal(world_http(&f.w, "POST", "/v1/recover", f.w.admin,
	    body), 400);
	world_sql(&f.w, "SELECT count(*) FROM fealty.event WHERE tenant = 1 "
	    "AND id IN ('lost1', 'lost2')");
	assert_int_equal(atoi(f.w.r.out), 2);
	assert_true(feed_revoke(&f, feed_port(&f), "after") >> 40 > last >> 40);
}

static int
setup(void **state)
{
	(void)state;
	feed_open(&f);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	feed_close(&f);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(while_its_database_hangs_nothing_is_called_fresh),
	    cmocka_unit_test(lost_events_stop_it_until_they_are_taken_back),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
