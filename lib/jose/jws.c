#include "lib/jose/jws.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/b64url.h"
#include "lib/jose/compact.h"
#include "lib/jose/set.h"

#define ALG "ES256"

/* Grows out by the base64url form of len octets. */
static enum err
add_b64(struct buf *out, const void *p, size_t len)
{
	char small[1024], *text = small;
	size_t n = B64URL_LEN(len);
	enum err e;

	if (n >= sizeof(small)) {
		text = malloc(n + 1);
		if (text == NULL)
			return ERR_NOMEM;
	}
	b64url_encode(p, len, text);
	e = buf_add(out, text, n);
	if (text != small)
		free(text);
	return e;
}

enum err
jws_sign(const struct signer *s, const char *typ, const char *json,
    size_t len, struct buf *out)
{
	unsigned char sig[ES256_SIG_LEN];
	struct buf head = {.max = HEADER_MAX}, in = {.max = SET_MAX};
	enum err e;

	e = buf_fmt(&head, "{\"alg\":\"" ALG "\",\"typ\":\"%s\",\"kid\":"
	    "\"%s\"}", typ, signer_kid(s));
	if (e == ERR_OK)
		e = add_b64(&in, head.p, head.len);
	if (e == ERR_OK)
		e = buf_add(&in, ".", 1);
	if (e == ERR_OK)
		e = add_b64(&in, json, len);
	if (e == ERR_OK)
		e = signer_sign(s, in.p, in.len, sig);
	if (e == ERR_OK)
		e = buf_add(&in, ".", 1);
	if (e == ERR_OK)
		e = add_b64(&in, sig, sizeof(sig));
	if (e == ERR_OK)
		e = buf_add(out, in.p, in.len);
	buf_free(&head);
	buf_free(&in);
	return e;
}

static enum err
open_header(const char *typ, const char *text, size_t len, struct compact *p,
    struct jose_header *h, struct detail *d)
{
	if (len > SET_MAX) {
		detail_set(d, "more than %d octets", SET_MAX);
		return ERR_TOKEN;
	}
	if (compact_split(text, len, p, d) != ERR_OK ||
	    compact_header(p, h, d) != ERR_OK)
		return ERR_TOKEN;
	if (strcmp(h->alg, ALG) != 0) {
		detail_set(d, "alg: " ALG " and nothing else");
		return ERR_TOKEN;
	}
	if (strcmp(h->typ, typ) != 0) {
		detail_set(d, "typ: %s and nothing else", typ);
		return ERR_TOKEN;
	}
	if (strlen(h->kid) != KID_LEN) {
		detail_set(d, "kid: %d characters", KID_LEN);
		return ERR_TOKEN;
	}
	return ERR_OK;
}

static const struct verifier *
find_key(const struct jws_keys *keys, const char *kid)
{
	if (keys->set != NULL)
		return jwks_find(keys->set, kid, KID_LEN);
	return strcmp(verifier_kid(keys->one), kid) == 0 ? keys->one : NULL;
}

static enum err
check_signature(const struct jws_keys *keys, const struct compact *p,
    const struct jose_header *h, struct detail *d)
{
	unsigned char sig[ES256_SIG_LEN];
	const struct verifier *v;

	if (b64url_decode_exact(p->sig, p->sig_len, sig, sizeof(sig)) !=
	    ERR_OK) {
		detail_set(d, "signature: %d octets as base64url",
		    ES256_SIG_LEN);
		return ERR_TOKEN;
	}
	v = find_key(keys, h->kid);
	if (v == NULL) {
		detail_set(d, "kid: no key that may sign this");
		return ERR_TOKEN_KEY;
	}
	return verifier_verify(v, p->header, p->signed_len, sig);
}

static enum err
parse_claims(const struct compact *p, json_t **claims, struct detail *d)
{
	size_t n = p->payload_len;
	char *text = malloc(n + 1);
	json_t *o = NULL;

	if (text == NULL)
		return ERR_NOMEM;
	if (b64url_decode(p->payload, p->payload_len, text, &n) == ERR_OK)
		o = json_loadb(text, n, JOSE_JSON_FLAGS, NULL);
	free(text);
	if (!json_is_object(o)) {
		json_decref(o);
		detail_set(d, "claims: not base64url of a JSON object");
		return ERR_TOKEN;
	}
	*claims = o;
	return ERR_OK;
}

enum err
jws_open(const struct jws_keys *keys, const char *typ, const char *text,
    size_t len, json_t **claims, struct detail *d)
{
	struct jose_header h;
	struct compact p;
	enum err e;

	e = open_header(typ, text, len, &p, &h, d);
	if (e == ERR_OK)
		e = check_signature(keys, &p, &h, d);
	return e == ERR_OK ? parse_claims(&p, claims, d) : e;
}

enum err
jws_done(struct jin *in, const char *want, const char *who)
{
	enum err e = jin_done(in);

	if (e == ERR_NOMEM)
		return e;
	if (e != ERR_OK)
		return ERR_TOKEN;
	return want == NULL || strcmp(who, want) == 0 ? ERR_OK :
	    ERR_TOKEN_ISSUER;
}
