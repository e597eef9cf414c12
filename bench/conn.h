#ifndef BENCH_CONN_H
#define BENCH_CONN_H

#include <openssl/ssl.h>
#include <stddef.h>
#include <stdint.h>
#include "bench/plan.h"

#define ANSWER_MAX 16384

/* One keep-alive connection with at most one request in flight. */
struct conn {
	int fd;
	SSL *ssl; /* NULL: plain */
	const struct plan_entry *entry;
	size_t sent;
	int busy;
	int64_t started_us;
	char in[ANSWER_MAX];
	size_t in_len;
	/* the answer, once conn_read says 1; points into in */
	int status;
	const char *body;
	size_t body_len;
};

struct psk {
	char identity[129];
	unsigned char key[64];
	size_t key_len;
};
struct conn_pool {
	struct conn *conns;
	size_t n;
	SSL_CTX *ctx;
	struct psk *psks;
	size_t npsks;
};
/*
 * n open connections; over TLS-PSK when identities names a file of lines
 * "IDENTITY HEXKEY", used in turn. NULL after a line on standard error.
 */
struct conn_pool *conn_pool_open(const char *host, unsigned port, size_t n,
    const char *identities, int tls12);
void conn_pool_close(struct conn_pool *p);

void conn_send(struct conn *c, const struct plan_entry *e);
/* 0: as much as possible was written; -1: lost. */
int conn_write(struct conn *c);
/* 1: a whole answer, 0: wait for more, -1: lost or not understood. */
int conn_read(struct conn *c);

#endif
