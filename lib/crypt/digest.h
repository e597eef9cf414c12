#ifndef CRYPT_DIGEST_H
#define CRYPT_DIGEST_H

#include <stddef.h>
#include "lib/base/err.h"
#include "lib/base/secret.h"

/* All functions of lib/crypt are thread safe on distinct objects. */
enum err sha256(const void *p, size_t len, unsigned char out[32]) MUST_CHECK;
/* HMAC-SHA-256 (RFC 2104). */
enum err hmac_sha256(const void *key, size_t keylen, const void *p,
    size_t len, unsigned char out[32]) MUST_CHECK;
/* len octets from the system's generator. ERR_CRYPTO when it fails. */
enum err random_bytes(void *p, size_t len) MUST_CHECK;
enum err random_key32(struct key32 *k) MUST_CHECK;

#endif
