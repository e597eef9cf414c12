#ifndef CRYPT_SIGNER_H
#define CRYPT_SIGNER_H

#include <stdint.h>
#include "lib/base/err.h"
#include "lib/base/secret.h"
#include "lib/model/names.h"

/*
 * ES256 (ECDSA, P-256, SHA-256; RFC 7518 section 3.4) on a key parsed once.
 * A signer or verifier may be used by many threads at the same time.
 */
#define ES256_SIG_LEN 64

struct es256_public {
	unsigned char x[32];
	unsigned char y[32];
};
/* RFC 7638 thumbprint of the JWK {"crv":"P-256","kty":"EC","x":…,"y":…}. */
enum err es256_thumbprint(const struct es256_public *pub,
    char out[KID_LEN + 1]) MUST_CHECK;

struct signer;
enum err signer_generate(struct signer **out) MUST_CHECK;
/* The private scalar, 32 octets, as signer_export gave it. */
enum err signer_import(const struct key32 *scalar, struct signer **out)
    MUST_CHECK;
enum err signer_export(const struct signer *s, struct key32 *scalar)
    MUST_CHECK;
void signer_public(const struct signer *s, struct es256_public *out);
const char *signer_kid(const struct signer *s); /* thumbprint */
enum err signer_sign(const struct signer *s, const void *p, size_t len,
    unsigned char sig[ES256_SIG_LEN]) MUST_CHECK;
void signer_free(struct signer **s);

struct verifier;
/* ERR_CRYPTO when the point is not on the curve. */
enum err verifier_new(const struct es256_public *pub, struct verifier **out)
    MUST_CHECK;
const char *verifier_kid(const struct verifier *v);
void verifier_public(const struct verifier *v, struct es256_public *out);
/* ERR_TOKEN_SIGNATURE when wrong; ERR_CRYPTO when it could not be checked. */
enum err verifier_verify(const struct verifier *v, const void *p, size_t len,
    const unsigned char sig[ES256_SIG_LEN]) MUST_CHECK;
void verifier_free(struct verifier **v);

#endif
