#ifndef TESTS_PSK_CLIENT_H
#define TESTS_PSK_CLIENT_H

#include <openssl/ssl.h>
#include <stdint.h>
#include <fealty/device.h>

#include "tests/helpers/http_raw.h"

/*
 * A device's end of TLS-PSK as no honest device would have it: it takes
 * every ticket it is given, and can try to resume without its key. For one
 * thread at a time.
 */
struct psk_device {
	char octets[FEALTY_RECORD_MAX + 1];
	struct fealty_record record; /* points into octets */
};
/* Reads an identity record; 0 done. */
int psk_device_read(const char *path, struct psk_device *out);

struct psk_client {
	SSL_CTX *ctx;
	SSL *ssl;
	int fd;
	unsigned tickets;     /* that the server has sent */
	SSL_SESSION *session; /* the newest one, with its ticket or id */
	char identity[FEALTY_IDENTITY_LEN + 1];
	unsigned char key[FEALTY_KEY_LEN];
};
struct psk_how {
	const char *audience;
	uint16_t port;	     /* on 127.0.0.1 */
	enum fealty_tls tls; /* FEALTY_TLS12 or FEALTY_TLS13 */
	SSL_SESSION *resume; /* NULL: by the key; else without it */
};
/* 0 when the handshake is done and the server has not ended it; else -1, and
 * c is closed. The session of a server that gives none is the connection's. */
int psk_client_open(struct psk_client *c, const struct psk_device *d,
    const struct psk_how *how);
/* The same on a connected socket, which becomes c's. */
int psk_client_on(struct psk_client *c, const struct psk_device *d,
    const struct psk_how *how, int fd);
void psk_client_close(struct psk_client *c);
/* One line to an example gateway, one answer. 0, or -1: it has ended. */
int psk_client_line(struct psk_client *c, const char *line, char *out,
    size_t size);
/* One request on the kept connection to the device listener; form NULL: GET.
 * The status, or -1: it has ended. */
int psk_client_http(struct psk_client *c, const char *path, const char *form,
    struct http_answer *out);

#endif
