/*
 * An authority whose follower is stuck, or whose database is a primary that
 * its replica has left or deposed: within 2 s it issues nothing and calls
 * nothing fresh, and it acknowledges nothing that one machine alone has.
 */
#include "tests/scenario/world.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#include "tests/helpers/replica.h"
#include "tests/scenario/sse.h"

#define LIMIT 60
#define FRESH_MS 2000 /* a confirmation of the head counts for so long */
#define SLACK_MS 700  /* a busy machine, and the answer's way */
#define PROMPT_MS 8000 /* "try again", at the latest */
#define NONE UINT64_MAX

static const char *const extra[] = {"--issuer", ISSUER, NULL};
static struct world w;
static struct replica standby;
static char primary[ROOM]; /* its socket's folder */
static char live[TOKEN_ROOM], dead[TOKEN_ROOM];

static int64_t
now_ms(void)
{
	struct timespec ts = {0};

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* ---- what is asked ---- */

/* 1 it got one; what it was told else is in w.r.err. */
static int
gets_token(void)
{
	char at[ROOM];

	(void)snprintf(at, sizeof(at), "127.0.0.1:%u",
	    authd_fixture_device(w.authd));
	return DEVICE(&w, "SN0001", "1.3", "token", "--at", at) == 0;
}

static int
redeem(void)
{
	char assertion[ASSERTION_ROOM];
	struct assertion_of of = {.serial = "SN0002",
	    .now = (int64_t)time(NULL)};

	world_assertion(&w, &of, assertion);
	return world_redeem(&w, assertion);
}

static int
introspect(const char *token)
{
	char form[TOKEN_ROOM + 16];

	(void)snprintf(form, sizeof(form), "token=%s", token);
	return world_form(&w, "/oauth2/introspect", w.hub, form);
}

static void
wait_ready(void)
{
	long until = process_deadline(LIMIT);

	while (world_http(&w, "GET", "/readyz", NULL, NULL) != 200 &&
	    process_left(until))
		process_pause();
	assert_int_equal(w.a.status, 200);
}

/* ---- what must not be said ---- */

static void
is_told_to_try_again(int status)
{
	assert_int_equal(status, 503);
	assert_true(http_has(&w.a, "Retry-After", ""));
	assert_non_null(strstr(w.a.body, "\"code\":\""));
}

/* Neither is there from FRESH_MS after since on; both are asked for. */
static void
no_heartbeat_and_no_token(struct sse *s, int64_t since)
{
	int64_t asked, beat = since, token = since;
	struct sse_event e;

	while ((asked = now_ms()) < since + 2 * FRESH_MS) {
		if (gets_token())
			token = asked;
		while (sse_next(s, 20, &e) == 1)
			if (strcmp(e.name, "heartbeat") == 0)
				beat = now_ms();
	}
	print_message("the last token after %lld ms, the last heartbeat "
	    "after %lld ms\n", (long long)(token - since),
	    (long long)(beat - since));
	assert_true(beat - since < FRESH_MS + SLACK_MS);
	assert_true(token - since < FRESH_MS + SLACK_MS);
	assert_non_null(strstr(w.r.err, "says: 503 "));
	assert_non_null(strstr(w.r.err, "\"code\":\"not_ready\""));
	assert_non_null(strstr(w.r.err, "try again in "));
}

static void
is_silent(struct sse *s, int64_t since)
{
	int64_t begun;

	no_heartbeat_and_no_token(s, since);
	assert_int_equal(world_http(&w, "GET", "/readyz", NULL, NULL), 503);
	assert_true(http_has(&w.a, "Retry-After", ""));
	assert_non_null(strstr(w.a.body, "\"code\":\"not_ready\""));
	assert_non_null(strstr(w.a.body, "no write has been confirmed"));
	begun = now_ms();
	is_told_to_try_again(redeem());
	assert_true(now_ms() - begun < PROMPT_MS);
	/* What is dead stays dead; what lives needs a head. */
	begun = now_ms();
	assert_int_equal(introspect(dead), 200);
	assert_non_null(strstr(w.a.body, "\"active\":false"));
	is_told_to_try_again(introspect(live));
	assert_true(now_ms() - begun < PROMPT_MS);
}

/* ---- the tests ---- */

static void
open_world(void)
{
	char path[ROOM + 100];

	world_open(&w, extra);
	world_order(&w, 4);
	world_burn(&w, "SN0001");
	world_burn(&w, "SN0002");
	world_token(&w, "SN0001", dead);
	CTL(&w, "revoke", "device:SN0001", "--effect", "cut");
	world_token(&w, "SN0001", live);
	assert_int_equal(introspect(dead), 200);
	assert_int_equal(introspect(live), 200);
	assert_non_null(strstr(w.a.body, "\"active\":true"));
	(void)snprintf(path, sizeof(path), "%s/run/socket-dir",
	    authd_fixture_dir(w.authd));
	assert_true(file_text(path, primary, sizeof(primary)) > 0);
	primary[strcspn(primary, "\n")] = '\0';
}

/* From now on the primary answers no write that its replica has not. */
static void
follow_synchronously(void)
{
	char db[ROOM + 100];
	long until = process_deadline(LIMIT);

	(void)snprintf(db, sizeof(db), "%s/db", authd_fixture_dir(w.authd));
	assert_int_equal(replica_start(db, primary, &standby), 0);
	do {
		process_pause();
		world_sql(&w, "SELECT count(*) FROM pg_stat_replication "
		    "WHERE state = 'streaming'");
	} while (atoi(w.r.out) < 1 && process_left(until));
	world_sql(&w, "ALTER SYSTEM SET synchronous_standby_names = '*'");
	world_sql(&w, "SELECT pg_reload_conf()");
	do {
		process_pause();
		world_sql(&w, "SELECT count(*) FROM pg_stat_replication "
		    "WHERE sync_state = 'sync'");
	} while (atoi(w.r.out) < 1 && process_left(until));
	assert_int_equal(atoi(w.r.out), 1);
}

static int
cut(const char *serial)
{
	char body[200];

	(void)snprintf(body, sizeof(body), "{\"kind\":\"device\",\"id\":\"%s\""
	    ",\"effect\":\"cut\",\"reason\":\"drill\"}", serial);
	return world_http(&w, "POST", "/v1/revocations", w.admin, body);
}

static int
set_up(void **state)
{
	open_world();
	return 0;
}

static int
tear_down(void **state)
{
	if (standby.pid > 0)
		process_signal_family(standby.pid, SIGCONT);
	world_close(&w);
	replica_stop(&standby);
	return 0;
}

static atomic_int cancelling;

static void *
cancel_main(void *arg)
{
	while (atomic_load(&cancelling))
		if (replica_sql(primary, "SELECT pg_cancel_backend(pid) FROM "
		    "pg_stat_activity WHERE wait_event = 'SyncRep'") != 0)
			break;
	return arg;
}

/* Threat: of all that authd does only its following stands still. */
static void
a_stuck_follower_lets_nothing_out(void **state)
{
	struct sse *s = sse_open(authd_fixture_api(w.authd), w.admin, NONE,
	    NONE);
	int64_t since;
	pid_t backend;

	assert_non_null(s);
	world_sql(&w, "SELECT pid FROM pg_stat_activity WHERE usename = "
	    "'fealty_app' AND (query LIKE '%fealty.heads%' OR query LIKE "
	    "'LISTEN%' OR query LIKE '%instance%') LIMIT 1");
	backend = (pid_t)atoi(w.r.out);
	assert_true(backend > 1);
	since = now_ms();
	assert_int_equal(kill(backend, SIGSTOP), 0);
	is_silent(s, since);
	/* It gives the session up and goes on with another, by itself. */
	wait_ready();
	assert_true(gets_token());
	assert_int_equal(kill(backend, SIGCONT), 0);
	sse_close(&s);
}

static void
a_primary_without_its_replica_acknowledges_nothing(void **state)
{
	pthread_t thread;
	struct sse *s;
	int64_t since;
	long until;

	follow_synchronously();
	wait_ready();
	assert_true(gets_token());
	s = sse_open(authd_fixture_api(w.authd), w.admin, NONE, NONE);
	assert_non_null(s);
	since = now_ms();
	process_signal_family(standby.pid, SIGSTOP);
	/*
	 * Threat: who cancels what hangs makes PostgreSQL call it committed,
	 * with a warning; the follower's write as well as a revocation.
	 */
	atomic_store(&cancelling, 1);
	assert_int_equal(pthread_create(&thread, NULL, cancel_main, NULL), 0);
	is_silent(s, since);
	is_told_to_try_again(cut("SN0002"));
	atomic_store(&cancelling, 0);
	(void)pthread_join(thread, NULL);
	process_signal_family(standby.pid, SIGCONT);
	wait_ready();
	assert_true(gets_token());
	until = process_deadline(LIMIT);
	while (cut("SN0002") == 503 && process_left(until))
		process_pause();
	assert_int_equal(w.a.status, 201);
	sse_close(&s);
}

static void
a_deposed_primary_is_left_for_the_new_one(void **state)
{
	struct authd_fixture *other = NULL;
	struct world on_new;
	struct sse *s;
	int64_t since;

	s = sse_open(authd_fixture_api(w.authd), w.admin, NONE, NONE);
	assert_non_null(s);
	since = now_ms();
	assert_int_equal(replica_sql(standby.socket, "SELECT pg_promote()"),
	    0);
	is_silent(s, since);
	is_told_to_try_again(cut("SN0001"));
	sse_close(&s);
	/* The copy waits for nobody, and all of it is there. */
	assert_int_equal(replica_sql(standby.socket,
	    "ALTER SYSTEM SET synchronous_standby_names = ''"), 0);
	assert_int_equal(replica_sql(standby.socket,
	    "SELECT pg_reload_conf()"), 0);
	assert_int_equal(authd_fixture_moved(w.authd, standby.socket, extra,
	    &other), 0);
	on_new = w;
	on_new.authd = other;
	world_token(&on_new, "SN0001", live);
	assert_int_equal(world_http(&on_new, "POST", "/v1/revocations",
	    w.admin, "{\"kind\":\"device\",\"id\":\"SN0001\",\"effect\":"
	    "\"cut\",\"reason\":\"after\"}"), 201);
	authd_fixture_stop(&other);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_stuck_follower_lets_nothing_out),
	    cmocka_unit_test(
		a_primary_without_its_replica_acknowledges_nothing),
	    cmocka_unit_test(a_deposed_primary_is_left_for_the_new_one),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
