#ifndef JOSE_JWS_H
#define JOSE_JWS_H

#include <jansson.h>
#include "lib/base/buf.h"
#include "lib/crypt/signer.h"
#include "lib/jose/token.h"
#include "lib/wire/wire.h"

/*
 * The frame of the feed's signed messages: compact JWS, ES256, one typ each.
 * typ and alg are pinned before a key is chosen; claims are parsed only
 * after a key of ours has signed them.
 */

/* Appends header.payload.signature over len octets of JSON. */
enum err jws_sign(const struct signer *s, const char *typ, const char *json,
    size_t len, struct buf *out) MUST_CHECK;

/* Keys a message may be under: one of a set, or the one. */
struct jws_keys {
	const struct jwks *set;
	const struct verifier *one;
};
/*
 * The claims of a message of this typ; the caller releases them. ERR_TOKEN,
 * ERR_TOKEN_KEY, ERR_TOKEN_SIGNATURE; d says what.
 */
enum err jws_open(const struct jws_keys *keys, const char *typ,
    const char *text, size_t len, json_t **claims, struct detail *d)
    MUST_CHECK;
/*
 * The end of reading them: form first (ERR_TOKEN), then whether who, their
 * iss, is want (ERR_TOKEN_ISSUER; want NULL: whoever it is).
 */
enum err jws_done(struct jin *in, const char *want, const char *who)
    MUST_CHECK;

#endif
