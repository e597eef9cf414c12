#include "lib/crypt/seal.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <string.h>

#include "lib/crypt/algs.h"
#include "lib/crypt/digest.h"

#define VERSION 1
#define NONCE_LEN 12
#define TAG_LEN 16
#define HEAD_LEN (1 + NONCE_LEN)
#define TABLE_MAX 64
#define AEAD_MAX 65536
#define AAD_MAX (15 + TABLE_MAX + 1 + 4 + 8 + 4)

/* Length of the associated data, 0 when the table's name is unusable. */
static size_t
make_aad(const struct seal_row *row, unsigned char aad[AAD_MAX])
{
	unsigned char *p = aad;

	if (row->table == NULL || *row->table == '\0' ||
	    strlen(row->table) > TABLE_MAX)
		return 0;
	p = put_text(p, "fealty seal v1");
	*p++ = 0;
	p = put_text(p, row->table);
	*p++ = 0;
	p = put_u32(p, row->tenant);
	p = put_u64(p, row->row);
	p = put_u32(p, row->epoch);
	return (size_t)(p - aad);
}

/* nonce || ciphertext || tag at out, whose nonce is in place. 1: done. */
static int
gcm_seal(const EVP_CIPHER *gcm, const struct key32 *key,
	 const unsigned char *aad, size_t aadlen, const void *plain, size_t len,
	 unsigned char *out)
{
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	unsigned char *c = out + NONCE_LEN;
	int ok, n = 0;

	ok =
	    ctx != NULL &&
	    EVP_EncryptInit_ex2(ctx, gcm, key->b, out, NULL) == 1 &&
	    EVP_EncryptUpdate(ctx, NULL, &n, aad, (int)aadlen) == 1 &&
	    (len == 0 || EVP_EncryptUpdate(ctx, c, &n, plain, (int)len) == 1) &&
	    EVP_EncryptFinal_ex(ctx, c + len, &n) == 1 && n == 0 &&
	    EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, TAG_LEN, c + len) ==
		1;
	EVP_CIPHER_CTX_free(ctx);
	return ok;
}

/* The reverse; len is the plain text's. */
static int
gcm_open(const EVP_CIPHER *gcm, const struct key32 *key, const void *aad,
	 size_t aadlen, const unsigned char *in, size_t len,
	 unsigned char *plain)
{
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	const unsigned char *c = in + NONCE_LEN;
	unsigned char tag[TAG_LEN];
	int ok, n = 0;

	memcpy(tag, c + len, TAG_LEN);
	ok =
	    ctx != NULL &&
	    EVP_DecryptInit_ex2(ctx, gcm, key->b, in, NULL) == 1 &&
	    EVP_DecryptUpdate(ctx, NULL, &n, aad, (int)aadlen) == 1 &&
	    (len == 0 || EVP_DecryptUpdate(ctx, plain, &n, c, (int)len) == 1) &&
	    EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, TAG_LEN, tag) ==
		1 &&
	    EVP_DecryptFinal_ex(ctx, plain + len, &n) == 1 && n == 0;
	EVP_CIPHER_CTX_free(ctx);
	return ok;
}

enum err
aes256gcm_open(const struct key32 *key, const void *aad, size_t aadlen,
	       const unsigned char *in, size_t len, struct secret *out)
{
	const struct algs *a = crypt_algs();
	struct secret plain = {0};
	enum err e;
	int ok;

	if (len < NONCE_LEN + TAG_LEN || len > AEAD_MAX || aadlen > AEAD_MAX)
		return ERR_CRYPTO;
	len -= NONCE_LEN + TAG_LEN;
	e = a == NULL ? ERR_CRYPTO : secret_resize(&plain, len);
	if (e != ERR_OK)
		return e;
	(void)ERR_set_mark();
	ok = gcm_open(a->gcm, key, aad, aadlen, in, len, plain.p);
	(void)ERR_pop_to_mark();
	if (!ok) {
		secret_free(&plain);
		return ERR_CRYPTO;
	}
	secret_free(out);
	*out = plain;
	return ERR_OK;
}

enum err
seal(const struct key32 *key, const struct seal_row *row, const void *plain,
     size_t plainlen, unsigned char *out, size_t outsize, size_t *outlen)
{
	const struct algs *a = crypt_algs();
	unsigned char aad[AAD_MAX], nonce[NONCE_LEN];
	size_t aadlen = make_aad(row, aad);
	int ok;

	if (plainlen > SEAL_PLAIN_MAX || outsize < plainlen + SEAL_OVERHEAD)
		return ERR_TOO_LARGE;
	if (aadlen == 0)
		return ERR_NAME;
	if (a == NULL || random_bytes(nonce, sizeof(nonce)) != ERR_OK)
		return ERR_CRYPTO;
	out[0] = VERSION;
	memcpy(out + 1, nonce, sizeof(nonce));
	(void)ERR_set_mark();
	ok = gcm_seal(a->gcm, key, aad, aadlen, plain, plainlen, out + 1);
	(void)ERR_pop_to_mark();
	if (!ok) {
		wipe(out, plainlen + SEAL_OVERHEAD);
		return ERR_CRYPTO;
	}
	*outlen = plainlen + SEAL_OVERHEAD;
	return ERR_OK;
}

/* Into plain, which has room for SEAL_PLAIN_MAX + 1; wiped on failure. */
static enum err
unseal_into(const struct key32 *key, const struct seal_row *row,
	    const unsigned char *sealed, size_t len, unsigned char *plain,
	    size_t *plainlen)
{
	const struct algs *a = crypt_algs();
	unsigned char aad[AAD_MAX];
	size_t aadlen = make_aad(row, aad);
	int ok;

	if (a == NULL || aadlen == 0 || len < SEAL_OVERHEAD ||
	    len > SEAL_PLAIN_MAX + SEAL_OVERHEAD || sealed[0] != VERSION)
		return ERR_CRYPTO;
	len -= SEAL_OVERHEAD;
	(void)ERR_set_mark();
	ok = gcm_open(a->gcm, key, aad, aadlen, sealed + 1, len, plain);
	(void)ERR_pop_to_mark();
	if (!ok) {
		wipe(plain, SEAL_PLAIN_MAX + 1);
		return ERR_CRYPTO;
	}
	*plainlen = len;
	return ERR_OK;
}

enum err
unseal(const struct key32 *key, const struct seal_row *row, const void *sealed,
       size_t len, struct secret *out)
{
	unsigned char plain[SEAL_PLAIN_MAX + 1];
	size_t n;
	enum err e;

	e = unseal_into(key, row, sealed, len, plain, &n);
	if (e != ERR_OK)
		return e;
	e = secret_set(out, plain, n);
	wipe(plain, sizeof(plain));
	return e;
}

enum err
unseal_key32(const struct key32 *key, const struct seal_row *row,
	     const void *sealed, size_t len, struct key32 *out)
{
	unsigned char plain[SEAL_PLAIN_MAX + 1];
	size_t n;
	enum err e;

	if (len != KEY32_LEN + SEAL_OVERHEAD)
		return ERR_CRYPTO;
	e = unseal_into(key, row, sealed, len, plain, &n);
	if (e != ERR_OK)
		return e;
	memcpy(out->b, plain, KEY32_LEN);
	wipe(plain, sizeof(plain));
	return ERR_OK;
}
