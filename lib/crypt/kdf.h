#ifndef CRYPT_KDF_H
#define CRYPT_KDF_H

#include <stdint.h>
#include "lib/base/err.h"
#include "lib/base/secret.h"

/*
 * The key schedule (docs/key-schedule.md): HKDF-Expand (RFC 5869) with
 * SHA-256, L = 32, so one HMAC each.
 *   info = "fealty v1" 00 purpose 00 device_id 00 u32be(epoch) context
 */
#define PURPOSE_TLS13 "tls13-psk"
#define PURPOSE_TLS12 "tls12-psk"
#define PURPOSE_DTLS12 "dtls12-psk"
#define PURPOSE_DTLS13 "dtls13-psk"
#define PURPOSE_ASSERTION "assertion"
#define PURPOSE_PROOF "proof"
#define PURPOSE_PAYLOAD "payload"

enum err kdf_derive(const struct key32 *root, const char *purpose,
    const char *device_id, uint32_t epoch, const char *context,
    struct key32 *out) MUST_CHECK;
/* K of a model with a master key. */
enum err kdf_model_root(const struct key32 *master, const char *tenant_name,
    const char *device_id, uint32_t epoch, struct key32 *out) MUST_CHECK;
/* Kid_a, the identity key of one audience ("authority": as of tenant 0). */
enum err kdf_audience_key(const struct key32 *kid_key, uint32_t tenant,
    const char *audience, struct key32 *out) MUST_CHECK;
/*
 * The answer to a challenge: HMAC-SHA-256 under derive(K, "proof") over
 * what 00 challenge. what is "burn" or "rotate"; challenge 1 to 64 octets.
 */
enum err kdf_proof(const struct key32 *root, const char *device_id,
    uint32_t epoch, const char *what, const void *challenge, size_t len,
    unsigned char answer[32]) MUST_CHECK;

#endif
