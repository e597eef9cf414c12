#ifndef JOSE_ASSERTION_H
#define JOSE_ASSERTION_H

#include <stdint.h>
#include "lib/base/err.h"
#include "lib/base/secret.h"
#include "lib/crypt/pskid.h"
#include "lib/crypt/signer.h"
#include "lib/jose/compact.h"
#include "lib/jose/token.h"

/*
 * Client assertions of devices (RFC 7523), docs/tokens.md: HS256 under the
 * device's assertion key or, of a device that has registered the key pair it
 * made itself, ES256 under that. The algorithm is pinned to the kind of key
 * before any key is looked at.
 */
#define ASSERTION_MAX 2048
#define ASSERTION_LIFE_MAX 60
#define ASSERTION_LEEWAY 5

struct assertion {
	name_t device_id; /* iss = sub */
	char jti[65];
	int64_t iat, exp; /* 0 with a nonce */
	char nonce[129];  /* "" without */
	int by_own;	  /* signed by the key pair, so of no epoch's key */
};
/*
 * A text whose form and header are right; nothing of it is verified. Points
 * into the text, which must outlive it. header.kid is a PSK identity.
 */
struct assertion_form {
	const char *jwt;
	size_t len;
	struct compact parts;
	struct jose_header header;
};
enum err assertion_open(const char *jwt, size_t len,
    struct assertion_form *out, struct detail *d) MUST_CHECK;
/* What the device may sign with. */
struct assertion_keys {
	const struct key32 *mac;	 /* HS256 */
	const struct es256_public *own; /* ES256; NULL: none is registered */
};
/*
 * Signature, typ, iss = sub, aud (one of naud), jti, and time by now
 * (seconds) unless there is a nonce, which the caller checks. Errors:
 * ERR_ASSERTION_*.
 */
enum err assertion_verify(const struct assertion_form *f,
    const struct assertion_keys *keys, const char *const *aud, size_t naud,
    int64_t now, struct assertion *out, struct detail *d) MUST_CHECK;

#endif
