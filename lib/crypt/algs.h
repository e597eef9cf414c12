#ifndef CRYPT_ALGS_H
#define CRYPT_ALGS_H

#include <stdint.h>
#include <openssl/evp.h>

/*
 * OpenSSL's algorithms, fetched once a process: a fetch by name costs more
 * than the operation. Within lib/crypt only.
 */
struct algs {
	EVP_MD *sha256;
	EVP_MAC_CTX *hmac; /* keyed template for HMAC-SHA-256, to be copied */
	EVP_CIPHER *siv;   /* AES-128-SIV */
	EVP_CIPHER *gcm;   /* AES-256-GCM */
};
/* NULL when this OpenSSL lacks one of them. Thread safe. */
const struct algs *crypt_algs(void);

/* Big-endian numbers; the place behind them. */
unsigned char *put_u32(unsigned char *p, uint32_t v);
unsigned char *put_u64(unsigned char *p, uint64_t v);
/* s without its NUL; the place behind it. */
unsigned char *put_text(unsigned char *p, const char *s);

#endif
