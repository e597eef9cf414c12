#ifndef JOSE_RELEASE_KEY_H
#define JOSE_RELEASE_KEY_H

#include <stdint.h>
#include "lib/jose/jwe.h"
#include "lib/model/names.h"

/*
 * A device's root key on its way: the message {"device_id","epoch","k"} as
 * JWE to the one-time key of the station that burns it, or to the key pair
 * that the device has made itself.
 */
/* ERR_REQUEST when jwk is no public P-256 key. */
enum err release_key_seal(const char *jwk, const char *device_id,
    uint32_t epoch, const struct key32 *k, struct buf *out) MUST_CHECK;
/* ERR_CRYPTO for another key's, ERR_JSON for another content. */
enum err release_key_open(const struct jwe_key *station, const char *jwe,
    size_t len, name_t device_id, uint32_t *epoch, struct key32 *k)
    MUST_CHECK;

#endif
