#ifndef CLIENT_CLIENT_H
#define CLIENT_CLIENT_H

#include <stdint.h>
#include "lib/base/buf.h"
#include "lib/base/secret.h"
#include "lib/wire/problem.h"

/*
 * Requests to authd for the command lines and gateways (libcurl). One client
 * keeps one connection; use it from one thread at a time. Redirects are not
 * followed; a plain http URL is taken only for a loopback host.
 */
struct client;
struct client_conf {
	const char *url;	/* base URL (issuer) */
	const char *ca_file;	/* NULL: the system's */
	const struct secret *credential; /* bearer; NULL: none. Copied */
	uint32_t timeout_ms;	/* of one try; 0: 10 s */
	uint32_t tries;		/* for transient failures; 0: 4 */
	size_t answer_max;	/* octets; 0: 1 MiB */
};
enum err client_new(const struct client_conf *conf, struct client **out)
    MUST_CHECK;
void client_free(struct client **c);
/*
 * One request. body NULL: none; type NULL: application/json. answer is
 * reset and gets the body of a 2xx (at most its max, answer_max when that is
 * 0; NULL: not wanted). Otherwise the error of the problem
 * document, told in *why (NULL is fine). Transient failures (no connection,
 * 429, 503) of any method are tried again with jitter, honouring
 * Retry-After, unless the method is POST and the request may have been
 * acted upon: then only when authd said 429 or 503.
 */
enum err client_call(struct client *c, const char *method, const char *path,
    const char *type, const struct buf *body, struct buf *answer,
    struct problem *why) MUST_CHECK;
/* When the last answer was given, by its Date (unix seconds); 0: not said. */
int64_t client_date(const struct client *c);
/*
 * The credential of --credential-file FILE: first line, mode 0600 demanded.
 */
enum err client_read_credential(const char *path, struct secret *out)
    MUST_CHECK;
/* What is wrong with the file that client_read_credential refused with e. */
const char *client_credential_fault(enum err e);

#endif
