#include <string.h>

#include "writer.h"

static void
put_str(struct writer *w, const char *s)
{
	fealty_put_octets(w, s, strlen(s));
}

static void
put_text(struct writer *w, const struct fealty_text *t)
{
	fealty_put_octets(w, t->p, t->len);
}

/*
 * v / 10: a sum of shifts that is at most one too small. A division of 64
 * bits would have to be linked on most small cores.
 */
static uint64_t
tenth(uint64_t v)
{
	uint64_t q = (v >> 1) + (v >> 2);

	q += q >> 4;
	q += q >> 8;
	q += q >> 16;
	q += q >> 32;
	q >>= 3;
	return v - q * 10 > 9 ? q + 1 : q;
}

static void
put_number(struct writer *w, uint64_t v)
{
	char digits[20], *at = digits + sizeof(digits);
	uint64_t q;

	do {
		q = tenth(v);
		*--at = (char)('0' + (v - q * 10));
		v = q;
	} while (v > 0);
	fealty_put_octets(w, at, (size_t)(digits + sizeof(digits) - at));
}

/* Printable, and nothing that JSON would have to escape. */
static int
nonce_ok(const char *s)
{
	size_t n;

	for (n = 0; s[n] != '\0'; n++) {
		if (n == FEALTY_NONCE_MAX || s[n] <= 0x20 || s[n] >= 0x7f ||
		    s[n] == '"' || s[n] == '\\')
			return 0;
	}
	return n > 0;
}

static int
args_ok(const struct fealty_assertion *a)
{
	if (a->nonce != NULL)
		return nonce_ok(a->nonce);
	return a->now > 0 && a->now < INT64_C(1) << 53 && a->life > 0 &&
	       a->life <= FEALTY_ASSERTION_LIFE_MAX;
}

/*
 * typ is JWT, since readers such as libjwt 1.10 refuse any other. What keeps
 * this JWS from passing for one of another kind is its key, which is derived
 * for assertions alone.
 */
static void
put_header(struct writer *w, const struct fealty_peer *authority, int own)
{
	put_str(w, own ? "{\"alg\":\"ES256\"" : "{\"alg\":\"HS256\"");
	put_str(w, ",\"typ\":\"JWT\",\"kid\":\"");
	put_text(w, &authority->identity);
	put_str(w, "\"}");
	fealty_put_end(w);
}

/* jti: 32 characters 'A' to 'P', of 16 random octets. */
static void
put_jti(struct writer *w, const uint8_t rnd[16])
{
	char hex[32];
	unsigned i;

	for (i = 0; i < sizeof(hex); i++)
		hex[i] = (char)('A' + (rnd[i / 2] >> (i % 2 * 4) & 15));
	fealty_put_octets(w, hex, sizeof(hex));
}

static void
put_claims(struct writer *w, const struct fealty_record *r,
	   const struct fealty_assertion *a, const uint8_t rnd[16])
{
	put_str(w, "{\"iss\":\"");
	put_text(w, &r->device_id);
	put_str(w, "\",\"sub\":\"");
	put_text(w, &r->device_id);
	put_str(w, "\",\"aud\":\"");
	put_text(w, &r->issuer);
	put_str(w, "\",\"jti\":\"");
	put_jti(w, rnd);
	if (a->nonce != NULL) {
		put_str(w, "\",\"nonce\":\"");
		put_str(w, a->nonce);
		put_str(w, "\"}");
	} else {
		put_str(w, "\",\"iat\":");
		put_number(w, (uint64_t)a->now);
		put_str(w, ",\"exp\":");
		put_number(w, (uint64_t)a->now + a->life);
		put_str(w, "}");
	}
	fealty_put_end(w);
}

static void
put_signature(struct writer *w, const uint8_t *sig, size_t len)
{
	fealty_put_char(w, '.');
	fealty_put_octets(w, sig, len);
	fealty_put_end(w);
}

static enum fealty_status
sign_own(const struct fealty_signer *own, struct writer *w)
{
	uint8_t sig[64];

	if (own->es256(own->ctx, (const uint8_t *)w->out, w->len, sig) != 0)
		return FEALTY_E_PORT;
	put_signature(w, sig, sizeof(sig));
	return w->full ? FEALTY_E_SPACE : FEALTY_OK;
}

/* The signature over what has been written, behind it. */
static enum fealty_status
sign(const struct fealty_device_port *port, const struct fealty_record *r,
     struct writer *w)
{
	uint8_t key[FEALTY_KEY_LEN], sig[32];
	enum fealty_status s;

	s = fealty_derive(port, r, "assertion", NULL, 0, key);
	if (s == FEALTY_OK &&
	    port->hmac_sha256(port->ctx, key, sizeof(key),
			      (const uint8_t *)w->out, w->len, sig) != 0)
		s = FEALTY_E_PORT;
	fealty_wipe(key, sizeof(key));
	if (s != FEALTY_OK)
		return s;
	put_signature(w, sig, sizeof(sig));
	return w->full ? FEALTY_E_SPACE : FEALTY_OK;
}

enum fealty_status
fealty_assertion(const struct fealty_device_port *port,
		 const struct fealty_record *r,
		 const struct fealty_assertion *a, char *out, size_t size,
		 size_t *outlen)
{
	const struct fealty_peer *authority;
	struct writer w = {.out = out};
	uint8_t rnd[16];
	enum fealty_status s;

	if (size == 0)
		return FEALTY_E_SPACE;
	out[0] = '\0';
	w.size = size - 1;
	if (!args_ok(a))
		return FEALTY_E_ARG;
	authority = fealty_record_peer(r, FEALTY_AUTHORITY);
	if (authority == NULL)
		return FEALTY_E_PEER;
	if (port->random(port->ctx, rnd, sizeof(rnd)) != 0)
		return FEALTY_E_PORT;
	put_header(&w, authority, a->own != NULL);
	fealty_put_char(&w, '.');
	put_claims(&w, r, a, rnd);
	if (w.full)
		s = FEALTY_E_SPACE;
	else
		s = a->own != NULL ? sign_own(a->own, &w) : sign(port, r, &w);
	if (s != FEALTY_OK) {
		fealty_wipe(out, size);
		return s;
	}
	out[w.len] = '\0';
	*outlen = w.len;
	return FEALTY_OK;
}
