/* What an enrolled gateway makes of what it hears, true or false. */
#include "tests/unit/gateway_feed_kit.h"

#include <pthread.h>

#include "lib/wire/wire.h"

static void
event_ends_the_session_and_is_receipted(void **state)
{
	struct fworld *w = *state;
	struct feedd_receipt r;
	struct live l, other;
	int64_t best = INT64_MAX;
	uint64_t pos;

	live_open(w, &other, 2);
	for (int i = 0; i < 50; i++) {
		live_open(w, &l, 1);
		pos = feedd_event(w->f, EV_DEVICE, 1, EFFECT_CUT);
		eventually(atomic_load(&l.closed) != 0);
		assert_int_equal(atomic_load(&l.closed), pos + 1);
		assert_string_equal(l.code, "token_cut");
		fealty_session_unregister(w->g, &l.s);
		receipted(w, &r, pos);
		assert_true(r.sessions);
		if (r.took_us < best)
			best = r.took_us;
	}
	assert_int_equal(r.closed, 50);
	print_message("heard to session gone: %lld us at best\n",
	    (long long)best);
	assert_int_equal(atomic_load(&other.closed), 0);
	fealty_session_unregister(w->g, &other.s);
}

/* "enforced" is not said before the host has let go. */
static void
receipt_waits_until_the_session_is_gone(void **state)
{
	struct fworld *w = *state;
	struct feedd_receipt r;
	struct live l;
	uint64_t cut, later = 0;

	live_open(w, &l, 1);
	cut = feedd_event(w->f, EV_DEVICE, 1, EFFECT_BLOCK);
	for (int i = 0; i < 200; i++) /* more than are told apart */
		later = feedd_event(w->f, EV_DEVICE, 3, EFFECT_CUT);
	at_position(w, later);
	for (int i = 0; i < 50; i++)
		nap();
	feedd_receipt(w->f, &r);
	assert_true(r.position < cut);
	fealty_session_unregister(w->g, &l.s);
	receipted(w, &r, later);
	assert_int_equal(r.closed, 1);
}

#define HOSTS 4
#define TURNS 150
struct host {
	struct fworld *w;
	pthread_t thread;
	_Atomic int *over;
	unsigned refused, ended, untrue;
};

/*
 * Registers, perhaps is cut, lets go. What was cut at a position must not
 * have been receipted before it has let go.
 */
static void *
host(void *arg)
{
	struct host *h = arg;
	struct fealty_device d = {.device_number = 1, .epoch = 1, .tls = 13};
	struct feedd_receipt r;
	struct live l;
	uint64_t at;

	snprintf(d.device_id, sizeof(d.device_id), "dev-1");
	while (!atomic_load(h->over)) {
		memset(&l, 0, sizeof(l));
		d.position = fealty_gateway_position(h->w->g);
		l.s = fealty_session_register(h->w->g, &d, live_closed, &l,
		    NULL);
		if (l.s == NULL) {
			h->refused++;
			continue;
		}
		for (int i = 0; i < 2; i++)
			nap();
		if ((at = atomic_load(&l.closed)) != 0) {
			feedd_receipt(h->w->f, &r);
			h->untrue += r.position >= at - 1;
			h->ended++;
		}
		fealty_session_unregister(h->w->g, &l.s);
	}
	return (NULL);
}

static void
sessions_come_and_go_while_events_do_and_receipts_are_true(void **state)
{
	struct fworld *w = *state;
	struct host h[HOSTS];
	struct feedd_receipt r;
	_Atomic int over = 0;
	uint64_t pos = 0;
	unsigned ended = 0;

	for (int i = 0; i < HOSTS; i++) {
		h[i] = (struct host){.w = w, .over = &over};
		assert_int_equal(pthread_create(&h[i].thread, NULL, host,
		    &h[i]), 0);
	}
	for (int i = 0; i < TURNS; i++) {
		pos = feedd_event(w->f, EV_DEVICE, 1, EFFECT_CUT);
		nap();
	}
	at_position(w, pos);
	atomic_store(&over, 1);
	for (int i = 0; i < HOSTS; i++) {
		pthread_join(h[i].thread, NULL);
		ended += h[i].ended;
		assert_int_equal(h[i].untrue, 0);
	}
	receipted(w, &r, pos);
	assert_true(ended > 0 && r.closed >= ended);
}

static void
receipts_that_fail_become_part_of_the_next(void **state)
{
	struct fworld *w = *state;
	struct feedd_receipt r;
	uint64_t pos = 0;
	unsigned before;

	receipted(w, &r, fealty_gateway_position(w->g));
	before = r.n;
	feedd_refuse_receipts(w->f, ERR_NOT_READY);
	for (int i = 0; i < 30; i++)
		pos = feedd_event(w->f, EV_DEVICE, 3, EFFECT_CUT);
	at_position(w, pos);
	feedd_refuse_receipts(w->f, ERR_OK);
	receipted(w, &r, pos);
	assert_in_range(r.n, before + 1, before + 3);
	assert_false(r.sessions);
}

/* It has lost events; once it is back, an admin waits for the receipt. */
static void
authority_that_was_behind_soon_gets_its_receipts(void **state)
{
	struct fworld *w = *state;
	struct feedd_receipt r;
	unsigned refused;
	uint64_t pos;

	receipted(w, &r, fealty_gateway_position(w->g));
	feedd_refuse_receipts(w->f, ERR_BACKWARDS);
	pos = feedd_event(w->f, EV_DEVICE, 3, EFFECT_CUT);
	eventually(feedd_refused_receipts(w->f) >= 1);
	feedd_refuse_receipts(w->f, ERR_OK);
	receipted(w, &r, pos);
	/* nor does what is new wait for what was refused */
	feedd_refuse_receipts(w->f, ERR_BACKWARDS);
	refused = feedd_refused_receipts(w->f);
	(void)feedd_event(w->f, EV_DEVICE, 4, EFFECT_CUT);
	eventually(feedd_refused_receipts(w->f) > refused);
	feedd_refuse_receipts(w->f, ERR_OK);
	pos = feedd_event(w->f, EV_DEVICE, 5, EFFECT_CUT);
	receipted(w, &r, pos);
	assert_int_equal(r.position, pos);
}

static void
lies_are_not_believed_and_another_stream_is_taken(void **state)
{
	struct fworld *w = *state;
	struct buf real = {.max = SET_MAX}, text = {.max = SET_MAX};
	struct signer *stranger;
	uint64_t pos, before;
	struct live l;
	unsigned streams;

	live_open(w, &l, 1);
	before = fealty_gateway_position(w->g);
	assert_int_equal(signer_generate(&stranger), ERR_OK);
	pos = feedd_quiet_event(w->f, EV_DEVICE, 3, EFFECT_CUT);
	feedd_set(w->f, pos, pos, NULL, &real);
	for (int i = 0; i < 6; i++) {
		buf_reset(&text);
		streams = feedd_stream_requests(w->f);
		switch (i) {
		case 0: /* by another key */
			feedd_set(w->f, pos, pos, stranger, &text);
			feedd_say(w->f, "revocations", text.p);
			break;
		case 1: /* changed on its way */
			assert_int_equal(buf_str(&text, real.p), ERR_OK);
			text.p[text.len / 2] ^= 1;
			feedd_say(w->f, "revocations", text.p);
			break;
		case 2: /* cut off */
			assert_int_equal(buf_add(&text, real.p,
			    real.len - 10), ERR_OK);
			feedd_say(w->f, "revocations", text.p);
			break;
		case 3: /* of another kind */
			feedd_say(w->f, "heartbeat", real.p);
			break;
		case 4:
			feedd_say(w->f, "keys", real.p);
			break;
		default:
			feedd_beat(w->f, pos + 5, 0, 1, stranger, &text);
			feedd_say(w->f, "heartbeat", text.p);
		}
		eventually(feedd_stream_requests(w->f) > streams);
		/* and what the next one says is taken */
		at_position(w, pos);
		assert_int_equal(atomic_load(&l.closed), 0);
	}
	assert_true(pos > before);
	eventually(fealty_gateway_ready(w->g));
	fealty_session_unregister(w->g, &l.s);
	signer_free(&stranger);
	buf_free(&real);
	buf_free(&text);
}

static void
replayed_and_overlapping_events_change_nothing(void **state)
{
	struct fworld *w = *state;
	struct buf old = {.max = SET_MAX}, both = {.max = SET_MAX};
	uint64_t block, lift;
	struct live l;
	unsigned streams;

	block = feedd_event(w->f, EV_DEVICE, 1, EFFECT_BLOCK);
	feedd_set(w->f, block, block, NULL, &old);
	lift = feedd_event(w->f, EV_DEVICE, 1, EFFECT_LIFT);
	feedd_set(w->f, block, lift, NULL, &both);
	at_position(w, lift);
	live_open(w, &l, 1);
	streams = feedd_stream_requests(w->f);
	feedd_say(w->f, "revocations", old.p);
	feedd_say(w->f, "revocations", both.p);
	block = feedd_event(w->f, EV_DEVICE, 2, EFFECT_CUT);
	at_position(w, block);
	assert_int_equal(atomic_load(&l.closed), 0);
	assert_int_equal(feedd_stream_requests(w->f), streams);
	fealty_session_unregister(w->g, &l.s);
	buf_free(&old);
	buf_free(&both);
}

static void
gap_is_seen_and_filled(void **state)
{
	struct fworld *w = *state;
	uint64_t last;
	struct live l;
	unsigned streams = feedd_stream_requests(w->f);

	live_open(w, &l, 1);
	feedd_quiet_event(w->f, EV_DEVICE, 1, EFFECT_BLOCK);
	last = feedd_event(w->f, EV_DEVICE, 2, EFFECT_CUT);
	eventually(atomic_load(&l.closed) != 0);
	at_position(w, last);
	eventually(feedd_stream_requests(w->f) > streams);
	fealty_session_unregister(w->g, &l.s);
}

/* Events the stream forgets altogether: the heartbeat gives it away. */
static void
silent_omission_is_seen_by_the_heartbeat(void **state)
{
	struct fworld *w = *state;
	struct live l;
	uint64_t pos;

	live_open(w, &l, 1);
	pos = feedd_quiet_event(w->f, EV_DEVICE, 1, EFFECT_BLOCK);
	eventually(atomic_load(&l.closed) == pos + 1);
	fealty_session_unregister(w->g, &l.s);
}

static void
gateway_below_the_floor_drops_everything_and_goes_on(void **state)
{
	struct fworld *w = *state;
	struct fealty_decision d;
	uint64_t old = fealty_gateway_position(w->g), pos = 0;
	unsigned snapshots = feedd_snapshot_requests(w->f);
	struct live l;

	live_open(w, &l, 1);
	assert_string_equal(token_code(w, 1, old, &d), "ok");
	feedd_down(w->f, 1);
	for (int i = 0; i < 250; i++)
		pos = feedd_quiet_event(w->f, EV_DEVICE, 5, EFFECT_CUT);
	feedd_floor(w->f, pos - 10);
	/* its clock an hour back: no help to it */
	atomic_fetch_sub(&w->wall_off, 3600000);
	feedd_down(w->f, 0);
	eventually(atomic_load(&l.closed) != 0);
	assert_string_equal(l.code, "token_below_floor");
	fealty_session_unregister(w->g, &l.s);
	at_position(w, pos);
	eventually(feedd_snapshot_requests(w->f) > snapshots);
	eventually(fealty_gateway_ready(w->g));
	assert_string_equal(token_code(w, 1, old, &d), "token_below_floor");
	assert_string_equal(token_code(w, 1, pos, &d), "ok");
	assert_string_equal(token_code(w, 5, pos - 1, &d), "token_cut");
	live_open(w, &l, 1);
	fealty_session_unregister(w->g, &l.s);
}

/* Threat: gateways that need a snapshot keep the authority from making it. */
static void
a_snapshot_that_fails_is_not_asked_for_all_the_time(void **state)
{
	struct fworld *w = *state;
	unsigned asked = feedd_snapshot_requests(w->f);
	int64_t until;

	feedd_snapshots(w->f, 0);
	(void)feedd_event(w->f, EV_DEVICE, 5, EFFECT_CUT);
	feedd_floor(w->f, feedd_quiet_event(w->f, EV_DEVICE, 5, EFFECT_CUT));
	eventually(feedd_snapshot_requests(w->f) > asked);
	for (until = now_ms() + 2000; now_ms() < until;)
		nap();
	/* forty, each 50 ms */
	assert_true(feedd_snapshot_requests(w->f) - asked < 15);
	assert_false(fealty_gateway_ready(w->g));
	feedd_snapshots(w->f, 1);
	eventually(fealty_gateway_ready(w->g));
	at_position(w, feedd_head(w->f));
}

static void
key_sets_come_from_the_root_and_only_grow(void **state)
{
	struct fworld *w = *state;
	struct buf old = {.max = 65536}, forged = {.max = 65536};
	struct buf by_old = {.max = SET_MAX};
	struct signer *stranger;
	uint64_t pos;
	unsigned streams;

	feedd_keyset(w->f, 1, NULL, &old);
	pos = feedd_quiet_event(w->f, EV_DEVICE, 1, EFFECT_CUT);
	feedd_set(w->f, pos, pos, NULL, &by_old);
	feedd_new_feed_key(w->f);
	pos = feedd_event(w->f, EV_DEVICE, 1, EFFECT_CUT);
	at_position(w, pos);
	/* the old set, with the retired key, is not taken back */
	streams = feedd_stream_requests(w->f);
	feedd_say(w->f, "keys", old.p);
	eventually(feedd_stream_requests(w->f) > streams);
	streams = feedd_stream_requests(w->f);
	feedd_say(w->f, "revocations", by_old.p);
	eventually(feedd_stream_requests(w->f) > streams);
	/* nor one that the root has not signed, however new */
	assert_int_equal(signer_generate(&stranger), ERR_OK);
	feedd_keyset(w->f, 99, stranger, &forged);
	streams = feedd_stream_requests(w->f);
	feedd_say(w->f, "keys", forged.p);
	eventually(feedd_stream_requests(w->f) > streams);
	pos = feedd_event(w->f, EV_DEVICE, 1, EFFECT_CUT);
	at_position(w, pos);
	signer_free(&stranger);
	buf_free(&old);
	buf_free(&forged);
	buf_free(&by_old);
}

static void
without_streams_it_asks(void **state)
{
	struct fworld *w = *state;
	struct live l;
	uint64_t pos = 0;

	feedd_streams(w->f, 0);
	for (int i = 0; i < 1200; i++) /* three pages */
		pos = feedd_quiet_event(w->f, EV_DEVICE, 5, EFFECT_CUT);
	at_position(w, pos);
	live_open(w, &l, 1);
	pos = feedd_event(w->f, EV_DEVICE, 1, EFFECT_BLOCK);
	eventually(atomic_load(&l.closed) == pos + 1);
	fealty_session_unregister(w->g, &l.s);
	assert_int_equal(fealty_gateway_ready(w->g), 1);
}

static void
newest_heartbeat_is_shown_to_the_next_stream(void **state)
{
	struct fworld *w = *state;
	struct feedd_receipt r;

	feedd_end_streams(w->f);
	eventually((feedd_receipt(w->f, &r), r.seen[0] != '\0'));
	assert_non_null(strchr(r.seen, '.'));
}

/* A token that is ahead of what was seen waits for it, not for ever. */
static void
token_ahead_waits_for_the_events(void **state)
{
	struct fworld *w = *state;
	char token[TOKEN_MAX + 1];
	struct fealty_decision d;
	uint64_t pos = feedd_head(w->f) + 1;

	assert_string_equal(token_code(w, 2, pos, &d), "position_ahead");
	assert_true(d.retry);
	feedd_token(w->f, 2, pos, token, sizeof(token));
	feedd_event(w->f, EV_DEVICE, 1, EFFECT_CUT);
	assert_true(fealty_token_check(w->g, token, strlen(token), NULL, 500,
	    &d));
	assert_false(d.stale);
	assert_true(d.staleness_ms < 30000);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, fworld_up, fworld_down)
		T(event_ends_the_session_and_is_receipted),
		T(receipt_waits_until_the_session_is_gone),
		T(sessions_come_and_go_while_events_do_and_receipts_are_true),
		T(receipts_that_fail_become_part_of_the_next),
		T(authority_that_was_behind_soon_gets_its_receipts),
		T(lies_are_not_believed_and_another_stream_is_taken),
		T(replayed_and_overlapping_events_change_nothing),
		T(gap_is_seen_and_filled),
		T(silent_omission_is_seen_by_the_heartbeat),
		T(gateway_below_the_floor_drops_everything_and_goes_on),
		T(a_snapshot_that_fails_is_not_asked_for_all_the_time),
		T(key_sets_come_from_the_root_and_only_grow),
		T(without_streams_it_asks),
		T(newest_heartbeat_is_shown_to_the_next_stream),
		T(token_ahead_waits_for_the_events),
#undef T
	};

	wire_init();
	return (cmocka_run_group_tests(tests, NULL, NULL));
}
