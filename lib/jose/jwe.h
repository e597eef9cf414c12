#ifndef JOSE_JWE_H
#define JOSE_JWE_H

#include "lib/base/buf.h"
#include "lib/base/secret.h"
#include "lib/crypt/signer.h"

/*
 * The release of a key: JWE (RFC 7516) ECDH-ES with A256GCM to the station's
 * one-time P-256 key or the device's own, through libcjose.
 * typ fealty-key+jwe.
 */
struct jwe_key; /* a one-time key pair */
enum err jwe_key_generate(struct jwe_key **out) MUST_CHECK;
/* Its public half as JWK text. */
enum err jwe_key_public(const struct jwe_key *k, struct buf *out) MUST_CHECK;
/* The key pair of a signer, to decrypt what is for it. */
enum err jwe_key_of(const struct signer *s, struct jwe_key **out) MUST_CHECK;
void jwe_key_free(struct jwe_key **k);

/* The point of JWK text, on the curve; ERR_REQUEST when it is none. */
enum err public_jwk_read(const char *jwk, struct es256_public *out)
    MUST_CHECK;
/* A point as JWK text. */
enum err public_jwk_write(const struct es256_public *pub, struct buf *out)
    MUST_CHECK;
/* ERR_REQUEST when jwk is no public P-256 key. */
enum err jwe_seal(const char *jwk, const void *plain, size_t len,
    struct buf *out) MUST_CHECK;
/* Demands alg, enc and typ as above before decrypting. ERR_CRYPTO. */
enum err jwe_open(const struct jwe_key *k, const char *jwe, size_t len,
    struct secret *out) MUST_CHECK;

/*
 * The same where a key that cannot leave its token does the agreement: agree
 * gives the x of the shared point of that key and peer, which is on P-256.
 */
struct jwe_agreement {
	enum err (*agree)(void *ctx, const struct es256_public *peer,
	    struct key32 *z);
	void *ctx;
};
enum err jwe_open_agreed(const struct jwe_agreement *a, const char *jwe,
    size_t len, struct secret *out) MUST_CHECK;

#endif
