#include "lib/jose/token.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/b64url.h"
#include "lib/jose/compact.h"
#include "lib/jose/jwk.h"

#define KEYS_MAX 64
#define TEXT_MAX 65536

struct jwks {
	struct verifier *v[KEYS_MAX];
	size_t n;
};

enum err
jwks_new(struct jwks **out)
{
	struct jwks *set = calloc(1, sizeof(*set));

	if (set == NULL)
		return ERR_NOMEM;
	*out = set;
	return ERR_OK;
}

void
jwks_free(struct jwks **pset)
{
	struct jwks *set = *pset;
	size_t i;

	if (set == NULL)
		return;
	for (i = 0; i < set->n; i++)
		verifier_free(&set->v[i]);
	free(set);
	*pset = NULL;
}

const struct verifier *
jwks_find(const struct jwks *set, const char *kid, size_t len)
{
	size_t i;

	if (len != KID_LEN)
		return NULL;
	for (i = 0; i < set->n; i++)
		if (memcmp(verifier_kid(set->v[i]), kid, KID_LEN) == 0)
			return set->v[i];
	return NULL;
}

enum err
jwks_add(struct jwks *set, const struct es256_public *pub)
{
	struct verifier *v = NULL;
	enum err e;

	e = verifier_new(pub, &v);
	if (e != ERR_OK)
		return e;
	if (jwks_find(set, verifier_kid(v), KID_LEN) != NULL) {
		verifier_free(&v);
		return ERR_OK;
	}
	if (set->n == KEYS_MAX) {
		verifier_free(&v);
		return ERR_TOO_LARGE;
	}
	set->v[set->n++] = v;
	return ERR_OK;
}

const char *
jwks_kid(const struct jwks *set, size_t i)
{
	return i < set->n ? verifier_kid(set->v[i]) : NULL;
}

void
jwks_drop(struct jwks *set, size_t i)
{
	if (i >= set->n)
		return;
	verifier_free(&set->v[i]);
	set->v[i] = set->v[--set->n];
	set->v[set->n] = NULL;
}

static int
member_is(const json_t *o, const char *name, const char *want, int demanded)
{
	const char *s = json_string_value(json_object_get(o, name));

	if (s == NULL)
		return !demanded && json_object_get(o, name) == NULL;
	return strcmp(s, want) == 0;
}

/* For ES256 signatures, as far as it says. */
static int
is_ours(const json_t *key)
{
	return member_is(key, "kty", "EC", 1) &&
	    member_is(key, "crv", "P-256", 1) &&
	    member_is(key, "use", "sig", 0) &&
	    member_is(key, "alg", "ES256", 0);
}

static enum err
add_key(struct jwks *set, const json_t *key)
{
	struct es256_public pub;
	char kid[KID_LEN + 1];
	enum err e;

	if (!json_is_object(key))
		return ERR_REQUEST;
	if (!is_ours(key))
		return ERR_OK;
	e = jwk_point(key, &pub);
	if (e == ERR_OK)
		e = es256_thumbprint(&pub, kid);
	if (e != ERR_OK)
		return e;
	/* A kid of another kind can be named by no token of ours. */
	if (!member_is(key, "kid", kid, 0))
		return ERR_OK;
	e = jwks_add(set, &pub);
	return e == ERR_CRYPTO ? ERR_REQUEST : e;
}

enum err
jwks_parse(const char *json, size_t len, struct jwks **out)
{
	struct jwks *set = NULL;
	json_t *o, *keys;
	enum err e;
	size_t i;

	if (len > TEXT_MAX)
		return ERR_TOO_LARGE;
	o = json_loadb(json, len, JOSE_JSON_FLAGS, NULL);
	keys = json_object_get(o, "keys");
	e = json_is_array(keys) ? jwks_new(&set) : ERR_REQUEST;
	for (i = 0; e == ERR_OK && i < json_array_size(keys); i++)
		e = add_key(set, json_array_get(keys, i));
	json_decref(o);
	if (e == ERR_OK)
		*out = set;
	else
		jwks_free(&set);
	return e;
}

enum err
jwk_point(const json_t *key, struct es256_public *out)
{
	const json_t *x = json_object_get(key, "x");
	const json_t *y = json_object_get(key, "y");
	struct es256_public pub;

	/* Somebody's private key does not belong here: let it be noticed. */
	if (json_object_get(key, "d") != NULL || !json_is_string(x) ||
	    !json_is_string(y))
		return ERR_REQUEST;
	if (b64url_decode_exact(json_string_value(x), json_string_length(x),
	    pub.x, sizeof(pub.x)) != ERR_OK ||
	    b64url_decode_exact(json_string_value(y), json_string_length(y),
	    pub.y, sizeof(pub.y)) != ERR_OK)
		return ERR_REQUEST;
	*out = pub;
	return ERR_OK;
}

enum err
jwk_format(const struct es256_public *pub, struct buf *out)
{
	char x[B64URL_LEN(32) + 1], y[B64URL_LEN(32) + 1];

	b64url_encode(pub->x, sizeof(pub->x), x);
	b64url_encode(pub->y, sizeof(pub->y), y);
	return buf_fmt(out,
	    "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"%s\",\"y\":\"%s\"", x,
	    y);
}

enum err
jwks_format(const struct jwks *set, struct buf *out)
{
	struct es256_public pub;
	enum err e;
	size_t i;

	e = buf_str(out, "{\"keys\":[");
	for (i = 0; e == ERR_OK && i < set->n; i++) {
		verifier_public(set->v[i], &pub);
		if (i > 0)
			e = buf_str(out, ",");
		if (e == ERR_OK)
			e = jwk_format(&pub, out);
		if (e == ERR_OK)
			e = buf_fmt(out, ",\"use\":\"sig\",\"alg\":\"ES256\","
			    "\"kid\":\"%s\"}", verifier_kid(set->v[i]));
	}
	return e == ERR_OK ? buf_str(out, "]}") : e;
}
