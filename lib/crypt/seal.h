#ifndef CRYPT_SEAL_H
#define CRYPT_SEAL_H

#include <stdint.h>
#include "lib/base/err.h"
#include "lib/base/secret.h"

/*
 * Keys at rest: AES-256-GCM with a random 96-bit nonce under a data key,
 * itself wrapped the same way under the key-encryption key (docs/at-rest.md).
 *   sealed = 01 || nonce(12) || ciphertext || tag(16)
 * The associated data binds the row:
 *   "fealty seal v1" 00 table 00 u32be(tenant) u64be(row) u32be(epoch)
 * so that no row can be put in another's place.
 */
#define SEAL_OVERHEAD 29
#define SEAL_PLAIN_MAX 512
#define SEAL_MAX_USES (UINT64_C(1) << 30) /* of one data key */

struct seal_row {
	const char *table; /* "device_key", "secret_key", ... */
	uint32_t tenant;
	uint64_t row;
	uint32_t epoch;
};
/* Writes plainlen + SEAL_OVERHEAD octets; outsize is the room. */
enum err seal(const struct key32 *key, const struct seal_row *row,
    const void *plain, size_t plainlen, unsigned char *out, size_t outsize,
    size_t *outlen) MUST_CHECK;
/* ERR_CRYPTO when the octets, the key or the row are not those sealed. */
enum err unseal(const struct key32 *key, const struct seal_row *row,
    const void *sealed, size_t len, struct secret *out) MUST_CHECK;
enum err unseal_key32(const struct key32 *key, const struct seal_row *row,
    const void *sealed, size_t len, struct key32 *out) MUST_CHECK;

/*
 * AES-256-GCM as others use it (RFC 7518 section 5.3): in is a nonce of 12
 * octets, ciphertext and a tag of 16. ERR_CRYPTO.
 */
enum err aes256gcm_open(const struct key32 *key, const void *aad,
    size_t aadlen, const unsigned char *in, size_t len, struct secret *out)
    MUST_CHECK;

#endif
