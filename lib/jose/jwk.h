#ifndef JOSE_JWK_H
#define JOSE_JWK_H

#include <jansson.h>
#include "lib/base/buf.h"
#include "lib/crypt/signer.h"

/* The coordinates of a public P-256 JWK; ERR_REQUEST, also for a private. */
enum err jwk_point(const json_t *key, struct es256_public *out) MUST_CHECK;
/* Appends {"kty","crv","x","y" without the closing brace. */
enum err jwk_format(const struct es256_public *pub, struct buf *out)
    MUST_CHECK;

#endif
