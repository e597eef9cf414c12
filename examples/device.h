#ifndef EXAMPLES_DEVICE_H
#define EXAMPLES_DEVICE_H

#include <stddef.h>
#include <openssl/ssl.h>
#include <fealty/device.h>

/* How a command ends. */
enum { DONE = 0, REFUSED = 1, USAGE = 2, TRY_AGAIN = 3 };

/*
 * A connection to one of the device's peers over TLS with its pre-shared key,
 * and with nothing else: no certificate is ever taken.
 */
struct link {
	SSL_CTX *ctx;
	SSL *ssl;
	int fd;
	char identity[FEALTY_IDENTITY_LEN + 1];
	unsigned char key[FEALTY_KEY_LEN];
	long retry_after; /* seconds, as the last answer asked for; or -1 */
};
/*
 * Connects to peer audience, at "host:port" or (NULL) where the record says.
 * tls: FEALTY_TLS12 or FEALTY_TLS13. Tells on stderr what went wrong.
 */
int link_open(struct link *l, const struct fealty_record *r,
    const char *audience, const char *at, enum fealty_tls tls);
void link_close(struct link *l);
/* All of text; 0 or -1. */
int link_write(struct link *l, const char *text, size_t len);
/* One read, at most size - 1 octets and a NUL; 0 at the end, -1 failed. */
int link_read(struct link *l, char *out, size_t size);
/*
 * One HTTP request to the authority's device listener; the body to out.
 * The status, or -1. form NULL: GET.
 */
int link_http(struct link *l, const char *path, const char *form, char *out,
    size_t size);
/* The same with a body of type (NULL: none); the length to *len. */
struct ask {
	const char *path, *type, *body;
};
int link_ask(struct link *l, const struct ask *a, char *out, size_t size,
    size_t *len);
/* Rotates the key of the record at path (examples/device_rotate.c). */
int rotate(const struct fealty_record *r, const char *path, const char *at,
    enum fealty_tls tls, int use);

#endif
