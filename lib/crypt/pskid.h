#ifndef CRYPT_PSKID_H
#define CRYPT_PSKID_H

#include <stdint.h>
#include "lib/base/err.h"
#include "lib/base/secret.h"
#include "lib/model/names.h"

/*
 * PSK identities (docs/psk-identity.md): base64url(kid || AES-128-SIV) under
 * the audience's identity key, 44 characters. Opening one proves that the
 * authority made it; it costs no look-up.
 */
struct pskid {
	uint8_t kid;
	uint32_t tenant;
	uint64_t dn;
	uint32_t epoch;
};
/* The kid of a well-formed identity text, or ERR_IDENTITY. */
enum err pskid_kid(const char *identity, size_t len, uint8_t *kid) MUST_CHECK;
enum err pskid_make(const struct key32 *audience_key, const char *audience,
    const struct pskid *id, char out[PSKID_LEN + 1]) MUST_CHECK;
/* ERR_IDENTITY for anything that the authority did not make for audience. */
enum err pskid_open(const struct key32 *audience_key, const char *audience,
    const char *identity, size_t len, struct pskid *out) MUST_CHECK;

#endif
