/*
 * The signed feed of a real authd: in time and without a gap, to readers
 * that come and go, and that do not read. What becomes of it in a storm is
 * test_feed_storm's, with a database that hangs or has lost what was written
 * test_feed_lost's.
 */
#include "tests/scenario/feed_kit.h"

#include <jansson.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>

#define WRITERS 16
/* A sanitizer pads memory, and keeps what is freed for a while (setup). */
#ifndef __SANITIZE_ADDRESS__
#define GROWN_KB (32 * 1024)
#else
#define GROWN_KB (96 * 1024)
#endif

static struct feed f;

static void
an_event_arrives_within_the_second(void **state)
{
	struct sse *s = feed_listen(&f, feed_port(&f), FEED_NONE);
	struct set_run run = {0};
	struct sse_event e;
	uint64_t pos;

	pos = feed_revoke(&f, feed_port(&f), "first");
	assert_true(pos != 0);
	feed_wait(s, "revocations", 1000, &e);
	feed_read(&f, &e, &run);
	assert_int_equal(run.n, 1);
	assert_true(run.events[0].pos == pos);
	assert_string_equal(run.events[0].id, "first");
	set_run_free(&run);
	sse_close(&s);
}

static void
heartbeats_come_each_second(void **state)
{
	struct sse *s = feed_listen(&f, feed_port(&f), FEED_NONE);
	struct heartbeat h = {0};
	struct sse_event e;
	int64_t last = 0;
	int i;

	for (i = 0; i < 3; i++) {
		feed_wait(s, "heartbeat", 2000, &e);
		assert_int_equal(heartbeat_verify(f.keys, ISSUER, e.data, e.len,
		    &h, NULL), ERR_OK);
		assert_true(h.time_ms > last);
		last = h.time_ms;
	}
	sse_close(&s);
}

static void
events_of_either_authd_reach_readers_of_the_other(void **state)
{
	uint16_t other = authd_fixture_api(f.second);
	struct sse *s = feed_listen(&f, feed_port(&f), FEED_NONE);
	struct set_run run = {0};
	struct sse_event e;
	uint64_t pos = feed_revoke(&f, other, "there");

	assert_true(pos != 0);
	feed_wait(s, "revocations", 2000, &e);
	feed_read(&f, &e, &run);
	assert_true(run.events[0].pos == pos);
	set_run_free(&run);
	sse_close(&s);
}

static void
without_wake_ups_it_arrives_within_the_poll_interval(void **state)
{
	struct sse *s = feed_listen(&f, authd_fixture_api(f.second), FEED_NONE);
	int64_t begin = feed_now_ms();
	struct sse_event e;

	assert_true(feed_revoke(&f, feed_port(&f), "polled") != 0);
	feed_wait(s, "revocations", 2000, &e);
	/* 300 ms, and what a busy machine adds */
	assert_true(feed_now_ms() - begin < 1500);
	sse_close(&s);
}

static void
a_reader_that_was_away_gets_what_it_missed(void **state)
{
	struct sse *s = feed_listen(&f, feed_port(&f), FEED_NONE);
	struct set_run run = {0};
	struct sse_event e;
	uint64_t a = feed_revoke(&f, feed_port(&f), "a"), seen = a;
	int i;

	feed_wait(s, "revocations", 2000, &e);
	sse_close(&s);
	for (i = 0; i < 5; i++)
		(void)feed_revoke(&f, feed_port(&f), "missed");
	s = sse_open(feed_port(&f), f.w.admin, 1, a);
	assert_non_null(s);
	while (seen < a + 5) {
		feed_wait(s, "revocations", 5000, &e);
		feed_read(&f, &e, &run);
		assert_true(run.after == seen);
		seen = run.events[run.n - 1].pos;
		set_run_free(&run);
	}
	sse_close(&s);
}

/* ---- writers within the test ---- */

static atomic_int left;

static void *
writer_main(void *arg)
{
	while (atomic_fetch_sub(&left, 1) > 0)
		(void)feed_revoke(&f, feed_port(&f), arg);
	return NULL;
}

static void
a_long_poll_is_answered_by_the_event(void **state)
{
	uint64_t at = feed_revoke(&f, feed_port(&f), "poll");
	pthread_t writer;
	char path[96];
	int64_t begin = feed_now_ms();

	(void)snprintf(path, sizeof(path), "/v1/revocations?after=%llu&wait=1",
	    (unsigned long long)at);
	assert_int_equal(world_http(&f.w, "GET", path, f.w.admin, NULL), 200);
	assert_true(feed_now_ms() - begin >= 900);
	assert_non_null(strstr(f.w.a.body, "\"set\":null"));
	(void)snprintf(path, sizeof(path),
	    "/v1/revocations?after=%llu&wait=30", (unsigned long long)at);
	atomic_store(&left, 1);
	begin = feed_now_ms();
	assert_int_equal(pthread_create(&writer, NULL, writer_main,
	    (void *)(uintptr_t)"polled"), 0);
	assert_int_equal(world_http(&f.w, "GET", path, f.w.admin, NULL), 200);
	(void)pthread_join(writer, NULL);
	assert_true(feed_now_ms() - begin < 20000);
	assert_non_null(strstr(f.w.a.body, "\"set\":\"ey"));
}

static void
a_dead_caller_hears_no_more(void **state)
{
	struct sse *s;
	struct sse_event e;
	char credential[ROOM];
	int r = 1;

	assert_int_equal(world_http(&f.w, "POST", "/v1/callers", f.w.admin,
	    "{\"name\":\"ear\",\"role\":\"auditor\"}"), 201);
	assert_int_equal(http_member(&f.w.a, "credential", credential,
	    sizeof(credential)), 0);
	s = sse_open(feed_port(&f), credential, FEED_NONE, FEED_NONE);
	assert_non_null(s);
	assert_int_equal(world_http(&f.w, "POST", "/v1/revocations", f.w.admin,
	    "{\"kind\":\"caller\",\"id\":\"ear\",\"effect\":\"cut\"}"), 201);
	while (r == 1)
		r = sse_next(s, 5000, &e);
	assert_int_equal(r, -1);
	sse_close(&s);
}

static char *
first_kid(void)
{
	struct buf b = {.max = 65536};
	const char *kid;
	char *text;
	json_t *o;

	assert_int_equal(jwks_format(f.keys, &b), ERR_OK);
	o = json_loadb(b.p, b.len, 0, NULL);
	kid = json_string_value(json_object_get(json_array_get(
	    json_object_get(o, "keys"), 0), "kid"));
	assert_non_null(kid);
	text = strdup(kid);
	json_decref(o);
	buf_free(&b);
	return text;
}

static void
a_revoked_feed_key_is_followed_by_a_new_key_set(void **state)
{
	struct sse *s = feed_listen(&f, feed_port(&f), FEED_NONE);
	struct set_run run = {0};
	struct sse_event e;
	char *text, ask[256];

	text = first_kid();
	(void)snprintf(ask, sizeof(ask), "{\"kind\":\"signing-key\",\"id\":"
	    "\"%s\",\"effect\":\"cut\"}", text);
	assert_int_equal(world_http(&f.w, "POST", "/v1/revocations", f.w.admin,
	    ask), 201);
	/* The keys come first: no key signs its own revocation. */
	for (;;) {
		assert_int_equal(sse_next(s, 5000, &e), 1);
		if (strcmp(e.name, "keys") == 0)
			break;
		assert_string_equal(e.name, "heartbeat");
	}
	feed_keys(&f, e.data, e.len);
	assert_null(jwks_find(f.keys, text, strlen(text)));
	feed_wait(s, "revocations", 5000, &e);
	feed_read(&f, &e, &run);
	assert_true(run.events[0].kind == EV_SIGNING_KEY);
	assert_string_equal(run.events[0].id, text);
	set_run_free(&run);
	free(text);
	sse_close(&s);
}

static long
resident_kb(void)
{
	char path[64], text[4096];
	const char *p;

	(void)snprintf(path, sizeof(path), "/proc/%d/status",
	    (int)authd_fixture_pid(f.w.authd));
	assert_true(file_text(path, text, sizeof(text)) > 0);
	p = strstr(text, "VmRSS:");
	return p == NULL ? 0 : strtol(p + 6, NULL, 10);
}

static void
a_reader_that_does_not_read_is_cut_and_costs_nothing(void **state)
{
	struct sse *s = feed_listen(&f, feed_port(&f), FEED_NONE);
	pthread_t writers[WRITERS];
	struct sse_event e;
	long before = resident_kb(), grown;
	unsigned i;
	int r;

	atomic_store(&left, 8000);
	for (i = 0; i < WRITERS; i++)
		assert_int_equal(pthread_create(&writers[i], NULL,
		    writer_main, (void *)(uintptr_t)"much"), 0);
	for (i = 0; i < WRITERS; i++)
		(void)pthread_join(writers[i], NULL);
	/* What the kernel had taken for it comes, then the end. */
	for (r = 1; r == 1;)
		r = sse_next(s, 20000, &e);
	assert_int_equal(r, -1);
	sse_close(&s);
	grown = resident_kb() - before;
	print_message("# grown by %ld KiB\n", grown);
	assert_true(grown < GROWN_KB);
}

static void
a_stopping_authority_says_bye(void **state)
{
	struct sse *s = feed_listen(&f, authd_fixture_api(f.second), FEED_NONE);
	struct sse_event e;
	int64_t begin = feed_now_ms();

	assert_int_equal(kill(authd_fixture_pid(f.second), SIGTERM), 0);
	feed_wait(s, "bye", 10000, &e);
	assert_non_null(strstr(e.data, "not_ready"));
	assert_int_equal(sse_next(s, 5000, &e), -1);
	sse_close(&s);
	assert_int_equal(authd_fixture_end(f.second), 0);
	assert_true(feed_now_ms() - begin < 10000);
	authd_fixture_stop(&f.second);
}

static int
setup(void **state)
{
	const char *given = getenv("ASAN_OPTIONS");
	char options[ROOM];

	(void)state;
	(void)snprintf(options, sizeof(options), "%.300s:quarantine_size_mb=8",
	    given == NULL ? "" : given);
	(void)setenv("ASAN_OPTIONS", options, 1);
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
	    cmocka_unit_test(an_event_arrives_within_the_second),
	    cmocka_unit_test(heartbeats_come_each_second),
	    cmocka_unit_test(events_of_either_authd_reach_readers_of_the_other),
	    cmocka_unit_test(
		without_wake_ups_it_arrives_within_the_poll_interval),
	    cmocka_unit_test(a_reader_that_was_away_gets_what_it_missed),
	    cmocka_unit_test(a_long_poll_is_answered_by_the_event),
	    cmocka_unit_test(a_dead_caller_hears_no_more),
	    cmocka_unit_test(a_revoked_feed_key_is_followed_by_a_new_key_set),
	    cmocka_unit_test(
		a_reader_that_does_not_read_is_cut_and_costs_nothing),
	    cmocka_unit_test(a_stopping_authority_says_bye),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
