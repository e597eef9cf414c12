#include <string.h>
#include <openssl/tls1.h>
#include "gateway/gw_int.h"

/* What OpenSSL calls, and how a context is set up. None of it waits. */
#define EXT_EXTENDED_MASTER_SECRET 23
#define EXT_PRE_SHARED_KEY 41
#define EXT_SUPPORTED_VERSIONS 43

#define SUITES_13 "TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256"
#define SUITES_12 \
	"ECDHE-PSK-CHACHA20-POLY1305:ECDHE-PSK-AES128-CBC-SHA256"

/* 1 if TLS 1.3 will be spoken (RFC 8446 section 4.2.1). */
static int
offers_13(SSL *ssl)
{
	const unsigned char *p;
	long max = SSL_get_max_proto_version(ssl);
	size_t n;

	if (max != 0 && max < TLS1_3_VERSION)
		return (0);
	if (!SSL_client_hello_get0_ext(ssl, EXT_SUPPORTED_VERSIONS, &p, &n) ||
	    n < 1 || (size_t)p[0] + 1 != n || p[0] % 2 != 0)
		return (0);
	for (size_t i = 1; i + 1 < n; i += 2)
		if (p[i] == 0x03 && p[i + 1] == 0x04)
			return (1);
	return (0);
}

static size_t
u16(const unsigned char *p)
{
	return ((size_t)p[0] << 8 | p[1]);
}

/*
 * The one identity of a ClientHello (RFC 8446 section 4.2.11); 0 when there
 * is none, or more than one: peers of ours send exactly one.
 */
static int
offered_identity(SSL *ssl, const unsigned char **id, size_t *len)
{
	const unsigned char *p;
	size_t n, list, one;

	if (!SSL_client_hello_get0_ext(ssl, EXT_PRE_SHARED_KEY, &p, &n) ||
	    n < 2)
		return (0);
	list = u16(p);
	if (list < 7 || list > n - 2)
		return (0);
	one = u16(p + 2);
	if (one == 0 || one + 6 != list)
		return (0);
	*id = p + 4;
	*len = one;
	return (1);
}

static int
hello_13(struct conn *c, SSL *ssl)
{
	const unsigned char *id;
	size_t len;

	if (!offered_identity(ssl, &id, &len)) {
		c->why = ERR_IDENTITY;
		return (SSL_CLIENT_HELLO_ERROR);
	}
	/* after a HelloRetryRequest it has to be the same one */
	if (c->asked && c->known && (len != c->identity_len ||
	    memcmp(id, c->identity, len) != 0))
		return (SSL_CLIENT_HELLO_ERROR);
	/*
	 * What is not known goes on like what is, also from a source over its
	 * limit: ending it here saves 20 us of 100, and they can be measured.
	 */
	return (conn_look_up(c, (const char *)id, len) ?
	    SSL_CLIENT_HELLO_SUCCESS : SSL_CLIENT_HELLO_RETRY);
}

static int
hello_12(struct conn *c, SSL *ssl)
{
	const unsigned char *p;
	size_t n;

	if (!SSL_client_hello_get0_ext(ssl, EXT_EXTENDED_MASTER_SECRET, &p,
	    &n)) {
		c->why = ERR_REQUEST;
		return (SSL_CLIENT_HELLO_ERROR);
	}
	/* the identity is still to come: nothing is told by refusing now */
	if (gw_rate_over(c->g->rate, c->source, gw_now(c->g))) {
		c->limited = true;
		c->why = ERR_RATE;
		return (SSL_CLIENT_HELLO_ERROR);
	}
	if (c->stepping && c->worker == NULL)
		return (SSL_CLIENT_HELLO_RETRY); /* go on on a worker */
	return (SSL_CLIENT_HELLO_SUCCESS);
}

static int
client_hello(SSL *ssl, int *alert, void *arg)
{
	struct conn *c = conn_get(arg, ssl);

	*alert = SSL_AD_HANDSHAKE_FAILURE;
	/* one handshake per SSL: a second one would find a wiped key */
	if (c == NULL || c->spent)
		return (SSL_CLIENT_HELLO_ERROR);
	c->tls = offers_13(ssl) ? 13 : 12;
	return (c->tls == 13 ? hello_13(c, ssl) : hello_12(c, ssl));
}

static void
key_for(struct conn *c, const void *identity, size_t len, struct key32 *out)
{
	if (c->known && !c->spent && len == c->identity_len &&
	    memcmp(identity, c->identity, len) == 0) {
		*out = c->psk.answer.key;
		return;
	}
	c->known = false;
	gw_ident_decoy(c->g->ident, c->tls, identity, len, out);
}

static int
find_session(SSL *ssl, const unsigned char *identity, size_t len,
    SSL_SESSION **out)
{
	static const unsigned char suite[2] = {0x13, 0x01};
	struct conn *c = conn_peek(ssl);
	SSL_SESSION *s = NULL;
	struct key32 key;
	int ok = 0;

	*out = NULL;
	if (c == NULL || c->tls != 13 || !c->asked)
		return (0);
	key_for(c, identity, len, &key);
	if ((s = SSL_SESSION_new()) == NULL ||
	    !SSL_SESSION_set1_master_key(s, key.b, sizeof(key.b)) ||
	    !SSL_SESSION_set_cipher(s, SSL_CIPHER_find(ssl, suite)) ||
	    !SSL_SESSION_set_protocol_version(s, TLS1_3_VERSION))
		goto out;
	*out = s;
	s = NULL;
	ok = 1;
out:
	SSL_SESSION_free(s);
	key32_wipe(&key);
	return (ok);
}

static unsigned int
psk_12(SSL *ssl, const char *identity, unsigned char *psk, unsigned int max)
{
	struct conn *c = conn_peek(ssl);
	struct key32 key;
	size_t len;

	/* OpenSSL asks here for TLS 1.3 as well; its keys are others */
	if (SSL_version(ssl) >= TLS1_3_VERSION || c == NULL || c->tls != 12 ||
	    identity == NULL || max < sizeof(key.b))
		return (0);
	len = strlen(identity);
	if (!conn_look_up(c, identity, len)) {
		c->asked = true; /* nobody here may wait for it */
		c->why = ERR_BUSY;
	}
	key_for(c, identity, len, &key);
	memcpy(psk, key.b, sizeof(key.b));
	key32_wipe(&key);
	return (sizeof(key.b));
}

int
fealty_tls_setup(struct fealty_gateway *g, SSL_CTX *ctx)
{
	/* a certificate would let a peer in that proved nothing */
	if (SSL_CTX_get0_certificate(ctx) != NULL ||
	    !SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) ||
	    !SSL_CTX_set_max_proto_version(ctx, TLS1_3_VERSION) ||
	    !SSL_CTX_set_ciphersuites(ctx, SUITES_13) ||
	    !SSL_CTX_set_cipher_list(ctx, SUITES_12) ||
	    !SSL_CTX_set_num_tickets(ctx, 0) ||
	    !SSL_CTX_set_max_early_data(ctx, 0) ||
	    !SSL_CTX_set_recv_max_early_data(ctx, 0) ||
	    !conn_bind_context(ctx, g))
		return (-1);
	SSL_CTX_clear_options(ctx, SSL_OP_ALLOW_NO_DHE_KEX |
	    SSL_OP_ALLOW_CLIENT_RENEGOTIATION |
	    SSL_OP_ALLOW_UNSAFE_LEGACY_RENEGOTIATION |
	    SSL_OP_NO_EXTENDED_MASTER_SECRET);
	SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET | SSL_OP_NO_COMPRESSION |
	    SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE |
	    SSL_OP_PRIORITIZE_CHACHA);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_verify(ctx, SSL_VERIFY_NONE, NULL);
	SSL_CTX_set_client_hello_cb(ctx, client_hello, g);
	SSL_CTX_set_psk_find_session_callback(ctx, find_session);
	SSL_CTX_set_psk_server_callback(ctx, psk_12);
	return (0);
}
