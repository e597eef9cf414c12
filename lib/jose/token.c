#include "lib/jose/token.h"

#include <string.h>

#include "lib/base/b64url.h"
#include "lib/jose/compact.h"
#include "lib/jose/text.h"

#define ALG "ES256"
#define TYP "at+jwt"
#define JSON_MAX 3072
#define SECONDS_MAX ((int64_t)NUMBER_MAX)

/* A token id: base64url characters, so that it is safe in paths and logs. */
static int
jti_ok(const char *s)
{
	size_t n = strspn(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	    "abcdefghijklmnopqrstuvwxyz0123456789-_");

	return n > 0 && n <= 64 && s[n] == '\0';
}

static int
aud_ok(const struct token_claims *c)
{
	uint32_t i;

	if (c->naud == 0 || c->naud > TOKEN_AUD_MAX)
		return 0;
	for (i = 0; i < c->naud; i++)
		if (!name_is_audience(c->aud[i]))
			return 0;
	return 1;
}

/* The member that is wrong, or NULL. Holds for what is signed and verified. */
static const char *
claims_fault(const struct token_claims *c)
{
	if (!name_is_device_id(c->sub))
		return "sub";
	if (!aud_ok(c))
		return "aud";
	if (!jti_ok(c->jti))
		return "jti";
	if (c->scope[0] != '\0' && !name_is_scope(c->scope))
		return "scope";
	if (c->iat < 0 || c->exp <= c->iat || c->exp > SECONDS_MAX)
		return "exp";
	if (c->dn == 0 || c->dn > NUMBER_MAX)
		return "dn";
	if (c->ep == 0)
		return "ep";
	if (c->ngrp > DEVICE_GROUPS_MAX)
		return "grp";
	if (c->pos > NUMBER_MAX)
		return "pos";
	return NULL;
}

static void
put_aud(struct text *t, const struct token_claims *c)
{
	uint32_t i;

	text_raw(t, ",\"aud\":[");
	for (i = 0; i < c->naud; i++) {
		if (i > 0)
			text_raw(t, ",");
		text_str(t, c->aud[i]);
	}
	text_raw(t, "]");
}

/*
 * The claims behind an opened brace. Written out directly: claims_fault has
 * shown that no name needs escaping, and text_str refuses an issuer that
 * would; a tree of JSON objects would cost a fifth of the signature.
 */
static void
put_claims(struct text *t, const struct token_claims *c)
{
	uint32_t i;

	text_raw(t, "\"iss\":");
	text_str(t, c->iss);
	text_member_str(t, "sub", c->sub);
	put_aud(t, c);
	text_member_num(t, "exp", (uint64_t)c->exp);
	text_member_num(t, "iat", (uint64_t)c->iat);
	text_member_str(t, "jti", c->jti);
	text_member_str(t, "client_id", c->sub);
	text_member_str(t, "scope", c->scope);
	text_member_num(t, "tid", c->tid);
	text_member_num(t, "dn", c->dn);
	text_member_num(t, "ep", c->ep);
	text_raw(t, ",\"grp\":[");
	for (i = 0; i < c->ngrp; i++) {
		if (i > 0)
			text_raw(t, ",");
		text_num(t, c->grp[i]);
	}
	text_raw(t, "]");
	text_member_num(t, "pos", c->pos);
	text_raw(t, "}");
}

/* Header, dot and payload into out (of B64URL_LEN(JSON_MAX) + 200). */
static enum err
signing_input(const char *kid, const struct token_claims *c, char *out,
    size_t *len)
{
	char json[JSON_MAX];
	struct text t = {.p = json, .size = sizeof(json)};
	size_t n;

	text_raw(&t, "{\"alg\":\"" ALG "\",\"typ\":\"" TYP "\"");
	text_member_str(&t, "kid", kid);
	text_raw(&t, "}");
	b64url_encode(json, t.n, out);
	n = B64URL_LEN(t.n);
	out[n++] = '.';
	t.n = 0;
	text_raw(&t, "{");
	put_claims(&t, c);
	if (t.bad)
		return ERR_REQUEST;
	b64url_encode(json, t.n, out + n);
	*len = n + B64URL_LEN(t.n);
	return ERR_OK;
}

enum err
token_sign(const struct signer *s, const struct token_claims *c,
    struct buf *out)
{
	char in[B64URL_LEN(JSON_MAX) + 256];
	unsigned char sig[ES256_SIG_LEN];
	size_t n;
	enum err e;

	if (claims_fault(c) != NULL || c->iss[0] == '\0')
		return ERR_REQUEST;
	e = signing_input(signer_kid(s), c, in, &n);
	if (e != ERR_OK)
		return e;
	e = signer_sign(s, in, n, sig);
	if (e != ERR_OK)
		return e;
	in[n++] = '.';
	b64url_encode(sig, sizeof(sig), in + n);
	n += B64URL_LEN(ES256_SIG_LEN);
	/* What no verifier would take is not issued either. */
	if (n > TOKEN_MAX)
		return ERR_TOO_LARGE;
	return buf_add(out, in, n);
}

enum err
token_introspection(const struct token_claims *c, struct buf *out)
{
	char json[JSON_MAX];
	struct text t = {.p = json, .size = sizeof(json)};

	if (claims_fault(c) != NULL)
		return ERR_REQUEST;
	text_raw(&t, "{\"active\":true,\"token_type\":\"Bearer\",");
	put_claims(&t, c);
	if (t.bad)
		return ERR_REQUEST;
	return buf_add(out, json, t.n);
}

/* Form and header; nothing is believed yet. */
static enum err
open_token(const char *token, size_t len, struct compact *parts,
    struct jose_header *h, struct detail *d)
{
	if (len > TOKEN_MAX) {
		detail_set(d, "more than %d octets", TOKEN_MAX);
		return ERR_TOKEN;
	}
	if (compact_split(token, len, parts, d) != ERR_OK ||
	    compact_header(parts, h, d) != ERR_OK)
		return ERR_TOKEN;
	if (strcmp(h->alg, ALG) != 0) {
		detail_set(d, "alg: " ALG " and nothing else");
		return ERR_TOKEN;
	}
	if (strcmp(h->typ, TYP) != 0) {
		detail_set(d, "typ: " TYP " and nothing else");
		return ERR_TOKEN;
	}
	if (strlen(h->kid) != KID_LEN) {
		detail_set(d, "kid: %d characters", KID_LEN);
		return ERR_TOKEN;
	}
	return ERR_OK;
}

enum err
token_kid(const char *token, size_t len, char out[KID_LEN + 1])
{
	struct jose_header h;
	struct compact parts;
	enum err e;

	e = open_token(token, len, &parts, &h, NULL);
	if (e == ERR_OK)
		memcpy(out, h.kid, KID_LEN + 1);
	return e;
}

static enum err
read_aud(const json_t *o, struct token_claims *c, struct detail *d)
{
	const json_t *v, *a = json_object_get(o, "aud");
	size_t i, n;

	n = json_is_array(a) ? json_array_size(a) : 1;
	if (n == 0 || n > TOKEN_AUD_MAX) {
		detail_set(d, "aud: 1 to %d", TOKEN_AUD_MAX);
		return ERR_TOKEN;
	}
	for (i = 0; i < n; i++) {
		v = json_is_array(a) ? json_array_get(a, i) : a;
		if (!json_is_string(v) ||
		    json_string_length(v) > NAME_MAX_LEN ||
		    !name_is_audience(json_string_value(v))) {
			detail_set(d, "aud: not an audience's name");
			return ERR_TOKEN;
		}
		memcpy(c->aud[i], json_string_value(v),
		    json_string_length(v) + 1);
	}
	c->naud = (uint32_t)n;
	return ERR_OK;
}

static enum err
read_grp(const json_t *o, struct token_claims *c, struct detail *d)
{
	const json_t *v, *a = json_object_get(o, "grp");
	size_t i, n;

	n = json_array_size(a);
	if (!json_is_array(a) || n > DEVICE_GROUPS_MAX) {
		detail_set(d, "grp: an array of at most %d",
		    DEVICE_GROUPS_MAX);
		return ERR_TOKEN;
	}
	for (i = 0; i < n; i++) {
		v = json_array_get(a, i);
		if (!json_is_integer(v) || json_integer_value(v) < 0 ||
		    json_integer_value(v) > (json_int_t)UINT32_MAX) {
			detail_set(d, "grp: not a group's number");
			return ERR_TOKEN;
		}
		c->grp[i] = (uint32_t)json_integer_value(v);
	}
	c->ngrp = (uint32_t)n;
	return ERR_OK;
}

static enum err
read_numbers(const json_t *o, struct token_claims *c, struct detail *d)
{
	uint64_t exp, iat, tid, dn, ep, pos;

	if (claim_num(o, "exp", NUMBER_MAX, &exp, d) != ERR_OK ||
	    claim_num(o, "iat", NUMBER_MAX, &iat, d) != ERR_OK ||
	    claim_num(o, "tid", UINT32_MAX, &tid, d) != ERR_OK ||
	    claim_num(o, "dn", NUMBER_MAX, &dn, d) != ERR_OK ||
	    claim_num(o, "ep", UINT32_MAX, &ep, d) != ERR_OK ||
	    claim_num(o, "pos", NUMBER_MAX, &pos, d) != ERR_OK)
		return ERR_TOKEN;
	c->exp = (int64_t)exp;
	c->iat = (int64_t)iat;
	c->tid = (uint32_t)tid;
	c->dn = dn;
	c->ep = (uint32_t)ep;
	c->pos = pos;
	return ERR_OK;
}

/* Scope may be empty, so it has no lower bound of length. */
static enum err
read_scope(const json_t *o, struct token_claims *c, struct detail *d)
{
	const json_t *v = json_object_get(o, "scope");

	if (json_is_string(v) && json_string_length(v) == 0) {
		c->scope[0] = '\0';
		return ERR_OK;
	}
	return claim_str(o, "scope", c->scope, sizeof(c->scope), d);
}

static enum err
read_claims(const json_t *o, struct token_claims *c, struct detail *d)
{
	const char *fault;
	name_t client;

	if (claim_str(o, "iss", c->iss, sizeof(c->iss), d) != ERR_OK ||
	    claim_str(o, "sub", c->sub, sizeof(c->sub), d) != ERR_OK ||
	    claim_str(o, "client_id", client, sizeof(client), d) != ERR_OK ||
	    claim_str(o, "jti", c->jti, sizeof(c->jti), d) != ERR_OK ||
	    read_scope(o, c, d) != ERR_OK || read_numbers(o, c, d) != ERR_OK ||
	    read_aud(o, c, d) != ERR_OK || read_grp(o, c, d) != ERR_OK)
		return ERR_TOKEN;
	if (strcmp(client, c->sub) != 0) {
		detail_set(d, "client_id: differs from sub");
		return ERR_TOKEN;
	}
	fault = claims_fault(c);
	if (fault != NULL) {
		detail_set(d, "%s: not allowed", fault);
		return ERR_TOKEN;
	}
	return ERR_OK;
}

static int
has_aud(const struct token_claims *c, const char *aud)
{
	uint32_t i;

	for (i = 0; i < c->naud && i < TOKEN_AUD_MAX; i++)
		if (strcmp(c->aud[i], aud) == 0)
			return 1;
	return 0;
}

enum err
token_check_time(const struct token_claims *c, const struct token_rules *r)
{
	if (c->exp - c->iat > TOKEN_LIFE_MAX)
		return ERR_TOKEN_LIFE;
	if (c->iat > r->now && c->iat - r->now > r->leeway)
		return ERR_TOKEN_FUTURE;
	if (c->exp <= r->now && r->now - c->exp >= r->leeway)
		return ERR_TOKEN_EXPIRED;
	if (r->aud != NULL && !has_aud(c, r->aud))
		return ERR_TOKEN_AUDIENCE;
	return ERR_OK;
}

/* Key, signature. */
static enum err
check_signature(const struct jwks *keys, const struct jose_header *h,
    const struct compact *p, struct detail *d)
{
	unsigned char sig[ES256_SIG_LEN];
	const struct verifier *v;

	if (b64url_decode_exact(p->sig, p->sig_len, sig, sizeof(sig)) !=
	    ERR_OK) {
		detail_set(d, "signature: %d octets as base64url",
		    ES256_SIG_LEN);
		return ERR_TOKEN;
	}
	v = jwks_find(keys, h->kid, KID_LEN);
	if (v == NULL)
		return ERR_TOKEN_KEY;
	return verifier_verify(v, p->header, p->signed_len, sig);
}

enum err
token_verify(const struct jwks *keys, const struct token_rules *r,
    const char *token, size_t len, struct token_claims *out,
    struct detail *d)
{
	struct token_claims c;
	struct jose_header h;
	struct compact parts;
	json_t *o = NULL;
	enum err e;

	e = open_token(token, len, &parts, &h, d);
	if (e == ERR_OK)
		e = check_signature(keys, &h, &parts, d);
	if (e != ERR_OK)
		return e;
	/* Claims are parsed only now that a key of ours has signed them. */
	if (compact_object(parts.payload, parts.payload_len, TOKEN_MAX,
	    "claims", &o, d) != ERR_OK)
		return ERR_TOKEN;
	memset(&c, 0, sizeof(c));
	e = read_claims(o, &c, d);
	json_decref(o);
	if (e == ERR_OK && strcmp(c.iss, r->iss) != 0)
		e = ERR_TOKEN_ISSUER;
	if (e == ERR_OK)
		e = token_check_time(&c, r);
	if (e != ERR_OK)
		return e;
	memcpy(c.kid, h.kid, sizeof(c.kid));
	*out = c;
	return ERR_OK;
}
