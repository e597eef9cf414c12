/* Many handshakes, events and closings at once; bounds; closing down. */
#include "tests/unit/gateway_authd.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <unistd.h>

#define THREADS 6
#define ROUNDS 25

struct live {
	struct fealty_session *session;
	struct fealty_device device;
	_Atomic uint64_t closed; /* position of the event, 0: not */
};
struct driver {
	struct world *w;
	unsigned number;
	struct live live[ROUNDS];
};

static void
on_close(void *arg, const char *code, uint64_t position)
{
	struct live *l = arg;

	atomic_store(&l->closed, position);
	(void)code;
}

static void
prepare(struct attempt *a, uint64_t dn, int tls, char id[PSKID_LEN + 1])
{
	memset(a, 0, sizeof(*a));
	a->tls = tls;
	device_identity(dn, id);
	device_key(dn, tls, &a->key);
	a->identity = id;
}

static void *
drive(void *arg)
{
	struct driver *d = arg;
	char id[PSKID_LEN + 1];
	struct attempt a;

	for (unsigned i = 0; i < ROUNDS; i++) {
		struct live *l = &d->live[i];

		prepare(&a, 1 + (i + d->number) % 6, 12 + (i % 2), id);
		attempt_run(d->w->g, d->w->ctx, &a);
		/* one that raced with a cut may fail; that is right */
		if (a.server_ok) {
			l->device = a.device;
			l->session = fealty_session_register(d->w->g,
			    &l->device, on_close, l, NULL);
		}
		attempt_close(&a);
		/* some leave by themselves, perhaps just as they are cut */
		if (i % 5 == 4)
			fealty_session_unregister(d->w->g, &l->session);
	}
	return (NULL);
}

static void
judge_survivors(struct world *w, struct driver *d, const uint64_t *last)
{
	for (unsigned t = 0; t < THREADS; t++)
		for (unsigned i = 0; i < ROUNDS; i++) {
			struct live *l = &d[t].live[i];
			uint64_t cut = last[l->device.device_number];

			if (l->session == NULL)
				continue;
			assert_int_equal(atomic_load(&l->closed) != 0,
			    l->device.position < cut);
			fealty_session_unregister(w->g, &l->session);
		}
}

static void
no_session_survives_an_event_whatever_the_order(void **state)
{
	struct driver *d = calloc(THREADS, sizeof(*d));
	uint64_t last[DEVICES] = {0}, pos = 0;
	struct world *w = *state;
	pthread_t thread[THREADS];

	for (unsigned i = 0; i < THREADS; i++) {
		d[i].w = w;
		d[i].number = i;
		pthread_create(&thread[i], NULL, drive, &d[i]);
	}
	for (unsigned i = 0; i < 100; i++) {
		uint64_t dn = 1 + i % 5; /* number 6 is left in peace */

		if (i % 10 == 9)
			pos = authd_event(w->authd, EV_GROUP, dn + 10,
			    EFFECT_CUT);
		else
			pos = authd_event(w->authd, EV_DEVICE, dn,
			    EFFECT_CUT);
		last[dn] = pos;
		nap();
	}
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(thread[i], NULL);
	eventually(fealty_gateway_position(w->g) >= pos);
	judge_survivors(w, d, last);
	free(d);
}

struct ends {
	_Atomic int n, ok;
};

static void
on_end(void *arg, SSL *ssl, int ok)
{
	struct ends *e = arg;

	atomic_fetch_add(&e->ok, ok);
	atomic_fetch_add(&e->n, 1);
	shutdown(SSL_get_fd(ssl), SHUT_RDWR);
}

#define MANY 24

static void
handshakes_beyond_the_bound_are_not_taken(void **state)
{
	struct world *w = *state;
	struct attempt a[MANY];
	struct ends ends = {0};
	char id[PSKID_LEN + 1];
	int taken = 0;

	w->o.max_handshakes = 8;
	world_open(w);
	/* peers that connect and say nothing */
	for (int i = 0; i < MANY; i++) {
		prepare(&a[i], 1, 13, id);
		attempt_prepare(w->ctx, &a[i]);
		taken += fealty_tls_handshake(w->g, a[i].server,
		    DEADLINE_MS, on_end, &ends) == 0;
	}
	assert_int_equal(taken, 8);
	for (int i = 0; i < MANY; i++)
		shutdown(a[i].fds[0], SHUT_WR);
	eventually(atomic_load(&ends.n) == 8);
	assert_int_equal(atomic_load(&ends.ok), 0);
	for (int i = 0; i < MANY; i++)
		attempt_close(&a[i]);
	/* and there is room again, for a while */
	prepare(&a[0], 1, 13, id);
	attempt_prepare(w->ctx, &a[0]);
	assert_int_equal(fealty_tls_handshake(w->g, a[0].server, 50, on_end,
	    &ends), 0);
	eventually(atomic_load(&ends.n) == 9);
	attempt_close(&a[0]);
}

/* Silent peers hold no thread: a TLS 1.2 device beside them is served. */
static void
silent_peers_keep_nobody_out(void **state)
{
	struct world *w = *state;
	struct attempt a[MANY], good;
	struct ends ends = {0};
	char id[PSKID_LEN + 1], good_id[PSKID_LEN + 1];

	for (int i = 0; i < MANY; i++) {
		prepare(&a[i], 1, 12, id);
		attempt_prepare(w->ctx, &a[i]);
		assert_int_equal(fealty_tls_handshake(w->g, a[i].server,
		    DEADLINE_MS * 10, on_end, &ends), 0);
		/* a ClientHello, and then nothing */
		SSL_set_connect_state(a[i].client);
		SSL_set0_rbio(a[i].client, BIO_new(BIO_s_mem()));
		assert_true(SSL_do_handshake(a[i].client) != 1);
	}
	prepare(&good, 2, 12, good_id);
	attempt_run(w->g, w->ctx, &good);
	assert_true(good.client_ok && good.server_ok);
	attempt_close(&good);
	/* and closing down ends them all */
	fealty_gateway_close(&w->g);
	assert_int_equal(atomic_load(&ends.n), MANY);
	assert_int_equal(atomic_load(&ends.ok), 0);
	for (int i = 0; i < MANY; i++)
		attempt_close(&a[i]);
}

static void
closing_down_while_keys_are_fetched_ends_every_handshake(void **state)
{
	struct world *w = *state;
	struct attempt a[4];
	struct ends ends = {0};
	pthread_t client[4];
	char id[4][PSKID_LEN + 1];

	authd_hold_psk(w->authd, 1);
	for (int i = 0; i < 4; i++) {
		prepare(&a[i], (uint64_t)i + 1, 12 + i % 2, id[i]);
		attempt_prepare(w->ctx, &a[i]);
		pthread_create(&client[i], NULL, attempt_client, &a[i]);
		assert_int_equal(fealty_tls_handshake(w->g, a[i].server,
		    DEADLINE_MS, on_end, &ends), 0);
	}
	eventually(authd_psk_requests(w->authd) == 4);
	fealty_gateway_close(&w->g);
	assert_int_equal(atomic_load(&ends.n), 4);
	assert_int_equal(atomic_load(&ends.ok), 0);
	for (int i = 0; i < 4; i++) {
		pthread_join(client[i], NULL);
		assert_false(a[i].client_ok);
		attempt_close(&a[i]);
	}
}

/* A host that knows OpenSSL only. Returns what SSL_accept came to. */
static int
accept_plainly(struct world *w, struct attempt *a, int *waited)
{
	int64_t until = now_ms() + DEADLINE_MS;
	pthread_t client;
	int r, why;

	attempt_prepare(w->ctx, a);
	pthread_create(&client, NULL, attempt_client, a);
	do {
		if ((r = SSL_accept(a->server)) == 1)
			break;
		why = SSL_get_error(a->server, r);
		*waited |= why == SSL_ERROR_WANT_CLIENT_HELLO_CB;
		nap();
	} while ((why == SSL_ERROR_WANT_CLIENT_HELLO_CB ||
	    why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE) &&
	    now_ms() < until);
	if (r == 1)
		assert_int_equal(SSL_write(a->server, "!", 1), 1);
	shutdown(a->fds[1], SHUT_WR);
	pthread_join(client, NULL);
	assert_int_equal(a->client_ok, r == 1);
	return (r == 1);
}

static void
plain_ssl_accept_never_waits_and_gets_there(void **state)
{
	struct world *w = *state;
	char id[PSKID_LEN + 1];
	int waited = 0, tries = 0, ok = 0;
	struct attempt a;

	prepare(&a, 1, 13, id);
	assert_true(accept_plainly(w, &a, &waited));
	assert_true(waited);
	attempt_close(&a);
	/* TLS 1.2 cannot be paused: the first fails and has it fetched */
	for (; !ok && tries < 1000; tries++) {
		prepare(&a, 2, 12, id);
		ok = accept_plainly(w, &a, &waited);
		attempt_close(&a);
	}
	assert_true(ok);
	assert_in_range(tries, 2, 1000);
}

/* Who was proven is known to such a host as well; but only then. */
static void
peer_is_told_after_the_handshake_only(void **state)
{
	struct world *w = *state;
	struct fealty_device who;
	char id[PSKID_LEN + 1];
	int waited = 0;
	struct attempt a;

	prepare(&a, 1, 13, id);
	attempt_prepare(w->ctx, &a);
	assert_int_equal(fealty_tls_peer(a.server, &who), -1);
	attempt_close(&a);
	prepare(&a, 1, 13, id);
	assert_true(accept_plainly(w, &a, &waited));
	assert_int_equal(fealty_tls_peer(a.server, &who), 0);
	assert_string_equal(who.device_id, "dev-1");
	attempt_close(&a);
}

/* An SSL that is cleared and used again knows nobody and has no key. */
static void
second_handshake_on_an_ssl_is_refused(void **state)
{
	struct world *w = *state;
	struct attempt a, b;
	char id[PSKID_LEN + 1];
	pthread_t client;
	int key_fd;

	for (int tls = 12; tls <= 13; tls++) {
		prepare(&a, 1, tls, id);
		attempt_run(w->g, w->ctx, &a);
		assert_true(a.server_ok);
		b = a;
		memset(&b.key, 0, sizeof(b.key)); /* what wiping leaves */
		attempt_prepare(w->ctx, &b);
		SSL_free(b.server);
		assert_int_equal(SSL_clear(a.server), 1);
		assert_int_equal(SSL_set_fd(a.server, b.fds[1]), 1);
		pthread_create(&client, NULL, attempt_client, &b);
		for (int64_t until = now_ms() + DEADLINE_MS;
		    fealty_tls_step(w->g, a.server, &key_fd) !=
		    FEALTY_STEP_FAILED && now_ms() < until;)
			nap();
		assert_int_equal(fealty_tls_peer(a.server, &b.device), -1);
		shutdown(b.fds[1], SHUT_WR);
		pthread_join(client, NULL);
		assert_false(b.client_ok);
		SSL_free(b.client);
		close(b.fds[0]);
		close(b.fds[1]);
		attempt_close(&a);
	}
}

static void
options_out_of_range_are_refused(void **state)
{
	struct world *w = *state;
	struct fealty_options o;
	char reason[FEALTY_REASON];

#define REFUSED(change) \
	do { \
		o = authd_options(w->authd); \
		change; \
		assert_null(fealty_gateway_open(&o, reason, \
		    sizeof(reason))); \
		assert_true(reason[0] != '\0'); \
	} while (0)
	REFUSED(o.size--);
	REFUSED(o.nurls = 0);
	REFUSED(o.nurls = 9);
	REFUSED(o.audience = NULL);
	REFUSED(o.audience = "authority");
	REFUSED(o.audience = "Not A Name");
	REFUSED(o.credential_file = NULL);
	REFUSED(o.credential_file = "/nonexistent");
	REFUSED(o.threads = 65);
	REFUSED(o.urls = (const char *[]){"http://192.0.2.1:1"});
	REFUSED(o.urls = (const char *[]){"ftp://localhost"});
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, world_set_up, world_tear_down)
		T(no_session_survives_an_event_whatever_the_order),
		T(handshakes_beyond_the_bound_are_not_taken),
		T(silent_peers_keep_nobody_out),
		T(closing_down_while_keys_are_fetched_ends_every_handshake),
		T(plain_ssl_accept_never_waits_and_gets_there),
		T(peer_is_told_after_the_handshake_only),
		T(second_handshake_on_an_ssl_is_refused),
		T(options_out_of_range_are_refused),
#undef T
	};

	wire_init();
	return (cmocka_run_group_tests(tests, NULL, NULL));
}
