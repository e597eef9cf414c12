#ifndef BASE_B64URL_H
#define BASE_B64URL_H

#include <stddef.h>
#include "lib/base/err.h"

/* base64url without padding (RFC 4648 section 5). Constant time per octet. */
#define B64URL_LEN(n) (((n) * 4 + 2) / 3)

/* Writes B64URL_LEN(len) characters and a NUL to out (that many + 1). */
void b64url_encode(const void *p, size_t len, char *out);
/*
 * Strict: no padding, no other characters, unused bits zero, so that each
 * octet string has exactly one text. *outlen is the room in, length out.
 * ERR_REQUEST when it is not such a text or does not fit.
 */
enum err b64url_decode(const char *s, size_t len, void *out,
    size_t *outlen) MUST_CHECK;
/* The same for exactly outlen octets. */
enum err b64url_decode_exact(const char *s, size_t len, void *out,
    size_t outlen) MUST_CHECK;

/* Lower-case hexadecimal; out has room for 2 * len + 1. */
void hex_encode(const void *p, size_t len, char *out);
enum err hex_decode_exact(const char *s, size_t len, void *out,
    size_t outlen) MUST_CHECK;

#endif
