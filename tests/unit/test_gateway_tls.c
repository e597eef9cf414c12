/* What a device, or a stranger, sees of a gateway's TLS. */
#include "tests/unit/gateway_authd.h"

#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

static void
a_device_connects_over(struct world *w, int tls)
{
	struct attempt a = attempt_of(1, tls);

	for (int i = 0; i < 3; i++) {
		attempt_run(w->g, w->ctx, &a);
		assert_true(a.client_ok && a.server_ok);
		assert_string_equal(a.device.device_id, "dev-1");
		assert_int_equal(a.device.device_number, 1);
		assert_int_equal(a.device.epoch, 1);
		assert_int_equal(a.device.ngroups, 1);
		assert_int_equal(a.device.groups[0], 11);
		assert_int_equal(a.device.tls, tls);
		assert_int_equal(a.tickets, 0);
		assert_false(SSL_session_reused(a.client) && tls == 12);
		attempt_close(&a);
	}
	/* fetched once, then from memory */
	assert_int_equal(authd_psk_requests(w->authd), 1);
	assert_true(log_has("handshake accepted", "ok", NULL));
}

static void
device_connects_over_tls13_without_tickets(void **state)
{
	a_device_connects_over(*state, 13);
}

static void
device_connects_over_tls12_without_tickets(void **state)
{
	a_device_connects_over(*state, 12);
}

static void
key_of_one_tls_version_is_none_of_the_other(void **state)
{
	struct world *w = *state;

	for (int tls = 12; tls <= 13; tls++) {
		struct attempt a = attempt_of(2, tls);

		device_key(2, 25 - tls, &a.key);
		attempt_run(w->g, w->ctx, &a);
		assert_false(a.client_ok || a.server_ok);
		attempt_close(&a);
	}
}

/* One failing handshake; its code in the log, what the peer saw in *a. */
static void
fails_with(struct world *w, struct attempt *a, const char *code)
{
	log_clear();
	attempt_run(w->g, w->ctx, a);
	assert_false(a->client_ok || a->server_ok);
	if (!log_has("handshake refused", code, NULL))
		fail_msg("not told as %s", code);
	attempt_close(a);
}

static void
no_oracle_over(struct world *w, int tls)
{
	static const char garbage[] =
	    "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8g";
	struct attempt wrong = attempt_of(3, tls), made_up = attempt_of(3, tls);
	struct attempt forged = attempt_of(3, tls), other = attempt_of(3, tls);
	struct attempt revoked = attempt_of(4, tls);
	struct attempt refused = attempt_of(5, tls);
	char bent[PSKID_LEN + 1];
	uint64_t pos;

	memset(&wrong.key, 1, sizeof(wrong.key));
	fails_with(w, &wrong, "proof_wrong");
	assert_true(wrong.alert > 0);

	made_up.identity = garbage;
	fails_with(w, &made_up, "identity_unknown");
	other.identity = "client";
	fails_with(w, &other, "identity_unknown");
	memcpy(bent, forged.identity, sizeof(bent));
	bent[20] = bent[20] == 'A' ? 'B' : 'A';
	forged.identity = bent;
	fails_with(w, &forged, "identity_unknown");

	pos = authd_event(w->authd, EV_DEVICE, 4, EFFECT_BLOCK);
	eventually(fealty_gateway_position(w->g) >= pos);
	fails_with(w, &revoked, "device_blocked");
	authd_refuse(w->authd, 5, ERR_DEVICE_REVOKED);
	fails_with(w, &refused, "device_revoked");

	const struct attempt *all[] = {&made_up, &forged, &other, &revoked,
	    &refused};
	for (size_t i = 0; i < COUNT(all); i++) {
		assert_int_equal(all[i]->alert, wrong.alert);
		assert_string_equal(all[i]->shape, wrong.shape);
	}
}

static void
unknown_dead_and_wrong_look_alike_over_tls13(void **state)
{
	no_oracle_over(*state, 13);
}

static void
unknown_dead_and_wrong_look_alike_over_tls12(void **state)
{
	no_oracle_over(*state, 12);
}

static void
garbage_and_blocked_devices_cause_no_request(void **state)
{
	struct world *w = *state;
	struct attempt a = attempt_of(6, 13), b = attempt_of(6, 12);
	uint64_t pos = authd_event(w->authd, EV_DEVICE, 6, EFFECT_BLOCK);

	eventually(fealty_gateway_position(w->g) >= pos);
	fails_with(w, &a, "device_blocked");
	fails_with(w, &b, "device_blocked");
	a.identity = b.identity = "AwAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
	fails_with(w, &a, "identity_unknown");
	fails_with(w, &b, "identity_unknown");
	assert_int_equal(authd_psk_requests(w->authd), 0);
}

static void
tls12_without_extended_master_secret_is_refused(void **state)
{
	struct world *w = *state;
	struct attempt a = attempt_of(1, 12);

	a.no_ems = 1;
	fails_with(w, &a, "invalid_request");
}

static void
server_with_a_certificate_is_not_set_up(void **state)
{
	struct world *w = *state;
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *cert = X509_new();

	X509_set_pubkey(cert, key);
	X509_gmtime_adj(X509_getm_notBefore(cert), 0);
	X509_gmtime_adj(X509_getm_notAfter(cert), 60);
	assert_true(X509_sign(cert, key, EVP_sha256()) > 0);
	assert_int_equal(SSL_CTX_use_certificate(ctx, cert), 1);
	assert_int_equal(fealty_tls_setup(w->g, ctx), -1);
	X509_free(cert);
	EVP_PKEY_free(key);
	SSL_CTX_free(ctx);
}

/* A source over its limit is told no more than before. */
static void
bad_sources_are_limited_without_telling(void **state)
{
	struct world *w = *state;
	struct attempt bad = attempt_of(1, 13), good = attempt_of(1, 13);
	char shape[512];
	int alert;

	w->o.failures_burst = 3;
	w->o.failures_per_minute = 1;
	world_open(w);
	bad.identity = "nobody";
	attempt_run(w->g, w->ctx, &bad);
	attempt_close(&bad);
	memcpy(shape, bad.shape, sizeof(shape));
	alert = bad.alert;
	for (int i = 0; i < 10; i++) {
		attempt_run(w->g, w->ctx, &bad);
		attempt_close(&bad);
		assert_int_equal(bad.alert, alert);
		assert_string_equal(bad.shape, shape);
	}
	/* three lines and the one that says that there will be no more */
	assert_int_equal(log_count("handshake refused"), 4);
	assert_true(log_has("handshake refused", "rate_limited", NULL));
	/* a neighbour behind the same address still gets in */
	attempt_run(w->g, w->ctx, &good);
	assert_true(good.client_ok && good.server_ok);
	attempt_close(&good);
}

static enum fealty_step
step_until_key(struct world *w, struct attempt *a, int *key_fd)
{
	int64_t until = now_ms() + DEADLINE_MS;
	enum fealty_step s;

	do {
		s = fealty_tls_step(w->g, a->server, key_fd);
		nap();
	} while ((s == FEALTY_STEP_WANT_READ ||
	    s == FEALTY_STEP_WANT_WRITE) && now_ms() < until);
	return (s);
}

static enum fealty_step
step_to_the_end(struct world *w, struct attempt *a)
{
	int64_t until = now_ms() + DEADLINE_MS;
	enum fealty_step s;
	int key_fd;

	do {
		s = fealty_tls_step(w->g, a->server, &key_fd);
		if (s != FEALTY_STEP_DONE && s != FEALTY_STEP_FAILED)
			nap();
	} while (s != FEALTY_STEP_DONE && s != FEALTY_STEP_FAILED &&
	    now_ms() < until);
	return (s);
}

static int
readable(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	return (poll(&p, 1, 0) == 1);
}

/* For TLS 1.2 the wait is on a worker, until it asks for the key. */
static void
loop_goes_on_while_a_key_is_fetched_over(struct world *w, int tls)
{
	struct attempt waiting = attempt_of(1, tls), other = attempt_of(2, tls);
	pthread_t client, client2;
	int key_fd;

	/* the other's key is cached already */
	attempt_run(w->g, w->ctx, &other);
	assert_true(other.server_ok);
	attempt_close(&other);

	authd_hold_psk(w->authd, 1);
	attempt_prepare(w->ctx, &waiting);
	pthread_create(&client, NULL, attempt_client, &waiting);
	do {
		assert_int_equal(step_until_key(w, &waiting, &key_fd),
		    FEALTY_STEP_WANT_KEY);
		assert_true(key_fd >= 0);
	} while (authd_psk_requests(w->authd) < 2);
	assert_false(readable(key_fd));
	assert_int_equal(fealty_tls_step(w->g, waiting.server, &key_fd),
	    FEALTY_STEP_WANT_KEY);

	/* the same thread serves another meanwhile */
	attempt_prepare(w->ctx, &other);
	pthread_create(&client2, NULL, attempt_client, &other);
	assert_int_equal(step_to_the_end(w, &other), FEALTY_STEP_DONE);
	assert_int_equal(SSL_write(other.server, "!", 1), 1);
	pthread_join(client2, NULL);
	assert_true(other.client_ok);
	attempt_close(&other);

	authd_hold_psk(w->authd, 0);
	eventually(readable(key_fd));
	assert_int_equal(step_to_the_end(w, &waiting), FEALTY_STEP_DONE);
	assert_int_equal(SSL_write(waiting.server, "!", 1), 1);
	pthread_join(client, NULL);
	assert_true(waiting.client_ok);
	attempt_close(&waiting);
	assert_int_equal(authd_psk_requests(w->authd), 2);
}

static void
loop_goes_on_while_a_tls13_key_is_fetched(void **state)
{
	loop_goes_on_while_a_key_is_fetched_over(*state, 13);
}

static void
loop_goes_on_while_a_tls12_key_is_fetched(void **state)
{
	loop_goes_on_while_a_key_is_fetched_over(*state, 12);
}

static void
abandoned_handshake_is_cleaned_up(void **state)
{
	struct world *w = *state;

	authd_hold_psk(w->authd, 1);
	for (int tls = 12; tls <= 13; tls++) {
		struct attempt a = attempt_of(3, tls);
		unsigned before = authd_psk_requests(w->authd);
		pthread_t client;
		int key_fd;

		attempt_prepare(w->ctx, &a);
		pthread_create(&client, NULL, attempt_client, &a);
		do {
			assert_int_equal(step_until_key(w, &a, &key_fd),
			    FEALTY_STEP_WANT_KEY);
		} while (authd_psk_requests(w->authd) == before);
		fealty_tls_abandon(w->g, a.server);
		if (tls == 13)
			authd_hold_psk(w->authd, 1);
		else
			authd_hold_psk(w->authd, 0);
		pthread_join(client, NULL);
		assert_false(a.client_ok);
		SSL_free(a.client);
		close(a.fds[0]);
		authd_hold_psk(w->authd, tls == 12);
	}
}

static void
fill_that_raced_with_an_event_is_not_kept(void **state)
{
	struct world *w = *state;
	struct attempt a = attempt_of(5, 13);
	pthread_t client;
	uint64_t pos;
	int key_fd;

	authd_hold_psk(w->authd, 1);
	attempt_prepare(w->ctx, &a);
	pthread_create(&client, NULL, attempt_client, &a);
	do {
		assert_int_equal(step_until_key(w, &a, &key_fd),
		    FEALTY_STEP_WANT_KEY);
	} while (authd_psk_requests(w->authd) < 1);
	/* the answer is on its way when the device is cut */
	pos = authd_event(w->authd, EV_DEVICE, 5, EFFECT_CUT);
	eventually(fealty_gateway_position(w->g) >= pos);
	authd_hold_psk(w->authd, 0);
	assert_int_equal(step_to_the_end(w, &a), FEALTY_STEP_FAILED);
	shutdown(a.fds[1], SHUT_WR);
	pthread_join(client, NULL);
	assert_false(a.client_ok);
	attempt_close(&a);
	assert_true(log_has("handshake refused", "token_cut", NULL));
	/* the next one gets a new answer */
	a = attempt_of(5, 13);
	attempt_run(w->g, w->ctx, &a);
	assert_true(a.server_ok);
	attempt_close(&a);
	assert_int_equal(authd_psk_requests(w->authd), 2);
}

static void
out_of_touch_gateway_lets_nobody_in(void **state)
{
	struct world *w = *state;
	struct attempt a = attempt_of(1, 13);

	w->o.max_stale_ms = 300;
	world_open(w);
	attempt_run(w->g, w->ctx, &a);
	assert_true(a.server_ok);
	attempt_close(&a);
	authd_down(w->authd, 1);
	eventually(!fealty_gateway_ready(w->g));
	fails_with(w, &a, "stale");
	authd_down(w->authd, 0);
	eventually(fealty_gateway_ready(w->g));
	attempt_run(w->g, w->ctx, &a);
	assert_true(a.server_ok);
	attempt_close(&a);
}

static void
no_close(void *arg, const char *code, uint64_t position)
{
	fail_msg("closed: %s", code);
}

/* Told once, by the handshake and not by the look-up, until it is taken. */
static void
first_use_is_told_and_a_look_up_never(void **state)
{
	struct world *w = *state;
	struct attempt a = attempt_of(3, 13), wrong = attempt_of(3, 13);
	struct fealty_decision d;
	struct fealty_psk psk;
	unsigned requests, before;

	authd_pending(w->authd, 1, ERR_STORE);
	wrong.key.b[0] ^= 1;
	attempt_run(w->g, w->ctx, &wrong);
	assert_false(wrong.client_ok || wrong.server_ok);
	attempt_close(&wrong);
	assert_int_equal(fealty_psk_find(w->g, a.identity, PSKID_LEN, 13,
	    DEADLINE_MS, &psk, &d), 1);
	authd_used(w->authd, &requests);
	assert_int_equal(requests, 0);
	attempt_run(w->g, w->ctx, &a);
	assert_true(a.client_ok && a.server_ok);
	attempt_close(&a);
	eventually((authd_used(w->authd, &requests), requests > 2));
	assert_int_equal(authd_used(w->authd, &requests), 0);
	authd_pending(w->authd, 1, ERR_OK);
	eventually(authd_used(w->authd, &before) == 1);
	for (int i = 0; i < 3; i++) {
		attempt_run(w->g, w->ctx, &a);
		assert_true(a.client_ok && a.server_ok);
		attempt_close(&a);
	}
	assert_int_equal(authd_used(w->authd, &requests), 1);
	/* a host with a TLS of its own: when it registers the session */
	assert_int_equal(fealty_psk_find(w->g, attempt_of(4, 12).identity,
	    PSKID_LEN, 12, DEADLINE_MS, &psk, &d), 1);
	assert_int_equal(authd_used(w->authd, &requests), 1);
	struct fealty_session *s = fealty_session_register(w->g, &psk.device,
	    no_close, NULL, &d);
	assert_non_null(s);
	eventually(authd_used(w->authd, &requests) == 2);
	fealty_session_unregister(w->g, &s);
	/* or when it says so, of a key that it was given */
	a = attempt_of(5, 13);
	assert_int_equal(fealty_psk_used(w->g, a.identity, PSKID_LEN), -1);
	assert_int_equal(fealty_psk_find(w->g, a.identity, PSKID_LEN, 13,
	    DEADLINE_MS, &psk, &d), 1);
	assert_int_equal(fealty_psk_used(w->g, a.identity, PSKID_LEN - 1),
	    -1);
	assert_int_equal(authd_used(w->authd, &requests), 2);
	assert_int_equal(fealty_psk_used(w->g, a.identity, PSKID_LEN), 0);
	eventually(authd_used(w->authd, &requests) == 3);
	wipe(&psk, sizeof(psk));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, world_set_up, world_tear_down)
		T(device_connects_over_tls13_without_tickets),
		T(device_connects_over_tls12_without_tickets),
		T(key_of_one_tls_version_is_none_of_the_other),
		T(unknown_dead_and_wrong_look_alike_over_tls13),
		T(unknown_dead_and_wrong_look_alike_over_tls12),
		T(garbage_and_blocked_devices_cause_no_request),
		T(tls12_without_extended_master_secret_is_refused),
		T(server_with_a_certificate_is_not_set_up),
		T(bad_sources_are_limited_without_telling),
		T(loop_goes_on_while_a_tls13_key_is_fetched),
		T(loop_goes_on_while_a_tls12_key_is_fetched),
		T(abandoned_handshake_is_cleaned_up),
		T(fill_that_raced_with_an_event_is_not_kept),
		T(out_of_touch_gateway_lets_nobody_in),
		T(first_use_is_told_and_a_look_up_never),
#undef T
	};

	wire_init();
	return (cmocka_run_group_tests(tests, NULL, NULL));
}
