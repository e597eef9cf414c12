/*
 * A gateway that was away while the feed's floor went over what it knows, or
 * whose clock is an hour off, in front of a real authd: nothing that it held
 * from before counts any more. Twice the token life goes by in the database,
 * where events are made as old as that.
 */
#include "tests/scenario/world.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <time.h>
#include <unistd.h>
#include <fealty/device.h>
#include <fealty/gateway.h>

#define LIMIT 60
#define HOUR_MS 3600000

static const char *const extra[] = {"--issuer", ISSUER, NULL};
static struct world w, w2; /* w2: by the second authd, on one database */
static struct authd_fixture *second;
static _Atomic int64_t wall_off;

static int64_t
clock_ms(clockid_t id)
{
	struct timespec ts = {0};

	(void)clock_gettime(id, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static int64_t
wall(void *arg)
{
	(void)arg;
	return clock_ms(CLOCK_REALTIME) + atomic_load(&wall_off);
}

static int64_t
monotonic(void *arg)
{
	(void)arg;
	return clock_ms(CLOCK_MONOTONIC);
}

#define eventually(cond) \
	do { \
		long until_ = process_deadline(LIMIT); \
		while (!(cond) && process_left(until_)) \
			process_pause(); \
		assert_true(cond); \
	} while (0)

/* ---- a gateway in this process, by the first authd alone ---- */

static struct fealty_gateway *
open_gateway(void)
{
	static const struct fealty_clock clock = {wall, monotonic, NULL};
	struct fealty_options o = FEALTY_OPTIONS_INIT;
	char url[ROOM], enrolment[ROOM], reason[FEALTY_REASON] = "";
	const char *urls[] = {world_url(&w, url)};
	struct fealty_gateway *g;

	o.urls = urls;
	o.nurls = 1;
	o.enrolment_file = world_file(&w, "enrolment", enrolment);
	o.clock = &clock;
	g = fealty_gateway_open(&o, reason, sizeof(reason));
	if (g == NULL)
		fail_msg("%s", reason);
	return g;
}

static const char *
judge(struct fealty_gateway *g, const char *token)
{
	static struct fealty_decision d;

	(void)fealty_token_check(g, token, strlen(token), NULL, 500, &d);
	return d.code;
}

/* The device's key for this gateway; wait_ms 0: only if it is held. */
static int
has_key(struct fealty_gateway *g, const char *serial, uint32_t wait_ms,
    struct fealty_psk *psk)
{
	char name[ROOM], path[ROOM], octets[FEALTY_RECORD_MAX + 1];
	const struct fealty_peer *peer;
	struct fealty_decision d;
	struct fealty_record r;
	ssize_t n;

	(void)snprintf(name, sizeof(name), "burned/%s.cbor", serial);
	n = file_text(world_file(&w, name, path), octets, sizeof(octets));
	assert_true(n > 0);
	assert_int_equal(fealty_record_read(octets, (size_t)n, &r),
	    FEALTY_OK);
	peer = fealty_record_peer(&r, "hub");
	assert_non_null(peer);
	return fealty_psk_find(g, peer->identity.p, peer->identity.len, 13,
	    wait_ms, psk, &d);
}

struct live {
	struct fealty_session *s;
	pthread_mutex_t lock;
	char code[FEALTY_CODE];
};

static void
closed(void *arg, const char *code, uint64_t position)
{
	struct live *l = arg;

	(void)position;
	(void)pthread_mutex_lock(&l->lock);
	(void)snprintf(l->code, sizeof(l->code), "%s", code);
	(void)pthread_mutex_unlock(&l->lock);
}

static int
was_closed(struct live *l, const char *code)
{
	int is;

	(void)pthread_mutex_lock(&l->lock);
	is = strcmp(l->code, code) == 0;
	(void)pthread_mutex_unlock(&l->lock);
	return is;
}

/* ---- time that goes by ---- */

static int
floor_is_at_the_head(void)
{
	world_sql(&w, "SELECT floor = pos FROM fealty.counter WHERE "
	    "tenant = 1");
	return w.r.out[0] == 't';
}

/* Something happens, and then for twice the longest token life nothing. */
static void
much_time_goes_by(void)
{
	CTL(&w2, "revoke", "token:of-somebody-else");
	world_sql(&w, "UPDATE fealty.event SET at = at - 7200");
	eventually(floor_is_at_the_head());
}

static int
says_below_floor(struct world *at, const char *token)
{
	CTL(at, "explain", token);
	return strstr(at->r.out, "token_below_floor") != NULL;
}

static void
follow(void)
{
	char url[ROOM], url2[ROOM];
	const char *const urls[] = {world_url(&w2, url2), world_url(&w, url),
	    NULL};

	world_follow(&w, urls, "127.0.0.1:0");
}

static int
set_up(void **state)
{
	world_open(&w, extra);
	assert_int_equal(authd_fixture_second(w.authd, extra, &second), 0);
	w2 = w;
	w2.authd = second;
	world_order(&w, 10);
	world_enrol(&w, "hub2");
	follow();
	world_burn(&w, "SN0001");
	world_burn(&w, "SN0002");
	return 0;
}

static int
tear_down(void **state)
{
	if (second != NULL)
		authd_fixture_stop(&second);
	world_close(&w);
	return 0;
}

/* ---- the tests ---- */

static void
one_that_was_cut_off_drops_keys_tokens_and_sessions(void **state)
{
	struct fealty_gateway *g = open_gateway();
	struct live l = {.lock = PTHREAD_MUTEX_INITIALIZER};
	char old[TOKEN_ROOM], fresh[TOKEN_ROOM];
	struct fealty_psk psk;

	eventually(fealty_gateway_ready(g));
	world_token(&w, "SN0001", old);
	assert_int_equal(has_key(g, "SN0001", 10000, &psk), 1);
	assert_int_equal(has_key(g, "SN0001", 0, &psk), 1);
	assert_string_equal(judge(g, old), "ok");
	l.s = fealty_session_register(g, &psk.device, closed, &l, NULL);
	assert_non_null(l.s);
	/* Not a word of what comes now. */
	assert_int_equal(kill(authd_fixture_pid(w.authd), SIGSTOP), 0);
	much_time_goes_by();
	assert_string_equal(judge(g, old), "ok");
	assert_true(was_closed(&l, ""));
	assert_int_equal(kill(authd_fixture_pid(w.authd), SIGCONT), 0);
	eventually(!was_closed(&l, ""));
	assert_true(was_closed(&l, "token_below_floor"));
	/* With the session went all the rest. */
	assert_string_equal(judge(g, old), "token_below_floor");
	assert_int_equal(has_key(g, "SN0001", 0, &psk), 0);
	fealty_session_unregister(g, &l.s);
	eventually(fealty_gateway_ready(g));
	eventually(has_key(g, "SN0001", 1000, &psk));
	world_token(&w2, "SN0001", fresh);
	eventually(strcmp(judge(g, fresh), "ok") == 0);
	assert_string_equal(judge(g, old), "token_below_floor");
	fealty_gateway_close(&g);
}

static void
one_that_was_off_begins_by_dropping_what_it_knew(void **state)
{
	char old[TOKEN_ROOM], fresh[TOKEN_ROOM], log[65536];
	long until = process_deadline(LIMIT);
	const char *restored, *dropped;
	int status = 1;

	world_token(&w, "SN0002", old);
	while (status != 0 && process_left(until))
		status = world_show(&w, "SN0002", old);
	assert_int_equal(status, 0);
	assert_int_equal(process_stop(&w.gateway, SIGTERM), 0);
	much_time_goes_by();
	/* Whichever it comes back to has to have read the floor. */
	eventually(says_below_floor(&w, old));
	eventually(says_below_floor(&w2, old));
	(void)unlink(w.gateway_log);
	follow();
	assert_int_equal(file_wait(w.gateway_log, "fell below the floor",
	    LIMIT), 0);
	assert_true(file_text(w.gateway_log, log, sizeof(log)) > 0);
	restored = strstr(log, "state restored");
	dropped = strstr(log, "fell below the floor");
	assert_non_null(restored);
	assert_true(restored < dropped);
	/* Until it has caught up it may say so instead; it takes it never. */
	until = process_deadline(LIMIT);
	do {
		assert_int_not_equal(DEVICE(&w, "SN0002", "1.3", "connect",
		    "--at", w.listening, "--audience", "hub", "--token",
		    old), 0);
	} while (strstr(w.r.out, "token_below_floor") == NULL &&
	    process_left(until));
	assert_non_null(strstr(w.r.out, "token_below_floor"));
	world_token(&w, "SN0002", fresh);
	until = process_deadline(LIMIT);
	while (DEVICE(&w, "SN0002", "1.3", "connect", "--at",
	    w.listening, "--audience", "hub", "--token", fresh) != 0 &&
	    process_left(until))
		process_pause();
	assert_int_equal(w.r.status, 0);
}

/* Threat: by its clock what has long been dead lives for another hour. */
static void
one_whose_clock_is_an_hour_slow_obeys_the_floor(void **state)
{
	struct fealty_gateway *g;
	char old[TOKEN_ROOM];

	atomic_store(&wall_off, -HOUR_MS);
	g = open_gateway();
	eventually(fealty_gateway_ready(g));
	world_token(&w, "SN0001", old);
	assert_string_equal(judge(g, old), "ok");
	/* By the clock it has more than an hour to live, by the floor none. */
	much_time_goes_by();
	eventually(strcmp(judge(g, old), "token_below_floor") == 0);
	fealty_gateway_close(&g);
	atomic_store(&wall_off, 0);
}

static void
one_whose_clock_is_an_hour_fast_takes_nothing_for_fresh(void **state)
{
	struct fealty_gateway *g;
	char token[TOKEN_ROOM];

	atomic_store(&wall_off, HOUR_MS);
	g = open_gateway();
	world_token(&w, "SN0001", token);
	eventually(strcmp(judge(g, token), "stale") == 0);
	assert_int_equal(fealty_gateway_ready(g), 0);
	assert_true(fealty_gateway_age(g) > HOUR_MS - 60000);
	/* Set right, it goes on by itself. */
	atomic_store(&wall_off, 0);
	eventually(strcmp(judge(g, token), "ok") == 0);
	fealty_gateway_close(&g);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(
		one_that_was_cut_off_drops_keys_tokens_and_sessions),
	    cmocka_unit_test(one_that_was_off_begins_by_dropping_what_it_knew),
	    cmocka_unit_test(
		one_whose_clock_is_an_hour_slow_obeys_the_floor),
	    cmocka_unit_test(
		one_whose_clock_is_an_hour_fast_takes_nothing_for_fresh),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
