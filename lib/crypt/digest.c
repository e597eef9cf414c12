#include "lib/crypt/digest.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

#include <limits.h>

#include "lib/crypt/algs.h"

enum err
sha256(const void *p, size_t len, unsigned char out[32])
{
	const struct algs *a = crypt_algs();
	int ok;

	if (a == NULL)
		return ERR_CRYPTO;
	(void)ERR_set_mark();
	ok = EVP_Digest(p, len, out, NULL, a->sha256, NULL) == 1;
	(void)ERR_pop_to_mark();
	return ok ? ERR_OK : ERR_CRYPTO;
}

enum err
hmac_sha256(const void *key, size_t keylen, const void *p, size_t len,
	    unsigned char out[32])
{
	static const unsigned char none[1];
	const struct algs *a = crypt_algs();
	EVP_MAC_CTX *ctx = NULL;
	size_t n = 0;
	int ok;

	if (a == NULL)
		return ERR_CRYPTO;
	/* NULL would mean "keep the template's key". */
	if (key == NULL || keylen == 0) {
		key = none;
		keylen = 0;
	}
	(void)ERR_set_mark();
	ok = (ctx = EVP_MAC_CTX_dup(a->hmac)) != NULL &&
	     EVP_MAC_init(ctx, key, keylen, NULL) == 1 &&
	     EVP_MAC_update(ctx, p, len) == 1 &&
	     EVP_MAC_final(ctx, out, &n, 32) == 1 && n == 32;
	EVP_MAC_CTX_free(ctx);
	(void)ERR_pop_to_mark();
	return ok ? ERR_OK : ERR_CRYPTO;
}

enum err
random_bytes(void *p, size_t len)
{
	int ok;

	if (len > INT_MAX)
		return ERR_CRYPTO;
	(void)ERR_set_mark();
	ok = RAND_priv_bytes(p, (int)len) == 1;
	(void)ERR_pop_to_mark();
	if (!ok)
		wipe(p, len);
	return ok ? ERR_OK : ERR_CRYPTO;
}

enum err
random_key32(struct key32 *k)
{
	return random_bytes(k->b, sizeof(k->b));
}
