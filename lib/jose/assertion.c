#include "lib/jose/assertion.h"

#include <jwt.h>
#include <string.h>

#include "lib/base/b64url.h"
#include "lib/crypt/digest.h"
#include "lib/jose/compact.h"

#define ALG_MAC "HS256"
#define ALG_OWN "ES256"
#define TYP "fealty-assertion+jwt"
#define MAC_LEN 32

static enum err
malformed(struct detail *d, const char *what)
{
	detail_set(d, "%s", what);
	return ERR_ASSERTION;
}

/*
 * Form and header. The algorithm is pinned here, before any key is chosen:
 * libjwt would take the header's word for it.
 */
enum err
assertion_open(const char *jwt, size_t len, struct assertion_form *out,
    struct detail *d)
{
	struct assertion_form f = {.jwt = jwt, .len = len};
	size_t sig;
	uint8_t kid;

	if (len > ASSERTION_MAX)
		return malformed(d, "more than 2048 octets");
	if (compact_split(jwt, len, &f.parts, d) != ERR_OK ||
	    compact_header(&f.parts, &f.header, d) != ERR_OK)
		return ERR_ASSERTION;
	if (strcmp(f.header.alg, ALG_MAC) == 0)
		sig = MAC_LEN;
	else if (strcmp(f.header.alg, ALG_OWN) == 0)
		sig = ES256_SIG_LEN;
	else
		return malformed(d, "alg: " ALG_MAC " or " ALG_OWN);
	if (strcmp(f.header.typ, TYP) != 0 &&
	    strcmp(f.header.typ, "JWT") != 0)
		return malformed(d, "typ: " TYP " or JWT");
	if (f.parts.sig_len != B64URL_LEN(sig))
		return malformed(d, "signature: 32 octets as base64url, of "
		    ALG_OWN " 64");
	if (pskid_kid(f.header.kid, strlen(f.header.kid), &kid) != ERR_OK) {
		detail_set(d, "kid: not a PSK identity");
		return ERR_ASSERTION_KID;
	}
	*out = f;
	return ERR_OK;
}

/*
 * The MAC, by libjwt, over exactly the text whose parts were found strict.
 * Its claims are not used: it keeps the last of two members of one name,
 * where compact_object refuses.
 */
static enum err
check_by_libjwt(const char *jwt, size_t len, const struct key32 *key)
{
	char text[ASSERTION_MAX + 1];
	jwt_t *t = NULL;
	enum err e;
	int r;

	memcpy(text, jwt, len);
	text[len] = '\0';
	r = jwt_decode(&t, text, key->b, (int)sizeof(key->b));
	e = r == 0 && t != NULL && jwt_get_alg(t) == JWT_ALG_HS256 ?
	    ERR_OK : ERR_ASSERTION_SIGNATURE;
	jwt_free(t);
	wipe(text, len);
	return e;
}

/*
 * Compared here, in constant time, before libjwt sees anything: its own
 * comparison is not so in every version. It knows no typ but JWT, and gives
 * a second opinion on those.
 */
static enum err
check_mac(const struct assertion_form *f, const struct key32 *key,
    struct detail *d)
{
	const struct compact *p = &f->parts;
	unsigned char mac[MAC_LEN], good[MAC_LEN];
	enum err e;

	if (b64url_decode_exact(p->sig, p->sig_len, mac, sizeof(mac)) !=
	    ERR_OK)
		return malformed(d, "signature: not canonical base64url");
	e = hmac_sha256(key->b, sizeof(key->b), p->header, p->signed_len,
	    good);
	if (e == ERR_OK && !ct_equal(mac, good, sizeof(mac)))
		e = ERR_ASSERTION_SIGNATURE;
	wipe(good, sizeof(good));
	if (e == ERR_OK && strcmp(f->header.typ, TYP) != 0)
		e = check_by_libjwt(f->jwt, f->len, key);
	return e;
}

/* Whether a device has a key of its own is told to nobody but itself. */
static enum err
check_own(const struct compact *p, const struct es256_public *own,
    struct detail *d)
{
	unsigned char sig[ES256_SIG_LEN];
	struct verifier *v = NULL;
	enum err e;

	if (b64url_decode_exact(p->sig, p->sig_len, sig, sizeof(sig)) !=
	    ERR_OK)
		return malformed(d, "signature: not canonical base64url");
	if (own == NULL)
		return ERR_ASSERTION_SIGNATURE;
	e = verifier_new(own, &v);
	if (e == ERR_OK)
		e = verifier_verify(v, p->header, p->signed_len, sig);
	verifier_free(&v);
	return e == ERR_TOKEN_SIGNATURE ? ERR_ASSERTION_SIGNATURE : e;
}

static int
aud_is(const json_t *v, const char *const *aud, size_t naud)
{
	size_t i;

	for (i = 0; json_is_string(v) && i < naud; i++)
		if (strcmp(json_string_value(v), aud[i]) == 0)
			return 1;
	return 0;
}

/* A text or an array of one: a second audience could replay it there. */
static enum err
check_aud(const json_t *o, const char *const *aud, size_t naud,
    struct detail *d)
{
	const json_t *v = json_object_get(o, "aud");

	if (json_is_array(v)) {
		if (json_array_size(v) != 1)
			return malformed(d, "aud: one and no more");
		v = json_array_get(v, 0);
	}
	if (!json_is_string(v))
		return malformed(d, "aud: missing, or no text");
	return aud_is(v, aud, naud) ? ERR_OK : ERR_ASSERTION_AUDIENCE;
}

static enum err
out_of_time(struct detail *d, const char *what)
{
	detail_set(d, "%s", what);
	return ERR_ASSERTION_TIME;
}

static enum err
check_time(const json_t *o, int64_t now, struct assertion *a,
    struct detail *d)
{
	uint64_t iat, exp, nbf;

	if (claim_num(o, "iat", NUMBER_MAX, &iat, d) != ERR_OK ||
	    claim_num(o, "exp", NUMBER_MAX, &exp, d) != ERR_OK)
		return ERR_ASSERTION;
	a->iat = (int64_t)iat;
	a->exp = (int64_t)exp;
	if (exp <= iat)
		return malformed(d, "exp: not after iat");
	if (json_object_get(o, "nbf") != NULL) {
		if (claim_num(o, "nbf", NUMBER_MAX, &nbf, d) != ERR_OK)
			return ERR_ASSERTION;
		if ((int64_t)nbf > now + ASSERTION_LEEWAY)
			return out_of_time(d, "nbf: to come");
	}
	if (exp - iat > ASSERTION_LIFE_MAX)
		return out_of_time(d, "exp: more than 60 s after iat");
	if (a->iat > now + ASSERTION_LEEWAY)
		return out_of_time(d, "iat: to come");
	if (a->exp <= now)
		return out_of_time(d, "exp: past");
	return ERR_OK;
}

static int
printable(const char *s)
{
	for (; *s != '\0'; s++)
		if (*s < 0x21 || *s > 0x7e)
			return 0;
	return 1;
}

static enum err
read_names(const json_t *o, struct assertion *a, struct detail *d)
{
	name_t sub;

	if (claim_str(o, "iss", a->device_id, sizeof(a->device_id), d) !=
	    ERR_OK || claim_str(o, "sub", sub, sizeof(sub), d) != ERR_OK ||
	    claim_str(o, "jti", a->jti, sizeof(a->jti), d) != ERR_OK)
		return ERR_ASSERTION;
	if (!name_is_device_id(sub) || strcmp(sub, a->device_id) != 0)
		return malformed(d, "iss, sub: the device_id, both");
	if (!printable(a->jti))
		return malformed(d, "jti: printable characters");
	if (json_object_get(o, "nonce") == NULL)
		return ERR_OK;
	if (claim_str(o, "nonce", a->nonce, sizeof(a->nonce), d) != ERR_OK)
		return ERR_ASSERTION;
	if (!printable(a->nonce))
		return malformed(d, "nonce: printable characters");
	return ERR_OK;
}

enum err
assertion_verify(const struct assertion_form *f,
    const struct assertion_keys *keys, const char *const *aud, size_t naud,
    int64_t now, struct assertion *out, struct detail *d)
{
	struct assertion a;
	json_t *o = NULL;
	enum err e;

	if (compact_object(f->parts.payload, f->parts.payload_len,
	    ASSERTION_MAX, "claims", &o, d) != ERR_OK)
		return ERR_ASSERTION;
	memset(&a, 0, sizeof(a));
	a.by_own = strcmp(f->header.alg, ALG_OWN) == 0;
	e = a.by_own ? check_own(&f->parts, keys->own, d) :
	    check_mac(f, keys->mac, d);
	if (e == ERR_OK)
		e = read_names(o, &a, d);
	if (e == ERR_OK)
		e = check_aud(o, aud, naud, d);
	if (e == ERR_OK && a.nonce[0] == '\0')
		e = check_time(o, now, &a, d);
	json_decref(o);
	if (e == ERR_OK)
		*out = a;
	return e;
}
