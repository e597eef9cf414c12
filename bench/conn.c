#include <sys/socket.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>
#include "bench/conn.h"
#include "bench/stats.h"
#include "lib/base/b64url.h"
#include "lib/base/parse.h"

#define LENGTH_MAX 1000000

void
conn_send(struct conn *c, const struct plan_entry *e)
{
	c->entry = e;
	c->sent = 0;
	c->busy = 1;
	c->in_len = 0;
	c->started_us = now_us();
}

static ssize_t
put(struct conn *c, const char *p, size_t len)
{
	int r;

	if (c->ssl == NULL)
		return send(c->fd, p, len, MSG_NOSIGNAL);
	r = SSL_write(c->ssl, p, (int)len);
	if (r > 0)
		return r;
	r = SSL_get_error(c->ssl, r);
	errno = r == SSL_ERROR_WANT_WRITE || r == SSL_ERROR_WANT_READ
		    ? EAGAIN
		    : ECONNRESET;
	return -1;
}

static ssize_t
get(struct conn *c, char *p, size_t len)
{
	int r;

	if (c->ssl == NULL)
		return recv(c->fd, p, len, 0);
	r = SSL_read(c->ssl, p, (int)len);
	if (r > 0)
		return r;
	r = SSL_get_error(c->ssl, r);
	if (r == SSL_ERROR_ZERO_RETURN)
		return 0;
	errno = r == SSL_ERROR_WANT_WRITE || r == SSL_ERROR_WANT_READ
		    ? EAGAIN
		    : ECONNRESET;
	return -1;
}

int
conn_write(struct conn *c)
{
	ssize_t n;

	while (c->busy && c->sent < c->entry->request_len) {
		n = put(c, c->entry->request + c->sent,
		    c->entry->request_len - c->sent);
		if (n < 0)
			return errno == EAGAIN ? 0 : -1;
		c->sent += (size_t)n;
	}
	return 0;
}

/* Status and Content-Length of a head that ends at end. */
static int
parse_head(struct conn *c, const char *end, size_t *length)
{
	static const char name[] = "\r\ncontent-length:";
	char number[16] = "";
	const char *p;
	uint64_t v;
	size_t n;

	if (c->in_len < 12 || strncmp(c->in, "HTTP/1.1 ", 9) != 0)
		return -1;
	memcpy(number, c->in + 9, 3);
	if (parse_u64(number, 999, &v) != ERR_OK)
		return -1;
	c->status = (int)v;
	for (p = c->in; p < end; p++) {
		if (*p == '\r' && strncasecmp(p, name, sizeof(name) - 1) == 0)
			break;
	}
	if (p >= end)
		return -1;
	p += sizeof(name) - 1;
	p += strspn(p, " ");
	n = strspn(p, "0123456789");
	if (n == 0 || n >= sizeof(number))
		return -1;
	memcpy(number, p, n);
	number[n] = '\0';
	if (parse_u64(number, LENGTH_MAX, &v) != ERR_OK)
		return -1;
	*length = (size_t)v;
	return 0;
}

/* 1: the answer is whole. */
static int
complete(struct conn *c)
{
	const char *end;
	size_t length;

	c->in[c->in_len] = '\0';
	end = strstr(c->in, "\r\n\r\n");
	if (end == NULL)
		return 0;
	if (parse_head(c, end, &length) != 0)
		return -1;
	c->body = end + 4;
	c->body_len = c->in_len - (size_t)(c->body - c->in);
	if (c->body_len < length)
		return 0;
	return c->body_len == length ? 1 : -1;
}

int
conn_read(struct conn *c)
{
	ssize_t n;
	int r;

	if (!c->busy)
		return 0;
	for (;;) {
		n = get(c, c->in + c->in_len, sizeof(c->in) - 1 - c->in_len);
		if (n < 0)
			return errno == EAGAIN ? 0 : -1;
		if (n == 0) {
			errno = ECONNRESET;
			return -1;
		}
		c->in_len += (size_t)n;
		r = complete(c);
		if (r != 0) {
			c->busy = 0;
			return r;
		}
	}
}

static unsigned
give_psk(SSL *ssl, const char *hint, char *identity, unsigned id_max,
    unsigned char *key, unsigned key_max)
{
	const struct psk *p = SSL_get_app_data(ssl);

	(void)hint;
	if (p == NULL || strlen(p->identity) >= id_max || p->key_len > key_max)
		return 0;
	memcpy(identity, p->identity, strlen(p->identity) + 1);
	memcpy(key, p->key, p->key_len);
	return (unsigned)p->key_len;
}

static int
read_psks(struct conn_pool *pool, const char *path)
{
	char line[512], hex[129];
	struct psk p, *more;
	FILE *f = fopen(path, "re");

	if (f == NULL)
		return -1;
	while (fgets(line, sizeof(line), f) != NULL) {
		char *key = strchr(line, ' ');

		if (key == NULL)
			break;
		*key++ = '\0';
		key[strcspn(key, "\n")] = '\0';
		p.key_len = strlen(key) / 2;
		if (copy_str(p.identity, sizeof(p.identity), line) != ERR_OK ||
		    copy_str(hex, sizeof(hex), key) != ERR_OK ||
		    hex_decode_exact(hex, strlen(hex), p.key, p.key_len) !=
			ERR_OK)
			break;
		more = realloc(pool->psks, (pool->npsks + 1) * sizeof(*more));
		if (more == NULL)
			break;
		pool->psks = more;
		pool->psks[pool->npsks++] = p;
	}
	(void)fclose(f);
	return pool->npsks > 0 ? 0 : -1;
}

static int
make_ctx(struct conn_pool *pool, int tls12)
{
	int version = tls12 ? TLS1_2_VERSION : TLS1_3_VERSION;

	pool->ctx = SSL_CTX_new(TLS_client_method());
	if (pool->ctx == NULL)
		return -1;
	(void)SSL_CTX_set_min_proto_version(pool->ctx, version);
	(void)SSL_CTX_set_max_proto_version(pool->ctx, version);
	SSL_CTX_set_psk_client_callback(pool->ctx, give_psk);
	if (SSL_CTX_set_cipher_list(pool->ctx,
		"ECDHE-PSK-AES128-CBC-SHA256:ECDHE-PSK-CHACHA20-POLY1305") !=
		1 ||
	    SSL_CTX_set_ciphersuites(pool->ctx, "TLS_AES_128_GCM_SHA256") != 1)
		return -1;
	return 0;
}

static int
dial(const char *host, unsigned port)
{
	struct sockaddr_in sin = {
	    .sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
	int fd, one = 1;

	if (inet_pton(AF_INET, host, &sin.sin_addr) != 1)
		return -1;
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd == -1)
		return -1;
	if (connect(fd, (const struct sockaddr *)&sin, sizeof(sin)) != 0) {
		(void)close(fd);
		return -1;
	}
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	return fd;
}

static int
open_one(struct conn_pool *pool, size_t i, const char *host, unsigned port)
{
	struct conn *c = &pool->conns[i];

	c->fd = dial(host, port);
	if (c->fd == -1)
		return -1;
	if (pool->ctx != NULL) {
		c->ssl = SSL_new(pool->ctx);
		if (c->ssl == NULL || SSL_set_fd(c->ssl, c->fd) != 1)
			return -1;
		SSL_set_app_data(c->ssl, &pool->psks[i % pool->npsks]);
		if (SSL_connect(c->ssl) != 1)
			return -1;
	}
	return fcntl(c->fd, F_SETFL, O_NONBLOCK);
}

struct conn_pool *
conn_pool_open(const char *host, unsigned port, size_t n,
    const char *identities, int tls12)
{
	struct conn_pool *pool = calloc(1, sizeof(*pool));
	size_t i;

	if (pool == NULL)
		return NULL;
	pool->conns = calloc(n, sizeof(*pool->conns));
	if (pool->conns == NULL)
		goto bad;
	if (identities != NULL &&
	    (read_psks(pool, identities) != 0 || make_ctx(pool, tls12) != 0))
		goto bad;
	for (i = 0; i < n; i++)
		pool->conns[i].fd = -1;
	for (pool->n = 0; pool->n < n; pool->n++) {
		if (open_one(pool, pool->n, host, port) != 0)
			goto bad;
	}
	return pool;
bad:
	fprintf(stderr, "connection %zu to %s:%u failed: %s\n", pool->n, host,
	    port, strerror(errno));
	if (pool->conns != NULL && pool->n < n)
		pool->n++; /* the one half open */
	conn_pool_close(pool);
	return NULL;
}

void
conn_pool_close(struct conn_pool *p)
{
	size_t i;

	if (p == NULL)
		return;
	for (i = 0; p->conns != NULL && i < p->n; i++) {
		SSL_free(p->conns[i].ssl);
		if (p->conns[i].fd > 0)
			(void)close(p->conns[i].fd);
	}
	SSL_CTX_free(p->ctx);
	free(p->psks);
	free(p->conns);
	free(p);
}
