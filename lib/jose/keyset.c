#include "lib/jose/set.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "lib/jose/jws.h"
#include "lib/wire/wire.h"

#define TYP "fealty-keys+jwt"
#define JWKS_MAX 65536

static enum err
add_keys(struct buf *b, const char *name, const struct jwks *set)
{
	enum err e;

	e = buf_fmt(b, ",\"%s\":", name);
	return e == ERR_OK ? jwks_format(set, b) : e;
}

enum err
keyset_sign(const struct signer *root, const char *iss,
    const struct keyset *k, struct buf *out)
{
	struct buf b = {.max = 2 * JWKS_MAX};
	enum err e;

	if (k->version == 0 || k->version > NUMBER_MAX || k->iat < 0 ||
	    strpbrk(iss, "\"\\") != NULL)
		return ERR_REQUEST;
	e = buf_fmt(&b, "{\"iss\":\"%s\",\"iat\":%" PRId64 ",\"version\":%"
	    PRIu64, iss, k->iat, k->version);
	if (e == ERR_OK)
		e = add_keys(&b, "feed", k->feed);
	if (e == ERR_OK)
		e = add_keys(&b, "token", k->token);
	if (e == ERR_OK)
		e = buf_str(&b, "}");
	if (e == ERR_OK)
		e = jws_sign(root, TYP, b.p, b.len, out);
	buf_free(&b);
	return e;
}

static void
read_keys(struct jin *in, const char *name, struct jwks **out)
{
	json_t *v = jin_any(in, name);
	char *text;
	enum err e;

	if (in->err != ERR_OK)
		return;
	text = v == NULL ? NULL : json_dumps(v, JSON_COMPACT);
	if (text == NULL) {
		jin_fail(in, ERR_JSON, "member %s: missing", name);
		return;
	}
	e = jwks_parse(text, strlen(text), out);
	free(text);
	if (e != ERR_OK)
		jin_fail(in, e == ERR_NOMEM ? e : ERR_JSON,
		    "member %s: not a key set", name);
}

enum err
keyset_verify(const struct verifier *root, const char *iss,
    const char *text, size_t len, struct keyset *out, struct detail *d)
{
	const struct jws_keys keys = {.one = root};
	char who[ISSUER_MAX + 1] = "";
	struct keyset k = {0};
	uint64_t iat = 0;
	json_t *o = NULL;
	struct jin in;
	enum err e;

	e = jws_open(&keys, TYP, text, len, &o, d);
	if (e != ERR_OK)
		return e;
	jin_value(&in, o, d);
	jin_str(&in, "iss", who, sizeof(who));
	jin_u64(&in, "iat", NUMBER_MAX, &iat);
	jin_u64(&in, "version", NUMBER_MAX, &k.version);
	read_keys(&in, "feed", &k.feed);
	read_keys(&in, "token", &k.token);
	k.iat = (int64_t)iat;
	if (in.err == ERR_OK && k.version == 0)
		jin_fail(&in, ERR_JSON, "version: from 1");
	e = jws_done(&in, iss, who);
	json_decref(o);
	if (e == ERR_OK)
		*out = k;
	else
		keyset_free(&k);
	return e;
}

void
keyset_free(struct keyset *k)
{
	if (k == NULL)
		return;
	jwks_free(&k->feed);
	jwks_free(&k->token);
	memset(k, 0, sizeof(*k));
}
