#include "lib/crypt/signer.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/obj_mac.h>
#include <openssl/param_build.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/b64url.h"
#include "lib/crypt/digest.h"

#define POINT_LEN 65 /* 04 || x || y */
#define DER_MAX 72   /* of an ECDSA signature on P-256 */

struct signer {
	EVP_PKEY *key;
	struct es256_public pub;
	char kid[KID_LEN + 1];
};

/* A context ready to verify: one is not made anew for each check. */
struct spare {
	_Atomic(EVP_PKEY_CTX *) ctx; /* NULL: in use */
};

struct verifier {
	EVP_PKEY *key;
	struct spare *spare;
	struct es256_public pub;
	char kid[KID_LEN + 1];
};

enum err
es256_thumbprint(const struct es256_public *pub, char out[KID_LEN + 1])
{
	char x[B64URL_LEN(32) + 1], y[B64URL_LEN(32) + 1], jwk[160];
	unsigned char md[32];
	enum err e;
	int n;

	b64url_encode(pub->x, sizeof(pub->x), x);
	b64url_encode(pub->y, sizeof(pub->y), y);
	n = snprintf(
	    jwk, sizeof(jwk),
	    "{\"crv\":\"P-256\",\"kty\":\"EC\",\"x\":\"%s\",\"y\":\"%s\"}", x,
	    y);
	if (n < 0 || (size_t)n >= sizeof(jwk))
		return ERR_INTERNAL;
	e = sha256(jwk, (size_t)n, md);
	if (e == ERR_OK)
		b64url_encode(md, sizeof(md), out);
	return e;
}

/* A key of the point and, unless NULL, the scalar; NULL when it is none. */
static EVP_PKEY *
key_build(const struct es256_public *pub, const BIGNUM *scalar)
{
	OSSL_PARAM_BLD *bld = OSSL_PARAM_BLD_new();
	OSSL_PARAM *params = NULL;
	EVP_PKEY_CTX *ctx = NULL;
	EVP_PKEY *key = NULL;
	unsigned char point[POINT_LEN];

	point[0] = POINT_CONVERSION_UNCOMPRESSED;
	memcpy(point + 1, pub->x, 32);
	memcpy(point + 33, pub->y, 32);
	if (bld == NULL ||
	    OSSL_PARAM_BLD_push_utf8_string(bld, OSSL_PKEY_PARAM_GROUP_NAME,
					    "P-256", 0) != 1 ||
	    OSSL_PARAM_BLD_push_octet_string(bld, OSSL_PKEY_PARAM_PUB_KEY,
					     point, sizeof(point)) != 1)
		goto out;
	if (scalar != NULL &&
	    OSSL_PARAM_BLD_push_BN_pad(bld, OSSL_PKEY_PARAM_PRIV_KEY, scalar,
				       KEY32_LEN) != 1)
		goto out;
	params = OSSL_PARAM_BLD_to_param(bld);
	ctx = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
	if (params == NULL || ctx == NULL || EVP_PKEY_fromdata_init(ctx) != 1)
		goto out;
	if (EVP_PKEY_fromdata(ctx, &key,
			      scalar != NULL ? EVP_PKEY_KEYPAIR
					     : EVP_PKEY_PUBLIC_KEY,
			      params) != 1)
		key = NULL;
out:
	EVP_PKEY_CTX_free(ctx);
	OSSL_PARAM_free(params);
	OSSL_PARAM_BLD_free(bld);
	return key;
}

/* scalar times the base point; 0 unless 1 <= scalar < order. */
static int
point_of(const BIGNUM *scalar, struct es256_public *pub)
{
	EC_GROUP *group = EC_GROUP_new_by_curve_name(NID_X9_62_prime256v1);
	EC_POINT *point = NULL;
	unsigned char text[POINT_LEN];
	int ok = 0;

	if (group == NULL || BN_is_zero(scalar) ||
	    BN_cmp(scalar, EC_GROUP_get0_order(group)) >= 0)
		goto out;
	point = EC_POINT_new(group);
	if (point == NULL ||
	    EC_POINT_mul(group, point, scalar, NULL, NULL, NULL) != 1 ||
	    EC_POINT_point2oct(group, point, POINT_CONVERSION_UNCOMPRESSED,
			       text, sizeof(text), NULL) != sizeof(text))
		goto out;
	memcpy(pub->x, text + 1, 32);
	memcpy(pub->y, text + 33, 32);
	ok = 1;
out:
	EC_POINT_free(point);
	EC_GROUP_free(group);
	return ok;
}

static enum err
import(const struct key32 *scalar, struct signer **out)
{
	struct signer *s = calloc(1, sizeof(*s));
	BIGNUM *d = BN_secure_new();
	enum err e = ERR_CRYPTO;

	if (s == NULL || d == NULL) {
		e = ERR_NOMEM;
		goto out;
	}
	BN_set_flags(d, BN_FLG_CONSTTIME);
	if (BN_bin2bn(scalar->b, KEY32_LEN, d) == NULL || !point_of(d, &s->pub))
		goto out;
	s->key = key_build(&s->pub, d);
	if (s->key == NULL)
		goto out;
	e = es256_thumbprint(&s->pub, s->kid);
	if (e != ERR_OK)
		goto out;
	*out = s;
	s = NULL;
	e = ERR_OK;
out:
	BN_clear_free(d);
	signer_free(&s);
	return e;
}

enum err
signer_import(const struct key32 *scalar, struct signer **out)
{
	enum err e;

	(void)ERR_set_mark();
	e = import(scalar, out);
	(void)ERR_pop_to_mark();
	return e;
}

enum err
signer_generate(struct signer **out)
{
	struct key32 d;
	enum err e = ERR_CRYPTO;
	int tries;

	/* A draw at or above the order (one in 2^32) is drawn again. */
	for (tries = 0; tries < 4 && e == ERR_CRYPTO; tries++) {
		e = random_key32(&d);
		if (e == ERR_OK)
			e = signer_import(&d, out);
	}
	key32_wipe(&d);
	return e;
}

enum err
signer_export(const struct signer *s, struct key32 *scalar)
{
	BIGNUM *d = NULL;
	int ok;

	(void)ERR_set_mark();
	ok = EVP_PKEY_get_bn_param(s->key, OSSL_PKEY_PARAM_PRIV_KEY, &d) == 1 &&
	     BN_bn2binpad(d, scalar->b, KEY32_LEN) == KEY32_LEN;
	BN_clear_free(d);
	(void)ERR_pop_to_mark();
	return ok ? ERR_OK : ERR_CRYPTO;
}

void
signer_public(const struct signer *s, struct es256_public *out)
{
	*out = s->pub;
}

const char *
signer_kid(const struct signer *s)
{
	return s->kid;
}

/* DER to r || s (RFC 7518 section 3.4). 1: done. */
static int
sig_from_der(const unsigned char *der, size_t len,
	     unsigned char sig[ES256_SIG_LEN])
{
	ECDSA_SIG *es = d2i_ECDSA_SIG(NULL, &der, (long)len);
	int ok;

	ok = es != NULL && BN_bn2binpad(ECDSA_SIG_get0_r(es), sig, 32) == 32 &&
	     BN_bn2binpad(ECDSA_SIG_get0_s(es), sig + 32, 32) == 32;
	ECDSA_SIG_free(es);
	return ok;
}

/* The minimal DER INTEGER of 32 octets; its length, 3 to 35. */
static size_t
der_integer(const unsigned char n[32], unsigned char *out)
{
	size_t skip = 0, pad;

	while (skip < 31 && n[skip] == 0)
		skip++;
	pad = n[skip] >> 7;
	out[0] = 0x02;
	out[1] = (unsigned char)(32 - skip + pad);
	out[2] = 0;
	memcpy(out + 2 + pad, n + skip, 32 - skip);
	return 2 + pad + 32 - skip;
}

static size_t
sig_to_der(const unsigned char sig[ES256_SIG_LEN], unsigned char der[DER_MAX])
{
	size_t len;

	len = der_integer(sig, der + 2);
	len += der_integer(sig + 32, der + 2 + len);
	der[0] = 0x30;
	der[1] = (unsigned char)len;
	return len + 2;
}

enum err
signer_sign(const struct signer *s, const void *p, size_t len,
	    unsigned char sig[ES256_SIG_LEN])
{
	unsigned char md[32], der[DER_MAX];
	size_t derlen = sizeof(der);
	EVP_PKEY_CTX *ctx = NULL;
	int ok;

	if (sha256(p, len, md) != ERR_OK)
		return ERR_CRYPTO;
	(void)ERR_set_mark();
	ok = (ctx = EVP_PKEY_CTX_new_from_pkey(NULL, s->key, NULL)) != NULL &&
	     EVP_PKEY_sign_init(ctx) == 1 &&
	     EVP_PKEY_sign(ctx, der, &derlen, md, sizeof(md)) == 1 &&
	     sig_from_der(der, derlen, sig);
	EVP_PKEY_CTX_free(ctx);
	(void)ERR_pop_to_mark();
	return ok ? ERR_OK : ERR_CRYPTO;
}

void
signer_free(struct signer **s)
{
	if (s == NULL || *s == NULL)
		return;
	EVP_PKEY_free((*s)->key);
	free(*s);
	*s = NULL;
}

enum err
verifier_new(const struct es256_public *pub, struct verifier **out)
{
	struct verifier *v = calloc(1, sizeof(*v));
	enum err e = ERR_CRYPTO;

	if (v == NULL)
		return ERR_NOMEM;
	v->pub = *pub;
	v->spare = calloc(1, sizeof(*v->spare));
	if (v->spare == NULL) {
		e = ERR_NOMEM;
		goto out;
	}
	(void)ERR_set_mark();
	v->key = key_build(pub, NULL); /* refuses points off the curve */
	(void)ERR_pop_to_mark();
	if (v->key == NULL || es256_thumbprint(pub, v->kid) != ERR_OK)
		goto out;
	*out = v;
	v = NULL;
	e = ERR_OK;
out:
	verifier_free(&v);
	return e;
}

const char *
verifier_kid(const struct verifier *v)
{
	return v->kid;
}

void
verifier_public(const struct verifier *v, struct es256_public *out)
{
	*out = v->pub;
}

/* Ready to verify; NULL: cannot be. The caller's alone, until given back. */
static EVP_PKEY_CTX *
ctx_take(const struct verifier *v)
{
	EVP_PKEY_CTX *ctx = atomic_exchange(&v->spare->ctx, NULL);

	if (ctx != NULL)
		return ctx;
	ctx = EVP_PKEY_CTX_new_from_pkey(NULL, v->key, NULL);
	if (ctx != NULL && EVP_PKEY_verify_init(ctx) == 1)
		return ctx;
	EVP_PKEY_CTX_free(ctx);
	return NULL;
}

static void
ctx_give_back(const struct verifier *v, EVP_PKEY_CTX *ctx)
{
	EVP_PKEY_CTX_free(atomic_exchange(&v->spare->ctx, ctx));
}

enum err
verifier_verify(const struct verifier *v, const void *p, size_t len,
		const unsigned char sig[ES256_SIG_LEN])
{
	unsigned char md[32], der[DER_MAX];
	size_t derlen = sig_to_der(sig, der);
	EVP_PKEY_CTX *ctx = NULL;
	enum err e = ERR_CRYPTO;

	if (sha256(p, len, md) != ERR_OK)
		return ERR_CRYPTO;
	(void)ERR_set_mark();
	ctx = ctx_take(v);
	if (ctx != NULL) {
		e = EVP_PKEY_verify(ctx, der, derlen, md, sizeof(md)) == 1
			? ERR_OK
			: ERR_TOKEN_SIGNATURE;
		ctx_give_back(v, ctx);
	}
	(void)ERR_pop_to_mark();
	return e;
}

void
verifier_free(struct verifier **v)
{
	if (v == NULL || *v == NULL)
		return;
	if ((*v)->spare != NULL)
		EVP_PKEY_CTX_free(atomic_load(&(*v)->spare->ctx));
	free((*v)->spare);
	EVP_PKEY_free((*v)->key);
	free(*v);
	*v = NULL;
}
