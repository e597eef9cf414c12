#include "lib/crypt/pskid.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <string.h>

#include "lib/base/b64url.h"
#include "lib/crypt/algs.h"

#define TAG_LEN 16
#define PLAIN_LEN 16
#define RAW_LEN (1 + TAG_LEN + PLAIN_LEN)
#define AAD_MAX (17 + NAME_MAX_LEN)

static size_t
make_aad(const char *audience, unsigned char aad[AAD_MAX])
{
	unsigned char *p = aad;

	p = put_text(p, "fealty psk-id v1");
	*p++ = 0;
	p = put_text(p, audience);
	return (size_t)(p - aad);
}

static uint32_t
get_u32(const unsigned char *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 |
	       (uint32_t)p[2] << 8 | p[3];
}

static int
in_bounds(const struct pskid *id)
{
	return id->dn >= 1 && id->dn <= NUMBER_MAX && id->epoch >= 1;
}

/* tag || ciphertext of PLAIN_LEN octets. 1 on success. */
static int
siv_seal(const EVP_CIPHER *siv, const struct key32 *key,
	 const unsigned char *aad, size_t aadlen,
	 const unsigned char plain[PLAIN_LEN],
	 unsigned char out[TAG_LEN + PLAIN_LEN])
{
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	int ok, n = 0;

	ok = ctx != NULL &&
	     EVP_EncryptInit_ex2(ctx, siv, key->b, NULL, NULL) == 1 &&
	     EVP_EncryptUpdate(ctx, NULL, &n, aad, (int)aadlen) == 1 &&
	     EVP_EncryptUpdate(ctx, out + TAG_LEN, &n, plain, PLAIN_LEN) == 1 &&
	     n == PLAIN_LEN && EVP_EncryptFinal_ex(ctx, NULL, &n) == 1 &&
	     EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, TAG_LEN, out) == 1;
	EVP_CIPHER_CTX_free(ctx);
	return ok;
}

static int
siv_open(const EVP_CIPHER *siv, const struct key32 *key,
	 const unsigned char *aad, size_t aadlen,
	 unsigned char sealed[TAG_LEN + PLAIN_LEN],
	 unsigned char plain[PLAIN_LEN])
{
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	int ok, n = 0;

	ok = ctx != NULL &&
	     EVP_DecryptInit_ex2(ctx, siv, key->b, NULL, NULL) == 1 &&
	     EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, TAG_LEN, sealed) ==
		 1 &&
	     EVP_DecryptUpdate(ctx, NULL, &n, aad, (int)aadlen) == 1 &&
	     EVP_DecryptUpdate(ctx, plain, &n, sealed + TAG_LEN, PLAIN_LEN) ==
		 1 &&
	     n == PLAIN_LEN && EVP_DecryptFinal_ex(ctx, NULL, &n) == 1;
	EVP_CIPHER_CTX_free(ctx);
	return ok;
}

enum err
pskid_kid(const char *identity, size_t len, uint8_t *kid)
{
	unsigned char raw[RAW_LEN];

	if (b64url_decode_exact(identity, len, raw, sizeof(raw)) != ERR_OK)
		return ERR_IDENTITY;
	*kid = raw[0];
	return ERR_OK;
}

enum err
pskid_make(const struct key32 *audience_key, const char *audience,
	   const struct pskid *id, char out[PSKID_LEN + 1])
{
	unsigned char raw[RAW_LEN], plain[PLAIN_LEN], aad[AAD_MAX], *p;
	const struct algs *a = crypt_algs();
	size_t aadlen;
	int ok;

	if (!name_is_audience(audience))
		return ERR_NAME;
	if (!in_bounds(id))
		return ERR_REQUEST;
	if (a == NULL)
		return ERR_CRYPTO;
	p = put_u32(plain, id->tenant);
	p = put_u64(p, id->dn);
	(void)put_u32(p, id->epoch);
	aadlen = make_aad(audience, aad);
	raw[0] = id->kid;
	(void)ERR_set_mark();
	ok = siv_seal(a->siv, audience_key, aad, aadlen, plain, raw + 1);
	(void)ERR_pop_to_mark();
	if (!ok)
		return ERR_CRYPTO;
	b64url_encode(raw, sizeof(raw), out);
	return ERR_OK;
}

enum err
pskid_open(const struct key32 *audience_key, const char *audience,
	   const char *identity, size_t len, struct pskid *out)
{
	unsigned char raw[RAW_LEN], plain[PLAIN_LEN], aad[AAD_MAX];
	const struct algs *a = crypt_algs();
	struct pskid id;
	size_t aadlen;
	int ok;

	if (!name_is_audience(audience))
		return ERR_NAME;
	if (b64url_decode_exact(identity, len, raw, sizeof(raw)) != ERR_OK)
		return ERR_IDENTITY;
	if (a == NULL)
		return ERR_CRYPTO;
	aadlen = make_aad(audience, aad);
	(void)ERR_set_mark();
	ok = siv_open(a->siv, audience_key, aad, aadlen, raw + 1, plain);
	(void)ERR_pop_to_mark();
	if (!ok)
		return ERR_IDENTITY;
	id.kid = raw[0];
	id.tenant = get_u32(plain);
	id.dn = (uint64_t)get_u32(plain + 4) << 32 | get_u32(plain + 8);
	id.epoch = get_u32(plain + 12);
	if (!in_bounds(&id))
		return ERR_IDENTITY;
	*out = id;
	return ERR_OK;
}
