#include "authd/core/tickets.h"

#include <string.h>

#include "lib/base/b64url.h"
#include "lib/crypt/digest.h"

/*
 * Nonces and challenges without a row: time(8) | random(8) | MAC(16) under a
 * key of the authority's, over a label, whom it is about, time and random.
 */
#define STAMP_LEN 32
#define HEAD 16
#define ABOUT_MAX 64
#define LABEL_MAX 32
#define FUTURE 5 /* seconds another authd's clock may be ahead */

static unsigned char *
put(unsigned char *p, uint64_t v, unsigned octets)
{
	while (octets-- > 0)
		*p++ = (unsigned char)(v >> (8 * octets));
	return p;
}

static enum err
stamp_mac(const struct key32 *key, const char *label, const void *about,
    size_t len, const unsigned char head[HEAD], unsigned char mac[32])
{
	unsigned char text[LABEL_MAX + 1 + ABOUT_MAX + HEAD];
	size_t n = strlen(label) + 1; /* with its NUL: no label ends another */

	if (n > LABEL_MAX + 1 || len > ABOUT_MAX)
		return ERR_INTERNAL;
	memcpy(text, label, n);
	memcpy(text + n, about, len);
	memcpy(text + n + len, head, HEAD);
	return hmac_sha256(key->b, KEY32_LEN, text, n + len + HEAD, mac);
}

enum err
stamp_make(const struct key32 *key, const char *label, const void *about,
    size_t len, int64_t now, unsigned char out[32])
{
	unsigned char mac[32];
	enum err e;

	(void)put(out, (uint64_t)now, 8);
	e = random_bytes(out + 8, 8);
	if (e == ERR_OK)
		e = stamp_mac(key, label, about, len, out, mac);
	if (e == ERR_OK)
		memcpy(out + HEAD, mac, STAMP_LEN - HEAD);
	return e;
}

int
stamp_check(const struct key32 *key, const char *label, const void *about,
    size_t len, const unsigned char stamp[32], int64_t *at)
{
	unsigned char mac[32];
	uint64_t t = 0;
	int i;

	if (stamp_mac(key, label, about, len, stamp, mac) != ERR_OK ||
	    !ct_equal(mac, stamp + HEAD, STAMP_LEN - HEAD))
		return 0;
	for (i = 0; i < 8; i++)
		t = t << 8 | stamp[i];
	*at = (int64_t)t;
	return 1;
}

static int
in_time(int64_t at, int64_t now, int64_t life)
{
	return at <= now + FUTURE && now - at <= life;
}

#define NONCE_LABEL "fealty nonce v1"

enum err
core_nonce(struct core_call *call, char out[NONCE_TEXT])
{
	const struct core *c = call->core;
	unsigned char about[4], stamp[STAMP_LEN];
	enum err e;

	(void)put(about, call->tenant->number, 4);
	e = stamp_make(&c->authority.nonce, NONCE_LABEL, about, sizeof(about),
	    clock_wall_s(c->clock), stamp);
	if (e == ERR_OK)
		b64url_encode(stamp, sizeof(stamp), out);
	return e;
}

enum err
nonce_check(const struct core_call *call, const char *nonce, int64_t *exp)
{
	const struct core *c = call->core;
	unsigned char about[4], stamp[STAMP_LEN];
	int64_t at;

	(void)put(about, call->tenant->number, 4);
	if (b64url_decode_exact(nonce, strlen(nonce), stamp,
		sizeof(stamp)) != ERR_OK ||
	    !stamp_check(&c->authority.nonce, NONCE_LABEL, about,
		sizeof(about), stamp, &at) ||
	    !in_time(at, clock_wall_s(c->clock), NONCE_LIFE))
		return ERR_NONCE;
	*exp = at + NONCE_LIFE;
	return ERR_OK;
}

#define CHALLENGE_LABEL "fealty challenge v1"
#define VERIFY_LABEL "fealty verify v1"

static void
challenge_about(const struct challenge_of *o, unsigned char about[32])
{
	unsigned char *p = about;

	p = put(p, o->tenant, 4);
	p = put(p, o->dn, 8);
	p = put(p, o->epoch, 4);
	p = put(p, o->station, 8);
	(void)put(p, o->release, 8);
}

#define TICKET_LABEL "fealty ticket v1"

static enum err
make_label(const struct core *c, const char *label,
    const struct challenge_of *o, unsigned char out[CHALLENGE_LEN])
{
	unsigned char about[32];

	challenge_about(o, about);
	return stamp_make(&c->authority.challenge, label, about,
	    sizeof(about), clock_wall_s(c->clock), out);
}

enum err
ticket_challenge_make(const struct core *c, const struct challenge_of *o,
    unsigned char out[CHALLENGE_LEN])
{
	return make_label(c, TICKET_LABEL, o, out);
}

enum err
ticket_challenge_check(const struct core *c, const struct challenge_of *o,
    const unsigned char challenge[CHALLENGE_LEN])
{
	unsigned char about[32];
	int64_t at;

	challenge_about(o, about);
	return stamp_check(&c->authority.challenge, TICKET_LABEL, about,
	    sizeof(about), challenge, &at) ? ERR_OK : ERR_CHALLENGE;
}

enum err
challenge_make(const struct core *c, const struct challenge_of *o,
    unsigned char out[CHALLENGE_LEN])
{
	return make_label(c, CHALLENGE_LABEL, o, out);
}

static enum err
check_label(const struct core *c, const char *label,
    const struct challenge_of *o, const unsigned char challenge[CHALLENGE_LEN],
    int64_t life, int64_t *exp)
{
	unsigned char about[32];
	int64_t at;

	challenge_about(o, about);
	if (!stamp_check(&c->authority.challenge, label, about, sizeof(about),
		challenge, &at) || !in_time(at, clock_wall_s(c->clock), life))
		return ERR_CHALLENGE;
	*exp = at + life;
	return ERR_OK;
}

enum err
challenge_check(const struct core *c, const struct challenge_of *o,
    const unsigned char challenge[CHALLENGE_LEN])
{
	int64_t exp;

	return check_label(c, CHALLENGE_LABEL, o, challenge, CHALLENGE_LIFE,
	    &exp);
}

enum err
verify_make(const struct core *c, const struct challenge_of *o,
    unsigned char out[CHALLENGE_LEN])
{
	return make_label(c, VERIFY_LABEL, o, out);
}

enum err
verify_use(const struct core *c, const struct challenge_of *o,
    const unsigned char challenge[CHALLENGE_LEN])
{
	struct mark m = {.tenant = o->tenant, .dn = o->dn};
	enum err e;

	e = check_label(c, VERIFY_LABEL, o, challenge, VERIFY_LIFE, &m.exp);
	if (e != ERR_OK)
		return e;
	memcpy(m.mark, challenge + HEAD, MARK_LEN);
	e = store_mark_use(c->pool, &m);
	return e == ERR_ASSERTION_USED ? ERR_CHALLENGE : e;
}
