#ifndef TESTS_GATEWAY_AUTHD_H
#define TESTS_GATEWAY_AUTHD_H

#include "tests/unit/unit.h"
#include <openssl/ssl.h>
#include "fealty/gateway.h"
#include "lib/crypt/pskid.h"
#include "lib/jose/token.h"
#include "lib/model/event.h"
#include "lib/wire/feed.h"

/*
 * An authority in this process, for one audience: real keys, tokens, PSKs
 * and events over HTTP, with doors that a test can hold shut. And devices.
 */
#define AUDIENCE "gw-a"
#define TENANT 7
#define DEVICES 8 /* numbers 1 to 7; device_id "dev-N", group N + 10 */
#define DEADLINE_MS 20000

struct authd;
struct authd *authd_start(void);
void authd_stop(struct authd **a);
const char *authd_url(const struct authd *a);
/* Options for a gateway of it; the caller may change them. */
struct fealty_options authd_options(const struct authd *a);
const char *authd_credential(const struct authd *a);
/* Appends an event; its position. */
uint64_t authd_event(struct authd *a, enum event_kind kind, uint64_t id,
    enum event_effect effect);
uint64_t authd_event_text(struct authd *a, enum event_kind kind,
    const char *id, enum event_effect effect);
void authd_floor(struct authd *a, uint64_t floor);
/* Answers of the feed hold no more events than that. */
void authd_page(struct authd *a, size_t events);
unsigned authd_feed_requests(struct authd *a);
uint64_t authd_head(struct authd *a);
/* What POST /v1/psk says of a device; ERR_OK: its key. */
void authd_refuse(struct authd *a, uint64_t dn, enum err err);
/* Holds POST /v1/psk shut: answers are made, but do not leave. */
void authd_hold_psk(struct authd *a, int shut);
/* Everything answers 503. */
void authd_down(struct authd *a, int down);
/* Keys are of pending epochs; what POST /v1/psk/used says. */
void authd_pending(struct authd *a, int pending, enum err used);
/* First uses told, in so many requests. */
unsigned authd_used(struct authd *a, unsigned *requests);
/* A new signing key beside the old one(s), used from now on. */
void authd_new_key(struct authd *a);
unsigned authd_psk_requests(struct authd *a);
unsigned authd_jwks_requests(struct authd *a);
/* A token as the authority would make it; change c first if need be. */
void authd_claims(struct authd *a, uint64_t dn, struct token_claims *c);
void authd_sign(struct authd *a, const struct token_claims *c, char *out,
    size_t size);

/* The identity and key of a device for this audience. */
void device_identity(uint64_t dn, char out[PSKID_LEN + 1]);
void device_key(uint64_t dn, int tls, struct key32 *out);

int64_t now_ms(void);
void nap(void); /* between two looks at a state */
/* Polls cond to the deadline. */
#define eventually(cond) \
	do { \
		int64_t until_ = now_ms() + DEADLINE_MS; \
		while (!(cond) && now_ms() < until_) \
			nap(); \
		assert_true(cond); \
	} while (0)

/* ---- one handshake of a device with a gateway's context ---- */
struct attempt {
	int tls; /* 12, 13 */
	const char *identity;
	struct key32 key;
	const char *second; /* after a HelloRetryRequest; NULL: the same */
	int no_ems; /* TLS 1.2 without extended master secret */
	/* result */
	int client_ok, server_ok;
	int alert;	 /* fatal alert the client got, or -1 */
	int tickets;	 /* NewSessionTicket messages seen */
	char shape[512]; /* record types and lengths from the server */
	struct fealty_device device;
	SSL *client, *server; /* kept open when both are ok */
	int fds[2];
};
/* Runs it with fealty_tls_handshake; both ends on 127.0.0.1. */
void attempt_run(struct fealty_gateway *g, SSL_CTX *server,
    struct attempt *a);
/* Only the sockets and SSLs; for tests that drive it themselves. */
void attempt_prepare(SSL_CTX *server, struct attempt *a);
/* The client's part, to be run in a thread. */
void *attempt_client(void *attempt);
void attempt_close(struct attempt *a);
SSL_CTX *server_context(struct fealty_gateway *g);

/* ---- an authority and its gateway, as most tests begin ---- */
struct world {
	struct authd *authd;
	struct authd *other;	 /* a second one that a test starts, or NULL */
	struct fealty_options o; /* of authd; a test may change them */
	struct fealty_gateway *g;
	SSL_CTX *ctx;
};
/* Only the authority. */
int world_prepare(void **state);
/* Opens the gateway with w->o, in place of one that is open; it is ready. */
void world_open(struct world *w);
int world_set_up(void **state); /* both */
int world_tear_down(void **state);
/* A handshake of that device with its own identity and key. */
struct attempt attempt_of(uint64_t dn, int tls);

/* ---- the gateway's log ---- */
struct log_line {
	char event[48], device_id[72], code[40];
	uint64_t device_number;
};
void log_clear(void);
void log_to_memory(void *arg, const struct fealty_log *e);
/* 1 if a line with that event and code was written; NULL is any. */
int log_has(const char *event, const char *code, struct log_line *out);
unsigned log_count(const char *event);

#endif
