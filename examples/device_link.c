#include "examples/device.h"

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>
#include <openssl/err.h>
#include <fealty/device_openssl.h>

/* Outbound connections only: no socket here ever listens. */
#define TIMEOUT_S 10

static int
use_session(SSL *ssl, const EVP_MD *md, const unsigned char **id, size_t *len,
    SSL_SESSION **out)
{
	static const unsigned char suite[2] = {0x13, 0x01};
	struct link *l = SSL_get_app_data(ssl);
	SSL_SESSION *s;

	*out = NULL;
	*id = NULL;
	*len = 0;
	/* a hash that the key is not for: go on without, which fails */
	if (md != NULL && EVP_MD_get_type(md) != NID_sha256)
		return (1);
	if ((s = SSL_SESSION_new()) == NULL)
		return (0);
	if (!SSL_SESSION_set1_master_key(s, l->key, sizeof(l->key)) ||
	    !SSL_SESSION_set_cipher(s, SSL_CIPHER_find(ssl, suite)) ||
	    !SSL_SESSION_set_protocol_version(s, TLS1_3_VERSION)) {
		SSL_SESSION_free(s);
		return (0);
	}
	*out = s;
	*id = (const unsigned char *)l->identity;
	*len = strlen(l->identity);
	return (1);
}

static unsigned int
psk_client(SSL *ssl, const char *hint, char *identity, unsigned int max_id,
    unsigned char *psk, unsigned int max_psk)
{
	struct link *l = SSL_get_app_data(ssl);

	(void)hint;
	if (max_id < sizeof(l->identity) || max_psk < sizeof(l->key))
		return (0);
	memcpy(identity, l->identity, sizeof(l->identity));
	memcpy(psk, l->key, sizeof(l->key));
	return (sizeof(l->key));
}

static int
set_up(struct link *l, enum fealty_tls tls)
{
	int version = tls == FEALTY_TLS13 ? TLS1_3_VERSION : TLS1_2_VERSION;

	if ((l->ctx = SSL_CTX_new(TLS_client_method())) == NULL ||
	    !SSL_CTX_set_min_proto_version(l->ctx, version) ||
	    !SSL_CTX_set_max_proto_version(l->ctx, version) ||
	    !SSL_CTX_set_ciphersuites(l->ctx, "TLS_AES_128_GCM_SHA256:"
	    "TLS_CHACHA20_POLY1305_SHA256") ||
	    !SSL_CTX_set_cipher_list(l->ctx, "ECDHE-PSK-CHACHA20-POLY1305:"
	    "ECDHE-PSK-AES128-CBC-SHA256"))
		return (-1);
	SSL_CTX_set_options(l->ctx, SSL_OP_NO_TICKET | SSL_OP_NO_COMPRESSION |
	    SSL_OP_NO_RENEGOTIATION);
	SSL_CTX_set_session_cache_mode(l->ctx, SSL_SESS_CACHE_OFF);
	/* no authority is trusted, so no certificate can be good */
	SSL_CTX_set_verify(l->ctx, SSL_VERIFY_PEER, NULL);
	if (tls == FEALTY_TLS13)
		SSL_CTX_set_psk_use_session_callback(l->ctx, use_session);
	else
		SSL_CTX_set_psk_client_callback(l->ctx, psk_client);
	if ((l->ssl = SSL_new(l->ctx)) == NULL)
		return (-1);
	return (SSL_set_app_data(l->ssl, l) ? 0 : -1);
}

/* The connection rests on our key, with forward secrecy, or it is none. */
static int
is_ours(const SSL *ssl, enum fealty_tls tls)
{
	const SSL_CIPHER *suite = SSL_get_current_cipher(ssl);

	if (suite == NULL)
		return (0);
	if (tls == FEALTY_TLS13)
		return (SSL_version(ssl) == TLS1_3_VERSION &&
		    SSL_session_reused(ssl));
	return (SSL_version(ssl) == TLS1_2_VERSION &&
	    SSL_CIPHER_get_auth_nid(suite) == NID_auth_psk &&
	    SSL_CIPHER_get_kx_nid(suite) == NID_kx_ecdhe_psk);
}

static int
tcp_connect(const char *host, const char *port)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *all, *ai;
	struct timeval limit = {.tv_sec = TIMEOUT_S};
	int fd = -1, one = 1;

	if (getaddrinfo(host, port, &hints, &all) != 0)
		return (-1);
	for (ai = all; ai != NULL && fd < 0; ai = ai->ai_next) {
		fd = socket(ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (fd < 0)
			continue;
		if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit,
		    sizeof(limit)) != 0 ||
		    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit,
		    sizeof(limit)) != 0 ||
		    /* small writes follow one another: no waiting for ACKs */
		    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one,
		    sizeof(one)) != 0 ||
		    connect(fd, ai->ai_addr, ai->ai_addrlen) != 0) {
			close(fd);
			fd = -1;
		}
	}
	freeaddrinfo(all);
	return (fd);
}

/* "host:port" or "[v6]:port" in two. */
static int
split(const char *at, char *host, size_t size, char port[6])
{
	const char *colon = strrchr(at, ':');
	size_t n = colon != NULL ? (size_t)(colon - at) : 0;

	if (n == 0 || strlen(colon + 1) > 5)
		return (-1);
	if (at[0] == '[' && at[n - 1] == ']') {
		at++;
		n -= 2;
	}
	if (n >= size)
		return (-1);
	memcpy(host, at, n);
	host[n] = '\0';
	snprintf(port, 6, "%s", colon + 1);
	return (0);
}

static int
handshake(struct link *l, const char *audience, enum fealty_tls tls)
{
	const char *why;

	ERR_clear_error();
	if (SSL_set_fd(l->ssl, l->fd) && SSL_connect(l->ssl) == 1 &&
	    is_ours(l->ssl, tls) && (tls == FEALTY_TLS13 ||
	    SSL_get_extms_support(l->ssl) == 1))
		return (DONE);
	why = ERR_reason_error_string(ERR_peek_last_error());
	fprintf(stderr, "device: the handshake with %s failed: %s\n",
	    audience, why != NULL ? why : "connection closed");
	return (REFUSED);
}

int
link_open(struct link *l, const struct fealty_record *r,
    const char *audience, const char *at, enum fealty_tls tls)
{
	const struct fealty_peer *peer = fealty_record_peer(r, audience);
	char host[FEALTY_HOST_MAX + 1], port[6];
	int status = REFUSED;

	memset(l, 0, sizeof(*l));
	l->fd = -1;
	if (peer == NULL) {
		fprintf(stderr, "device: %s is no peer of this device\n",
		    audience);
		return (REFUSED);
	}
	snprintf(port, sizeof(port), "%u", (unsigned)peer->port);
	if (fealty_text_copy(&peer->host, host, sizeof(host)) != FEALTY_OK ||
	    fealty_text_copy(&peer->identity, l->identity,
	    sizeof(l->identity)) != FEALTY_OK ||
	    fealty_psk(&fealty_device_port_openssl, r, peer, tls, l->key) !=
	    FEALTY_OK || (at != NULL && split(at, host, sizeof(host), port) !=
	    0) || set_up(l, tls) != 0) {
		fprintf(stderr, "device: cannot set up the connection\n");
		goto out;
	}
	if ((l->fd = tcp_connect(host, port)) < 0) {
		fprintf(stderr, "device: cannot reach %s at %s port %s\n",
		    audience, host, port);
		status = TRY_AGAIN;
		goto out;
	}
	status = handshake(l, audience, tls);
out:
	fealty_wipe(l->key, sizeof(l->key));
	if (status != DONE)
		link_close(l);
	return (status);
}

void
link_close(struct link *l)
{
	if (l->ssl != NULL && SSL_is_init_finished(l->ssl))
		SSL_shutdown(l->ssl);
	SSL_free(l->ssl);
	SSL_CTX_free(l->ctx);
	if (l->fd >= 0)
		close(l->fd);
	l->ssl = NULL;
	l->ctx = NULL;
	l->fd = -1;
}

int
link_write(struct link *l, const char *text, size_t len)
{
	return (SSL_write(l->ssl, text, (int)len) == (int)len ? 0 : -1);
}

int
link_read(struct link *l, char *out, size_t size)
{
	int n = SSL_read(l->ssl, out, (int)(size - 1));

	if (n <= 0)
		return (SSL_get_error(l->ssl, n) == SSL_ERROR_ZERO_RETURN ? 0
		    : -1);
	out[n] = '\0';
	return (n);
}

/* The number in a header ("\r\nname:"), or -1. */
static long
header_number(const char *head, const char *end, const char *name)
{
	const char *p = strcasestr(head, name);

	return (p != NULL && p < end ? strtol(p + strlen(name), NULL, 10)
	    : -1);
}

/* The whole answer into text; where its body begins, or NULL. */
static char *
answer(struct link *l, char *text, size_t size, size_t *end)
{
	char *body = NULL;
	long len = -1;
	size_t got = 0;
	int n;

	text[0] = '\0';
	while (got < size - 1 && (body == NULL || len < 0 ||
	    (long)(got - (size_t)(body - text)) < len)) {
		if ((n = link_read(l, text + got, size - got)) <= 0)
			break;
		got += (size_t)n;
		if (body == NULL && (body = strstr(text, "\r\n\r\n")) != NULL) {
			body += 4;
			len = header_number(text, body,
			    "\r\ncontent-length:");
		}
	}
	*end = got;
	return (body);
}

int
link_ask(struct link *l, const struct ask *a, char *out, size_t size,
    size_t *len)
{
	char text[65536], *body;
	size_t end;
	int n, status = -1;

	n = snprintf(text, sizeof(text), "%s %s HTTP/1.1\r\nHost: authority"
	    "\r\nConnection: close\r\n", a->body != NULL ? "POST" : "GET",
	    a->path);
	if (a->body != NULL)
		n += snprintf(text + n, sizeof(text) - (size_t)n,
		    "Content-Type: %s\r\nContent-Length: %zu\r\n\r\n%s",
		    a->type, strlen(a->body), a->body);
	else
		n += snprintf(text + n, sizeof(text) - (size_t)n, "\r\n");
	if ((size_t)n >= sizeof(text) || link_write(l, text, (size_t)n) != 0)
		return (-1);
	body = answer(l, text, sizeof(text), &end);
	/* "HTTP/1.1 200 …" */
	if (body != NULL && strncmp(text, "HTTP/1.", 7) == 0 &&
	    text[8] == ' ' && (end -= (size_t)(body - text)) < size) {
		status = (int)strtol(text + 9, NULL, 10);
		l->retry_after = header_number(text, body,
		    "\r\nretry-after:");
		memcpy(out, body, end);
		out[end] = '\0';
		*len = end;
	}
	OPENSSL_cleanse(text, sizeof(text));
	return (status);
}

int
link_http(struct link *l, const char *path, const char *form, char *out,
    size_t size)
{
	const struct ask a = {path, "application/x-www-form-urlencoded", form};
	size_t len;

	return (link_ask(l, &a, out, size, &len));
}
