#include "lib/jose/jwe_int.h"

#include <string.h>

#include "lib/base/b64url.h"
#include "lib/jose/compact.h"
#include "lib/jose/jwk.h"

static int
str_is(const json_t *o, const char *name, const char *want)
{
	const char *s = json_string_value(json_object_get(o, name));

	return s != NULL && strcmp(s, want) == 0;
}

/* alg, enc, typ and epk (a point on P-256) alone. */
static int
header_ok(const char *part, size_t len, struct es256_public *pub)
{
	struct verifier *on_curve = NULL;
	json_t *o = NULL, *epk;
	int ok;

	if (compact_object(part, len, HEADER_MAX, "header", &o, NULL) !=
	    ERR_OK)
		return 0;
	epk = json_object_get(o, "epk");
	ok = json_object_size(o) == 4 && str_is(o, "alg", "ECDH-ES") &&
	    str_is(o, "enc", "A256GCM") && str_is(o, "typ", JWE_TYP) &&
	    str_is(epk, "kty", "EC") && str_is(epk, "crv", "P-256") &&
	    jwk_point(epk, pub) == ERR_OK &&
	    verifier_new(pub, &on_curve) == ERR_OK;
	verifier_free(&on_curve);
	json_decref(o);
	return ok;
}

/*
 * Five parts: header, no key, nonce, ciphertext, tag; nonce and tag whole
 * (a cut tag would be a weak one) and everything canonical.
 */
int
jwe_form(const char *jwe, size_t len, struct jwe_parts *out)
{
	unsigned char octets[JWE_MAX];
	const char **part = out->p, *dot;
	size_t *plen = out->len, n = sizeof(octets), i;

	if (len > JWE_MAX)
		return 0;
	for (i = 0; i < JWE_PARTS; i++) {
		dot = memchr(jwe, '.', len);
		if ((dot == NULL) != (i == JWE_PARTS - 1))
			return 0;
		part[i] = jwe;
		plen[i] = dot == NULL ? len : (size_t)(dot - jwe);
		if (dot != NULL) {
			len -= plen[i] + 1;
			jwe = dot + 1;
		}
	}
	return plen[1] == 0 &&
	    b64url_decode_exact(part[2], plen[2], octets, JWE_IV_LEN) ==
	    ERR_OK &&
	    b64url_decode_exact(part[4], plen[4], octets, JWE_TAG_LEN) ==
	    ERR_OK &&
	    b64url_decode(part[3], plen[3], octets, &n) == ERR_OK &&
	    n > 0 && n <= JWE_PLAIN_MAX &&
	    header_ok(part[0], plen[0], &out->epk);
}
