#ifndef JOSE_SET_H
#define JOSE_SET_H

#include "lib/base/buf.h"
#include "lib/crypt/signer.h"
#include "lib/jose/token.h"
#include "lib/model/event.h"

/*
 * The signed messages of the feed (docs/feed.md): compact JWS, ES256, each
 * kind with its own typ. Verifying pins typ and alg before a key is chosen;
 * keys are the tenant's feed keys (jwks) or, for the key set, its pinned root.
 * Errors of the verify functions: ERR_TOKEN, ERR_TOKEN_KEY,
 * ERR_TOKEN_SIGNATURE, ERR_TOKEN_ISSUER; d says what.
 */
#define SET_EVENTS_MAX 500
#define SET_MAX (256 * 1024) /* octets of one message */
/* What becomes that in base64url, with header and signature. */
#define SET_JSON_MAX ((size_t)SET_MAX / 4 * 3 - 512)

struct set_run {
	uint64_t after; /* position of the event before the first */
	uint64_t head;
	struct event *events; /* n of them; owned after a verify */
	size_t n;
};
enum err set_sign(const struct signer *feed, const char *iss, int64_t now,
    const struct set_run *run, struct buf *out) MUST_CHECK;
enum err set_verify(const struct jwks *feed, const char *iss,
    const char *text, size_t len, struct set_run *out, struct detail *d)
    MUST_CHECK;
void set_run_free(struct set_run *run);

struct heartbeat {
	uint64_t head, floor;
	int64_t time_ms;
};
enum err heartbeat_sign(const struct signer *feed, const char *iss,
    const struct heartbeat *h, struct buf *out) MUST_CHECK;
enum err heartbeat_verify(const struct jwks *feed, const char *iss,
    const char *text, size_t len, struct heartbeat *out, struct detail *d)
    MUST_CHECK;

struct snapshot_part {
	uint64_t head, floor;
	uint32_t part, parts;
	struct event *events;
	size_t n;
};
enum err snapshot_sign(const struct signer *feed, const char *iss,
    int64_t now, const struct snapshot_part *p, struct buf *out) MUST_CHECK;
enum err snapshot_verify(const struct jwks *feed, const char *iss,
    const char *text, size_t len, struct snapshot_part *out,
    struct detail *d) MUST_CHECK;
void snapshot_part_free(struct snapshot_part *p);

struct keyset {
	uint64_t version;
	int64_t iat;
	struct jwks *feed, *token; /* owned after a verify */
};
enum err keyset_sign(const struct signer *root, const char *iss,
    const struct keyset *k, struct buf *out) MUST_CHECK;
/* iss NULL: of whomever the root is. */
enum err keyset_verify(const struct verifier *root, const char *iss,
    const char *text, size_t len, struct keyset *out, struct detail *d)
    MUST_CHECK;
void keyset_free(struct keyset *k);

#endif
