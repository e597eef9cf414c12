/*
 * Threat: a TLS session that was set up before a revocation is resumed after
 * it, without the key. Over real sockets, in both versions of TLS, by ticket
 * and by session id, at the example gateway and at the device listener. That
 * the device of this test could is shown first, at a server that lets it.
 */
#include "tests/scenario/world.h"

#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>
#include <fealty/device_openssl.h>

#include "tests/helpers/psk_client.h"

static const char *const extra[] = {"--issuer", ISSUER, NULL};
static struct world w;

static int
set_up(void **state)
{
	const char *urls[2] = {NULL, NULL};

	(void)state;
	(void)signal(SIGPIPE, SIG_IGN);
	world_open(&w, extra);
	world_order(&w, 10);
	world_enrol(&w, "hub2");
	urls[0] = authd_fixture_url(w.authd);
	world_follow(&w, urls, "127.0.0.1:0");
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	world_close(&w);
	return 0;
}

static void
device(const char *serial, struct psk_device *out)
{
	char name[ROOM], path[ROOM];

	world_burn(&w, serial);
	(void)snprintf(name, sizeof(name), "burned/%s.cbor", serial);
	assert_int_equal(psk_device_read(world_file(&w, name, path), out), 0);
}

/* ---- a server that resumes: OpenSSL as it comes ---- */

struct lenient {
	SSL_CTX *ctx;
	unsigned char key[FEALTY_KEY_LEN];
	int fd, resumed;
};

static unsigned int
give_key12(SSL *ssl, const char *identity, unsigned char *psk,
    unsigned int max)
{
	struct lenient *l = SSL_get_app_data(ssl);

	(void)identity;
	assert_true(max >= sizeof(l->key));
	memcpy(psk, l->key, sizeof(l->key));
	return sizeof(l->key);
}

static int
give_key13(SSL *ssl, const unsigned char *identity, size_t len,
    SSL_SESSION **out)
{
	static const unsigned char suite[2] = {0x13, 0x01};
	struct lenient *l = SSL_get_app_data(ssl);

	(void)identity;
	*out = NULL;
	if (len != FEALTY_IDENTITY_LEN)
		return 1; /* a ticket */
	*out = SSL_SESSION_new();
	return SSL_SESSION_set1_master_key(*out, l->key, sizeof(l->key)) &&
	    SSL_SESSION_set_cipher(*out, SSL_CIPHER_find(ssl, suite)) &&
	    SSL_SESSION_set_protocol_version(*out, TLS1_3_VERSION);
}

/* One connection: answers a line by "PONG". */
static void *
lenient_main(void *arg)
{
	struct lenient *l = arg;
	SSL *ssl = SSL_new(l->ctx);
	char line[16];

	if (ssl != NULL && SSL_set_app_data(ssl, l) && SSL_set_fd(ssl, l->fd)
	    && SSL_accept(ssl) == 1 && SSL_read(ssl, line, sizeof(line)) > 0)
		(void)SSL_write(ssl, "PONG\n", 5);
	if (ssl != NULL) {
		l->resumed = SSL_session_reused(ssl);
		(void)SSL_shutdown(ssl);
	}
	SSL_free(ssl);
	(void)close(l->fd);
	return NULL;
}

static int
at_lenient(struct lenient *l, const struct psk_device *d,
    const struct psk_how *how, struct psk_client *c)
{
	char line[16] = "";
	pthread_t thread;
	int pair[2], r;

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0,
	    pair), 0);
	l->fd = pair[1];
	assert_int_equal(pthread_create(&thread, NULL, lenient_main, l), 0);
	r = psk_client_on(c, d, how, pair[0]);
	if (r == 0)
		r = psk_client_line(c, "PING\n", line, sizeof(line));
	if (r == 0)
		assert_string_equal(line, "PONG\n");
	(void)pthread_join(thread, NULL);
	return r;
}

/* By tickets, or (TLS 1.2) by session ids; the session it got to *out. */
static void
resumes_where_it_may(const struct psk_device *d, enum fealty_tls tls,
    int tickets, SSL_SESSION **out)
{
	struct psk_how how = {.audience = "hub", .tls = tls};
	struct lenient l = {.ctx = SSL_CTX_new(TLS_server_method())};
	struct psk_client first, again;

	assert_non_null(l.ctx);
	SSL_CTX_set_cipher_list(l.ctx, "PSK");
	if (tls == FEALTY_TLS13)
		SSL_CTX_set_psk_find_session_callback(l.ctx, give_key13);
	else
		SSL_CTX_set_psk_server_callback(l.ctx, give_key12);
	if (!tickets)
		SSL_CTX_set_options(l.ctx, SSL_OP_NO_TICKET);
	assert_int_equal(fealty_psk(&fealty_device_port_openssl, &d->record,
	    fealty_record_peer(&d->record, "hub"), tls, l.key), FEALTY_OK);
	assert_int_equal(at_lenient(&l, d, &how, &first), 0);
	assert_int_equal(first.tickets > 0, tickets);
	/* without the key from here on, and the server has another */
	how.resume = first.session;
	memset(l.key, 0x55, sizeof(l.key));
	assert_int_equal(at_lenient(&l, d, &how, &again), 0);
	assert_int_equal(l.resumed, 1);
	assert_true(SSL_SESSION_up_ref(first.session));
	*out = first.session;
	psk_client_close(&again);
	psk_client_close(&first);
	SSL_CTX_free(l.ctx);
}

/* ---- those that must not ---- */

struct place {
	const char *audience;
	uint16_t port;
};

static struct place
gateway(void)
{
	return (struct place){"hub", (uint16_t)strtoul(
	    strrchr(w.listening, ':') + 1, NULL, 10)};
}

static struct place
listener(void)
{
	return (struct place){FEALTY_AUTHORITY,
	    authd_fixture_device(w.authd)};
}

/* Connects and talks, so that a ticket would have come. */
static int
talk(struct psk_client *c, const struct psk_device *d,
    const struct psk_how *how)
{
	static struct http_answer a;
	char line[64];

	if (psk_client_open(c, d, how) != 0)
		return -1;
	if (strcmp(how->audience, "hub") != 0)
		return psk_client_http(c, "/v1/device", NULL, &a);
	if (psk_client_line(c, "PING\n", line, sizeof(line)) != 0)
		return -1;
	return strcmp(line, "PONG\n") == 0 ? 200 : 403;
}

static void
refused(const struct psk_device *d, struct psk_how how, SSL_SESSION *s)
{
	struct psk_client c;

	how.resume = s;
	assert_int_equal(psk_client_open(&c, d, &how), -1);
}

static void
revoked(const char *serial)
{
	char what[ROOM];

	(void)snprintf(what, sizeof(what), "device:%s", serial);
	CTL(&w, "revoke", what, "--wait", "20s");
}

static void
no_way_back(struct place at, enum fealty_tls tls, const char *serial)
{
	const struct psk_how how = {.audience = at.audience, .port = at.port,
	    .tls = tls};
	static const unsigned char id[32] = {1, 2, 3};
	SSL_SESSION *mine, *made[2] = {NULL, NULL};
	struct psk_device d;
	struct psk_client c, other;
	unsigned len, i;

	device(serial, &d);
	resumes_where_it_may(&d, tls, 1, &made[0]);
	if (tls == FEALTY_TLS12)
		resumes_where_it_may(&d, tls, 0, &made[1]);
	assert_int_equal(talk(&c, &d, &how), 200);
	assert_int_equal(c.tickets, 0);
	mine = c.session;
	assert_true(SSL_SESSION_up_ref(mine));
	psk_client_close(&c);
	/*
	 * GnuTLS gives its TLS 1.2 sessions an id, and remembers none. Where
	 * there is none the device makes one up.
	 */
	(void)SSL_SESSION_get_id(mine, &len);
	assert_true(len == 0 || strcmp(at.audience, "hub") != 0);
	if (len == 0)
		assert_int_equal(SSL_SESSION_set1_id(mine, id, sizeof(id)),
		    1);
	/* not even in good standing */
	for (i = 0; i < 2; i++) {
		refused(&d, how, mine);
		refused(&d, how, made[0]);
		if (made[1] != NULL)
			refused(&d, how, made[1]);
		if (i == 0)
			revoked(serial);
	}
	/* nor with the key; at the authority it is told why */
	assert_int_not_equal(talk(&other, &d, &how), 200);
	psk_client_close(&other);
	SSL_SESSION_free(mine);
	SSL_SESSION_free(made[0]);
	SSL_SESSION_free(made[1]);
}

static void
revoked_it_cannot_resume_at_the_gateway_over_tls13(void **state)
{
	(void)state;
	no_way_back(gateway(), FEALTY_TLS13, "SN0001");
}

static void
revoked_it_cannot_resume_at_the_gateway_over_tls12(void **state)
{
	(void)state;
	no_way_back(gateway(), FEALTY_TLS12, "SN0002");
}

static void
revoked_it_cannot_resume_at_the_authority_over_tls13(void **state)
{
	(void)state;
	no_way_back(listener(), FEALTY_TLS13, "SN0003");
}

static void
revoked_it_cannot_resume_at_the_authority_over_tls12(void **state)
{
	(void)state;
	no_way_back(listener(), FEALTY_TLS12, "SN0004");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(
		revoked_it_cannot_resume_at_the_gateway_over_tls13),
	    cmocka_unit_test(
		revoked_it_cannot_resume_at_the_gateway_over_tls12),
	    cmocka_unit_test(
		revoked_it_cannot_resume_at_the_authority_over_tls13),
	    cmocka_unit_test(
		revoked_it_cannot_resume_at_the_authority_over_tls12),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
