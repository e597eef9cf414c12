/* Strangers that probe and flood, and authorities that misbehave. */
#include "tests/unit/gateway_authd.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <unistd.h>

static const char stranger[] = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8g";

static void
connects(struct world *w, uint64_t dn, int tls)
{
	struct attempt a = attempt_of(dn, tls);

	attempt_run(w->g, w->ctx, &a);
	assert_true(a.client_ok && a.server_ok);
	attempt_close(&a);
}

static void
fails(struct world *w, struct attempt *a)
{
	attempt_run(w->g, w->ctx, a);
	assert_false(a->client_ok || a->server_ok);
	attempt_close(a);
}

/* One who saw an identity in clear learns nothing of it by a retry either. */
static void
hello_retry_is_no_oracle_and_no_way_to_another_identity(void **state)
{
	struct world *w = *state;
	struct attempt good, bad;

	world_open(w);
	/* none of the shares that clients send unasked */
	assert_int_equal(SSL_CTX_set1_groups_list(w->ctx, "P-521"), 1);
	connects(w, 1, 13);
	good = attempt_of(1, 13);
	bad = attempt_of(2, 13);
	bad.identity = stranger;
	memset(&good.key, 1, sizeof(good.key));
	good.second = bad.second = "somebody else";
	fails(w, &good);
	fails(w, &bad);
	assert_int_equal(good.alert, bad.alert);
	assert_string_equal(good.shape, bad.shape);
	/* who holds the key of one is not taken for the other */
	good = attempt_of(1, 13);
	good.second = attempt_of(2, 13).identity;
	fails(w, &good);
	good.second = stranger;
	fails(w, &good);
}

static void
strangers_do_not_make_the_follower_ask(void **state)
{
	struct world *w = *state;
	struct attempt a = attempt_of(1, 13);
	struct fealty_decision d;
	unsigned before;

	w->o.poll_ms = 600000;
	world_open(w);
	before = authd_feed_requests(w->authd);
	for (int i = 0; i < 20; i++) {
		a.tls = 12 + i % 2;
		a.identity = stranger; /* under an unknown identity key */
		fails(w, &a);
		fealty_token_check(w->g, stranger, strlen(stranger), NULL, 0,
		    &d);
	}
	assert_int_equal(authd_feed_requests(w->authd), before);
	assert_int_equal(authd_psk_requests(w->authd), 0);
}

struct end {
	_Atomic int n;
};

static void
on_end(void *arg, SSL *ssl, int ok)
{
	struct end *e = arg;

	assert_false(ok);
	atomic_fetch_add(&e->n, 1);
	(void)ssl;
}

/* What is no TLS at all. */
static void
shouts(struct world *w)
{
	static const char text[] = "GET / HTTP/1.0\r\n\r\n";
	struct attempt a = attempt_of(1, 13);
	struct end end = {0};

	attempt_prepare(w->ctx, &a);
	assert_int_equal(write(a.fds[0], text, sizeof(text)), sizeof(text));
	assert_int_equal(fealty_tls_handshake(w->g, a.server, DEADLINE_MS,
	    on_end, &end), 0);
	eventually(atomic_load(&end.n) == 1);
	attempt_close(&a);
}

static void
floods_of_one_source_do_not_fill_the_log(void **state)
{
	struct world *w = *state;
	struct attempt wrong = attempt_of(1, 13);

	w->o.failures_burst = 3;
	w->o.failures_per_minute = 1;
	world_open(w);
	memset(&wrong.key, 1, sizeof(wrong.key));
	for (int i = 0; i < 10; i++) {
		fails(w, &wrong);
		shouts(w);
	}
	/* three lines and the one that says that there will be no more */
	assert_int_equal(log_count("handshake refused"), 4);
	assert_true(log_has("handshake refused", "rate_limited", NULL));
	connects(w, 1, 13);
}

static void
our_own_failures_are_not_held_against_a_source(void **state)
{
	struct world *w = *state;

	w->o.failures_burst = 2;
	w->o.failures_per_minute = 1;
	w->o.max_stale_ms = 300;
	world_open(w);
	connects(w, 1, 12);
	authd_down(w->authd, 1);
	eventually(!fealty_gateway_ready(w->g));
	for (int i = 0; i < 5; i++) {
		struct attempt a = attempt_of(1, 12);

		fails(w, &a);
	}
	assert_true(log_has("handshake refused", "stale", NULL));
	authd_down(w->authd, 0);
	eventually(fealty_gateway_ready(w->g));
	connects(w, 1, 12);
}

static void
unknown_key_is_told_as_worth_another_try_until_asked_for(void **state)
{
	struct world *w = *state;
	struct fealty_decision d;
	struct token_claims c;
	char token[TOKEN_MAX + 1];

	world_open(w);
	authd_new_key(w->authd);
	authd_claims(w->authd, 1, &c);
	authd_sign(w->authd, &c, token, sizeof(token));
	assert_int_equal(fealty_token_check(w->g, token, strlen(token), NULL,
	    0, &d), 0);
	assert_string_equal(d.code, "token_unknown_key");
	assert_int_equal(d.retry, 1);
	eventually(fealty_token_check(w->g, token, strlen(token), NULL, 0,
	    &d));
	assert_int_equal(d.retry, 0);
}

static void
short_pages_of_the_feed_skip_nothing(void **state)
{
	struct world *w = *state;
	struct fealty_decision d;
	struct token_claims c;
	char token[TOKEN_MAX + 1];
	uint64_t head = 0;

	world_open(w);
	authd_claims(w->authd, 2, &c);
	authd_sign(w->authd, &c, token, sizeof(token));
	assert_true(fealty_token_check(w->g, token, strlen(token), NULL, 0,
	    &d));
	authd_down(w->authd, 1);
	authd_page(w->authd, 3);
	for (uint64_t i = 0; i < 10; i++)
		head = authd_event(w->authd, EV_DEVICE, i == 7 ? 2 : 1,
		    EFFECT_CUT);
	authd_down(w->authd, 0);
	eventually(fealty_gateway_position(w->g) == head);
	assert_false(fealty_token_check(w->g, token, strlen(token), NULL, 0,
	    &d));
	assert_string_equal(d.code, "token_cut");
}

static void
floor_above_the_head_is_not_believed(void **state)
{
	struct world *w = *state;
	struct fealty_decision d;
	struct token_claims c;
	char token[TOKEN_MAX + 1];

	world_open(w);
	authd_claims(w->authd, 1, &c);
	authd_sign(w->authd, &c, token, sizeof(token));
	authd_floor(w->authd, NUMBER_MAX);
	eventually(log_has("out of touch", "position_behind", NULL));
	authd_floor(w->authd, 0);
	eventually(fealty_token_check(w->g, token, strlen(token), NULL, 0,
	    &d));
}

/* One authd lags for good; another of the same authority does not. */
static void
authd_that_is_behind_is_left_for_another(void **state)
{
	struct world *w = *state;
	const char *urls[2];
	uint64_t pos = 0;

	w->other = authd_start();
	for (int i = 0; i < 3; i++)
		pos = authd_event(w->authd, EV_DEVICE, 7, EFFECT_CUT);
	urls[0] = authd_url(w->authd);
	urls[1] = authd_url(w->other);
	w->o.urls = urls;
	w->o.nurls = 2;
	w->o.max_stale_ms = 86400000;
	world_open(w);
	eventually(fealty_gateway_position(w->g) == pos);
	/* the first is away for long enough to turn to the second */
	authd_down(w->authd, 1);
	eventually(log_has("out of touch", NULL, NULL));
	authd_down(w->authd, 0);
	pos = authd_event(w->authd, EV_DEVICE, 7, EFFECT_CUT);
	eventually(fealty_gateway_position(w->g) == pos);
}

static void
key_does_not_stay_in_the_session_of_a_live_connection(void **state)
{
	struct world *w = *state;
	unsigned char left[64];
	size_t n;

	world_open(w);
	for (int tls = 12; tls <= 13; tls++) {
		struct attempt a = attempt_of(1, tls);

		attempt_run(w->g, w->ctx, &a);
		assert_true(a.client_ok && a.server_ok);
		n = SSL_SESSION_get_master_key(SSL_get_session(a.server),
		    left, sizeof(left));
		assert_true(n >= sizeof(a.key));
		assert_memory_not_equal(left, a.key.b, sizeof(a.key));
		/* and is not missed */
		assert_int_equal(SSL_write(a.server, "more", 4), 4);
		assert_int_equal(SSL_read(a.client, left, sizeof(left)), 4);
		attempt_close(&a);
	}
}

static void
handshake_may_be_abandoned_after_the_gateway_was_closed(void **state)
{
	struct world *w = *state;
	struct attempt a[2] = {attempt_of(1, 12), attempt_of(2, 13)};
	pthread_t client;

	world_open(w);
	for (int i = 0; i < 2; i++) {
		enum fealty_step s;
		int key_fd;

		authd_hold_psk(w->authd, 1);
		attempt_prepare(w->ctx, &a[i]);
		pthread_create(&client, NULL, attempt_client, &a[i]);
		do {
			s = fealty_tls_step(w->g, a[i].server, &key_fd);
			nap();
		} while (s != FEALTY_STEP_WANT_KEY);
		fealty_gateway_close(&w->g);
		log_clear();
		fealty_tls_abandon(w->g, a[i].server);
		assert_int_equal(log_count("handshake refused"), 0);
		pthread_join(client, NULL);
		assert_false(a[i].client_ok);
		SSL_free(a[i].client);
		close(a[i].fds[0]);
		authd_hold_psk(w->authd, 0);
		world_open(w);
	}
}

struct run {
	struct world *w;
	struct attempt a;
};

static void *
run(void *arg)
{
	struct run *r = arg;

	attempt_run(r->w->g, r->w->ctx, &r->a);
	return (NULL);
}

/* Six devices want keys that never come; who has one is served anyhow. */
static void
authority_that_hangs_does_not_hold_every_thread(void **state)
{
	struct world *w = *state;
	pthread_t thread[6];
	struct run r[6];

	w->o.threads = 2;
	w->o.request_ms = 1000;
	world_open(w);
	connects(w, 1, 12);
	authd_hold_psk(w->authd, 1);
	for (int i = 0; i < 6; i++)
		r[i] = (struct run){w, attempt_of((uint64_t)i + 2, 12)};
	for (int i = 0; i < 6; i++)
		pthread_create(&thread[i], NULL, run, &r[i]);
	eventually(authd_psk_requests(w->authd) >= 3);
	connects(w, 1, 12);
	for (int i = 0; i < 6; i++) {
		pthread_join(thread[i], NULL);
		assert_false(r[i].a.server_ok);
		attempt_close(&r[i].a);
	}
	/* two at once, then one at a time */
	assert_in_range(authd_psk_requests(w->authd), 3, 5);
	authd_hold_psk(w->authd, 0);
	for (int i = 0, ok = 0; i < 100 && !ok; i++) {
		struct attempt a = attempt_of(3, 12);

		attempt_run(w->g, w->ctx, &a);
		ok = a.server_ok;
		attempt_close(&a);
		for (int n = 0; n < 20 && !ok; n++)
			nap();
		assert_true(ok || i < 99);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, world_prepare, world_tear_down)
		T(hello_retry_is_no_oracle_and_no_way_to_another_identity),
		T(strangers_do_not_make_the_follower_ask),
		T(floods_of_one_source_do_not_fill_the_log),
		T(our_own_failures_are_not_held_against_a_source),
		T(unknown_key_is_told_as_worth_another_try_until_asked_for),
		T(short_pages_of_the_feed_skip_nothing),
		T(floor_above_the_head_is_not_believed),
		T(authd_that_is_behind_is_left_for_another),
		T(key_does_not_stay_in_the_session_of_a_live_connection),
		T(handshake_may_be_abandoned_after_the_gateway_was_closed),
		T(authority_that_hangs_does_not_hold_every_thread),
#undef T
	};

	wire_init();
	return (cmocka_run_group_tests(tests, NULL, NULL));
}
