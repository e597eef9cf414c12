/* Out of touch: when it is noticed, what is done, what a restart keeps. */
#include "tests/unit/gateway_feed_kit.h"

#include <sys/stat.h>
#include <unistd.h>

#include "lib/wire/wire.h"

static int
is(struct fworld *w, uint64_t dn, uint64_t pos, const char *code)
{
	struct fealty_decision d;

	return (strcmp(token_code(w, dn, pos, &d), code) == 0);
}

static void
silence_closes_the_gateway_and_word_opens_it(void **state)
{
	struct fworld *w = *state;
	struct fealty_decision d;
	uint64_t pos = fealty_gateway_position(w->g);
	struct fealty_device who = {.device_number = 1, .epoch = 1};
	struct live l;

	live_open(w, &l, 1);
	feedd_beating(w->f, 0);
	for (int i = 0; i < 100; i++)
		nap(); /* what is under way arrives */
	fworld_later(w, 29000);
	assert_true(is(w, 1, pos, "ok"));
	fworld_later(w, 2000);
	assert_string_equal(token_code(w, 1, pos, &d), "stale");
	assert_true(d.staleness_ms >= 30000);
	assert_null(fealty_session_register(w->g, &who, NULL, NULL, &d));
	assert_string_equal(d.code, "stale");
	/* what is up stays up unless asked otherwise */
	assert_int_equal(atomic_load(&l.closed), 0);
	/* its clock turned back an hour makes nothing fresh */
	atomic_fetch_sub(&w->wall_off, 3600000);
	assert_true(is(w, 1, pos, "stale"));
	atomic_fetch_add(&w->wall_off, 3600000);
	feedd_clock_off(w->f, 31000);
	feedd_beating(w->f, 1);
	eventually(is(w, 1, pos, "ok"));
	fealty_session_unregister(w->g, &l.s);
}

/* By the real clocks, once. */
static void
partition_closes_within_a_second_of_max_stale(void **state)
{
	struct fworld *w = *state;
	int64_t began;

	fealty_gateway_close(&w->g);
	w->o.clock = NULL;
	w->o.max_stale_ms = 1500;
	fworld_open(w);
	eventually(fealty_gateway_ready(w->g));
	feedd_beating(w->f, 0);
	feedd_down(w->f, 1);
	began = now_ms();
	eventually(!fealty_gateway_ready(w->g));
	assert_in_range(now_ms() - began, 500, 2500);
	/* and comes back by what it missed, without a snapshot */
	unsigned snapshots = feedd_snapshot_requests(w->f);
	uint64_t pos = feedd_quiet_event(w->f, EV_DEVICE, 1, EFFECT_BLOCK);
	feedd_beating(w->f, 1);
	feedd_down(w->f, 0);
	at_position(w, pos);
	eventually(fealty_gateway_ready(w->g));
	assert_int_equal(feedd_snapshot_requests(w->f), snapshots);
}

/* A relay that plays old heartbeats for ever keeps nobody fresh. */
static void
old_heartbeats_do_not_count(void **state)
{
	struct fworld *w = *state;
	struct buf text = {.max = 4096};
	uint64_t pos = fealty_gateway_position(w->g);

	feedd_beating(w->f, 0);
	feedd_beat(w->f, pos, 0, 1700000000000, NULL, &text);
	fworld_later(w, 31000);
	for (int i = 0; i < 50; i++) {
		feedd_say(w->f, "heartbeat", text.p);
		nap();
	}
	assert_true(is(w, 1, pos, "stale"));
	/* nor does one that is late by the wall clock, though it is new */
	feedd_clock_off(w->f, 500);
	feedd_beating(w->f, 1);
	for (int i = 0; i < 200; i++)
		nap();
	assert_true(is(w, 1, pos, "stale"));
	feedd_clock_off(w->f, 31500);
	eventually(is(w, 1, pos, "ok"));
	buf_free(&text);
}

static void
clock_turned_back_revives_no_expired_token(void **state)
{
	struct fworld *w = *state;
	struct fealty_decision d;
	char token[TOKEN_MAX + 1];
	uint64_t pos = fealty_gateway_position(w->g);

	feedd_token(w->f, 1, pos, token, sizeof(token));
	assert_true(fealty_token_check(w->g, token, strlen(token), NULL, 0,
	    &d));
	fworld_later(w, 3600000);
	feedd_clock_off(w->f, 3600000);
	eventually(fealty_gateway_ready(w->g));
	fealty_token_check(w->g, token, strlen(token), NULL, 0, &d);
	assert_string_equal(d.code, "token_expired");
	atomic_fetch_sub(&w->wall_off, 3600000);
	fealty_token_check(w->g, token, strlen(token), NULL, 0, &d);
	assert_string_equal(d.code, "token_expired");
}

static void
open_policy_accepts_what_it_cannot_know_until_its_limit(void **state)
{
	struct fworld *w = *state;
	struct fealty_decision d;
	uint64_t pos;

	fealty_gateway_close(&w->g);
	w->o.when_stale = FEALTY_STALE_OPEN;
	w->o.stale_limit_ms = 120000;
	fworld_open(w);
	eventually(fealty_gateway_ready(w->g));
	pos = feedd_event(w->f, EV_DEVICE, 1, EFFECT_BLOCK);
	at_position(w, pos);
	assert_true(is(w, 2, pos + 1, "position_ahead"));
	feedd_beating(w->f, 0);
	feedd_down(w->f, 1);
	fworld_later(w, 60000);
	assert_string_equal(token_code(w, 2, pos + 1, &d), "ok");
	assert_true(d.accepted && d.stale && d.staleness_ms >= 60000);
	/* what is known is enforced */
	assert_true(is(w, 1, pos + 1, "device_blocked"));
	fworld_later(w, 61000);
	assert_true(is(w, 2, pos + 1, "stale"));
}

static void
sessions_end_too_where_the_host_wants_it(void **state)
{
	struct fworld *w = *state;
	struct live l;

	fealty_gateway_close(&w->g);
	w->o.end_stale_sessions = 1;
	fworld_open(w);
	eventually(fealty_gateway_ready(w->g));
	live_open(w, &l, 1);
	feedd_beating(w->f, 0);
	feedd_down(w->f, 1);
	fworld_later(w, 31000);
	eventually(atomic_load(&l.closed) != 0);
	assert_string_equal(l.code, "stale");
	fealty_session_unregister(w->g, &l.s);
}

/* ---- restarts ---- */

static uint64_t
restart(struct fworld *w, int64_t later)
{
	uint64_t pos;

	fealty_gateway_close(&w->g);
	w->o.state_file = w->state;
	fworld_open(w);
	eventually(fealty_gateway_ready(w->g));
	feedd_event(w->f, EV_DEVICE, 1, EFFECT_BLOCK);
	pos = feedd_event(w->f, EV_GROUP, 14, EFFECT_CUT);
	at_position(w, pos);
	feedd_beating(w->f, 0);
	feedd_down(w->f, 1);
	fealty_gateway_close(&w->g);
	fworld_later(w, later);
	return (pos);
}

static void
restart_without_network_goes_on_within_its_policy(void **state)
{
	struct fworld *w = *state;
	uint64_t pos = restart(w, 10000);

	fworld_open(w);
	assert_int_equal(fealty_gateway_position(w->g), pos);
	assert_int_equal(fealty_gateway_ready(w->g), 1);
	assert_true(is(w, 2, pos, "ok"));
	assert_true(is(w, 1, pos, "device_blocked"));
	assert_true(is(w, 4, pos - 1, "token_cut"));
	fworld_later(w, 21000);
	assert_true(is(w, 2, pos, "stale"));
	/* and catches up from there: no snapshot */
	unsigned snapshots = feedd_snapshot_requests(w->f);
	feedd_clock_off(w->f, 31000);
	feedd_beating(w->f, 1);
	feedd_down(w->f, 0);
	eventually(is(w, 2, pos, "ok"));
	assert_int_equal(feedd_snapshot_requests(w->f), snapshots);
}

static void
restart_after_the_clock_was_turned_back_is_not_fresh(void **state)
{
	struct fworld *w = *state;
	uint64_t pos = restart(w, 10000);

	atomic_fetch_sub(&w->wall_off, 3600000);
	fworld_open(w);
	assert_int_equal(fealty_gateway_position(w->g), pos);
	assert_int_equal(fealty_gateway_ready(w->g), 0);
	assert_true(is(w, 2, pos, "not_ready"));
}

static void
flip(const char *path, long at)
{
	FILE *f = fopen(path, "r+");
	int c;

	assert_non_null(f);
	fseek(f, at, SEEK_SET);
	c = fgetc(f);
	fseek(f, at, SEEK_SET);
	fputc(c ^ 1, f);
	fclose(f);
}

static void
state_that_was_touched_is_not_used(void **state)
{
	struct fworld *w = *state;
	struct stat st;

	(void)restart(w, 1000);
	assert_int_equal(stat(w->state, &st), 0);
	assert_int_equal(st.st_mode & 077, 0);
	for (int i = 0; i < 4; i++) {
		long at = (long)(st.st_size - 1) * i / 3;

		flip(w->state, at);
		fworld_open(w);
		assert_int_equal(fealty_gateway_position(w->g), 0);
		fealty_gateway_close(&w->g);
		flip(w->state, at);
	}
	/* cut off at the end of a piece */
	fworld_open(w);
	assert_int_not_equal(fealty_gateway_position(w->g), 0);
	fealty_gateway_close(&w->g);
	assert_int_equal(truncate(w->state, 24 + 541), 0);
	fworld_open(w);
	assert_int_equal(fealty_gateway_position(w->g), 0);
}

static void
state_is_of_one_key_and_the_hosts_if_it_gives_one(void **state)
{
	struct fworld *w = *state;
	char path[80];
	FILE *f;

	(void)restart(w, 1000);
	snprintf(path, sizeof(path), "%s.key", w->state);
	f = fopen(path, "w");
	assert_non_null(f);
	fputs("0123456789abcdef0123456789abcdef", f);
	fclose(f);
	w->o.state_key_file = path;
	assert_int_equal(chmod(path, 0644), 0);
	assert_null(fealty_gateway_open(&w->o, NULL, 0));
	assert_int_equal(chmod(path, 0600), 0);
	fworld_open(w);
	assert_int_equal(fealty_gateway_position(w->g), 0);
	unlink(path);
}

static void
host_built_before_enrolment_still_opens(void **state)
{
	struct fworld *w = *state;
	struct fealty_options o = w->o;
	const char *url = "http://127.0.0.1:1";
	char reason[FEALTY_REASON] = "";

	fealty_gateway_close(&w->g);
	o.size = offsetof(struct fealty_options, enrolment_file);
	o.urls = &url;
	o.nurls = 1;
	o.audience = FEED_AUDIENCE;
	/* what is beyond its size is not looked at: no enrolment here */
	assert_null(fealty_gateway_open(&o, reason, sizeof(reason)));
	assert_non_null(strstr(reason, "credential_file"));
	w->o.audience = "gw-b";
	assert_null(fealty_gateway_open(&w->o, reason, sizeof(reason)));
	assert_non_null(strstr(reason, "enrolled"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, fworld_up, fworld_down)
		T(silence_closes_the_gateway_and_word_opens_it),
		T(partition_closes_within_a_second_of_max_stale),
		T(old_heartbeats_do_not_count),
		T(clock_turned_back_revives_no_expired_token),
		T(open_policy_accepts_what_it_cannot_know_until_its_limit),
		T(sessions_end_too_where_the_host_wants_it),
		T(restart_without_network_goes_on_within_its_policy),
		T(restart_after_the_clock_was_turned_back_is_not_fresh),
		T(state_that_was_touched_is_not_used),
		T(state_is_of_one_key_and_the_hosts_if_it_gives_one),
		T(host_built_before_enrolment_still_opens),
#undef T
	};

	wire_init();
	return (cmocka_run_group_tests(tests, NULL, NULL));
}
