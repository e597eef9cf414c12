#include "tests/helpers/psk_client.h"

#include <sys/socket.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <fealty/device_openssl.h>

#include "tests/helpers/process.h"

int
psk_device_read(const char *path, struct psk_device *out)
{
	ssize_t n = file_text(path, out->octets, sizeof(out->octets));

	if (n <= 0)
		return -1;
	return fealty_record_read(out->octets, (size_t)n, &out->record) ==
	    FEALTY_OK ? 0 : -1;
}

static int
use_key(SSL *ssl, const EVP_MD *md, const unsigned char **id, size_t *len,
    SSL_SESSION **out)
{
	static const unsigned char suite[2] = {0x13, 0x01};
	struct psk_client *c = SSL_get_app_data(ssl);

	(void)md;
	*out = SSL_SESSION_new();
	if (*out == NULL ||
	    !SSL_SESSION_set1_master_key(*out, c->key, sizeof(c->key)) ||
	    !SSL_SESSION_set_cipher(*out, SSL_CIPHER_find(ssl, suite)) ||
	    !SSL_SESSION_set_protocol_version(*out, TLS1_3_VERSION)) {
		SSL_SESSION_free(*out);
		*out = NULL;
		return 0;
	}
	*id = (const unsigned char *)c->identity;
	*len = strlen(c->identity);
	return 1;
}

static unsigned int
use_key12(SSL *ssl, const char *hint, char *identity, unsigned int max_id,
    unsigned char *psk, unsigned int max_psk)
{
	struct psk_client *c = SSL_get_app_data(ssl);

	(void)hint;
	if (max_id < sizeof(c->identity) || max_psk < sizeof(c->key))
		return 0;
	memcpy(identity, c->identity, sizeof(c->identity));
	memcpy(psk, c->key, sizeof(c->key));
	return sizeof(c->key);
}

static int
on_session(SSL *ssl, SSL_SESSION *s)
{
	struct psk_client *c = SSL_get_app_data(ssl);

	if (SSL_SESSION_has_ticket(s))
		c->tickets++;
	SSL_SESSION_free(c->session);
	c->session = s;
	return 1; /* ours now */
}

static int
context(struct psk_client *c, const struct psk_how *how)
{
	int version = how->tls == FEALTY_TLS13 ? TLS1_3_VERSION :
	    TLS1_2_VERSION;

	c->ctx = SSL_CTX_new(TLS_client_method());
	if (c->ctx == NULL ||
	    !SSL_CTX_set_min_proto_version(c->ctx, version) ||
	    !SSL_CTX_set_max_proto_version(c->ctx, version) ||
	    /* an external key is of one hash */
	    !SSL_CTX_set_ciphersuites(c->ctx, "TLS_AES_128_GCM_SHA256") ||
	    !SSL_CTX_set_cipher_list(c->ctx, "ECDHE-PSK-CHACHA20-POLY1305"))
		return -1;
	SSL_CTX_set_session_cache_mode(c->ctx, SSL_SESS_CACHE_CLIENT |
	    SSL_SESS_CACHE_NO_INTERNAL);
	SSL_CTX_sess_set_new_cb(c->ctx, on_session);
	/* no certificate can be good */
	SSL_CTX_set_verify(c->ctx, SSL_VERIFY_PEER, NULL);
	/* TLS 1.2 offers its suites only to who has some key */
	if (how->tls == FEALTY_TLS12)
		SSL_CTX_set_psk_client_callback(c->ctx, use_key12);
	else if (how->resume == NULL)
		SSL_CTX_set_psk_use_session_callback(c->ctx, use_key);
	if (how->resume != NULL)
		memset(c->key, 0, sizeof(c->key));
	return 0;
}

static int
identify(struct psk_client *c, const struct psk_device *d,
    const struct psk_how *how)
{
	const struct fealty_peer *p = fealty_record_peer(&d->record,
	    how->audience);

	if (p == NULL)
		return -1;
	return fealty_text_copy(&p->identity, c->identity,
	    sizeof(c->identity)) == FEALTY_OK &&
	    fealty_psk(&fealty_device_port_openssl, &d->record, p, how->tls,
	    c->key) == FEALTY_OK ? 0 : -1;
}

static int
shake_hands(struct psk_client *c, const struct psk_how *how)
{
	c->ssl = SSL_new(c->ctx);
	if (c->ssl == NULL || !SSL_set_app_data(c->ssl, c) ||
	    !SSL_set_fd(c->ssl, c->fd) || (how->resume != NULL &&
	    !SSL_set_session(c->ssl, how->resume)))
		return -1;
	if (SSL_connect(c->ssl) != 1)
		return -1;
	if (c->session == NULL)
		c->session = SSL_get1_session(c->ssl);
	return c->session != NULL ? 0 : -1;
}

int
psk_client_on(struct psk_client *c, const struct psk_device *d,
    const struct psk_how *how, int fd)
{
	memset(c, 0, sizeof(*c));
	c->fd = fd;
	if (fd >= 0 && identify(c, d, how) == 0 && context(c, how) == 0 &&
	    shake_hands(c, how) == 0)
		return 0;
	psk_client_close(c);
	return -1;
}

int
psk_client_open(struct psk_client *c, const struct psk_device *d,
    const struct psk_how *how)
{
	return psk_client_on(c, d, how, http_connect(how->port));
}

void
psk_client_close(struct psk_client *c)
{
	if (c->ctx == NULL && c->fd <= 0)
		return;
	SSL_SESSION_free(c->session);
	SSL_free(c->ssl);
	SSL_CTX_free(c->ctx);
	if (c->fd >= 0)
		(void)close(c->fd);
	memset(c, 0, sizeof(*c));
	c->fd = -1;
}

static int
put(struct psk_client *c, const char *text, size_t len)
{
	return SSL_write(c->ssl, text, (int)len) == (int)len ? 0 : -1;
}

int
psk_client_line(struct psk_client *c, const char *line, char *out,
    size_t size)
{
	size_t got = 0;
	int n;

	if (put(c, line, strlen(line)) != 0)
		return -1;
	while (got < size - 1) {
		n = SSL_read(c->ssl, out + got, (int)(size - 1 - got));
		if (n <= 0)
			break;
		got += (size_t)n;
		if (out[got - 1] == '\n')
			break;
	}
	out[got] = '\0';
	return got > 0 ? 0 : -1;
}

static ssize_t
read_tls(void *from, void *p, size_t len)
{
	struct psk_client *c = from;

	return SSL_read(c->ssl, p, (int)len);
}

int
psk_client_http(struct psk_client *c, const char *path, const char *form,
    struct http_answer *out)
{
	char text[2048];
	int n;

	n = snprintf(text, sizeof(text), "%s %s HTTP/1.1\r\nHost: a\r\n",
	    form == NULL ? "GET" : "POST", path);
	if (form != NULL)
		n += snprintf(text + n, sizeof(text) - (size_t)n,
		    "Content-Type: " TYPE_FORM "\r\nContent-Length: %zu\r\n"
		    "\r\n%s", strlen(form), form);
	else
		n += snprintf(text + n, sizeof(text) - (size_t)n, "\r\n");
	if ((size_t)n >= sizeof(text) || put(c, text, (size_t)n) != 0)
		return -1;
	return http_receive_by(read_tls, c, 0, out) == 0 ? out->status : -1;
}
