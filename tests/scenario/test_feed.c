/*
 * The signed feed of a real authd: in time, without a gap, to readers that
 * come and go, that do not read, and while its database hangs or has lost
 * what was written.
 */
#include "tests/scenario/world.h"

#include <jansson.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <time.h>
#include <unistd.h>

#include "lib/base/b64url.h"
#include "lib/jose/set.h"
#include "tests/scenario/sse.h"

#define WRITERS 16
#define READERS 4
#define EVENTS 10000
#define NONE UINT64_MAX

static struct world w;
static struct authd_fixture *second;
static struct jwks *feed;

static int64_t
now_ms(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static uint16_t
port(void)
{
	return authd_fixture_api(w.authd);
}

/* Here the authority's own word is enough for its keys. */
static void
take_keys(const char *jws, size_t len)
{
	const char *a = memchr(jws, '.', len), *b;
	char *text = malloc(len), *set;
	size_t n = len;
	json_t *o;

	assert_non_null(a);
	b = memchr(a + 1, '.', len - (size_t)(a + 1 - jws));
	assert_int_equal(b64url_decode(a + 1, (size_t)(b - a) - 1, text, &n),
	    ERR_OK);
	o = json_loadb(text, n, 0, NULL);
	set = json_dumps(json_object_get(o, "feed"), 0);
	assert_non_null(set);
	jwks_free(&feed);
	assert_int_equal(jwks_parse(set, strlen(set), &feed), ERR_OK);
	free(set);
	json_decref(o);
	free(text);
}

static char issuer[256];

static struct sse *
listen_at(uint16_t at, uint64_t after)
{
	struct sse *s = sse_open(at, w.admin, after, NONE);
	struct sse_event e;

	assert_non_null(s);
	assert_int_equal(sse_next(s, 5000, &e), 1);
	assert_string_equal(e.name, "keys");
	take_keys(e.data, e.len);
	assert_int_equal(sse_next(s, 5000, &e), 1);
	assert_string_equal(e.name, "heartbeat");
	return s;
}

static void
wait_for(struct sse *s, const char *name, int ms, struct sse_event *e)
{
	int64_t until = now_ms() + ms;
	int r = 0;

	while (now_ms() <= until) {
		r = sse_next(s, (int)(until - now_ms()) + 1, e);
		if (r < 0 || (r == 1 && strcmp(e->name, name) == 0))
			break;
	}
	if (r != 1)
		fail_msg("no %s within %d ms", name, ms);
}

/* Revokes a token of that name; the position. */
static uint64_t
revoke_at(uint16_t at, const char *jti)
{
	struct http_answer *a = malloc(sizeof(*a));
	char body[128];
	uint64_t pos = 0;
	const char *p;

	(void)snprintf(body, sizeof(body), "{\"kind\":\"token\",\"id\":"
	    "\"%s\",\"effect\":\"cut\"}", jti);
	if (a != NULL && http_ask(at, "POST", "/v1/revocations", w.admin,
	    TYPE_JSON, body, -1, a) == 0 && a->status == 201) {
		p = strstr(a->body, "\"pos\":");
		pos = p == NULL ? 0 : strtoull(p + 6, NULL, 10);
	}
	free(a);
	return pos;
}

static void
read_run(const struct sse_event *e, struct set_run *run)
{
	struct detail d = {""};
	enum err err;

	err = set_verify(feed, issuer, e->data, e->len, run, &d);
	if (err != ERR_OK)
		fail_msg("%s: %s", err_name(err), d.text);
	assert_true(e->id == run->events[run->n - 1].pos);
}

static void
an_event_arrives_within_the_second(void **state)
{
	struct sse *s = listen_at(port(), NONE);
	struct set_run run = {0};
	struct sse_event e;
	uint64_t pos;

	pos = revoke_at(port(), "first");
	assert_true(pos != 0);
	wait_for(s, "revocations", 1000, &e);
	read_run(&e, &run);
	assert_int_equal(run.n, 1);
	assert_true(run.events[0].pos == pos);
	assert_string_equal(run.events[0].id, "first");
	set_run_free(&run);
	sse_close(&s);
}

static void
heartbeats_come_each_second(void **state)
{
	struct sse *s = listen_at(port(), NONE);
	struct heartbeat h = {0};
	struct sse_event e;
	int64_t last = 0;
	int i;

	for (i = 0; i < 3; i++) {
		wait_for(s, "heartbeat", 2000, &e);
		assert_int_equal(heartbeat_verify(feed, issuer, e.data, e.len,
		    &h, NULL), ERR_OK);
		assert_true(h.time_ms > last);
		last = h.time_ms;
	}
	sse_close(&s);
}

static void
events_of_either_authd_reach_readers_of_the_other(void **state)
{
	uint16_t other = authd_fixture_api(second);
	struct sse *s = listen_at(port(), NONE);
	struct set_run run = {0};
	struct sse_event e;
	uint64_t pos = revoke_at(other, "there");

	assert_true(pos != 0);
	wait_for(s, "revocations", 2000, &e);
	read_run(&e, &run);
	assert_true(run.events[0].pos == pos);
	set_run_free(&run);
	sse_close(&s);
}

static void
without_wake_ups_it_arrives_within_the_poll_interval(void **state)
{
	struct sse *s = listen_at(authd_fixture_api(second), NONE);
	int64_t begin = now_ms();
	struct sse_event e;

	assert_true(revoke_at(port(), "polled") != 0);
	wait_for(s, "revocations", 2000, &e);
	/* 300 ms, and what a busy machine adds */
	assert_true(now_ms() - begin < 1500);
	sse_close(&s);
}

static void
a_reader_that_was_away_gets_what_it_missed(void **state)
{
	struct sse *s = listen_at(port(), NONE);
	struct set_run run = {0};
	struct sse_event e;
	uint64_t a = revoke_at(port(), "a"), seen = a;
	int i;

	wait_for(s, "revocations", 2000, &e);
	sse_close(&s);
	for (i = 0; i < 5; i++)
		(void)revoke_at(port(), "missed");
	s = sse_open(port(), w.admin, 1, a);
	assert_non_null(s);
	while (seen < a + 5) {
		wait_for(s, "revocations", 5000, &e);
		read_run(&e, &run);
		assert_true(run.after == seen);
		seen = run.events[run.n - 1].pos;
		set_run_free(&run);
	}
	sse_close(&s);
}

/* ---- many writers, many readers ---- */

static atomic_int left, done;
static atomic_ullong top; /* the highest position acknowledged */

struct part {
	pthread_t thread;
	unsigned seed;
	const char *fault;
	uint64_t at; /* the reader's position */
};

static void *
writer_main(void *arg)
{
	struct part *p = arg;
	unsigned long long pos, old;
	char jti[32];

	while (atomic_fetch_sub(&left, 1) > 0) {
		(void)snprintf(jti, sizeof(jti), "w%u",
		    (unsigned)rand_r(&p->seed));
		pos = revoke_at(rand_r(&p->seed) % 4 ? port() :
		    authd_fixture_api(second), jti);
		old = atomic_load(&top);
		while (pos > old &&
		    !atomic_compare_exchange_weak(&top, &old, pos))
			;
	}
	atomic_fetch_add(&done, 1);
	return NULL;
}

static int
follow_run(struct part *p, const struct sse_event *e)
{
	struct set_run run = {0};
	int ok;

	if (set_verify(feed, issuer, e->data, e->len, &run, NULL) != ERR_OK) {
		p->fault = "a run that is not the feed's";
		return 0;
	}
	/* Runs are consecutive within: set_verify has seen to that. */
	ok = run.after == p->at && e->id == run.events[run.n - 1].pos;
	if (!ok)
		p->fault = "a run that does not follow";
	else
		p->at = e->id;
	set_run_free(&run);
	return ok;
}

static void *
reader_main(void *arg)
{
	struct part *p = arg;
	struct sse *s = NULL;
	struct sse_event e;
	int64_t until = now_ms() + 300000;
	int r;

	while (p->fault == NULL && (atomic_load(&done) < WRITERS ||
	    p->at < atomic_load(&top))) {
		if (now_ms() > until)
			p->fault = "not at the end in five minutes";
		if (s == NULL)
			s = sse_open(rand_r(&p->seed) % 2 ? port() :
			    authd_fixture_api(second), w.admin, NONE, p->at);
		if (s == NULL) {
			process_pause();
			continue;
		}
		r = sse_next(s, 100, &e);
		if (r == 1 && strcmp(e.name, "revocations") == 0 &&
		    !follow_run(p, &e))
			break;
		if (r < 0 || rand_r(&p->seed) % 200 == 0)
			sse_close(&s);
	}
	sse_close(&s);
	return NULL;
}

static void
no_event_is_missed_whatever_ends_in_between(void **state)
{
	const char *given = getenv("FEALTY_TEST_SEED");
	unsigned seed = given != NULL ? (unsigned)atoi(given) :
	    (unsigned)time(NULL), i;
	struct part writers[WRITERS] = {{0}}, readers[READERS] = {{0}};
	uint64_t begin = revoke_at(port(), "begin");

	print_message("seed %u\n", seed);
	atomic_store(&left, EVENTS);
	atomic_store(&done, 0);
	atomic_store(&top, begin);
	for (i = 0; i < READERS; i++) {
		readers[i].seed = seed + 100 + i;
		readers[i].at = begin;
		assert_int_equal(pthread_create(&readers[i].thread, NULL,
		    reader_main, &readers[i]), 0);
	}
	for (i = 0; i < WRITERS; i++) {
		writers[i].seed = seed + i;
		assert_int_equal(pthread_create(&writers[i].thread, NULL,
		    writer_main, &writers[i]), 0);
	}
	while (atomic_load(&done) < WRITERS) {
		world_sql(&w, "SELECT pg_terminate_backend(pid) FROM "
		    "pg_stat_activity WHERE usename = 'fealty_app' "
		    "ORDER BY random() LIMIT 2");
		for (i = 0; i < 20 && atomic_load(&done) < WRITERS; i++)
			process_pause();
	}
	for (i = 0; i < WRITERS; i++)
		(void)pthread_join(writers[i].thread, NULL);
	for (i = 0; i < READERS; i++)
		(void)pthread_join(readers[i].thread, NULL);
	for (i = 0; i < READERS; i++)
		if (readers[i].fault != NULL)
			fail_msg("reader %u: %s", i, readers[i].fault);
	/* Positions have no hole, so what came is all there is. */
	print_message("%llu events\n",
	    (unsigned long long)(atomic_load(&top) - begin));
	assert_true(atomic_load(&top) - begin > EVENTS / 2);
}

static long
resident_kb(void)
{
	char path[64], text[4096];
	const char *p;

	(void)snprintf(path, sizeof(path), "/proc/%d/status",
	    (int)authd_fixture_pid(w.authd));
	assert_true(file_text(path, text, sizeof(text)) > 0);
	p = strstr(text, "VmRSS:");
	return p == NULL ? 0 : strtol(p + 6, NULL, 10);
}

static void
a_reader_that_does_not_read_is_cut_and_costs_nothing(void **state)
{
	struct sse *s = listen_at(port(), NONE);
	struct part writers[WRITERS] = {{0}};
	struct sse_event e;
	long before = resident_kb();
	unsigned i;
	int r;

	atomic_store(&left, 8000);
	atomic_store(&done, 0);
	for (i = 0; i < WRITERS; i++)
		assert_int_equal(pthread_create(&writers[i].thread, NULL,
		    writer_main, &writers[i]), 0);
	for (i = 0; i < WRITERS; i++)
		(void)pthread_join(writers[i].thread, NULL);
	/* What the kernel had taken for it comes, then the end. */
	for (r = 1; r == 1;)
		r = sse_next(s, 20000, &e);
	assert_int_equal(r, -1);
	sse_close(&s);
	/* Under a sanitizer freed memory is kept for a while. */
#ifndef __SANITIZE_ADDRESS__
	assert_true(resident_kb() - before < 32 * 1024);
#else
	assert_true(resident_kb() - before < 320 * 1024);
#endif
}

/* ---- a database that hangs ---- */

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
	struct sse *s = listen_at(port(), NONE);
	struct heartbeat h = {0};
	struct sse_event e;
	int64_t stopped, wall;
	pid_t pids[64];
	size_t n = 0;
	char *p, *end;
	int r;

	world_sql(&w, "SELECT pid FROM pg_stat_activity WHERE usename = "
	    "'fealty_app'");
	for (p = w.r.out; n < 64; p = end) {
		pids[n] = (pid_t)strtol(p, &end, 10);
		if (end == p)
			break;
		n++;
	}
	assert_true(n > 0);
	signal_backends(pids, n, SIGSTOP);
	stopped = now_ms();
	wall = (int64_t)time(NULL) * 1000;
	while (now_ms() - stopped < 5000) {
		r = sse_next(s, 500, &e);
		if (r != 1 || strcmp(e.name, "heartbeat") != 0)
			continue;
		if (heartbeat_verify(feed, issuer, e.data, e.len, &h, NULL) ==
		    ERR_OK && h.time_ms > wall + 4000)
			break;
	}
	r = http_ask(port(), "GET", "/readyz", NULL, NULL, NULL, -1, &w.a);
	signal_backends(pids, n, SIGCONT);
	assert_int_equal(r, 0);
	assert_int_equal(w.a.status, 503);
	assert_true(h.time_ms <= wall + 4000);
	wait_for(s, "heartbeat", 20000, &e);
	sse_close(&s);
}

/* ---- a database that has lost what was written ---- */

static int
ready(void)
{
	return http_ask(port(), "GET", "/readyz", NULL, NULL, NULL, -1,
	    &w.a) == 0 && w.a.status == 200;
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
	world_sql(&w, sql);
}

static int
show_heartbeat(void)
{
	char text[8192];
	int n;

	n = snprintf(text, sizeof(text),
	    "GET /v1/revocations?after=1&limit=1 HTTP/1.1\r\nHost: t\r\n"
	    "Authorization: Bearer %s\r\nFealty-Seen: %s\r\n\r\n", w.admin, beat);
	assert_int_equal(http_raw(port(), text, (size_t)n, &w.a), 0);
	return w.a.status;
}

static void
lost_events_stop_it_until_they_are_taken_back(void **state)
{
	uint64_t kept = revoke_at(port(), "kept");
	struct sse *s = listen_at(port(), kept);
	struct sse_event e;
	uint64_t last;
	size_t n;

	n = (size_t)snprintf(body, sizeof(body), "{\"events\":[");
	(void)revoke_at(port(), "lost1");
	last = revoke_at(port(), "lost2");
	do {
		wait_for(s, "revocations", 5000, &e);
		n += (size_t)snprintf(body + n, sizeof(body) - n, "%s\"%s\"",
		    body[n - 1] == '[' ? "" : ",", e.data);
	} while (e.id < last);
	wait_for(s, "heartbeat", 5000, &e);
	(void)snprintf(beat, sizeof(beat), "%s", e.data);
	(void)snprintf(body + n, sizeof(body) - n, "],\"seen\":\"%s\"}",
	    beat);
	sse_close(&s);
	/* It notices by itself, and remembers across a restart. */
	lose_events(kept);
	wait_ready(0);
	assert_int_equal(authd_fixture_end(w.authd), 0);
	assert_int_equal(authd_fixture_restart(w.authd), 0);
	assert_false(ready());
	/* One that never knew is told by who holds a signed later head. */
	world_sql(&w, "UPDATE fealty.counter SET lost = 0 WHERE tenant = 1");
	wait_ready(1);
	assert_int_equal(show_heartbeat(), 503);
	assert_false(ready());
	assert_int_equal(world_http(&w, "POST", "/v1/recover", w.admin,
	    body), 200);
	assert_non_null(strstr(w.a.body, "\"imported\":2"));
	wait_ready(1);
	assert_int_equal(show_heartbeat(), 200);
	assert_int_equal(world_http(&w, "POST", "/v1/recover", w.admin,
	    body), 400);
	world_sql(&w, "SELECT count(*) FROM fealty.event WHERE tenant = 1 "
	    "AND id IN ('lost1', 'lost2')");
	assert_int_equal(atoi(w.r.out), 2);
	assert_true(revoke_at(port(), "after") >> 40 > last >> 40);
}

/* ---- keys ---- */

static char *
first_kid(void)
{
	struct buf b = {.max = 65536};
	const char *kid;
	char *text;
	json_t *o;

	assert_int_equal(jwks_format(feed, &b), ERR_OK);
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
	struct sse *s = listen_at(port(), NONE);
	struct set_run run = {0};
	struct sse_event e;
	char *text, ask[256];

	text = first_kid();
	(void)snprintf(ask, sizeof(ask), "{\"kind\":\"signing-key\",\"id\":"
	    "\"%s\",\"effect\":\"cut\"}", text);
	assert_int_equal(world_http(&w, "POST", "/v1/revocations", w.admin,
	    ask), 201);
	/* The keys come first: no key signs its own revocation. */
	for (;;) {
		assert_int_equal(sse_next(s, 5000, &e), 1);
		if (strcmp(e.name, "keys") == 0)
			break;
		assert_string_equal(e.name, "heartbeat");
	}
	take_keys(e.data, e.len);
	assert_null(jwks_find(feed, text, strlen(text)));
	wait_for(s, "revocations", 5000, &e);
	read_run(&e, &run);
	assert_true(run.events[0].kind == EV_SIGNING_KEY);
	assert_string_equal(run.events[0].id, text);
	set_run_free(&run);
	free(text);
	sse_close(&s);
}

static void
a_dead_caller_hears_no_more(void **state)
{
	struct sse *s;
	struct sse_event e;
	char credential[ROOM];
	int r = 1;

	assert_int_equal(world_http(&w, "POST", "/v1/callers", w.admin,
	    "{\"name\":\"ear\",\"role\":\"auditor\"}"), 201);
	assert_int_equal(http_member(&w.a, "credential", credential,
	    sizeof(credential)), 0);
	s = sse_open(port(), credential, NONE, NONE);
	assert_non_null(s);
	assert_int_equal(world_http(&w, "POST", "/v1/revocations", w.admin,
	    "{\"kind\":\"caller\",\"id\":\"ear\",\"effect\":\"cut\"}"), 201);
	while (r == 1)
		r = sse_next(s, 5000, &e);
	assert_int_equal(r, -1);
	sse_close(&s);
}

static void
a_long_poll_is_answered_by_the_event(void **state)
{
	uint64_t at = revoke_at(port(), "poll");
	struct part writer = {.seed = 1};
	char path[96];
	int64_t begin = now_ms();

	(void)snprintf(path, sizeof(path), "/v1/revocations?after=%llu&wait=1",
	    (unsigned long long)at);
	assert_int_equal(world_http(&w, "GET", path, w.admin, NULL), 200);
	assert_true(now_ms() - begin >= 900);
	assert_non_null(strstr(w.a.body, "\"set\":null"));
	(void)snprintf(path, sizeof(path),
	    "/v1/revocations?after=%llu&wait=30", (unsigned long long)at);
	atomic_store(&left, 1);
	begin = now_ms();
	assert_int_equal(pthread_create(&writer.thread, NULL, writer_main,
	    &writer), 0);
	assert_int_equal(world_http(&w, "GET", path, w.admin, NULL), 200);
	(void)pthread_join(writer.thread, NULL);
	assert_true(now_ms() - begin < 20000);
	assert_non_null(strstr(w.a.body, "\"set\":\"ey"));
}

static void
a_stopping_authority_says_bye(void **state)
{
	struct sse *s = listen_at(authd_fixture_api(second), NONE);
	struct sse_event e;
	int64_t begin = now_ms();

	assert_int_equal(kill(authd_fixture_pid(second), SIGTERM), 0);
	wait_for(s, "bye", 10000, &e);
	assert_non_null(strstr(e.data, "not_ready"));
	assert_int_equal(sse_next(s, 5000, &e), -1);
	sse_close(&s);
	assert_int_equal(authd_fixture_end(second), 0);
	assert_true(now_ms() - begin < 10000);
	authd_fixture_stop(&second);
}

static int
setup(void **state)
{
	static const char *const extra[] = {"--issuer", ISSUER, NULL};
	static const char *const more[] = {"--issuer", ISSUER, "--no-notify",
	    "--poll-interval", "300ms", NULL};

	(void)snprintf(issuer, sizeof(issuer), "%s", ISSUER);
	world_open(&w, extra);
	return authd_fixture_second(w.authd, more, &second);
}

static int
teardown(void **state)
{
	authd_fixture_stop(&second);
	jwks_free(&feed);
	world_close(&w);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(an_event_arrives_within_the_second),
	    cmocka_unit_test(heartbeats_come_each_second),
	    cmocka_unit_test(
		events_of_either_authd_reach_readers_of_the_other),
	    cmocka_unit_test(
		without_wake_ups_it_arrives_within_the_poll_interval),
	    cmocka_unit_test(a_reader_that_was_away_gets_what_it_missed),
	    cmocka_unit_test(a_long_poll_is_answered_by_the_event),
	    cmocka_unit_test(a_dead_caller_hears_no_more),
	    cmocka_unit_test(a_revoked_feed_key_is_followed_by_a_new_key_set),
	    cmocka_unit_test(no_event_is_missed_whatever_ends_in_between),
	    cmocka_unit_test(
		a_reader_that_does_not_read_is_cut_and_costs_nothing),
	    cmocka_unit_test(while_its_database_hangs_nothing_is_called_fresh),
	    cmocka_unit_test(a_stopping_authority_says_bye),
	    cmocka_unit_test(lost_events_stop_it_until_they_are_taken_back),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
