#ifndef JOSE_JWE_INT_H
#define JOSE_JWE_INT_H

#include "lib/jose/jwe.h"

#define JWE_TYP "fealty-key+jwe"
#define JWE_MAX 1024
#define JWE_PLAIN_MAX 512
#define JWE_PARTS 5
#define JWE_IV_LEN 12
#define JWE_TAG_LEN 16

/* Header, encrypted key (empty), nonce, ciphertext, tag; not terminated. */
struct jwe_parts {
	const char *p[JWE_PARTS];
	size_t len[JWE_PARTS];
	struct es256_public epk;
};
/* 1 if it is in form, with exactly the header that jwe_seal writes. */
int jwe_form(const char *jwe, size_t len, struct jwe_parts *out);

#endif
