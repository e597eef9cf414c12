#ifndef CRYPT_PROOF_H
#define CRYPT_PROOF_H

#include "lib/crypt/signer.h"

/*
 * The proof of a device that has made its own key pair: ES256 (docs/
 * key-schedule.md) over
 *   "fealty v1" 00 what 00 device_id 00 u32be(epoch) challenge
 * what is "burn", "rotate", or "ticket" (a station's statement that it has
 * burned an identity: docs/tickets.md); challenge 1 to 64 octets. No JWS
 * signed by the same key can be taken for it, since a JWS has no octet 00.
 */
#define PROOF_MESSAGE_MAX 160
struct proof_message {
	unsigned char p[PROOF_MESSAGE_MAX];
	size_t len;
};
/* ERR_REQUEST, ERR_NAME. */
enum err proof_message(const char *what, const char *device_id,
    uint32_t epoch, const void *challenge, size_t len,
    struct proof_message *out) MUST_CHECK;
/* ERR_PROOF when the signature is not that key's; ERR_CRYPTO. */
enum err proof_check(const struct es256_public *pub,
    const struct proof_message *m, const unsigned char sig[ES256_SIG_LEN])
    MUST_CHECK;

#endif
