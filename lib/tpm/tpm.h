#ifndef TPM_TPM_H
#define TPM_TPM_H

#include <stdint.h>

#include "lib/base/secret.h"

/*
 * One root key in a TPM 2.0, as a persistent HMAC-SHA-256 key in the owner
 * hierarchy: it can be used with its auth value, and not be read, changed or
 * duplicated. All that is secret goes to the TPM and comes from it encrypted,
 * in a session salted to a primary key of the TPM. One thread at a time.
 */
struct tpm;
#define TPM_HANDLE 0x8100fea1u /* where the key goes if nobody says otherwise */
#define TPM_AUTH_MIN 16
#define TPM_AUTH_MAX 32
struct tpm_conf {
	const char *tcti;	    /* "device:/dev/tpmrm0" */
	const struct secret *auth;  /* of the key; MIN to MAX octets */
	const struct secret *owner; /* of the owner hierarchy; may be empty */
	uint32_t handle;	    /* persistent */
};
/*
 * Connects, and flushes what a run of this code that was killed has left in
 * the TPM, where nobody manages it. ERR_REQUEST with d: no such TPM.
 */
enum err tpm_open(const struct tpm_conf *conf, struct tpm **out,
    struct detail *d) MUST_CHECK;
void tpm_close(struct tpm **t);

/*
 * HMAC-SHA-256 over at most 512 octets under the key at the handle.
 * ERR_NOT_FOUND: nothing is there; ERR_EXISTS: something else is;
 * ERR_REQUEST: the auth value is wrong; ERR_IO.
 */
enum err tpm_hmac(struct tpm *t, const void *msg, size_t len,
    unsigned char out[32], struct detail *d) MUST_CHECK;
/*
 * Puts the key there. If it is there already, that is fine; ERR_EXISTS for
 * anything else, unless that may be replaced.
 */
enum err tpm_put(struct tpm *t, const struct key32 *k, int replace,
    struct detail *d) MUST_CHECK;

#endif
