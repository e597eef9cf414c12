#include <stdint.h>
#include <string.h>

#include "lib/crypt/algs.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/params.h>
#include <pthread.h>

/* Written once under algs_once, read-only ever after. */
static struct algs algs;
static int algs_ready;
static pthread_once_t algs_once = PTHREAD_ONCE_INIT;

/*
 * A context must be keyed before it can be copied; each copy then gets its
 * own key, so the zero key never makes anything.
 */
static EVP_MAC_CTX *
hmac_template(void)
{
	static const unsigned char zero[32];
	char digest[] = "SHA256";
	OSSL_PARAM params[] = {
	    OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
	    OSSL_PARAM_construct_end(),
	};
	EVP_MAC_CTX *ctx = NULL;
	EVP_MAC *mac;

	mac = EVP_MAC_fetch(NULL, "HMAC", NULL);
	if (mac != NULL)
		ctx = EVP_MAC_CTX_new(mac);
	if (ctx != NULL && EVP_MAC_init(ctx, zero, sizeof(zero), params) != 1) {
		EVP_MAC_CTX_free(ctx);
		ctx = NULL;
	}
	EVP_MAC_free(mac);
	return ctx;
}

static void
algs_fetch(void)
{
	(void)ERR_set_mark();
	algs.sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
	algs.hmac = hmac_template();
	algs.siv = EVP_CIPHER_fetch(NULL, "AES-128-SIV", NULL);
	algs.gcm = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
	(void)ERR_pop_to_mark();
	algs_ready = algs.sha256 != NULL && algs.hmac != NULL &&
		     algs.siv != NULL && algs.gcm != NULL;
}

const struct algs *
crypt_algs(void)
{
	if (pthread_once(&algs_once, algs_fetch) != 0 || !algs_ready)
		return NULL;
	return &algs;
}

unsigned char *
put_u32(unsigned char *p, uint32_t v)
{
	int i;

	for (i = 24; i >= 0; i -= 8)
		*p++ = (unsigned char)(v >> i & 0xff);
	return p;
}

unsigned char *
put_u64(unsigned char *p, uint64_t v)
{
	p = put_u32(p, (uint32_t)(v >> 32));
	return put_u32(p, (uint32_t)(v & 0xffffffff));
}

unsigned char *
put_text(unsigned char *p, const char *s)
{
	size_t len = strlen(s);

	memcpy(p, s, len);
	return p + len;
}
