#ifndef P11_P11_H
#define P11_P11_H

#include "lib/base/buf.h"
#include "lib/base/secret.h"
#include "lib/crypt/signer.h"

/*
 * One PKCS#11 token, named by a URI (RFC 7512): the P-256 key pair that it
 * has made and keeps, and one data object beside it. Only public halves,
 * signatures and agreed secrets leave it. One thread at a time.
 */
struct p11;
#define P11_NAME_MAX 511
/*
 * uri: "pkcs11:" and attributes that fit exactly one initialised token;
 * object names the key pair and the data object ("fealty" by default);
 * module-path a module, without it those that p11-kit knows; pin-source a
 * file ("/…" or "file:/…", of its owner alone) or an open descriptor
 * ("fd:N"). pin-value is refused: a command line is no place for a PIN.
 * ERR_REQUEST with d: the URI, the PIN's source or what is there is not as it
 * has to be. ERR_IO with d: the module or the token fails.
 */
enum err p11_open(const char *uri, struct p11 **out, struct detail *d)
    MUST_CHECK;
/* The token and the object, the same however they were named. */
const char *p11_name(const struct p11 *p);
void p11_close(struct p11 **p);

/*
 * The key pair's public half. ERR_NOT_FOUND: there is none. ERR_REQUEST with
 * d: there is more than one, a half of one, or one that was not made in the
 * token or could leave it.
 */
enum err p11_key_find(struct p11 *p, struct es256_public *out,
    struct detail *d) MUST_CHECK;
/*
 * Makes it: private, sensitive, not extractable, for signatures and key
 * agreement. The half that a power cut left of an earlier one goes.
 */
enum err p11_key_make(struct p11 *p, struct es256_public *out,
    struct detail *d) MUST_CHECK;
/* ES256 over the octets at msg. */
enum err p11_sign(struct p11 *p, const void *msg, size_t len,
    unsigned char sig[ES256_SIG_LEN], struct detail *d) MUST_CHECK;
/* ECDH with a point that the caller has found on the curve: its x. */
enum err p11_agree(struct p11 *p, const struct es256_public *peer,
    struct key32 *z, struct detail *d) MUST_CHECK;

/* What the data object holds. ERR_NOT_FOUND; ERR_RECORD when there are two. */
enum err p11_data_read(struct p11 *p, struct buf *out, struct detail *d)
    MUST_CHECK;
/* The new one is there before an old one goes. */
enum err p11_data_write(struct p11 *p, const void *octets, size_t len,
    struct detail *d) MUST_CHECK;

#endif
