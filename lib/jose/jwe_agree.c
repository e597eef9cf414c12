#include "lib/jose/jwe_int.h"

#include <string.h>

#include "lib/base/b64url.h"
#include "lib/crypt/digest.h"
#include "lib/crypt/seal.h"

#define ENC "A256GCM"
#define KEY_BITS 256

static size_t
put_u32be(unsigned char *p, uint32_t v)
{
	p[0] = (unsigned char)(v >> 24);
	p[1] = (unsigned char)(v >> 16);
	p[2] = (unsigned char)(v >> 8);
	p[3] = (unsigned char)v;
	return 4;
}

/*
 * Concat KDF (RFC 7518 section 4.6.2) with one round of SHA-256: counter, Z,
 * AlgorithmID, no PartyUInfo, no PartyVInfo, SuppPubInfo.
 */
static enum err
concat_kdf(const struct key32 *z, struct key32 *out)
{
	unsigned char in[4 + KEY32_LEN + 4 + sizeof(ENC) - 1 + 12];
	size_t n = put_u32be(in, 1);
	enum err e;

	memcpy(in + n, z->b, KEY32_LEN);
	n += KEY32_LEN;
	n += put_u32be(in + n, sizeof(ENC) - 1);
	memcpy(in + n, ENC, sizeof(ENC) - 1);
	n += sizeof(ENC) - 1;
	n += put_u32be(in + n, 0);
	n += put_u32be(in + n, 0);
	n += put_u32be(in + n, KEY_BITS);
	e = sha256(in, n, out->b);
	wipe(in, sizeof(in));
	return e;
}

/* Nonce, ciphertext and tag, one behind the other. */
static enum err
decrypt(const struct jwe_parts *p, const struct key32 *key,
    struct secret *out)
{
	unsigned char in[JWE_MAX];
	size_t n = JWE_PLAIN_MAX;

	if (b64url_decode_exact(p->p[2], p->len[2], in, JWE_IV_LEN) != ERR_OK ||
	    b64url_decode(p->p[3], p->len[3], in + JWE_IV_LEN, &n) != ERR_OK ||
	    b64url_decode_exact(p->p[4], p->len[4], in + JWE_IV_LEN + n,
	    JWE_TAG_LEN) != ERR_OK)
		return ERR_CRYPTO;
	return aes256gcm_open(key, p->p[0], p->len[0], in,
	    JWE_IV_LEN + n + JWE_TAG_LEN, out);
}

enum err
jwe_open_agreed(const struct jwe_agreement *a, const char *jwe, size_t len,
    struct secret *out)
{
	struct key32 z = {{0}}, key = {{0}};
	struct jwe_parts parts;
	enum err e;

	if (!jwe_form(jwe, len, &parts))
		return ERR_CRYPTO;
	e = a->agree(a->ctx, &parts.epk, &z);
	if (e == ERR_OK)
		e = concat_kdf(&z, &key);
	if (e == ERR_OK)
		e = decrypt(&parts, &key, out);
	key32_wipe(&z);
	key32_wipe(&key);
	return e;
}
