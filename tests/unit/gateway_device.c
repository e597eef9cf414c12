#include "tests/unit/gateway_authd.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

/* The device's end of a handshake, and what it can see of it. */

static pthread_mutex_t log_lock = PTHREAD_MUTEX_INITIALIZER;
static struct log_line lines[1024];
static unsigned nlines;

void
log_clear(void)
{
	pthread_mutex_lock(&log_lock);
	nlines = 0;
	pthread_mutex_unlock(&log_lock);
}

void
log_to_memory(void *arg, const struct fealty_log *e)
{
	struct log_line *l;

	pthread_mutex_lock(&log_lock);
	l = &lines[nlines < COUNT(lines) - 1 ? nlines++ : nlines];
	snprintf(l->event, sizeof(l->event), "%s", e->event);
	snprintf(l->device_id, sizeof(l->device_id), "%s", e->device_id);
	snprintf(l->code, sizeof(l->code), "%s", e->code);
	l->device_number = e->device_number;
	pthread_mutex_unlock(&log_lock);
	if (getenv("TEST_VERBOSE") != NULL)
		print_message("%s device=%s code=%s: %s\n", e->event,
		    e->device_id, e->code, e->reason);
	(void)arg;
}

int
log_has(const char *event, const char *code, struct log_line *out)
{
	int found = 0;

	pthread_mutex_lock(&log_lock);
	for (unsigned i = 0; i < nlines && !found; i++) {
		if (strcmp(lines[i].event, event) != 0 || (code != NULL &&
		    strcmp(lines[i].code, code) != 0))
			continue;
		if (out != NULL)
			*out = lines[i];
		found = 1;
	}
	pthread_mutex_unlock(&log_lock);
	return (found);
}

unsigned
log_count(const char *event)
{
	unsigned n = 0;

	pthread_mutex_lock(&log_lock);
	for (unsigned i = 0; i < nlines; i++)
		n += strcmp(lines[i].event, event) == 0;
	pthread_mutex_unlock(&log_lock);
	return (n);
}

static int
use_session(SSL *ssl, const EVP_MD *md, const unsigned char **id, size_t *len,
    SSL_SESSION **out)
{
	static const unsigned char suite[2] = {0x13, 0x01};
	struct attempt *a = SSL_get_app_data(ssl);

	*out = SSL_SESSION_new();
	SSL_SESSION_set1_master_key(*out, a->key.b, sizeof(a->key.b));
	SSL_SESSION_set_cipher(*out, SSL_CIPHER_find(ssl, suite));
	SSL_SESSION_set_protocol_version(*out, TLS1_3_VERSION);
	/* the hash is known in the second ClientHello only */
	*id = (const unsigned char *)(md != NULL && a->second != NULL ?
	    a->second : a->identity);
	*len = strlen((const char *)*id);
	return (1);
}

static unsigned int
psk_client(SSL *ssl, const char *hint, char *identity, unsigned int max_id,
    unsigned char *psk, unsigned int max_psk)
{
	struct attempt *a = SSL_get_app_data(ssl);

	if (strlen(a->identity) >= max_id || max_psk < 32)
		return (0);
	snprintf(identity, max_id, "%s", a->identity);
	memcpy(psk, a->key.b, 32);
	(void)hint;
	return (32);
}

/* Types and lengths of the records that come in, alerts, tickets. */
static void
observe(int sent, int version, int type, const void *p, size_t len, SSL *ssl,
    void *arg)
{
	const unsigned char *b = p;
	struct attempt *a = arg;
	size_t n = strlen(a->shape);

	if (sent)
		return;
	if (type == SSL3_RT_HEADER && len == 5)
		snprintf(a->shape + n, sizeof(a->shape) - n, "%d:%d ", b[0],
		    b[3] << 8 | b[4]);
	if (type == SSL3_RT_ALERT && len == 2 && b[0] == 2)
		a->alert = b[1];
	if (type == SSL3_RT_HANDSHAKE && len > 0 &&
	    b[0] == SSL3_MT_NEWSESSION_TICKET)
		a->tickets++;
	(void)version;
	(void)ssl;
}

static SSL_CTX *
client_context(const struct attempt *a)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	int version = a->tls == 13 ? TLS1_3_VERSION : TLS1_2_VERSION;

	assert_non_null(ctx);
	SSL_CTX_set_min_proto_version(ctx, version);
	SSL_CTX_set_max_proto_version(ctx, version);
	SSL_CTX_set_cipher_list(ctx, "PSK");
	if (a->no_ems)
		SSL_CTX_set_options(ctx, SSL_OP_NO_EXTENDED_MASTER_SECRET);
	if (a->tls == 13)
		SSL_CTX_set_psk_use_session_callback(ctx, use_session);
	else
		SSL_CTX_set_psk_client_callback(ctx, psk_client);
	return (ctx);
}

static void
tcp_pair(int fds[2])
{
	struct sockaddr_in at = {.sin_family = AF_INET};
	int l = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	socklen_t len = sizeof(at);

	at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(bind(l, (struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(listen(l, 1), 0);
	assert_int_equal(getsockname(l, (struct sockaddr *)&at, &len), 0);
	fds[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(fds[0], (struct sockaddr *)&at, sizeof(at)),
	    0);
	fds[1] = accept(l, NULL, NULL);
	assert_true(fds[1] >= 0);
	close(l);
}

SSL_CTX *
server_context(struct fealty_gateway *g)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());

	assert_non_null(ctx);
	assert_int_equal(fealty_tls_setup(g, ctx), 0);
	return (ctx);
}

void
attempt_prepare(SSL_CTX *server, struct attempt *a)
{
	struct timeval limit = {.tv_sec = DEADLINE_MS / 1000};
	SSL_CTX *ctx = client_context(a);

	a->client_ok = a->server_ok = a->tickets = 0;
	a->alert = -1;
	a->shape[0] = '\0';
	tcp_pair(a->fds);
	setsockopt(a->fds[0], SOL_SOCKET, SO_RCVTIMEO, &limit,
	    sizeof(limit));
	a->client = SSL_new(ctx);
	a->server = SSL_new(server);
	SSL_CTX_free(ctx);
	assert_true(SSL_set_fd(a->client, a->fds[0]) &&
	    SSL_set_fd(a->server, a->fds[1]));
	SSL_set_app_data(a->client, a);
	SSL_set_msg_callback(a->client, observe);
	SSL_set_msg_callback_arg(a->client, a);
	assert_int_equal(fcntl(a->fds[1], F_SETFL, O_NONBLOCK), 0);
}

/*
 * A TLS 1.3 client is done before the server has judged it: a first octet
 * tells, and would come after any ticket.
 */
void *
attempt_client(void *arg)
{
	struct attempt *a = arg;
	char octet;

	a->client_ok = SSL_connect(a->client) == 1 &&
	    SSL_read(a->client, &octet, 1) == 1 && octet == '!';
	return (NULL);
}

struct done {
	pthread_mutex_t lock;
	pthread_cond_t cond;
	int over, ok;
};

static void
handshake_done(void *arg, SSL *ssl, int ok)
{
	struct done *d = arg;

	if (ok)
		ok = SSL_write(ssl, "!", 1) == 1;
	else
		shutdown(SSL_get_fd(ssl), SHUT_WR);
	pthread_mutex_lock(&d->lock);
	d->over = 1;
	d->ok = ok;
	pthread_cond_signal(&d->cond);
	pthread_mutex_unlock(&d->lock);
}

void
attempt_run(struct fealty_gateway *g, SSL_CTX *server, struct attempt *a)
{
	struct done d = {.lock = PTHREAD_MUTEX_INITIALIZER,
	    .cond = PTHREAD_COND_INITIALIZER};
	pthread_t client;

	attempt_prepare(server, a);
	assert_int_equal(pthread_create(&client, NULL, attempt_client, a), 0);
	assert_int_equal(fealty_tls_handshake(g, a->server, DEADLINE_MS,
	    handshake_done, &d), 0);
	pthread_mutex_lock(&d.lock);
	while (!d.over)
		pthread_cond_wait(&d.cond, &d.lock);
	pthread_mutex_unlock(&d.lock);
	pthread_join(client, NULL);
	a->server_ok = d.ok;
	if (a->server_ok)
		assert_int_equal(fealty_tls_peer(a->server, &a->device), 0);
	else
		assert_int_equal(fealty_tls_peer(a->server, &a->device), -1);
}

void
attempt_close(struct attempt *a)
{
	SSL_free(a->client);
	SSL_free(a->server);
	close(a->fds[0]);
	close(a->fds[1]);
	a->client = a->server = NULL;
}

int
world_prepare(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	assert_non_null(w);
	log_clear();
	w->authd = authd_start();
	w->o = authd_options(w->authd);
	*state = w;
	return (0);
}

static void
close_gateway(struct world *w)
{
	SSL_CTX_free(w->ctx);
	w->ctx = NULL;
	fealty_gateway_close(&w->g);
}

void
world_open(struct world *w)
{
	char reason[FEALTY_REASON] = "";

	close_gateway(w);
	log_clear();
	w->g = fealty_gateway_open(&w->o, reason, sizeof(reason));
	assert_string_equal(reason, "");
	assert_non_null(w->g);
	w->ctx = server_context(w->g);
	eventually(fealty_gateway_ready(w->g));
}

int
world_set_up(void **state)
{
	(void)world_prepare(state);
	world_open(*state);
	return (0);
}

int
world_tear_down(void **state)
{
	struct world *w = *state;

	close_gateway(w);
	authd_stop(&w->authd);
	if (w->other != NULL)
		authd_stop(&w->other);
	free(w);
	return (0);
}

struct attempt
attempt_of(uint64_t dn, int tls)
{
	static char identity[DEVICES][PSKID_LEN + 1];
	struct attempt a = {.tls = tls, .identity = identity[dn]};

	device_identity(dn, identity[dn]);
	device_key(dn, tls, &a.key);
	return (a);
}
